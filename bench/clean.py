#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compaction and retention: what they cost, and what clients feel of them.

clean.py [--bin FILE] [--broker fluxmq|kafka|both] [--mib 512] [--rounds 3] [--seconds 10] [--rate 10000] [--out FILE]

Rate: a compacted topic is filled while nothing of it may be compacted yet; then it may, and the broker does nothing
else. MB/s of CPU time: bytes that were dirty over the broker's CPU seconds until its checkpoint says that they are
clean.

Latency: `fluxmq bench` sends to and reads from a topic at a fixed rate while somebody else writes keyed records to
another one, in turns with and without policies at work: with them the first topic keeps 64 MiB in segments of 8 and
the second is compacted all the time; without them both keep everything. The load is the same.
"""

import argparse
import json
import os
import random
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "tests", "harness")]

import brokers  # noqa: E402
from client import Client, crc32c, varint  # noqa: E402

MIB = 1 << 20
SETTINGS = {"log.cleaner.backoff.ms": "100", "log.retention.check.interval.ms": "500",
            "log.initial.task.delay.ms": "500", "log.flush.offset.checkpoint.interval.ms": "1000"}
NEVER = str(1 << 60)


def keyed(pairs):
    """A record batch of (key, value)."""
    now, body = int(time.time() * 1000), bytearray()
    for delta, (key, value) in enumerate(pairs):
        record = b"\0\0" + varint(delta) + varint(len(key)) + key + varint(len(value)) + value + b"\0"
        body += varint(len(record)) + record
    tail = struct.pack(">hiqqqhii", 0, len(pairs) - 1, now, now, -1, -1, -1, len(pairs)) + bytes(body)
    return struct.pack(">qiibI", 0, len(tail) + 9, -1, 2, crc32c(tail)) + tail


def batches(count, keys=100000, size=150):
    """Batches of some 100 KiB with random keys."""
    source = random.Random(1)
    return [keyed([(b"key-%08d" % source.randrange(keys), source.randbytes(size)) for _ in range(600)])
            for _ in range(count)]


def send(client, topic, data):
    client.send_produce(topic, 0, data, 1)
    code = client.receive_produce()[1]
    assert code == 0, f"{topic}: error {code}"


def alter(broker, topic, **configs):
    client = Client(broker.port, 30)
    answer = client.call("IncrementalAlterConfigs", 0, {"validateOnly": False, "resources": [{
        "resourceType": 2, "resourceName": topic, "configs": [
            {"name": k.replace("_", "."), "configOperation": 0, "value": v} for k, v in configs.items()]}]})
    assert answer["responses"][0]["errorCode"] == 0, answer
    client.close()


def data_of(broker):
    return broker.folder if isinstance(broker, brokers.FluxMQ) else os.path.join(broker.folder, "log")


def clean_up_to(broker, topic):
    try:
        with open(os.path.join(data_of(broker), "cleaner-offset-checkpoint"), encoding="ascii") as file:
            return next((int(line.split()[2]) for line in file if line.startswith(topic + " 0 ")), 0)
    except (FileNotFoundError, IndexError):
        return 0


def logs(broker, topic):
    folder = os.path.join(data_of(broker), topic + "-0")
    return {int(n[:20]): os.path.getsize(os.path.join(folder, n)) for n in os.listdir(folder) if n.endswith(".log")}


def rate(broker, options, ready):
    """A log of that size, compacted in one go."""
    client = Client(broker.port, 60)
    client.create_topic("rate", 1, {"cleanup.policy": "compact", "segment.bytes": str(64 * MIB),
                                    "min.compaction.lag.ms": NEVER, "min.cleanable.dirty.ratio": "0.01",
                                    "file.delete.delay.ms": "0"})
    sent, number = 0, 0
    while sent < options.mib * MIB:
        send(client, "rate", ready[number % len(ready)])
        sent += len(ready[number % len(ready)])
        number += 1
    before = logs(broker, "rate")
    last = max(before)
    dirty = sum(size for base, size in before.items() if base < last)
    time.sleep(2)
    cpu, begun = brokers.cpu_seconds(broker.pid), time.monotonic()
    alter(broker, "rate", min_compaction_lag_ms="0")
    while clean_up_to(broker, "rate") < last:
        time.sleep(0.05)
        assert time.monotonic() - begun < 600, "it was not compacted"
    seconds, cpu = time.monotonic() - begun, brokers.cpu_seconds(broker.pid) - cpu
    client.close()
    brokers.drop_topic(broker, "rate")
    return {"dirty_mib": round(dirty / MIB), "seconds": round(seconds, 2), "cpu_s": round(cpu, 2),
            "mb_per_cpu_s": round(dirty / 1e6 / cpu, 1), "mb_per_s": round(dirty / 1e6 / seconds, 1)}


class Feeder(threading.Thread):
    """Keyed records at a fixed rate, whatever the broker does."""

    def __init__(self, broker, topic, ready, mb_per_s):
        super().__init__()
        self.client, self.topic, self.ready, self.rate = Client(broker.port, 60), topic, ready, mb_per_s * 1e6
        self.over, self.sent = threading.Event(), 0

    def run(self):
        begun, number = time.monotonic(), 0
        while not self.over.is_set():
            data = self.ready[number % len(self.ready)]
            number += 1
            self.over.wait(max(0, begun + self.sent / self.rate - time.monotonic()))
            send(self.client, self.topic, data)
            self.sent += len(data)


def latency_once(broker, options, ready, number, at_work):
    load, keys = f"load-{number}", f"keys-{number}"
    client = Client(broker.port, 60)
    policy = {"retention.bytes": str(64 * MIB), "segment.bytes": str(8 * MIB)} if at_work else {
        "retention.bytes": "-1", "segment.bytes": str(8 * MIB)}
    client.create_topic(load, 1, {**policy, "file.delete.delay.ms": "0"})
    client.create_topic(keys, 1, {"cleanup.policy": "compact" if at_work else "delete", "segment.bytes": str(8 * MIB),
                                  "min.cleanable.dirty.ratio": "0.3", "file.delete.delay.ms": "0"})
    feeder = Feeder(broker, keys, ready, options.feed)
    feeder.start()
    try:
        done = subprocess.run([options.bin, "bench", "e2e", load, "-b", f"127.0.0.1:{broker.port}", "-j",
                               "--size", "1000", "--rate", str(options.rate), "--warm", "4s", "--duration",
                               f"{options.seconds}s"],
                              capture_output=True, text=True, check=True)
    finally:
        feeder.over.set()
        feeder.join()
    report = json.loads(done.stdout)
    passes = clean_up_to(broker, keys)
    assert (passes > 0) == at_work, f"at work: {at_work}, clean up to {passes}"
    for topic in (load, keys):
        brokers.drop_topic(broker, topic)
    client.close()
    return {"producer_p99_us": report["acked_us"]["p99"], "consumer_p99_us": report["latency_us"]["p99"],
            "producer_p50_us": report["acked_us"]["p50"], "consumer_p50_us": report["latency_us"]["p50"]}


def latency(broker, options, ready):
    runs = {"without": [], "with": []}
    for number in range(options.rounds):
        for which in ("without", "with") if number % 2 == 0 else ("with", "without"):
            runs[which].append(latency_once(broker, options, ready, f"{number}-{which}", which == "with"))
    out = {which: {key: round(statistics.median(r[key] for r in list_of)) for key in list_of[0]}
           for which, list_of in runs.items()}
    out["with_over_without"] = {key: round(value / out["without"][key], 2) for key, value in out["with"].items()}
    return out


def measure(broker, options, ready):
    broker.wipe()
    try:
        broker.start()
        figures = {"version": broker.version, "compaction": rate(broker, options, ready)}
        print(broker.name, json.dumps(figures["compaction"]), flush=True)
        figures["latency"] = latency(broker, options, ready)
        print(broker.name, json.dumps(figures["latency"]), flush=True)
        return figures
    finally:
        broker.stop()
        broker.wipe()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--bin", default=os.path.join(brokers.ROOT, "build", "fluxmq"))
    parser.add_argument("--broker", choices=("fluxmq", "kafka", "both"), default="both")
    parser.add_argument("--mib", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--rate", type=int, default=10000, help="records of 1000 bytes a second")
    parser.add_argument("--feed", type=float, default=10, help="MB/s of keyed records")
    parser.add_argument("--port", type=int, default=23650)
    parser.add_argument("--out")
    options = parser.parse_args()
    brokers.SETTINGS.update(SETTINGS)
    folder, results, ready = tempfile.mkdtemp(prefix="fluxmq-bench-"), {}, batches(400)
    if options.broker != "kafka":
        results["fluxmq"] = measure(brokers.FluxMQ("fluxmq", folder, options.port, options.bin, {}), options, ready)
    if options.broker != "fluxmq":
        results["kafka"] = measure(brokers.Kafka(folder, options.port + 10), options, ready)
    os.rmdir(folder)
    if options.out:
        with open(options.out, "w", encoding="utf-8") as file:
            json.dump(results, file, indent=1)


if __name__ == "__main__":
    main()
