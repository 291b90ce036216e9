#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Several log directories: where partitions go, and what becomes of them when a disk is missing or fails.

run.py [--bin FILE] [--kafka] [case...]

--kafka: a real Kafka, too, serves the directories, before us and after us.
"""

import argparse
import errno
import os
import re
import shutil
import sys
import tempfile
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "faults"), os.path.join(HERE, "..", "harness")]

import run as faults  # noqa: E402  (tests/faults/run.py)
from broker import DEFAULT_BIN, PATIENCE, FluxMQ, Kafka, wait_until  # noqa: E402
from client import Client, Lost, batch, records  # noqa: E402
from tap import Skip, Tap  # noqa: E402

STORAGE_ERROR, NO_LEADER = 56, 5
LOADING, NO_COORDINATOR = 14, (15, 16)
DIRS = ("a", "b", "c")
CHECKPOINTS = ("recovery-point-offset-checkpoint", "log-start-offset-checkpoint",
               "replication-offset-checkpoint", "cleaner-offset-checkpoint")


class World:
    def __init__(self, options, folder, shim=None, dirs=DIRS, settings=None):
        os.makedirs(folder)
        self.dirs = [os.path.join(folder, d) for d in dirs]
        self.faults = faults.Faults(folder) if shim else None
        env = {"LD_PRELOAD": shim, "FAULTS_FILE": self.faults.path} if shim else {}
        self.broker = FluxMQ(folder=folder, binary=options.bin, env=env, settings=settings)
        self.broker.data = ",".join(self.dirs)
        self.client = None

    def start(self):
        self.broker.start()
        self.client = Client(self.broker.port)
        return self

    def restart(self, how="stop"):
        self.client.close()
        if how == "kill":
            self.broker.kill()
        else:
            assert self.broker.stop() == 0, self.broker.tail()
        return self.start()

    def partitions(self, d):
        """Names of the partitions in a directory, Kafka's metadata left out."""
        return [] if os.path.isfile(self.dirs[d]) else sorted(
            n for n in os.listdir(self.dirs[d])
            if n.rsplit("-", 1)[-1].isdigit() and not n.startswith("__cluster"))

    def home(self, topic, index):
        """The directory that a partition is in."""
        found = [d for d in range(len(self.dirs)) if f"{topic}-{index}" in self.partitions(d)]
        return found[0] if len(found) == 1 else None

    def described(self):
        """{directory: (error, total bytes, usable bytes, {(topic, partition): size})}"""
        answer = self.client.call("DescribeLogDirs", 4, {"topics": None})
        assert answer["errorCode"] == 0
        return {r["logDir"]: (r["errorCode"], r["totalBytes"], r["usableBytes"],
                              {(t["name"], p["partitionIndex"]): p["partitionSize"]
                               for t in r["topics"] for p in t["partitions"]}) for r in answer["results"]}

    def code(self, topic, index, acks=-1):
        self.client.send_produce(topic, index, batch([b"value"]), acks)
        return self.client.receive_produce()[1]

    def values(self, topic, index):
        code, _, data = self.client.fetch(topic, {index: 0}, 100)[index]
        return code, [value for _, value, _, _ in records(data)]

    def leaders(self, topic):
        answer = self.client.call("Metadata", 9, {"topics": [{"name": topic}], "allowAutoTopicCreation": False})
        return {p["partitionIndex"]: (p["errorCode"], p["leaderId"]) for p in answer["topics"][0]["partitions"]}

    def says(self, text):
        with open(self.broker.log, encoding="utf-8", errors="replace") as file:
            return [line for line in file if text in line]


def no_ack_for_a_failed_flush(options, folder, shim):
    """However fast it fails: disk after disk, since a flusher that is faster than the reactor is a matter of luck."""
    count = 24
    w = World(options, folder, shim, dirs=[f"d{n:02}" for n in range(count)]).start()
    try:
        w.client.create_topic("t", count)
        homes = {w.home("t", i): i for i in range(count)}
        assert len(homes) == count
        w.faults.set(faults.SYNC_FAILS, 1)
        for d in range(1, count):  # the metadata is in the first
            w.faults.only(w.dirs[d] + "/")
            code = w.code("t", homes[d])
            assert code == STORAGE_ERROR, f"directory {d}: error {code}"
        w.faults.set(faults.SYNC_FAILS, 0)
        assert w.code("t", homes[0]) == 0
        wait_until(lambda: sum(r[0] == STORAGE_ERROR for r in w.described().values()) == count - 1, 10, "all offline")
    finally:
        w.broker.close()


