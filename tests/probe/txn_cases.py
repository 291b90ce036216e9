# SPDX-License-Identifier: MIT
"""Probes of producer ids and transactions; more.py sends them. """
from cases import fe, lo, pr, txn_begin
from driver import batch, wait
from registry import registry

ALL, probe = registry()


class Producer:
    """A transactional id, its producer id and epoch, and short words for its requests."""

    def __init__(self, e, name, timeout=60000):
        self.e, self.timeout = e, timeout
        self.name, self.ids = name, 0
        self.__dict__.update(txn_begin(e, name, timeout))
        self.learn({"producerId": self.pid})
        self.seq = {}

    def who(self, **but):
        return {"transactionalId": self.id, "producerId": self.pid, "producerEpoch": self.epoch, **but}

    def learn(self, r):
        """A name that does not depend on what other probes do at the same time: lists are sorted by it."""
        pid = r.get("producerId", -1)
        if pid >= 0 and not str(self.e.ints.get(("PID", pid))).startswith("$OF"):
            self.ids += 1
            self.e.ints["PID", pid] = f"$OF({self.name}){self.ids}"

    def init(self, what, v=5, keep=True, **but):
        r = self.e.x("InitProducerId", v, {"transactionalId": self.id, "transactionTimeoutMs": self.timeout, **but},
                     what=what, learn=self.learn)
        if keep and r and r["errorCode"] == 0:
            self.take(r)
        return r

    def take(self, r):
        if r["producerId"] != self.pid or r["producerEpoch"] != self.epoch:
            self.seq = {}
        self.pid, self.epoch = r["producerId"], r["producerEpoch"]

    def old_add(self, topics, **but):
        w = self.who(**but)
        return {"v3AndBelowTransactionalId": w["transactionalId"], "v3AndBelowProducerId": w["producerId"],
                "v3AndBelowProducerEpoch": w["producerEpoch"], "v3AndBelowTopics": named(topics)}

    def add(self, what, topics, v=3, **but):
        return self.e.x("AddPartitionsToTxn", v, self.old_add(topics, **but), what=what)

    def verify(self, topics, only=True, **but):
        """One transaction of AddPartitionsToTxn v4"""
        return {**self.who(**but), "verifyOnly": only, "topics": named(topics)}

    def q_add(self, topics):
        r = self.e.q("AddPartitionsToTxn", 3, self.old_add(topics))
        codes = {p["partitionErrorCode"] for t in r["resultsByTopicV3AndBelow"] for p in t["resultsByPartition"]}
        if codes == {51}:  # the one before is not complete
            self.done()
            return self.q_add(topics)
        assert codes == {0}, r
        return r

    def records(self, n=1, seq=0, **more):
        return batch(n, **{"pid": self.pid, "epoch": self.epoch, "seq": seq, "txn": True, **more})

    def q_send(self, topic_id, n=1, part=0):
        """Quietly, and with the right sequence: a partition is added by it."""
        seq = self.seq.get((topic_id, part), 0)
        base = self.e.produce(topic_id, part, self.records(n, seq), txn=self.id)
        self.seq[topic_id, part] = seq + (n if isinstance(n, int) else len(n))
        return base

    def send(self, what, key, n=1, part=0, ver=13, txn=None, **more):
        return self.e.x("Produce", ver, pr(key, self.records(n, **more), acks=-1, part=part, ver=ver,
                                           txn=self.id if txn is None else txn), what=what)

    def end(self, what, commit=True, v=5, keep=True, **but):
        r = self.e.x("EndTxn", v, {**self.who(**but), "committed": commit}, what=what, learn=self.learn)
        if keep and r and r["errorCode"] == 0 and v >= 5 and r["producerEpoch"] >= 0:
            self.take(r)
        return r

    def q_end(self, commit=True, v=5):
        r = self.e.q("EndTxn", v, {**self.who(), "committed": commit})
        assert r["errorCode"] == 0, r
        if v >= 5:
            self.learn(r)
            self.take(r)
        self.done()

    def done(self):
        """Waits until what was ended is complete."""
        wait(lambda: self.state() in ("Empty", "CompleteCommit", "CompleteAbort"))

    def state(self):
        return self.e.q("DescribeTransactions", 0, {"transactionalIds": [self.id]}
                        )["transactionStates"][0]["transactionState"]

    def describe(self, what):
        def hide(r):
            for topic in r["transactionStates"][0]["topics"]:
                if topic["topic"] == "__consumer_offsets":  # which one depends on the group's name
                    topic["partitions"] = len(topic["partitions"])
            return r
        self.e.x("DescribeTransactions", 0, {"transactionalIds": [self.id]}, what=what, note=hide)


