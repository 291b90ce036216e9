#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The cleaner, and when the disk is flushed, by the doors of a running broker.

run.py [--bin FILE] [--rounds N] [case...]     --rounds: SIGKILLs while compaction is at work
"""

import argparse
import os
import random
import re
import struct
import subprocess
import sys
import threading
import time
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "harness")]

from broker import DEFAULT_BIN, FluxMQ, free_port, wait_until  # noqa: E402
from client import Client, Lost, Refused, crc32c, read_varint, varint  # noqa: E402
from tap import Skip, Tap  # noqa: E402

SEGMENT = 1 << 20
COMPACT = {"cleanup.policy": "compact", "segment.bytes": SEGMENT, "min.cleanable.dirty.ratio": 0.01,
           "file.delete.delay.ms": 0}


def keyed(pairs, timestamp=None):
    """A record batch of (key, value); value None: a tombstone."""
    now = int(time.time() * 1000) if timestamp is None else timestamp
    body = bytearray()
    for delta, (key, value) in enumerate(pairs):
        record = b"\0\0" + varint(delta) + varint(len(key)) + key
        record += varint(-1) if value is None else varint(len(value)) + value
        record += b"\0"
        body += varint(len(record)) + record
    tail = struct.pack(">hiqqqhii", 0, len(pairs) - 1, now, now, -1, -1, -1, len(pairs)) + bytes(body)
    return struct.pack(">qiibI", 0, len(tail) + 9, -1, 2, crc32c(tail)) + tail


def records(data):
    """(offset, key, value) of every record of the whole batches in data, and the offset behind them."""
    out, at, behind = [], 0, None
    while at + 61 <= len(data):
        base, size = struct.unpack_from(">qi", data, at)
        end = at + 12 + size
        if end > len(data):
            break
        assert struct.unpack_from(">I", data, at + 17)[0] == crc32c(bytes(data[at + 21:end])), "a wrong CRC"
        last, = struct.unpack_from(">i", data, at + 23)
        count, = struct.unpack_from(">i", data, at + 57)
        place = at + 61
        for _ in range(count):
            _, place = read_varint(data, place)
            _, here = read_varint(data, place + 1)
            delta, here = read_varint(data, here)
            parts = []
            for _ in range(2):
                size, here = read_varint(data, here)
                parts.append(None if size < 0 else bytes(data[here:here + size]))
                here += max(size, 0)
            out.append((base + delta, *parts))
            place = here + 1
        behind = base + last + 1
        at = end
    return out, behind


class World:
    def __init__(self, binary, **settings):
        self.metrics = free_port(23180, 23189)
        self.broker = FluxMQ(binary=binary, options=("--metrics-port", str(self.metrics)), settings={
            "log.cleaner.backoff.ms": 50, "log.segment.delete.delay.ms": 0, "log.retention.check.interval.ms": 300,
            "offsets.topic.num.partitions": 1, "offsets.topic.segment.bytes": SEGMENT, "flush.mode": "none",
            "log.flush.offset.checkpoint.interval.ms": 200,
            **settings}).start()
        self.client = Client(self.broker.port)
        self.number = 0

    def topic(self, **configs):
        self.number += 1
        name = f"clean-{self.number}"
        settings = {**COMPACT, **{key.replace("_", "."): value for key, value in configs.items()}}
        self.client.create_topic(name, 1, {key: str(value) for key, value in settings.items()})
        return name

    def reconnect(self):
        self.client = Client(self.broker.port)

    def restart(self):
        self.client.close()
        self.broker.end_well()
        self.broker.start()
        self.reconnect()

    def alter(self, topic, **configs):
        answer = self.client.call("IncrementalAlterConfigs", 0, {"validateOnly": False, "resources": [{
            "resourceType": 2, "resourceName": topic, "configs": [
                {"name": k.replace("_", "."), "configOperation": 0, "value": str(v)} for k, v in configs.items()]}]})
        assert answer["responses"][0]["errorCode"] == 0, answer

    def metric(self, name):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics}/metrics", timeout=10) as reply:
            text = reply.read().decode()
        return float(re.search(rf"^{name} (\S+)$", text, re.MULTILINE).group(1))

    def clean_up_to(self, topic):
        return self.checkpoint("cleaner", topic)

    def checkpoint(self, which, topic):
        """What the file says."""
        try:
            with open(os.path.join(self.broker.data, which + "-offset-checkpoint"), encoding="ascii") as file:
                found = re.search(rf"^{topic} 0 (\d+)$", file.read(), re.MULTILINE)
        except FileNotFoundError:
            return 0
        return int(found.group(1)) if found else 0

    def segments(self, topic):
        folder = os.path.join(self.broker.data, f"{topic}-0")
        return sorted(int(name[:20]) for name in os.listdir(folder) if name.endswith(".log"))

    def wait_clean(self, topic):
        """Until everything but the last segment is compacted."""
        wait_until(lambda: self.clean_up_to(topic) >= self.segments(topic)[-1] > 0, 30, f"{topic} is clean")

    def everything(self, topic):
        """{offset: (key, value)} of the whole log, as a consumer gets it."""
        out, at = {}, self.client.ends(topic, 1, -2)[0]
        while True:
            code, mark, data = self.client.fetch(topic, {0: at})[0]
            if code:
                raise Refused("Fetch", code)
            got, behind = records(data)
            for offset, key, value in got:
                if offset >= at:
                    out[offset] = (key, value)
            if behind is None or behind >= mark:
                return out
            at = behind


def fill(w, topic, keys=100, batches=20, seed=1, value_size=500):
    """Some MiB of records over a few keys; {offset: (key, value)} of what was sent."""
    chance, sent = random.Random(seed), {}
    for n in range(batches):
        pairs = [(b"key-%d" % chance.randrange(keys),
                  None if chance.random() < 0.02 else b"%d-%d-" % (n, k) + b"v" * value_size) for k in range(400)]
        base = w.client.produce(topic, 0, keyed(pairs))
        sent.update({base + k: pair for k, pair in enumerate(pairs)})
    return sent


def newest(log, below=None):
    """{key: offset}"""
    return {key: offset for offset, (key, _) in sorted(log.items()) if below is None or offset < below}


def check_compacted(w, topic, sent):
    got = w.everything(topic)
    clean = w.clean_up_to(topic)
    assert all(sent[offset] == pair for offset, pair in got.items()), "a record is not what was sent"
    below = newest(sent, clean)
    assert {o for o in got if o < clean} == {o for o in sent if o < clean and below[sent[o][0]] == o}
    assert {o for o in got if o >= clean} == {o for o in sent if o >= clean}
    return got


def the_newest_of_each_key_stays(w):
    t = w.topic()
    sent = fill(w, t)
    w.wait_clean(t)
    got = check_compacted(w, t, sent)
    assert len(got) < len(sent) / 2
    assert w.client.ends(t, 1) == [len(sent)] and w.client.ends(t, 1, -2) == [0]
    runs = w.metric("fluxmq_log_cleaner_runs_total")
    assert runs > 0 and w.metric("fluxmq_log_cleaner_failures_total") == 0
    assert w.metric("fluxmq_log_cleaner_read_bytes_total") > w.metric("fluxmq_log_cleaner_written_bytes_total") > 0
    w.restart()
    assert check_compacted(w, t, sent) == got
    sent.update(fill(w, t, seed=2))
    w.wait_clean(t)
    check_compacted(w, t, sent)


def topics_come_and_go_at_work(w):
    """A topic that is deleted while it is compacted leaves nothing to another of its name."""
    name = w.topic()
    for n in range(8):
        if n:
            w.client.create_topic(name, 1, {key: str(value) for key, value in COMPACT.items()})
        sent = fill(w, name, batches=6 + n % 4, seed=n)
        if n % 2:
            wait_until(lambda: w.metric("fluxmq_log_cleaner_runs_total") > before, 20, "a pass")
        if n == 7:
            break
        before = w.metric("fluxmq_log_cleaner_runs_total")
        answer = w.client.call("DeleteTopics", 3, {"topicNames": [name], "timeoutMs": 10000})
        assert answer["responses"][0]["errorCode"] == 0
        assert w.clean_up_to(name) == 0
    w.wait_clean(name)
    check_compacted(w, name, sent)
    assert w.metric("fluxmq_log_cleaner_failures_total") == 0


def cleaning_goes_where_it_is_wanted(w):
    """Topics become compacted, and cease to be, while they are used."""
    t = w.topic(cleanup_policy="delete")
    sent = fill(w, t)
    assert w.everything(t) == sent
    w.alter(t, cleanup_policy="compact")
    w.wait_clean(t)
    check_compacted(w, t, sent)
    clean = w.clean_up_to(t)
    w.alter(t, cleanup_policy="delete")
    more = fill(w, t, seed=2)
    other = w.topic()
    fill(w, other)
    w.wait_clean(other)
    assert {o: p for o, p in w.everything(t).items() if o >= clean} == {
        **{o: p for o, p in sent.items() if o >= clean}, **more}


def small_lags_and_large_ratios(w):
    """A log below its dirty ratio waits until max.compaction.lag.ms is over, then its active segment is rolled."""
    t = w.topic(min_cleanable_dirty_ratio=1.0)
    sent = fill(w, t, batches=2, value_size=20)
    assert w.segments(t) == [0]
    w.alter(t, max_compaction_lag_ms=500)
    wait_until(lambda: w.clean_up_to(t) == len(sent), 30, "the lag is over")
    assert set(check_compacted(w, t, sent)) == set(newest(sent).values())


def compact_and_delete(w):
    t = w.topic(cleanup_policy="compact,delete", retention_ms=3600000)
    old = int(time.time() * 1000) - 7200000
    for n in range(3):
        w.client.produce(t, 0, keyed([(b"old-%d-%d" % (n, k), b"v" * 1000) for k in range(900)], old))
    sent = fill(w, t)
    wait_until(lambda: w.client.ends(t, 1, -2)[0] >= 900, 30, "retention")
    w.wait_clean(t)
    got = w.everything(t)
    assert not any(key.startswith(b"old-0") for key, _ in got.values())
    below = newest(sent, w.clean_up_to(t))
    assert all(o in got for o in below.values())


def committed_offsets_are_compacted(w):
    """A group that commits a great many times; what is loaded after a restart is what it said last."""
    c = w.client
    c.create_topic("of-a-group", 8)
    wait_until(lambda: c.call("FindCoordinator", 1, {"key": "g", "keyType": 0})["errorCode"] == 0, 20, "a coordinator")
    body = {"groupId": "g", "generationIdOrMemberEpoch": -1, "memberId": "", "topics": [{
        "name": "of-a-group", "partitions": [
            {"partitionIndex": p, "committedOffset": 0, "committedMetadata": "m" * 200} for p in range(8)]}]}
    for n in range(4000):
        for p in body["topics"][0]["partitions"]:
            p["committedOffset"] = n * 10 + p["partitionIndex"]
        answer = c.call("OffsetCommit", 5, body)
        assert answer["topics"][0]["partitions"][0]["errorCode"] == 0
    t = "__consumer_offsets"
    w.wait_clean(t)
    folder = os.path.join(w.broker.data, t + "-0")
    size = sum(os.path.getsize(os.path.join(folder, name)) for name in os.listdir(folder) if name.endswith(".log"))
    assert size < 3 << 20, f"{size} bytes are left"
    for _ in range(2):
        answer = w.client.call("OffsetFetch", 5, {"groupId": "g", "topics": [
            {"name": "of-a-group", "partitionIndexes": list(range(8))}]})
        found = {p["partitionIndex"]: p["committedOffset"] for p in answer["topics"][0]["partitions"]}
        assert found == {p: 39990 + p for p in range(8)}, found
        w.restart()
        wait_until(lambda: w.client.call("OffsetFetch", 5, {"groupId": "g", "topics": [
            {"name": "of-a-group", "partitionIndexes": [0]}]})["errorCode"] == 0, 20, "the group is loaded")


# ---- killed while it compacts

def writer(port, topic, stop, acknowledged):
    """Each key's value is a number that grows; what was acknowledged last is remembered."""
    chance, number = random.Random(), 0
    try:
        client = Client(port)
        while not stop.is_set():
            keys = [b"k%d" % chance.randrange(200) for _ in range(300)]
            number += 1
            client.produce(topic, 0, keyed([(key, b"%d " % number + b"v" * 300) for key in keys]), acks=1)
            for key in keys:
                acknowledged[key] = number
    except (Lost, Refused, OSError):
        pass


