# SPDX-License-Identifier: MIT
"""What native.py, logs.py and scale.py write, and where.

A part of a suite, or a quick run of it, never replaces the figures of a whole one: without --out it goes to the build
folder. Each file is complete before it takes the old one's place. The picture lies beside the figures."""

import json
import os
import platform
import statistics
import subprocess
import time

import summary

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def conditions(**more):
    with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:
        model = next((line.split(":")[1].strip() for line in file if line.startswith("model name")), "")
    commit = subprocess.run(["git", "-C", ROOT, "rev-parse", "--short", "HEAD"], capture_output=True, text=True,
                            check=False).stdout.strip()
    return {"cores": os.cpu_count(), "cpu": model or platform.machine(), "kernel": platform.release(), **more,
            "commit": commit, "date": time.strftime("%Y-%m-%d"), "load": [round(n, 2) for n in os.getloadavg()]}


def spread(values):
    return {"median": round(statistics.median(values), 4), "min": round(min(values), 4), "max": round(max(values), 4)}


def where(given, name):
    if given.out:
        return given.out
    part = given.quick or given.only
    return os.path.join(given.build if part else os.path.join(ROOT, "bench", "results"), name)


def replace(path, text):
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    with open(path + ".new", "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(path + ".new", path)


def save(path, report, draw):
    """path, and the picture of it."""
    replace(path, json.dumps(report, indent=1) + "\n")
    picture = os.path.splitext(path)[0] + ".svg"
    replace(picture, draw(report))
    met = sum(g["met"] for g in report["goals"])
    if os.path.dirname(os.path.abspath(path)) == summary.RESULTS:
        summary.write()
    print(f"{met} of {len(report['goals'])} goals met; written to {path} and {picture}", flush=True)
