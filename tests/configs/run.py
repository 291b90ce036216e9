#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Every setting of topics that Kafka has: described as Kafka does, changed while the broker runs, and obeyed.

run.py [--bin FILE] [--kafka] [name...]

One case for each row of tests/data/topic-configs.tsv. What a setting does is tested here in `obeyed`, or elsewhere:
`ELSEWHERE` says where. A setting that is only kept says so in its documentation. --kafka: the same, but for what
looks at files, against a real Kafka.
"""

import argparse
import glob
import os
import re
import struct
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "harness")]

from broker import DEFAULT_BIN, ROOT, FluxMQ, Kafka, wait_until  # noqa: E402
from client import Client, batch  # noqa: E402
from tap import Tap  # noqa: E402

TABLE = os.path.join(ROOT, "tests", "data", "topic-configs.tsv")
TYPES = {"boolean": 1, "string": 2, "int": 3, "short": 4, "long": 5, "double": 6, "list": 7}
TOPIC, BROKER = 2, 4
FROM_TOPIC, FROM_DYNAMIC_DEFAULT, FROM_DEFAULT = 1, 3, 5
INVALID_CONFIG, TOO_LARGE, BAD_TIMESTAMP, TOO_FEW_REPLICAS = 40, 10, 32, 19
KEPT = "It is kept and shown, and changes nothing here."
MIB = 1 << 20
# Their behaviour has a test of its own.
ELSEWHERE = {
    "delete.retention.ms": ("tests/unit/log/compact_test.c", "delete_retention_ms"),
    "max.compaction.lag.ms": ("tests/clean/run.py", "small_lags_and_large_ratios"),
    "min.compaction.lag.ms": ("tests/clean/run.py", "small_lags_and_large_ratios"),
    "min.cleanable.dirty.ratio": ("tests/clean/run.py", "small_lags_and_large_ratios"),
    "cleanup.policy": ("tests/clean/run.py", "cleaning_goes_where_it_is_wanted"),
    "flush.messages": ("tests/clean/run.py", "flushed_after_a_number"),
    "flush.ms": ("tests/clean/run.py", "flushed_after_a_time"),
    "preallocate": ("tests/clean/run.py", "space_is_taken_at_once"),
    "segment.jitter.ms": ("tests/unit/log/policy_test.c", "jitter_ends_segments"),
}
# Another value that fits, and one that does not (None: every text does).
VALUES = {
    "cleanup.policy": ("compact,delete", "shred"), "compression.gzip.level": ("3", "10"),
    "compression.lz4.level": ("3", "18"), "compression.type": ("zstd", "lzma"),
    "compression.zstd.level": ("9", "23"), "message.timestamp.type": ("LogAppendTime", "Never"),
    "min.cleanable.dirty.ratio": ("0.25", "1.5"), "segment.bytes": (str(2 * MIB), "1000"),
    "follower.replication.throttled.replicas": ("0:1", "x"), "leader.replication.throttled.replicas": ("*", "x"),
    "retention.bytes": ("4096", "many"), "local.retention.bytes": ("-1", "-3"), "local.retention.ms": ("-1", "-3"),
    "segment.index.bytes": ("4096", "3"),
}


def table():
    with open(TABLE, encoding="utf-8") as file:
        names = file.readline().lstrip("#").rstrip("\n").split("\t")
        return [dict(zip(names, line.rstrip("\n").split("\t"))) for line in file]


class World:
    def __init__(self, options):
        settings = {"log.retention.check.interval.ms": 300, "log.initial.task.delay.ms": 300,
                    "log.cleaner.backoff.ms": 100}
        self.real = options.kafka
        self.broker = (Kafka(settings=settings) if self.real else FluxMQ(binary=options.bin, settings=settings)).start()
        self.client = Client(self.broker.port)
        self.number = 0

    def topic(self, **configs):
        self.number += 1
        name = f"t{self.number}"
        self.client.create_topic(name, 1, {key.replace("_", "."): str(value) for key, value in configs.items()})
        return name

    def alter(self, name, key, value, kind=TOPIC):
        """The error code; value None: back to the default."""
        answer = self.client.call("IncrementalAlterConfigs", 1, {"validateOnly": False, "resources": [{
            "resourceType": kind, "resourceName": name,
            "configs": [{"name": key, "configOperation": 0 if value is not None else 1, "value": value}]}]})
        code = answer["responses"][0]["errorCode"]
        if self.real and code == 0:  # there it takes effect behind the reply
            time.sleep(0.3)
        return code

    def described(self, name, key, kind=TOPIC):
        answer = self.client.call("DescribeConfigs", 4, {
            "resources": [{"resourceType": kind, "resourceName": name, "configurationKeys": [key]}],
            "includeSynonyms": True, "includeDocumentation": True})
        one, = answer["results"][0]["configs"]
        return one

    def code(self, topic, data):
        self.client.send_produce(topic, 0, data, -1)
        return self.client.receive_produce()[1]

    def attributes(self, topic, offset=0):
        code, _, data = self.client.fetch(topic, {0: offset}, 100)[0]
        assert code == 0 and data
        return struct.unpack_from(">h", data, 21)[0], struct.unpack_from(">i", data, 8)[0], data

    def files(self, topic, suffix):
        return sorted(glob.glob(os.path.join(self.broker.data, f"{topic}-0", "*" + suffix)))

    def size(self, topic):
        """Of the segments; a file that gets another name meanwhile does not count."""
        size = 0
        for path in self.files(topic, ".log"):
            try:
                size += os.path.getsize(path)
            except FileNotFoundError:
                pass
        return size

    def fill(self, topic, size, piece=100000):
        for _ in range(0, size, piece):
            assert self.code(topic, batch([os.urandom(piece)])) == 0

    def starts(self, topic):
        return self.client.ends(topic, 1, -2)[0]


def default_of(row):
    return "" if row["default"] == '""' else None if row["default"] == "null" else row["default"]


def another(row):
    if row["name"] in VALUES:
        return VALUES[row["name"]]
    if row["type"] == "boolean":
        return ("false" if row["default"] == "true" else "true"), "maybe"
    return "1000000", "-5"


def described_and_changed(w, row, topic):
    name, good, bad = row["name"], *another(row)
    if row["in_describe_configs"] == "n":
        return
    one = w.described(topic, name)
    assert one["configType"] == TYPES[row["type"]], one
    # Kafka's own start sets the one default of brokers that elr needs.
    standard = FROM_DYNAMIC_DEFAULT if name == "min.insync.replicas" else FROM_DEFAULT
    assert (one["configSource"], one["readOnly"], one["isSensitive"]) == (standard, False, False), one
    assert one["value"] == default_of(row), one
    assert one["documentation"], one
    if row["broker_setting"] != "-":
        names = [s["name"] for s in one["synonyms"]]  # none where the broker has no default of its own
        assert all(n in row["broker_setting"].replace("*", "").split(",") for n in names), one
    assert w.alter(topic, name, bad) == INVALID_CONFIG, f"{name}={bad} is taken"
    if name.startswith(("remote.", "local.")):
        return  # Kafka refuses them where there is no tiered storage
    assert w.alter(topic, name, good) == 0, f"{name}={good} is refused"
    one = w.described(topic, name)
    assert (one["value"], one["configSource"], one["synonyms"][0]["source"]) == (good, FROM_TOPIC, FROM_TOPIC), one
    assert w.alter(topic, name, None) == 0
    one = w.described(topic, name)
    assert (one["value"], one["configSource"]) == (default_of(row), standard), one


# ---- what they do, each changed while the topic is there


def compression_type(w):
    t = w.topic()
    for number, (value, codec) in enumerate((("producer", 0), ("gzip", 1), ("snappy", 2), ("lz4", 3), ("zstd", 4),
                                             ("uncompressed", 0))):
        assert w.alter(t, "compression.type", value) == 0
        assert w.code(t, batch([b"x" * 10000])) == 0
        assert w.attributes(t, number)[0] & 7 == codec, value


def level(codec, low, high):
    def check(w):
        t = w.topic(compression_type=codec)
        text = b"".join(b"%d %d;" % (i * i % 9973, i % 17) for i in range(20000))
        sizes = []
        for number, value in enumerate((low, high)):
            assert w.alter(t, f"compression.{codec}.level", value) == 0
            assert w.code(t, batch([text])) == 0
            sizes.append(w.attributes(t, number)[1])
        assert sizes[1] < sizes[0], f"level {low}: {sizes[0]} bytes, level {high}: {sizes[1]}"
    return check


def max_message_bytes(w):
    t = w.topic()
    assert w.code(t, batch([bytes(5000)])) == 0
    assert w.alter(t, "max.message.bytes", "2000") == 0
    assert w.code(t, batch([bytes(5000)])) == TOO_LARGE
    assert w.code(t, batch([bytes(1000)])) == 0


def timestamp_type(w):
    t, at = w.topic(), int(time.time() * 1000) - 5000000
    assert w.code(t, batch([b"x"], timestamp=at)) == 0
    assert w.alter(t, "message.timestamp.type", "LogAppendTime") == 0
    assert w.code(t, batch([b"x"], timestamp=at)) == 0
    first, second = w.attributes(t, 0), w.attributes(t, 1)
    assert (first[0] & 8, second[0] & 8) == (0, 8)
    stamps = [struct.unpack_from(">q", data, 35)[0] for data in (first[2], second[2])]
    assert stamps[0] == at and abs(stamps[1] - time.time() * 1000) < 60000, stamps


def timestamp_bound(name, direction):
    def check(w):
        t, at = w.topic(), int(time.time() * 1000) + direction * 600000
        assert w.alter(t, name, "3600000") == 0
        assert w.code(t, batch([b"x"], timestamp=at)) == 0
        assert w.alter(t, name, "60000") == 0
        assert w.code(t, batch([b"x"], timestamp=at)) == BAD_TIMESTAMP
    return check


def min_insync_replicas(w):
    """A partition here has one replica, and more than it has are never demanded (tests/clean)."""
    t = w.topic()
    assert w.alter(t, "min.insync.replicas", "1") == 0
    assert w.code(t, batch([b"x"])) == 0


def segment_bytes(w):
    t = w.topic()
    w.fill(t, 3 * MIB)
    assert len(w.files(t, ".log")) == 1
    assert w.alter(t, "segment.bytes", str(MIB)) == 0
    w.fill(t, 3 * MIB)
    assert len(w.files(t, ".log")) >= 3


def segment_ms(w):
    t = w.topic()
    for _ in range(2):
        assert w.code(t, batch([b"x"], timestamp=int(time.time() * 1000) - 5000)) == 0
    assert len(w.files(t, ".log")) == 1
    assert w.alter(t, "segment.ms", "1000") == 0
    assert w.code(t, batch([b"x"])) == 0
    assert len(w.files(t, ".log")) == 2


def segment_index_bytes(w):
    """A full index rolls the segment: 2 entries of 8 bytes, one every batch."""
    t = w.topic(index_interval_bytes=0)
    for _ in range(20):
        assert w.code(t, batch([bytes(100)])) == 0
    assert len(w.files(t, ".log")) == 1
    assert w.alter(t, "segment.index.bytes", "48") == 0
    for _ in range(20):
        assert w.code(t, batch([bytes(100)])) == 0
    assert len(w.files(t, ".log")) > 2


def index_interval_bytes(w):
    """Few bytes between entries: many of them. The index is written when its segment is over."""
    sizes = []
    for interval in ("1000", "1000000"):
        t = w.topic()
        assert w.alter(t, "index.interval.bytes", interval) == 0
        assert w.alter(t, "segment.bytes", str(MIB)) == 0
        w.fill(t, 2 * MIB, 20000)
        wait_until(lambda t=t: w.files(t, ".index") and os.path.getsize(w.files(t, ".index")[0]) < MIB, 10, "an index")
        sizes.append(os.path.getsize(w.files(t, ".index")[0]))
    assert sizes[0] > 10 * max(sizes[1], 8), sizes


def retention_ms(w):
    t, old = w.topic(segment_bytes=MIB), int(time.time() * 1000) - 600000
    for _ in range(25):
        assert w.code(t, batch([os.urandom(100000)], timestamp=old)) == 0
    assert w.starts(t) == 0
    assert w.alter(t, "retention.ms", "60000") == 0
    wait_until(lambda: w.starts(t) > 0, 15, "old segments go")


def retention_bytes(w):
    t = w.topic(segment_bytes=MIB)
    w.fill(t, 5 * MIB)
    assert w.starts(t) == 0
    assert w.alter(t, "retention.bytes", str(2 * MIB)) == 0
    wait_until(lambda: w.starts(t) > 0, 15, "the oldest segments go")
    wait_until(lambda: w.size(t) <= 3.2 * MIB, 15, "their files go behind the new start")
    assert w.size(t) >= 2 * MIB, w.size(t)


def file_delete_delay_ms(w):
    """Files of deleted segments stay for that long, under another name."""
    t = w.topic(segment_bytes=MIB)
    w.fill(t, 3 * MIB)
    assert w.alter(t, "file.delete.delay.ms", "3600000") == 0
    assert w.alter(t, "retention.bytes", str(MIB)) == 0
    wait_until(lambda: w.starts(t) > 0, 15, "the oldest segment goes")
    wait_until(lambda: w.files(t, ".log.deleted"), 15, "its file has the other name")
    time.sleep(1)  # three rounds of what deletes files
    assert w.files(t, ".log.deleted")
    t = w.topic(segment_bytes=MIB)
    w.fill(t, 3 * MIB)
    assert w.alter(t, "file.delete.delay.ms", "0") == 0
    assert w.alter(t, "retention.bytes", str(MIB)) == 0
    wait_until(lambda: w.starts(t) > 0 and not w.files(t, ".deleted"), 15, "its files go at once")


def broker_default(w):
    """A topic without a value of its own follows the broker's, changed while it runs."""
    t = w.topic()
    assert w.alter("", "message.max.bytes", "2000", BROKER) == 0
    wait_until(lambda: w.code(t, batch([bytes(5000)])) == TOO_LARGE, 10, "the broker's limit")
    one = w.described(t, "max.message.bytes")
    assert (one["value"], one["configSource"]) == ("2000", FROM_DYNAMIC_DEFAULT), one
    assert w.alter("", "message.max.bytes", None, BROKER) == 0
    wait_until(lambda: w.code(t, batch([bytes(5000)])) == 0, 10, "the default again")


