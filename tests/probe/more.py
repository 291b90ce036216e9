#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Sends our own probes of transactions and of what a log keeps, and compares the answers with those of Kafka 4.3.1.

more.py [--against fluxmq|kafka] [--bin FILE] [--record] [--jobs N] [probe...]

--record: a real Kafka's answers become the recording (of the named probes, or all).
Reasons for answers that differ stand in more-differences.tsv.
"""

import argparse
import gzip
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "recorded"), os.path.join(HERE, "..", "harness")]

import admin_cases  # noqa: E402
import committed_cases  # noqa: E402
import log_cases  # noqa: E402
import run  # noqa: E402
import txn_cases  # noqa: E402
from broker import DEFAULT_BIN, FluxMQ, Kafka  # noqa: E402
from tap import Tap  # noqa: E402

RECORDING = os.path.join(HERE, "..", "data", "more-behaviour.jsonl.gz")
SETTINGS = {
    **run.SETTINGS, "transaction.abort.timed.out.transaction.cleanup.interval.ms": 200, "log.cleaner.backoff.ms": 100,
}
NAMES = []
run.DIFFERENCES = os.path.join(HERE, "more-differences.tsv")
for module in (txn_cases, committed_cases, log_cases, admin_cases):
    run.cases.ALL += module.ALL
    NAMES += [name for name, _ in module.ALL]
run.SLOW_FIRST = ["compact"]
# Tens of thousands of epochs, each a record of its own: on a disk that takes its time for a flush they would last for
# minutes. They have a broker of their own that leaves flushes to the kernel.
MANY_RECORDS = ["txn-epochs-end"]


def read_recording():
    return run.read_lines(RECORDING) if os.path.exists(RECORDING) else []


def record(lines, names):
    """Those probes' lines take the place of what was recorded of them."""
    def of(line):
        return run.json.loads(line)["probe"]
    kept = [line for line in read_recording() if of(line) in NAMES and of(line) not in names]
    every = kept + lines
    every.sort(key=lambda line: NAMES.index(of(line)))
    with open(RECORDING, "wb") as file:
        with gzip.GzipFile(fileobj=file, mode="wb", mtime=0) as packed:
            packed.write(("\n".join(every) + "\n").encode())
    print(len(every), "exchanges recorded")


def judge(options, lines, problems, names):
    recorded, new, tap = run.by_probe(read_recording()), run.by_probe(lines), Tap()
    of = run.Judge(tap, {} if options.against == "kafka" else run.read_differences())
    for probe in names:
        wanted, got = recorded.get(probe, {}), new.get(probe, {})
        for step in sorted(set(wanted) | set(got)):
            of.exchange(probe, step, wanted.get(step), got.get(step))
    for name, problem in problems.items():
        tap.result(False, name)
        tap.note(f"{name} stopped: {problem}")
    return tap


def ask(options, names, more):
    """What a broker with those settings answers; (lines, problems by probe, seconds by probe)"""
    if not names:
        return [], {}, {}
    if options.record or options.against == "kafka":
        broker = Kafka(settings=SETTINGS)
    else:
        broker = FluxMQ(binary=options.bin, settings={**SETTINGS, "message.validation": "full", **more},
                        options=["--broker-id", "1"])
    try:
        broker.start()
        wanted = {} if options.record else run.said_before(run.by_probe(read_recording()))
        lines, problems, seconds = run.send(broker.port, names, options.jobs, wanted)
        try:
            broker.end_well()
        except AssertionError as problem:
            problems["(broker)"] = problem
    finally:
        broker.close()
    return lines, problems, seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--against", choices=["fluxmq", "kafka"], default="fluxmq")
    parser.add_argument("--bin", default=DEFAULT_BIN)
    parser.add_argument("--record", action="store_true")
    parser.add_argument("--jobs", type=int, default=4)
    parser.add_argument("probe", nargs="*")
    options = parser.parse_args()
    names = options.probe or NAMES
    for name in names:
        if name not in NAMES:
            parser.error(f"no probe {name}; there are {' '.join(NAMES)}")
    lines, problems, seconds = ask(options, [name for name in names if name in MANY_RECORDS], {"flush.mode": "none"})
    others = ask(options, [name for name in names if name not in MANY_RECORDS], {})
    lines += others[0]
    problems.update(others[1])
    seconds.update(others[2])
    if options.record:
        if problems:
            sys.exit("\n".join(str(problem) for problem in problems.values()))
        record(lines, names)
        return
    tap = judge(options, lines, problems, names)
    tap.note("longest: " + ", ".join(f"{n} {s:.1f}" for n, s in sorted(seconds.items(), key=lambda p: -p[1])[:6]))
    tap.finish()


if __name__ == "__main__":
    main()
