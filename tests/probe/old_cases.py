# SPDX-License-Identifier: MIT
"""Probes of the versions that Kafka 4.0 dropped; old.py sends them. """
import base64
import gzip
import struct
import time
import zlib

from driver import T0, batch
from registry import registry

ALL, probe = registry()


def at(topic, **fields):
    """The one partition 0 of a topic, with these fields."""
    return [{"name": topic, "partitions": [{"partitionIndex": 0, **fields}]}]


def fill(e, topic, count):
    """Records of a second each, one batch for each."""
    for i in range(count):
        e.q("Produce", 9, {"acks": -1, "timeoutMs": 5000, "topicData": [
            {"name": topic, "partitionData": [{"index": 0, "records": batch([(b"k", b"v%d" % i, T0 + 1000 * i)])}]}]})


@probe("list-offsets-0")
def _(e):
    t, _ = e.topic("lo0", 2)
    empty, _ = e.topic("lo0-empty")

    def ask(what, topic=t, part=0, **fields):
        fields.setdefault("timestamp", -1)
        fields.setdefault("maxNumOffsets", 10)
        e.x("ListOffsets", 0, {"replicaId": -1, "topics": [
            {"name": topic, "partitions": [{"partitionIndex": part, **fields}]}]}, what=what)
    fill(e, t, 5)
    ask("latest")
    ask("earliest", timestamp=-2)
    ask("latest, one", maxNumOffsets=1)
    ask("earliest, one", timestamp=-2, maxNumOffsets=1)
    ask("none wanted", maxNumOffsets=0)
    ask("fewer than none wanted", maxNumOffsets=-1)
    ask("before the segment was written", timestamp=T0)
    ask("at the beginning of time", timestamp=0)
    ask("a place of later versions", timestamp=-3)
    ask("in the future", timestamp=int(time.time() * 1000) + 3600000)
    ask("an empty log, latest", topic=empty)
    ask("an empty log, earliest", topic=empty, timestamp=-2)
    ask("an empty log, before it was", topic=empty, timestamp=1000)
    ask("unknown partition", part=9)
    ask("partition -1", part=-1)
    ask("unknown topic", topic=e.n("nowhere"))
    twice = at(t, timestamp=-1, maxNumOffsets=1) + at(t, timestamp=-2, maxNumOffsets=1)
    e.x("ListOffsets", 0, {"replicaId": -1, "topics": twice}, what="the same partition twice")
    e.x("ListOffsets", 0, {"replicaId": -1, "topics": []}, what="no topics")
    e.q("DeleteRecords", 2, {"topics": [{"name": t, "partitions": [{"partitionIndex": 0, "offset": 3}]}],
                             "timeoutMs": 5000})
    ask("latest after DeleteRecords")
    ask("earliest after DeleteRecords", timestamp=-2)


@probe("list-offsets-0-segments")
def _(e):
    t, _ = e.topic("los", 1, segment_bytes="1048576")
    for _ in range(5):
        e.q("Produce", 9, {"acks": -1, "timeoutMs": 5000, "topicData": [
            {"name": t, "partitionData": [{"index": 0, "records": batch([(None, b"x" * 500000, T0)])}]}]})

    def ask(what, **fields):
        e.x("ListOffsets", 0, {"replicaId": -1, "topics": at(t, **fields)}, what=what)
    ask("latest, all", timestamp=-1, maxNumOffsets=100)
    ask("latest, two", timestamp=-1, maxNumOffsets=2)
    ask("earliest, all", timestamp=-2, maxNumOffsets=100)
    ask("in the future, all", timestamp=int(time.time() * 1000) + 3600000, maxNumOffsets=100)
    ask("before all", timestamp=T0, maxNumOffsets=100)


