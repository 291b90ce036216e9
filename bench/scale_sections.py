# SPDX-License-Identifier: MIT
"""The curves of scale.py: each function measures one, its points, and judges the goals that are set for it."""

import collections
import ctypes
import glob
import json
import mmap
import os
import signal
import socket
import struct
import subprocess
import time

from brokers import Client, cpu_seconds, memory

METADATA = struct.pack(">ihhihi", 14, 3, 1, 1, -1, 0)  # version 1, no topics
AT_ONCE = 9999  # partitions that one request may make: Kafka's rule, and ours
Point = collections.namedtuple("Point", "x name run")


class Failure(Exception):
    """What was measured is wrong, or could not be measured."""


def read(process, seconds):
    """The report of a load."""
    try:
        out, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired as late:
        process.kill()
        process.communicate()
        raise Failure(f"{' '.join(process.args[2:4])}: no end after {seconds} s") from late
    if process.returncode:
        raise Failure(f"{' '.join(process.args[2:])}: {err}{out}")
    return json.loads(out)


def expect(what, value, wanted):
    if value != wanted:
        raise Failure(f"{what}: {value}, not {wanted}")


def kill(broker):
    broker.process.send_signal(signal.SIGKILL)
    broker.process.wait()


def counts(s, *numbers):
    return [n for n in numbers if s.given.least <= n <= s.given.most]


def times(r):
    return {"p50_us": r["latency_us"]["p50"], "p99_us": r["latency_us"]["p99"], "late_p99_us": r["late_us"]["p99"]}


def at_rate(s, rate, warm=1):
    return ("--rate", rate, "--duration", f"{s.given.seconds}s", "--warm", f"{warm}s")


# ---- partitions

def make_topic(broker, topic, count):
    """The seconds until the broker says that they are there."""
    client, began = Client(broker.port, 180), time.monotonic()
    client.create_topic(topic, min(count, AT_ONCE))
    if count > AT_ONCE:
        answer = client.call("CreatePartitions", 3, {"topics": [{"name": topic, "count": count, "assignments": None}],
                                                     "timeoutMs": 30000, "validateOnly": False})
        expect("CreatePartitions", answer["results"][0]["errorCode"], 0)
    client.close()
    return time.monotonic() - began


