#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What a request costs, counted: calls of the kernel, allocations, instructions. Not timed.

The broker runs with one reactor and a preloaded shim that counts; a case sends a number of requests
and compares what was counted with the row of BUDGETS. --callgrind counts instructions too.
"""

import argparse
import ctypes
import errno
import functools
import glob
import mmap
import os
import re
import select
import shutil
import socket
import struct
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.append(os.path.join(HERE, "..", "harness"))

from broker import DEFAULT_BIN, FluxMQ, free_port, wait_until  # noqa: E402
from client import Client, batch  # noqa: E402
from tap import Tap  # noqa: E402

NAMES = ["recv", "recvmsg", "read", "readv", "pread", "send", "sendmsg", "write", "writev", "pwrite", "pwritev",
         "sendfile", "fdatasync", "fsync", "epoll_wait", "epoll_pwait2", "sync_file_range", "epoll_ctl", "malloc"]
TOPIC, ROUNDS = "budget", 400
SMALL, LARGE, MANY = [b"x" * 100], [b"x" * 1024] * 62, [b"x" * 100] * 606

# What one round may cost, where it is not the usual: a wait, a recv and a send. Calls that are not
# named: 0.05, for what is done from time to time (an index entry, a chunk of memory).
# SPARE: of ten frames one may come in two pieces, and be waited for twice.
USUAL, SELDOM, SPARE = {"epoll_pwait2": 1, "recv": 1, "send": 1}, 0.05, 0.1
WRITE, FIND = {"pwrite": 1}, {"pread": 1}


class Counters:
    def __init__(self, folder):
        self.path = os.path.join(folder, "counters")
        with open(self.path, "wb") as file:
            file.write(bytes(4096))
        with open(self.path, "r+b") as file:
            self.map = mmap.mmap(file.fileno(), 4096)

    def take(self):
        return struct.unpack_from(f"<{len(NAMES)}Q", self.map)


class World:
    def __init__(self, options, folder, env=None, wrap=()):
        self.nats_port = free_port(22600, 22999)
        self.broker = FluxMQ(folder=folder, binary=options.bin, options=["--nats-port", str(self.nats_port)],
                             env={"FLUXMQ_REACTORS": "1", "FLUXMQ_BUSY_POLL_US": "0", **(env or {})}, wrap=wrap)
        self.broker.start()
        self.client = Client(self.broker.port)
        for name in (TOPIC, "memory"):
            self.client.create_topic(name, 1, {"storage.class": "memory"} if name == "memory" else {})

    def close(self):
        self.client.close()
        self.broker.close()



# ---- the cases: each returns a function that does one round

def produce(values, acks, topic=TOPIC):
    def case(world):
        data = batch(values)
        return lambda i: world.client.produce(topic, 0, data, acks)
    return case


def fetch(size):
    def case(world):
        for _ in range(20):
            world.client.produce(TOPIC, 0, batch(LARGE), 1)

        def work(i):
            _, _, data = world.client.fetch(TOPIC, {0: 0}, size_max=size)[0]
            assert len(data) >= size // 2, f"{len(data)} bytes came"
        return work
    return case


def parked_fetch(world):
    """A consumer at the end of the log waits; a record comes; the consumer has it."""
    other, end = Client(world.broker.port), [world.client.ends(TOPIC, 1)[0]]
    data = batch(SMALL)
    body = struct.pack(">iiiibii", -1, 10000, 1, 50 << 20, 0, 0, -1) + struct.pack(">i", 1)

    def work(i):
        place = struct.pack(">h", len(TOPIC)) + TOPIC.encode() + struct.pack(">i", 1)
        other.send_frame("Fetch", 11, body + place + struct.pack(">iiqqi", 0, -1, end[0], -1, 1 << 20)
                         + struct.pack(">ih", 0, 0))
        # The order of two connections: the fetch is parked when a later request of its broker is answered.
        parked(world)
        end[0] = world.client.produce(TOPIC, 0, data, 1) + 1
        other.receive_frame()
    return work


def parked(world):
    world.client.call("ApiVersions", 2, {})


def api_versions(world):
    return lambda i: world.client.call("ApiVersions", 2, {})


def metadata(world):
    return lambda i: world.client.call("Metadata", 7, {"topics": [{"name": TOPIC}], "allowAutoTopicCreation": False})


def heartbeat(world):
    return lambda i: world.client.call("Heartbeat", 2, {"groupId": "none", "generationId": 1, "memberId": "none"})


class Pushed:
    """Subscribers on connections of their own, in one process: what is sent must come to each."""

    def __init__(self, port, count, subject):
        self.sockets = [self.connect(port) for _ in range(count)]
        for one in self.sockets:
            one.sendall(b"SUB " + subject + b" 1\r\nPING\r\n")
            self.until(one, b"PONG\r\n")
        self.publisher = self.connect(port)

    @staticmethod
    def connect(port):
        one = socket.create_connection(("127.0.0.1", port), 10)
        one.sendall(b'CONNECT {"verbose":false}\r\nPING\r\n')
        Pushed.until(one, b"PONG\r\n")
        return one

    @staticmethod
    def until(one, end):
        data = b""
        while not data.endswith(end):
            got = one.recv(1 << 20)
            assert got, "the door closed the connection"
            data += got

    def push(self, data, expected):
        self.publisher.sendall(data)
        for one in self.sockets:
            left = expected
            while left > 0:
                left -= len(one.recv(1 << 20))
            assert left == 0, f"{-left} bytes too many"


def push(subscribers, messages, size, subject=b"live.budget"):
    def case(world):
        pushed = Pushed(world.nats_port, subscribers, subject)
        payload = b"%d\r\n" % size + b"y" * size + b"\r\n"
        out, back = (b"PUB " + subject + b" " + payload) * messages, len(b"MSG " + subject + b" 1 " + payload)
        return lambda i: pushed.push(out, back * messages)
    return case


# name -> (a round, calls beside the usual, instructions in thousands)
CASES = {
    "produce, 1 record, acks=1": (produce(SMALL, 1), WRITE, 6),
    "produce, 64 KiB batch, acks=1": (produce(LARGE, 1), WRITE, 24),
    "produce, 64 KiB batch of 606 records": (produce(MANY, 1), WRITE, 80),
    # The flusher wakes the reactor when the disk has it.
    "produce, 1 record, acks=all": (
        produce(SMALL, -1), {**WRITE, "epoll_pwait2": 2, "write": 1, "fdatasync": 1}, 10),
    "produce, 1 record, memory topic": (produce(SMALL, 1, "memory"), {}, 6),
    # Copied, and sent with the rest of the reply; a large range goes by itself.
    "fetch, 64 KiB": (fetch(1 << 16), {"pread": 2}, 7),
    "fetch, 1 MiB": (fetch(1 << 20), {**FIND, "sendfile": 1}, 7),
    "a parked fetch, its record, and one more request": (
        parked_fetch, {**WRITE, "epoll_pwait2": 3, "recv": 3, "send": 3, "pread": 2}, 26),
    "ApiVersions": (api_versions, {}, 11),
    "Metadata": (metadata, {}, 6),
    "Heartbeat": (heartbeat, {}, 3.5),
    "push, 1 message to 1": (push(1, 1, 100), {}, 2.6),
    "push, 100 messages in one write to 1": (push(1, 100, 100), {}, 85),
    "push, 1 message to 48": (push(48, 1, 100), {"send": 48}, 36),
}


@functools.cache
def has_fine_waits():
    """Whether the kernel has epoll_pwait2 (Linux 5.11, not every sandbox)."""
    libc, poller = ctypes.CDLL(None, use_errno=True), select.epoll()
    nothing, now = ctypes.create_string_buffer(64), ctypes.create_string_buffer(16)
    refused = libc.epoll_pwait2(poller.fileno(), nothing, 1, now, None) < 0 and ctypes.get_errno() == errno.ENOSYS
    poller.close()
    return not refused


def count_calls(world, counters, name):
    work, more, _ = CASES[name]
    work, budget = work(world), {**USUAL, **more}
    repeat(work, 50)
    before = counters.take()
    repeat(work, ROUNDS)
    counted = {call: (b - a) / ROUNDS for call, a, b in zip(NAMES, before, counters.take()) if b != a}
    counted["send"] = counted.get("send", 0) + counted.pop("sendmsg", 0)  # of one piece, of several
    if not has_fine_waits():
        counted.pop("epoll_wait", None)  # asked each time after the other was refused
    most = {call: budget[call] + SPARE if call in budget else SELDOM for call in counted}
    over = {call: f"{value:.2f}, not {most[call]}" for call, value in counted.items() if value > most[call]}
    assert not over, f"{over}; all of it: {counted}"
    return ", ".join(f"{call} {value:.2f}" for call, value in counted.items())


def repeat(work, rounds):
    for i in range(rounds):
        work(i)


# ---- instructions

def valgrind(folder):
    return ["valgrind", "-q", "--tool=callgrind", "--instr-atstart=no", "--separate-threads=no",
            f"--callgrind-out-file={folder}/callgrind.out"]


def control(world, *words):
    subprocess.run(["callgrind_control", *words, str(world.broker.process.pid)], check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def count_instructions(world, folder, name):
    """Per round, in thousands. How often a loop looks again is not ours to say: a fifth more is let pass."""
    work, _, budget = CASES[name]
    work = work(world)
    repeat(work, 20)
    control(world, "--instr=on")
    repeat(work, ROUNDS // 4)
    control(world, "--instr=off")
    control(world, "--dump")
    newest = max(glob.glob(os.path.join(folder, "callgrind.out.*")), key=os.path.getmtime)
    with open(newest, encoding="utf-8", errors="replace") as file:
        total = int(re.search(r"^totals: (\d+)", file.read(), re.M).group(1))
    spent = total / (ROUNDS // 4) / 1000
    assert spent <= budget * 1.2, f"{spent:.1f} thousand instructions, not {budget}"
    return f"{spent:.1f} thousand instructions, of {budget}"


def build_shim(folder):
    path = os.path.join(folder, "shim.so")
    subprocess.run(["gcc", "-O1", "-shared", "-fPIC", "-o", path, os.path.join(HERE, "shim.c"), "-ldl"], check=True)
    return path


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", default=DEFAULT_BIN)
    parser.add_argument("--callgrind", action="store_true", help="count instructions, too")
    parser.add_argument("--keep", metavar="FOLDER", help="where callgrind's output is to stay")
    parser.add_argument("case", nargs="*", help="a part of its name")
    options = parser.parse_args()
    tap, folder = Tap(), tempfile.mkdtemp(prefix="fluxmq-test-")
    os.mkdir(folder + "/callgrind")
    try:
        names = [name for name in CASES if not options.case or any(part in name for part in options.case)]
        counters = Counters(folder)
        world = World(options, folder, {"LD_PRELOAD": build_shim(folder), "BUDGET_FILE": counters.path})
        for name in names:
            tap.run(name, count_calls, world, counters, name)
        world.close()
        if options.callgrind:
            world = World(options, folder + "/callgrind", wrap=valgrind(options.keep or folder))
            for name in names:
                tap.run("instructions: " + name, count_instructions, world, options.keep or folder, name)
            world.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    sys.exit(tap.finish())


if __name__ == "__main__":
    main()