@probe("offsets-0-1")
def _(e):
    t, _ = e.topic("of", 2)
    g = e.n("og")

    def commit(version, what, topics, group=g, **fields):
        e.x("OffsetCommit", version, {"groupId": group, "topics": topics, **fields}, what=what)

    def fetch(version, what, topics, group=g):
        e.x("OffsetFetch", version, {"groupId": group, "topics": topics}, what=what)

    def places(topic, *parts):
        return [{"name": topic, "partitionIndexes": list(parts)}]
    fetch(1, "v1, nothing committed", places(t, 0, 1))
    fetch(0, "v0, nothing committed", places(t, 0, 1))
    commit(1, "v1", at(t, committedOffset=5, commitTimestamp=-1, committedMetadata="m"),
           generationIdOrMemberEpoch=-1, memberId="")
    fetch(1, "v1, committed with v1", places(t, 0, 1))
    fetch(0, "v0, committed with v1", places(t, 0, 1))
    commit(1, "v1 with a time", at(t, committedOffset=6, commitTimestamp=int(time.time() * 1000),
                                   committedMetadata=""),
           generationIdOrMemberEpoch=-1, memberId="")
    commit(1, "v1, null metadata", at(t, committedOffset=7, commitTimestamp=-1, committedMetadata=None),
           generationIdOrMemberEpoch=-1, memberId="")
    fetch(1, "v1, metadata that was null", places(t, 0))
    commit(1, "v1, a generation of a group without members", at(t, committedOffset=8, commitTimestamp=-1,
                                                                committedMetadata=""),
           generationIdOrMemberEpoch=3, memberId="")
    commit(1, "v1, a member that is none", at(t, committedOffset=8, commitTimestamp=-1, committedMetadata=""),
           generationIdOrMemberEpoch=-1, memberId="nobody")
    commit(1, "v1, unknown topic", at(e.n("nowhere"), committedOffset=8, commitTimestamp=-1, committedMetadata=""),
           generationIdOrMemberEpoch=-1, memberId="")
    commit(1, "v1, unknown partition", [{"name": t, "partitions": [
        {"partitionIndex": 9, "committedOffset": 1, "commitTimestamp": -1, "committedMetadata": ""}]}],
           generationIdOrMemberEpoch=-1, memberId="")
    commit(1, "v1, too much metadata", at(t, committedOffset=8, commitTimestamp=-1, committedMetadata="x" * 5000),
           generationIdOrMemberEpoch=-1, memberId="")
    commit(1, "v1, no group id", at(t, committedOffset=8, commitTimestamp=-1, committedMetadata=""), group="",
           generationIdOrMemberEpoch=-1, memberId="")
    commit(1, "v1, no topics", [], generationIdOrMemberEpoch=-1, memberId="")
    commit(0, "v0", at(t, committedOffset=11, committedMetadata="zero"))
    fetch(0, "v0, committed with v0", places(t, 0, 1))
    fetch(1, "v1, committed with v0", places(t, 0))
    commit(0, "v0, unknown topic", at(e.n("nowhere"), committedOffset=11, committedMetadata=""))
    commit(0, "v0, no topics", [])
    fetch(0, "v0, unknown topic", places(e.n("nowhere"), 0))
    fetch(0, "v0, unknown partition", places(t, 9))
    fetch(0, "v0, no topics", [])
    fetch(1, "v1, no topics", [])
    fetch(1, "v1, unknown topic", places(e.n("nowhere"), 0))
    fetch(1, "v1, no group id", places(t, 0), group="")


@probe("join-group-0-1")
def _(e):
    for version in (0, 1):
        g = e.n("jg%d" % version)
        body = {"groupId": g, "sessionTimeoutMs": 10000, "rebalanceTimeoutMs": 20000, "memberId": "",
                "protocolType": "consumer",
                "protocols": [{"name": "range", "metadata": b"meta"}]}
        if version == 0:
            del body["rebalanceTimeoutMs"]
        r = e.x("JoinGroup", version, body, what="the first member",
                learn=lambda r: (e.remember(r["memberId"], "MEMBER"), e.remember(r["leader"], "MEMBER")))
        m = r["memberId"]
        e.x("SyncGroup", 0, {"groupId": g, "generationId": 1, "memberId": m, "assignments": [{"memberId": m,
                                                                                              "assignment": b"asg"}]},
            what="its assignment")
        e.x("Heartbeat", 0, {"groupId": g, "generationId": 1, "memberId": m}, what="alive")
        e.x("OffsetCommit", 1, {"groupId": g, "generationIdOrMemberEpoch": 1, "memberId": m, "topics": []},
            what="a member commits nothing")
        e.x("DescribeGroups", 0, {"groups": [g]}, what="described")
        e.x("JoinGroup", version, {**body, "sessionTimeoutMs": 1}, what="a session that is too short")
        e.x("LeaveGroup", 0, {"groupId": g, "memberId": m}, what="gone")
        e.x("FindCoordinator", 0, {"key": g}, what="its coordinator")


