#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Bad and good record batches through real Produce requests, with message.validation full and fast.

batches.py [--bin FILE] [--at PORT] [--record]

The batches are those of tests/data/batches.jsonl.gz (51 bad ones) and others made from them here, each to topics of
several kinds. The answers are compared with those of a Kafka 4.3.1, then the partition is read: what was refused is
not there, what was taken is stored with the same header. batch-differences.tsv says what differs and stays so.
--at: to a broker that is there already instead of fresh ones of ours; --record: its answers become the recording.
"""

import argparse
import fnmatch
import gzip
import json
import os
import struct
import sys
import zlib

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "harness")]

from broker import DEFAULT_BIN, FluxMQ  # noqa: E402
from client import Client, crc32c, varint  # noqa: E402
from tap import Tap  # noqa: E402

DATA = os.path.join(HERE, "..", "data")
RECORDING = os.path.join(DATA, "batch-answers.jsonl.gz")
DIFFERENCES = os.path.join(HERE, "batch-differences.tsv")
KINDS = {
    "plain": {},
    "compacted": {"cleanup.policy": "compact"},
    "append-time": {"message.timestamp.type": "LogAppendTime"},
    "to-gzip": {"compression.type": "gzip"},
    "to-zstd": {"compression.type": "zstd"},
    "to-uncompressed": {"compression.type": "uncompressed"},
}
VERSION = 9
MODES = ("full", "fast")
NOW_ISH = 1700000000000
BOMB_MIB, BOMB_SECONDS = 150, 3
SANITIZED_MIB = 1024  # a sanitizer holds on to what is freed


def good(data):
    """The batch with its length and checksum made right."""
    data = bytearray(data)
    struct.pack_into(">i", data, 8, len(data) - 12)
    struct.pack_into(">I", data, 17, crc32c(bytes(data[21:])))
    return bytes(data)


def built(body, count, attributes=0, delta=None, base=NOW_ISH, top=NOW_ISH):
    head = struct.pack(">qiibIhiqqqhii", 0, 0, -1, 2, 0, attributes, count - 1 if delta is None else delta, base, top,
                       -1, -1, -1, count)
    return good(head + body)


def record(delta, key, value, time=0, headers=b"\0", size=None):
    def sized(data):
        return b"\1" if data is None else varint(len(data)) + data
    body = b"\0" + varint(time) + varint(delta) + sized(key) + sized(value) + headers
    return varint(len(body) if size is None else size) + body


def gzipped(body):
    packer = zlib.compressobj(wbits=31)
    return packer.compress(body) + packer.flush()


def shapes():
    """(name, records, count): what may be wrong inside, to be sent plain and compressed."""
    one, two = record(0, b"k", b"v"), record(1, b"k", b"v")
    yield "two", one + two, 2
    yield "null-key", one + record(1, None, b"v"), 2
    yield "all-null", record(0, None, None), 1
    yield "deltas-not-dense", one + record(5, b"k", b"v"), 2
    yield "deltas-backward", two + one, 2
    yield "deltas-equal", one + one, 2
    yield "delta-negative", record(-1, b"k", b"v") + two, 2
    yield "one-too-many", one + two + record(2, b"k", b"v"), 2
    yield "one-missing", one, 2
    yield "bytes-behind", one + two + b"junk", 2
    yield "no-bytes", b"", 2
    yield "record-length-short", record(0, b"k", b"v", size=6) + two, 2
    yield "record-length-long", record(0, b"k", b"v", size=9) + two, 2
    yield "record-length-negative", record(0, b"k", b"v", size=-1) + two, 2
    yield "record-length-huge", record(0, b"k", b"v", size=1 << 30) + two, 2
    yield "key-length-huge", varint(10) + b"\0\0\0" + varint(1 << 30) + b"kkv" + two, 2
    yield "key-length-minus-2", varint(7) + b"\0\0\0" + b"\3" + b"\2v\0" + two, 2
    yield "value-length-huge", varint(10) + b"\0\0\0" + b"\2k" + varint(1 << 30) + b"v" + two, 2
    yield "value-length-minus-2", varint(7) + b"\0\0\0" + b"\2k" + b"\3" + b"\0" + two, 2
    yield "headers-negative", record(0, b"k", b"v", headers=b"\1") + two, 2
    yield "headers-huge", record(0, b"k", b"v", headers=varint(1 << 20)) + two, 2
    yield "header-key-null", record(0, b"k", b"v", headers=b"\2\1\2x") + two, 2
    yield "header-value-null", record(0, b"k", b"v", headers=b"\2\2x\1") + two, 2
    yield "header-good", record(0, b"k", b"v", headers=b"\2\2x\2y") + two, 2
    yield "varint-long", b"\xff\xff\xff\xff\xff\xff\xff" + two, 2
    yield "time-early", record(0, b"k", b"v", time=-NOW_ISH - 5) + two, 2
    yield "time-future", record(0, b"k", b"v", time=1 << 45) + two, 2


def made():
    for name, body, count in shapes():
        yield "made-none-" + name, built(body, count)
        yield "made-gzip-" + name, built(gzipped(body), count, 1)
    two = record(0, b"k", b"v") + record(1, b"k", b"v", time=3)
    yield "made-append-time-attribute", built(two, 2, 8)
    yield "made-append-time-attribute-gzip", built(gzipped(two), 2, 9)
    yield "made-horizon-attribute", built(two, 2, 64)
    yield "made-unknown-attribute", built(two, 2, 128)
    yield "made-max-timestamp-too-low", built(two, 2, top=5)
    yield "made-max-timestamp-too-high", built(two, 2, top=NOW_ISH + 9999)
    yield "made-max-timestamp-too-low-gzip", built(gzipped(two), 2, 1, top=5)
    yield "made-max-timestamp-negative", built(two, 2, base=-1, top=-1)
    yield "made-last-delta-too-high", built(two, 2, delta=5)
    yield "made-count-zero", built(b"", 0, delta=0)
    yield "made-count-zero-gzip", built(b"", 0, 1, delta=0)
    yield "made-count-huge", built(two, 1 << 30)
    yield "made-gzip-two-members", built(gzipped(two[:len(two) // 2]) + gzipped(two[len(two) // 2:]), 2, 1)
    yield "made-gzip-zeros-behind", built(gzipped(two) + bytes(40), 2, 1)
    yield "made-gzip-junk-behind", built(gzipped(two) + b"junk", 2, 1)
    yield "made-gzip-named-snappy", built(gzipped(two), 2, 2)
    yield "made-gzip-named-lz4", built(gzipped(two), 2, 3)
    yield "made-gzip-named-zstd", built(gzipped(two), 2, 4)
    yield "made-snappy-raw", built(bytes([len(two), (len(two) - 1) << 2]) + two, 2, 2)
    yield "made-snappy-claims-much", built(b"\xff\xff\xff\xff\x07\x00k", 2, 2)


def vectors():
    with gzip.open(os.path.join(DATA, "batches.jsonl.gz"), "rt", encoding="utf-8") as file:
        for line in file:
            case = json.loads(line)
            data = bytes.fromhex(case["hex"])
            if "reader" in case:
                yield case["name"], data
                continue
            first = (case["batches"] or [None])[0]
            if len(case["batches"]) != 1 or first["magic"] < 2 or first["isControl"] or first["producerId"] >= 0:
                continue
            yield case["name"], good(bytes(8) + data[8:])


def cases():
    return [*vectors(), *made()]


def header(data):
    """What is stored of a batch, as far as two brokers can agree on it."""
    _, _, _, magic, _, attributes, delta, base, top, pid, epoch, sequence, count = struct.unpack_from(
        ">qiibIhiqqqhii", data)
    stored = {"magic": magic, "attributes": attributes, "delta": delta, "base": base, "top": top, "pid": pid,
              "epoch": epoch, "sequence": sequence, "count": count}
    if attributes & 8:
        stored["top"] = "$NOW"
    if not attributes & 7:
        stored["crc"] = "$NOW" if attributes & 8 else struct.unpack_from(">I", data, 17)[0]
    return stored


def send(client, topic, data, end):
    """(answer, new end of the log)"""
    reply = client.call("Produce", VERSION, {
        "transactionalId": None, "acks": -1, "timeoutMs": 10000,
        "topicData": [{"name": topic, "partitionData": [{"index": 0, "records": data}]}]})
    part = reply["responses"][0]["partitionResponses"][0]
    answer = {"error": part["errorCode"], "errors": len(part["recordErrors"])}
    if part["errorCode"]:
        assert part["baseOffset"] == -1, part
        return answer, end
    assert part["baseOffset"] == end, f"{part['baseOffset']} instead of {end}"
    _, mark, stored = client.fetch(topic, {0: end})[0]
    size, = struct.unpack_from(">i", stored, 8)
    assert len(stored) == size + 12, "more than one batch was stored"
    assert crc32c(stored[21:]) == struct.unpack_from(">I", stored, 17)[0], "stored with a wrong CRC"
    answer["stored"] = header(stored)
    assert mark == end + answer["stored"]["delta"] + 1, "the end of the log does not follow"
    return answer, mark


def answers(port):
    """{kind and name: answer}"""
    client, out = Client(port, timeout=30), {}
    for kind, configs in KINDS.items():
        topic, end = f"batches-{kind}-{os.getpid()}", 0
        client.create_topic(topic, 1, configs)
        for name, data in cases():
            out[f"{kind} {name}"], end = send(client, topic, data, end)
        assert client.ends(topic, 1) == [end], "something that was refused is there"
    client.close()
    return out


class Row:
    """Of batch-differences.tsv: for which modes, kinds of topic and batches it speaks (* and ? are wild)."""

    def __init__(self, line):
        modes, kinds, names, self.theirs, self.ours, self.why = line.rstrip("\n").split("\t")
        self.line, self.modes, self.kinds, self.names = line, modes.split(), kinds.split(), names.split()
        self.used = False

    def speaks_for(self, mode, case, difference):
        kind, name = case.split()
        return (mode in self.modes and difference == (self.theirs, self.ours)
                and any(fnmatch.fnmatch(kind, k) for k in self.kinds)
                and any(fnmatch.fnmatch(name, n) for n in self.names))


def read_differences():
    with open(DIFFERENCES, encoding="utf-8") as file:
        return [Row(line) for line in file if not line.startswith("#")]


def difference(theirs, ours):
    """In a few words: what each says; "stored" and the fields when both store it, but not the same."""
    said = tuple("ok" if a["error"] == 0 else str(a["error"]) for a in (theirs, ours))
    if said == ("ok", "ok"):
        fields = [f for f in theirs["stored"] if theirs["stored"][f] != ours["stored"].get(f) and f != "crc"]
        return "ok", " ".join(["stored", *fields])
    if said[0] == said[1]:
        return said[0], "errors"
    return said


def judge(tap, mode, got, wanted, rows):
    wrong = []
    for case in sorted(set(got) | set(wanted)):
        ours, theirs = got.get(case), wanted.get(case)
        if ours == theirs:
            continue
        found = ("missing", "missing") if ours is None or theirs is None else difference(theirs, ours)
        told = [row for row in rows if row.speaks_for(mode, case, found)]
        for row in told:
            row.used = True
        if not told:
            wrong.append(f"{case} {found}: {json.dumps(theirs)} but {json.dumps(ours)}")
    tap.result(not wrong, f"{len(got)} batches, message.validation={mode}")
    for line in wrong:
        tap.note(line)


def bombs():
    """(name, batch of 10 MB, MiB that are in it)"""
    size = 10 << 20
    zeros = gzipped(bytes(64 << 20))
    yield "gzip", built(zeros * (size // len(zeros)), 1, 1), size // len(zeros) * 64
    yield "zstd", built(runs(size // 4), 1, 4), size // 4 // 8
    run = b"\x1f\0\1\0" + b"\xff" * 250 + b"\0\x50\0\0\0\0\0"
    run = struct.pack("<I", len(run)) + run
    lz4 = b"\x04\x22\x4d\x18\x60\x40\x82" + run * (size // len(run)) + bytes(4)
    yield "lz4", built(lz4, 1, 3), size // len(run) * 64000 >> 20
    part = b"\x80\x80\x80\x08\0\0" + b"\xfe\1\0" * ((1 << 18) - 1) + b"\xfa\1\0"  # 16 MiB
    part = struct.pack(">I", len(part)) + part
    yield "snappy", built(b"\x82SNAPPY\0\0\0\0\1\0\0\0\1" + part * (size // len(part)), 1, 2), size // len(part) * 16


def runs(count):
    """A zstd frame of so many blocks of 128 KiB zeros, 4 bytes each."""
    return b"\x28\xb5\x2f\xfd\0\x38" + struct.pack("<I", 128 << 10 << 3 | 2) * count + b"\1\0\0"


def explode(tap, binary):
    """A batch of 10 MB that unpacks to gigabytes is refused for little time and memory."""
    broker = FluxMQ(binary=binary, settings={"message.validation": "full"})
    with open(binary, "rb") as file:
        most = SANITIZED_MIB if b"__asan_init" in file.read() else BOMB_MIB
    try:
        broker.start()
        client = Client(broker.port, timeout=60)
        client.create_topic("bombs", 1, {"max.message.bytes": str(20 << 20)})
        for name, data, inside in bombs():
            client.send_produce("bombs", 0, built(bytes(9 << 20), 1), -1)  # what as large a request costs
            client.receive_produce()
            peak, cpu = broker.status("VmHWM"), broker.cpu_seconds()
            client.send_produce("bombs", 0, data, -1)
            _, code, _ = client.receive_produce()
            mebibytes, cpu = (broker.status("VmHWM") - peak) >> 10, broker.cpu_seconds() - cpu
            tap.result(code == 10 and mebibytes <= most and cpu < BOMB_SECONDS,
                       f"{inside} MiB in a {name} batch: error {code}, {mebibytes} MiB, {cpu:.2f} s")
        client.create_topic("small", 1)
        for count, wanted in ((4, 87), (256, 10)):  # zeros are no records; how many are looked at
            client.send_produce("small", 0, built(runs(count), 1, 4), -1)
            _, code, _ = client.receive_produce()
            tap.result(code == wanted, f"{count * 128} KiB in a batch of {len(runs(count)) + 61} bytes: error {code}")
        assert client.ends("bombs", 1) == [0] and client.ends("small", 1) == [0]
        client.close()
        broker.end_well()
    finally:
        broker.close()


def compare(binary):
    tap = Tap()
    with gzip.open(RECORDING, "rt", encoding="utf-8") as file:
        wanted = dict(json.loads(line) for line in file)
    rows = read_differences()
    for mode in MODES:
        broker = FluxMQ(binary=binary, settings={"message.validation": mode})
        try:
            broker.start()
            judge(tap, mode, answers(broker.port), wanted, rows)
            broker.end_well()
        finally:
            broker.close()
    explode(tap, binary)
    tap.result(all(row.used for row in rows), "every row of batch-differences.tsv is needed")
    for row in rows:
        if not row.used:
            tap.note(row.line)
    tap.finish()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--bin", default=DEFAULT_BIN)
    parser.add_argument("--at", type=int)
    parser.add_argument("--record", action="store_true")
    options = parser.parse_args()
    if not options.at:
        compare(options.bin)
        return
    got = answers(options.at)
    if options.record:
        with open(RECORDING, "wb") as file:
            with gzip.GzipFile(fileobj=file, mode="wb", mtime=0) as packed:
                for item in got.items():
                    packed.write((json.dumps(item) + "\n").encode())
    print(len(got), "answers")


if __name__ == "__main__":
    main()
