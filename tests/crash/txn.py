# SPDX-License-Identifier: MIT
"""Transactions in the crash test: each is visible whole or not at all, and none twice.

A worker writes RECORDS records of attempt A into each partition, commits the group's offset A + 1, and
ends the transaction one way or the other. When its connection is lost it does not ask what became of it:
the next InitProducerId has it completed or aborted, and the model is told that it does not know.
"""

import base64
import os
import struct
import sys
import threading
import time

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "harness"))

from client import Refused, batch, crc32c, records  # noqa: E402
from load import PASSING, Worker  # noqa: E402
from model import Broken  # noqa: E402

TOPIC, PARTITIONS, RECORDS, GROUP = "crash-txn", 2, 3, "crash-txn-group"
HEAD = struct.Struct(">HQB")
CONCURRENT, UNSTABLE = 51, 88
WAITING = PASSING | {CONCURRENT, UNSTABLE}


def refuse(what, code):
    if code:
        raise Refused(what, code)


def transactional(values, pid, epoch, sequence):
    data = bytearray(batch(values, pid, epoch, sequence))
    data[22] |= 16
    struct.pack_into(">I", data, 17, crc32c(bytes(data[21:])))
    return bytes(data)


def patiently(what, ask, seconds=60):
    """Asks until the answer is none of those that pass."""
    end = time.monotonic() + seconds
    while True:
        try:
            return ask()
        except Refused as problem:
            if problem.code not in WAITING or time.monotonic() > end:
                raise Refused(f"{what}, after all", problem.code) from problem
            time.sleep(0.005)


def init(client, name):
    def ask():
        refuse("FindCoordinator", client.call("FindCoordinator", 2, {"key": name, "keyType": 1})["errorCode"])
        answer = client.call("InitProducerId", 4, {"transactionalId": name, "transactionTimeoutMs": 60000,
                                                   "producerId": -1, "producerEpoch": -1})
        refuse("InitProducerId", answer["errorCode"])
        return answer["producerId"], answer["producerEpoch"]
    return patiently("InitProducerId", ask)


class TxnModel:
    def __init__(self, workers):
        self.lock = threading.Lock()
        self.outcome = {}  # (worker, attempt) -> "commit", "abort", "open" or "unknown"
        self.next = [0] * workers
        self.start = [0] * PARTITIONS
        self.seen = [{} for _ in range(PARTITIONS)]  # (worker, attempt) -> how many records
        self.last = [-1] * workers  # the last committed attempt that was read
        self.totals = {"commit": 0, "abort": 0, "unknown": 0}

    def begin(self, worker):
        with self.lock:
            attempt = self.next[worker]
            self.next[worker] += 1
            self.outcome[worker, attempt] = "open"
            return attempt

    def ended(self, worker, attempt, how):
        with self.lock:
            self.outcome[worker, attempt] = how
            self.totals[how] += 1

    def saw(self, partition, value):
        worker, attempt, index = HEAD.unpack_from(value)
        count = self.seen[partition].get((worker, attempt), 0)
        if index != count:
            raise Broken(f"partition {partition}: record {index} of transaction {worker}/{attempt} "
                         f"comes where {count} should")
        self.seen[partition][worker, attempt] = count + 1
        self.last[worker] = max(self.last[worker], attempt)

    def compare(self, committed):
        """What was read is what was promised; `committed`: the group's offsets by worker."""
        with self.lock:
            for key, how in self.outcome.items():
                counts = [seen.get(key, 0) for seen in self.seen]
                if counts not in ([0] * PARTITIONS, [RECORDS] * PARTITIONS):
                    raise Broken(f"transaction {key} is visible in part: {counts} of {RECORDS} records")
                if how == "commit" and counts[0] == 0:
                    raise Broken(f"transaction {key} was committed and is not there")
                if how in ("abort", "open") and counts[0] != 0:
                    raise Broken(f"transaction {key} was never committed ({how}) and is there")
            for worker, offset in committed.items():
                if offset not in (self.last[worker] + 1, -1 if self.last[worker] < 0 else None):
                    raise Broken(f"worker {worker}: its last visible transaction is {self.last[worker]}, "
                                 f"and the offset committed with it is {offset}")
            self.outcome.clear()
            for seen in self.seen:
                seen.clear()