@probe("topics-0-1")
def _(e):
    def create(version, what, **fields):
        e.x("CreateTopics", version, {"topics": [fields], "timeoutMs": 10000,
                                      **({"validateOnly": False} if version else {})}, what=what)
    for version in (0, 1):
        name = e.n("ct%d" % version)
        create(version, "a topic", name=name, numPartitions=2, replicationFactor=1)
        create(version, "again", name=name, numPartitions=2, replicationFactor=1)
        create(version, "partitions by default", name=e.n("ctd%d" % version), numPartitions=-1, replicationFactor=-1)
        create(version, "no partitions", name=e.n("ctn%d" % version), numPartitions=0, replicationFactor=1)
        create(version, "too many replicas", name=e.n("ctr%d" % version), numPartitions=1, replicationFactor=9)
        create(version, "a bad name", name="bad name!", numPartitions=1, replicationFactor=1)
        create(version, "with settings", name=e.n("cts%d" % version), numPartitions=1, replicationFactor=1,
               configs=[{"name": "retention.ms", "value": "1000000"}])
        create(version, "with a setting that is none", name=e.n("ctx%d" % version), numPartitions=1,
               replicationFactor=1,
               configs=[{"name": "no.such.setting", "value": "1"}])
        create(version, "with assignments", name=e.n("cta%d" % version), numPartitions=-1, replicationFactor=-1,
               assignments=[{"partitionIndex": 0, "brokerIds": [e.node]}])
    e.x("CreateTopics", 1, {"topics": [{"name": e.n("ctv"), "numPartitions": 1, "replicationFactor": 1}],
                            "timeoutMs": 10000, "validateOnly": True},
        what="v1, only validated")
    e.x("DeleteTopics", 0, {"topicNames": [e.n("ct0"), e.n("ct1")], "timeoutMs": 10000}, what="two topics",
        note=lambda r: sorted(r["responses"], key=lambda t: t["name"]))
    e.x("DeleteTopics", 0, {"topicNames": [e.n("ct0")], "timeoutMs": 10000}, what="one that is gone")
    e.x("DeleteTopics", 0, {"topicNames": [e.n("ctv")], "timeoutMs": 10000}, what="one that was only validated")
    e.x("DeleteTopics", 0, {"topicNames": [], "timeoutMs": 10000}, what="none")


@probe("epochs-0-1")
def _(e):
    t, _ = e.topic("ep", 1)

    def ask(version, what, topic, **fields):
        e.x("OffsetForLeaderEpoch", version, {"topics": [{"topic": topic, "partitions": [fields]}]}, what=what)
    fill(e, t, 3)
    for version in (0, 1):
        for epoch in (0, 5, -1):
            ask(version, "epoch %d" % epoch, t, partition=0, leaderEpoch=epoch)
        ask(version, "unknown partition", t, partition=9, leaderEpoch=0)
        ask(version, "unknown topic", e.n("nowhere"), partition=0, leaderEpoch=0)


@probe("describe-configs-0")
def _(e):
    t, _ = e.topic("dc", 1, max_message_bytes="70000")

    def ask(what, kind, name, keys, version=0):
        e.x("DescribeConfigs", version, {"resources": [{"resourceType": kind, "resourceName": name,
                                                        "configurationKeys": keys}]}, what=what)
    ask("set, by default, unknown", 2, t, ["max.message.bytes", "retention.bytes", "no.such.setting"])
    ask("unknown topic", 2, e.n("nowhere"), ["retention.ms"])
    ask("a bad name", 2, "bad name!", ["retention.ms"])
    ask("of the broker", 4, str(e.node), ["num.partitions", "log.retention.ms"])
    ask("of another broker", 4, "77", ["num.partitions"])
    ask("of no kind", 99, "x", None)
    e.q("AlterConfigs", 2, {"resources": [{"resourceType": 2, "resourceName": t,
                                           "configs": [{"name": "retention.bytes", "value": "-1"}]}]})
    ask("set to what the default is", 2, t, ["max.message.bytes", "retention.bytes"])
    e.x("AlterConfigs", 0, {"resources": [{"resourceType": 2, "resourceName": t,
                                           "configs": [{"name": "retention.ms", "value": "5000"}]}]},
        what="v0")
    ask("after it", 2, t, ["max.message.bytes", "retention.bytes", "retention.ms"])


