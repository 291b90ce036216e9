#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs real Kafka clients, in their own languages, against a broker.

run.py [--broker fluxmq|kafka] [--bin build/fluxmq] [--port N] [--jobs 2] [--keep] [suite...]

Starts a broker on a fresh data directory, runs the suites (each a program that is given the
broker's address and prints TAP), then stops and kills the broker and looks at the data directory
with Kafka's own tool. The last line is "N passed, N failed, N skipped"; the status is 1 if any failed.
The clients come from deps.sh. See README.md for what each suite is.
"""

import argparse
import concurrent.futures
import importlib
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
REPO = os.path.dirname(os.path.dirname(HERE))
CACHE = os.environ.get("FLUXMQ_CACHE", os.path.expanduser("~/.cache/fluxmq"))
KAFKA = os.path.join(REPO, "tests/kafka/kafka.sh")
JAVA = ["java", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xmx512m",
        "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"]
START_SECONDS = 60
STOP_SECONDS = 60


def kafka_version():
    with open(os.path.join(REPO, "tests/kafka/pom.xml"), encoding="utf-8") as file:
        return re.search(r"<kafka.version>(.*)</kafka.version>", file.read()).group(1)


KAFKA_LIBS = os.path.join(CACHE, "kafka-" + kafka_version())


def free_ports():
    """Two neighbours below the range that outgoing connections take theirs from."""
    for port in random.sample(range(20200, 20900, 2), 300):
        try:
            for one in (port, port + 1):
                with socket.socket() as probe:
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    probe.bind(("127.0.0.1", one))
            return port
        except OSError:
            continue
    raise RuntimeError("no free port")


class Report:
    """Counts results, and prints the TAP lines of a suite with its name before them."""

    def __init__(self):
        self.passed = self.failed = self.skipped = 0
        self.failures = []
        self.lock = threading.Lock()

    def result(self, kind, suite, line):
        with self.lock:
            setattr(self, kind, getattr(self, kind) + 1)
            if kind == "failed":
                self.failures.append(f"{suite}: {line}")
            print(f"{suite}: {line}", flush=True)

    def note(self, suite, line):
        with self.lock:
            print(f"{suite}: {line}", flush=True)

    def tap(self, suite, line, state):
        """Takes one line; state counts the results of this suite."""
        match = re.match(r"(not )?ok \d+", line)
        if match:
            state["count"] += 1
            skip = re.search(r"# SKIP", line)
            self.result("failed" if match.group(1) else "skipped" if skip else "passed", suite, line)
        elif re.match(r"1\.\.\d+$", line):
            state["plan"] = int(line[3:])
        elif line.startswith("#"):
            self.note(suite, line)


class Broker:
    """A broker process on a data directory that outlives it."""

    def __init__(self, folder, port):
        self.folder = folder
        self.port = port
        self.address = f"127.0.0.1:{port}"
        self.process = None
        os.makedirs(folder, exist_ok=True)

    def wait_for_port(self):
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end:
            if self.process and self.process.poll() is not None:
                break
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                time.sleep(0.02)
        with open(os.path.join(self.folder, "server.out"), encoding="utf-8", errors="replace") as file:
            said = file.read().strip().split("\n")[-1]
        raise RuntimeError(f"the broker does not listen on {self.port}: {said}")


class FluxMQ(Broker):
    def __init__(self, folder, port, binary, *more):
        super().__init__(folder, port)
        self.binary = binary
        self.more = more
        self.data = os.path.join(folder, "data")

    def start(self):
        environment = dict(os.environ, FLUXMQ_GROUP_INITIAL_REBALANCE_DELAY_MS="0")
        with open(os.path.join(self.folder, "server.out"), "ab") as log:
            self.process = subprocess.Popen(
                [self.binary, "--port", str(self.port), "--data-dir", self.data, "--metrics-port", "0",
                 "--nats-port", "0", "--advertised-listener", self.address, *self.more],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment)
        self.wait_for_port()

    def stop(self, how=signal.SIGTERM):
        """Returns a sentence if the process did not end as it should."""
        if not self.process:
            return None
        early = self.process.poll()
        if early is None:
            self.process.send_signal(how)
        try:
            status = self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            return f"the broker did not stop within {STOP_SECONDS} s"
        finally:
            self.process = None
        if early is not None:
            return f"the broker had ended by itself, status {early}"
        if how == signal.SIGTERM and status != 0:
            return f"the broker's exit status was {status}"
        return None


class Kafka(Broker):
    def __init__(self, folder, port):
        super().__init__(folder, port)
        self.data = os.path.join(folder, "log")

    def start(self):
        subprocess.run([KAFKA, "start", str(self.port), self.folder, "num.partitions=3"], check=True)

    def stop(self, how=signal.SIGTERM):
        if os.path.exists(os.path.join(self.folder, "pid")):
            subprocess.run([KAFKA, "kill" if how == signal.SIGKILL else "stop", self.folder], check=True)
        return None


class Missing(Exception):
    """A suite cannot run here."""


def need(path, what):
    if not os.path.exists(path):
        raise Missing(f"{what} is not there; run tests/real/deps.sh")
    return path


def need_program(name):
    if not shutil.which(name):
        raise Missing(f"no {name} on this machine")


def newest(paths):
    return max(os.path.getmtime(path) for path in paths)


def sources(folder, end):
    folder = os.path.join(HERE, folder)
    return sorted(os.path.join(folder, name) for name in os.listdir(folder) if name.endswith(end))


def compiled(target, paths, command):
    """Runs the command unless the target is newer than the paths."""
    if not os.path.exists(target) or os.path.getmtime(target) < newest(paths):
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        if done.returncode:
            raise RuntimeError(done.stdout.decode())
        os.utime(target)
    return target


def java_classes(libs, name, paths):
    need_program("javac")
    classes = os.path.join(CACHE, "classes-" + name)
    os.makedirs(classes, exist_ok=True)
    compiled(os.path.join(classes, "Tap.class"), paths,
             ["javac", "-nowarn", "-proc:none", "-Xlint:none", "-d", classes, "-cp", libs + "/*"] + paths)
    return ["-cp", f"{libs}/*:{classes}"]


def java_client(version, *more):
    def command(address, prefix):
        libs = need(os.path.join(CACHE, "java-" + version), "the Java client " + version)
        classes = java_classes(libs, version, sources("java", ".java"))
        return [*JAVA, "-Dclient.version=" + version, *classes, "Main", address, prefix, *more]
    return command


def old_java(version):
    def command(address, prefix):
        modern, old = (need(os.path.join(CACHE, "java-" + v), "the Java client " + v) for v in ("4.4.0", version))
        tap, here = os.path.join(HERE, "java/Tap.java"), os.path.join(HERE, "old")
        newer = [] if version.startswith("0.") else [os.path.join(here, "Newer.java")]
        both = [java_classes(modern, "modern", [os.path.join(here, "Modern.java"), tap,
                                                os.path.join(HERE, "java/Sample.java")]),
                java_classes(old, version, [os.path.join(here, "Old.java"), tap, *newer])]
        paths = [path for _, path in both]
        return [sys.executable, os.path.join(here, "suite.py"), address, prefix, *paths, *["newer" for _ in newer]]
    return command


def kafka_tools(main):
    def command(*args):
        need(KAFKA_LIBS, "Kafka " + kafka_version())
        tap = os.path.join(HERE, "java/Tap.java")
        classes = java_classes(KAFKA_LIBS, "tools", sources("tools", ".java") + [tap])
        log = f"-Dlog4j2.configurationFile={KAFKA_LIBS}/log4j2.properties"
        return [*JAVA, "-Djava.security.manager=allow", log, *classes, main, *args]
    return command


def python_client(script):
    def command(address, prefix):
        python = need(os.path.join(CACHE, "python/bin/python"), "the Python clients")
        return [python, os.path.join(HERE, "python", script), address, prefix]
    return command


def kcat(address, prefix):
    need_program("kcat")
    return [sys.executable, os.path.join(HERE, "python/kcat_suite.py"), address, prefix]


def rdkafka(address, prefix):
    need_program("cc")
    need("/usr/include/librdkafka/rdkafka.h", "librdkafka-dev")
    paths = sources("librdkafka", ".c") + sources("librdkafka", ".h")
    target = os.path.join(CACHE, "rdkafka-client")
    compiled(target, paths, ["cc", "-O1", "-Wall", "-Wextra", "-o", target,
                             *sources("librdkafka", ".c"), "-lrdkafka", "-lpthread"])
    return [target, address, prefix]


def franz_go(address, prefix):
    need_program("go")
    paths = sources("go", ".go")
    target = os.path.join(CACHE, "go-client")
    need(target, "franz-go")
    compiled(target, paths, ["go", "-C", os.path.join(HERE, "go"), "build", "-buildvcs=false", "-o", target, "."])
    return [target, address, prefix]


def kafkajs(address, prefix):
    need_program("node")
    need(os.path.join(CACHE, "node/node_modules/kafkajs"), "KafkaJS")
    return ["node", os.path.join(HERE, "node/suite.js"), address, prefix]


# Name, how its command line is made, seconds it may take: ten times what it does here. The long ones come first.
SUITES = [
    ("java44", java_client("4.4.0"), 600),
    ("java39", java_client("3.9.2"), 600),
    ("kafkajs", kafkajs, 600),
    ("java28", java_client("2.8.2"), 600),
    ("tools", kafka_tools("Tools"), 600),
    ("kafka-python", python_client("kafka_python_suite.py"), 600),
    ("confluent", python_client("confluent_suite.py"), 600),
    ("franz-go", franz_go, 600),
    ("librdkafka", rdkafka, 300),
    ("kcat", kcat, 300),
    ("old-python", python_client("old_suite.py"), 600),
    ("java20", old_java("2.0.1"), 600),
    ("java11", old_java("1.1.1"), 600),
    ("java01", old_java("0.10.2.2"), 600),
]
OLD = {"java01", "old-python"}  # what Kafka 4 itself does not serve any more
LATE = ["cross", "dump", "kill", "txn-kill", "adopt", "cdc"]
ECOSYSTEM = ["streams", "connect", "mirror"]  # each with a broker of its own, that it kills


class Run:
    def __init__(self, options, folder):
        self.options = options
        self.report = Report()
        self.folder = folder
        place = os.path.join(folder, "broker")
        if options.broker == "kafka":
            self.broker = Kafka(place, options.port)
        else:
            self.broker = FluxMQ(place, options.port, options.bin)

    def program(self, suite, make, seconds, *args, only=""):
        """Runs one TAP program to its end and takes its results."""
        state = {"count": 0, "plan": None}
        try:
            command = make(*args)
        except Missing as why:
            self.report.result("skipped", suite, f"ok 1 - suite # SKIP {why}")
            return
        except (RuntimeError, OSError) as why:
            self.report.result("failed", suite, f"not ok 1 - suite cannot be built: {why}")
            return
        start = time.monotonic()
        modules = os.path.join(CACHE, "node/node_modules")
        environment = dict(os.environ, ONLY=only, FLUXMQ_CACHE=CACHE, NODE_PATH=modules)
        with open(os.path.join(self.folder, suite + ".err"), "ab") as log:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log,
                                       env=environment, start_new_session=True)
            timer = threading.Timer(seconds, lambda: os.killpg(process.pid, signal.SIGKILL))
            timer.start()
            for line in process.stdout:
                self.report.tap(suite, line.decode(errors="replace").rstrip("\n"), state)
            status = process.wait()
            timer.cancel()
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        took = time.monotonic() - start
        if state["plan"] != state["count"] or state["count"] == 0:
            why = f"took over {seconds} s" if took >= seconds else f"status {status}"
            self.report.result("failed", suite, f"not ok {state['count'] + 1} - ended early, {why}, "
                               f"plan {state['plan']}, see {suite}.err")
        self.report.note(suite, f"# {state['count']} cases in {took:.1f} s")

    def single(self, suite, name, problem):
        if problem:
            self.report.result("failed", suite, f"not ok 1 - {name}: {problem}")
        else:
            self.report.result("passed", suite, f"ok 1 - {name}")

    def clients(self, names):
        gone = OLD if self.options.broker == "kafka" else ()
        chosen = [suite for suite in SUITES if suite[0] in names and suite[0] not in gone]
        with concurrent.futures.ThreadPoolExecutor(self.options.jobs) as pool:
            futures = [pool.submit(self.program, name, make, seconds, self.broker.address, name,
                                   only=self.options.only)
                       for name, make, seconds in chosen]
            for future in futures:
                future.result()

    def cross(self, suite):
        self.program(suite, java_client("4.4.0", "cross"), 300, self.broker.address, suite)

    def dump(self, suite):
        self.program(suite, kafka_tools("Dump"), 300, self.broker.data)

    def crash(self, suite, broker, *what):
        self.program(suite, kafka_tools("Crash"), 300, broker.address, self.folder, *what)

    def all(self, names):
        started = time.monotonic()
        self.broker.start()
        self.report.note("broker", f"# {self.options.broker} answers after {time.monotonic() - started:.3f} s")
        try:
            self.clients(names)
            if "cross" in names:
                self.cross("cross")
            self.single("broker", "clean stop", self.broker.stop())
            if "dump" in names:
                self.dump("dump")
            if "kill" in names:
                self.kill(names)
            if "txn-kill" in names:
                self.txn_kill(names)
            if "adopt" in names and self.options.broker == "fluxmq":
                self.adopt()
            self.ecosystem([name for name in ECOSYSTEM if name in names])
            if "cdc" in names:
                self.cdc()
        except (RuntimeError, subprocess.CalledProcessError) as why:
            self.single("broker", "start", why)
        finally:
            self.broker.stop(signal.SIGKILL)

    def kill(self, names):
        """SIGKILL under load: what was acknowledged is there, and the tool finds nothing wrong."""
        self.broker.start()
        self.crash("kill", self.broker, "write", str(self.pid(self.broker)))
        self.broker.stop(signal.SIGKILL)
        self.broker.start()
        self.crash("kill", self.broker, "check", "0")
        if "cross" in names:
            self.cross("cross-after-kill")
        self.single("kill", "clean stop after the recovery", self.broker.stop())
        self.dump("dump-after-kill")

    def txn_kill(self, names):
        """Transactions of Java clients, while the broker is killed at random moments and started again."""
        self.broker.start()
        program = threading.Thread(target=self.program, args=(
            "txn-kill", kafka_tools("TxnCrash"), 300 + 10 * self.options.kills, self.broker.address, self.folder))
        program.start()
        for _ in range(self.options.kills):
            program.join(random.uniform(0.3, 2))  # a moment, unless it has ended by itself
            self.broker.stop(signal.SIGKILL)
            self.broker.start()
        program.join(2)
        with open(os.path.join(self.folder, "stop"), "wb"):
            pass
        program.join()
        self.single("txn-kill", "clean stop", self.broker.stop())
        if "dump" in names:  # which looks for what the clients did, too
            self.dump("dump-after-txn-kill")

    def adopt(self):
        """A data directory that a real Kafka wrote, and was killed over, is served by ours, then by Kafka again."""
        if not os.path.exists(KAFKA_LIBS):
            self.report.result("skipped", "adopt", "ok 1 - suite # SKIP Kafka is not there; run tests/real/deps.sh")
            return
        kafka = Kafka(os.path.join(self.folder, "adopted"), self.options.port)
        ours = FluxMQ(os.path.join(self.folder, "adopter"), self.options.port, self.options.bin, "--broker-id", "1")
        ours.data = kafka.data
        self.broker = kafka
        kafka.start()
        self.program("adopt", python_client("kafka_python_suite.py"), 300, kafka.address, "adopt", only="read back")
        self.crash("adopt", kafka, "write", str(self.pid(kafka)))
        for suite, broker in [("adopt", ours), ("adopt-return", kafka)]:
            kafka.stop(signal.SIGKILL)
            self.broker = broker
            broker.start()
            self.crash(suite, broker, "check", "0")
            self.cross(suite)
            self.single(suite, "clean stop", broker.stop())
            self.dump(suite)

    def ecosystem(self, names):
        if names and not os.path.exists(os.path.join(CACHE, "ecosystem")):
            for name in names:
                self.report.result("skipped", name, "ok 1 - suite # SKIP Streams and Connect are not there; "
                                   "run tests/real/deps.sh")
            return
        sys.path.insert(0, os.path.join(HERE, "ecosystem"))
        for name in names:
            getattr(importlib.import_module(name), name)(self)

    def cdc(self):
        """The demonstration of demo/cdc, shorter; its times are shown, not judged, as other tests run meanwhile."""
        command = [sys.executable, os.path.join(REPO, "demo/cdc/run.py"), "--bin", self.options.bin, "--broker",
                   self.options.broker, "--inserts", "60", "--kill", "--no-goal"]
        self.program("cdc", lambda: [need(os.path.join(CACHE, "debezium"), "Debezium")] and command, 400)

    @staticmethod
    def pid(broker):
        if broker.process:
            return broker.process.pid
        with open(os.path.join(broker.folder, "pid"), encoding="ascii") as file:
            return int(file.read())


def main():
    known = [suite[0] for suite in SUITES] + LATE + ECOSYSTEM
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--broker", choices=["fluxmq", "kafka"], default="fluxmq")
    parser.add_argument("--bin", default=os.path.join(REPO, "build/fluxmq"))
    parser.add_argument("--port", type=int, default=0, help="and the next one; default: two that are free")
    parser.add_argument("--jobs", type=int, default=2, help="suites that run at the same time")
    parser.add_argument("--only", default="", help="of the clients' cases, those whose name contains this")
    parser.add_argument("--keep", action="store_true", help="keep the data directory and the logs")
    parser.add_argument("--kills", type=int, default=8, help="how often txn-kill kills the broker (8)")
    parser.add_argument("suite", nargs="*", help="of: " + " ".join(known))
    options = parser.parse_args()
    for name in options.suite:
        if name not in known:
            parser.error(f"no suite {name}; there are {' '.join(known)}")
    if options.broker == "fluxmq" and not os.path.exists(options.bin):
        parser.error(f"there is no {options.bin}; build it, or use --bin or --broker kafka")
    os.makedirs(CACHE, exist_ok=True)
    options.port = options.port or free_ports()
    folder = tempfile.mkdtemp(prefix="fluxmq-real-")
    run = Run(options, folder)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that all that was started ends
    started = time.monotonic()
    run.all(options.suite or known)
    report = run.report
    print(f"# {time.monotonic() - started:.0f} s; data and logs in {folder}")
    if options.keep or report.failed:
        for line in report.failures:
            print("# failed: " + line)
    else:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"{report.passed} passed, {report.failed} failed, {report.skipped} skipped")
    sys.exit(1 if report.failed else 0)


if __name__ == "__main__":
    main()