class Transactor(Worker):
    """Worker 0, 2, ... speak transactions of version 1, the others of version 2."""

    def __init__(self, world, number, model):
        super().__init__(world, number)
        self.model, self.second, self.txn = model, number % 2 == 1, f"crash-{number}"

    def session(self):
        pid, epoch = init(self.client, self.txn)
        sequence = 0
        while self.world.running.is_set():
            attempt = self.model.begin(self.number)
            told = "open"
            try:
                self.fill(pid, epoch, attempt, sequence)
                commit = self.random.random() < 0.7
                told = "unknown"
                epoch = self.end(pid, epoch, commit)
                told = "commit" if commit else "abort"
            finally:
                if told != "open":
                    self.model.ended(self.number, attempt, told)
            # With version 2 each transaction has its own epoch, which begins at 0.
            sequence = 0 if self.second else sequence + RECORDS

    def fill(self, pid, epoch, attempt, sequence):
        name = {"transactionalId": self.txn, "producerId": pid, "producerEpoch": epoch}
        if not self.second:
            self.add(pid, epoch)
        for p in range(PARTITIONS):
            values = [HEAD.pack(self.number, attempt, i) for i in range(RECORDS)]
            data = transactional(values, pid, epoch, sequence)
            patiently("Produce", lambda p=p, data=data: self.produce(p, data))
        if not self.second:
            patiently("AddOffsetsToTxn", lambda: refuse("AddOffsetsToTxn", self.client.call(
                "AddOffsetsToTxn", 3, dict(name, groupId=GROUP))["errorCode"]))
        patiently("TxnOffsetCommit", lambda: self.commit_offset(name, attempt))

    def add(self, pid, epoch):
        def ask():
            answer = self.client.call("AddPartitionsToTxn", 3, {
                "v3AndBelowTransactionalId": self.txn, "v3AndBelowProducerId": pid,
                "v3AndBelowProducerEpoch": epoch,
                "v3AndBelowTopics": [{"name": TOPIC, "partitions": list(range(PARTITIONS))}]})
            for part in answer["resultsByTopicV3AndBelow"][0]["resultsByPartition"]:
                refuse("AddPartitionsToTxn", part["partitionErrorCode"])
        patiently("AddPartitionsToTxn", ask)

    def produce(self, partition, data):
        answer = self.client.call("Produce", 12 if self.second else 11, {
            "transactionalId": self.txn, "acks": -1, "timeoutMs": 10000, "topicData": [
                {"name": TOPIC, "partitionData": [{"index": partition, "records": data}]}]})
        refuse("Produce", answer["responses"][0]["partitionResponses"][0]["errorCode"])

    def commit_offset(self, name, attempt):
        answer = self.client.call("TxnOffsetCommit", 5 if self.second else 3, dict(
            name, groupId=GROUP, generationId=-1, memberId="", groupInstanceId=None, topics=[
                {"name": TOPIC, "partitions": [{
                    "partitionIndex": self.number % PARTITIONS, "committedOffset": attempt + 1,
                    "committedLeaderEpoch": -1, "committedMetadata": ""}]}]))
        refuse("TxnOffsetCommit", answer["topics"][0]["partitions"][0]["errorCode"])

    def end(self, pid, epoch, commit):
        answer = self.client.call("EndTxn", 5 if self.second else 3, {
            "transactionalId": self.txn, "producerId": pid, "producerEpoch": epoch, "committed": commit})
        refuse("EndTxn", answer["errorCode"])
        return answer["producerEpoch"] if self.second else epoch


def read_committed(client, model):
    """Reads what is new; no transaction is open."""
    ends = client.ends(TOPIC, PARTITIONS)
    for p in range(PARTITIONS):
        while model.start[p] < ends[p]:
            answer = client.call("Fetch", 11, {
                "replicaId": -1, "maxWaitMs": 100, "minBytes": 1, "maxBytes": 50 << 20, "isolationLevel": 1,
                "sessionId": 0, "sessionEpoch": -1, "forgottenTopicsData": [], "rackId": "",
                "topics": [{"topic": TOPIC, "partitions": [{
                    "partition": p, "currentLeaderEpoch": -1, "fetchOffset": model.start[p], "logStartOffset": -1,
                    "partitionMaxBytes": 1 << 20}]}]})
            part = answer["responses"][0]["partitions"][0]
            refuse("Fetch", part["errorCode"])
            data = part["records"]
            before = model.start[p]
            take(model, p, base64.b64decode(data) if isinstance(data, str) else data or b"",
                 sorted((a["firstOffset"], a["producerId"]) for a in part["abortedTransactions"] or []))
            if model.start[p] == before:
                raise Broken(f"partition {p}: nothing for read_committed at {before}, and the log ends at {ends[p]}: "
                             f"the last stable offset is {part['lastStableOffset']}")


def take(model, partition, data, aborted):
    """As consumers do it: what an aborted transaction wrote is skipped up to its marker."""
    at, skipping = 0, set()
    while at + 61 <= len(data):
        base, size = struct.unpack_from(">qi", data, at)
        if at + 12 + size > len(data):
            return
        one = data[at:at + 12 + size]
        at += 12 + size
        attributes, last = struct.unpack_from(">hi", one, 21)
        pid, = struct.unpack_from(">q", one, 43)
        while aborted and aborted[0][0] <= base + last:
            skipping.add(aborted.pop(0)[1])
        if attributes & 32:
            if b"\0\0\0\0" in one[61:75]:
                skipping.discard(pid)
        elif not (attributes & 16 and pid in skipping):
            for offset, value, _, _ in records(one):
                if offset >= model.start[partition]:
                    model.saw(partition, value)
        model.start[partition] = base + last + 1


def check(client, model, workers):
    """Ends what is open, reads, compares."""
    for worker in workers:
        init(client, worker.txn)
    # Markers of the last ends may be on their way.
    patiently("reading", lambda: read_committed(client, model))

    def ask():
        refuse("FindCoordinator", client.call("FindCoordinator", 2, {"key": GROUP, "keyType": 0})["errorCode"])
        answer = client.call("OffsetFetch", 7, {"groupId": GROUP, "requireStable": True, "topics": [
            {"name": TOPIC, "partitionIndexes": list(range(PARTITIONS))}]})
        refuse("OffsetFetch", answer["errorCode"])
        for part in answer["topics"][0]["partitions"]:
            refuse("OffsetFetch", part["errorCode"])
        return {p["partitionIndex"]: p["committedOffset"] for p in answer["topics"][0]["partitions"]}
    model.compare(patiently("OffsetFetch", ask))