def named(topics):
    """[(name, partitions)] as requests have it"""
    return [{"name": name, "partitions": list(parts)} for name, parts in topics]


def producers(e, what, topic, *parts):
    e.x("DescribeProducers", 0, {"topics": [{"name": topic, "partitionIndexes": list(parts or [0])}]}, what=what)


def fetch(e, what, topic_id, offset=0, part=0, v=17, committed=True, most=1 << 20, total=1 << 20):
    e.x("Fetch", v, fe([(topic_id, part, offset, {"partitionMaxBytes": most})], isolationLevel=int(committed),
                       maxBytes=total), what=what)


@probe("txn-init")
def _(e):
    p = Producer(e, "ini")
    for v in range(6):
        p.init(f"v{v}", v)
    for v in (3, 4, 5):
        p.init(f"v{v}, with its producer id and epoch", v, producerId=p.pid, producerEpoch=p.epoch)
        p.init(f"v{v}, with the epoch before", v, keep=False, producerId=p.pid, producerEpoch=p.epoch - 1)
    p.init("the same retry again", keep=False, producerId=p.pid, producerEpoch=p.epoch - 1)
    p.init("two epochs ago", keep=False, producerId=p.pid, producerEpoch=p.epoch - 2)
    p.init("epoch ahead", keep=False, producerId=p.pid, producerEpoch=p.epoch + 1)
    p.init("another producer id", keep=False, producerId=p.pid + 1000, producerEpoch=p.epoch)
    p.init("an epoch without a producer id", keep=False, producerId=-1, producerEpoch=p.epoch)
    p.init("a producer id without an epoch", keep=False, producerId=p.pid, producerEpoch=-1)
    p.init("a new id, producer id and epoch given", keep=False, transactionalId=e.n("ini-new"), producerId=p.pid,
           producerEpoch=p.epoch)
    p.init("another time-out", transactionTimeoutMs=1234)
    p.describe("shows it")
    p.init("the longest time-out", transactionTimeoutMs=900000)
    p.init("longer", transactionTimeoutMs=900001)
    p.init("the longest there is", transactionTimeoutMs=2147483647)
    p.init("a negative one", transactionTimeoutMs=-2)
    p.init("empty id, v0", 0, keep=False, transactionalId="")
    p.init("an id of 1000 bytes", keep=False, transactionalId="x" * 1000 + e.run)
    p.init("an id with odd letters", keep=False, transactionalId="a b\u00e9\t*" + e.run)
    p.init("no id, with a producer id and an epoch", keep=False, transactionalId=None, producerId=p.pid,
           producerEpoch=3)
    p.init("no id, with an epoch only", keep=False, transactionalId=None, producerEpoch=3)
    p.init("no id, time-out too long", keep=False, transactionalId=None, transactionTimeoutMs=2147483647)
    p.init("no id, v1", 1, keep=False, transactionalId=None)
    p.describe("after all that")
    e.x("InitProducerId", 6, {"transactionalId": p.id, "transactionTimeoutMs": 1000}, what="v6 is not stable")


