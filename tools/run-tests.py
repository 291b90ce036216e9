#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs a list of suites one after the other, counts their cases, prints a table.

run-tests.py LIST [suite...]      LIST: check, test, asan, tsan, test-kafka

A suite is a command that prints TAP, or ends with "N passed, N failed, N skipped", or is a meson
test run. Its output goes to a log file; failed cases are shown. A suite that ends badly, takes too
long or counts nothing is one failed case more. The last line is the sum of all.
"""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
LOGS = os.path.join(ROOT, "build", "test-logs")
SUMMARY = re.compile(r"^(\d+) passed, (\d+) failed, (\d+) skipped$")
TAP = re.compile(r"^(?:\S+: )?(not ok|ok) \d+")
SHOWN_MAX = 20


def script(path, *arguments):
    return ["python3", path, *arguments]


def meson(build, *suites):
    return ["meson", "test", "-C", build, "--no-rebuild", "--timeout-multiplier", "5",
            *[w for s in suites for w in ("--suite", s)]]


def broker(build):
    return ["--bin", f"{build}/fluxmq"]


# name -> (command, seconds it may take: many times what it takes on a quiet machine, since a limit is for what hangs)
SUITES = {
    "unit": (meson("build-check", "unit"), 900),
    "wire": (meson("build-check", "wire", "fuzz"), 900),
    "tidy": (script("tools/tidy.py", "--tap"), 180),
    "tidy-self": (script("tests/tools/tidy_test.py"), 180),
    "docs": (script("tools/docs.py", "--check"), 180),
    "budget": (script("tests/budget/run.py", "--callgrind"), 400),
    "http": (script("tests/http/run.py"), 300),
    "cli": (script("tests/cli/run.py"), 600),
    "memory": (script("tests/memory/run.py"), 300),
    "live": (script("tests/live/run.py"), 300),
    "clean": (script("tests/clean/run.py"), 600),
    "live-txn": (script("tests/live/txn.py"), 300),
    "policy": (script("tests/live/policy.py"), 600),
    "soak": (script("tests/live/soak.py", "--light"), 600),
    "soak-whole": (script("tests/live/soak.py"), 400),
    "nats-quick": (script("tests/nats/run.py", "--light"), 400),
    "nats": (script("tests/nats/run.py"), 900),
    "nats-go": (script("tests/nats/gotests.py"), 1500),
    "crash-quick": (script("tests/crash/run.py", "--rounds", "10"), 600),
    "probe-quick": (script("tests/probe/run.py", "--quick"), 400),
    "real": (script("tests/real/run.py"), 3000),
    "bench-java": (script("tests/bench/run.py"), 1200),
    "bench-native": (script("tests/bench/native.py"), 1200),
    "bench-trials": (script("tests/bench/trials.py"), 600),
    "probe": (script("tests/probe/run.py"), 900),
    "probe-old": (script("tests/probe/old.py"), 400),
    "batches": (script("tests/probe/batches.py"), 300),
    "probe-more": (script("tests/probe/more.py"), 900),
    "probe-kafka": (script("tests/probe/run.py", "--against", "kafka"), 400),
    "probe-more-kafka": (script("tests/probe/more.py", "--against", "kafka"), 400),
    "probe-one-core": (script("tests/probe/run.py", "--reactors", "1"), 900),
    "hostile": (script("tests/hostile/run.py"), 900),
    "faults": (script("tests/faults/run.py"), 900),
    "dirs": (script("tests/dirs/run.py"), 900),
    "configs": (script("tests/configs/run.py"), 400),
    "configs-broker": (script("tests/configs/brokers.py"), 400),
    "crash": (script("tests/crash/run.py", "--rounds", "200"), 2400),
    "crash-dirs": (script("tests/crash/run.py", "--rounds", "20", "--dirs", "3"), 900),
    "crash-no-flush": (script("tests/crash/run.py", "--rounds", "20", "--flush", "none",
                              "--reactors", "1"), 900),
}
for kind in ("asan", "tsan"):
    SUITES[kind + "-unit"] = (meson("build-" + kind, "unit", "wire", "fuzz"), 1800)
    SUITES[kind + "-probe"] = (script("tests/probe/run.py", *broker("build-" + kind)), 1200)
    SUITES[kind + "-batches"] = (script("tests/probe/batches.py", *broker("build-" + kind)), 600)
    SUITES[kind + "-live"] = (script("tests/live/run.py", *broker("build-" + kind)), 900)
    SUITES[kind + "-policy"] = (script("tests/live/policy.py", *broker("build-" + kind)), 900)
    SUITES[kind + "-memory"] = (script("tests/memory/run.py", "--light", *broker("build-" + kind)), 600)
    SUITES[kind + "-clean"] = (script("tests/clean/run.py", *broker("build-" + kind)), 900)
    SUITES[kind + "-nats"] = (script("tests/nats/run.py", "--light", *broker("build-" + kind)), 900)
    SUITES[kind + "-cli"] = (script("tests/cli/run.py", "--only", "ours", *broker("build-" + kind)), 900)
    SUITES[kind + "-crash"] = (script("tests/crash/run.py", "--rounds", "5", *broker("build-" + kind)), 900)
    SUITES[kind + "-hostile"] = (
        script("tests/hostile/run.py", "--light", *broker("build-" + kind)), 900)

CHECK = ["unit", "wire", "tidy", "tidy-self", "docs", "http", "cli", "memory", "live", "policy", "clean", "nats-quick",
         "crash-quick", "probe-quick", "probe-old", "batches"]
ASAN = ["asan-unit", "asan-probe", "asan-batches", "asan-memory", "asan-live", "asan-policy", "asan-clean", "asan-nats",
        "asan-cli", "asan-crash", "asan-hostile"]
TSAN = ["tsan-unit", "tsan-probe", "tsan-memory", "tsan-live", "tsan-policy", "tsan-clean", "tsan-nats", "tsan-cli",
        "tsan-crash", "tsan-hostile"]
LISTS = {
    "check": CHECK,
    "asan": ASAN,
    "tsan": TSAN,
    "test": ["unit", "wire", "tidy", "tidy-self", "docs", "budget", "http", "cli", "memory", "live", "policy", "clean",
             "nats", "nats-go", "soak", "live-txn", "probe-old", "probe-more", "batches",
             "probe", "probe-one-core", "hostile", "faults", "dirs", "configs", "configs-broker", "real", "bench-java",
             "bench-native", "bench-trials", *ASAN, *TSAN, "crash-no-flush", "crash-dirs", "crash"],
    "test-kafka": ["probe", "probe-more", "probe-old", "batches", "probe-kafka", "probe-more-kafka"],
}


class Counts:
    def __init__(self):
        self.passed = self.failed = self.skipped = 0
        self.bad = []  # lines of failed cases
        self.summary = None

    def line(self, line):
        match = SUMMARY.match(line)
        if match:
            self.summary = [int(n) for n in match.groups()]
            return
        match = TAP.match(line)
        if not match:
            return
        if match.group(1) == "not ok" and "# TODO" not in line:
            self.failed += 1
            self.bad.append(line)
        elif re.search(r"# SKIP", line, re.I):
            self.skipped += 1
        else:
            self.passed += 1

    def finish(self, status, why):
        if self.summary:
            self.passed, self.failed, self.skipped = self.summary
        if not self.failed and (status != 0 or why):
            self.failed += 1
            self.bad.append(why or f"the suite ended with status {status}")
        if self.passed + self.failed + self.skipped == 0:
            self.failed = 1
            self.bad.append("the suite counted nothing")


def read_meson(command, counts):
    """meson keeps the output of each test program in a log of JSON lines."""
    build = command[command.index("-C") + 1]
    with open(os.path.join(ROOT, build, "meson-logs", "testlog.json"), encoding="utf-8") as file:
        for text in file:
            test = json.loads(text)
            before = counts.failed
            for line in (test.get("stdout") or "").splitlines():
                counts.line(line)
            if test["result"] not in ("OK", "SKIP") and counts.failed == before:
                counts.failed += 1
                counts.bad.append(f"{test['name']}: {test['result']}")
                counts.bad += (test.get("stderr") or "").splitlines()[:5]
            elif test["result"] == "SKIP" and not test.get("stdout"):
                counts.skipped += 1


def stop_group(process):
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def run(name):
    command, seconds = SUITES[name]
    counts, late = Counts(), []
    path = os.path.join(LOGS, name + ".log")
    with open(path, "w", encoding="utf-8") as log:
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                   text=True, errors="replace", start_new_session=True)

        def expire():
            late.append(f"took more than {seconds} s")
            stop_group(process)

        timer = threading.Timer(seconds, expire)
        timer.start()
        for line in process.stdout:
            log.write(line)
            if "meson" not in command[0]:
                counts.line(line.rstrip("\n"))
        status = process.wait()
        timer.cancel()
    if "meson" in command[0]:
        try:
            read_meson(command, counts)
        except (OSError, ValueError) as problem:
            late.append(f"no test log: {problem}")
    counts.finish(status, late[0] if late else None)
    return counts, path


def main():
    if len(sys.argv) < 2 or sys.argv[1] not in LISTS:
        sys.exit(__doc__)
    names = sys.argv[2:] or LISTS[sys.argv[1]]
    os.makedirs(LOGS, exist_ok=True)
    total = [0, 0, 0]
    print(f"{'suite':16} {'passed':>7} {'failed':>7} {'skipped':>8} {'seconds':>8}", flush=True)
    for name in names:
        started = time.monotonic()
        counts, path = run(name)
        for i, n in enumerate((counts.passed, counts.failed, counts.skipped)):
            total[i] += n
        print(f"{name:16} {counts.passed:7} {counts.failed:7} {counts.skipped:8} "
              f"{time.monotonic() - started:8.1f}", flush=True)
        for line in counts.bad[:SHOWN_MAX]:
            print("    " + line)
        if counts.bad:
            print(f"    (all of it: {os.path.relpath(path, ROOT)})", flush=True)
    print(f"{total[0]} passed, {total[1]} failed, {total[2]} skipped")
    sys.exit(1 if total[1] else 0)


if __name__ == "__main__":
    main()
