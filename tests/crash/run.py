#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Kills the broker again and again under load, and looks whether it kept its promises.

run.py [--rounds 10] [--seed N] [--flush group|none] [--reactors N] [--dirs N] [--bin FILE] [--against kafka]

A round: load for a random while, SIGKILL; start, load for a shorter while, SIGKILL again, sometimes a
third time while it recovers; start, read what is new, compare with everything that was acknowledged or
seen. At the end all is read again from the start, stopped cleanly, started, and read once more.
"""

import argparse
import os
import random
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "harness")]

from broker import DEFAULT_BIN, FluxMQ, Kafka, wait_until  # noqa: E402
from client import Client, Lost, Refused, records  # noqa: E402
from load import PASSING, Member, Producer, World, committed  # noqa: E402
from model import Broken, Model  # noqa: E402
from tap import Tap  # noqa: E402
import txn  # noqa: E402

TOPIC, PARTITIONS = "crash", 3
PRODUCERS = [-1, 1, -1, 1]  # acks of each
MEMBERS = ["pair", "pair", "alone"]
TRANSACTORS = 2
MORE_ROUNDS = 40


class Soak:
    def __init__(self, options, tap):
        self.options, self.tap = options, tap
        self.random = random.Random(options.seed)
        settings = {"flush.mode": options.flush, "group.initial.rebalance.delay.ms": 0, "log.segment.bytes": 1 << 20}
        if options.reactors:
            settings["reactors"] = options.reactors
        if options.against == "kafka":
            del settings["flush.mode"]
            self.broker = Kafka(settings=settings)
        else:
            self.broker = FluxMQ(binary=options.bin, settings=settings)
            if options.dirs > 1:
                self.broker.data = ",".join(f"{self.broker.data}{n}" for n in range(options.dirs))
        self.model = Model(PARTITIONS, len(PRODUCERS))
        self.world = World(self.broker.port, TOPIC, PARTITIONS, self.model, options.seed)
        self.workers = [Producer(self.world, i, acks) for i, acks in enumerate(PRODUCERS)]
        self.groups = [] if options.producers_only else sorted(set(MEMBERS))
        if self.groups:
            self.workers += [Member(self.world, i, group) for i, group in enumerate(MEMBERS)]
        self.txns = txn.TxnModel(TRANSACTORS)
        self.transactors = [] if options.producers_only else [
            txn.Transactor(self.world, i, self.txns) for i in range(TRANSACTORS)]
        self.workers += self.transactors
        self.start_seconds = 0.0

    def start(self):
        began = time.monotonic()
        self.broker.start()
        self.start_seconds = max(self.start_seconds, time.monotonic() - began)

    def begin(self):
        self.start()
        self.patiently(lambda client: client.create_topic(TOPIC, PARTITIONS, {"segment.bytes": str(1 << 20)}))
        self.patiently(lambda client: client.create_topic(txn.TOPIC, txn.PARTITIONS, {"segment.bytes": str(1 << 20)}))
        for worker in self.workers:
            worker.start()

    def patiently(self, ask):
        """Asks until the broker has loaded what it needs for the answer."""
        def attempt():
            client = None
            try:
                client = Client(self.broker.port)
                return [ask(client)]
            except Lost:
                if not self.broker.alive():
                    raise Broken("the broker died: " + self.broker.tail(20)) from None
                return None
            except Refused as problem:
                if problem.code not in PASSING:
                    raise
                return None
            finally:
                if client:
                    client.close()
        return wait_until(attempt, 20, "an answer")[0]

    def load(self, least, most):
        """Load for a random while; SIGKILL; returns when all clients have noticed."""
        self.world.running.set()
        time.sleep(self.random.uniform(least, most))
        if not self.broker.alive():
            raise Broken("the broker died by itself: " + self.broker.tail(20))
        self.broker.kill()
        self.world.running.clear()
        self.world.wait_parked(len(self.workers))
        if self.world.problems:
            raise Broken("; ".join(self.world.problems[:5]))

    def round(self):
        slow = 20 if self.options.against == "kafka" else 1
        self.load(0.05 * slow, 0.4 * slow)
        self.start()
        self.load(0.01 * slow, 0.15 * slow)
        if self.random.random() < 0.3 and self.options.against != "kafka":
            self.broker.spawn()
            time.sleep(self.random.uniform(0, 0.03))
            self.broker.kill()
        self.start()
        return self.verify()

    def verify(self):
        self.patiently(self.read_new)
        count = self.model.compare()
        self.check_groups()
        if self.transactors:
            self.patiently(lambda client: txn.check(client, self.txns, self.transactors))
        return f"{count} acknowledged batches and read records, log ends {[len(log) for log in self.model.log]}"

    def read_new(self, client):
        ends = client.ends(TOPIC, PARTITIONS)
        for p, end in enumerate(ends):
            if end < len(self.model.log[p]):
                raise Broken(f"partition {p} ends at {end}, and was read up to {len(self.model.log[p])} before")
            self.read_partition(client, p, len(self.model.log[p]), end,
                                lambda offset, value, p=p: self.model.append(p, offset, value))

    @staticmethod
    def read_partition(client, partition, start, end, take):
        while start < end:
            code, _, data = client.fetch(TOPIC, {partition: start}, 100)[partition]
            if code:
                raise Refused("Fetch", code)
            before = start
            for offset, value, _, _ in records(data):
                if offset >= start:
                    take(offset, value)
                    start = offset + 1
            if start == before:
                raise Broken(f"partition {partition}: nothing at {start}, and the log ends at {end}")

    def check_groups(self):
        for group in self.groups:
            offsets = self.patiently(lambda client, group=group: committed(client, group, TOPIC, range(PARTITIONS)))
            self.model.check_committed(group, self.model.floor(group), offsets)

    def everything(self):
        """All of the log, from the start, once more."""
        ends = self.patiently(lambda client: client.ends(TOPIC, PARTITIONS))
        for p, end in enumerate(ends):
            log = self.model.log[p]
            if end != len(log):
                raise Broken(f"partition {p} ends at {end}, not at {len(log)}")
            again = Model(PARTITIONS, len(PRODUCERS))
            client = Client(self.broker.port)
            self.read_partition(client, p, 0, end, lambda offset, value, p=p, m=again: m.append(p, offset, value))
            client.close()
            if again.log[p] != log:
                raise Broken(f"partition {p} reads differently than before")
        self.check_groups()
        return f"{sum(ends)} records"

    def clean(self):
        status = self.broker.stop()
        if status not in (0, 143):
            raise Broken(f"a clean stop ended with {status}: {self.broker.tail(20)}")
        self.start()
        return self.everything()

    def lacks(self):
        """What the load is there for and has not done enough, in words."""
        totals = self.model.totals
        names = ("acknowledged", "read", "commits") if self.groups else ("acknowledged",)
        low = [name for name in names if totals[name] < self.options.rounds]
        few = [how for how, count in self.txns.totals.items() if count == 0]
        return [f"hardly any {name}" for name in low] + [
            f"no transactions that ended in {how}" for how in few if self.transactors and self.options.rounds >= 10]

    def progress(self):
        """The load did what it is there for. In what a SIGKILL comes is chance: a few rounds more make up for it."""
        more = 0
        while self.lacks():
            if more == MORE_ROUNDS:
                raise Broken(f"{self.lacks()} in {self.options.rounds} + {more} rounds: {self.model.totals}, "
                             f"transactions {self.txns.totals}")
            self.round()
            more += 1
        return (f"{self.model.totals}, transactions {self.txns.totals}, {more} rounds more, "
                f"longest start {self.start_seconds * 1000:.0f} ms")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--flush", choices=["group", "none"], default="group")
    parser.add_argument("--producers-only", action="store_true")
    parser.add_argument("--reactors", type=int)
    parser.add_argument("--dirs", type=int, default=1, help="log directories")
    parser.add_argument("--bin", default=DEFAULT_BIN)
    parser.add_argument("--against", choices=["fluxmq", "kafka"], default="fluxmq")
    options = parser.parse_args()
    tap = Tap()
    tap.note(f"seed {options.seed}, {options.rounds} rounds, flush.mode {options.flush}")
    soak = Soak(options, tap)
    try:
        soak.begin()
        for number in range(1, options.rounds + 1):
            tap.run(f"round {number}", soak.round)
            if tap.failed:
                break  # what comes after a broken promise says nothing
        if not tap.failed:
            tap.run("the load made progress", soak.progress)
            tap.run("everything, read again from the start", soak.everything)
            tap.run("everything, after a clean stop", soak.clean)
            tap.run("the broker stops, and has nothing to complain about", soak.broker.end_well)
    except Exception as problem:  # pylint: disable=broad-except
        tap.result(False, f"the crash test itself: {problem!r}")
    finally:
        soak.world.ending = True
        soak.broker.own_folder = soak.broker.own_folder and not tap.failed
        soak.broker.close()
        soak.world.running.set()
    if tap.failed:
        tap.note(f"seed {options.seed}; data and log in {soak.broker.folder}")
    tap.finish()


if __name__ == "__main__":
    main()