@probe("txn-init-open")
def _(e):
    t, i = e.topic("inio")
    p = Producer(e, "inio")
    p.q_send(i, 2)
    first = p.epoch
    r = e.x("InitProducerId", 5, {"transactionalId": p.id, "transactionTimeoutMs": 60000}, what="a transaction is open",
            learn=p.learn, until=lambda r: r["errorCode"] != 51)
    fetch(e, "it is aborted", i)
    producers(e, "its producer", t)
    p.send("what the fenced producer sends", i, seq=2)
    p.end("what it ends", keep=False)
    p.add("what it adds, v3", [(t, [0])])
    p.init("the fenced producer wants a new epoch", keep=False, producerId=p.pid, producerEpoch=first)
    p.take(r)
    p.send("the new one", i, seq=0)
    e.x("InitProducerId", 5, {"transactionalId": p.id, "transactionTimeoutMs": 60000, "producerId": p.pid,
                              "producerEpoch": p.epoch}, what="with its own epoch while its transaction is open",
        learn=p.learn, until=lambda r: r["errorCode"] != 51)
    fetch(e, "it is aborted too", i, 3)


def raise_epochs(e, producers, to):
    """Many requests at a time on a connection of each: one is answered before the next is taken."""
    conns = [(p, e.conn(), {"transactionalId": p.id, "transactionTimeoutMs": 60000}) for p in producers]
    for first in range(0, to, 500):
        count = min(500, to - first)
        for _, c, body in conns:
            for _ in range(count):
                c.send("InitProducerId", 4, body)
        for p, c, _ in conns:
            for _ in range(count):
                r = c.recv("InitProducerId", 4)[1]
                assert r["errorCode"] == 0, r
            p.take(r)


@probe("txn-epochs-end")
def _(e):
    p, s = Producer(e, "ee"), Producer(e, "ee5")
    t, i = e.topic("ee")
    u, j = e.topic("ee5")
    raise_epochs(e, [p, s], 32761)
    for n in range(4):
        p.init(f"towards the last epoch, {n}", 4)
    p.describe("near the last epoch")
    p.q_add([(t, [0])])
    p.send("a transaction near it", t, ver=11)
    p.end("its commit, v4", v=4)
    p.done()
    fetch(e, "its records", i)
    p.init("once more", 4)
    p.init("and again, with what it has", 4, producerId=p.pid, producerEpoch=p.epoch)
    p.describe("a new producer id")
    for n in range(6):
        s.seq = {}
        s.send(f"transaction {n}", j)
        old = s.who()
        s.end(f"commit {n}", n != 2)
        e.x("EndTxn", 5, {**old, "committed": n != 2}, what=f"commit {n} again", learn=s.learn,
            until=lambda r: r["errorCode"] != 51)
        s.done()
        s.describe(f"after transaction {n}")
    fetch(e, "all of them", j)
    producers(e, "their producers", u)


@probe("txn-add")
def _(e):
    t, i = e.topic("add", 3)
    u, _ = e.topic("addu", 1)
    p = Producer(e, "add")
    for v in range(4):
        p.add(f"v{v}", [(t, [v % 3])], v)
    p.describe("three partitions")
    p.add("nothing", [])
    p.add("a topic without partitions", [(t, [])])
    p.add("a partition twice", [(u, [0, 0])])
    p.add("a topic twice", [(u, [0]), (u, [0])])
    p.add("partition -1", [(u, [-1])])
    p.add("a topic's name is empty", [("", [0])])
    p.add("good and bad ones", [(t, [0, 8]), (e.n("nowhere"), [0]), (u, [0])])
    p.describe("nothing of the bad request was added")
    p.add("no id", [(t, [0])], transactionalId="")
    p.add("an id with no producer", [(t, [0])], transactionalId=e.n("nobody"))
    p.add("producer id -1", [(t, [0])], producerId=-1)
    p.add("epoch 32767", [(t, [0])], producerEpoch=32767)
    p.add("internal topics", [("__consumer_offsets", [0]), ("__transaction_state", [0])])
    p.describe("without them")
    e.x("AddPartitionsToTxn", 4, {"transactions": [p.verify([("__consumer_offsets", [0])], False)]},
        what="an internal topic, v4")
    p.describe("with it")
    p.end("abort, v4", False, 4)
    p.done()
    p.describe("aborted")
    e.x("ListOffsets", 11, lo(t, -1), what="its marker")
    e.x("ListOffsets", 11, lo(t, -1, iso=1), what="its marker, committed")


