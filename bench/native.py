#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""native.py: FluxMQ, driven by `fluxmq bench`, beside what the machine can do and beside a real Kafka.

Each section measures its parts in turns (A B C, C B A, ...) in one run, so that a ratio does not depend on what the
machine did an hour ago; a figure is the median of the rounds. The machine's limits are those of bench/limits.c:
programs that do nothing but what cannot be left out. What was produced is read back, counted and checked.
Text goes to standard output, figures to bench/results/native.json, curves to bench/results/native.svg (a part or a
quick run: to the build folder). A section that fails is told, and fails the whole at the end; the others run."""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import curves
import report
from brokers import ROOT, FluxMQ, Kafka, KeptMemory, touch_memory

SECTIONS = ("produce", "fetch", "sync", "safe", "e2e")
BATCH = 65536
# A produce request of one 128-byte record, and its answer, as our generator sends them.
REQUEST, REPLY = 259, 66
LOAD_S = 300  # longest that one load may take


class Failure(Exception):
    """A load that did not end, or what it read was not what was sent."""


def read_json(what, command):
    try:
        out = subprocess.run(command, capture_output=True, text=True, check=False, timeout=LOAD_S)
    except subprocess.TimeoutExpired as late:
        raise Failure(f"{what}: no end after {LOAD_S} s") from late
    if out.returncode:
        raise Failure(f"{what}: {out.stderr}{out.stdout}")
    return json.loads(out.stdout)


class Bench:
    def __init__(self, given):
        self.given, self.cores = given, os.cpu_count()
        self.binary = os.path.join(given.build, "fluxmq")
        self.limits_binary = os.path.join(given.build, "bench", "bench-limits")
        self.folder = tempfile.mkdtemp(prefix="fluxmq-native-", dir=given.dir)
        self.rows, self.goals, self.failures, self.kafka_warmed = [], [], [], []
        self.default = FluxMQ("fluxmq", self.folder, given.port, self.binary, {})
        self.no_flush = FluxMQ("fluxmq-noflush", self.folder, given.port + 10, self.binary,
                               {"flush.mode": "none"})
        self.busy = FluxMQ("fluxmq busy.poll.us=300", self.folder, given.port + 15, self.binary,
                           {"busy.poll.us": "300"})
        self.kafka = None if given.no_kafka else Kafka(self.folder, given.port + 20)
        self.number = 0

    def brokers(self):
        return [b for b in (self.default, self.no_flush, self.kafka) if b]

    def limits(self, *words):
        return read_json(f"limits {words}", [self.limits_binary, *map(str, words)])

    def load(self, broker, mode, topic, *words):
        return read_json(f"{broker.name}: bench {mode} {words}",
                         [self.binary, "bench", mode, topic, "--brokers", f"127.0.0.1:{broker.port}", "--pid",
                          str(broker.pid), "--json", *map(str, words)])

    def topic(self, word):
        self.number += 1
        return f"{word}-{self.number}"

    def drop(self, broker, topic):
        from client import Client  # pylint: disable=import-outside-toplevel
        client = Client(broker.port, 30)
        client.call("DeleteTopics", 5, {"topicNames": [topic], "timeoutMs": 10000})
        client.close()
        time.sleep(0.2)

    def turns(self, parts):
        """{name: [result of each round]}; parts are (name, function)."""
        got = {name: [] for name, _ in parts}
        for turn in range(self.given.rounds):
            for name, part in parts if turn % 2 == 0 else reversed(parts):
                got[name].append(part())
        return got

    def row(self, section, name, **figures):
        """Figures are lists, one value a round."""
        line = {"section": section, "name": name}
        for key, values in figures.items():
            line[key] = report.spread(values)
        self.rows.append(line)
        print(f"  {name:<34}" + "  ".join(f"{k} {v['median']:g} ({v['min']:g}..{v['max']:g})"
                                          for k, v in line.items() if isinstance(v, dict)), flush=True)
        return {k: v["median"] for k, v in line.items() if isinstance(v, dict)}

    def goal(self, what, value, least=None, most=None):
        met = value >= least if most is None else value <= most
        wanted = f">= {least:g}" if most is None else f"<= {most:g}"
        self.goals.append({"what": what, "value": round(value, 4), "goal": wanted, "met": met})
        print(f"  {'good' if met else 'MISSED'}: {what}: {value:.3g}, goal {wanted}", flush=True)


# ---- sections

def produce(b):
    """1 KiB records in 64 KiB batches, one connection a core, beside a program that receives, CRCs and writes."""
    mib = b.given.mib

    def ours(broker):
        def run():
            topic = b.topic("produce")
            r = b.load(broker, "produce", topic, "--partitions", b.cores, "--connections", b.cores, "--size", 1024,
                       "--batch-size", BATCH, "--acks", 1, "--count", mib * 1024, "--verify")
            b.drop(broker, topic)
            return {"cpu": r["server"]["cpu_s_per_gib"], "mib_per_s": r["mib_per_s"]}
        return run

    def sink():
        r = b.limits("sink", b.folder, b.cores, BATCH + 100, REPLY, 5, mib)
        return {"cpu": r["cpu_s_per_gib"], "mib_per_s": r["mib_per_s"]}

    parts = [("sink", sink), *((x.name, ours(x)) for x in b.brokers())]
    got, medians = b.turns(parts), {}
    for name, rounds in got.items():
        medians[name] = b.row("produce", name, cpu_s_per_gib=[r["cpu"] for r in rounds],
                              mib_per_s=[r["mib_per_s"] for r in rounds])
    b.goal("produce: broker CPU a GiB / sink's", medians["fluxmq"]["cpu_s_per_gib"] / medians["sink"]["cpu_s_per_gib"],
           most=1.25)


def fetch(b):
    """Hot data, one connection a core, beside plain sends of the same bytes over loopback: with sendfile, with write
    from memory that holds them all, and, for comparison, with write of one MiB again and again."""
    mib, topics = b.given.mib, {}
    for broker in b.brokers():
        topics[broker.name] = b.topic("fetch")
        b.load(broker, "produce", topics[broker.name], "--partitions", b.cores, "--connections", b.cores, "--size",
               1024, "--batch-size", BATCH, "--acks", 1, "--count", mib * 1024)

    def ours(broker, *words):
        def run():
            r = b.load(broker, "consume", topics[broker.name], "--connections", b.cores, "--threads", b.cores, *words)
            return {"cpu": r["server"]["cpu_s_per_gib"], "mib_per_s": r["mib_per_s"]}
        return run

    def plain(how):
        def run():
            r = b.limits("loopback", b.folder, b.cores, 1 << 20, mib, how)
            return {"cpu": r["cpu_s_per_gib"], "mib_per_s": r["mib_per_s"]}
        return run

    parts = [("loopback sendfile", plain("sendfile")), ("loopback write", plain("write")),
             ("loopback write, always the same MiB", plain("again"))]
    for broker in b.brokers():
        parts.append((broker.name, ours(broker, "--unchecked")))
    parts.append(("fluxmq, checksums verified", ours(b.default)))
    medians = {name: b.row("fetch", name, cpu_s_per_gib=[r["cpu"] for r in rounds],
                           mib_per_s=[r["mib_per_s"] for r in rounds]) for name, rounds in b.turns(parts).items()}
    best = max(medians["loopback sendfile"]["mib_per_s"], medians["loopback write"]["mib_per_s"])
    b.goal("fetch: MiB/s / the better loopback send's", medians["fluxmq"]["mib_per_s"] / best, least=0.8)
    for broker in b.brokers():
        b.drop(broker, topics[broker.name])


def round_trips(b, section, acks, brokers, limits):
    """One 128-byte record at a time."""
    count = b.given.trips

    def ours(broker, topic):
        def run():
            return b.load(broker, "produce", topic, "--partitions", 1, "--size", 128, "--batch-records", 1,
                          "--in-flight", 1, "--acks", acks, "--count", count, "--warm", "200ms")["latency_us"]
        return run

    parts = [*limits, *((x.name, ours(x, b.topic(section))) for x in brokers)]
    medians = {}
    for name, rounds in b.turns(parts).items():
        medians[name] = b.row(section, name, p50_us=[r["p50"] for r in rounds], p99_us=[r["p99"] for r in rounds])
    return medians


def limit_times(b, *words):
    def run():
        r = b.limits(*words)
        return {"p50": r["p50_us"], "p99": r["p99_us"]}
    return run


def sync(b):
    """acks=1, one request under way, beside TCP ping-pong of the same sizes."""
    m = round_trips(b, "sync", 1, b.brokers(), [("ping-pong", limit_times(b, "pingpong", REQUEST, REPLY,
                                                                          b.given.trips))])
    b.goal("sync: p50 over ping-pong, us", m["fluxmq"]["p50_us"] - m["ping-pong"]["p50_us"], most=15)
    b.goal("sync: p99 / ping-pong's", m["fluxmq"]["p99_us"] / m["ping-pong"]["p99_us"], most=2)
    if b.kafka:
        b.goal("sync: p99 / Kafka's", m["fluxmq"]["p99_us"] / m["kafka"]["p99_us"], most=1 / 3)


def safe(b):
    """acks=all with a flush before the answer, beside an append and fdatasync of the same bytes."""
    trips = max(b.given.trips // 10, 200)
    b.busy.start()
    try:
        m = round_trips(b, "safe", "all", [b.default, b.busy],
                        [("write and fdatasync", limit_times(b, "sync", b.folder, 200, trips)),
                         ("ping-pong", limit_times(b, "pingpong", REQUEST, REPLY, b.given.trips))])
    finally:
        b.busy.stop()
    b.goal("safe: p50 / write and fdatasync's", m["fluxmq"]["p50_us"] / m["write and fdatasync"]["p50_us"], most=1.1)
    b.goal("safe: the same with busy.poll.us=300", m[b.busy.name]["p50_us"] / m["write and fdatasync"]["p50_us"],
           most=1.1)
    b.goal("safe: p50 / the same and a ping-pong's",
           m["fluxmq"]["p50_us"] / (m["write and fdatasync"]["p50_us"] + m["ping-pong"]["p50_us"]), most=1.1)


def e2e(b):
    """128 B, linger 0, acks=all, open loop, a consumer that long-polls."""
    for rate in (1000, 5000, 10000, 50000):
        def ours(broker, topic, rate=rate):
            def run():
                r = b.load(broker, "e2e", topic, "--partitions", 1, "--size", 128, "--rate", rate, "--duration",
                           f"{b.given.seconds}s", "--warm", "1s")
                return {"p50": r["latency_us"]["p50"], "p99": r["latency_us"]["p99"],
                        "late": r["late_us"]["p99"], "cores": r["server"]["cpu_s"] / r["seconds"],
                        "batch": r["records"] / max(r["requests"], 1)}
            return run
        parts = [(x.name, ours(x, b.topic("e2e"))) for x in b.brokers()]
        medians = {}
        for name, rounds in b.turns(parts).items():
            medians[name] = b.row(f"e2e {rate}/s", f"{rate}/s {name}", p50_us=[r["p50"] for r in rounds],
                                  p99_us=[r["p99"] for r in rounds], cores=[r["cores"] for r in rounds],
                                  sent_late_p99_us=[r["late"] for r in rounds],
                                  records_a_request=[r["batch"] for r in rounds])
        if b.kafka:
            ours_, theirs = medians[b.no_flush.name], medians["kafka"]
            b.goal(f"e2e {rate}/s: p50 / Kafka's (flush.mode=none)", ours_["p50_us"] / theirs["p50_us"], most=0.5)
            b.goal(f"e2e {rate}/s: p99 / Kafka's", ours_["p99_us"] / theirs["p99_us"], most=1 / 3)
            b.goal(f"e2e {rate}/s: CPU / Kafka's", ours_["cores"] / theirs["cores"], most=0.25)


# ---- the whole

def warm_kafka(b):
    """Loads of every kind until the CPU of a round falls no more: a JVM's does by four."""
    best, since, topic = None, 0, "warm"
    while since < 2 and len(b.kafka_warmed) < b.given.warm:
        spent = 0
        for mode, words in (("produce", ("--count", 300000, "--acks", 1)),
                            ("produce", ("--count", 20000, "--batch-records", 1)), ("consume", ("--count", 100000)),
                            ("e2e", ("--rate", 5000, "--duration", "3s"))):
            extra = () if mode == "consume" else ("--partitions", 1, "--size", 128)
            spent += b.load(b.kafka, mode, topic, *words, *extra)["server"]["cpu_s"]
        since = since + 1 if best is not None and spent > best * 0.95 else 0
        best = spent if best is None else min(best, spent)
        b.kafka_warmed.append(round(spent, 2))
    print("Kafka warmed, CPU seconds of the rounds:", *b.kafka_warmed, flush=True)


