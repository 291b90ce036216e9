# SPDX-License-Identifier: MIT
"""Probes of what readers see of transactions, and of offsets that are committed in them; more.py sends them. """
from cases import jg, learn_member, lo
from driver import T0, batch, wait
from registry import registry
from txn_cases import Producer, fetch, producers

ALL, probe = registry()


def history(e, name):
    """One partition with every kind of end in it: (topic, id, the producer whose transaction is open)"""
    t, i = e.topic(name)
    a, b, c = (Producer(e, f"{name}-{x}") for x in "abc")
    e.produce(i, 0, batch(2))           # 0-1 nobody's
    a.q_send(i, 2)                      # 2-3 aborted
    b.q_send(i, 1)                      # 4 committed
    e.produce(i, 0, batch(1))           # 5
    a.q_end(False)                      # 6
    b.q_send(i, [(b"k", b"v", T0 + 500)])  # 7
    b.q_end()                           # 8
    a.q_send(i, 3)                      # 9-11 aborted
    a.q_end(False)                      # 12
    e.produce(i, 0, batch([(b"k", b"late", T0 + 900)]))  # 13
    c.q_send(i, [(b"k", b"open", T0 + 1000)])            # 14 open
    e.produce(i, 0, batch([(b"k", b"behind", T0 + 800)]))   # 15
    return t, i, c


@probe("committed-fetch")
def _(e):
    t, i, _ = history(e, "cf")
    for v in range(4, 19):
        for level in (0, 1):
            topic = {"topic": t} if v < 13 else {"topicId": i}
            part = {"partition": 0, "fetchOffset": 0, "partitionMaxBytes": 1 << 20}
            e.x("Fetch", v, {"maxWaitMs": 0, "minBytes": 0, "maxBytes": 1 << 20, "isolationLevel": level,
                             "topics": [{**topic, "partitions": [part]}]}, what=f"v{v}, isolation level {level}")
    for offset in range(1, 18):
        fetch(e, f"from {offset}", i, offset)
    for most in (1, 100, 200, 300, 400, 600, 800):
        fetch(e, f"{most} bytes of the partition", i, most=most)
    fetch(e, "100 bytes in all", i, total=100)
    fetch(e, "100 bytes from the second abort", i, 9, most=100)
    fetch(e, "uncommitted, beyond the last stable offset", i, 14, committed=False)
    e.x("Fetch", 17, {"maxWaitMs": 300, "minBytes": 1, "maxBytes": 1 << 20, "isolationLevel": 1, "topics": [
        {"topicId": i, "partitions": [{"partition": 0, "fetchOffset": 14, "partitionMaxBytes": 1000}]}]},
        what="at the last stable offset it waits", timed=250)
    e.x("Fetch", 17, {"maxWaitMs": 300, "minBytes": 1, "maxBytes": 1 << 20, "isolationLevel": 1, "topics": [
        {"topicId": i, "partitions": [{"partition": 0, "fetchOffset": 15, "partitionMaxBytes": 1000}]}]},
        what="behind it", timed=250)


@probe("committed-offsets")
def _(e):
    t, i, c = history(e, "co")

    def ask(what, ts, v=11):
        for iso in (0, 1):
            e.x("ListOffsets", v, lo(t, ts, iso=iso, ver=v), what=f"{what}, isolation level {iso}")

    def places():
        for name, ts in (("latest", -1), ("earliest", -2), ("highest time", -3), ("local", -4), ("tiered", -5)):
            ask(name, ts)
        for name, ts in (("first", T0), ("a committed one", T0 + 400), ("the open one", T0 + 1000),
                         ("the one before it", T0 + 900), ("behind it", T0 + 901), ("the future", T0 + 99999)):
            ask(f"time: {name}", ts)
    places()
    for v in (1, 2, 3, 4, 5, 6, 7, 8, 9, 10):
        ask(f"latest, v{v}", -1, v)
    c.q_end()
    places()


