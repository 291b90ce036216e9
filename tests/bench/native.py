#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The native benchmarks in small: that they run, check what they read, and report every figure. No goal is judged.

native.py [--build DIR]"""

import argparse
import contextlib
import io
import json
import os
import subprocess
import sys
import tempfile

import pictures

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path += [os.path.join(HERE, "..", "harness"), os.path.join(ROOT, "bench")]

import curves  # noqa: E402
import report as reports  # noqa: E402
import scale as scales  # noqa: E402
import summary  # noqa: E402
from scale_sections import Failure, Point  # noqa: E402
from tap import Tap  # noqa: E402

# of scale.json: figures that the picture leaves to the text
NOT_DRAWN = {"files", "rss_after_start_mib", "kib_each", "records_a_batch", "resident_before", "reading_share",
             "cold_mib_per_s"}
NOT_DRAWN_OF = {("partitions", "cpu_s_per_million"), ("small", "cpu_s_per_million"), ("small", "records_per_s"),
                ("backlog", "rss_mib")}
ABOUT = {"date": "2026-01-01", "cores": 2, "cpu": "x" * 40, "kernel": "6", "commit": "1234567", "rounds": 3}


def run(build, folder, program, *words):
    out = os.path.join(folder, "report.json")
    done = subprocess.run([sys.executable, os.path.join(ROOT, "bench", program), "--build", build, "--dir", folder,
                           "--out", out, "--quick", *words], capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    with open(out, encoding="utf-8") as file:
        report = json.load(file)
    assert report["conditions"]["cores"] == os.cpu_count() and report["conditions"]["commit"], report["conditions"]
    assert sorted(os.listdir(folder)) == ["report.json", "report.svg"], os.listdir(folder)
    assert report["failures"] == [], report["failures"]
    return report


def figures_of(report):
    """All that scale.json and native.json have to draw."""
    return [v for r in report["rows"] for k, v in r.items()
            if isinstance(v, dict) and k not in NOT_DRAWN and (r["section"], k) not in NOT_DRAWN_OF]


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
    assert len(report["goals"]) == 7, report["goals"]
    pictures.check(pictures.read(os.path.join(folder, "report.svg")), figures_of(report))


def log(build, folder):
    report = run(build, folder, "logs.py")
    scenarios = {r["scenario"] for r in report["rows"]}
    assert scenarios == {"view", "chunks", "segments", "cold", "random", "readers", "active", "append"}, scenarios
    assert all(v > 0 for r in report["rows"] for k, v in r.items() if k in ("gib_per_s", "limit", "ns", "share"))
    cold, = (r for r in report["rows"] if r["scenario"] == "cold")
    assert 0 <= cold["resident_before"] <= 1, cold  # 1: a file system in memory
    drawn = [{"median": r[k], "min": r[k], "max": r[k]} for r in report["rows"]
             for k in ("gib_per_s", "limit", "ns", "pread_ns", "records_per_s", "limit_records_per_s") if k in r
             and (k != "limit" or r["scenario"] != "active")]
    assert pictures.check(pictures.read(os.path.join(folder, "report.svg")), drawn) >= len(drawn)


def scale(build, folder):
    report = run(build, folder, "scale.py", "--most", "100", "--port", "24740")
    sections = {r["section"] for r in report["rows"]}
    assert sections == {"partitions", "connections", "parked", "producers", "sizes", "small", "recovery",
                        "backlog"}, sections
    assert [r["name"] for r in report["rows"] if r["section"] == "partitions"] == \
        ["1 partitions", "10 partitions", "100 partitions"]


    assert [r["name"] for r in report["rows"] if r["section"] == "parked"] == \
        ["10 parked fetches", "100 parked fetches"]
    for r in report["rows"]:
        assert r["rounds"] == 1 and ("x" in r or r["section"] in ("small", "backlog")), r
    drawn = figures_of(report)
    assert pictures.check(pictures.read(os.path.join(folder, "report.svg")), drawn) == len(drawn)


# ---- without a broker

def same(value):
    return {"median": value, "min": value, "max": value}


def few_points():
    """One point, none, the same value everywhere, noughts, and very far apart."""
    row = {"section": "connections", "name": "1", "x": 1}
    pages = [[], [{**row, "anonymous_mib": same(1.5), "cpu_percent": same(0)}],
             [{**row, "x": x, "anonymous_mib": {"median": m, "min": m / 2, "max": m * 3}, "cpu_percent": same(0)}
              for x, m in ((1, 1e-6), (7, 3), (10000, 1e9))],
             [{"section": "small", "name": "acks=1", "p50_us": same(100), "p99_us": same(1e6)},
              {"section": "producers", "name": "3", "x": 3, "p50_us": same(5), "p99_us": same(5)}]]
    for rows in pages:
        report = {"suite": "scale", "conditions": ABOUT, "rows": rows}
        figures = [v for r in rows for v in r.values() if isinstance(v, dict)]
        assert pictures.check(curves.draw(report), figures) == len(figures)


def rates_of_native():
    """Three brokers at four rates, as native.json has them with Kafka."""
    rows = [{"section": f"e2e {rate}/s", "name": f"{rate}/s {name}", "p50_us": same(rate / 7 + at),
             "p99_us": {"median": rate / 3 + at, "min": rate / 5, "max": rate}, "cores": same(rate / 1e6 * (at + 1))}
            for rate in (1000, 5000, 10000, 50000) for at, name in enumerate(("fluxmq", "fluxmq-noflush", "kafka"))]
    text = curves.draw({"suite": "native", "conditions": ABOUT, "rows": rows})
    assert pictures.check(text, [v for r in rows for v in r.values() if isinstance(v, dict)]) == 36
    assert text.count("<polyline") == 9


def given(folder, **more):
    return argparse.Namespace(**{"build": folder, "dir": folder, "rounds": 3, "minutes": 1, "out": None, "quick": False,
                                 "only": None, "port": 1, **more})


def a_point_fails(folder):
    """It is told; the others, and its own good rounds, stay."""
    s, calls = scales.Scale(given(folder)), []

    def run(name, good):
        calls.append(name)
        if not good(calls.count(name)):
            raise Failure("on purpose")
        return {"ready_s": calls.count(name)}

    s.until = float("inf")
    points = [Point(1, "a", lambda: run("a", lambda n: True)), Point(2, "b", lambda: run("b", lambda n: n > 1)),
              Point(3, "c", lambda: run("c", lambda n: False))]
    with contextlib.redirect_stdout(io.StringIO()) as said:
        s.curve("recovery", points)
    assert said.getvalue().count("FAILED: recovery, ") == 4, said.getvalue()
    assert calls == ["a", "b", "c", "c", "b", "a", "a", "b", "c"], calls
    assert [(r["name"], r["rounds"], r["ready_s"]) for r in s.rows] == \
        [("a", 3, {"median": 2, "min": 1, "max": 3}), ("b", 2, {"median": 2.5, "min": 2, "max": 3})], s.rows
    assert len(s.failures) == 4 and all("on purpose" in f for f in s.failures), s.failures
    s.until = 0  # no time: one round, and it is said how many
    with contextlib.redirect_stdout(io.StringIO()):
        s.curve("recovery", [Point(1, "d", lambda: {"ready_s": 1})])
    assert s.rows[-1]["rounds"] == 1
    s.close()


def published(folder):
    """Neither a part nor a quick run replaces the figures of the whole."""
    results = os.path.join(ROOT, "bench", "results", "x.json")
    assert reports.where(given(folder), "x.json") == results
    assert reports.where(given(folder, quick=True), "x.json") == os.path.join(folder, "x.json")
    assert reports.where(given(folder, only=["small"]), "x.json") == os.path.join(folder, "x.json")
    assert reports.where(given(folder, only=["small"], out="y"), "x.json") == "y"


def read_pages():
    """What is read is what the reports say."""
    for path, text in ((os.path.join(summary.RESULTS, "README.md"), summary.page()),
                       (summary.README, summary.MARK + summary.sentence() + summary.END)):
        with open(path, encoding="utf-8") as file:
            assert text in file.read(), f"{path}: run bench/summary.py"


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--build", default=os.path.join(ROOT, "build"))
    build, tap = os.path.abspath(options.parse_args().build), Tap()
    tap.run("curves of few points", few_points)
    tap.run("curves of native.json", rates_of_native)
    tap.run("figures in pages", read_pages)
    for name, case in (("a point that fails", a_point_fails), ("where figures go", published)):
        with tempfile.TemporaryDirectory(prefix="fluxmq-bench-") as folder:
            tap.run(name, case, folder)
    for name, case in (("native.py", native), ("logs.py", log), ("scale.py", scale)):
        with tempfile.TemporaryDirectory(prefix="fluxmq-bench-") as folder:
            tap.run(name, case, build, folder)
    tap.finish()


if __name__ == "__main__":
    main()