def java_hash(text):
    """What Kafka chooses a group's partition by."""
    value = 0
    for c in text:
        value = (31 * value + ord(c)) & 0xFFFFFFFF
    return value & 0x7FFFFFFF


def properties(folder):
    with open(os.path.join(folder, "meta.properties"), encoding="ascii") as file:
        return dict(line.strip().split("=", 1) for line in file if "=" in line)


def placed_evenly(options, folder, _):
    w = World(options, folder).start()
    try:
        for number in range(4):
            w.client.create_topic(f"t{number}", 1)
        w.client.create_topic("wide", 5)
        assert [len(w.partitions(d)) for d in range(3)] == [3, 3, 3], [w.partitions(d) for d in range(3)]
        for index in range(5):
            w.client.produce("wide", index, batch([b"%d" % index]))
        told = w.described()
        assert list(told) == w.dirs
        for d, (error, total, usable, sizes) in enumerate(told.values()):
            assert error == 0 and total >= usable > 0
            assert sorted(f"{t}-{p}" for t, p in sizes) == w.partitions(d)
            for (topic, index), size in sizes.items():
                assert (size > 0) == (topic == "wide")
        all_of_them = [properties(d) for d in w.dirs]
        assert len({p["directory.id"] for p in all_of_them}) == 3
        assert len({(p["cluster.id"], p["node.id"], p["version"]) for p in all_of_them}) == 1
        w.client.call("DeleteTopics", 4, {"topicNames": ["t0", "t3"], "timeoutMs": 10000})
        w.client.create_topic("after", 2)
        assert [len(w.partitions(d)) for d in range(3)] == [3, 3, 3]
    finally:
        w.broker.close()


def found_again(options, folder, _):
    """After a clean stop and after SIGKILL everything is where it was; checkpoints are each directory's own."""
    w = World(options, folder, settings={"log.flush.offset.checkpoint.interval.ms": 100}).start()
    try:
        w.client.create_topic("t", 6)
        for index in range(6):
            for number in range(3):
                w.client.produce("t", index, batch([b"%d %d" % (index, number)]))
        w.client.call("DeleteRecords", 2, {"timeoutMs": 5000, "topics": [{"name": "t", "partitions": [
            {"partitionIndex": 2, "offset": 1}]}]})
        before = [w.partitions(d) for d in range(3)]
        for how in ("stop", "kill", "stop"):
            w.restart(how)
            assert [w.partitions(d) for d in range(3)] == before
            for index in range(6):
                start = 1 if index == 2 else 0
                assert w.client.ends("t", 6, -2)[index] == start
                code, _, data = w.client.fetch("t", {index: start}, 100)[index]
                got = [v for _, v, _, _ in records(data)]
                assert (code, got) == (0, [b"%d %d" % (index, n) for n in range(start, 3)]), (how, index, code, got)
        w.client.close()
        assert w.broker.stop() == 0
        for d, folder_of in enumerate(w.dirs):
            assert os.path.exists(os.path.join(folder_of, ".kafka_cleanshutdown"))
            with open(os.path.join(folder_of, CHECKPOINTS[0]), encoding="ascii") as file:
                lines = [line.rsplit(" ", 2)[:2] for line in file.read().split("\n")[2:] if line]
            assert sorted(f"{t}-{p}" for t, p in lines) == before[d], lines
            with open(os.path.join(folder_of, CHECKPOINTS[1]), encoding="ascii") as file:
                assert ("t 2 1" in file.read()) == ("t-2" in before[d])
    finally:
        w.broker.close()