@probe("txn-verify")
def _(e):
    t, i = e.topic("ver", 3)
    p, q = Producer(e, "ver"), Producer(e, "verq")

    def both(what, *transactions, v=4):
        e.x("AddPartitionsToTxn", v, {"transactions": list(transactions)}, what=what)
    for v in (4, 5):
        both(f"v{v}: only verify, nothing is open", p.verify([(t, [0])]), v=v)
        if v == 4:
            both(f"v{v}: nothing", v=v)
        both(f"v{v}: no topics", p.verify([]), v=v)
        both(f"v{v}: an id with no producer", p.verify([(t, [0])], transactionalId=e.n("nobody")), v=v)
        both(f"v{v}: empty id", p.verify([(t, [0])], transactionalId=""), v=v)
        both(f"v{v}: another producer id", p.verify([(t, [0])], producerId=p.pid + 999), v=v)
        both(f"v{v}: epoch ahead", p.verify([(t, [0])], producerEpoch=p.epoch + 1), v=v)
        both(f"v{v}: epoch behind", p.verify([(t, [0])], producerEpoch=p.epoch - 1), v=v)
        both(f"v{v}: unknown topic", p.verify([(e.n("nowhere"), [0])]), v=v)
    p.q_add([(t, [1])])
    both("one is there, one is not", p.verify([(t, [0, 1])]))
    both("added, then verified", p.verify([(t, [2])], False), q.verify([(t, [2])], False))
    both("both verified", p.verify([(t, [2])]), q.verify([(t, [2])]))
    both("verified and added", p.verify([(t, [0])]), q.verify([(t, [0])], False))
    both("one id twice", p.verify([(t, [0])], False), p.verify([(t, [1])]))
    both("one id good, one bad", p.verify([(t, [0])], False), q.verify([(t, [0])], False, producerEpoch=30))
    both("v5 adds too", q.verify([(t, [1])], False), v=5)
    p.describe("what one has")
    q.describe("what the other has")
    p.end("commit", v=4)
    p.done()
    both("only verify, complete", p.verify([(t, [0])]))
    q.end("abort", False, v=4)
    q.done()
    e.x("ListOffsets", 11, lo(t, -1), what="markers of two producers")


@probe("txn-end")
def _(e):
    t, i = e.topic("end")
    p = Producer(e, "end")
    for v in range(5):
        p.q_add([(t, [0])])
        commit = v % 2 == 0
        p.end(f"v{v}, commit: {commit}", commit, v)
        p.done()
        p.end(f"v{v}, again", commit, v)
        p.end(f"v{v}, the other way", not commit, v)
    p.end("v4, epoch behind", v=4, producerEpoch=p.epoch - 1)
    p.end("v4, empty id", v=4, transactionalId="")
    p.end("v4, no such producer id", v=4, producerId=p.pid + 1000)
    p = Producer(e, "end5")
    p.end("v5, abort, nothing was ever begun", False)
    p.done()
    p.end("v5, commit, nothing is open")
    p.q_send(i)
    p.describe("open")
    old = p.epoch
    p.end("v5, commit")
    p.done()
    p.describe("committed")
    p.end("v5, commit again with the old epoch", keep=False, producerEpoch=old)
    p.end("v5, abort with the old epoch", False, keep=False, producerEpoch=old)
    p.end("v4, commit with the old epoch", v=4, producerEpoch=old)
    p.end("v4, abort with the old epoch", False, v=4, producerEpoch=old)
    p.end("v5, commit with the new epoch")
    p.end("v5, abort with the new epoch: the epoch rises", False)
    p.done()
    p.end("v5, two epochs behind", keep=False, producerEpoch=old - 1)
    p.end("v5, ahead", keep=False, producerEpoch=p.epoch + 1)
    p.q_send(i)
    old = p.epoch
    p.end("v5, abort", False)
    p.done()
    p.describe("aborted")
    p.end("v5, abort again with the old epoch", False, keep=False, producerEpoch=old)
    p.end("v5, commit with the old epoch", keep=False, producerEpoch=old)
    p.end("v5, unknown id", keep=False, transactionalId=e.n("nobody"))
    p.end("v5, empty id", keep=False, transactionalId="")
    p.end("v5, another producer id", keep=False, producerId=p.pid + 1000)
    p.q_send(i)
    p.end("v4 ends what v5 would", v=4)
    p.done()
    p.describe("the epoch stays")
    p.send("sequence 0 in the same epoch, v13", i, seq=0)
    p.end("v5 again")
    p.done()
    fetch(e, "the whole topic", i)
    producers(e, "its producers", t)