@probe("log-dirs-0")
def _(e):
    t, _ = e.topic("ld", 2)
    fill(e, t, 2)
    e.x("DescribeLogDirs", 0, {"topics": [{"topic": t, "partitions": [0, 1]}]}, what="two partitions")
    e.x("DescribeLogDirs", 0, {"topics": [{"topic": t, "partitions": [9]}]}, what="one that is none")
    e.x("DescribeLogDirs", 0, {"topics": []}, what="none")


@probe("markers-0")
def _(e):
    t, _ = e.topic("mk", 1)
    p = e.q("InitProducerId", 4, {"transactionalId": None, "transactionTimeoutMs": 0})
    e.remember(p["producerId"], "PID")

    def mark(what, part=0, topic=t, **fields):
        e.x("WriteTxnMarkers", 0, {"markers": [{
            "producerId": p["producerId"], "producerEpoch": 0, "transactionResult": True, "coordinatorEpoch": 0,
            "topics": [{"name": topic, "partitionIndexes": [part]}], **fields}]}, what=what)
    mark("commit where nothing is open")
    mark("abort", transactionResult=False)
    mark("unknown partition", part=9)
    mark("unknown topic", topic=e.n("nowhere"))
    e.x("WriteTxnMarkers", 0, {"markers": []}, what="none")


# ---- message sets

def message(magic, value=b"v", key=b"k", ts=T0, attributes=0, offset=0, crc=None):
    body = struct.pack(">bb", magic, attributes) + (struct.pack(">q", ts) if magic else b"")
    for part in (key, value):
        body += struct.pack(">i", -1) if part is None else struct.pack(">i", len(part)) + part
    body = struct.pack(">I", zlib.crc32(body) if crc is None else crc) + body
    return struct.pack(">qi", offset, len(body)) + body


def wrapper(magic, inner, **fields):
    """A gzip wrapper; relative offsets within, and its own is the last one's, as clients since 0.10 send them."""
    fields.setdefault("offset", len(inner) - 1)
    packed = gzip.compress(b"".join(inner), mtime=0)
    return message(magic, packed, None, attributes=1 | fields.pop("attributes", 0), **fields)


def inner_of(magic, count, **fields):
    return [message(magic, b"w%d" % i, b"k%d" % i, T0 + i, offset=i, **fields) for i in range(count)]


def messages_in(data):
    """What a client makes of a message set: its messages, and whether it ends within one."""
    found, at = [], 0
    while at + 12 <= len(data):
        offset, size = struct.unpack_from(">qi", data, at)
        if size < 14 or at + 12 + size > len(data):
            break
        crc, magic, attributes = struct.unpack_from(">Ibb", data, at + 12)
        one = {"offset": offset, "magic": magic, "attributes": attributes,
               "crcGood": magic < 2 and crc == zlib.crc32(data[at + 16:at + 12 + size])}
        here = at + 18
        if magic == 1:
            one["timestamp"], here = struct.unpack_from(">q", data, here)[0], here + 8
        parts = []
        for _ in range(2 if magic < 2 else 0):
            length = struct.unpack_from(">i", data, here)[0]
            parts.append(None if length < 0 else data[here + 4:here + 4 + length])
            here += 4 + max(length, 0)
        if magic < 2 and attributes & 7:
            one["inner"] = messages_in(gzip.decompress(parts[1]) if attributes & 7 == 1 else b"")
        elif magic < 2:
            one["key"], one["value"] = [None if p is None else p.decode()[:40] for p in parts]
        found.append(one)
        at += 12 + size
    if at < len(data) and not found:
        return ["part of one"]  # how many there are behind others is the broker's choice
    return found


