#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""logs.py: the log library by itself (bench/log.c), each figure beside the machine's limit of the same run.

A scenario runs several times; a figure is the median. The program checks what it reads (offsets, sizes, checksums) and
fails when something is wrong: that is told, and fails the whole at the end; the other scenarios run. Text goes to
standard output, figures to bench/results/log.json, a picture to bench/results/log.svg (a part or a quick run: to the
build folder)."""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile

import curves
import report

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SCENARIOS = ("view", "chunks", "segments", "cold", "random", "readers", "active", "append")


def run(binary, folder, mib, scenario):
    out = subprocess.run([binary, folder, str(mib), scenario], capture_output=True, text=True, check=False)
    if out.returncode:
        raise RuntimeError(out.stderr.strip() or f"status {out.returncode}")
    return [json.loads(line) for line in out.stdout.splitlines()]


def merge(rounds):
    """Rows of the rounds, by name, as one with medians."""
    rows = []
    for same in zip(*rounds):
        row = {}
        for key, value in same[0].items():
            values = [r[key] for r in same]
            row[key] = value if isinstance(value, str) else round(statistics.median(values), 4)
        rows.append(row)
    return rows


def goals(rows):
    """(what, value, wanted, met) of the figures that a goal is set for."""
    for r in rows:
        name, share = f"{r['scenario']}: {r['name']}", r.get("share")
        if r["scenario"] == "view" and r["name"].startswith("view"):
            yield name + " / memory scan", share, ">= 0.8", share >= 0.8
        elif r["scenario"] == "view" and r["name"].startswith("copy"):
            yield name + " / memcpy", share, ">= 0.7", share >= 0.7
        elif r["scenario"] == "view":
            met = r["gib_per_s"] >= 10 or share >= 0.95
            yield name + ", GiB/s", r["gib_per_s"], ">= 10, or the CRC's own speed", met
        elif r["scenario"] == "active":
            yield name, share, "within 0.05 of 1", abs(share - 1) <= 0.05
        elif r["scenario"] == "random" and "its own batch" in r["name"]:
            yield name + ", ns", r["ns"], "<= 1000", r["ns"] <= 1000


def show(row):
    figures = "  ".join(f"{k} {v:g}" for k, v in row.items() if not isinstance(v, str))
    print(f"  {row['name']:<52} {figures}", flush=True)


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--build", default=os.path.join(ROOT, "build"))
    ap.add_argument("--dir", help="where the logs go (default: the system's temporary folder)")
    ap.add_argument("--out", help="of the figures; the picture goes beside it")
    ap.add_argument("--mib", type=int, default=1024, help="of a log; more than the processor's caches")
    ap.add_argument("--rounds", type=int, default=3)
    ap.add_argument("--only", action="append", choices=SCENARIOS)
    ap.add_argument("--quick", action="store_true", help="one round on small logs: whether it works")
    given = ap.parse_args()
    if given.quick:
        given.mib, given.rounds = 128, 1
    subprocess.run(["meson", "compile", "-C", given.build, "bench-log"], check=True, stdout=subprocess.DEVNULL)
    folder, rows, failures = tempfile.mkdtemp(prefix="fluxmq-log-", dir=given.dir), [], []
    about = report.conditions(mib=given.mib, rounds=given.rounds)
    print(" ".join(f"{k}={v}" for k, v in about.items()))
    try:
        for scenario in given.only or SCENARIOS:
            print(scenario)
            try:
                done = merge([run(os.path.join(given.build, "bench", "bench-log"), folder, given.mib, scenario)
                              for _ in range(given.rounds)])
            except (RuntimeError, ValueError) as why:
                failures.append(f"{scenario}: {why}")
                print(f"FAILED: {failures[-1]}")
                continue
            for row in done:
                show(row)
            rows += done
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    judged = [{"what": w, "value": v, "goal": g, "met": m} for w, v, g, m in goals(rows)]
    for g in judged:
        print(f"{'good' if g['met'] else 'MISSED'}: {g['what']}: {g['value']:g}, goal {g['goal']}")
    report.save(report.where(given, "log.json"), {"suite": "log", "conditions": about, "rows": rows, "goals": judged,
                                                  "failures": failures}, curves.log)
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
