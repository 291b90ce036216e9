#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""scale.py: what many partitions, connections, producers, sizes and a long backlog cost our broker.

Every point of a curve has a broker of its own on an empty directory; a figure is the median of the rounds. What was
produced is read back and checked where it says so. Writes text to standard output and JSON to
bench/results/scale.json."""

import argparse
import glob
import json
import os
import platform
import resource
import shutil
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time

from brokers import ROOT, FluxMQ, KeptMemory, cpu_seconds, memory, touch_memory

SECTIONS = ("partitions", "connections", "parked", "producers", "sizes", "small", "recovery", "backlog")
METADATA = struct.pack(">ihhihi", 14, 3, 1, 1, -1, 0)  # version 1, no topics


class Scale:
    def __init__(self, given):
        self.given, self.rows, self.goals, self.number = given, [], [], 0
        self.binary = os.path.join(given.build, "fluxmq")
        self.folder = tempfile.mkdtemp(prefix="fluxmq-scale-", dir=given.dir)
        self.running = []

    def broker(self, settings=None):
        self.number += 1
        b = FluxMQ(f"b{self.number}", self.folder, self.given.port, self.binary, settings or {})
        self.running.append(b)
        b.start()
        return b

    def end(self, broker):
        broker.stop()
        broker.wipe()
        self.running.remove(broker)

    def words(self, broker, mode, topic, *words):
        return [self.binary, "bench", mode, topic, "--brokers", f"127.0.0.1:{broker.port}", "--pid", str(broker.pid),
                "--json", *map(str, words)]

    def load(self, broker, mode, topic, *words):
        out = subprocess.run(self.words(broker, mode, topic, *words), capture_output=True, text=True, check=False)
        if out.returncode:
            sys.exit(f"bench {mode} {words}: {out.stderr}{out.stdout}")
        return json.loads(out.stdout)

    def rounds(self, run):
        """Medians of what `run` says, each round."""
        got = [run() for _ in range(self.given.rounds)]
        return {k: round(statistics.median(g[k] for g in got), 4) for k in got[0]}

    def row(self, section, name, figures):
        self.rows.append({"section": section, "name": name, **figures})
        print(f"  {name:<30}" + "  ".join(f"{k} {v:g}" for k, v in figures.items()), flush=True)
        return figures

    def goal(self, what, value, most):
        self.goals.append({"what": what, "value": round(value, 4), "goal": f"<= {most:g}", "met": value <= most})
        print(f"  {'good' if value <= most else 'MISSED'}: {what}: {value:.4g}, goal <= {most:g}", flush=True)


def kill(broker):
    broker.process.send_signal(signal.SIGKILL)
    broker.process.wait()


# ---- sections

def partitions(s):
    """Partitions of a topic: ready after a clean stop and after SIGKILL, memory, latency of 2,000 records a second."""
    curve = {}
    for count in (n for n in (1, 10, 100, 1000, 10000) if s.given.least <= n <= s.given.most):
        def run(count=count):
            b = s.broker()
            # 10,000 in one request are against the rules, of Kafka too.
            s.load(b, "produce", "t", "--partitions", min(count, 9999), "--count", count * 10, "--verify")
            made = memory(b.pid)
            b.stop()
            clean = b.start()
            started = memory(b.pid)
            s.load(b, "produce", "t", "--count", count, "--verify")
            kill(b)
            killed = b.start()
            r = s.load(b, "produce", "t", "--rate", 2000, "--duration", f"{s.given.seconds}s", "--acks", 1,
                       "--warm", "1s", "--verify")
            s.end(b)
            return {"ready_after_stop_s": clean, "ready_after_kill_s": killed, "rss_mib": made["rss"],
                    "anonymous_mib": made["anonymous"], "rss_after_start_mib": started["rss"],
                    "p50_us": r["latency_us"]["p50"], "p99_us": r["latency_us"]["p99"],
                    "cpu_s_per_million": r["server"]["cpu_s_per_million"]}
        curve[count] = s.row("partitions", f"{count} partitions", s.rounds(run))
    if 10000 in curve:
        s.goal("10,000 partitions: ready after a clean stop, s", curve[10000]["ready_after_stop_s"], 2)
        s.goal("10,000 partitions: ready after SIGKILL, s", curve[10000]["ready_after_kill_s"], 5)
        s.goal("10,000 partitions: resident, MiB", curve[10000]["rss_mib"], 512)
        if 10 in curve:
            s.goal("10,000 partitions: p99 / that of 10", curve[10000]["p99_us"] / curve[10]["p99_us"], 2)


def idle_connections(port, count):
    """Each has asked once and was answered."""
    out = []
    for _ in range(count):
        c = socket.create_connection(("127.0.0.1", port), 20)
        c.sendall(METADATA)
        out.append(c)
    for c in out:
        size = struct.unpack(">i", c.recv(4, socket.MSG_WAITALL))[0]
        c.recv(size, socket.MSG_WAITALL)
    return out


def connections(s):
    """Idle connections: memory of ours for each, and CPU of all."""
    for count in (n for n in (1, 10, 100, 1000, 10000) if s.given.least <= n <= s.given.most):
        def run(count=count):
            b = s.broker({"max.connections": "20000"})
            idle_connections(b.port, 1)[0].close()
            before = memory(b.pid)["anonymous"]
            list_ = idle_connections(b.port, count)
            time.sleep(0.5)
            grown = memory(b.pid)["anonymous"] - before
            cpu = cpu_seconds(b.pid)
            time.sleep(s.given.seconds)
            share = (cpu_seconds(b.pid) - cpu) / s.given.seconds
            for c in list_:
                c.close()
            s.end(b)
            return {"kib_each": grown * 1024 / count, "cpu_percent": share * 100}
        last = s.row("connections", f"{count} idle connections", s.rounds(run))
    s.goal(f"{count} idle connections: KiB each", last["kib_each"], 8)
    s.goal(f"{count} idle connections: % of a core", last["cpu_percent"], 0.3)


def parked(s):
    """1,000 fetches that wait: CPU while nothing comes, and when each asks again twice a second."""
    for wait in ("60s", "500ms"):
        def run(wait=wait):
            b = s.broker()
            s.load(b, "produce", "t", "--partitions", 1, "--count", 1)
            with subprocess.Popen(s.words(b, "consume", "t", "--from", "end", "--duration", f"{s.given.seconds + 4}s",
                                          "--connections", min(1000, s.given.most), "--fetch-wait", wait),
                                  stdout=subprocess.DEVNULL) as p:
                time.sleep(3)
                cpu = cpu_seconds(b.pid)
                time.sleep(s.given.seconds)
                share = (cpu_seconds(b.pid) - cpu) / s.given.seconds
                p.wait()
            s.end(b)
            return {"cpu_percent": share * 100}
        figures = s.row("parked", f"1,000 fetches, wait {wait}", s.rounds(run))
        if wait == "60s":
            s.goal("1,000 parked fetches: % of a core", figures["cpu_percent"], 0.3)


def producers(s):
    """Connections that produce, 5,000 records a second of all together, each record a request."""
    for count in (n for n in (1, 10, 100, 1000, 4000) if s.given.least <= n <= s.given.most):
        def run(count=count):
            b = s.broker()
            r = s.load(b, "produce", "t", "--partitions", 8, "--connections", count, "--rate", 5000, "--duration",
                       f"{s.given.seconds}s", "--warm", "1s", "--acks", 1, "--verify")
            s.end(b)
            return {"p50_us": r["latency_us"]["p50"], "p99_us": r["latency_us"]["p99"],
                    "cpu_s_per_million": r["server"]["cpu_s_per_million"], "rss_mib": r["server"]["rss_mib"],
                    "late_p99_us": r["late_us"]["p99"]}
        s.row("producers", f"{count} producers", s.rounds(run))


def sizes(s):
    """Values of 10 B to 1 MiB in batches of 64 KiB (or one record), as many as go, two connections."""
    for size in (10, 100, 1024, 10240, 102400, (1 << 20) - 128):
        def run(size=size):
            b = s.broker()
            count = max(20, min(s.given.mib * (1 << 20) // size, 5000000))
            r = s.load(b, "produce", "t", "--partitions", 2, "--connections", 2, "--size", size, "--count", count,
                       "--acks", 1, "--verify")
            c = s.load(b, "consume", "t", "--connections", 2)
            s.end(b)
            return {"produced_mib_per_s": r["mib_per_s"], "produced_per_s": r["records_per_s"],
                    "produce_cpu_s_per_gib": r["server"]["cpu_s_per_gib"], "consumed_mib_per_s": c["mib_per_s"],
                    "consume_cpu_s_per_gib": c["server"]["cpu_s_per_gib"]}
        s.row("sizes", f"{size} B", s.rounds(run))


def small(s):
    """180 partitions, 15,000 records a second, no linger: batches of one record."""
    for acks in (1, "all"):
        def run(acks=acks):
            b = s.broker()
            r = s.load(b, "produce", "t", "--partitions", 180, "--connections", 4, "--rate", 15000, "--duration",
                       f"{s.given.seconds}s", "--warm", "1s", "--acks", acks, "--verify")
            s.end(b)
            return {"p50_us": r["latency_us"]["p50"], "p99_us": r["latency_us"]["p99"],
                    "records_per_s": r["records_per_s"], "cpu_s_per_million": r["server"]["cpu_s_per_million"],
                    "records_a_batch": r["records"] / max(r["batches"], 1)}
        s.row("small", f"acks={acks}", s.rounds(run))


def recovery(s):
    """A log of 1 GB in one partition, SIGKILL, and the first answer of the broker that starts again."""
    def run():
        b = s.broker()
        mib = s.given.recovered_mib
        s.load(b, "produce", "t", "--partitions", 1, "--size", 1024, "--count", mib * 1024, "--acks", 1)
        kill(b)
        ready = b.start()
        r = s.load(b, "consume", "t")
        if r["records"] != mib * 1024 or r["gaps"]:
            sys.exit(f"recovered {r['records']} of {mib * 1024} records")
        s.end(b)
        return {"ready_s": ready, "mib": mib}
    figures = s.row("recovery", "after SIGKILL", s.rounds(run))
    s.goal("1 GB log after SIGKILL: ready, s", figures["ready_s"], 0.5)


def drop_from_cache(broker, topic):
    for path in glob.glob(os.path.join(broker.folder, f"{topic}-*", "*.log")):
        file = os.open(path, os.O_RDONLY)
        os.fsync(file)
        os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(file)


def backlog(s):
    """A hot topic (5,000 records a second, end to end) with and without a reader that catches up from the disk."""
    alone, beside = [], []
    for _ in range(s.given.rounds):
        b = s.broker()
        hot = ("--partitions", 1, "--rate", 5000, "--size", 128, "--acks", 1, "--duration", f"{s.given.seconds}s",
               "--warm", "1s")
        s.load(b, "produce", "cold", "--partitions", 1, "--size", 1024, "--count", s.given.cold_mib * 1024, "--acks",
               1)
        alone.append(s.load(b, "e2e", "hot", *hot)["latency_us"]["p99"])
        drop_from_cache(b, "cold")
        begin = time.monotonic()
        with subprocess.Popen(s.words(b, "consume", "cold"), stdout=subprocess.PIPE) as p:
            beside.append(s.load(b, "e2e", "hot", *hot)["latency_us"]["p99"])
            done = p.poll() is not None
            p.communicate()
        print(f"  the cold reader took {time.monotonic() - begin:.1f} s"
              f"{', less than the hot load: more --cold-mib is wanted' if done else ''}", flush=True)
        s.end(b)
    figures = s.row("backlog", f"{s.given.cold_mib} MiB of backlog", {"p99_us_alone": statistics.median(alone),
                                                                   "p99_us_beside": statistics.median(beside)})
    s.goal("hot p99 beside a cold reader / without", figures["p99_us_beside"] / figures["p99_us_alone"], 2)


# ---- the whole

def conditions(s):
    with open("/proc/cpuinfo", encoding="ascii") as file:
        model = next((line.split(":")[1].strip() for line in file if line.startswith("model name")), "")
    commit = subprocess.run(["git", "-C", ROOT, "rev-parse", "--short", "HEAD"], capture_output=True, text=True,
                            check=False).stdout.strip()
    return {"cores": os.cpu_count(), "cpu": model, "kernel": platform.release(), "rounds": s.given.rounds,
            "seconds": s.given.seconds, "commit": commit, "date": time.strftime("%Y-%m-%d"),
            "load": list(os.getloadavg())}


def options():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--build", default=os.path.join(ROOT, "build"))
    ap.add_argument("--dir", help="where the data goes (default: the system's temporary folder)")
    ap.add_argument("--out", default=os.path.join(ROOT, "bench", "results", "scale.json"))
    ap.add_argument("--port", type=int, default=24340)
    ap.add_argument("--rounds", type=int, default=3)
    ap.add_argument("--seconds", type=int, default=5, help="of a measurement at a rate")
    ap.add_argument("--mib", type=int, default=512, help="of a measurement of sizes")
    ap.add_argument("--least", type=int, default=1, help="partitions, connections; points below are left out")
    ap.add_argument("--most", type=int, default=10000, help="the same, points above")
    ap.add_argument("--cold-mib", type=int, default=10240, help="of the backlog")
    ap.add_argument("--recovered-mib", type=int, default=954, help="of the log that is recovered")
    ap.add_argument("--touch", type=int, default=8, help="GiB of memory that are touched before")
    ap.add_argument("--only", action="append", choices=SECTIONS)
    ap.add_argument("--quick", action="store_true", help="one short round: whether it works, not what is true")
    given = ap.parse_args()
    if given.quick:
        given.rounds, given.seconds, given.mib, given.cold_mib, given.touch = 1, 1, 32, 512, 0
        given.most, given.recovered_mib = min(given.most, 1000), 256
    return given


def main():
    given = options()
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    s, kept = Scale(given), KeptMemory()
    where = conditions(s)
    print(" ".join(f"{k}={v}" for k, v in where.items()))
    try:
        if given.touch:
            touch_memory(given.touch)
        for section in given.only or SECTIONS:
            function = globals()[section]
            print(f"{section}: {function.__doc__}", flush=True)
            function(s)
    finally:
        kept.restore()
        for broker in list(s.running):
            broker.stop()
        shutil.rmtree(s.folder, ignore_errors=True)
    os.makedirs(os.path.dirname(given.out), exist_ok=True)
    with open(given.out, "w", encoding="utf-8") as file:
        json.dump({"conditions": where, "rows": s.rows, "goals": s.goals}, file, indent=1)
        file.write("\n")
    print(f"{sum(g['met'] for g in s.goals)} of {len(s.goals)} goals met; written to {given.out}")


if __name__ == "__main__":
    main()
