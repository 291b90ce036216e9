# SPDX-License-Identifier: MIT
"""Probes of idempotent producers, and of what compaction leaves of a log; more.py sends them. """
from cases import fe, lo, pr
from driver import T0, batch, wait
from registry import registry
from txn_cases import Producer, fetch, producers

ALL, probe = registry()
LATER = 4102444800000  # behind the time of markers, so that the segment of the older one is closed
LAG = 86400000


class Idempotent:
    def __init__(self, e, name, topic_id):
        self.e, self.topic_id = e, topic_id
        self.pid = e.q("InitProducerId", 5, {"transactionalId": None, "transactionTimeoutMs": 1})["producerId"]
        e.ints["PID", self.pid] = f"$OF({name})"

    def send(self, what, seq, n=1, epoch=0, part=0, ver=13, **more):
        records = batch(n, **{"pid": self.pid, "epoch": epoch, "seq": seq, **more})
        return self.e.x("Produce", ver, pr(self.topic_id, records, acks=-1, part=part, ver=ver), what=what)

    def q_send(self, seq, n=1, epoch=0, part=0):
        self.e.produce(self.topic_id, part, batch(n, pid=self.pid, epoch=epoch, seq=seq))


@probe("idem-epochs")
def _(e):
    t, i = e.topic("ie", 4)
    p = Idempotent(e, "p", i)
    p.send("epoch 5 first, sequence 3", 3, epoch=5)
    p.send("sequence 4", 4, epoch=5)
    p.send("epoch 6, sequence 5", 5, epoch=6)
    p.send("epoch 6, sequence 0", 0, epoch=6)
    p.send("epoch 5 again", 5, epoch=5)
    p.send("a duplicate of the old epoch", 4, epoch=5)
    p.send("epoch 32767, sequence 0", 0, epoch=32767)
    p.send("epoch 32767, sequence 1", 1, epoch=32767)
    p.send("epoch 0 after the last", 0)
    p.send("another partition, epoch 0", 0, part=1)
    p.send("a whole batch of 3", 1, 3, part=1)
    p.send("its first two again", 1, 2, part=1)
    p.send("its last two again", 2, 2, part=1)
    p.send("it and one more", 1, 4, part=1)
    p.send("it again", 1, 3, part=1)
    p.send("it again, other records", 1, [b"x", b"y", b"z"], part=1)
    p.send("it again, compressed", 1, 3, part=1, codec=1)
    p.send("the first again", 0, part=1)
    p.send("the next", 4, part=1)
    p.send("the next but one", 6, part=1)
    p.send("sequence -1", -1, part=1)
    p.send("sequence -2", -2, part=1)
    p.send("epoch -2", 5, epoch=-2, part=1)
    p.send("compressed", 5, 10, part=1, codec=1)
    p.send("the next after ten", 15, part=1)
    p.send("no records", 16, 0, part=1)
    p.send("a count that is not the records'", 16, 2, part=1, count=3)
    p.send("a last offset that is not the records'", 16, 2, part=1, last=4)
    p.send("a control batch", 16, part=1, control=True)
    p.send("after the refused ones", 16, part=1)
    for v in (3, 4, 5, 6, 7, 8, 9, 10, 11, 12):
        e.x("Produce", v, pr(t, batch(1, pid=p.pid, epoch=0, seq=v - 3), acks=-1, part=2, ver=v), what=f"v{v}")
        e.x("Produce", v, pr(t, batch(1, pid=p.pid, epoch=0, seq=v - 3), acks=-1, part=2, ver=v), what=f"v{v} again")
        e.x("Produce", v, pr(t, batch(1, pid=p.pid, epoch=0, seq=v), acks=-1, part=2, ver=v), what=f"v{v}, a gap")
    producers(e, "where it is", t, 0, 1, 2, 3)
    body = pr(i, batch(1, pid=p.pid, epoch=0, seq=0), acks=-1, part=3)
    body["topicData"][0]["partitionData"].append({"index": 1, "records": batch(1, pid=p.pid, epoch=0, seq=17)})
    body["topicData"][0]["partitionData"].append({"index": 0, "records": batch(1, pid=p.pid, epoch=0, seq=0)})
    e.x("Produce", 13, body, what="three partitions, one of them bad")
    two = batch(1, pid=p.pid, epoch=0, seq=1) + batch(1, pid=p.pid, epoch=0, seq=2)
    e.x("Produce", 13, pr(i, two, acks=-1, part=3), what="two batches at once")
    fetch(e, "what is there", i, part=1, committed=False)