@probe("txn-end-deleted")
def _(e):
    t, i = e.topic("ded")
    u, j = e.topic("dedu")
    p = Producer(e, "ded")
    p.q_send(i)
    p.q_send(j)
    e.q("DeleteTopics", 6, {"topics": [{"name": t}], "timeoutMs": 5000})
    p.send("into the deleted topic", i, seq=1)
    p.describe("it is in the transaction still")
    p.end("commit")
    p.done()
    p.describe("complete")
    fetch(e, "the topic that is left", j)
    p.send("a new transaction", j, seq=0)
    e.q("DeleteTopics", 6, {"topics": [{"name": u}], "timeoutMs": 5000})
    p.end("abort, nothing is left", False)
    p.done()
    p.describe("complete, again")


@probe("txn-produce")
def _(e):
    t, i = e.topic("prd", 7)
    p, q = Producer(e, "prd"), Producer(e, "prdq")
    plain = e.q("InitProducerId", 5, {"transactionalId": None, "transactionTimeoutMs": 1})["producerId"]
    e.ints["PID", plain] = "$OF(plain)"
    for v in (3, 8, 9, 11):
        p.send(f"v{v}, not added", t, ver=v)
    p.describe("nothing is open")
    p.q_add([(t, [0])])
    for n, v in enumerate((3, 8, 9, 11, 12)):
        p.send(f"v{v}, added", t, ver=v, seq=n)
    p.send("v12 adds a partition", t, ver=12, part=1)
    p.describe("two partitions")
    p.send("no transactional id in the request", i, txn="", part=1, seq=1)
    e.x("Produce", 13, pr(i, p.records(1, 1), acks=-1, part=1), what="null as the transactional id")
    p.send("another transactional id", i, part=2, txn=q.id)
    p.send("an unknown one", i, part=2, txn=e.n("nobody"))
    p.send("acks 1", i, seq=5)
    e.x("Produce", 13, pr(i, p.records(1, 5), acks=1, part=0, txn=p.id), what="acks 1")
    e.x("Produce", 13, pr(i, p.records(1, 6, txn=False), acks=-1, part=0, txn=p.id), what="a plain batch of it")
    e.x("Produce", 13, pr(i, batch(1, pid=plain, epoch=0, seq=0), acks=-1, part=3, txn=p.id),
        what="an idempotent producer's batch in a transactional request")
    e.x("Produce", 13, pr(i, batch(1), acks=-1, part=3, txn=p.id), what="nobody's batch in a transactional request")
    e.x("Produce", 13, pr(i, batch(1, pid=plain, epoch=0, seq=1, txn=True), acks=-1, part=3, txn=p.id),
        what="another producer's transactional batch")
    e.x("Produce", 13, pr(i, batch(1, pid=-1, txn=True), acks=-1, part=4, txn=p.id), what="a transaction of nobody")
    p.send("a marker, v13", i, part=5, control=True)
    p.send("after what was refused, a gap", i, part=5, seq=1)
    p.send("a gap at the start of a partition, v13", i, part=3, seq=5)
    p.send("the one after it", i, part=3, seq=6)
    p.send("what comes before it", i, part=3, seq=4)
    p.send("a gap", i, part=0, seq=50)
    p.send("the last one again", i, part=0, seq=5)
    p.send("epoch ahead", i, part=0, seq=0, epoch=p.epoch + 1)
    p.send("the last epoch", i, part=0, seq=0, epoch=32767)
    p.send("epoch -1", i, part=0, seq=0, epoch=-1)
    p.send("a partition that is not there", i, part=9)
    p.send("compressed", i, n=3, part=2, codec=1)
    body = pr(i, p.records(1, 3), acks=-1, part=2, txn=p.id)
    body["topicData"][0]["partitionData"].append({"index": 1, "records": p.records(1, 1)})
    e.x("Produce", 13, body, what="two partitions at once")
    body["topicData"][0]["partitionData"] = [{"index": 2, "records": p.records(1, 4)},
                                             {"index": 1, "records": q.records(1, 0)}]
    e.x("Produce", 13, body, what="two producers at once")
    p.describe("what is in it")
    producers(e, "who is in it", t, 0, 1, 2, 3)
    p.end("commit")
    p.done()
    for part in range(4):
        fetch(e, f"partition {part}", i, part=part)
    p.send("a new transaction begins at sequence 3", i, seq=3)
    p.send("it begins at sequence 0", i, seq=0)
    p.q_end(False)
    p.send("after an abort at sequence 1", i, seq=1)
    p.send("after an abort at sequence 0", i, seq=0)
    producers(e, "the first partition", t, 0)
    q.q_add([(t, [0])])
    q.send("v11: first", t, ver=11, seq=0)
    q.send("v11: second", t, ver=11, seq=1)
    q.end("v4", v=4)
    q.done()
    q.send("v11: after the commit, not added", t, ver=11, seq=2)
    q.q_add([(t, [0])])
    q.send("v11: the sequence goes on", t, ver=11, seq=2)
    q.send("v11: the second again", t, ver=11, seq=1)
    q.send("v11: sequence 0 in the same epoch is what was", t, ver=11, seq=0)
    q.send("v11: the end that the client has forgotten", t, ver=11, seq=9)
    q.end("v4, abort", False, 4)
    q.done()
    producers(e, "both", t, 0)