def shown(answer):
    """A Fetch answer with what is in its sets instead of bytes."""
    for topic in answer["responses"]:
        for part in topic["partitions"]:
            raw = part["records"]
            part["records"] = messages_in(base64.b64decode(raw) if isinstance(raw, str) else raw or b"")
    return answer


def stored(answer):
    """A Fetch answer in which compressed batches have no size: that is the compressor's."""
    for batch_seen in answer.get("batches", []):
        for name in ("size", "crcOk"):
            batch_seen.pop(name, None)
    return answer


@probe("produce-0-2")
def _(e):
    t, _ = e.topic("pr", 2)
    produce_probe(e, t)


def send(e, version, what, data, topic, part=0, acks=1, **more):
    e.x("Produce", version, {"acks": acks, "timeoutMs": 5000, "topicData": [
        {"name": topic, "partitionData": [{"index": part, "records": data}]}]}, what=what, **more)


def look(e, topic, offset, version=4):
    """What of it is in the log, as headers of batches."""
    def note(r):
        part = r["responses"][0]["partitions"][0]
        return {"highWatermark": part["highWatermark"], **stored(e.rec(part["records"])), "bytes": 0}
    e.x("Fetch", version, {"replicaId": -1, "maxWaitMs": 0, "minBytes": 0, "maxBytes": 1 << 20, "isolationLevel": 0,
                           "topics": [{"topic": topic, "partitions": [
                               {"partition": 0, "fetchOffset": offset, "partitionMaxBytes": 1 << 20}]}]},
        what="what is stored from %d on" % offset, note=note)


def produce_probe(e, t):
    for version in (0, 1, 2):
        for magic in (0, 1):
            send(e, version, "a message of magic %d" % magic, message(magic), t)
            send(e, version, "three of magic %d" % magic, b"".join(inner_of(magic, 3)), t)
            send(e, version, "a wrapper of magic %d" % magic, wrapper(magic, inner_of(magic, 3)), t)
    look(e, t, 0)
    send(e, 2, "no key", message(1, key=None), t)
    send(e, 2, "no value", message(1, None), t)
    send(e, 2, "no timestamp", message(1, ts=-1), t)
    send(e, 2, "a negative timestamp", message(1, ts=-2), t)
    send(e, 2, "a set with a part of a message behind it", message(1) + message(1)[:-3], t)
    send(e, 2, "a wrapper with offsets that are not relative",
         wrapper(1, [message(1, offset=70 + i) for i in range(2)], offset=71), t)
    send(e, 2, "a wrapper of magic 0 with offsets as they were", wrapper(0, [message(0, offset=5)], offset=5), t)
    look(e, t, 42)
    send(e, 2, "acks -1", message(1), t, acks=-1)
    send(e, 2, "acks 2", message(1), t, acks=2)
    send(e, 0, "acks -2", message(0), t, acks=-2)
    send(e, 2, "nothing", b"", t)
    send(e, 0, "nothing, version 0", b"", t)
    send(e, 2, "a part of a message only", message(1)[:-1], t)
    send(e, 2, "five bytes", b"\0" * 5, t)
    send(e, 2, "a wrong checksum", message(1, crc=1), t)
    send(e, 2, "a wrong checksum in the second", message(1) + message(1, crc=1), t)
    send(e, 2, "a length of three", struct.pack(">qi", 0, 3) + b"\0" * 30, t)
    send(e, 2, "a magic of 3", message(3), t)
    send(e, 2, "a magic of -1", message(-1), t)
    send(e, 2, "both magics", message(0) + message(1), t)
    send(e, 2, "a wrapper and a message", wrapper(1, inner_of(1, 2)) + message(1), t)
    send(e, 2, "two wrappers", wrapper(1, inner_of(1, 2)) + wrapper(1, inner_of(1, 2)), t)
    send(e, 2, "a wrapper in a wrapper", wrapper(1, [wrapper(1, inner_of(1, 2))]), t)
    send(e, 2, "another magic in a wrapper", wrapper(1, inner_of(0, 2)), t)
    send(e, 2, "a wrapper with nothing in it", wrapper(1, [], offset=0), t)
    send(e, 2, "a wrapper without a value", message(1, None, None, attributes=1), t)
    send(e, 2, "a wrapper that is no gzip", message(1, b"garbage", None, attributes=1), t)
    send(e, 2, "a wrapper with a wrong checksum in it", wrapper(1, inner_of(1, 2, crc=7)), t)
    send(e, 2, "a wrapper whose offset is below those in it", wrapper(1, inner_of(1, 3), offset=1), t)
    send(e, 2, "compressed with zstd", message(1, b"x", None, attributes=4), t)
    send(e, 2, "compressed with nothing known", message(1, b"x", None, attributes=7), t)
    send(e, 2, "said to have the broker's time", message(1, attributes=8), t)
    send(e, 2, "a wrapper with the broker's time", wrapper(1, inner_of(1, 2), attributes=8), t)
    send(e, 2, "a key longer than the message", message(1)[:26] + struct.pack(">i", 1000) + message(1)[30:], t)
    send(e, 2, "a batch of records", batch(2), t)
    send(e, 0, "a batch of records, version 0", batch(2), t)
    send(e, 2, "two batches of records", batch(1) + batch(1), t)
    send(e, 2, "a batch in a transaction", batch(1, pid=5, epoch=0, seq=0, txn=True), t)
    send(e, 2, "unknown partition", message(1), t, part=9)
    send(e, 2, "unknown topic", message(1), e.n("nowhere"))
    send(e, 2, "an internal topic", message(1), "__consumer_offsets")
    send(e, 2, "too large", message(1, b"x" * 1100000), t)
    send(e, 3, "messages in version 3", message(1), t)
    e.x("Produce", 2, {"acks": 1, "timeoutMs": 5000, "topicData": []}, what="no topics")
    e.x("Produce", 2, {"acks": 1, "timeoutMs": 5000, "topicData": [{"name": t, "partitionData": [
        {"index": 0, "records": message(1)}, {"index": 1, "records": message(1, crc=1)}]}]}, what="one good, one bad")
    look(e, t, 46)


