#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes the pages of docs/ that are made from tables; with --check it only says which are stale."""

import gzip
import json
import os
import sys

import tables

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
HEAD = """# Differences from Apache Kafka

What FluxMQ answers differently from a Kafka 4.3.1 broker, and why. The test in `tests/probe` sends 921
requests to a fresh broker and compares each answer with the one that a real Kafka gave; these are the ones
that differ and stay so. This page is made from `tests/probe/differences.tsv` by `make docs`; an answer that
differs and has no row there fails the test, and so does a row that is not needed any more.

The probes run with `message.validation=full`. With the default, `fast`, the records inside a compressed batch
are not unpacked when they arrive, so a batch whose compressed part is damaged but whose CRC is right is stored
and not refused; a consumer then finds it.

A Kafka fetch doesn't return records that are past their time to live, which Kafka doesn't know: in partitions
that have such records (`message.ttl.ms`, or something was published with `Nats-TTL`) batches are sent without
them, with their offsets as they were, as after compaction (docs/nats.md).

APIs that are not served yet are not advertised, and their exchanges are left out of the comparison.

"""
OLD = """
## Versions that Kafka 4 dropped

Request versions that Kafka 4.0 dropped are served as Kafka 3.9 did, so that clients since 0.8 work: Produce 0-2,
Fetch 0-3, ListOffsets 0, OffsetCommit 0-1, OffsetFetch 0, CreateTopics 0-1, DeleteTopics 0, OffsetForLeaderEpoch 0-1,
WriteTxnMarkers 0, DescribeConfigs 0, DescribeLogDirs 0. `tests/probe/old.py` compares them with the answers of a Kafka
3.9.1; these differ (`tests/probe/old-differences.tsv`).

Message sets of magic 0 and 1 become record batches when they come and message sets again when an old client fetches
them, as in Kafka 3.9: one batch of each set, a wrapper alone in its set, zstd for nobody who does not know it. Segments
with such messages that an old Kafka left behind are opened, read, searched and compacted as they are, and need no
conversion; Kafka 4.3.1 does the same with them.

"""
BATCHES = """
## Record batches

What is in a Produce request is checked as Kafka does it: header, checksum and counts always, and every record of what
is not compressed, or is unpacked anyway (compaction, another `compression.type`). With `message.validation=full` that
goes for all batches. `tests/probe/batches.py` sends 170 batches, good and bad, to topics of six kinds in both modes
and compares answers and what is stored with a Kafka 4.3.1; these differ (`tests/probe/batch-differences.tsv`).

Unpacking is bounded, which Kafka's is not: 64 MiB or `max.message.bytes`, whichever is larger, and at most 4096 times
the size of the batch if that is above 1 MiB and `max.message.bytes`. What is larger is refused as MESSAGE_TOO_LARGE.

"""


def batch_table():
    text = "| why | mode | topics | batches | Kafka | here |\n|---|---|---|---|---|---|\n"
    with open(os.path.join(ROOT, "tests", "probe", "batch-differences.tsv"), encoding="utf-8") as file:
        for line in file:
            if not line.startswith("#"):
                mode, topics, names, theirs, ours, why = line.rstrip("\n").split("\t")
                text += f"| {why} | {mode} | `{topics}` | `{names}` | {theirs} | {ours} |\n"
    return text


MORE = """
## Transactions, producers and compaction

`tests/probe/more.py` compares 739 more answers with a Kafka 4.3.1; these differ (`tests/probe/more-differences.tsv`).

"""


def difference_table(prefix):
    exchanges = {}
    recording = os.path.join(ROOT, "tests", "data", prefix + "behaviour.jsonl.gz")
    with gzip.open(recording, "rt", encoding="utf-8") as file:
        for line in file:
            entry = json.loads(line)
            exchanges[entry["probe"], str(entry["step"])] = entry
    reasons = {}
    with open(os.path.join(ROOT, "tests", "probe", prefix + "differences.tsv"), encoding="utf-8") as file:
        for line in file:
            if line.strip() and not line.startswith("#"):
                probe, step, reason = line.rstrip("\n").split("\t")
                reasons.setdefault(reason, []).append((probe, step))
    if not reasons:
        return "At present there is none.\n"
    text = "| why | where (probe and step: request) |\n|---|---|\n"
    for reason, places in reasons.items():
        where = []
        for place in places:
            entry = exchanges[place]
            what = entry.get("what", "").replace("|", "/")
            where.append(f"{place[0]} {place[1]}: {entry['api']} v{entry['version']}" + (f", {what}" if what else ""))
        text += f"| {reason} | {'; '.join(where)} |\n"
    return text


def differences():
    return (HEAD + difference_table("") + MORE + difference_table("more-") + OLD + difference_table("old-") +
            BATCHES + batch_table())


PAGES = {"docs/differences.md": differences, **tables.PAGES}


def main():
    stale = 0
    for number, (path, make) in enumerate(PAGES.items(), 1):
        text, full = make(), os.path.join(ROOT, path)
        old = open(full, encoding="utf-8").read() if os.path.exists(full) else None
        if "--check" in sys.argv:
            stale += old != text
            print(f"{'ok' if old == text else 'not ok'} {number} - {path} is up to date (make docs)")
        elif old != text:
            os.makedirs(os.path.dirname(full), exist_ok=True)
            with open(full, "w", encoding="utf-8") as file:
                file.write(text)
    if "--check" in sys.argv:
        print(f"1..{len(PAGES)}")
    sys.exit(1 if stale else 0)


if __name__ == "__main__":
    main()