def one_is_missing(options, folder, _):
    """A disk that is not there: its partitions have no leader, the others are served; when it is back, all are."""
    w = World(options, folder).start()
    try:
        w.client.create_topic("t", 6)
        for index in range(6):
            w.client.produce("t", index, batch([b"%d" % index]))
        gone = [i for i in range(6) if w.home("t", i) == 1]
        w.client.close()
        assert w.broker.stop() == 0
        os.rename(w.dirs[1], w.dirs[1] + ".away")
        with open(w.dirs[1], "w", encoding="ascii"):
            pass
        w.start()
        assert len(w.says("is offline until the next start")) == 1
        error, total, usable, sizes = w.described()[w.dirs[1]]
        assert (error, total, usable, sizes) == (STORAGE_ERROR, -1, -1, {})
        for index in range(6):
            code, values = w.values("t", index)
            if index in gone:
                assert (code, w.code("t", index)) == (STORAGE_ERROR, STORAGE_ERROR)
            else:
                assert (code, values, w.code("t", index)) == (0, [b"%d" % index], 0)
        assert {i for i, (code, leader) in w.leaders("t").items() if (code, leader) == (NO_LEADER, -1)} == set(gone)
        w.client.create_topic("new", 4)
        assert {w.home("new", i) for i in range(4)} == {0, 2}
        w.client.close()
        assert w.broker.stop() == 0
        os.remove(w.dirs[1])
        os.rename(w.dirs[1] + ".away", w.dirs[1])
        w.start()
        for index in range(6):
            assert w.values("t", index)[0] == 0
            assert w.code("t", index) == 0
    finally:
        w.broker.close()


def emptied(options, folder, _):
    """A disk that was replaced by an empty one is taken; what was on the old one is not made anew in silence."""
    w = World(options, folder).start()
    try:
        w.client.create_topic("t", 3)
        for index in range(3):
            w.client.produce("t", index, batch([b"%d" % index]))
        gone, = [i for i in range(3) if w.home("t", i) == 2]
        w.client.close()
        assert w.broker.stop() == 0
        shutil.rmtree(w.dirs[2])
        w.start()
        assert properties(w.dirs[2])["cluster.id"] == properties(w.dirs[0])["cluster.id"]
        assert w.values("t", gone)[0] == STORAGE_ERROR
        w.client.create_topic("more", 1)
        assert w.home("more", 0) == 2
        w.client.call("DeleteTopics", 4, {"topicNames": ["t"], "timeoutMs": 10000})
        w.client.create_topic("t", 3)
        assert [w.code("t", i) for i in range(3)] == [0, 0, 0]
    finally:
        w.broker.close()


def refused(w, *words):
    """The broker does not start, and says why."""
    try:
        w.broker.start()
    except RuntimeError as ended:
        assert w.broker.process.returncode == 1, str(ended)
        said = w.broker.tail(2)
        for word in words:
            assert word in said, said
        return said
    raise AssertionError("it started")


def moved_by_hand(options, folder, _):
    """The way to another disk: stop, move the folder, start. Its records and its place in the metadata come along."""
    w = World(options, folder).start()
    try:
        w.client.create_topic("t", 3)
        for index in range(3):
            w.client.produce("t", index, batch([b"%d" % index]))
        at = w.home("t", 1)
        to = (at + 1) % 3
        w.client.close()
        assert w.broker.stop() == 0
        os.rename(os.path.join(w.dirs[at], "t-1"), os.path.join(w.dirs[to], "t-1"))
        for how in ("stop", "kill"):
            if how == "stop":
                w.start()
            else:
                w.restart(how)
            assert w.home("t", 1) == to
            assert ("t", 1) in w.described()[w.dirs[to]][3]
            assert w.values("t", 1)[1][0] == b"1" and w.code("t", 1) == 0
        w.client.close()
        assert w.broker.stop() == 0
        os.rename(w.dirs[to], w.dirs[to] + ".away")  # the metadata knows by now where it is
        with open(w.dirs[to], "w", encoding="ascii"):
            pass
        if to != 0:
            w.start()
            assert w.code("t", 1) == STORAGE_ERROR
    finally:
        w.broker.close()


def in_two_places(options, folder, _):
    w = World(options, folder).start()
    try:
        w.client.create_topic("t", 1)
        at = w.home("t", 0)
        w.client.close()
        assert w.broker.stop() == 0
        other = w.dirs[(at + 1) % 3]
        shutil.copytree(os.path.join(w.dirs[at], "t-0"), os.path.join(other, "t-0"))
        said = refused(w, "t-0 is in both", w.dirs[at], other)
        shutil.rmtree(os.path.join(other, "t-0"))
        w.start()
        assert w.code("t", 0) == 0
        return said
    finally:
        w.broker.close()


