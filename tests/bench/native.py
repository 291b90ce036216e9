#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The native benchmarks in small: that they run, check what they read, and report every figure. No goal is judged.

native.py [--build DIR]"""

import argparse
import json
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.append(os.path.join(HERE, "..", "harness"))

from tap import Tap  # noqa: E402


def run(build, folder, program, *words):
    out = os.path.join(folder, "report.json")
    done = subprocess.run([sys.executable, os.path.join(ROOT, "bench", program), "--build", build, "--dir", folder,
                           "--out", out, "--quick", *words], capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    with open(out, encoding="utf-8") as file:
        report = json.load(file)
    assert report["conditions"]["cores"] == os.cpu_count() and report["conditions"]["commit"], report["conditions"]
    assert os.listdir(folder) == ["report.json"], os.listdir(folder)
    return report


def native(build, folder):
    sections = ("produce", "fetch", "sync", "safe")
    report = run(build, folder, "native.py", "--no-kafka", "--port", "24700",
                 *(w for s in sections for w in ("--only", s)))
    names = {(r["section"], r["name"]) for r in report["rows"]}
    assert {("produce", "sink"), ("produce", "fluxmq"), ("fetch", "loopback sendfile"), ("fetch", "loopback write"),
            ("fetch", "fluxmq"), ("sync", "ping-pong"), ("sync", "fluxmq"), ("safe", "write and fdatasync"),
            ("safe", "fluxmq")} <= names, names
    for r in report["rows"]:
        for key, value in r.items():
            if isinstance(value, dict):
                assert 0 < value["min"] <= value["median"] <= value["max"], (r["name"], key, value)
    assert len(report["goals"]) == 5, report["goals"]


def log(build, folder):
    report = run(build, folder, "logs.py")
    scenarios = {r["scenario"] for r in report["rows"]}
    assert scenarios == {"view", "chunks", "segments", "cold", "random", "readers", "active", "append"}, scenarios
    assert all(v > 0 for r in report["rows"] for k, v in r.items() if k in ("gib_per_s", "limit", "ns", "share"))
    cold, = (r for r in report["rows"] if r["scenario"] == "cold")
    assert 0 <= cold["resident_before"] <= 1, cold  # 1: a file system in memory


def scale(build, folder):
    report = run(build, folder, "scale.py", "--most", "100", "--port", "24740")
    sections = {r["section"] for r in report["rows"]}
    assert sections == {"partitions", "connections", "parked", "producers", "sizes", "small", "recovery",
                        "backlog"}, sections
    assert [r["name"] for r in report["rows"] if r["section"] == "partitions"] == \
        ["1 partitions", "10 partitions", "100 partitions"]


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--build", default=os.path.join(ROOT, "build"))
    build, tap = os.path.abspath(options.parse_args().build), Tap()
    for name, case in (("native.py", native), ("logs.py", log), ("scale.py", scale)):
        with tempfile.TemporaryDirectory(prefix="fluxmq-bench-") as folder:
            tap.run(name, case, build, folder)
    tap.finish()


if __name__ == "__main__":
    main()