def policies(w):
    """{thread: its scheduling policy}"""
    found = {}
    for task in os.listdir(f"/proc/{w.broker.process.pid}/task"):
        try:
            found[int(task)] = os.sched_getscheduler(int(task))
        except ProcessLookupError:
            pass
    return found


def comes_through_beside_busy_programs(w):
    """Passes give way to everybody, until they get nothing: then they take their share."""
    t, cores = w.topic(min_compaction_lag_ms=1 << 60), os.sched_getaffinity(0)
    sent = fill(w, t, batches=40, value_size=2000)
    try_it = "import os\nos.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))"
    if subprocess.run([sys.executable, "-c", try_it], check=False, stderr=subprocess.DEVNULL).returncode:
        raise Skip("this system has no SCHED_IDLE")
    # A thread of that priority keeps the whole process from ending beside busy programs: it is there for a pass only.
    wait_until(lambda: os.SCHED_IDLE not in policies(w).values(), 20, "no pass")
    tasks = policies(w)
    one = {min(cores)}
    for task in tasks:
        os.sched_setaffinity(task, one)
    at_work = f"import os\nos.sched_setaffinity(0, {one})\nprint(flush=True)\nwhile True: pass"
    busy = [subprocess.Popen([sys.executable, "-c", at_work], stdout=subprocess.PIPE) for _ in range(4)]
    try:
        for process in busy:
            process.stdout.readline()  # a pass that began before they are there would get all of the processor
        w.alter(t, min_compaction_lag_ms="0")
        w.wait_clean(t)
    finally:
        for process in busy:
            process.kill()
            process.communicate()
    for task in tasks:
        os.sched_setaffinity(task, cores)
    check_compacted(w, t, sent)
    with open(w.broker.log, encoding="utf-8") as log:
        assert "got no time beside others" in log.read()


