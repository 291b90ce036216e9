#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A million committed offsets: what they cost to commit, to keep, and to load at the next start.

offsets.py [--bin FILE] [--broker fluxmq|kafka|both] [--groups 10000] [--rounds 4] [--out FILE]

Each group commits the same hundred partitions, again and again. Then __consumer_offsets is compacted, the broker is
stopped and started, and every partition of it is asked for an offset: the time from exec to the last answer is what a
restart costs those who wait for their groups.
"""

import argparse
import glob
import json
import os
import struct
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "tests", "harness")]

import brokers  # noqa: E402
from client import Client, string  # noqa: E402

PARTITIONS, TOPIC = 100, "followed"
SETTINGS = {"offsets.topic.segment.bytes": str(1 << 20), "log.cleaner.backoff.ms": "200",
            "offsets.topic.num.partitions": "50"}
COMMIT, FETCH, FIND = 8, 9, 10
LOADING = {14, 15, 16}  # loading, not available yet, not the coordinator yet


def head(api, correlation):
    return struct.pack(">hhi", api, 2, correlation) + string("bench")


class Asker:
    """OffsetCommit and OffsetFetch version 2 by hand: a million entries would take Python minutes otherwise."""

    def __init__(self, port):
        self.client = Client(port, 60)
        self.number = 0

    def ask(self, api, body):
        self.number += 1
        frame = head(api, self.number) + body
        self.client.socket.sendall(struct.pack(">i", len(frame)) + frame)
        size, = struct.unpack(">i", self.client.read(4))
        return self.client.read(size)

    def commit(self, group, entries):
        """The error of the first partition."""
        reply = self.ask(COMMIT, string(group) + struct.pack(">i", -1) + string("") + struct.pack(">q", -1) + entries)
        return struct.unpack_from(">h", reply, 4 + 4 + 2 + len(TOPIC) + 4 + 4)[0]

    def fetch(self, group):
        """(error, offset) of partition 0."""
        reply = self.ask(FETCH, string(group) + struct.pack(">i", 1) + string(TOPIC) + struct.pack(">ii", 1, 0))
        if struct.unpack_from(">i", reply, 4)[0] == 0:  # no topics, only an error for all
            return struct.unpack_from(">h", reply, 8)[0], -1
        at = 4 + 4 + 2 + len(TOPIC) + 4 + 4
        offset, size = struct.unpack_from(">qh", reply, at)
        return struct.unpack_from(">h", reply, at + 10 + max(size, 0))[0], offset

    def until_loaded(self, group, offset):
        while True:
            code, got = self.fetch(group)
            if code not in LOADING:
                assert (code, got) == (0, offset), f"{group}: error {code}, offset {got}"
                return
            time.sleep(0.005)


def entries(offset):
    out = struct.pack(">i", 1) + string(TOPIC) + struct.pack(">i", PARTITIONS)
    return out + b"".join(struct.pack(">iqh", p, offset, 0) for p in range(PARTITIONS))


def java_hash(text):
    value = 0
    for c in text:
        value = (31 * value + ord(c)) & 0xFFFFFFFF
    return value & 0x7FFFFFFF


def size_of(folder):
    return sum(os.path.getsize(f) for f in glob.glob(os.path.join(folder, "**", "__consumer_offsets-*", "*.log"),
                                                     recursive=True))


def wait_compacted(folder):
    """Until nothing has got smaller for two seconds."""
    least, since = size_of(folder), time.monotonic()
    while time.monotonic() - since < 2:
        time.sleep(0.2)
        now = size_of(folder)
        if now < least * 0.99:
            least, since = now, time.monotonic()
    return least


def one_of_each(groups):
    """A group for each partition of __consumer_offsets."""
    found = {}
    for group in groups:
        found.setdefault(java_hash(group) % int(SETTINGS["offsets.topic.num.partitions"]), group)
    return list(found.values())


def figures_of(broker, options):
    groups = [f"group-{n}" for n in range(options.groups)]
    broker.wipe()
    empty = broker.start()
    client = Client(broker.port, 60)
    client.create_topic(TOPIC, PARTITIONS)
    client.call("FindCoordinator", 1, {"key": "x", "keyType": 0})
    asker, figures = Asker(broker.port), {"version": broker.version, "start_empty_s": round(empty, 3)}
    while asker.commit(groups[0], entries(0)) != 0:
        time.sleep(0.1)
    before = brokers.memory(broker.pid)
    cpu, begun = brokers.cpu_seconds(broker.pid), time.monotonic()
    for number in range(options.rounds):
        body = entries(number)
        for group in groups:
            code = asker.commit(group, body)
            assert code == 0, f"commit: error {code}"
    seconds, commits = time.monotonic() - begun, options.rounds * options.groups
    figures.update(offsets=options.groups * PARTITIONS, commits=commits, commit_s=round(seconds, 2),
                   commit_cpu_us=round((brokers.cpu_seconds(broker.pid) - cpu) / commits * 1e6, 1),
                   memory_before=before, memory_after=brokers.memory(broker.pid), log_mib=size_of(broker.folder) >> 20)
    figures["log_compacted_mib"] = wait_compacted(broker.folder) >> 20
    broker.stop()
    figures["log_at_start_mib"] = size_of(broker.folder) >> 20
    begun = time.monotonic()
    figures["start_s"] = round(broker.start(), 3)
    asker = Asker(broker.port)
    for group in one_of_each(groups):
        asker.until_loaded(group, options.rounds - 1)
    figures["loaded_s"] = round(time.monotonic() - begun, 3)
    figures["load_cpu_s"] = round(brokers.cpu_seconds(broker.pid), 3)
    figures["memory_loaded"] = brokers.memory(broker.pid)
    return figures


def measure(broker, options):
    try:
        return figures_of(broker, options)
    finally:
        broker.stop()
        broker.wipe()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--bin", default=os.path.join(brokers.ROOT, "build", "fluxmq"))
    parser.add_argument("--broker", choices=("fluxmq", "kafka", "both"), default="both")
    parser.add_argument("--groups", type=int, default=10000)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--port", type=int, default=23600)
    parser.add_argument("--out")
    options = parser.parse_args()
    brokers.SETTINGS.update(SETTINGS)
    folder, results = tempfile.mkdtemp(prefix="fluxmq-bench-"), {}
    if options.broker != "kafka":
        results["fluxmq"] = measure(brokers.FluxMQ("fluxmq", folder, options.port, options.bin, {}), options)
        print(json.dumps(results["fluxmq"]), flush=True)
    if options.broker != "fluxmq":
        results["kafka"] = measure(brokers.Kafka(folder, options.port + 10), options)
        print(json.dumps(results["kafka"]), flush=True)
    os.rmdir(folder)
    if options.out:
        with open(options.out, "w", encoding="utf-8") as file:
            json.dump(results, file, indent=1)


if __name__ == "__main__":
    main()
