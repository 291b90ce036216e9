# SPDX-License-Identifier: MIT
"""The load of the crash test: idempotent producers and members of groups, each a thread.

They behave as real clients do: keep a few requests in flight, and after a lost connection send what was
not answered again, with the same producer id and sequence. They never decide whether the broker is
right; they tell the model what they were told.
"""

import base64
import os
import random
import sys
import threading
import time

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "harness"))

from client import Client, Lost, Refused, batch, records  # noqa: E402
from model import HEAD, Broken, tag  # noqa: E402

IN_FLIGHT = 5
# What a broker may say while it starts, loads a coordinator or rebalances: try again.
PASSING = {3, 5, 6, 7, 13, 14, 15, 16, 22, 25, 27, 56, 74, 75, 79, 82}


class World:
    """What all threads share."""

    def __init__(self, port, topic, partitions, model, seed):
        self.port, self.topic, self.partitions, self.model, self.seed = port, topic, partitions, model, seed
        self.running, self.ending = threading.Event(), False
        self.problems, self.parked, self.condition = [], 0, threading.Condition()

    def park(self):
        """Waits, counted as quiet, until the load may go on."""
        with self.condition:
            self.parked += 1
            self.condition.notify_all()
        self.running.wait()
        with self.condition:
            self.parked -= 1

    def wait_parked(self, count, seconds=120):
        with self.condition:
            if not self.condition.wait_for(lambda: self.parked == count, seconds):
                self.problems.append(f"{count - self.parked} threads of the load hang")


class Worker(threading.Thread):
    def __init__(self, world, number):
        super().__init__(daemon=True)
        self.world, self.number, self.client = world, number, None
        self.random = random.Random(f"{world.seed}-{type(self).__name__}-{number}")

    def run(self):
        while not self.world.ending:
            try:
                self.client = Client(self.world.port, name=f"{type(self).__name__}-{self.number}")
                self.session()
            except Lost:
                pass
            except Refused as problem:
                if problem.code not in PASSING:
                    self.world.problems.append(f"{self.name}: {problem}")
            except Exception as problem:  # pylint: disable=broad-except
                self.world.problems.append(f"{type(self).__name__} {self.number}: {problem!r}")
            if self.client:
                self.client.close()
                self.client = None
            if not self.world.running.is_set():
                self.world.park()
            else:
                time.sleep(0.005)

    def session(self):
        """Works on one connection until it is lost."""
        raise NotImplementedError


class Producer(Worker):
    def __init__(self, world, number, acks):
        super().__init__(world, number)
        self.acks = acks
        self.pid = None
        self.numbers = [0] * world.partitions  # of the next record
        self.sequences = [0] * world.partitions
        self.flight = []  # [partition, first number, count, bytes, correlation id]

    def session(self):
        if self.pid is None or (not self.flight and self.random.random() < 0.1):
            self.pid = self.client.producer_id()
            self.sequences = [0] * self.world.partitions
        for sent in self.flight:
            sent[4] = self.client.send_produce(self.world.topic, sent[0], sent[3], self.acks)
        while True:
            while len(self.flight) < IN_FLIGHT and self.world.running.is_set():
                self.send()
            if not self.flight:
                return
            self.receive()

    def send(self):
        partition, count = self.random.randrange(self.world.partitions), self.random.choice([1, 1, 2, 5, 20])
        first = self.numbers[partition]
        padding = bytes(self.random.choice([0, 10, 100, 1000]))
        values = [HEAD.pack(self.number, first + i) + padding for i in range(count)]
        data = batch(values, self.pid[0], self.pid[1], self.sequences[partition])
        self.numbers[partition] += count
        self.sequences[partition] += count
        # Remembered before it is sent: a failed send may have arrived.
        self.flight.append([partition, first, count, data, None])
        self.flight[-1][4] = self.client.send_produce(self.world.topic, partition, data, self.acks)

    def receive(self):
        number, code, base = self.client.receive_produce()
        partition, first, count, _, wanted = self.flight[0]
        if number != wanted:
            raise Broken(f"answer {number} came where {wanted} should")
        if code == 46:  # a duplicate whose offset the broker does not know any more
            base = -1
        elif code:
            raise Refused(f"Produce to {partition}, record {first}", code)
        self.flight.pop(0)
        self.world.model.acknowledge(partition, base, tag(self.number, first), count)