@probe("committed-deleted")
def _(e):
    t, i, c = history(e, "cd")

    def cut(what, offset):
        e.x("DeleteRecords", 2, {"topics": [{"name": t, "partitions": [{"partitionIndex": 0, "offset": offset}]}],
                                 "timeoutMs": 3000}, what=what)
        fetch(e, "from there", i, max(offset, 0))
        e.x("ListOffsets", 11, lo(t, -1, iso=1), what="the last stable offset")
        e.x("ListOffsets", 11, lo(t, -2, iso=1), what="the earliest, committed")
        producers(e, "the producers", t)
    cut("in an aborted transaction", 3)
    cut("behind its records, before its marker", 5)
    cut("behind its marker", 7)
    cut("at the open transaction", 14)
    cut("behind its records", 15)
    fetch(e, "at the last record", i, 15)
    e.produce(i, 0, batch(1))
    fetch(e, "after another record", i, 15)
    cut("to the end", -1)
    c.send("more of the open one", i, seq=1)
    fetch(e, "it", i, 17)
    c.end("its commit")
    c.done()
    fetch(e, "committed", i, 17)
    producers(e, "nobody is left", t)


@probe("txn-group")
def _(e):
    t, _ = e.topic("tg", 3)
    g = e.n("tg")
    p, q = Producer(e, "tg-p"), Producer(e, "tg-q")
    box = []
    c = e.conn()
    r = e.x("JoinGroup", 5, jg(g, ver=5), conn=c, learn=learn_member(e, box), what="a member")
    if r and r["errorCode"] == 79:
        r = e.x("JoinGroup", 5, jg(g, r["memberId"], ver=5), conn=c, learn=learn_member(e, box), what="a member")
    me, gen = r["memberId"], r["generationId"]
    e.x("SyncGroup", 3, {"groupId": g, "generationId": gen, "memberId": me,
                         "assignments": [{"memberId": me, "assignment": b""}]}, conn=c, what="its share")

    def commit(what, v=5, by=p, parts=((0, 5),), topic=t, **kw):
        w = by.who()
        body = {**w, "groupId": g, "topics": [{"name": topic, "partitions": [
            {"partitionIndex": a, "committedOffset": b, "committedMetadata": kw.pop("metadata", "m")}
            for a, b in parts]}], **kw}
        e.x("TxnOffsetCommit", v, body, what=what)

    def show(what, stable=True, v=9, group=g):
        e.x("OffsetFetch", v, {"groups": [{"groupId": group, "topics": [{"name": t, "partitionIndexes": [0, 1, 2]}]}],
                               "requireStable": stable}, what=what)
    for v in range(4):
        e.x("AddOffsetsToTxn", v, {**p.who(), "groupId": g}, what=f"v{v}")
    e.x("AddOffsetsToTxn", 3, {**p.who(), "groupId": g, "producerEpoch": 9}, what="v3, epoch ahead")
    e.x("AddOffsetsToTxn", 3, {**p.who(), "groupId": g, "producerId": p.pid + 999}, what="v3, another producer id")
    e.x("AddOffsetsToTxn", 3, {**p.who(), "groupId": g, "transactionalId": ""}, what="v3, empty id")
    e.x("AddOffsetsToTxn", 4, {**q.who(), "groupId": g}, what="v4")
    p.describe("the group's partition is in it")
    for v in range(6):
        commit(f"v{v}", v, parts=((0, 10 + v),))
    me_now = {"memberId": me, "generationId": gen}
    for v in (3, 4, 5):
        commit(f"v{v}, as the member", v, **me_now)
        commit(f"v{v}, a generation ahead", v, memberId=me, generationId=gen + 1)
        commit(f"v{v}, a generation behind", v, memberId=me, generationId=gen - 1)
        commit(f"v{v}, an unknown member", v, memberId="nobody", generationId=gen)
        commit(f"v{v}, a generation and no member", v, generationId=gen)
        commit(f"v{v}, a member and no generation", v, memberId=me)
        commit(f"v{v}, an unknown instance", v, **me_now, groupInstanceId="static")
    commit("unknown group", groupId=e.n("nobody"), parts=((1, 1),))
    commit("unknown group, a generation", groupId=e.n("nobody"), parts=((1, 1),), **me_now)
    commit("empty group", groupId="")
    commit("empty id", transactionalId="", parts=((1, 1),))
    commit("another's id", transactionalId=q.id, parts=((1, 1),))
    commit("epoch behind", producerEpoch=-1, parts=((1, 1),))
    commit("epoch ahead", producerEpoch=p.epoch + 1, parts=((1, 1),))
    commit("another producer id", producerId=p.pid + 999, parts=((1, 1),))
    commit("long metadata", metadata="x" * 5000, parts=((1, 1),))
    commit("offset -1", parts=((2, -1),))
    commit("good and bad partitions", parts=((0, 20), (9, 1)))
    commit("unknown topic", topic=e.n("nowhere"))
    commit("no topics", topics=[])
    show("nothing is committed, stable")
    show("nothing is committed", False)
    for v in (7, 8, 9):
        if v < 8:
            e.x("OffsetFetch", v, {"groupId": g, "topics": None, "requireStable": True}, what=f"v{v}, all topics")
        else:
            e.x("OffsetFetch", v, {"groups": [{"groupId": g, "topics": None}], "requireStable": True},
                what=f"v{v}, all topics")
    commit("another producer over the same partition", by=q, parts=((0, 77), (1, 78)))
    e.x("OffsetCommit", 9, {"groupId": g, "generationIdOrMemberEpoch": gen, "memberId": me, "topics": [
        {"name": t, "partitions": [{"partitionIndex": 2, "committedOffset": 33}]}]}, what="a plain commit over it")
    show("the plain one, stable")
    show("the plain one", False)
    p.q_end()
    show("the first is committed, the second open")
    show("the first is committed", False)
    q.q_end(False)
    show("the second is aborted")
    commit("after the abort, v5", by=q, parts=((0, 99),))
    q.q_end()
    show("committed over it")
    e.x("LeaveGroup", 3, {"groupId": g, "members": [{"memberId": me}]}, conn=c, what="the member leaves")
    commit("pending in an empty group", parts=((0, 111),))
    e.x("OffsetDelete", 0, {"groupId": g, "topics": [{"name": t, "partitions": [
        {"partitionIndex": 0}, {"partitionIndex": 1}]}]}, what="its offsets are deleted")
    show("deleted, pending")
    commit("pending, without one that is committed", parts=((1, 112),))
    e.x("OffsetDelete", 0, {"groupId": g, "topics": [{"name": t, "partitions": [{"partitionIndex": 1}]}]},
        what="it is deleted")
    show("pending")
    e.x("DescribeGroups", 5, {"groups": [g]}, what="the group")
    e.x("DeleteGroups", 2, {"groupsNames": [g]}, what="the group is deleted, an offset is pending")
    show("no group, pending")
    p.q_end()
    show("committed after it")
    e.x("DeleteGroups", 2, {"groupsNames": [g]}, what="deleted when nothing is pending")
    show("nothing")
    commit("after it", parts=((0, 5),))
    e.x("DescribeGroups", 5, {"groups": [g]}, what="a group of pending offsets only")
    e.x("ListGroups", 5, {"statesFilter": [], "typesFilter": []}, what="in the list",
        note=lambda r: {"here": g in [x["groupId"] for x in r["groups"]]})
    p.q_end(False)
    e.x("DescribeGroups", 5, {"groups": [g]}, what="after the abort")
    e.x("ListGroups", 5, {"statesFilter": [], "typesFilter": []}, what="in the list",
        note=lambda r: {"here": g in [x["groupId"] for x in r["groups"]]})


@probe("committed-wakes")
def _(e):
    _, i = e.topic("wk")
    p = Producer(e, "wk")
    for commit in (True, False):
        first = p.q_send(i, 1)
        c = e.conn()
        body = {"maxWaitMs": 60000, "minBytes": 1, "maxBytes": 1 << 20, "isolationLevel": 1, "topics": [
            {"topicId": i, "partitions": [{"partition": 0, "fetchOffset": first, "partitionMaxBytes": 1000}]}]}
        c.send("Fetch", 17, body)
        p.q_end(commit)
        answer = c.recv("Fetch", 17)[1]
        e.what = f"a waiting reader is woken by the end, commit: {commit}"
        e.put("Fetch", 17, body, answer)
    wait(lambda: p.state() == "CompleteAbort")