OBEYED = {
    "compression.type": compression_type, "compression.gzip.level": level("gzip", "1", "9"),
    "compression.lz4.level": level("lz4", "1", "12"), "compression.zstd.level": level("zstd", "1", "12"),
    "max.message.bytes": max_message_bytes, "message.timestamp.type": timestamp_type,
    "message.timestamp.before.max.ms": timestamp_bound("message.timestamp.before.max.ms", -1),
    "message.timestamp.after.max.ms": timestamp_bound("message.timestamp.after.max.ms", 1),
    "min.insync.replicas": min_insync_replicas, "segment.bytes": segment_bytes, "segment.ms": segment_ms,
    "segment.index.bytes": segment_index_bytes, "index.interval.bytes": index_interval_bytes,
    "retention.ms": retention_ms, "retention.bytes": retention_bytes, "file.delete.delay.ms": file_delete_delay_ms,
}
# Kafka's indexes are as long as they may get until they are closed, and keep the bound they were made with.
LOOK_AT_INDEXES = {"index.interval.bytes", "segment.index.bytes"}


def accounted_for(w, row, topic):
    """Obeyed, with a test; or kept, and it says so."""
    name = row["name"]
    if name in ELSEWHERE:
        path, word = ELSEWHERE[name]
        with open(os.path.join(ROOT, path), encoding="utf-8") as file:
            assert word in file.read(), f"no {word} in {path}"
    elif row["in_describe_configs"] == "y" and not w.real:
        kept = w.described(topic, name)["documentation"] == KEPT
        with open(os.path.join(ROOT, "docs", "CONFIG.md"), encoding="utf-8") as file:
            listed = re.search(rf"^\| `{re.escape(name)}` \|", file.read(), re.M) is not None
        assert kept != (name in OBEYED), f"{name}: documentation says {'it is kept' if kept else 'it does something'}"
        assert listed == (name in OBEYED), f"{name} in docs/CONFIG.md: {listed}"