def not_ours(options, folder, _):
    """A directory of another cluster or broker, one that is in use, and a metadata disk that is gone."""
    w = World(options, folder).start()
    other = World(options, folder + "-other", dirs=("x",)).start()
    try:
        said = [refused_with(options, folder + "-2", [*w.dirs[:1], other.dirs[0]], "is in use")]
        for each in (w, other):
            each.client.close()
            assert each.broker.stop() == 0
        said.append(refused_with(options, folder + "-3", [w.dirs[0], other.dirs[0]], "belongs to cluster"))
        said.append(refused_with(options, folder + "-4", [folder + "-4/new", other.dirs[0]], "is new"))
        shutil.copyfile(os.path.join(w.dirs[1], "meta.properties"), os.path.join(w.dirs[2], "meta.properties"))
        said.append(refused(w, "the same directory.id"))
        return "\n".join(said)
    finally:
        w.broker.close()
        other.broker.close()


def refused_with(options, folder, dirs, word):
    w = World(options, folder)
    w.broker.data = ",".join(dirs)
    try:
        return refused(w, word)
    finally:
        w.broker.close()


def metadata_apart(options, folder, _):
    """metadata.log.dir: no partitions there, and not shown."""
    apart = os.path.join(folder, "meta")
    w = World(options, folder, settings={"metadata.log.dir": apart}, dirs=("a", "b")).start()
    try:
        w.client.create_topic("t", 4)
        assert [w.code("t", i) for i in range(4)] == [0] * 4
        assert list(w.described()) == w.dirs
        assert [len(w.partitions(d)) for d in range(2)] == [2, 2]
        assert os.path.isdir(os.path.join(apart, "__cluster_metadata-0"))
        assert not os.path.isdir(os.path.join(w.dirs[0], "__cluster_metadata-0"))
        w.restart("kill")
        assert [w.code("t", i) for i in range(4)] == [0] * 4
    finally:
        w.broker.close()


def disk_fails(options, folder, shim):
    """EIO while it runs, of a flush and of a write: this directory is offline, once and for all of its partitions."""
    for which, value, acks in ((faults.SYNC_FAILS, 1, -1), (faults.WRITE_FAILS, errno.EIO, 1)):
        w = World(options, os.path.join(folder, str(which)), shim).start()
        try:
            w.client.create_topic("t", 6)
            for index in range(6):
                w.client.produce("t", index, batch([b"%d" % index]))
            bad = [i for i in range(6) if w.home("t", i) == 2]
            w.faults.only(w.dirs[2] + "/")
            w.faults.set(which, value)
            code = w.code("t", bad[0], acks)
            assert code == STORAGE_ERROR, (which, code, w.broker.tail())
            wait_until(lambda: w.described()[w.dirs[2]][0] == STORAGE_ERROR, 10, "the directory is offline")
            w.faults.set(which, 0)
            assert [w.code("t", i) for i in range(6)] == [STORAGE_ERROR if i in bad else 0 for i in range(6)]
            assert [w.values("t", i)[0] for i in bad] == [STORAGE_ERROR] * 2
            wait_until(lambda: [w.leaders("t")[i] for i in bad] == [(NO_LEADER, -1)] * 2, 10, "no leaders")
            w.client.create_topic("new", 2)
            assert {w.home("new", i) for i in range(2)} == {0, 1}
            w.client.close()
            assert w.broker.stop() == 0, w.broker.tail()
            lines = w.says("the disk of log directory")
            assert len(lines) == 1 and "Input/output error" in lines[0] and "2 partitions" in lines[0], lines
            assert not os.path.exists(os.path.join(w.dirs[2], ".kafka_cleanshutdown"))
            w.start()
            for index in range(6):
                code, values = w.values("t", index)
                assert (code, values[0]) == (0, b"%d" % index)
                assert w.code("t", index) == 0
        finally:
            w.broker.close()


def commit(w, group, offset):
    """The error of a commit, or of finding who takes it."""
    found = w.client.call("FindCoordinator", 1, {"key": group, "keyType": 0})
    if found["errorCode"]:
        return found["errorCode"]
    answer = w.client.call("OffsetCommit", 7, {
        "groupId": group, "generationIdOrMemberEpoch": -1, "memberId": "", "groupInstanceId": None,
        "topics": [{"name": "t", "partitions": [{"partitionIndex": 0, "committedOffset": offset,
                                                 "committedLeaderEpoch": -1, "committedMetadata": ""}]}]})
    return answer["topics"][0]["partitions"][0]["errorCode"]


def committed(w, group):
    answer = w.client.call("OffsetFetch", 5, {"groupId": group, "topics": [{"name": "t", "partitionIndexes": [0]}]})
    return answer["errorCode"], answer["topics"][0]["partitions"][0]["committedOffset"] if answer["topics"] else None


