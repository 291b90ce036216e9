#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""trials.py: the ways FluxMQ goes beside the ways it does not, each by a program that does nothing else.

A trial measures its ways in turns (A B C, C B A, ...), so that a ratio does not depend on what the machine did a minute
ago; a figure is the median of the rounds, with the least and the most. `ratio` is to the first way of the trial, the
one the broker goes, and taken round by round; above 1 is worse for CPU and times, better for rates. CPU is that of the
broker's side, user and system apart. Every program looks at the bytes that came: a trial with wrong data fails.
What the machine or its kernel can't do is said, and skipped. bench/trials/*.c tell what each way is.
Writes text to standard output and JSON to bench/results/trials.json."""

import argparse
import contextlib
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
# What is shown of a round: (name, function of the program's line); what is there for one way is there for all.
FIGURES = {
    "cpu_us": lambda r: 1e6 * (r["user_s"] + r["sys_s"]) / r["count"],
    "user_us": lambda r: 1e6 * r["user_s"] / r["count"],
    "sys_us": lambda r: 1e6 * r["sys_s"] / r["count"],
    "per_s": lambda r: r["count"] / r["seconds"],
    "mib_per_s": lambda r: r["bytes"] / r["seconds"] / (1 << 20),
}
SHOWN = ("cpu_us", "later_us", "per_s", "p50_us", "p99_us")


class Trials:
    def __init__(self, given):
        self.given, self.rows, self.skipped, self.topics = given, [], [], 0
        self.folder = tempfile.mkdtemp(prefix="fluxmq-trials-", dir=given.dir)
        self.binary = os.path.join(given.build, "bench", "trials", "bench-trials")
        self.data = os.path.join(self.folder, "data")
        self.run("file", self.data, given.mib)

    def run(self, *words):
        out = subprocess.run([self.binary, *map(str, words)], capture_output=True, text=True, check=False, timeout=300)
        if out.returncode:
            sys.exit(f"bench-trials {' '.join(map(str, words))}: {out.stderr}{out.stdout}")
        return json.loads(out.stdout)

    def count(self, wanted, least=20):
        """As many as a run of this length has."""
        return max(int(wanted * self.given.scale), least)

    def compare(self, trial, name, parts):
        """parts: {way: function that gives the figures of a round}; the first is the one the broker goes."""
        got, parts = {way: [] for way in parts}, list(parts.items())
        for turn in range(self.given.rounds):
            for way, part in parts if turn % 2 == 0 else reversed(parts):
                if got[way] is not None:
                    line = part()
                    if "skipped" in line:
                        got[way] = None
                        self.skip(trial, name, way, line["skipped"])
                    else:
                        got[way].append(figures(line))
        print(f" {name}", flush=True)
        first = got[parts[0][0]]
        for way, rounds in got.items():
            if rounds:
                self.row(trial, name, way, rounds, first)

    def skip(self, trial, name, way, reason):
        self.skipped.append({"trial": trial, "name": name, "way": way, "reason": reason})
        print(f"  {trial}, {name}: {way} is not possible here: {reason}", flush=True)

    def row(self, trial, name, way, rounds, first):
        line = {"trial": trial, "name": name, "way": way, "figures": {}, "ratio": {}}
        for key in (k for k in rounds[0] if k != "note"):
            line["figures"][key] = spread([r[key] for r in rounds])
            if first and key in first[0]:
                line["ratio"][key] = spread([r[key] / f[key] for r, f in zip(rounds, first) if f[key]] or [0])
        notes = sorted({r["note"] for r in rounds if "note" in r})
        if notes:
            line["notes"] = notes
        self.rows.append(line)
        words = []
        for key in (k for k in SHOWN if k in line["figures"]):
            v, ratio = line["figures"][key], line["ratio"].get(key)
            words.append(f"{key} {v['median']:9.2f} ({v['min']:.2f}..{v['max']:.2f})"
                         + (f" x{ratio['median']:.2f}" if ratio else ""))
        apart = line["figures"]
        print(f"  {way:<22}" + "  ".join(words) +
              f"  user/sys {apart['user_us']['median']:.2f}/{apart['sys_us']['median']:.2f}",
              *notes, flush=True)

    def median(self, trial, name, way, key="cpu_us"):
        for line in self.rows:
            if (line["trial"], line["name"], line["way"]) == (trial, name, way):
                return line["figures"][key]["median"]
        return None


def figures(line):
    found = {key: function(line) for key, function in FIGURES.items()}
    if "later_s" in line:
        found["later_us"] = 1e6 * line["later_s"] / line["count"]
    return {**found, **{key: line[key] for key in ("p50_us", "p99_us", "note") if key in line}}


def spread(values):
    return {"median": round(statistics.median(values), 4), "min": round(min(values), 4), "max": round(max(values), 4)}


def size_name(size):
    return f"{size >> 20} MiB" if size >= 1 << 20 else f"{size >> 10} KiB" if size >= 1 << 10 else f"{size} B"


# ---- trials: what each says stands in the C file of its name

def fetch(t):
    """A fetch of hot data: one read and one send; or read, send, sendfile, send; or sent from a mapping."""
    ways = ("copy", "sendfile", "lookup", "corked", "chunks", "mapped", "populated")
    sizes = [128, *(1024 << (i * 2) for i in range(6))]
    for size in sizes:
        count = min(t.count(5000), ((t.given.mib - 3) << 20) // (size + 104))
        # The broker copies ranges up to 256 KiB (src/net/send.c).
        in_turn = ways if size <= 256 << 10 else sorted(ways, key=lambda way: way != "sendfile")
        t.compare("fetch", size_name(size), ways_of(t, "fetch", None, t.data, size, count, 1, ways=in_turn))
    for size in (4096, 65536, 262144):
        count = min(t.count(5000), ((t.given.mib - 3) << 20) // (size + 104))
        t.compare("fetch", size_name(size) + ", 4 under way",
                  ways_of(t, "fetch", None, t.data, size, count, 4, ways=("copy", "sendfile", "corked")))
    for way in (w for w in ways if w != "sendfile"):
        lower = [size_name(s) for s in sizes
                 if t.median("fetch", size_name(s), way) < t.median("fetch", size_name(s), "sendfile")]
        print(f"  {way} takes less CPU than sendfile at: {', '.join(lower) or 'no size'}", flush=True)


def ways_of(t, *words, ways):
    """{way: a run of the program}; the words hold None where the way stands."""
    return {w: (lambda w=w: t.run(*(w if x is None else x for x in words))) for w in ways}


def echo(t):
    """A server that sends frames back: epoll, recv, send; or io_uring, plain, with registered or provided buffers."""
    for size, count in ((104, 10000), (65536, 2000)):
        for connections in (1, 16, 256):
            t.compare("echo", f"{connections} connections, {size_name(size)}",
                      ways_of(t, "echo", None, connections, size, t.count(count, connections),
                              ways=("epoll", "uring", "fixed", "provided")))


def append(t):
    """Batches into a log file; what an append puts off is the CPU of an fdatasync at the end (later)."""
    for size, count in ((1024, 60000), (65536, 2000)):
        t.compare("append", size_name(size),
                  ways_of(t, "append", None, t.folder, size, t.count(count),
                          ways=("pwrite", "gathered", "mapping", "ahead", "writeback", "uring", "uring8")))


def flush(t):
    """An append and fdatasync: what blocks that are there before save."""
    t.compare("flush", "1 KiB", ways_of(t, "flush", None, t.folder, 1024, t.count(800),
                                        ways=("grow", "ahead", "sized", "zeroed")))


def cold(t):
    """Chunks of 64 KiB that are not in memory; the times are those for which the thread can't serve others."""
    for order in ("order", "random"):
        t.compare("cold", order, ways_of(t, "cold", None, t.data, order, 65536, min(t.count(2000), t.given.mib * 14),
                                         ways=("sendfile", "pread", "willneed", "uring")))


