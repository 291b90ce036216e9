#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Sends the probes of old_cases.py and compares the answers with those of Kafka 3.9.1, which served such versions.

old.py [--bin FILE] [--at PORT] [--record] [probe...]

--at: to a broker that is there already instead of a fresh one of ours; --record: its answers become the recording.
"""

import argparse
import gzip
import io
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "recorded"), os.path.join(HERE, "..", "harness")]

import old_cases  # noqa: E402
import run  # noqa: E402
from broker import DEFAULT_BIN, FluxMQ  # noqa: E402
from driver import Env  # noqa: E402
from tap import Tap  # noqa: E402

RECORDING = os.path.join(HERE, "..", "data", "old-behaviour.jsonl.gz")
run.DIFFERENCES = os.path.join(HERE, "old-differences.tsv")


def send(port, names, wanted):
    """(lines, problems by probe)"""
    out, problems = io.StringIO(), {}
    env = Env("127.0.0.1", port, out, wanted)
    env.warm()
    run.cases.ALL = old_cases.ALL
    for name in names:
        problems.update(run.run_probes(env, [name]))
    return out.getvalue().splitlines(), problems


def judge(lines, problems, names):
    recorded, new, tap = run.by_probe(run.read_lines(RECORDING)), run.by_probe(lines), Tap()
    judge_of = run.Judge(tap, run.read_differences())
    for probe in names:
        wanted, got = recorded.get(probe, {}), new.get(probe, {})
        for step in sorted(set(wanted) | set(got)):
            judge_of.exchange(probe, step, wanted.get(step), got.get(step))
        if probe in problems:
            tap.result(False, probe)
            tap.note(f"{probe} stopped: {problems[probe]}")
    return tap


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--bin", default=DEFAULT_BIN)
    parser.add_argument("--at", type=int)
    parser.add_argument("--record", action="store_true")
    parser.add_argument("probe", nargs="*")
    options = parser.parse_args()
    names = options.probe or [name for name, _ in old_cases.ALL]
    broker = None
    try:
        if not options.at:
            settings = {**run.SETTINGS, "message.validation": "full"}
            broker = FluxMQ(binary=options.bin, settings=settings, options=["--broker-id", "1"]).start()
        wanted = {} if options.record else run.said_before(run.by_probe(run.read_lines(RECORDING)))
        lines, problems = send(options.at or broker.port, names, wanted)
    finally:
        if broker:
            broker.close()
    if options.record:
        if problems:
            sys.exit("\n".join(problems.values()))
        with open(RECORDING, "wb") as file:
            with gzip.GzipFile(fileobj=file, mode="wb", mtime=0) as packed:
                packed.write(("\n".join(lines) + "\n").encode())
        print(len(lines), "exchanges recorded")
        return
    judge(lines, problems, names).finish()


if __name__ == "__main__":
    main()