@probe("idem-wraps")
def _(e):
    t, i = e.topic("iw")
    p = Idempotent(e, "p", i)
    top = 2147483647
    p.send("the last but one", top - 1)
    p.send("the last", top)
    p.send("the last again", top)
    p.send("1 after the last", 1)
    p.send("0 after the last", 0)
    p.send("1", 1)
    p.send("the last again", top)
    q = Idempotent(e, "q", i)
    q.send("three over the end", top - 1, 3)
    q.send("again", top - 1, 3)
    q.send("the first two again", top - 1, 2)
    q.send("0: inside", 0)
    q.send("1: the next", 1)
    q.send("three over the end again", top - 1, 3)
    producers(e, "in the end", t)


@probe("idem-deleted")
def _(e):
    t, i = e.topic("id")
    p = Idempotent(e, "p", i)
    for seq in range(3):
        p.q_send(seq)
    e.q("DeleteRecords", 2, {"topics": [{"name": t, "partitions": [{"partitionIndex": 0, "offset": -1}]}],
                             "timeoutMs": 5000})
    producers(e, "all records are deleted", t)
    p.send("the last again", 2)
    p.send("a gap", 9)
    p.send("the next", 3)
    fetch(e, "what is there", i, 3)
    e.q("DeleteTopics", 6, {"topics": [{"name": t}], "timeoutMs": 5000})
    wait(lambda: e.q("Metadata", 12, {"topics": [{"name": t}], "allowAutoTopicCreation": False})
         ["topics"][0]["errorCode"] == 3)
    t, i = e.topic("id")
    p.topic_id = i
    p.send("a topic of the same name, a gap", 4)
    p.send("the next", 5)
    producers(e, "the new one's", t)


def compacted(e, name, **more):
    """A compacted topic in which nothing is cleaned before clean()"""
    config = {"cleanup_policy": "compact", "segment_ms": "1000", "min_cleanable_dirty_ratio": "1.0",
              "delete_retention_ms": "86400000",
              "message_timestamp_after_max_ms": "9223372036854775807", **more}
    return e.topic(name, 1, **config)


def clean(e, topic):
    config = {"name": "min.cleanable.dirty.ratio", "configOperation": 0, "value": "0.01"}
    e.q("IncrementalAlterConfigs", 1, {"resources": [{"resourceType": 2, "resourceName": topic, "configs": [config]}]})


def ended(e, topic_id):
    """No transaction is open there, so the marker of the last one is."""
    part = e.q("Fetch", 17, fe([(topic_id, 0, 0)], isolationLevel=1))["responses"][0]["partitions"][0]
    return part["lastStableOffset"] == part["highWatermark"]


def kept(e, topic_id, offset):
    """The batch that begins there, as compaction left it; None: it is gone, or has no records."""
    r = e.q("Fetch", 17, fe([(topic_id, 0, 0)]))
    for b in e.rec(r["responses"][0]["partitions"][0]["records"])["batches"]:
        if b["baseOffset"] == offset and b["count"] > 0:
            return b
    return None


def has_horizon(e, topic_id, offset):
    b = kept(e, topic_id, offset)
    return b is not None and b["attributes"] & 0x40


def without_clock(e):
    """A marker that may be deleted has its time as the distance from its horizon, both of the wall clock: the length
    of that number is not the broker's choice, so neither is the size of the batch."""
    def note(r):
        part = r["responses"][0]["partitions"][0]
        part["records"] = e.rec(part["records"])
        for b in part["records"]["batches"]:
            if b["control"] and b["attributes"] & 0x40:
                part["records"]["bytes"] -= b.pop("size")
        return r
    return note


def close(e, topic_id, time, key=b"close"):
    """A record that is so much later that it begins a segment"""
    e.produce(topic_id, 0, batch([(key, b"-", time)]))