@probe("txn-time-outs")
def _(e):
    t, i = e.topic("tim", 2)

    def late(name, version):
        """A transaction whose time is over, but not before its record is there; the producer that had it"""
        p = Producer(e, name, 3000)
        if version == 2:
            e.produce(i, 0, p.records(), txn=p.id)
        else:
            e.q("AddPartitionsToTxn", 3, p.old_add([(t, [0])]))
        wait(lambda: p.state() == "CompleteAbort")
        return p
    p = late("tim1", 1)
    p.describe("the time is over, v1")
    p.end("v4: commit", v=4)
    p.end("v4: abort", False, 4)
    p.add("v3: add", [(t, [0])])
    p.send("v11: produce", t, ver=11)
    e.x("AddOffsetsToTxn", 3, {**p.who(), "groupId": e.n("tim")}, what="AddOffsetsToTxn v3")
    p.init("with what it had", keep=False, producerId=p.pid, producerEpoch=p.epoch)
    p.init("without")
    p = late("tim2", 2)
    p.describe("the time is over, v2")
    p.send("v13: produce", i, seq=1)
    p.end("v5: commit", keep=False)
    p.end("v4: commit", v=4)
    p.init("with what it had", producerId=p.pid, producerEpoch=p.epoch)
    p.send("a new one", i)
    wait(lambda: p.state() == "CompleteAbort")
    p.end("v5: abort", False, keep=False)
    p.describe("what came of it")
    p.init("without")
    p.describe("and after it")
    p = late("tim3", 2)
    p.add("v3: add", [(t, [1])])
    p.describe("after it")
    producers(e, "nothing is open", t, 0, 1)
    p = Producer(e, "tim4", 60000)
    p.q_send(i)
    p.init("another time-out while it is open", transactionTimeoutMs=5000)
    p.done()
    p.describe("the old one's")
    p.init("again", transactionTimeoutMs=5000)
    p.describe("the new one's")