def one_setting(w, row, topic):
    described_and_changed(w, row, topic)
    accounted_for(w, row, topic)
    if row["name"] in OBEYED and not (w.real and row["name"] in LOOK_AT_INDEXES):
        OBEYED[row["name"]](w)


def all_described(w, topic):
    answer = w.client.call("DescribeConfigs", 4, {"resources": [{"resourceType": TOPIC, "resourceName": topic,
                                                                 "configurationKeys": None}]})
    shown = [c["name"] for c in answer["results"][0]["configs"]]
    assert sorted(shown) == [r["name"] for r in table() if r["in_describe_configs"] == "y"], shown


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--bin", default=DEFAULT_BIN)
    parser.add_argument("--kafka", action="store_true")
    parser.add_argument("name", nargs="*")
    options = parser.parse_args()
    tap, w = Tap(), World(options)
    try:
        topic = w.topic()
        tap.run("a topic shows Kafka's settings, and no others", all_described, w, topic)
        for row in table():
            if not options.name or row["name"] in options.name:
                tap.run(row["name"], one_setting, w, row, topic)
        tap.run("the broker's default for topics", broker_default, w)
        if not w.real:
            tap.run("the broker stops, and has nothing to complain about", w.broker.end_well)
    finally:
        w.broker.close()
    tap.finish()


if __name__ == "__main__":
    main()