def bulk(t):
    """A stream out of the page cache, MSG_ZEROCOPY among the ways. Loopback copies in any case: no gain can show."""
    for size, count in ((16384, 20000), (65536, 6000), (1 << 20, 500)):
        t.compare("bulk", size_name(size), ways_of(t, "bulk", None, t.data, size, t.count(count),
                                                   ways=("sendfile", "copy", "send", "zerocopy")))


def pages(t):
    """Batches of a log read through mappings (the log library), with other pages than the kernel's choice."""
    t.compare("pages", "64 KiB", ways_of(t, "pages", None, t.data, 65536, t.count(10000),
                                         ways=("plain", "populate", "willneed", "huge", "pread")))


def rooms(t):
    """Frames received into a pool of buffers, and CRCed."""
    for size, count in ((4096, 40000), (65536, 6000)):
        t.compare("rooms", size_name(size), ways_of(t, "rooms", None, size, t.count(count),
                                                    ways=("pooled", "huge", "fresh")))


def roundtrip(t):
    """One request at a time: sleeping, polling without sleep, and threads on chosen CPUs."""
    for pause, count in ((0, 10000), (200, 1500)):
        t.compare("roundtrip", f"{pause} us between" if pause else "back to back",
                  ways_of(t, "roundtrip", None, 128, t.count(count), pause,
                          ways=("block", "spin", "always", "socket", "pinned", "together")))