class Member(Worker):
    """One member of a consumer group, classic protocol."""

    def __init__(self, world, number, group):
        super().__init__(world, number)
        self.group, self.id, self.generation = group, "", -1

    def session(self):
        coordinator(self.client, self.group)
        while self.world.running.is_set():
            mine = self.join()
            positions = self.committed(mine)
            try:
                self.consume(positions)
            except Refused as problem:
                if problem.code not in PASSING:
                    raise
                if problem.code == 25:
                    self.id = ""

    def ask(self, api, version, body):
        answer = self.client.call(api, version, body)
        if answer["errorCode"]:
            raise Refused(api, answer["errorCode"])
        return answer

    def join(self):
        while True:
            answer = self.client.call("JoinGroup", 5, {
                "groupId": self.group, "sessionTimeoutMs": 6000, "rebalanceTimeoutMs": 3000, "memberId": self.id,
                "groupInstanceId": None, "protocolType": "consumer",
                "protocols": [{"name": "range", "metadata": "AAA="}]})
            if answer["errorCode"] == 79:
                self.id = answer["memberId"]
            elif answer["errorCode"] == 25:
                self.id = ""
            elif answer["errorCode"]:
                raise Refused("JoinGroup", answer["errorCode"])
            else:
                break
        self.id, self.generation = answer["memberId"], answer["generationId"]
        shares = []
        if answer["leader"] == self.id:
            members = sorted(m["memberId"] for m in answer["members"])
            for index, member in enumerate(members):
                own = bytes(p for p in range(self.world.partitions) if p % len(members) == index)
                shares.append({"memberId": member, "assignment": own})
        answer = self.ask("SyncGroup", 3, {"groupId": self.group, "generationId": self.generation,
                                           "memberId": self.id, "assignments": shares})
        return list(base64.b64decode(answer["assignment"]))

    def committed(self, mine):
        floor = self.world.model.floor(self.group)
        offsets = committed(self.client, self.group, self.world.topic, mine)
        self.world.model.check_committed(self.group, floor, offsets)
        return {p: max(offset, 0) for p, offset in offsets.items()}

    def consume(self, positions):
        beat = time.monotonic()
        while self.world.running.is_set():
            moved = self.fetch(positions)
            if moved:
                self.commit({p: positions[p] for p in moved})
            if time.monotonic() - beat > 0.05 or not positions:
                self.ask("Heartbeat", 3, {"groupId": self.group, "generationId": self.generation,
                                          "memberId": self.id})
                beat = time.monotonic()

    def fetch(self, positions):
        if not positions:
            time.sleep(0.02)
            return []
        moved = []
        for p, (code, _, data) in self.client.fetch(self.world.topic, positions, 20, 64 << 10).items():
            if code:
                raise Refused(f"Fetch of {p}", code)
            for offset, value, _, _ in records(data):
                if offset >= positions[p]:
                    self.world.model.saw(p, offset, value)
                    positions[p] = offset + 1
                    moved.append(p)
        return sorted(set(moved))

    def commit(self, offsets):
        self.world.model.commit_sent(self.group, offsets)
        answer = self.client.call("OffsetCommit", 7, {
            "groupId": self.group, "generationIdOrMemberEpoch": self.generation, "memberId": self.id,
            "groupInstanceId": None, "topics": [{"name": self.world.topic, "partitions": [
                {"partitionIndex": p, "committedOffset": o, "committedLeaderEpoch": -1, "committedMetadata": ""}
                for p, o in offsets.items()]}]})
        for part in answer["topics"][0]["partitions"]:
            if part["errorCode"]:
                raise Refused("OffsetCommit", part["errorCode"])
        self.world.model.commit_acked(self.group, offsets)


def coordinator(client, group):
    """A broker makes the offsets topic when somebody first asks for a coordinator."""
    answer = client.call("FindCoordinator", 2, {"key": group, "keyType": 0})
    if answer["errorCode"]:
        raise Refused("FindCoordinator", answer["errorCode"])


def committed(client, group, topic, partitions):
    """{partition: committed offset, -1 for none}"""
    coordinator(client, group)
    answer = client.call("OffsetFetch", 5, {"groupId": group, "topics": [
        {"name": topic, "partitionIndexes": list(partitions)}]})
    if answer["errorCode"]:
        raise Refused("OffsetFetch", answer["errorCode"])
    return {p["partitionIndex"]: p["committedOffset"] for t in answer["topics"] for p in t["partitions"]}