def killed_at_work(w, rounds):
    """Nothing acknowledged is lost, no older value comes back, offsets stay."""
    t = w.topic(min_cleanable_dirty_ratio=0.0001)
    known, chance, seen = {}, random.Random(7), {}
    base = 0
    for n in range(rounds):
        acknowledged, stop = {}, threading.Event()
        thread = threading.Thread(target=writer, args=(w.broker.port, t, stop, acknowledged))
        thread.start()
        begun = w.segments(t)[-1]
        wait_until(lambda: w.segments(t)[-1] > begun + SEGMENT // 400, 30, "some segments")
        time.sleep(chance.random() * 0.05)
        w.broker.kill()
        stop.set()
        thread.join()
        known.update({key: base + value for key, value in acknowledged.items()})
        w.broker.start()
        w.reconnect()
        log = w.everything(t)
        for offset, pair in log.items():
            assert seen.get(offset, pair) == pair, f"round {n}: another record at {offset}"
        values = {key: log[offset][1] for key, offset in newest(log).items()}
        for key, value in acknowledged.items():
            assert int(values[key].split(b" ")[0]) >= value, f"round {n}: {key} was {value} and is {values[key][:9]}"
        seen = log
    w.wait_clean(t)


# ---- flushes

def flushed_after_a_time(w):
    t = w.topic(cleanup_policy="delete", flush_ms=100)
    before = w.metric("fluxmq_log_flushes_total")
    w.client.produce(t, 0, keyed([(b"k", b"v")]), acks=1)
    wait_until(lambda: w.metric("fluxmq_log_flushes_total") > before, 5, "the flush")
    other = w.topic(cleanup_policy="delete")
    before = w.metric("fluxmq_log_flushes_total")
    w.client.produce(other, 0, keyed([(b"k", b"v")]), acks=1)
    w.client.produce(t, 0, keyed([(b"k", b"v")]), acks=1)
    wait_until(lambda: w.metric("fluxmq_log_flushes_total") > before, 5, "the flush")
    assert w.metric("fluxmq_log_flushes_total") == before + 1, "only one topic asks for it"


def flushed_after_a_number(w):
    t = w.topic(cleanup_policy="delete", flush_messages=10)
    before = w.metric("fluxmq_log_flushes_total")
    for n in range(1, 41):
        w.client.produce(t, 0, keyed([(b"k", b"v")]), acks=1)
        assert w.metric("fluxmq_log_flushes_total") == before + n // 10, n


def checkpoints_are_written_in_time(w):
    t = w.topic(cleanup_policy="delete")
    for n in range(1, 4):
        w.client.produce(t, 0, keyed([(b"k", b"v")]), acks=1)
        wait_until(lambda n=n: w.checkpoint("replication", t) == n, 5, "the checkpoint")


def min_insync_replicas_counts_what_there_is(w):
    """As in Kafka: no more replicas are asked for than the partition has."""
    t = w.topic(cleanup_policy="delete", min_insync_replicas=3)
    assert w.client.produce(t, 0, keyed([(b"k", b"v")]), acks=-1) == 0


def space_is_taken_at_once(w):
    t = w.topic(cleanup_policy="delete", preallocate="true")
    w.client.produce(t, 0, keyed([(b"k", b"v")]))
    path = os.path.join(w.broker.data, f"{t}-0", "0" * 20 + ".log")
    if os.stat(path).st_blocks * 512 < SEGMENT:
        raise Skip("this file system has no fallocate")
    assert os.stat(path).st_size < 1000
    for n in range(4):
        w.client.produce(t, 0, keyed([(b"k", b"%d" % n + b"v" * 400000)]))
    assert os.stat(path).st_blocks * 512 < SEGMENT + 65536
    w.restart()
    last = os.path.join(w.broker.data, f"{t}-0", "%020d.log" % w.segments(t)[-1])
    assert w.client.ends(t, 1) == [5] and os.stat(last).st_size > 0


CASES = [the_newest_of_each_key_stays, topics_come_and_go_at_work, cleaning_goes_where_it_is_wanted,
         small_lags_and_large_ratios, comes_through_beside_busy_programs,
         compact_and_delete, committed_offsets_are_compacted, flushed_after_a_time, flushed_after_a_number,
         checkpoints_are_written_in_time, min_insync_replicas_counts_what_there_is, space_is_taken_at_once]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", default=DEFAULT_BIN)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("cases", nargs="*")
    options = parser.parse_args()
    tap = Tap()
    w = World(options.bin)
    try:
        for case in CASES:
            if not options.cases or any(word in case.__name__ for word in options.cases):
                tap.run(case.__name__.replace("_", " "), case, w)
        if not options.cases or "killed" in options.cases:
            tap.run("killed at work", killed_at_work, w, options.rounds)
        tap.run("the broker ends well", w.broker.end_well)
    finally:
        w.broker.close()
    print(f"1..{tap.count}")
    return 1 if tap.failed else 0


sys.exit(main())