def produce_to(t, broker, topic, partitions, count, *words):
    """A round against a broker; a batch is what is counted. User and system are told apart by its clock ticks."""
    def ticks():
        with open(f"/proc/{broker.pid}/stat", encoding="ascii") as file:
            return [int(word) for word in file.read().rsplit(")", 1)[1].split()[11:13]]
    before = ticks()
    out = subprocess.run([broker.binary, "bench", "produce", topic, "--brokers", f"127.0.0.1:{broker.port}", "--pid",
                          str(broker.pid), "--partitions", str(partitions), "--connections", "4", "--acks", "1",
                          "--count", str(count), "--verify", "--json", *map(str, words)], capture_output=True,
                         text=True, check=False, timeout=300)
    if out.returncode:
        sys.exit(f"{broker.name}: {out.stderr}{out.stdout}")
    r, (user, system) = json.loads(out.stdout), (b - a for a, b in zip(before, ticks()))
    share = user / (user + system) if user + system else 0
    cpu = r["server"]["cpu_s"]
    return {"count": r["batches"], "bytes": r["bytes"], "wrong": r["wrong"], "seconds": r["seconds"],
            "user_s": cpu * share, "sys_s": cpu * (1 - share), "p50_us": r["latency_us"]["p50"],
            "p99_us": r["latency_us"]["p99"]}


def pin_reactors(broker):
    """Each to a CPU of its own."""
    cpus = sorted(os.sched_getaffinity(0))
    for task in os.listdir(f"/proc/{broker.pid}/task"):
        with open(f"/proc/{broker.pid}/task/{task}/comm", encoding="ascii") as file:
            name = file.read().strip()
        if name.startswith("reactor-"):
            os.sched_setaffinity(int(task), {cpus[int(name[8:]) % len(cpus)]})


@contextlib.contextmanager
def brokers_with(t, settings):
    """Brokers by name, each with settings of its own."""
    from brokers import FluxMQ  # pylint: disable=import-outside-toplevel
    program, brokers = os.path.join(t.given.build, "fluxmq"), []
    try:
        for i, (name, pairs) in enumerate(settings.items()):
            brokers.append(FluxMQ(name, t.folder, t.given.port + i, program, pairs))
            brokers[-1].start()
        yield brokers
    finally:
        for broker in brokers:
            broker.stop()
            broker.wipe()


SINGLE = ("single records", 20000, ("--size", 128, "--batch-records", 1))
LARGE = ("64 KiB batches", 60000, ("--size", 1024))


def compare_brokers(t, trial, brokers, partitions, load):
    what, count, words = load

    def ours(broker):
        t.topics += 1
        return produce_to(t, broker, f"t{t.topics}", partitions, t.count(count, 200), *words)
    t.compare(trial, f"{partitions} partition{'s' * (partitions > 1)}, {what}",
              {b.name: (lambda b=b: ours(b)) for b in brokers})