@probe("compact")
def _(e):
    t, i = compacted(e, "cp")
    p = Idempotent(e, "p", i)
    x = Producer(e, "cp")

    def put(*records, time=0):
        e.produce(i, 0, batch([(k, v, T0 + time) for k, v in records]))
    put((b"a", b"1"), (b"b", b"1"), (b"c", b"1"))                    # 0-2
    put((b"a", b"2"), (b"d", None))                                  # 3-4
    p.q_send(0, [(b"b", b"2"), (b"e", b"1")])                        # 5-6
    p.q_send(2, [(b"e", b"2", T0)])                                  # 7
    x.q_send(i, [(b"f", b"1", T0), (b"a", b"aborted", T0)])          # 8-9
    x.q_end(False)                                                   # 10
    x.q_send(i, [(b"f", b"2", T0)])                                  # 11
    x.q_end()                                                        # 12
    put((b"c", None), (b"g", b"1"))                                  # 13-14
    put((b"e", b"3"))                                                # 15
    close(e, i, LATER)                                            # 16
    close(e, i, LATER + LAG)                                        # 17
    clean(e, t)
    wait(lambda: kept(e, i, 7) is None)
    fetch(e, "compacted, committed", i)
    fetch(e, "compacted, uncommitted", i, committed=False)
    for offset in (1, 3, 4, 8, 10, 12, 15):
        fetch(e, f"from {offset}", i, offset)
    for ts in (-1, -2, -3, T0, T0 + 1, LATER):
        e.x("ListOffsets", 11, lo(t, ts), what=f"place {ts}")
    producers(e, "the producers", t)
    p.send("the last of a producer whose batch is gone", 2, [(b"e", b"2", T0)])
    p.send("its next", 3, [(b"e", b"4", LATER + LAG)])
    x.send("the next transaction", i, [(b"f", b"3", LATER + LAG)])
    x.end("its end")
    x.done()
    fetch(e, "the end of the log", i, 17)


@probe("compact-refused")
def _(e):
    t, i = compacted(e, "cr")
    e.x("Produce", 13, pr(i, batch([(None, b"v")]), acks=-1), what="no key")
    e.x("Produce", 13, pr(i, batch([(b"k", b"v"), (None, b"v")]), acks=-1), what="one of two has no key")
    e.x("Produce", 13, pr(i, batch([(b"", b"v")]), acks=-1), what="an empty key")
    e.x("Produce", 13, pr(i, batch([(b"k", None)]), acks=-1), what="a tombstone")
    e.x("Produce", 13, pr(i, batch([(None, None)]), acks=-1), what="neither key nor value")
    e.x("Produce", 13, pr(i, batch([(None, b"v")], codec=1), acks=-1), what="no key, compressed")
    e.x("Produce", 12, pr(t, batch([(None, b"v")]), acks=-1, ver=12), what="no key, v12")
    e.x("Produce", 7, pr(t, batch([(None, b"v")]), acks=-1, ver=7), what="no key, v7")
    p = Producer(e, "cr")
    p.send("a transaction without keys", i, [(None, b"v")])
    p.send("with one", i, [(b"k", b"v")])
    p.end("its end")
    p.done()
    wait(lambda: ended(e, i))
    fetch(e, "what is there", i)


@probe("compact-deletes")
def _(e):
    t, i = compacted(e, "cx", delete_retention_ms="0")
    x = Producer(e, "cx")
    e.produce(i, 0, batch([(b"a", b"1", T0), (b"b", b"1", T0)]))     # 0-1
    e.produce(i, 0, batch([(b"a", None, T0)]))                       # 2
    x.q_send(i, [(b"c", b"1", T0)])                                  # 3
    x.q_end(False)                                                   # 4
    e.produce(i, 0, batch([(b"d", None, T0)]))                       # 5
    close(e, i, LATER)                                            # 6
    close(e, i, LATER + LAG)                                        # 7
    clean(e, t)
    wait(lambda: has_horizon(e, i, 5))  # so the first pass is over
    close(e, i, LATER + 2 * LAG)                                     # 8
    wait(lambda: kept(e, i, 2) is None and kept(e, i, 5) is None)  # the tombstones
    e.x("Fetch", 17, fe([(i, 0, 0)], isolationLevel=1), what="tombstones and the aborted are gone",
        note=without_clock(e))
    producers(e, "the aborted one's", t)
    e.x("ListOffsets", 11, lo(t, -2), what="the first")


@probe("fetch-deleted")
def _(e):
    """A reader waits for several topics, one is deleted, another grows."""
    _, grows = e.topic("fd")
    for n in range(25):
        t, i = e.topic(f"fd{n}", 4)
        c = e.conn()
        asked = [(i, part, 0) for part in range(4)] + [(grows, 0, 0)]
        c.send("Fetch", 17, fe(asked, maxWaitMs=100, minBytes=100000))
        e.q("DeleteTopics", 6, {"topics": [{"name": t}], "timeoutMs": 5000})
        for _ in range(10):
            e.produce(grows, 0, batch(1))
        c.recv("Fetch", 17)
        c.close()
    e.x("ListOffsets", 11, lo(e.n("fd"), -1), what="all that was written meanwhile")
