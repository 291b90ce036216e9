# SPDX-License-Identifier: MIT
"""A broker process for tests: ours, or the real Kafka, on a data directory that outlives it."""

import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
KAFKA = os.path.join(ROOT, "tests", "kafka", "kafka.sh")
DEFAULT_BIN = os.path.join(ROOT, "build", "fluxmq")
START_SECONDS = 60
PATIENCE = 60


def wait_until(condition, seconds, what):
    """Polls, since what is waited for is another program's doing. How long it takes on a busy machine or a slow disk
    is nobody's promise: what is to come within `seconds` is given more."""
    seconds = max(seconds, PATIENCE)
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: not within {seconds} s")
        time.sleep(0.005)


def free_port(first=21000, last=21999, but=()):
    """A port nobody listens on, of the range of the tests."""
    start = first + os.getpid() * 7 % (last - first)
    for port in [*range(start, last), *range(first, start)]:
        if port in but:
            continue
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
    raise OSError(f"no free port in {first}-{last}")


def accepts(port):
    try:
        with socket.create_connection(("127.0.0.1", port), 1):
            return True
    except OSError:
        return False


class FluxMQ:
    """settings: Kafka setting names, dots as they are; env: further environment variables"""

    def __init__(self, folder=None, port=None, binary=DEFAULT_BIN, settings=None, options=(), env=None, wrap=()):
        self.own_folder = folder is None
        self.folder = folder or tempfile.mkdtemp(prefix="fluxmq-test-")
        self.data = os.path.join(self.folder, "data")
        self.port = port or free_port()
        self.binary = os.path.abspath(binary)
        self.settings = dict(settings or {})
        self.options, self.extra, self.wrap = list(options), dict(env or {}), list(wrap)
        self.log = os.path.join(self.folder, "broker.log")
        self.process = None

    def environment(self):
        env = {k: v for k, v in os.environ.items() if not k.startswith("FLUXMQ_")}
        for name, value in self.settings.items():
            env["FLUXMQ_" + name.upper().replace(".", "_").replace("-", "_")] = str(value)
        env.update(self.extra)
        return env

    def command(self):
        return [*self.wrap, self.binary, "--host", "127.0.0.1", "--port", str(self.port), "--data-dir", self.data,
                "--metrics-port", "0", "--nats-port", "0", *self.options]

    def spawn(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(self.command(), env=self.environment(), stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log)
        return self

    def start(self, seconds=START_SECONDS):
        self.spawn()
        self.wait_ready(seconds)
        return self

    def wait_ready(self, seconds=START_SECONDS):
        def ready():
            if self.process.poll() is not None:
                raise RuntimeError(f"the broker ended with {self.process.returncode}: {self.tail()}")
            return all(accepts(port) for port in self.ports())
        wait_until(ready, seconds, "the broker's ports")

    def ports(self):
        """Kafka's, and those of the other doors that its options open: they are opened one after the other."""
        doors = ("--nats-port", "--metrics-port")
        given = [self.options[i + 1] for i, word in enumerate(self.options) if word in doors]
        return [self.port, *(int(port) for port in given if int(port) > 0)]

    def tail(self, lines=5):
        with open(self.log, errors="replace", encoding="utf-8") as file:
            return " | ".join(file.read().strip().split("\n")[-lines:])

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def kill(self):
        """SIGKILL; the port is free when this returns"""
        if self.process:
            self.process.kill()
            self.process.wait()

    def stop(self, seconds=PATIENCE):
        """SIGTERM; the exit status, or None if it had to be killed"""
        if not self.process:
            return 0
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            return None

    def complaints(self):
        """What a sanitizer, or the program's own checks, said in the log."""
        with open(self.log, errors="replace", encoding="utf-8") as file:
            lines = file.read().split("\n")
        return [f"{line} | {' | '.join(lines[i + 1:i + 12])}" for i, line in enumerate(lines)
                if re.search(r"runtime error:|(ERROR|WARNING): \w+Sanitizer|check failed", line)]

    def end_well(self):
        """A clean stop, and nothing to complain about in all its life."""
        status = self.stop()
        complaints = self.complaints()
        assert not complaints, "\n".join(complaints[:10])
        assert status == 0, f"the stop ended with {status}: {self.tail(30)}"

    def status(self, field):
        """A line of /proc/PID/status, as a number (kB where the kernel says so)."""
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as file:
            for line in file:
                if line.startswith(field + ":"):
                    return int(line.split()[1])
        raise KeyError(field)

    def cpu_seconds(self):
        with open(f"/proc/{self.process.pid}/stat", encoding="ascii") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def close(self):
        if self.alive():
            self.kill()
        if self.own_folder:
            shutil.rmtree(self.folder, ignore_errors=True)


class Kafka:
    """The real one, behind the same calls."""

    def __init__(self, folder=None, port=None, settings=None, **_):
        self.own_folder = folder is None
        self.folder = folder or tempfile.mkdtemp(prefix="fluxmq-kafka-")
        self.data = os.path.join(self.folder, "log")
        self.port = port or free_port()
        self.settings = dict(settings or {})
        self.log = os.path.join(self.folder, "server.out")
        self.process = None

    def start(self, seconds=60):
        pairs = [f"{name}={value}" for name, value in self.settings.items()]
        subprocess.run([KAFKA, "start", str(self.port), self.folder, *pairs], check=True, timeout=seconds)
        return self

    def alive(self):
        return accepts(self.port)

    def kill(self):
        subprocess.run([KAFKA, "kill", self.folder], check=True)

    def stop(self, seconds=60):
        return subprocess.run([KAFKA, "stop", self.folder], check=False, timeout=seconds).returncode

    def end_well(self):
        status = self.stop()
        assert status == 0, f"the stop ended with {status}"

    def tail(self, lines=5):
        with open(self.log, errors="replace", encoding="utf-8") as file:
            return " | ".join(file.read().strip().split("\n")[-lines:])

    def close(self):
        if os.path.exists(os.path.join(self.folder, "pid")):
            self.kill()
        if self.own_folder:
            shutil.rmtree(self.folder, ignore_errors=True)
