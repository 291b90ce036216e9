# SPDX-License-Identifier: MIT
"""Probes of the versions that Kafka 4.0 dropped; old.py sends them. """
import time

from driver import T0, batch

ALL = []


def probe(name):
    def keep(f):
        ALL.append((name, f))
        return f
    return keep


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