@probe("txn-list")
def _(e):
    t, i = e.topic("lst")
    p, q, r, s = (Producer(e, name) for name in ("lst-a", "lst-b", "lst-c", "lst-d"))
    p.q_send(i)
    q.q_send(i)
    q.q_end()
    r.q_send(i)
    r.q_end(False)
    ours = [x.pid for x in (p, q, r, s)]

    def ask(what, v=2, states=(), pids=None, longer=-1, pattern=None):
        def sort(answer):
            answer["transactionStates"].sort(key=lambda row: row["transactionalId"])
            answer["unknownStateFilters"].sort()
        body = {"stateFilters": list(states), "producerIdFilters": ours if pids is None else pids}
        if v >= 1:
            body["durationFilter"] = longer
        if v >= 2:
            body["transactionalIdPattern"] = pattern
        e.x("ListTransactions", v, body, what=what, learn=sort)
    for v in (0, 1, 2):
        ask(f"v{v}: those four", v)
        ask(f"v{v}: ongoing", v, ["Ongoing"])
        ask(f"v{v}: complete", v, ["CompleteCommit", "CompleteAbort"])
        ask(f"v{v}: empty", v, ["Empty"])
        ask(f"v{v}: unknown states", v, ["ongoing", "", "Empty", "Never"])
        ask(f"v{v}: only unknown states", v, ["ONGOING"])
    ask("states that none has", 2, ["PrepareCommit", "PrepareAbort", "PrepareEpochFence", "Dead"])
    ask("a producer id of nobody", 2, pids=[987654321])
    ask("producer id -1", 2, pids=[-1])
    ask("one twice", 2, pids=[p.pid, p.pid])
    for longer in (0, 1, 100000, 9223372036854775807, -2):
        ask(f"running longer than {longer}", 1, longer=longer)
    ask("ongoing and longer than 0", 1, ["Ongoing"], longer=0)
    for pattern in ("", "lst-[ab].*", "lst-.-" + e.run, "lst", ".*" + e.run, "LST.*", "(?i)LST-a.*", "lst-a.*|lst-c.*",
                    r"lst\-d.+", "^lst-a.*$", "*", "[", "(?<name>lst).*", r"\p{Alpha}+-a.*", "lst-[^a].*",
                    "lst-a.{3,}"):
        ask(f"pattern {pattern}".replace(e.run, "RUN"), 2, pattern=pattern)
    e.x("DescribeTransactions", 0, {"transactionalIds": [x.id for x in (s, r, q, p)]}, what="describe them")
    e.x("DescribeTransactions", 0, {"transactionalIds": []}, what="describe none")
    e.x("DescribeTransactions", 0, {"transactionalIds": [p.id, p.id]}, what="describe one twice")
    producers(e, "producers", t, 0)
    e.x("DescribeProducers", 0, {"topics": []}, what="of no topic")
    e.x("DescribeProducers", 0, {"topics": [{"name": t, "partitionIndexes": []}]}, what="of no partition")
    e.x("DescribeProducers", 0, {"topics": [{"name": t, "partitionIndexes": [0, 0, -1]}]}, what="twice, and -1")
    e.x("DescribeProducers", 0, {"topics": [{"name": t, "partitionIndexes": [0]}, {"name": "", "partitionIndexes": [0]},
                                            {"name": t, "partitionIndexes": [0]}]}, what="a topic twice, and no name")