@probe("produce-0-2-topics")
def _(e):
    append, _ = e.topic("pr-append", 1, message_timestamp_type="LogAppendTime")
    for version, magic in ((0, 0), (1, 0), (2, 1)):
        send(e, version, "a topic with append times, magic %d" % magic, message(magic), append)
        send(e, version, "a wrapper, append times, magic %d" % magic, wrapper(magic, inner_of(magic, 2)), append)
    send(e, 2, "said to have the broker's time", message(1, attributes=8), append)
    look(e, append, 0)
    compact, _ = e.topic("pr-compact", 1, cleanup_policy="compact")
    send(e, 2, "a compacted topic", message(1), compact)
    send(e, 2, "a compacted topic, no key", message(1, key=None), compact)
    send(e, 0, "a compacted topic, the second has no key", message(0) + message(0, key=None), compact)
    send(e, 2, "a compacted topic, a wrapper with a message that has no key",
         wrapper(1, [message(1), message(1, key=None, offset=1)]), compact)
    ranged, _ = e.topic("pr-ranged", 1, message_timestamp_before_max_ms="1000")
    send(e, 2, "too old", message(1), ranged)
    send(e, 2, "a wrapper, too old", wrapper(1, inner_of(1, 2)), ranged)
    send(e, 0, "has no time to be too old", message(0), ranged)
    gzipped, _ = e.topic("pr-gzip", 1, compression_type="gzip")
    plain, _ = e.topic("pr-plain", 1, compression_type="uncompressed")
    for topic in (gzipped, plain):
        send(e, 2, "a topic with its own compression", message(1) + message(1), topic)
        send(e, 2, "a topic with its own compression, a wrapper", wrapper(1, inner_of(1, 2)), topic)
        look(e, topic, 0)
    small, _ = e.topic("pr-small", 1, max_message_bytes="200")
    send(e, 2, "fits", message(1, b"x" * 100), small)
    send(e, 2, "does not", message(1, b"x" * 200), small)
    send(e, 2, "each fits, but not together", message(1, b"x" * 100) * 2, small)
    send(e, 2, "a wrapper that fits", wrapper(1, [message(1, b"x" * 1000)]), small)