def with_partitions(s, count):
    b = s.broker()
    created = make_topic(b, "t", count)
    r = s.load(b, "produce", "t", "--count", count * 10, "--verify")
    expect("partitions", r["conditions"]["partitions"], count)
    made, files = memory(b.pid), len(os.listdir(f"/proc/{b.pid}/fd"))
    b.stop()
    clean = b.start()
    started = memory(b.pid)
    s.load(b, "produce", "t", "--count", count, "--verify")
    kill(b)
    killed = b.start()
    os.sync()  # what was made before is on the disk, and each partition was written since the start, before time counts
    r = s.load(b, "produce", "t", *at_rate(s, 2000, 1 + count // 2000), "--acks", 1, "--verify")
    s.end(b)
    return {"created_s": created, "ready_after_stop_s": clean, "ready_after_kill_s": killed, "rss_mib": made["rss"],
            "anonymous_mib": made["anonymous"], "rss_after_start_mib": started["rss"], "files": files,
            "cpu_s_per_million": r["server"]["cpu_s_per_million"], **times(r)}


def partitions(s):
    """Partitions of a topic: ready after a clean stop and after SIGKILL, memory, latency of 2,000 records a second."""
    rows = s.curve("partitions", [Point(n, f"{n} partitions", lambda n=n: with_partitions(s, n))
                                  for n in counts(s, 1, 10, 100, 1000, 10000)])
    most = rows.get("10000 partitions")
    if most:
        s.goal("10,000 partitions: ready after a clean stop, s", most["ready_after_stop_s"], 2)
        s.goal("10,000 partitions: ready after SIGKILL, s", most["ready_after_kill_s"], 5)
        s.goal("10,000 partitions: resident, MiB", most["rss_mib"], 512)
        if "10 partitions" in rows:
            s.goal("10,000 partitions: p99 / that of 10", most["p99_us"] / rows["10 partitions"]["p99_us"], 2)


# ---- connections

def answered(connection):
    """Reads one answer, whole."""
    data = b""
    while len(data) < 4 or len(data) < 4 + struct.unpack_from(">i", data)[0]:
        more = connection.recv(65536)
        if not more:
            raise Failure("the broker closed a connection")
        data += more


def ask_all(list_):
    for c in list_:
        c.sendall(METADATA)
    for c in list_:
        answered(c)


def with_connections(s, count):
    b, list_ = s.broker({"max.connections": "20000"}), []
    try:
        first = socket.create_connection(("127.0.0.1", b.port), 20)
        ask_all([first])
        first.close()
        before = memory(b.pid)["anonymous"]
        for _ in range(count):
            list_.append(socket.create_connection(("127.0.0.1", b.port), 20))
            list_[-1].sendall(METADATA)
        for c in list_:
            answered(c)
        time.sleep(0.5)
        after, cpu = memory(b.pid)["anonymous"], cpu_seconds(b.pid)
        time.sleep(s.given.seconds)
        share = (cpu_seconds(b.pid) - cpu) / s.given.seconds
        ask_all(list_)  # all are still there
    finally:
        for c in list_:
            c.close()
    s.end(b)
    return {"kib_each": (after - before) * 1024 / count, "anonymous_mib": after, "cpu_percent": share * 100}


def connections(s):
    """Idle connections, each asked something once and is asked again at the end: memory of ours, CPU of all."""
    rows = s.curve("connections", [Point(n, f"{n} idle connections", lambda n=n: with_connections(s, n))
                                   for n in counts(s, 1, 10, 100, 1000, 10000)])
    for name, last in list(rows.items())[-1:]:
        s.goal(f"{name}: KiB each", last["kib_each"], 8)
        s.goal(f"{name}: % of a core", last["cpu_percent"], 0.3)


# ---- fetches that wait

def wait_for_files(broker, count):
    until = time.monotonic() + 20
    while len(os.listdir(f"/proc/{broker.pid}/fd")) < count:
        if time.monotonic() > until:
            raise Failure(f"not {count} files of the broker within 20 s")
        time.sleep(0.01)


def with_parked(s, count, wait):
    """CPU and memory of that many, which must all get the one record that comes at the end."""
    b = s.broker()
    s.load(b, "produce", "t", "--partitions", 1, "--count", 1)
    before, files = memory(b.pid)["anonymous"], len(os.listdir(f"/proc/{b.pid}/fd"))
    with subprocess.Popen(s.words(b, "consume", "t", "--from", "end", "--count", count, "--duration",
                                  f"{s.given.seconds + 20}s", "--connections", count, "--fetch-wait", wait),
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as p:
        try:
            wait_for_files(b, files + count)
            time.sleep(1)
            after, cpu = memory(b.pid)["anonymous"], cpu_seconds(b.pid)
            time.sleep(s.given.seconds)
            share = (cpu_seconds(b.pid) - cpu) / s.given.seconds
            s.load(b, "produce", "t", "--count", 1)
            expect("fetches that got the record", read(p, 60)["records"], count)
        finally:
            p.kill()
    s.end(b)
    return share * 100, (after - before) * 1024 / count


def parked(s):
    """Fetches that wait for a record: CPU while none comes, and when each asks again twice a second."""
    def run(n):
        quiet, each = with_parked(s, n, "60s")
        return {"cpu_percent": quiet, "kib_each": each, "asking_cpu_percent": with_parked(s, n, "500ms")[0]}

    rows = s.curve("parked", [Point(n, f"{n} parked fetches", lambda n=n: run(n)) for n in counts(s, 10, 100, 1000)])
    for name, last in list(rows.items())[-1:]:
        s.goal(f"{name}: % of a core", last["cpu_percent"], 0.3)
        s.goal(f"{name}: KiB each", last["kib_each"], 8)


# ---- loads

def producers(s):
    """Connections that produce, 5,000 records a second of all together, each record a request."""
    def run(n):
        b = s.broker()
        r = s.load(b, "produce", "t", "--partitions", 8, "--connections", n, *at_rate(s, 5000), "--acks", 1,
                   "--verify")
        s.end(b)
        return {"cpu_s_per_million": r["server"]["cpu_s_per_million"], "rss_mib": r["server"]["rss_mib"], **times(r)}

    s.curve("producers", [Point(n, f"{n} producers", lambda n=n: run(n)) for n in counts(s, 1, 10, 100, 1000, 4000)])


def sizes(s):
    """Values of 10 B to 1 MiB in batches of 64 KiB (or one record), as many as go, two connections."""
    def run(size):
        b = s.broker()
        count = max(20, s.given.mib * (1 << 20) // size)
        r = s.load(b, "produce", "t", "--partitions", 2, "--connections", 2, "--size", size, "--count", count,
                   "--acks", 1, "--verify")
        c = s.load(b, "consume", "t", "--connections", 2)
        expect("records", c["records"], count)
        s.end(b)
        gib = count * size / (1 << 30)  # of values, not of batches, on both ways
        return {"produced_mib_per_s": r["mib_per_s"], "produced_per_s": r["records_per_s"],
                "produce_cpu_s_per_gib": r["server"]["cpu_s_per_gib"],
                "consumed_mib_per_s": gib * 1024 / c["seconds"], "consumed_per_s": c["records_per_s"],
                "consume_cpu_s_per_gib": c["server"]["cpu_s"] / gib}

    # with its batch's and its own header, a record of the last size is a request of 1 MiB
    s.curve("sizes", [Point(n, f"{n} B", lambda n=n: run(n)) for n in (10, 100, 1024, 10240, 102400, (1 << 20) - 128)])


def small(s):
    """180 partitions, 15,000 records a second of all together, no linger: batches of one record."""
    def run(acks):
        b = s.broker()
        r = s.load(b, "produce", "t", "--partitions", 180, "--connections", 4, *at_rate(s, 15000), "--acks", acks,
                   "--verify")
        s.end(b)
        return {"records_per_s": r["records_per_s"], "cpu_s_per_million": r["server"]["cpu_s_per_million"],
                "records_a_batch": r["records"] / max(r["batches"], 1), **times(r)}

    s.curve("small", [Point(None, f"acks={acks}", lambda acks=acks: run(acks)) for acks in (1, "all")])


# ---- what is on the disk

def resident_share(paths):
    """Of the pages of files, those in memory."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype, libc.mmap.argtypes = ctypes.c_void_p, [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3,
                                                              ctypes.c_long]
    libc.mincore.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p]
    libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    pages = there = 0
    for path in paths:
        size = os.path.getsize(path)
        if not size:
            continue
        file = os.open(path, os.O_RDONLY)
        at = libc.mmap(None, size, mmap.PROT_READ, mmap.MAP_SHARED, file, 0)
        os.close(file)
        states = ctypes.create_string_buffer((size + mmap.PAGESIZE - 1) // mmap.PAGESIZE)
        if at == ctypes.c_void_p(-1).value or libc.mincore(at, size, states) != 0:
            raise OSError(ctypes.get_errno(), f"mincore of {path}")
        libc.munmap(at, size)
        pages += len(states)
        there += sum(1 for state in states.raw if state & 1)
    return there / max(pages, 1)


def logs_of(broker, topic):
    return glob.glob(os.path.join(broker.folder, f"{topic}-*", "*.log"))


def drop_from_cache(broker, topic):
    """What of the topic's log is in memory all the same (in a file system in memory: all of it)."""
    paths = logs_of(broker, topic)
    for path in paths:
        file = os.open(path, os.O_RDONLY)
        os.fsync(file)
        os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(file)
    return resident_share(paths)


def recovered(s, mib, dropped):
    b = s.broker()
    s.load(b, "produce", "t", "--partitions", 1, "--size", 1024, "--count", mib * 1024, "--acks", 1)
    kill(b)
    resident = drop_from_cache(b, "t") if dropped else 1
    ready = b.start()
    expect("recovered records", s.load(b, "consume", "t")["records"], mib * 1024)
    s.end(b)
    return ready, resident


def recovery(s):
    """A log in one partition, SIGKILL, and the first answer of the broker that starts again; then all is read."""
    def run(mib):
        ready, _ = recovered(s, mib, False)
        cold, resident = recovered(s, mib, True)
        return {"ready_s": ready, "ready_from_disk_s": cold, "resident_before": resident}

    whole = s.given.recovered_mib
    rows = s.curve("recovery", [Point(n, f"{n} MiB", lambda n=n: run(n)) for n in (10, 100, whole) if n <= whole])
    if f"{whole} MiB" in rows:
        s.goal(f"{whole} MiB of log after SIGKILL: ready, s", rows[f"{whole} MiB"]["ready_s"], 0.5)


class Backlog:
    """A hot topic (5,000 records a second, end to end), and a cold one that is read from its beginning beside it."""

    def __init__(self, s):
        self.s, self.broker, self.records = s, None, s.given.cold_mib * 1024

    def prepare(self):
        self.broker = self.s.broker()
        self.s.keep = [self.broker]
        self.s.load(self.broker, "produce", "cold", "--partitions", 1, "--size", 1024, "--count", self.records,
                    "--acks", 1)

    def words(self):
        return self.s.words(self.broker, "e2e", "hot", "--partitions", 1, *at_rate(self.s, 5000), "--size", 128,
                            "--acks", 1)

    def start(self, words):
        return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def alone(self):
        return times(read(self.start(self.words()), 120))

    def read_all(self, reader):
        r = read(reader, 600)
        expect("records of the backlog", r["records"], self.records)
        return r["mib_per_s"]

    def prepared(self, from_disk):
        """The share of the backlog that is in memory."""
        if from_disk:
            return drop_from_cache(self.broker, "cold")
        return resident_share(logs_of(self.broker, "cold"))

    def beside(self, from_disk):
        """The reader begins again when it is through before the hot load is."""
        resident, rates, reading, took = self.prepared(from_disk), [], 0, 0.02
        cold = self.s.words(self.broker, "consume", "cold")
        reader, hot = self.start(cold), self.start(self.words())
        try:
            began = time.monotonic()
            while hot.poll() is None:
                tick = time.monotonic()
                if reader.poll() is None:
                    time.sleep(0.02)
                    reading += time.monotonic() - tick
                else:
                    rates.append(self.read_all(reader))
                    resident = max(resident, self.prepared(from_disk))
                    reader = self.start(cold)
                took = time.monotonic() - began
            result = times(read(hot, 10))
            if not rates:
                rates.append(self.read_all(reader))
        finally:
            for p in (reader, hot):
                p.kill()
                p.communicate()
        return {**result, "cold_mib_per_s": rates[-1], "resident_before": resident, "reading_share": reading / took,
                "rss_mib": memory(self.broker.pid)["rss"]}


def backlog(s):
    """A hot topic (5,000 records a second, end to end), alone, and with a reader that catches up from the disk. What
    the same reader does to it from memory (where that has room for the backlog) is its share of the processor."""
    b, reader = Backlog(s), f"beside a reader of {s.given.cold_mib} MiB"
    rows = s.curve("backlog", [Point(None, "alone", b.alone),
                               Point(None, reader, lambda: b.beside(True)),
                               Point(None, "the same, read from memory", lambda: b.beside(False))], b.prepare)
    s.keep = []
    s.end(b.broker)
    if "alone" in rows and reader in rows:
        s.goal("hot p99 beside a cold reader / without", rows[reader]["p99_us"] / rows["alone"]["p99_us"], 2)