@probe("txn-markers")
def _(e):
    t, i = e.topic("mrk", 3)
    p = Producer(e, "mrk")

    def write(what, v=1, topics=((t, (0,)),), commit=True, coordinator=0, **but):
        w = p.who(**but)
        marker = {"producerId": w["producerId"], "producerEpoch": w["producerEpoch"], "transactionResult": commit,
                  "coordinatorEpoch": coordinator,
                  "topics": [{"name": a, "partitionIndexes": list(b)} for a, b in topics]}
        if v >= 2:
            marker["transactionVersion"] = but.get("version", 2)
        e.x("WriteTxnMarkers", v, {"markers": [marker]}, what=what)
    write("v1: of a producer that wrote nothing there")
    write("v1: the same again")
    fetch(e, "two markers", i)
    p.q_add([(t, [0, 1])])
    p.send("v11: open", t, ver=11)
    p.send("v11: open", t, ver=11, part=1)
    write("v1: abort", commit=False, topics=[(t, [0])])
    producers(e, "one is closed", t, 0, 1)
    fetch(e, "it is aborted", i)
    fetch(e, "the other is open", i, part=1)
    p.describe("the coordinator knows nothing of it")
    write("v1: epoch ahead", topics=[(t, [1])], producerEpoch=p.epoch + 1)
    producers(e, "it is closed", t, 1)
    write("v1: the epoch before", topics=[(t, [1])])
    write("v1: coordinator ahead", topics=[(t, [1])], coordinator=5, producerEpoch=p.epoch + 1)
    write("v1: coordinator behind", topics=[(t, [1])], coordinator=3, producerEpoch=p.epoch + 1)
    write("v1: coordinator -1", topics=[(t, [1])], coordinator=-1, producerEpoch=p.epoch + 1)
    producers(e, "the coordinator's epoch", t, 1)
    write("v1: partitions that are not there", topics=[(t, [2, 7]), (e.n("nowhere"), [0])])
    write("v1: no topics", topics=[])
    e.x("WriteTxnMarkers", 1, {"markers": []}, what="v1: no markers")
    write("v1: epoch -1", topics=[(t, [2])], producerEpoch=-1)
    write("v1: producer id -1", topics=[(t, [2])], producerId=-1)
    fetch(e, "what came of them", i, part=2)
    q = Producer(e, "mrkq")
    q.q_send(i, part=2)
    p = q
    write("v2: the same epoch, version 2", 2, [(t, [2])])
    write("v2: the next epoch, version 2", 2, [(t, [2])], producerEpoch=q.epoch + 1)
    producers(e, "closed", t, 2)
    write("v2: it is written again", 2, [(t, [2])], producerEpoch=q.epoch + 1)
    q.send("v13: more of the same transaction", i, part=2, seq=1)
    write("v2: the same epoch, version 1", 2, [(t, [2])], version=1)
    write("v2: the next epoch, version 0", 2, [(t, [2])], producerEpoch=q.epoch + 1, version=0)
    write("v2: an epoch far ahead", 2, [(t, [2])], producerEpoch=q.epoch + 100)
    fetch(e, "all of it", i, part=2)
    producers(e, "at last", t, 2)
    q.end("its commit now")


@probe("txn-two")
def _(e):
    t, i = e.topic("two", 2)
    u, j = e.topic("twou", 1)
    p, q, r = Producer(e, "two-p"), Producer(e, "two-q"), Producer(e, "two-r")
    for x, n in ((p, 2), (q, 1), (r, 3), (p, 1), (q, 2)):
        x.q_send(i, n)
    p.q_send(j, 1)
    producers(e, "three are open", t, 0, 1)
    q.q_end(False)
    fetch(e, "one is aborted, the first is open", i)
    fetch(e, "uncommitted", i, committed=False)
    p.q_end()
    fetch(e, "the first is committed, the last is open", i)
    r.q_end(False)
    fetch(e, "all are over", i)
    fetch(e, "from the middle", i, 4)
    fetch(e, "from behind the first abort's marker", i, 10)
    fetch(e, "another topic of the first", j)
    e.x("ListTransactions", 0, {"stateFilters": [], "producerIdFilters": [p.pid]}, what="the first")
    for n in range(3):
        q.q_send(i, 1, 1)
        q.q_end(n == 1)
    fetch(e, "abort, commit, abort", i, part=1)
    fetch(e, "the last abort", i, 4, part=1)
    producers(e, "in the end", t, 0, 1)