def groups_of_a_failed_disk(options, folder, shim):
    """Groups whose offsets are on it have no coordinator; those of others go on, and all are there after a restart."""
    w = World(options, folder, shim, settings={"offsets.topic.num.partitions": 6}).start()
    try:
        w.client.create_topic("t", 1)
        groups = [f"group-{n}" for n in range(12)]
        for group in groups:
            wait_until(lambda group=group: commit(w, group, 7) == 0, 10, "a commit")
        bad = [i for i in range(6) if w.home("__consumer_offsets", i) == 2]
        lost = [g for g in groups if java_hash(g) % 6 in bad]
        assert 0 < len(lost) < len(groups)
        w.faults.only(w.dirs[2] + "/")
        w.faults.set(faults.SYNC_FAILS, 1)
        code = commit(w, lost[0], 8)
        assert code in NO_COORDINATOR, f"error {code}"
        wait_until(lambda: w.described()[w.dirs[2]][0] == STORAGE_ERROR, 10, "the directory is offline")
        w.faults.set(faults.SYNC_FAILS, 0)
        for group in groups:
            code = commit(w, group, 9)
            assert (code in NO_COORDINATOR) if group in lost else code == 0, f"{group}: error {code}"
            if group not in lost:
                assert committed(w, group) == (0, 9)
        w.restart()
        for group in groups:
            wait_until(lambda group=group: committed(w, group)[0] != LOADING, 20, f"{group} is loaded")
            code, offset = committed(w, group)
            assert code == 0 and offset in ((7, 8) if group in lost else (9,)), f"{group}: {code}, {offset}"
            assert commit(w, group, 10) == 0
    finally:
        w.broker.close()


def last_disk_fails(options, folder, shim):
    """The metadata's disk, or the last one: the broker ends, and says why. What was acknowledged is there again."""
    for dirs, bad in ((DIRS, 0), (("a",), 0)):
        w = World(options, os.path.join(folder, str(len(dirs))), shim, dirs=dirs).start()
        try:
            w.client.create_topic("t", 3)
            for index in range(3):
                w.client.produce("t", index, batch([b"%d" % index]))
            index = next(i for i in range(3) if w.home("t", i) == bad)
            w.faults.only(w.dirs[bad] + "/")
            w.faults.set(faults.SYNC_FAILS, 1)
            assert w.code("t", index) == STORAGE_ERROR
            assert w.broker.process.wait(PATIENCE) == 1
            assert w.says("the broker stops")
            w.faults.set(faults.SYNC_FAILS, 0)
            w.start()
            for index in range(3):
                code, values = w.values("t", index)
                assert (code, values[:1]) == (0, [b"%d" % index])
        finally:
            w.broker.close()


def move(w, topic, index, to):
    """The error code of a wish to have a partition in a directory, given by number or path."""
    answer = w.client.call("AlterReplicaLogDirs", 2, {"dirs": [{
        "path": to if isinstance(to, str) else w.dirs[to], "topics": [{"name": topic, "partitions": [index]}]}]})
    return answer["results"][0]["partitions"][0]["errorCode"]


def moved(w, topic, index, to, seconds=30):
    wait_until(lambda: w.home(topic, index) == to and not leftovers(w), seconds, f"{topic}-{index} in {w.dirs[to]}")


def leftovers(w):
    return [n for d in w.dirs if os.path.isdir(d) for n in os.listdir(d)
            if n.endswith(("-future", "-moved", "-delete"))]