def reactors(t):
    """The broker: reactors that meet at the append lock of one partition; one reactor; each pinned to a CPU."""
    cores = str(max(os.cpu_count(), 2))
    with brokers_with(t, {"a reactor a core": {"reactors": cores}, "one reactor": {"reactors": "1"},
                          "pinned": {"reactors": cores}}) as brokers:
        pin_reactors(brokers[2])
        for partitions in (1, 8):
            for load in (SINGLE, LARGE):
                compare_brokers(t, "reactors", brokers, partitions, load)


def preallocate(t):
    """The broker: segments that grow, and log.preallocate, which asks for all of a segment's blocks at first."""
    small = {"log.segment.bytes": str(64 << 20)}
    with brokers_with(t, {"grow": small, "preallocate": {**small, "log.preallocate": "true"}}) as brokers:
        for load in (SINGLE, LARGE):
            compare_brokers(t, "preallocate", brokers, 1, load)



# ---- the whole

TRIALS = {f.__name__: f for f in (fetch, echo, append, flush, cold, bulk, pages, rooms, roundtrip,
                                  reactors, preallocate)}


def conditions(t):
    with open("/proc/cpuinfo", encoding="ascii") as file:
        model = next((line.split(":")[1].strip() for line in file if line.startswith("model name")), "")
    commit = subprocess.run(["git", "-C", ROOT, "rev-parse", "--short", "HEAD"], capture_output=True, text=True,
                            check=False).stdout.strip()
    return {"cores": os.cpu_count(), "cpu": model, "kernel": platform.release(), "rounds": t.given.rounds,
            "scale": t.given.scale, "mib": t.given.mib, "commit": commit, "date": time.strftime("%Y-%m-%d"),
            "load": list(os.getloadavg())}


def run(t):
    for name in t.given.only or TRIALS:
        begin = time.monotonic()
        print(f"{name}: {TRIALS[name].__doc__}", flush=True)
        TRIALS[name](t)
        print(f"  {time.monotonic() - begin:.0f} s", flush=True)
    report = {"conditions": conditions(t), "rows": t.rows, "skipped": t.skipped}
    os.makedirs(os.path.dirname(os.path.abspath(t.given.out)), exist_ok=True)
    with open(t.given.out, "w", encoding="utf-8") as file:
        json.dump(report, file, indent=1)
        file.write("\n")
    print(f"{len(t.rows)} rows, {len(t.skipped)} ways skipped; written to {t.given.out}")


def options():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--build", default=os.path.join(ROOT, "build"))
    ap.add_argument("--dir", help="where the data goes (default: the system's temporary folder)")
    ap.add_argument("--out", default=os.path.join(ROOT, "bench", "results", "trials.json"))
    ap.add_argument("--port", type=int, default=24900, help="and the next two: of brokers, where a trial needs some")
    ap.add_argument("--rounds", type=int, default=4)
    ap.add_argument("--scale", type=float, default=1.0, help="how much of the full counts a round takes")
    ap.add_argument("--mib", type=int, default=256, help="of the file that is read")
    ap.add_argument("--touch", type=int, default=4, help="GiB of memory that are touched before")
    ap.add_argument("--only", action="append", choices=sorted(TRIALS))
    ap.add_argument("--quick", action="store_true", help="short rounds: roughly what is true")
    ap.add_argument("--tiny", action="store_true", help="one round of next to nothing: whether it works")
    given = ap.parse_args()
    if given.quick:
        given.rounds, given.scale, given.mib, given.touch = 2, 0.4, 128, 0
    if given.tiny:
        given.rounds, given.scale, given.mib, given.touch = 1, 0.002, 16, 0
    given.build = os.path.abspath(given.build)
    return given


def main():
    given = options()
    subprocess.run(["meson", "compile", "-C", given.build, "bench-trials"], check=True, stdout=subprocess.DEVNULL)
    from brokers import KeptMemory, touch_memory  # pylint: disable=import-outside-toplevel
    kept, trials = KeptMemory(not given.tiny), Trials(given)
    try:
        if given.touch:
            touch_memory(given.touch)
        run(trials)
    finally:
        kept.restore()
        shutil.rmtree(trials.folder, ignore_errors=True)


if __name__ == "__main__":
    main()