# One record, compressed with zstd, which Python 3.11 can't make.
ZSTD = bytes.fromhex(
    "00000000000000000000004c000000000241398efb0004000000000000018bcfe568000000018bcfe56800ffffffffffffffffffffffffffff"
    "0000000128b52ffd00587800001c000000066b65790a76616c756500010000")


def fetch(e, version, what, topic, offset, size=1 << 20, part=0, wait=0, least=0, **more):
    place = {"partition": part, "fetchOffset": offset, "partitionMaxBytes": size}
    body = {"replicaId": -1, "maxWaitMs": wait, "minBytes": least, "topics": [{"topic": topic, "partitions": [place]}]}
    if version >= 3:
        body["maxBytes"] = more.pop("most", 1 << 20)
    if version >= 4:
        body["isolationLevel"] = more.pop("isolation", 0)
    e.x("Fetch", version, body, what=what, note=shown, **more)


def end_transaction(e, name, topic, tid, data, commit):
    who = e.n(name)
    p = e.q("InitProducerId", 4, {"transactionalId": who, "transactionTimeoutMs": 60000})
    e.q("AddPartitionsToTxn", 3, {"v3AndBelowTransactionalId": who, "v3AndBelowProducerId": p["producerId"],
                                  "v3AndBelowProducerEpoch": p["producerEpoch"],
                                  "v3AndBelowTopics": [{"name": topic, "partitions": [0]}]})
    if data:
        e.produce(topic, 0, batch(data, pid=p["producerId"], epoch=p["producerEpoch"], seq=0, txn=True), txn=who, ver=9)
    e.q("EndTxn", 3, {"transactionalId": who, "producerId": p["producerId"], "producerEpoch": p["producerEpoch"],
                      "committed": commit})
    part = {"partition": 0, "fetchOffset": 0, "partitionMaxBytes": 1}
    body = {"replicaId": -1, "maxWaitMs": 0, "minBytes": 0, "maxBytes": 1, "isolationLevel": 0, "sessionId": 0,
            "sessionEpoch": -1, "topics": [{"topic": topic, "partitions": [part]}], "rackId": ""}
    for _ in range(100):
        r = e.q("Fetch", 11, body)
        at = r["responses"][0]["partitions"][0]
        if at["highWatermark"] == at["lastStableOffset"]:
            return
        time.sleep(0.02)


@probe("fetch-0-3")
def _(e):
    t, _ = e.topic("fe", 2)
    empty, _ = e.topic("fe-empty")
    e.produce(t, 0, batch(1), ver=9)
    e.produce(t, 0, batch([(b"a", b"1"), (None, b"no key"), (b"gone", None)]), ver=9)
    e.produce(t, 0, batch(4, codec=1), ver=9)
    e.produce(t, 0, batch([(b"h", b"with headers", T0, [(b"name", b"value"), (b"none", None)])]), ver=9)
    e.produce(t, 0, batch([(b"t", b"no time", -1)]), ver=9)
    for version in (0, 1, 2, 3):
        fetch(e, version, "all of it", t, 0)
        fetch(e, version, "from within a batch", t, 2)
        fetch(e, version, "from within a compressed batch", t, 6)
        fetch(e, version, "the last", t, 9)
        fetch(e, version, "the end", t, 10)
        fetch(e, version, "behind the end", t, 11)
        fetch(e, version, "below the start", t, -1)
        fetch(e, version, "an empty log", empty, 0)
        fetch(e, version, "room for the first batch only", t, 0, size=100)
        fetch(e, version, "unknown partition", t, 0, part=9)
        fetch(e, version, "unknown topic", e.n("nowhere"), 0)
        fetch(e, version, "no bytes", t, 0, size=0)
    fetch(e, 3, "no room for the first batch", t, 0, size=30)
    fetch(e, 3, "no room in the whole answer", t, 0, most=30)
    fetch(e, 3, "nothing in the whole answer", t, 0, most=0)
    fetch(e, 2, "waits for what is not there", t, 10, wait=300, least=1, timed=280)
    fetch(e, 2, "does not wait when there is something", t, 9, wait=3000, least=1, timed=2000)
    three = [{"partition": p, "fetchOffset": 0, "partitionMaxBytes": 1 << 20} for p in (0, 1, 9)]
    body = {"replicaId": -1, "maxWaitMs": 0, "minBytes": 0, "maxBytes": 1 << 20}
    e.x("Fetch", 2, {**body, "topics": [{"topic": t, "partitions": three}]}, what="three partitions, one unknown",
        note=shown)
    e.x("Fetch", 3, {**body, "topics": []}, what="no topics", note=shown)
    start = {"name": t, "partitions": [{"partitionIndex": 0, "offset": 2}]}
    e.q("DeleteRecords", 2, {"topics": [start], "timeoutMs": 5000})
    fetch(e, 2, "from a start within a batch", t, 2)
    fetch(e, 2, "below that start", t, 1)


