# SPDX-License-Identifier: MIT
"""The brokers of a comparison, as processes, and the conditions under which they are measured.

Memory is touched first: what a virtual machine touches for the first time costs several times more than any broker.
CPU is the broker's own user and system time, as the scheduler counted it. Both brokers get three partitions for a
topic that is made by sending to it, delete files at once, and wait for no first rebalance."""

import mmap
import os
import shutil
import socket
import struct
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.append(os.path.join(ROOT, "tests", "harness"))

from client import Client  # noqa: E402

KAFKA = os.path.join(ROOT, "tests", "kafka", "kafka.sh")
SETTINGS = {"num.partitions": "3", "log.segment.delete.delay.ms": "0", "group.initial.rebalance.delay.ms": "0"}
# What Kafka's own start script gives its JVM.
KAFKA_JVM = ("-Xms1G -server -XX:MaxGCPauseMillis=20 -XX:InitiatingHeapOccupancyPercent=35 "
             "-XX:+ExplicitGCInvokesConcurrent -XX:MaxInlineLevel=15 -Djava.awt.headless=true")
ENDS_S = 120  # longest that a broker may take to stop


def cpu_seconds(pid):
    """Of all threads; clock ticks would be too coarse for short runs."""
    nanos = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        try:
            with open(f"/proc/{pid}/task/{task}/schedstat", encoding="ascii") as file:
                nanos += int(file.read().split()[0])
        except OSError:
            pass  # a thread that ended
    return nanos / 1e9


def memory(pid):
    """MiB in all, of its own (anonymous) and of files, which the kernel may take back."""
    names = {"VmRSS": "rss", "RssAnon": "anonymous", "RssFile": "file"}
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        pairs = [line.split(":") for line in file if line.startswith(tuple(names))]
    return {names[name]: round(int(value.split()[0]) / 1024, 1) for name, value in pairs}


def metadata_answered(port):
    """sends Metadata v1 (no topics) and reads the reply"""
    with socket.create_connection(("127.0.0.1", port), 1) as s:
        body = struct.pack(">hhih", 3, 1, 1, -1) + struct.pack(">i", 0)
        s.sendall(struct.pack(">i", len(body)) + body)
        size = struct.unpack(">i", s.recv(4))[0]
        return len(s.recv(size)) > 8


def in_use(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wait_for_metadata(port, alive):
    until = time.monotonic() + 120
    while True:
        try:
            if metadata_answered(port):
                return
        except (OSError, struct.error):
            if not alive():
                raise RuntimeError(f"the broker on port {port} ended") from None
            if time.monotonic() > until:
                raise RuntimeError(f"the broker on port {port} does not answer") from None
            time.sleep(0.0005)


class FluxMQ:
    version = ""

    def __init__(self, name, folder, port, binary, settings):
        self.name, self.folder, self.port, self.binary = name, os.path.join(folder, name), port, binary
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("FLUXMQ_")}
        for key, value in {**SETTINGS, **settings}.items():
            self.env["FLUXMQ_" + key.upper().replace(".", "_")] = value
        self.process, self.pid, self.killed = None, None, False
        self.version = subprocess.run([binary, "--version"], capture_output=True, text=True, check=True).stdout.strip()

    def start(self):
        """Seconds from exec to the first Metadata reply."""
        begin = time.monotonic()
        self.process = subprocess.Popen([self.binary, "--host", "127.0.0.1", "--port", str(self.port), "--data-dir",
                                         self.folder, "--metrics-port", "0", "--nats-port", "0", "-l", "error"],
                                        env=self.env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)
        wait_for_metadata(self.port, lambda: self.process.poll() is None)
        self.pid = self.process.pid
        return time.monotonic() - begin

    def stop(self):
        process, self.process = self.process, None
        if process:
            process.terminate()
            try:
                process.wait(ENDS_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                self.killed = True
                print(f"{self.name} did not end within {ENDS_S} s of SIGTERM: killed", file=sys.stderr, flush=True)

    def wipe(self):
        shutil.rmtree(self.folder, ignore_errors=True)


class Kafka:
    name = "kafka"

    def __init__(self, folder, port):
        self.folder, self.port, self.pid = os.path.join(folder, "kafka"), port, None
        self.env = dict(os.environ, KAFKA_HEAP="1G", KAFKA_JVM=KAFKA_JVM)
        libs = subprocess.run([KAFKA, "fetch"], capture_output=True, text=True, check=True).stdout.strip()
        self.version = "Kafka " + libs.rsplit("-", 1)[1]

    def start(self):
        """Seconds to the first Metadata reply, without formatting (the script looks ten times a second)."""
        if not os.path.exists(os.path.join(self.folder, "log")):
            self.run()
            self.stop()
        begin = time.monotonic()
        self.run()
        wait_for_metadata(self.port, lambda: os.path.exists(f"/proc/{self.pid}"))
        return time.monotonic() - begin

    def run(self):
        pairs = [f"{key}={value}" for key, value in SETTINGS.items()]
        subprocess.run([KAFKA, "start", str(self.port), self.folder, *pairs], check=True, env=self.env,
                       stdout=subprocess.DEVNULL)
        with open(os.path.join(self.folder, "pid"), encoding="ascii") as file:
            self.pid = int(file.read())

    def stop(self):
        if self.pid:
            subprocess.run([KAFKA, "stop", self.folder], check=False)
            self.pid = None

    def wipe(self):
        shutil.rmtree(self.folder, ignore_errors=True)


def make_topic(broker, topic):
    client = Client(broker.port, 30)
    client.create_topic(topic, 1, {"file.delete.delay.ms": "0"})
    client.close()


def drop_topic(broker, topic):
    client = Client(broker.port, 30)
    client.call("DeleteTopics", 5, {"topicNames": [topic], "timeoutMs": 10000})
    client.close()
    time.sleep(0.3)  # both delete the files a moment later


def touch_memory(most_gib):
    """Three quarters of what is free, but no more than most, once, and given back; the gigabytes."""
    line = next(line for line in open("/proc/meminfo", encoding="ascii") if line.startswith("MemAvailable"))
    block = bytes(64 << 20)
    size = min(int(line.split()[1]) * 1024 * 3 // 4, most_gib << 30)
    with mmap.mmap(-1, size // len(block) * len(block)) as area:
        for at in range(0, len(area), len(block)):
            area[at:at + len(block)] = block
        return len(area) >> 30


class KeptMemory:
    """Free pages that a virtual machine's kernel reports go back to the host and cost again: not while we measure."""

    path = "/sys/module/page_reporting/parameters/page_reporting_order"

    def __init__(self, wanted=True):
        self.before = None
        if not wanted:
            return
        try:
            with open(self.path, encoding="ascii") as file:
                self.before = file.read().strip()
            self.write("11")  # above the largest order there is
        except OSError:
            self.before = None  # not ours to set, or there is no such thing

    def write(self, order):
        with open(self.path, "w", encoding="ascii") as file:
            file.write(order)

    def restore(self):
        if self.before is not None:
            self.write(self.before)