def moves(options, folder, _):
    """A partition is moved there and back: its records, offsets, start, settings of its own stay, and it is written
    to as before; after a clean stop and after SIGKILL it is where it was moved."""
    w = World(options, folder).start()
    try:
        w.client.create_topic("t", 3, {"segment.bytes": "1048576"})
        wanted = [os.urandom(20000) for _ in range(200)]
        for value in wanted:
            w.client.produce("t", 0, batch([value]))
        w.client.call("DeleteRecords", 2, {"timeoutMs": 5000, "topics": [{"name": "t", "partitions": [
            {"partitionIndex": 0, "offset": 7}]}]})
        pid, epoch = w.client.producer_id()
        w.client.produce("t", 0, batch([b"a"], pid, epoch, 0))
        home = w.home("t", 0)
        away = (home + 1) % 3
        assert move(w, "t", 0, home) == 0
        assert move(w, "t", 0, away) == 0
        moved(w, "t", 0, away)
        assert w.client.produce("t", 0, batch([b"b"], pid, epoch, 1)) == 201
        assert w.client.produce("t", 0, batch([b"b"], pid, epoch, 1)) == 201  # it is known there
        wanted = [*wanted[7:], b"a", b"b"]

        def same():
            assert w.home("t", 0) == away
            assert w.client.ends("t", 3, -2)[0] == 7 and w.client.ends("t", 3)[0] == 7 + len(wanted)
            got, at = [], 7
            while at < 7 + len(wanted):
                code, _, data = w.client.fetch("t", {0: at}, 100)[0]
                assert code == 0
                values = [(offset, value) for offset, value, _, _ in records(data)]
                got += [value for _, value in values]
                at = values[-1][0] + 1
            assert got == wanted
            assert w.described()[w.dirs[away]][3]["t", 0] > 3800000
        same()
        for how in ("kill", "stop"):
            w.restart(how)
            same()
            wanted.append(how.encode())
            w.client.produce("t", 0, batch([wanted[-1]]))
        assert move(w, "t", 0, home) == 0
        moved(w, "t", 0, home)
        away = home
        same()
        w.client.call("DeleteTopics", 4, {"topicNames": ["t"], "timeoutMs": 10000})
        wait_until(lambda: not any(w.partitions(d) for d in range(3)), 10, "all is deleted")
        w.broker.end_well()
    finally:
        w.broker.close()


def move_refused(options, folder, _):
    w = World(options, folder).start()
    try:
        w.client.create_topic("t", 1)
        w.client.create_topic("m", 1, {"storage.class": "memory"})
        assert move(w, "t", 0, "/nowhere") == 57
        assert move(w, "t", 0, "relative") == 57
        assert move(w, "t", 1, 0) == 3 and move(w, "no", 0, 0) == 3 and move(w, "no", 0, "/nowhere") == 57
        assert move(w, "m", 0, 1) == 42
        w.client.close()
        assert w.broker.stop() == 0
        gone = (w.home("t", 0) + 1) % 2 + 1 if w.home("t", 0) == 0 else 3 - w.home("t", 0)
        os.rename(w.dirs[gone], w.dirs[gone] + ".away")
        with open(w.dirs[gone], "w", encoding="ascii"):
            pass
        w.start()
        assert move(w, "t", 0, gone) == STORAGE_ERROR
    finally:
        w.broker.close()


def a_groups_partition_moves(options, folder, _):
    """Its coordinator goes on where the partition is, and so does a fetch that waits."""
    w = World(options, folder).start()
    try:
        w.client.create_topic("t", 3)
        assert wait_until(lambda: commit(w, "g", 1) == 0, 20, "a coordinator")
        name, index = "__consumer_offsets", java_hash("g") % 50
        w.client.produce("t", 0, batch([b"first"]))
        to = (w.home(name, index) + 1) % 3, (w.home("t", 0) + 1) % 3
        got, reader = [], Client(w.broker.port, 130)
        waiting = threading.Thread(target=lambda: got.append(reader.fetch("t", {0: 1}, 120000)[0]))
        waiting.start()
        assert move(w, name, index, to[0]) == 0 and move(w, "t", 0, to[1]) == 0
        moved(w, name, index, to[0])
        moved(w, "t", 0, to[1])
        assert commit(w, "g", 2) == 0 and committed(w, "g") == (0, 2)
        w.client.produce("t", 0, batch([b"second"]))
        waiting.join(PATIENCE)
        assert [v for _, v, _, _ in records(got[0][2])] == [b"second"]
        for how, value in (("kill", 3), ("stop", 4)):
            w.restart(how)
            wait_until(lambda value=value: committed(w, "g") == (0, value - 1), 20, "what was committed")
            assert commit(w, "g", value) == 0 and w.home(name, index) == to[0]
        w.broker.end_well()
    finally:
        w.broker.close()


class Busy(threading.Thread):
    """Writes numbers to a partition, as fast as it is answered, and notes what was acknowledged."""

    def __init__(self, w, topic):
        super().__init__()
        self.w, self.topic, self.ending, self.acknowledged, self.trouble = w, topic, False, [], None

    def run(self):
        client = Client(self.w.broker.port)
        try:
            number = 0
            while not self.ending:
                assert client.produce(self.topic, 0, batch([b"%d" % number + bytes(2000)])) >= number
                self.acknowledged.append(number)
                number += 1
        except Lost:
            pass
        except Exception as problem:  # noqa: BLE001
            self.trouble = problem
        finally:
            client.close()


