#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""scale.py: what many partitions, connections, producers, sizes and a long backlog cost our broker.

Every point of a curve has a broker of its own on an empty directory. Points are measured in turns, there and back,
round by round, so that a machine that gets slower does not bend a curve; a figure is the median, the least and the
most of the rounds. What was produced is read back and checked. A point that fails is told, and fails the whole at the
end; the others are measured all the same. When time gets short there are fewer rounds, never fewer points.

Text goes to standard output, figures to bench/results/scale.json, curves to bench/results/scale.svg (a part or a
quick run: to the build folder)."""

import argparse
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import curves
import report
import scale_sections
from brokers import ROOT, FluxMQ, KeptMemory, touch_memory

# section -> its share of the time, by what a round of it takes
SECTIONS = {"partitions": 0.26, "connections": 0.1, "parked": 0.12, "producers": 0.16, "sizes": 0.1, "small": 0.07,
            "recovery": 0.07, "backlog": 0.12}
LOAD_S = 240  # longest that one load may take


class Scale:
    def __init__(self, given):
        self.given, self.rows, self.goals, self.failures, self.number = given, [], [], [], 0
        self.binary = os.path.abspath(os.path.join(given.build, "fluxmq"))
        self.folder = tempfile.mkdtemp(prefix="fluxmq-scale-", dir=given.dir)
        self.running, self.keep, self.begin, self.until = [], [], time.monotonic(), 0

    # ---- what points use

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
        if broker.killed:
            self.fail("a broker", "it did not end when it was told to")

    def end_others(self):
        """Brokers that a failure left."""
        for broker in [b for b in self.running if b not in self.keep]:
            self.end(broker)

    def words(self, broker, mode, topic, *words):
        return [self.binary, "bench", mode, topic, "--brokers", f"127.0.0.1:{broker.port}", "--pid", str(broker.pid),
                "--json", *map(str, words)]

    def load(self, broker, mode, topic, *words):
        return scale_sections.read(subprocess.Popen(self.words(broker, mode, topic, *words), stdout=subprocess.PIPE,
                                                    stderr=subprocess.PIPE, text=True), LOAD_S)

    # ---- rounds

    def fail(self, what, why):
        self.failures.append(f"{what}: {why}")
        print(f"  FAILED: {self.failures[-1]}", flush=True)

    def measure(self, section, point, got):
        print(f"[{time.monotonic() - self.begin:6.0f} s] {section}, {point.name}", file=sys.stderr, flush=True)
        try:
            figures = point.run()
            got.setdefault(point.name, []).append(figures)
        except Exception as why:  # pylint: disable=broad-except
            self.fail(f"{section}, {point.name}", f"{type(why).__name__}: {why}")
        finally:
            self.end_others()

    def curve(self, section, points, before=None):
        """Rows of the points that worked, by their names; before: done once, counts as a part of the time."""
        got, took = {}, 0
        if before:
            before()
        for turn in range(self.given.rounds):
            if turn and time.monotonic() + took > self.until:
                print(f"  (no time for more than {turn} rounds)", flush=True)
                break
            began = time.monotonic()
            for point in points if turn % 2 == 0 else reversed(points):
                self.measure(section, point, got)
            took = max(took, time.monotonic() - began)
        return {p.name: self.row(section, p, got[p.name]) for p in points if p.name in got}

    def row(self, section, point, rounds):
        figures = {key: report.spread([r[key] for r in rounds]) for key in rounds[0]}
        row = {"section": section, "name": point.name, "rounds": len(rounds), **figures}
        if point.x is not None:
            row["x"] = point.x
        self.rows.append(row)
        print(f"  {point.name:<28} " + "  ".join(f"{k} {v['median']:g}" for k, v in figures.items()), flush=True)
        late = figures.get("late_p99_us")
        if late and late["median"] > figures["p99_us"]["median"] / 2:
            print("    the load itself was late: the machine was busy, p99 says little of the broker", flush=True)
        return {key: value["median"] for key, value in figures.items()}

    def goal(self, what, value, most):
        self.goals.append({"what": what, "value": round(value, 4), "goal": f"<= {most:g}", "met": value <= most})
        print(f"  {'good' if value <= most else 'MISSED'}: {what}: {value:.4g}, goal <= {most:g}", flush=True)

    # ---- the whole

    def run(self):
        wanted = [name for name in SECTIONS if not self.given.only or name in self.given.only]
        whole = sum(SECTIONS[name] for name in wanted)
        self.until = time.monotonic()
        for name in wanted:
            # what the ones before left is for those that follow
            self.until += self.given.minutes * 60 * SECTIONS[name] / whole
            began, function = time.monotonic(), getattr(scale_sections, name)
            print(f"{name}: {function.__doc__}", flush=True)
            try:
                function(self)
            except Exception as why:  # pylint: disable=broad-except
                self.fail(name, f"{type(why).__name__}: {why}")
            self.keep = []
            self.end_others()
            print(f"  {name} took {time.monotonic() - began:.0f} s", flush=True)

    def close(self):
        self.keep = []
        self.end_others()
        shutil.rmtree(self.folder, ignore_errors=True)


def options():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--build", default=os.path.join(ROOT, "build"))
    ap.add_argument("--dir", help="where the data goes (default: the system's temporary folder)")
    ap.add_argument("--out", help="of the figures; the curves go beside it")
    ap.add_argument("--port", type=int, default=24340)
    ap.add_argument("--rounds", type=int, default=3)
    ap.add_argument("--minutes", type=float, default=24, help="no round begins that would end later")
    ap.add_argument("--seconds", type=int, default=5, help="of a measurement at a rate")
    ap.add_argument("--mib", type=int, default=512, help="of a measurement of sizes")
    ap.add_argument("--least", type=int, default=1, help="partitions, connections; points below are left out")
    ap.add_argument("--most", type=int, default=10000, help="the same, points above")
    ap.add_argument("--cold-mib", type=int, default=10240, help="of the backlog")
    ap.add_argument("--recovered-mib", type=int, default=954, help="of the largest log that is recovered")
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
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended before its time"))  # and the brokers with it
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    s, kept = Scale(given), KeptMemory()
    about = report.conditions(rounds=given.rounds, seconds=given.seconds, cold_mib=given.cold_mib)
    print(" ".join(f"{k}={v}" for k, v in about.items()))
    try:
        if given.touch:
            touch_memory(given.touch)
        s.run()
    finally:
        kept.restore()
        s.close()
    about["minutes"] = round((time.monotonic() - s.begin) / 60, 1)
    report.save(report.where(given, "scale.json"), {"suite": "scale", "conditions": about, "rows": s.rows,
                                                    "goals": s.goals, "failures": s.failures}, curves.scale)
    for failure in s.failures:
        print(f"FAILED: {failure}")
    sys.exit(1 if s.failures else 0)


if __name__ == "__main__":
    main()
