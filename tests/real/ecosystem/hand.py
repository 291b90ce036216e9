# SPDX-License-Identifier: MIT
"""What the suites of the ecosystem share: Java programs as child processes, their own broker, their results."""

import os
import queue
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(HERE)))
sys.path.append(os.path.join(ROOT, "tests", "harness"))

from broker import KAFKA, FluxMQ, Kafka, free_port, wait_until  # noqa: E402

CACHE = os.environ.get("FLUXMQ_CACHE", os.path.expanduser("~/.cache/fluxmq"))
LIBS = os.path.join(CACHE, "ecosystem")
CLASSES = os.path.join(CACHE, "classes-ecosystem")
JAVA = ["java", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xmx256m", "-Xshare:auto",
        "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-Dorg.slf4j.simpleLogger.showDateTime=true",
        "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS"]
PORTS = (23200, 23399)
GIVEN = []
ANSWER_SECONDS = 90


def compile_classes():
    """Compiles the programs of this folder unless that was done since they changed."""
    paths = sorted(os.path.join(HERE, name) for name in os.listdir(HERE) if name.endswith(".java"))
    target = os.path.join(CLASSES, "Hand.class")
    if not os.path.exists(target) or os.path.getmtime(target) < max(map(os.path.getmtime, paths)):
        os.makedirs(CLASSES, exist_ok=True)
        subprocess.run(["javac", "-nowarn", "-proc:none", "-d", CLASSES, "-cp", LIBS + "/*", *paths], check=True)
        os.utime(target)


def new_port():
    """A free one that was not given away before: who got it may not have bound it yet."""
    GIVEN.append(free_port(*PORTS, but=GIVEN))
    return GIVEN[-1]


class Java:
    """A Java program whose lines are read in the background; what it logs goes to a file."""

    def __init__(self, folder, name, main, *args, plugins=(), options=()):
        self.name = name
        self.lines = queue.Queue()
        path = ":".join([LIBS + "/*", CLASSES, *plugins])
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, name + ".err"), "ab") as log:
            self.process = subprocess.Popen([*JAVA, *options, "-cp", path, main, *args], stdin=subprocess.PIPE,
                                            stdout=subprocess.PIPE, stderr=log, text=True, cwd=folder)
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        for line in self.process.stdout:
            self.lines.put(line.rstrip("\n"))
        self.lines.put(None)

    def line(self, seconds=ANSWER_SECONDS):
        try:
            line = self.lines.get(timeout=seconds)
        except queue.Empty:
            raise TimeoutError(f"{self.name} says nothing for {seconds} s") from None
        if line is None:
            raise RuntimeError(f"{self.name} ended, status {self.process.wait()}")
        return line

    def until(self, wanted, seconds=ANSWER_SECONDS):
        """The lines before the one that is wanted."""
        end = time.monotonic() + seconds
        before = []
        while True:
            line = self.line(max(0.1, end - time.monotonic()))
            if line == wanted:
                return before
            before.append(line)

    def write(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def kill(self):
        self.process.kill()
        self.process.wait()

    def close(self, seconds=30):
        """End of input; the exit status."""
        self.process.stdin.close()
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            return None


class Hand(Java):
    """Kafka's client, for what a suite does and looks at by itself; see Hand.java for the commands."""

    def __init__(self, folder, address, name="hand"):
        super().__init__(folder, name, "Hand", address)

    def begin(self, *words):
        self.write("\t".join(str(word) for word in words))

    def end(self):
        rows = []
        while True:
            line = self.line()
            if line == ".":
                return rows
            if line.startswith("! "):
                raise RuntimeError(line[2:])
            rows.append(line.split("\t"))

    def __call__(self, *words):
        self.begin(*words)
        return self.end()

    def values(self, topic, isolation="read_committed"):
        """Values of a topic of one partition, in order."""
        return [row[4] for row in self("read", topic, isolation)]

    def config(self, topic):
        return dict(row[0].split("=", 1) for row in self("config", topic))


class Suite:
    """A folder, a broker, child processes that are ended with it, and results in order."""

    def __init__(self, run, name):
        self.run, self.name, self.count = run, name, 0
        self.folder = os.path.join(run.folder, name)
        self.owned = []
        os.makedirs(self.folder)
        compile_classes()

    def broker(self, name="broker", kind=None, port=0):
        kind = kind or self.run.options.broker
        folder = os.path.join(self.folder, name)
        os.makedirs(folder)
        port = port or new_port()
        if kind == "kafka":
            broker = Kafka(folder, port, {"num.partitions": 3})
        else:
            broker = FluxMQ(folder, port, self.run.options.bin, {"group.initial.rebalance.delay.ms": 0})
        broker.start()
        self.owned.append(broker.close)
        return broker

    def own(self, program):
        self.owned.append(program.kill)
        return program

    def hand(self, broker, name="hand"):
        return self.own(Hand(self.folder, f"127.0.0.1:{broker.port}", name))

    def case(self, name, body, *args):
        """Runs a case; the later ones build upon it, so a failure ends the suite."""
        self.count += 1
        started = time.monotonic()
        try:
            body(*args)
        except Exception as problem:
            self.run.report.result("failed", self.name, f"not ok {self.count} - {name}: {problem!r}"[:2000])
            raise
        self.run.report.result("passed", self.name, f"ok {self.count} - {name}")
        self.run.report.note(self.name, f"# {name}: {time.monotonic() - started:.1f} s")

    def close(self):
        for end in reversed(self.owned):
            end()


def equal(expected, got, what):
    if expected != got:
        raise AssertionError(f"{what}: expected {expected!r}, got {got!r}"[:1500])


def run_suite(run, name, body):
    """body(suite) from begin to end, with everything that it started ended."""
    suite = Suite(run, name)
    started = time.monotonic()
    try:
        body(suite)
    except Exception as problem:  # pylint: disable=broad-except
        if not any(line.startswith(name + ":") for line in run.report.failures):
            run.report.result("failed", name, f"not ok {suite.count + 1} - suite: {problem!r}"[:2000])
    finally:
        suite.close()
    run.report.note(name, f"# {suite.count} cases in {time.monotonic() - started:.1f} s")