def numbers_of(w, topic):
    got, at = [], 0
    while True:
        code, mark, data = w.client.fetch(topic, {0: at}, 100)[0]
        assert code == 0
        for offset, value, _, _ in records(data):
            got.append(int(value.rstrip(b"\0")))
            at = offset + 1
        if at >= mark:
            return got


def moves_while_written(options, folder, _):
    """Nobody who writes or reads sees an error, and nothing is lost, doubled or out of order."""
    w = World(options, folder).start()
    writer = Busy(w, "t")
    try:
        w.client.create_topic("t", 1, {"segment.bytes": "1048576"})
        writer.start()
        for _ in range(4):
            before = len(writer.acknowledged)
            wait_until(lambda before=before: len(writer.acknowledged) > before + 300 or writer.trouble, 30, "records")
            to = (w.home("t", 0) + 1) % 3
            assert move(w, "t", 0, to) == 0
            moved(w, "t", 0, to)
            assert w.values("t", 0)[0] == 0
        writer.ending = True
        writer.join()
        assert writer.trouble is None, writer.trouble
        assert numbers_of(w, "t") == writer.acknowledged
        w.restart()
        assert numbers_of(w, "t") == writer.acknowledged
        assert not w.says("ERROR"), w.says("ERROR")
        w.broker.end_well()
    finally:
        writer.ending = True
        writer.join()
        w.broker.close()


def killed_while_moving(options, folder, _):
    """SIGKILL at any moment of a move: one good copy, everything that was acknowledged in it, nothing left behind."""
    w = World(options, folder)
    homes = set()
    for number in range(12):
        w.start()
        topic = f"t{number}"
        w.client.create_topic(topic, 1, {"segment.bytes": "1048576"})
        for _ in range(10):
            w.client.produce(topic, 0, batch([b"-1" + bytes(400000)]))
        writer = Busy(w, topic)
        writer.start()
        wait_until(lambda writer=writer: len(writer.acknowledged) > 20 or writer.trouble, 30, "records")
        before = w.home(topic, 0)
        to = (before + 1) % 3
        assert move(w, topic, 0, to) == 0
        if number % 3 > 0:
            wait_until(lambda to=to, topic=topic: any(n.startswith(topic + "-0") for n in os.listdir(w.dirs[to])), 10,
                       "it begins")
        if number % 3 > 1:
            wait_until(lambda to=to, topic=topic: f"{topic}-0" in os.listdir(w.dirs[to]), 10, "it ends")
        w.broker.kill()
        writer.join()
        w.client.close()
        assert writer.trouble is None, writer.trouble
        w.start()
        home = w.home(topic, 0)
        assert home in (before, to) and not leftovers(w), (home, before, to, leftovers(w))
        homes.add(home == to)
        got = [n for n in numbers_of(w, topic) if n >= 0]
        assert got[:len(writer.acknowledged)] == writer.acknowledged
        assert got == list(range(len(got)))
        assert w.code(topic, 0) == 0
        w.client.close()
        assert w.broker.stop() == 0
    assert homes == {True, False}


def between_the_names(options, folder, _):
    """The moment between the two renames, made by hand: the old copy counts, or the new one when it has its name."""
    for named in (False, True):
        w = World(options, os.path.join(folder, str(named))).start()
        try:
            w.client.create_topic("t", 1)
            for value in (b"one", b"two"):
                w.client.produce("t", 0, batch([value]))
            home = w.home("t", 0)
            to = (home + 1) % 3
            w.client.close()
            assert w.broker.stop() == 0
            old, other = (os.path.join(w.dirs[d], "t-0") for d in (home, to))
            shutil.copytree(old, other if named else other + ".12345678-future")
            os.rename(old, old + ".12345678-moved")
            w.start()
            assert w.home("t", 0) == (to if named else home) and not leftovers(w)
            assert w.values("t", 0) == (0, [b"one", b"two"])
        finally:
            w.broker.close()


def as_kafka(options, folder, dirs):
    """A Kafka on directories that may be formatted already."""
    if os.path.exists(os.path.join(dirs[0], "meta.properties")):
        os.makedirs(os.path.join(folder, "log"), exist_ok=True)
        with open(os.path.join(folder, "log", "meta.properties"), "w", encoding="ascii"):
            pass
    return Kafka(folder=folder, settings={"log.dirs": ",".join(dirs)})