def conditions(b):
    return report.conditions(rounds=b.given.rounds, mib=b.given.mib, round_trips=b.given.trips,
                             e2e_seconds=b.given.seconds, versions=[x.version for x in b.brokers()])


def run(b):
    about = conditions(b)
    for broker in b.brokers():
        broker.start()
    if b.kafka:
        warm_kafka(b)
    for section in b.given.only or SECTIONS:
        function, began = globals()[section], time.monotonic()
        print(f"{section}: {function.__doc__}", flush=True)
        try:
            function(b)
        except Exception as why:  # pylint: disable=broad-except
            b.failures.append(f"{section}: {type(why).__name__}: {why}")
            print(f"  FAILED: {b.failures[-1]}", flush=True)
        print(f"  {section} took {time.monotonic() - began:.0f} s", flush=True)
    about["kafka_warmed_cpu_s"] = b.kafka_warmed
    return {"suite": "native", "conditions": about, "rows": b.rows, "goals": b.goals, "failures": b.failures}


def options():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--build", default=os.path.join(ROOT, "build"))
    ap.add_argument("--dir", help="where the data goes (default: the system's temporary folder)")
    ap.add_argument("--out", help="of the figures; the curves go beside it")
    ap.add_argument("--port", type=int, default=24300, help="and the next 30")
    ap.add_argument("--rounds", type=int, default=5)
    ap.add_argument("--mib", type=int, default=2048, help="of a bulk load")
    ap.add_argument("--trips", type=int, default=50000, help="of a round trip measurement")
    ap.add_argument("--seconds", type=int, default=10, help="of an end-to-end measurement")
    ap.add_argument("--warm", type=int, default=12, help="rounds of Kafka's warming at most")
    ap.add_argument("--touch", type=int, default=8, help="GiB of memory that are touched before")
    ap.add_argument("--only", action="append", choices=SECTIONS)
    ap.add_argument("--quick", action="store_true", help="two short rounds: whether it works, not what is true")
    ap.add_argument("--no-kafka", action="store_true")
    given = ap.parse_args()
    if given.quick:
        given.rounds, given.mib, given.trips, given.seconds, given.warm, given.touch = 2, 256, 2000, 1, 1, 0
    return given


def main():
    given = options()
    subprocess.run(["meson", "compile", "-C", given.build, "bench-limits"], check=True, stdout=subprocess.DEVNULL)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended before its time"))  # and the brokers with it
    bench, kept = Bench(given), KeptMemory()
    try:
        if given.touch:
            touch_memory(given.touch)
        done = run(bench)
    finally:
        kept.restore()
        for broker in bench.brokers():
            broker.stop()
        shutil.rmtree(bench.folder, ignore_errors=True)
    report.save(report.where(given, "native.json"), done, curves.native)
    sys.exit(1 if done["failures"] else 0)


if __name__ == "__main__":
    main()
