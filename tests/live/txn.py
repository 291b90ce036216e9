#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What NATS subscribers see of Kafka transactions: what was committed, whole and in the order of the log.

txn.py [--bin FILE] [case...]
"""

import argparse
import os
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "harness"), os.path.join(HERE, "..", "probe", "recorded")]

import driver  # noqa: E402
from broker import DEFAULT_BIN, wait_until  # noqa: E402
from policy import World  # noqa: E402
from tap import Tap  # noqa: E402

ABORT_SOON = {"transaction.abort.timed.out.transaction.cleanup.interval.ms": 100}
STORAGE = ({}, {"storage.class": "memory"})


def batch(values, **more):
    return driver.batch(values, ts=int(time.time() * 1000), **more)  # old ones are past their retention


class Producer:
    """Of protocol version 1 or 2: with 2 a batch adds its partition, and the end gives a new epoch."""

    def __init__(self, w, name, version, timeout_ms=60000):
        self.w, self.name, self.version, self.sequence, self.before = w, name, version, {}, {}
        w.kafka.call("FindCoordinator", 4, {"keyType": 1, "coordinatorKeys": [name]})
        body = {"transactionalId": name, "transactionTimeoutMs": timeout_ms}
        answer = wait_until(lambda: self.good(w.kafka.call("InitProducerId", 4, body)), 20, "a producer id")
        self.pid, self.epoch = answer["producerId"], answer["producerEpoch"]

    @staticmethod
    def good(answer):
        assert answer["errorCode"] in (0, 14, 15, 16, 51), answer
        return answer if answer["errorCode"] == 0 else None

    def who(self):
        return {"transactionalId": self.name, "producerId": self.pid, "producerEpoch": self.epoch}

    def send(self, topic, *values):
        if self.version == 1 and topic not in self.sequence:
            wait_until(lambda: self.added(topic), 20, "the transaction before it")
        at = self.sequence.get(topic, 0)
        self.sequence[topic] = at + len(values)
        if self.version == 1:
            at += self.before.get(topic, 0)
        data = batch(list(values), pid=self.pid, epoch=self.epoch, seq=at, txn=True)
        answer = self.w.kafka.call("Produce", 12 if self.version == 2 else 11, {
            "transactionalId": self.name, "acks": -1, "timeoutMs": 5000,
            "topicData": [{"name": topic, "partitionData": [{"index": 0, "records": data}]}]})
        part, = answer["responses"][0]["partitionResponses"]
        assert part["errorCode"] == 0, part

    def added(self, topic):
        answer = self.w.kafka.call("AddPartitionsToTxn", 3, {
            "v3AndBelowTransactionalId": self.name, "v3AndBelowProducerId": self.pid,
            "v3AndBelowProducerEpoch": self.epoch, "v3AndBelowTopics": [{"name": topic, "partitions": [0]}]})
        code = answer["resultsByTopicV3AndBelow"][0]["resultsByPartition"][0]["partitionErrorCode"]
        assert code in (0, 51), code
        return code == 0

    def end(self, commit):
        """The answer comes before the markers are written."""
        answer = self.w.kafka.call("EndTxn", 5 if self.version == 2 else 3, {**self.who(), "committed": commit})
        assert answer["errorCode"] == 0, answer
        if self.version == 2:
            self.pid, self.epoch = answer["producerId"], answer["producerEpoch"]
        else:
            self.before = {topic: self.before.get(topic, 0) + n for topic, n in self.sequence.items()}
        self.sequence = {}


def plain(w, topic, *values):
    answer = w.kafka.call("Produce", 9, {"transactionalId": None, "acks": 1, "timeoutMs": 5000, "topicData": [
        {"name": topic, "partitionData": [{"index": 0, "records": batch(list(values))}]}]})
    assert answer["responses"][0]["partitionResponses"][0]["errorCode"] == 0


def seen(n, count):
    return [n.next().payload for _ in range(count)]


def each(binary, settings=None):
    """(world, topic, version): both protocols, on disk and in memory"""
    with World(binary, settings) as w:
        for version in (1, 2):
            for i, configs in enumerate(STORAGE):
                topic = f"orders.{version}.{i}"
                w.kafka.create_topic(topic, 1, configs)
                yield w, topic, version


def whole_and_in_order(binary):
    """Nothing of an open transaction, nor what comes behind it; all of it once it is committed."""
    for w, topic, version in each(binary):
        n = w.nats()
        n.subscribe(topic)
        n.flush()
        p = Producer(w, topic, version)
        plain(w, topic, b"before")
        assert seen(n, 1) == [b"before"]
        p.send(topic, b"a", b"b")
        plain(w, topic, b"between")
        p.send(topic, b"c")
        n.flush()
        assert n.nothing(), "something of an open transaction was seen"
        p.end(True)  # nothing is appended after it but the marker
        assert seen(n, 4) == [b"a", b"b", b"between", b"c"]
        p.send(topic, b"d")
        p.end(True)
        assert seen(n, 1) == [b"d"]
        n.close()


def aborted_never(binary):
    for w, topic, version in each(binary):
        n = w.nats()
        n.subscribe(topic)
        n.flush()
        p = Producer(w, topic, version)
        for i in range(5):
            p.send(topic, b"no%d" % i, b"nor this")
            plain(w, topic, b"behind%d" % i)
            p.end(False)
            assert seen(n, 1) == [b"behind%d" % i]
        p.send(topic, b"yes")
        p.end(True)
        assert seen(n, 1) == [b"yes"]
        n.close()


def side_by_side(binary):
    """The order is that of the log, whichever transaction ends first."""
    for w, topic, version in each(binary):
        n = w.nats()
        n.subscribe(topic)
        n.flush()
        p, q, r = (Producer(w, f"{topic}-{x}", version) for x in "pqr")
        p.send(topic, b"p1")
        q.send(topic, b"q1")
        r.send(topic, b"r1")
        p.send(topic, b"p2")
        q.end(True)
        r.end(False)
        q.send(topic, b"q2")
        n.flush()
        assert n.nothing(), "a committed one overtook an open one"
        p.end(True)
        assert seen(n, 3) == [b"p1", b"q1", b"p2"]
        q.end(True)
        assert seen(n, 1) == [b"q2"]
        n.close()


def timed_out(binary):
    for w, topic, version in each(binary, ABORT_SOON):
        n = w.nats()
        n.subscribe(topic)
        n.flush()
        p = Producer(w, topic, version, timeout_ms=2000)  # it is to be in the log before its time is over
        p.send(topic, b"too late")
        plain(w, topic, b"behind it")
        assert seen(n, 1) == [b"behind it"]
        n.close()


def comes_meanwhile(binary):
    """Who subscribes while a transaction is open gets what is appended from then on, when it is committed."""
    for w, topic, version in each(binary):
        p = Producer(w, topic, version)
        p.send(topic, b"early")
        n = w.nats()
        n.subscribe(topic)
        n.flush()
        p.send(topic, b"late")
        plain(w, topic, b"behind it")
        p.end(True)
        assert seen(n, 2) == [b"late", b"behind it"]
        n.close()


def many(binary):
    """Some hundreds of transactions, a third of them aborted, and plain records between them."""
    for w, topic, version in each(binary):
        n = w.nats()
        n.subscribe(topic)
        n.flush()
        producers = [Producer(w, f"{topic}-{i}", version) for i in range(3)]
        wanted = []
        for round_ in range(60):
            p, commit = producers[round_ % 3], round_ % 3 != 1 or round_ % 2 == 0
            values = [b"%d-%d" % (round_, i) for i in range(1 + round_ % 4)]
            p.send(topic, *values)
            if round_ % 5 == 0:
                plain(w, topic, b"plain%d" % round_)
            p.end(commit)
            wanted += (values if commit else []) + ([b"plain%d" % round_] if round_ % 5 == 0 else [])
        assert seen(n, len(wanted)) == wanted
        n.flush()
        assert n.nothing()
        n.close()


CASES = [whole_and_in_order, aborted_never, side_by_side, timed_out, comes_meanwhile, many]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--bin", default=DEFAULT_BIN)
    parser.add_argument("case", nargs="*", help="only cases whose name contains it")
    arguments = parser.parse_args()
    tap = Tap()
    for case in CASES:
        if not arguments.case or any(word in case.__name__ for word in arguments.case):
            tap.run(case.__name__.replace("_", " "), case, arguments.bin)
    tap.finish()


if __name__ == "__main__":
    main()