def as_ours(options, folder, dirs):
    broker = FluxMQ(folder=folder, binary=options.bin, settings={"node.id": 1})
    broker.data = ",".join(dirs)
    return broker


def kafka_there_and_back(options, folder, _):
    """The same directories under both, whoever was first: places and records stay, new partitions go to all of them."""
    if not options.kafka:
        raise Skip("--kafka")
    before = None
    for first, second in ((as_kafka, as_ours), (as_ours, as_kafka)):
        here = os.path.join(folder, first.__name__)
        w = World(options, here)
        for number, make in enumerate((first, second, first)):
            w.broker = make(options, here, w.dirs)
            w.broker.start()
            w.client = Client(w.broker.port, 30)
            if number == 0:
                w.client.create_topic("t", 6)
            for index in range(6):
                wait_until(lambda index=index: w.code("t", index) == 0, 20, "producing")
                assert w.values("t", index) == (0, [b"value"] * (number + 1))
            w.client.create_topic(f"new{number}", 3)
            wait_until(lambda number=number: {w.home(f"new{number}", i) for i in range(3)} == {0, 1, 2}, 20, "a place")
            homes = [w.home("t", i) for i in range(6)]
            assert number == 0 or homes == before
            before = homes
            w.client.close()
            assert w.broker.stop() in (0, 143)


def opened_side_by_side(options, folder, _):
    """After a kill, however many threads open the logs, the same is found; one that can't be opened is alone."""
    w = World(options, os.path.join(folder, "w"), dirs=("a",), settings={"flush.mode": "none"}).start()
    for topic in ("p", "q"):
        w.client.create_topic(topic, 12)
        for index in range(12):
            for n in range(index + 3):
                assert w.client.produce(topic, index, batch([b"%d-%d" % (index, n)])) == n
    w.client.close()
    w.broker.kill()

    def log(topic, index):
        return os.path.join(w.dirs[0], f"{topic}-{index}", "0" * 20 + ".log")
    os.truncate(log("p", 5), os.path.getsize(log("p", 5)) - 3)  # the last batch is torn
    os.remove(log("q", 7))
    os.mkdir(log("q", 7))
    saved, found = shutil.copytree(w.dirs[0], folder + "-saved"), []
    for threads in (1, 2, 7):
        shutil.rmtree(w.dirs[0])
        shutil.copytree(saved, w.dirs[0])
        w.broker.settings["num.recovery.threads.per.data.dir"] = threads
        w.start()
        found.append({(t, i): w.values(t, i) for t in ("p", "q") for i in range(12) if (t, i) != ("q", 7)})
        assert w.code("q", 7) != 0 and w.code("q", 8) == 0
        assert re.search(r"recovery of p-5: (.|\n)*partition q-7 is offline", "".join(w.says("")))
        w.client.close()
        w.broker.kill()
        os.remove(w.broker.log)
    assert found[0] == found[1] == found[2]
    for (topic, index), got in found[0].items():
        torn = (topic, index) == ("p", 5)
        assert got == (0, [b"%d-%d" % (index, n) for n in range(index + 3 - torn)]), (topic, index)


CASES = [moves, move_refused, a_groups_partition_moves, moves_while_written, killed_while_moving, between_the_names,
         placed_evenly, opened_side_by_side, found_again, one_is_missing, emptied, moved_by_hand, in_two_places,
         not_ours, metadata_apart, disk_fails, no_ack_for_a_failed_flush, groups_of_a_failed_disk, last_disk_fails,
         kafka_there_and_back]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--bin", default=DEFAULT_BIN)
    parser.add_argument("--kafka", action="store_true")
    parser.add_argument("case", nargs="*")
    options = parser.parse_args()
    tap, folder = Tap(), tempfile.mkdtemp(prefix="fluxmq-dirs-")
    shim = faults.build_shim(folder)
    for case in CASES:
        if not options.case or case.__name__ in options.case:
            tap.run(case.__name__, case, options, os.path.join(folder, case.__name__), shim)
    if not tap.failed:
        shutil.rmtree(folder, ignore_errors=True)
    else:
        tap.note(f"logs in {folder}")
    tap.finish()


if __name__ == "__main__":
    main()
