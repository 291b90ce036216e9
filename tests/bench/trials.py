#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The trials in next to nothing: each way starts, sends what it should, and is in the report. No figure is judged.

trials.py [--build DIR]"""

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

# What each trial measures: ways, and how many rows it has.
TRIALS = {
    "fetch": ({"sendfile", "lookup", "corked", "copy", "chunks", "mapped", "populated"}, 58),
    "echo": ({"epoll", "uring", "fixed", "provided"}, 24),
    "append": ({"pwrite", "gathered", "mapping", "ahead", "writeback", "uring", "uring8"}, 14),
    "flush": ({"grow", "ahead", "sized", "zeroed"}, 4),
    "cold": ({"sendfile", "pread", "willneed", "uring"}, 8),
    "bulk": ({"sendfile", "copy", "send", "zerocopy"}, 12),
    "pages": ({"plain", "populate", "willneed", "huge", "pread"}, 5),
    "rooms": ({"pooled", "huge", "fresh"}, 6),
    "roundtrip": ({"block", "spin", "always", "socket", "pinned", "together"}, 12),
    "reactors": ({"a reactor a core", "one reactor", "pinned"}, 12),
    "preallocate": ({"grow", "preallocate"}, 4),
}


def measure(build, folder):
    out = os.path.join(folder, "report.json")
    done = subprocess.run([sys.executable, os.path.join(ROOT, "bench", "trials.py"), "--build", build, "--dir", folder,
                           "--out", out, "--tiny", "--port", "24770"], capture_output=True, text=True, timeout=500,
                          check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert os.listdir(folder) == ["report.json"], os.listdir(folder)
    with open(out, encoding="utf-8") as file:
        return json.load(file)


def complete(report):
    """A way has a row, or says why not."""
    for trial, (ways, count) in TRIALS.items():
        rows = [r for r in report["rows"] + report["skipped"] if r["trial"] == trial]
        assert {r["way"] for r in rows} == ways, (trial, rows)
        assert len(rows) == count, (trial, len(rows))
    assert all(s["reason"] for s in report["skipped"]), report["skipped"]
    for r in report["rows"]:
        figures = r["figures"]
        assert figures["per_s"]["min"] > 0 and figures["mib_per_s"]["min"] > 0, r
        assert figures["cpu_us"]["min"] >= 0, r
        assert set(r["ratio"]) == set(figures), r


def skips_are_few(report):
    """What needs nothing of the kernel that is not everywhere is never skipped."""
    may = {("echo", "uring"), ("echo", "fixed"), ("echo", "provided"), ("append", "uring"), ("append", "uring8"),
           ("append", "ahead"), ("append", "writeback"), ("flush", "ahead"), ("flush", "sized"), ("bulk", "zerocopy"),
           ("pages", "huge"), ("pages", "willneed"), ("rooms", "huge"), ("roundtrip", "socket"),
           ("roundtrip", "pinned"), ("roundtrip", "together"), *(("cold", way) for way in TRIALS["cold"][0])}
    skipped = {(s["trial"], s["way"]) for s in report["skipped"]}
    assert skipped <= may, skipped - may


def notices_wrong(build, folder):
    """A file that is not the pattern: the trial fails."""
    program, path = os.path.join(build, "bench", "trials", "bench-trials"), os.path.join(folder, "data")
    subprocess.run([program, "file", path, "1"], check=True, capture_output=True)
    words = [program, "fetch", "copy", path, "4096", "20", "1"]
    good = subprocess.run(words, capture_output=True, text=True, check=False)
    assert good.returncode == 0 and json.loads(good.stdout)["wrong"] == 0, good
    with open(path, "r+b") as file:
        file.write(b"\0" * 4096)
    bad = subprocess.run(words, capture_output=True, text=True, check=False)
    assert bad.returncode == 1 and json.loads(bad.stdout)["wrong"] >= 1, bad


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--build", default=os.path.join(ROOT, "build"))
    build, tap, report = os.path.abspath(options.parse_args().build), Tap(), {}
    with tempfile.TemporaryDirectory(prefix="fluxmq-trials-") as folder:
        tap.run("trials run", lambda: report.update(measure(build, folder)))
    if report:
        tap.run("each way is measured", complete, report)
        tap.run("little is skipped", skips_are_few, report)
        with tempfile.TemporaryDirectory(prefix="fluxmq-trials-") as folder:
            tap.run("wrong data is noticed", notices_wrong, build, folder)
    tap.finish()


if __name__ == "__main__":
    main()
