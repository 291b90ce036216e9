#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Topics in memory (storage.class=memory), by the Kafka door of a running broker.

run.py [--bin FILE] [--light] [case...]     --light: no figures of memory, for sanitizer builds
"""

import argparse
import os
import socket
import struct
import sys
import threading
import time
import zlib

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "harness")]

from broker import DEFAULT_BIN, FluxMQ, free_port, wait_until  # noqa: E402
from client import Client, Refused, batch, crc32c, records  # noqa: E402
from tap import Skip, Tap  # noqa: E402

CODECS = {"gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}
OUT_OF_RANGE, UNKNOWN_TOPIC, OUT_OF_ORDER, INVALID_CONFIG, EXISTS = 1, 3, 45, 40, 36


class World:
    def __init__(self, binary, light):
        self.light = light
        self.nats = free_port(24200, 24299)
        self.broker = FluxMQ(binary=binary, options=("--nats-port", str(self.nats))).start()
        self.client = Client(self.broker.port)
        self.number = 0

    def topic(self, partitions=1, **configs):
        """The name of a new topic in memory; dots of settings are written as _."""
        self.number += 1
        name = f"memory-{self.number}"
        settings = {key.replace("_", "."): str(value) for key, value in configs.items()}
        self.client.create_topic(name, partitions, {"storage.class": "memory", **settings})
        return name

    def restart(self, kill=False):
        self.client.close()
        if kill:
            self.broker.kill()
        else:
            self.broker.end_well()
        self.broker.start()
        self.client = Client(self.broker.port)

    def start_end(self, topic):
        return self.client.ends(topic, 1, -2)[0], self.client.ends(topic, 1)[0]

    def values(self, topic, offset):
        """Everything from an offset on, by offset."""
        out, mark = {}, offset + 1
        while offset < mark:
            code, mark, data = self.client.fetch(topic, {0: offset})[0]
            if code:
                raise Refused("Fetch", code)
            got = {n: value for n, value, _, _ in records(data) if n >= offset}
            if not got:
                break
            out.update(got)
            offset = max(got) + 1
        return out


def refused(code, function, *arguments):
    try:
        function(*arguments)
    except Refused as problem:
        assert problem.code == code, f"refused with {problem.code}, not {code}"
    else:
        raise AssertionError("not refused")


def folders(w):
    return [name for name in os.listdir(w.broker.data) if name.startswith("memory-")]


def gzipped(data):
    """The same batch with its records compressed."""
    packer = zlib.compressobj(wbits=31)
    packed = packer.compress(data[61:]) + packer.flush()
    tail = data[21:22] + bytes([data[22] | CODECS["gzip"]]) + data[23:61] + packed
    return data[:8] + struct.pack(">i", len(tail) + 9) + data[12:17] + struct.pack(">I", crc32c(tail)) + tail


def unzipped(data):
    """Batches of `data` with gzip taken off, one after the other."""
    at, out = 0, b""
    while at + 61 <= len(data):
        end = at + 12 + struct.unpack_from(">i", data, at + 8)[0]
        assert data[at + 22] & 7 == CODECS["gzip"]
        tail = data[at + 21:at + 61] + zlib.decompress(data[at + 61:end], wbits=31)
        out += data[at:at + 8] + struct.pack(">i", len(tail) + 9) + data[at + 12:at + 17]
        out += struct.pack(">I", crc32c(tail)) + tail
        at = end
    return out


def what_goes_in_comes_out(w):
    t = w.topic()
    assert w.start_end(t) == (0, 0)
    assert w.client.fetch(t, {0: 0})[0][1:] == (0, b"")
    sent = {}
    for n in range(300):
        values = [b"value-%d-%d" % (n, k) + b"x" * (n * 7) for k in range(n % 5 + 1)]
        base = w.client.produce(t, 0, batch(values), acks=(-1, 1)[n % 2])
        sent.update({base + k: value for k, value in enumerate(values)})
    assert w.values(t, 0) == sent
    assert w.values(t, 500) == {n: v for n, v in sent.items() if n >= 500}
    assert w.client.fetch(t, {0: len(sent) + 1})[0][0] == OUT_OF_RANGE
    assert not folders(w), "a topic in memory has a directory"


def large_replies_arrive_whole(w):
    t = w.topic(max_message_bytes=4 << 20)
    value = os.urandom(3 << 20)
    base = w.client.produce(t, 0, batch([value]))
    small = w.client.produce(t, 0, batch([b"behind it"]))
    assert w.values(t, base) == {base: value, small: b"behind it"}
    readers = [Client(w.broker.port) for _ in range(8)]  # they read late: what is on its way stays
    head = struct.pack(">iiiibii", -1, 0, 1, 50 << 20, 0, 0, -1) + struct.pack(">ih", 1, len(t)) + t.encode()
    for reader in readers:
        reader.send_frame("Fetch", 11, head + struct.pack(">iiiqqiih", 1, 0, -1, 0, -1, 8 << 20, 0, 0))
    sizes = [struct.unpack(">i", reader.read(4))[0] for reader in readers]  # the replies have begun
    w.client.call("DeleteRecords", 1, {"timeoutMs": 1000, "topics": [
        {"name": t, "partitions": [{"partitionIndex": 0, "offset": 2}]}]})
    assert w.start_end(t) == (2, 2)
    w.client.produce(t, 0, batch([bytes(3 << 20)]))
    for reader, size in zip(readers, sizes):
        assert value in reader.read(size), "records changed on their way"
        reader.close()


def batches_of_every_codec(w):
    t = w.topic()
    now = int(time.time() * 1000)
    plain = [batch([b"compressed by the client %d" % k for k in range(n + 1)], timestamp=now + n) for n in range(20)]
    for data in plain:
        w.client.produce(t, 0, gzipped(data))
    code, mark, data = w.client.fetch(t, {0: 0})[0]
    assert (code, mark) == (0, 210)
    assert [v for _, v, _, _ in records(unzipped(data))] == [v for p in plain for _, v, _, _ in records(p)]
    assert w.client.ends(t, 1, now + 10) == [55]
    for name, number in CODECS.items():
        t = w.topic(compression_type=name)
        for n in range(10):
            w.client.produce(t, 0, batch([b"compress me " * 20] * 10, timestamp=now + n))
        data = w.client.fetch(t, {0: 0})[0][2]
        assert data[22] & 7 == number, f"{name}: codec {data[22] & 7}"
        assert len(data) < 5000, f"{name}: {len(data)} bytes"
        assert w.client.ends(t, 1, now + 7) == [70], name  # found inside a compressed batch


def seeks_by_time(w):
    t = w.topic()
    now = int(time.time() * 1000)
    for n in range(100):
        w.client.produce(t, 0, batch([b"v" * 2000] * 2, timestamp=now + 10 * n))
    for stamp, offset in ((0, 0), (now, 0), (now + 1, 2), (now + 495, 100), (now + 990, 198), (now + 991, -1),
                          (-1, 200), (-2, 0)):
        assert w.client.ends(t, 1, stamp) == [offset], (stamp, offset)
    stale = w.topic(retention_ms=60000)  # what is too old when it comes is gone at once
    w.client.produce(stale, 0, batch([b"old"], timestamp=now - 70000))
    assert w.start_end(stale) == (1, 1)


def bytes_are_bounded(w):
    t = w.topic(retention_bytes=50000)
    for n in range(200):
        w.client.produce(t, 0, batch([b"%d" % n + b"x" * 1000]))
        start, end = w.start_end(t)
        assert end == n + 1 and 1000 * (end - start) <= 50000
    assert end - start > 40
    assert w.client.fetch(t, {0: start - 1})[0][0] == OUT_OF_RANGE
    assert len(w.values(t, start)) == end - start


def records_are_bounded(w):
    t = w.topic(retention_records=25)
    for n in range(30):
        w.client.produce(t, 0, batch([b"%d-%d" % (n, k) for k in range(4)]))
    assert w.start_end(t) == (95, 120)
    got = w.values(t, 95)  # in the middle of a batch
    assert sorted(got) == list(range(95, 120)) and got[95] == b"23-3"


def age_is_bounded(w):
    t = w.topic(retention_ms=1500)
    begun, now = time.monotonic(), int(time.time() * 1000)
    w.client.produce(t, 0, batch([b"grows old"], timestamp=now))
    wait_until(lambda: w.start_end(t) == (1, 1), 20, "old records to go")
    assert time.monotonic() - begun > 1.4, "records went before their time"
    later = int(time.time() * 1000) + 600000  # it is young for as long as this test may take
    assert w.client.produce(t, 0, batch([b"young"], timestamp=later)) == 1
    assert w.values(t, 1) == {1: b"young"}


def records_are_deleted(w):
    t = w.topic()
    for n in range(10):
        w.client.produce(t, 0, batch([b"a", b"b", b"c"]))
    answer = w.client.call("DeleteRecords", 1, {"timeoutMs": 1000, "topics": [
        {"name": t, "partitions": [{"partitionIndex": 0, "offset": 10}]}]})
    assert answer["topics"][0]["partitions"][0] == {"partitionIndex": 0, "lowWatermark": 10, "errorCode": 0}
    assert w.start_end(t) == (10, 30)
    assert sorted(w.values(t, 10)) == list(range(10, 30))
    assert w.client.fetch(t, {0: 9})[0][0] == OUT_OF_RANGE


def idempotent_producers_are_known(w):
    t = w.topic()
    pid, epoch = w.client.producer_id()
    first, second = batch([b"1", b"2"], pid, epoch, 0), batch([b"3"], pid, epoch, 2)
    assert w.client.produce(t, 0, first) == 0
    assert w.client.produce(t, 0, second) == 2
    assert w.client.produce(t, 0, first) == 0  # again: the offset it got before
    refused(OUT_OF_ORDER, w.client.produce, t, 0, batch([b"x"], pid, epoch, 7))
    assert w.values(t, 0) == {0: b"1", 1: b"2", 2: b"3"}


def waiting_fetches_are_woken(w):
    t = w.topic()
    reader, answers = Client(w.broker.port), []
    thread = threading.Thread(target=lambda: answers.append(reader.fetch(t, {0: 0}, wait_ms=20000)))
    thread.start()
    w.client.produce(t, 0, batch([b"news"]))
    thread.join(10)
    assert not thread.is_alive() and [v for _, v, _, _ in records(answers[0][0][2])] == [b"news"]
    reader.close()


def both_doors_see_the_same(w):
    t = w.topic()
    with socket.create_connection(("127.0.0.1", w.nats), 10) as connection, connection.makefile("rb") as lines:
        assert lines.readline().startswith(b"INFO")
        connection.sendall(b'CONNECT {"verbose":false}\r\nSUB %s 1\r\nPING\r\n' % t.encode())
        assert lines.readline() == b"PONG\r\n"
        w.client.produce(t, 0, batch([b"from kafka"]))
        assert [lines.readline() for _ in range(2)] == [b"MSG %s 1 10\r\n" % t.encode(), b"from kafka\r\n"]
        connection.sendall(b"PUB %s 9\r\nfrom nats\r\n" % t.encode())
        assert [lines.readline() for _ in range(2)] == [b"MSG %s 1 9\r\n" % t.encode(), b"from nats\r\n"]
    assert w.values(t, 0) == {0: b"from kafka", 1: b"from nats"}


def bad_batches_are_refused(w):
    disk, t = "on-disk", w.topic()
    w.client.create_topic(disk, 1)
    good = batch([b"good", b"one"])
    bad = [good[:-1], good[:30], b"", good[:16] + b"\1" + good[17:], good[:16] + b"\7" + good[17:],
           good[:20] + bytes([good[20] ^ 1]) + good[21:], good + good, batch([b"old"], timestamp=1 << 60)]
    for data in bad:
        codes = []
        for topic in (disk, t):
            w.client.send_produce(topic, 0, data, 1)
            codes.append(w.client.receive_produce()[1:])
        assert codes[0] == codes[1] and codes[0][0] != 0, (codes, data[:70])
    assert w.start_end(t) == (0, 0)


def the_class_stays(w):
    t = w.topic(retention_records=7)

    def show(name):
        answer = w.client.call("DescribeConfigs", 1, {"includeSynonyms": False, "resources": [
            {"resourceType": 2, "resourceName": name, "configurationKeys": None}]})
        return {c["name"]: c["value"] for c in answer["results"][0]["configs"]}

    def alter(name, **configs):
        answer = w.client.call("IncrementalAlterConfigs", 0, {"validateOnly": False, "resources": [{
            "resourceType": 2, "resourceName": name, "configs": [
                {"name": k.replace("_", "."), "configOperation": 0, "value": v} for k, v in configs.items()]}]})
        return answer["responses"][0]["errorCode"]

    assert show(t)["storage.class"] == "memory" and show(t)["retention.records"] == "7"
    w.client.create_topic("plain", 1)
    assert "storage.class" not in show("plain")
    assert alter(t, storage_class="disk") == INVALID_CONFIG
    assert alter(t, storage_class="memory") == 0
    assert alter("plain", storage_class="memory") == INVALID_CONFIG
    assert alter(t, cleanup_policy="delete, compact") == INVALID_CONFIG
    answer = w.client.call("AlterConfigs", 0, {"validateOnly": False, "resources": [{
        "resourceType": 2, "resourceName": t, "configs": [{"name": "retention.records", "value": "3"}]}]})
    assert answer["responses"][0]["errorCode"] == 0
    assert show(t)["storage.class"] == "memory"  # what is not listed is reset, but for this
    w.client.produce(t, 0, batch([b"x"] * 5))
    assert w.start_end(t) == (2, 5)
    refused(INVALID_CONFIG, w.client.create_topic, "both", 1, {"storage.class": "memory", "cleanup.policy": "compact"})
    refused(INVALID_CONFIG, w.client.create_topic, "neither", 1, {"storage.class": "tape"})
    refused(EXISTS, w.client.create_topic, t, 1, {"storage.class": "memory", "cleanup.policy": "compact"})


def epoch_end(w, topic, epoch):
    answer = w.client.call("OffsetForLeaderEpoch", 3, {"replicaId": -2, "topics": [
        {"topic": topic, "partitions": [{"partition": 0, "currentLeaderEpoch": -1, "leaderEpoch": epoch}]}]})
    part = answer["topics"][0]["partitions"][0]
    assert part["errorCode"] == 0, part
    return part["leaderEpoch"], part["endOffset"]


def figures_and_epochs(w):
    t = w.topic()
    w.client.produce(t, 0, batch([b"x"] * 5))
    assert epoch_end(w, t, 0) == (0, 5)
    answer = w.client.call("DescribeLogDirs", 1, {"topics": None})
    names = [x["name"] for r in answer["results"] for x in r["topics"]]
    assert t not in names, "a topic in memory is in no log directory"


def topics_go(w):
    t = w.topic(partitions=3)
    for n in range(50):
        w.client.produce(t, n % 3, batch([b"x" * 100000]))
    answer = w.client.call("DeleteTopics", 3, {"topicNames": [t], "timeoutMs": 10000})
    assert answer["responses"][0]["errorCode"] == 0
    assert w.client.fetch(t, {0: 0})[0][0] == UNKNOWN_TOPIC
    w.client.create_topic(t, 1, {"storage.class": "memory"})
    assert w.start_end(t) == (0, 0)


def idle_partitions_cost_little(w):
    if w.light:
        raise Skip("a sanitizer has memory of its own")
    w.topic()
    before, count = w.broker.status("VmRSS"), 20000
    for _ in range(count // 2000):
        w.topic(partitions=2000)
    per = (w.broker.status("VmRSS") - before) * 1024 / count
    assert per < 3000, f"{per:.0f} bytes for each partition"
    return f"{per:.0f} bytes of resident memory for each idle partition, its metadata included"


def memory_comes_back(w):
    if w.light:
        raise Skip("a sanitizer has memory of its own")
    t = w.topic()
    before = w.broker.status("VmRSS")
    for n in range(100):
        w.client.produce(t, 0, batch([os.urandom(500000)]))
    full = w.broker.status("VmRSS")
    assert full - before > 45000, (before, full)
    w.client.call("DeleteRecords", 1, {"timeoutMs": 1000, "topics": [
        {"name": t, "partitions": [{"partitionIndex": 0, "offset": 100}]}]})
    wait_until(lambda: w.broker.status("VmRSS") - before < 10000, 10, "memory to come back")


def a_restart_empties_them(w):
    t = w.topic(retention_records=50)
    w.client.create_topic("stays", 1)
    epoch = 0
    for kill in (False, True):
        w.client.produce(t, 0, batch([b"gone", b"soon"]))
        w.client.produce("stays", 0, batch([b"kept"]))
        assert w.start_end(t) == (0, 2)
        w.restart(kill)
        assert w.start_end(t) == (0, 0)
        assert w.client.ends("stays", 1) == [kill + 1]
        assert w.client.fetch(t, {0: 1})[0][0] == OUT_OF_RANGE
        assert w.client.produce(t, 0, batch([b"anew"])) == 0
        epoch += 1  # consumers that were behind the end are told so
        assert epoch_end(w, t, epoch) == (epoch, 1)
        assert epoch_end(w, t, epoch - 1) == (epoch - 1, 0)
        w.client.call("DeleteRecords", 1, {"timeoutMs": 1000, "topics": [
            {"name": t, "partitions": [{"partitionIndex": 0, "offset": -1}]}]})
        w.restart()
        epoch += 1
    assert not folders(w)


CASES = [what_goes_in_comes_out, large_replies_arrive_whole, batches_of_every_codec, seeks_by_time, bytes_are_bounded,
         records_are_bounded, age_is_bounded, records_are_deleted, idempotent_producers_are_known,
         waiting_fetches_are_woken, both_doors_see_the_same, bad_batches_are_refused, the_class_stays,
         figures_and_epochs, topics_go, memory_comes_back, a_restart_empties_them, idle_partitions_cost_little]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--bin", default=DEFAULT_BIN)
    parser.add_argument("--light", action="store_true")
    parser.add_argument("case", nargs="*", help="only cases whose name contains it")
    arguments = parser.parse_args()
    tap, w = Tap(), World(arguments.bin, arguments.light)
    try:
        for case in CASES:
            if not arguments.case or any(word in case.__name__ for word in arguments.case):
                tap.run(case.__name__.replace("_", " "), case, w)
        tap.run("the broker ends well", w.broker.end_well)
    finally:
        w.broker.close()
    tap.finish()


if __name__ == "__main__":
    main()