@probe("fetch-0-3-large")
def _(e):
    t, _ = e.topic("fl", 1)
    e.produce(t, 0, batch([(None, b"x" * 3000)]), ver=9)
    e.produce(t, 0, batch([(None, b"y" * 3000)]), ver=9)
    for version in (0, 1, 2):
        for size in (5, 100, 2000):
            fetch(e, version, "room for %d bytes of a large message" % size, t, 0, size=size)
        fetch(e, version, "room for one and a half", t, 0, size=4500)
    fetch(e, 3, "version 3 gives it whole", t, 0, size=100)


@probe("fetch-0-3-transactions")
def _(e):
    t, _ = e.topic("ft", 1)
    end_transaction(e, "ft1", t, None, 2, True)
    end_transaction(e, "ft2", t, None, 1, False)
    for version in (0, 2, 3):
        fetch(e, version, "committed and aborted", t, 0)
        fetch(e, version, "from the first marker on", t, 2)
        fetch(e, version, "the last marker only", t, 4)
    for _ in range(3):
        e.produce(t, 0, batch(1), ver=9)
    fetch(e, 2, "from the last marker on", t, 4)
    fetch(e, 2, "room for the marker only", t, 4, size=80)
    fetch(e, 3, "room for the marker only", t, 4, size=80)


@probe("fetch-0-3-times")
def _(e):
    t, _ = e.topic("fa", 1, message_timestamp_type="LogAppendTime")

    def timeless(answer):
        """The time of appending is the time of this run."""
        def walk(value):
            if isinstance(value, dict):
                return {k: "$NOW" if k == "timestamp" and v > T0 + 1000000 else walk(v) for k, v in value.items()}
            return [walk(v) for v in value] if isinstance(value, list) else value
        return walk(shown(answer))
    e.produce(t, 0, batch(2), ver=9)
    e.produce(t, 0, batch(2, codec=1), ver=9)
    send(e, 2, "a wrapper of magic 1", wrapper(1, inner_of(1, 2)), t)
    for version in (1, 2):
        e.x("Fetch", version, {"replicaId": -1, "maxWaitMs": 0, "minBytes": 0, "topics": [{"topic": t, "partitions": [
            {"partition": 0, "fetchOffset": 0, "partitionMaxBytes": 1 << 20}]}]}, what="append times", note=timeless)


@probe("fetch-0-3-zstd")
def _(e):
    t, _ = e.topic("fz", 1)
    e.produce(t, 0, batch(1), ver=9)
    e.produce(t, 0, ZSTD, ver=9)
    e.produce(t, 0, batch(1), ver=9)
    for version in (1, 3):
        fetch(e, version, "zstd in the middle", t, 0)
        fetch(e, version, "zstd first", t, 1)
        fetch(e, version, "behind it", t, 2)
    z, _ = e.topic("fz-topic", 1, compression_type="zstd")
    e.produce(z, 0, batch(1), ver=9)
    for version in (0, 3):
        if version < 5:
            fetch(e, version, "a topic with zstd", z, 0)


@probe("old-and-old")
def _(e):
    t, _ = e.topic("oo", 1)
    for magic in (0, 1):
        send(e, 2, "a message", message(magic), t)
        send(e, 2, "a wrapper", wrapper(magic, inner_of(magic, 3)), t)
    for version in (0, 1, 2, 3):
        fetch(e, version, "what old clients wrote", t, 0)
        fetch(e, version, "from within a wrapper", t, 2)
