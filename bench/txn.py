#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""txn.py [--bin FILE] [--rounds N] [--quick] [--json FILE]: transactions, FluxMQ and a real Kafka side by side.

One Java producer for each broker commits transactions of 1 and of 100 records, one after the other. Brokers and
clients live through all rounds and are warmed first, until the broker's CPU falls no more; rounds alternate; each
round's topic is read back with read_committed and counted. CPU is the broker's own. FluxMQ is shown twice: as it
comes (the disk has what it answered) and with flush.mode=none, which is what Kafka does."""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile

from brokers import ROOT, FluxMQ, Kafka, cpu_seconds, drop_topic, make_topic

CACHE = os.environ.get("FLUXMQ_CACHE", os.path.expanduser("~/.cache/fluxmq"))
LIBS = os.path.join(CACHE, "java-4.4.0")
CASES = ((1, 1000), (100, 500))  # records of a transaction, transactions of a round


class Client:
    def __init__(self, broker):
        self.broker, self.rounds = broker, 0
        self.process = subprocess.Popen(
            ["java", "-XX:+UseSerialGC", "-Xmx256m", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error", "-cp",
             LIBS + "/*", os.path.join(ROOT, "bench", "TxnLoad.java"), f"127.0.0.1:{broker.port}"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, *words):
        self.process.stdin.write(" ".join(str(word) for word in words) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the client of {self.broker.name} ended")
        return float(line)

    def measure(self, records, transactions):
        """(seconds, broker's CPU seconds)"""
        self.rounds += 1
        topic = f"txn-{self.rounds}"
        make_topic(self.broker, topic)
        try:
            before = cpu_seconds(self.broker.pid)
            seconds = self.ask("run", topic, transactions, records)
            spent = cpu_seconds(self.broker.pid) - before
            found = self.ask("count", topic)
            if found != records * transactions:
                raise RuntimeError(f"{self.broker.name}: {found:.0f} records of {records * transactions}")
        finally:
            drop_topic(self.broker, topic)
        return seconds, spent

    def warm(self, most):
        """Until a round costs twice not a twentieth less than the best before."""
        best, worse, count = None, 0, 0
        while worse < 2 and count < most:
            spent = sum(self.measure(*case)[1] for case in CASES)
            worse = worse + 1 if best is not None and spent > best * 0.95 else 0
            best = spent if best is None else min(best, spent)
            count += 1
        return count

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def compare(options, clients):
    for client in clients:
        print(f"{client.broker.name} ({client.broker.version}): warm after {client.warm(options.warm)} rounds",
              file=sys.stderr, flush=True)
    rows = {}
    for number in range(options.rounds):
        for records, transactions in CASES:
            turn = clients[number % len(clients):] + clients[:number % len(clients)]
            for client in turn:
                seconds, spent = client.measure(records, transactions)
                rows.setdefault((records, client.broker.name), []).append(
                    (transactions / seconds, spent / transactions * 1e6))
    return rows


def show(rows):
    print(f"{'records':>8} {'broker':24} {'transactions/s':>24} {'broker CPU, us each':>28} {'of Kafka':>9}")
    out = []
    for (records, name), values in rows.items():
        rates, cpus = zip(*values)
        theirs = statistics.median(cpu for _, cpu in rows[records, "kafka"])
        mine = statistics.median(cpus)
        print(f"{records:8} {name:24} {statistics.median(rates):10.0f} ({min(rates):.0f}-{max(rates):.0f})".ljust(60) +
              f"{mine:14.0f} ({min(cpus):.0f}-{max(cpus):.0f})".rjust(26) + f"{theirs / mine:8.1f} x")
        out.append({"records": records, "broker": name, "per_s": sorted(rates), "cpu_us": sorted(cpus)})
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--bin", default=os.path.join(ROOT, "build", "fluxmq"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--warm", type=int, default=5, help="rounds of warming at the most")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--port", type=int, default=23500)
    parser.add_argument("--data", default=None, help="where data goes (the temporary directory)")
    parser.add_argument("--json", help="figures go to this file, too")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.warm = 3, 3
    with tempfile.TemporaryDirectory(prefix="fluxmq-bench-", dir=options.data) as folder:
        brokers = [FluxMQ("fluxmq", folder, options.port, options.bin, {}),
                   FluxMQ("fluxmq flush.mode=none", folder, options.port + 10, options.bin, {"flush.mode": "none"}),
                   Kafka(folder, options.port + 20)]
        clients = []
        try:
            for broker in brokers:
                broker.start()
                clients.append(Client(broker))
            out = show(compare(options, clients))
            for client in clients:
                client.close()
        finally:
            for broker in brokers:
                broker.stop()
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(out, file, indent=1)


if __name__ == "__main__":
    main()
