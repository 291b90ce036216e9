#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The live door for long and with many: memory is bounded, nobody pays for what others do.

soak.py [--bin FILE] [--light] [case...]

The load comes from bench/nats/fanout.c, which checks every message; --light has a tenth of it."""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "harness"), os.path.join(ROOT, "bench", "nats")]

from broker import DEFAULT_BIN, wait_until  # noqa: E402
from fanout import build  # noqa: E402
from policy import SUMMED, World  # noqa: E402
from tap import Tap  # noqa: E402

SETTLED_SECONDS = 30
BUSY_US = 200000  # what a machine with other work on it may add; whoever waits for another waits for seconds
TRIES = 4  # and it may add more at times, but not each time


class Soak(World):
    """A broker, and the program that loads it."""

    def __init__(self, options, settings=None):
        super().__init__(options.bin, {"nats.max.connections": 20000, "max.connections": 30000, **(settings or {})})
        self.part = 10 if options.light else 1
        self.folder = tempfile.TemporaryDirectory()
        self.generator = build(self.folder.name)

    def __exit__(self, *what):
        self.folder.cleanup()
        super().__exit__(*what)

    def begin(self, verb, *words):
        return subprocess.Popen([self.generator, verb, f"127.0.0.1:{self.nats_port}",
                                 f"pid={self.broker.process.pid}", *words], stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True)

    def end(self, load, seconds=300):
        """What it measured; nothing was lost, doubled or changed."""
        out, err = load.communicate(timeout=seconds)
        assert load.returncode == 0, (out, err)
        return json.loads(out)

    def load(self, verb, *words):
        return self.end(self.begin(verb, *words))

    def resident(self):
        """MiB"""
        return self.broker.status("VmRSS") / 1024

    def adds_up(self):
        now = self.live()
        return now["matched_total"] == sum(now[x] for x in SUMMED)

    def nobody_left(self):
        wait_until(lambda: self.live()["nats_connections_active"] == 0, SETTLED_SECONDS, "the end of connections")
        wait_until(self.adds_up, SETTLED_SECONDS, "the sum")
        assert self.live()["nats_subscriptions"] == 0


def ten_thousand_subscribers(options):
    """Each of them gets each message, and costs no more memory than it did before when it is gone."""
    with Soak(options) as w:
        count = 10000 // w.part
        before = w.resident()
        row = w.load("run", f"subscribers={count}", "messages=30", "rate=10", "warm=2", "size=200")
        assert row["deliveries"] == count * 30
        each = (row["peak_mib"] - before) * 1024 / count
        assert each < 24, f"{each:.1f} KiB for each subscriber"
        w.nobody_left()
        again = w.load("run", f"subscribers={count}", "messages=5", "rate=10", "warm=2", "size=200")
        assert again["peak_mib"] < row["peak_mib"] + 16, (row["peak_mib"], again["peak_mib"])
        return f"{count}: {each:.1f} KiB each while they get messages, p99 {row['p99_us'] / 1000:.0f} ms"


def coming_and_going(options):
    """100,000 connects and disconnects, each with a subscription, beside a conversation that goes on."""
    with Soak(options) as w:
        count = 100000 // w.part
        w.load("churn", "count=1000")
        before = w.resident()
        for attempt in range(TRIES):
            going = w.begin("run", "subscribers=4", "rate=500", f"messages={max(count // 20, 2000)}")
            churn = w.load("churn", f"count={count}")
            talk = w.end(going)
            w.nobody_left()
            after = w.resident()
            assert after < before + 24, f"{before:.0f} MiB before, {after:.0f} after"
            if talk["p99_us"] < BUSY_US:
                break
            assert attempt < TRIES - 1, talk
        return (f"{churn['per_s']:.0f}/s, {churn['cpu_us_each']:.0f} us of CPU each, {after - before:+.0f} MiB; "
                f"p99 beside them {talk['p99_us'] / 1000:.1f} ms")


def flood(w, size, stuck):
    """Megabytes past a subscriber that reads, and some that never do; memory at most, and p99 of others beside it."""
    stopped = threading.Event()
    most = [w.resident()]

    def watch():
        while not stopped.wait(0.02):
            most[0] = max(most[0], w.resident())
    takers = []
    for pattern in stuck:
        takers.append(w.nats())
        takers[-1].subscribe(pattern)
    watcher = threading.Thread(target=watch)
    watcher.start()
    count = (size << 20) // 16384
    try:
        beside = w.begin("run", "subscribers=4", "prefix=beside", "size=64", "rate=500", f"messages={size * 2}",
                         "warm=100")
        heavy = w.load("run", "subscribers=1", "size=16384", f"messages={count}", "warm=10")
        talk = w.end(beside)
    finally:
        stopped.set()
        watcher.join()
    for n in takers:
        n.close()
    return most[0], talk, heavy


def never_reads(options):
    """2 GB past subscribers that read nothing, one for each policy that keeps them: others don't notice."""
    with Soak(options, {"nats.write.deadline.ms": 600000, "nats.max.pending": 16 << 20}) as w:
        size = 2048 // w.part
        before, quiet, _ = flood(w, size // 4, [])
        stuck = ["bench.>", "$FLUX.LIVE.drop-oldest-100.bench.>", "$FLUX.LIVE.drop-newest-100.bench.>"]
        for attempt in range(TRIES):
            most, talk, heavy = flood(w, size, stuck)
            assert most < before + 120, f"{before:.0f} MiB before, {most:.0f} at most"
            if talk["p99_us"] < 3 * quiet["p99_us"] + BUSY_US:
                break
            assert attempt < TRIES - 1, (quiet["p99_us"], talk["p99_us"])
        now = w.live()
        assert now["nats_slow_consumers_total"] == attempt + 1
        assert min(now[f'dropped_total{{reason="{why}"}}'] for why in ("oldest", "newest")) > 1000 // w.part, now
        w.nobody_left()
        return (f"{size} MB at {heavy['publishes_per_s'] * 16384 / 1e6:.0f} MB/s, {most - before:+.0f} MiB; "
                f"p99 of others {talk['p99_us'] / 1000:.1f} ms, {quiet['p99_us'] / 1000:.1f} without those")


CASES = [ten_thousand_subscribers, coming_and_going, never_reads]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--bin", default=DEFAULT_BIN)
    parser.add_argument("--light", action="store_true")
    parser.add_argument("case", nargs="*", help="only cases whose name contains it")
    options = parser.parse_args()
    tap = Tap()
    for case in CASES:
        if not options.case or any(word in case.__name__ for word in options.case):
            tap.run(case.__name__.replace("_", " "), case, options)
    tap.finish()


if __name__ == "__main__":
    main()
