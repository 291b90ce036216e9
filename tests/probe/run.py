#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Sends the recorded probes to a fresh broker and compares its answers with those of a real Kafka 4.3.1.

run.py [--against fluxmq|kafka] [--bin FILE] [--quick] [--reactors N] [--jobs N] [--keep FILE] [probe...]

One TAP line for each exchange: probe, step, API, version, what. An answer that differs is right only
if differences.tsv gives a reason; a row there that is not needed any more is a failure too.
"""

import argparse
import collections
import gzip
import io
import json
import multiprocessing
import os
import re
import sys
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "recorded"), os.path.join(HERE, "..", "harness")]

import cases  # noqa: E402
from broker import DEFAULT_BIN, FluxMQ, Kafka  # noqa: E402
from driver import Env, T  # noqa: E402
from tap import Tap  # noqa: E402

RECORDING = os.path.join(HERE, "..", "data", "behaviour.jsonl.gz")
DIFFERENCES = os.path.join(HERE, "differences.tsv")
SETTINGS = {  # those of the recording
    "num.partitions": 1, "offsets.topic.replication.factor": 1, "transaction.state.log.replication.factor": 1,
    "transaction.state.log.min.isr": 1, "share.coordinator.state.topic.replication.factor": 1,
    "share.coordinator.state.topic.min.isr": 1, "group.initial.rebalance.delay.ms": 0,
}
# An exchange with any other API is skipped as long as the broker does not advertise it.
SERVED = set("""ApiVersions Metadata Produce Fetch ListOffsets OffsetForLeaderEpoch FindCoordinator JoinGroup SyncGroup
Heartbeat LeaveGroup OffsetCommit OffsetFetch OffsetDelete DescribeGroups ListGroups DeleteGroups InitProducerId
CreateTopics DeleteTopics CreatePartitions DeleteRecords DescribeConfigs AlterConfigs IncrementalAlterConfigs
DescribeCluster DescribeTopicPartitions DescribeLogDirs AddPartitionsToTxn AddOffsetsToTxn EndTxn TxnOffsetCommit
AlterReplicaLogDirs ElectLeaders AlterPartitionReassignments ListPartitionReassignments DescribeQuorum
ListConfigResources WriteTxnMarkers DescribeProducers DescribeTransactions ListTransactions""".split())
# Versions below these were dropped by Kafka 4 and are served here: tests/probe/old.py is about them.
DROPPED = {"Fetch": 4, "ListOffsets": 1, "OffsetCommit": 2, "OffsetFetch": 1, "CreateTopics": 2, "DeleteTopics": 1,
           "OffsetForLeaderEpoch": 2, "WriteTxnMarkers": 1, "DescribeConfigs": 1, "DescribeLogDirs": 1}
# These probes are about one API: without it they only wait.
ABOUT = {"share-group": "ShareFetch",
         "consumer-group": "ConsumerGroupHeartbeat", "consumer-group-static": "ConsumerGroupHeartbeat",
         "streams-group": "StreamsGroupHeartbeat"}
QUICK = """api-versions api-versions-unsupported headers metadata produce idempotent list-offsets create-topics
create-partitions delete-topics offsets find-coordinator init-producer-id describe-configs alter-configs
offset-delete describe-cluster describe-topic-partitions delete-records""".split()
SLOW_FIRST = ["frames", "unsupported", "transactions", "fetch", "join-group", "share-group", "consumer-group",
              "fetch-sessions", "static-membership", "fetch-aborted", "replicas", "txn-offsets"]
HASHED = ("AddPartitionsToTxn", "DescribeTransactions", "WriteTxnMarkers")  # topics are in the order of a hash table
NUMBERED = re.compile(r"\$(PID|MEMBER|SESSION|CLIENTID|TOKEN|ID)(\d+)\b")


ADDRESS = re.compile(r"127\.0\.0\.1:\d+")


def renumber(lines):
    """Placeholders count through a whole run; here they count from one in each probe."""
    seen, counts = {}, collections.Counter()

    def name(match):
        if match.group(0) not in seen:
            counts[match.group(1)] += 1
            seen[match.group(0)] = f"${match.group(1)}.{counts[match.group(1)]}"
        return seen[match.group(0)]

    return [json.loads(ADDRESS.sub("127.0.0.1:$PORT", NUMBERED.sub(name, line))) for line in lines]


def settle(entry):
    """Takes out what differs from run to run and that the recorder left in."""
    answer = entry["response"]
    if not isinstance(answer, dict):
        return entry
    for result in answer.get("results") or []:
        for name, key in (("credentialInfos", "mechanism"), ("configs", "name")):
            if isinstance(result.get(name), list):
                result[name].sort(key=lambda value, key=key: value[key])
    for row in [answer, *(answer.get("transactionStates") or []), *(answer.get("resultsByTransaction") or []),
                *(answer.get("markers") or [])]:
        for name in ("topics", "topicResults", "resultsByTopicV3AndBelow"):
            if entry["api"] in HASHED and isinstance(row.get(name), list):
                row[name].sort(key=lambda topic: topic.get("topic", topic.get("name")))
                for topic in row[name] if name == "topics" and entry["api"] == "WriteTxnMarkers" else []:
                    topic["partitions"].sort(key=lambda one: one["partitionIndex"])
    for name in ("supportedFeatures", "finalizedFeatures"):
        if isinstance(answer.get(name), list):
            answer[name].sort(key=lambda feature: feature["name"])
    if entry["api"] == "Fetch" and entry["version"] >= 13 and entry["probe"] == "fetch-sessions":
        answer["responses"].sort(key=lambda topic: topic["topicId"])  # a session's order is the broker's own
    if entry["api"] == "ApiVersions" and "apiKeys" in answer:
        if isinstance(answer["apiKeys"], list):
            answer["apiKeys"] = [row for row in answer["apiKeys"] if T.names[row["apiKey"]] in SERVED]
            for row in answer["apiKeys"]:
                row["minVersion"] = max(row["minVersion"], DROPPED.get(T.names[row["apiKey"]], 0))
        else:
            answer["apiKeys"] = "some entries"
    return entry


def by_probe(lines):
    probes = {}
    for line in lines:
        probes.setdefault(json.loads(line)["probe"], []).append(line)
    return {probe: {entry["step"]: settle(entry) for entry in renumber(those)} for probe, those in probes.items()}


def run_probes(env, names):
    """Runs those probes; the text of the problems of the ones that stopped, by name."""
    known, stopped = dict(cases.ALL), {}
    known["fresh-broker"] = cases.fresh
    for name in names:
        env.name, env.step = name, 0
        try:
            known[name](env)
        except Exception:  # pylint: disable=broad-except
            stopped[name] = traceback.format_exc()
        for conn in env.conns:
            conn.close()
        env.conns = []
    return stopped


def read_lines(path):
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return file.read().splitlines()


def said_before(recorded):
    """(probe, step) -> the recorded answer"""
    return {(probe, step): entry["response"] for probe, steps in recorded.items() for step, entry in steps.items()}


def worker(port, wanted, queue, results):
    try:
        out = io.StringIO()
        env = Env("127.0.0.1", port, out, wanted)
        env.warm()
        while True:
            name = queue.get()
            if name is None:
                break
            started = time.monotonic()
            stopped = run_probes(env, [name])
            results.put((name, out.getvalue().splitlines(), stopped.get(name), time.monotonic() - started))
            out.seek(0)
            out.truncate()
    except Exception:  # pylint: disable=broad-except
        results.put((None, [], traceback.format_exc(), 0))


def send(port, names, jobs, wanted):
    """Sends the probes in several processes; (lines, problems by probe, seconds by probe)"""
    lines, problems, seconds = [], {}, {}
    if "fresh-broker" in names:
        out = io.StringIO()
        problems.update(run_probes(Env("127.0.0.1", port, out, wanted), ["fresh-broker"]))
        lines += out.getvalue().splitlines()
    served = Env("127.0.0.1", port, io.StringIO()).supports
    names = [name for name in names if name != "fresh-broker" and (name not in ABOUT or served(ABOUT[name], 1)
                                                                   or served(ABOUT[name], 0))]
    names.sort(key=lambda name: SLOW_FIRST.index(name) if name in SLOW_FIRST else len(SLOW_FIRST))
    queue, results = multiprocessing.Queue(), multiprocessing.Queue()
    workers = [multiprocessing.Process(target=worker, args=(port, wanted, queue, results), daemon=True)
               for _ in range(min(jobs, len(names)))]
    for name in names + [None] * len(workers):
        queue.put(name)
    for process in workers:
        process.start()
    ends = 0
    while len(seconds) < len(names) and ends < len(workers):
        try:
            name, said, problem, took = results.get(timeout=240)
        except Exception:  # pylint: disable=broad-except
            problems["(all)"] = "no probe ended within 240 s"
            break
        if name is None:
            problems[f"worker {ends}"] = problem
            ends += 1
            continue
        lines += said
        seconds[name] = took
        if problem:
            problems[name] = problem
    for process in workers:
        process.terminate()
    return lines, problems, seconds


def read_differences():
    """(probe, step) -> reason"""
    reasons = {}
    with open(DIFFERENCES, encoding="utf-8") as file:
        for line in file:
            if line.strip() and not line.startswith("#"):
                probe, step, reason = line.rstrip("\n").split("\t")
                reasons[probe, int(step)] = reason
    return reasons


class Judge:
    def __init__(self, tap, reasons):
        self.tap, self.reasons = tap, reasons

    def exchange(self, probe, step, wanted, got):
        shown = wanted or got
        name = f"{probe} {step} {shown['api']} v{shown['version']} {shown.get('what', '')}".replace("#", "").rstrip()
        if got is None:
            self.tap.result(False, name)
            self.tap.note("the probe stopped before it")
        elif got["response"] == "unsupported" and got["api"] not in SERVED:
            self.tap.skip(name, "not served")
        elif wanted is None:
            self.tap.result(False, name)
            self.tap.note("not in the recording: " + json.dumps(got["response"])[:500])
        else:
            self.compare(name, (probe, step), wanted, got)

    def compare(self, name, key, wanted, got):
        same = wanted["response"] == got["response"] and wanted.get("waited") == got.get("waited")
        reason = self.reasons.get(key)
        if same and reason:
            self.tap.result(False, name)
            self.tap.note("the same as Kafka now: take its row out of differences.tsv")
        elif same:
            self.tap.result(True, name)
        elif reason:
            self.tap.result(True, name)
            self.tap.note("kept: " + reason)
        else:
            self.tap.result(False, name)
            self.show(wanted, got)

    def show(self, wanted, got):
        self.tap.note("request " + json.dumps(got["request"], ensure_ascii=False)[:2000])
        for path, a, b in list(differing(wanted["response"], got["response"], ""))[:12]:
            self.tap.note(f"  {path or '(all)'}: Kafka {short(a)}, here {short(b)}")
        if wanted.get("waited") != got.get("waited"):
            self.tap.note(f"  waited: Kafka {wanted.get('waited')}, here {got.get('waited')}")


ABSENT = "(absent)"


def short(value):
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) < 300 else text[:300] + "..."


def differing(a, b, path):
    """The places in which two answers differ: (path, Kafka's, ours)."""
    pending = [(a, b, path)]
    while pending:
        x, y, where = pending.pop(0)
        if x == y:
            continue
        if isinstance(x, dict) and isinstance(y, dict):
            pending += [(x.get(k, ABSENT), y.get(k, ABSENT), f"{where}.{k}") for k in {**x, **y}]
        elif isinstance(x, list) and isinstance(y, list) and len(x) == len(y):
            pending += [(v, w, f"{where}[{i}]") for i, (v, w) in enumerate(zip(x, y))]
        else:
            yield where, x, y


def judge_all(options, recorded, lines, problems, names):
    new = by_probe(lines)
    tap = Tap()
    judge = Judge(tap, {} if options.against == "kafka" else read_differences())
    for probe in names:
        wanted, got = recorded.get(probe, {}), new.get(probe, {})
        unserved = any(e["response"] == "unsupported" and e["api"] not in SERVED for e in got.values())
        for step in sorted(set(wanted) | set(got)):
            if not got and probe not in problems and probe in ABOUT:
                tap.skip(f"{probe} {step}", f"{ABOUT[probe]} is not served")
                continue
            if probe in problems and step not in got and unserved:
                shown = wanted[step]
                tap.skip(f"{probe} {step} {shown['api']} v{shown['version']}", "needs an API that is not served")
            else:
                judge.exchange(probe, step, wanted.get(step), got.get(step))
        if probe in problems:
            tap.note(f"{probe} stopped: {problems[probe]}")
    for name, problem in problems.items():
        if name not in names:
            tap.result(False, name)
            tap.note(problem)
    return tap


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--against", choices=["fluxmq", "kafka"], default="fluxmq")
    parser.add_argument("--bin", default=DEFAULT_BIN)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--reactors", type=int)
    parser.add_argument("--jobs", type=int, default=6)
    parser.add_argument("--keep", help="write the exchanges to this file")
    parser.add_argument("probe", nargs="*")
    options = parser.parse_args()
    everything = ["fresh-broker"] + [name for name, _ in cases.ALL]
    names = options.probe or (QUICK if options.quick else everything)
    for name in names:
        if name not in everything:
            parser.error(f"no probe {name}; there are {' '.join(everything)}")
    settings = {**SETTINGS, "message.validation": "full"}
    if options.reactors:
        settings["reactors"] = options.reactors
    broker = Kafka(settings=SETTINGS) if options.against == "kafka" else \
        FluxMQ(binary=options.bin, settings=settings, options=["--broker-id", "1"])
    started, ending, recorded = time.monotonic(), None, by_probe(read_lines(RECORDING))
    try:
        broker.start()
        lines, problems, seconds = send(broker.port, names, options.jobs, said_before(recorded))
        if not broker.alive():
            problems["(broker)"] = "the broker died: " + broker.tail(30)
        try:
            broker.end_well()
        except AssertionError as problem:
            ending = problem
    finally:
        broker.close()
    if options.keep:
        with open(options.keep, "w", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")
    tap = judge_all(options, recorded, lines, problems, names)
    tap.result(ending is None, "the broker stops, and has nothing to complain about")
    if ending:
        tap.note(ending)
    slow = sorted(seconds.items(), key=lambda pair: -pair[1])[:6]
    tap.note(f"{time.monotonic() - started:.1f} s; longest: " + ", ".join(f"{n} {s:.1f}" for n, s in slow))
    tap.finish()


if __name__ == "__main__":
    main()
