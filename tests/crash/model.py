# SPDX-License-Identifier: MIT
"""What must be true of the log, however often the broker dies.

Every record's value begins with (producer, number): the number counts the records that this producer
sent to this partition. So the log of a partition, read from its start, must show for each producer
0, 1, 2, ...: a gap is a loss, a repetition a duplicate, anything else a reorder.
"""

import array
import struct
import threading

HEAD = struct.Struct(">HQ")


def tag(producer, number):
    return producer << 48 | number


class Broken(Exception):
    """A promise was not kept."""


class Model:
    def __init__(self, partitions, producers):
        self.lock = threading.Lock()
        self.log = [array.array("q") for _ in range(partitions)]  # offset -> tag, as verified
        self.next = [[0] * producers for _ in range(partitions)]  # number that must come next
        self.acked = []  # (partition, offset, tag, records) not compared yet; offset -1: not told
        self.read = []  # (partition, offset, tag) that consumers saw, not compared yet
        self.committed = {}  # (group, partition) -> highest acknowledged commit
        self.sent = {}  # (group, partition) -> highest commit that was sent
        self.totals = {"acknowledged": 0, "duplicates answered": 0, "read": 0, "commits": 0}

    def acknowledge(self, partition, offset, first, count):
        with self.lock:
            self.acked.append((partition, offset, first, count))
            self.totals["acknowledged"] += count
            self.totals["duplicates answered"] += offset < 0

    def saw(self, partition, offset, value):
        producer, number = HEAD.unpack_from(value)
        with self.lock:
            self.read.append((partition, offset, tag(producer, number)))
            self.totals["read"] += 1

    def append(self, partition, offset, value):
        """The next record of a verified reading."""
        producer, number = HEAD.unpack_from(value)
        log = self.log[partition]
        if offset != len(log):
            raise Broken(f"partition {partition}: offset {offset} comes where {len(log)} should")
        wanted = self.next[partition][producer]
        if number != wanted:
            what = "lost" if number > wanted else "a second time, or late"
            raise Broken(f"partition {partition} offset {offset}: producer {producer} has record {number} "
                         f"where {wanted} should come: {what}")
        self.next[partition][producer] = number + 1
        log.append(tag(producer, number))

    def compare(self):
        """Everything that was acknowledged or seen is in the verified log, where it was said to be."""
        with self.lock:
            for partition, offset, first, count in self.acked:
                self.compare_acked(partition, offset, first, count)
            for partition, offset, what in self.read:
                self.same(partition, offset, what, "a consumer saw")
            count = len(self.acked) + len(self.read)
            self.acked.clear()
            self.read.clear()
        return count

    def compare_acked(self, partition, offset, first, count):
        producer, number = first >> 48, first & (1 << 48) - 1
        if number + count > self.next[partition][producer]:
            raise Broken(f"partition {partition}: producer {producer}'s records {number}+{count} were acknowledged "
                         f"at {offset} and are not there; it has {self.next[partition][producer]}")
        if offset >= 0:
            self.same(partition, offset, first, "it was acknowledged that")
            self.same(partition, offset + count - 1, first + count - 1, "it was acknowledged that")

    def same(self, partition, offset, what, who):
        log = self.log[partition]
        there = log[offset] if offset < len(log) else None
        if there != what:
            def name(value):
                return "nothing" if value is None else f"producer {value >> 48} record {value & (1 << 48) - 1}"
            raise Broken(f"partition {partition} offset {offset}: {who} there is {name(what)}, and now {name(there)}")

    def commit_sent(self, group, offsets):
        with self.lock:
            for partition, offset in offsets.items():
                self.sent[group, partition] = max(self.sent.get((group, partition), -1), offset)

    def commit_acked(self, group, offsets):
        with self.lock:
            self.totals["commits"] += 1
            for partition, offset in offsets.items():
                self.committed[group, partition] = max(self.committed.get((group, partition), -1), offset)

    def floor(self, group):
        """A copy of what is acknowledged now: an answer to a later question may not be below it."""
        with self.lock:
            return {p: offset for (g, p), offset in self.committed.items() if g == group}

    def check_committed(self, group, floor, offsets):
        for partition, offset in offsets.items():
            if offset < floor.get(partition, -1):
                raise Broken(f"group {group} partition {partition}: committed {floor[partition]} was acknowledged, "
                             f"and now it is {offset}")
            highest = self.sent.get((group, partition), -1)
            if offset > highest:
                raise Broken(f"group {group} partition {partition}: {offset} is committed, "
                             f"the highest that was sent is {highest}")
