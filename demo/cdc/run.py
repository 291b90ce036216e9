#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Changes of a Postgres table, through Debezium and Kafka Connect, to a consumer; all on this machine.

run.py [--bin build/fluxmq] [--broker fluxmq|kafka] [--inserts 100] [--kill] [--no-goal] [--keep]

Starts Postgres, the broker, a Connect worker and a consumer of cdc.public.users, each on a free port and
in a temporary folder. What is right is said as "ok", and at the end how long changes took from before
the INSERT to the consumer. --kill: the broker is killed in the middle of more changes, and restarted.
--no-goal: the times are shown, not judged, for machines that do other work as well.
"""

import argparse
import json
import os
import shutil
import signal
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.append(os.path.join(ROOT, "tests", "real", "ecosystem"))

import hand as ecosystem  # noqa: E402
from postgres import Missing, Postgres  # noqa: E402
from worker import Worker  # noqa: E402

DEBEZIUM = os.path.join(ecosystem.CACHE, "debezium")
TOPIC = "cdc.public.users"
GOAL_MS = 100
SNAPSHOT, WARM, UPDATES, DELETES = 10, 50, 50, 25
INSERT_MS, CHANGE_MS = 50, 20
EVENT_SECONDS = 60
JSON = "org.apache.kafka.connect.json.JsonConverter"
INTERNAL = ("connect_configs", "connect_offsets", "connect_statuses")


def now_us():
    return time.time_ns() // 1000


class Event:
    """A record of the topic as the consumer saw it."""

    def __init__(self, arrived_us, key, value):
        self.arrived_us = int(arrived_us)
        self.id = json.loads(key)["id"]
        self.value = json.loads(value)

    @property
    def op(self):
        return self.value["op"] if self.value else "tombstone"

    @property
    def took_ms(self):
        return (self.arrived_us - self.value["after"]["said_us"]) / 1000


    @property
    def after_debezium_ms(self):
        return (self.arrived_us - self.value["ts_us"]) / 1000


def percentiles(times):
    """In words, and by their numbers."""
    took = sorted(times)
    found = {p: took[min(len(took) - 1, int(len(took) * p / 100))] for p in (50, 95, 99)}
    return ", ".join(f"p{p} {ms:.1f} ms" for p, ms in found.items()) + f", max {took[-1]:.1f} ms", found


class Consumer:
    """Reads the topic from the moment when it is ready, in the background."""

    def __init__(self, program, count):
        self.program, self.events = program, []
        program.begin("tail", TOPIC, count)
        program.until("ready")
        self.thread = threading.Thread(target=self.read, args=(count,), daemon=True)
        self.thread.start()

    def read(self, count):
        for _ in range(count):
            self.events.append(Event(*self.program.line(600).split("\t", 2)))

    def wait(self):
        self.thread.join(EVENT_SECONDS)
        if self.thread.is_alive():
            raise TimeoutError(f"only {len(self.events)} events came within {EVENT_SECONDS} s")
        return self.events


class Demo:
    def __init__(self, options, folder):
        self.options, self.folder = options, folder
        self.postgres = self.broker = self.worker = self.hand = self.eye = None
        self.count = self.failed = self.next_id = 0

    def good(self, condition, text):
        self.count += 1
        self.failed += not condition
        print(f"{'ok' if condition else 'not ok'} {self.count} - {text}", flush=True)

    def start(self):
        self.postgres = Postgres(ecosystem.new_port()).start()
        self.postgres.say("create table users (id int primary key, name text not null, said_us bigint not null)")
        self.insert(SNAPSHOT)
        kind = ecosystem.Kafka if self.options.broker == "kafka" else ecosystem.FluxMQ
        place = os.path.join(self.folder, "broker")
        os.makedirs(place)
        self.broker = kind(place, ecosystem.new_port(), binary=self.options.bin,
                           settings={"group.initial.rebalance.delay.ms": 0, "num.partitions": 3}).start()
        address = f"127.0.0.1:{self.broker.port}"
        jars = [os.path.join(DEBEZIUM, name) for name in sorted(os.listdir(DEBEZIUM))
                if not os.path.exists(os.path.join(ecosystem.LIBS, name))]
        self.worker = Worker(self.folder, "connect", address, plugins=jars, settings={
            "key.converter": JSON, "value.converter": JSON,
            "key.converter.schemas.enable": "false", "value.converter.schemas.enable": "false"})
        self.hand, self.eye = (ecosystem.Hand(self.folder, address, name) for name in ("consumer", "eye"))
        self.worker.ready()
        self.worker.patient("PUT", "/connectors/users/config", self.connector())
        self.worker.reaches("users", "RUNNING")

    def connector(self):
        return {"connector.class": "io.debezium.connector.postgresql.PostgresConnector", "tasks.max": "1",
                "plugin.name": "pgoutput", "publication.autocreate.mode": "filtered",
                "database.hostname": "127.0.0.1", "database.port": str(self.postgres.port),
                "database.user": "postgres", "database.dbname": "shop", "topic.prefix": "cdc",
                "table.include.list": "public.users", "poll.interval.ms": "5"}

    def insert(self, count, every_ms=0):
        """Rows with the next numbers, one statement and one transaction each, at their times."""
        begin = time.monotonic()
        for i in range(count):
            time.sleep(max(0, begin + i * every_ms / 1000 - time.monotonic()))
            self.next_id += 1
            self.postgres.say(f"insert into users values ({self.next_id}, 'user {self.next_id}', {now_us()})")

    def change(self, statement, ids):
        for one in ids:
            time.sleep(CHANGE_MS / 1000)
            self.postgres.say(statement.format(id=one, now=now_us()))

    def rows(self):
        """The topic, as what each event says of its row, in order."""
        return [(json.loads(row[3])["id"], json.loads(row[4])) for row in self.eye("read", TOPIC, "read_committed")]

    def replayed(self):
        """What one has who follows the topic: it must be the table."""
        table = {}
        for key, value in self.rows():
            if value and value["after"]:
                table[key] = value["after"]["name"]
            else:
                table.pop(key, None)
        return table

    def same_as_table(self):
        wanted = {int(key): name for key, name in self.postgres.ask("select id, name from users")}
        try:
            ecosystem.wait_until(lambda: self.replayed() == wanted, EVENT_SECONDS, "the table")
        except TimeoutError:
            return False
        return True

    def snapshot(self):
        ecosystem.wait_until(lambda: TOPIC in dict(self.eye("topics")) and len(self.rows()) >= SNAPSHOT,
                             EVENT_SECONDS, "the snapshot")
        rows = self.rows()
        self.good(sorted(key for key, _ in rows) == list(range(1, SNAPSHOT + 1))
                  and all(value["op"] == "r" for _, value in rows), f"snapshot: {SNAPSHOT} rows that were there before")
        policies = {name: self.eye.config(name).get("cleanup.policy") for name in INTERNAL}
        self.good(set(policies.values()) == {"compact"}, f"Connect's own topics are compacted: {', '.join(INTERNAL)}")
        warm = Consumer(self.hand, WARM)
        self.insert(WARM, CHANGE_MS)
        warm.wait()
        self.hand.until(".")

    def changes(self):
        """Inserts, updates, deletes; the events that came of them."""
        first, count = self.next_id + 1, self.options.inserts
        updates, deletes = min(UPDATES, count), min(DELETES, count)
        consumer = Consumer(self.hand, count + updates + 2 * deletes)
        self.insert(count, INSERT_MS)
        self.change("update users set name = 'renamed {id}', said_us = {now} where id = {id}",
                    range(first, first + updates))
        self.change("delete from users where id = {id}", range(first, first + deletes))
        events = consumer.wait()
        self.hand.until(".")
        ids = list(range(first, first + count))

        def of(*ops):
            return sorted(event.id for event in events if event.op in ops)

        self.good(of("c") == ids, f"{count} inserts, one each {INSERT_MS} ms: each came once, with its key")
        self.good(all(event.value["after"]["name"] == f"user {event.id}" for event in events if event.op == "c"),
                  "their values are the rows'")
        self.good(of("u") == ids[:updates] and all(
            event.value["after"]["name"] == f"renamed {event.id}" for event in events if event.op == "u"),
                  f"{updates} updates: each came once, with the new value")
        self.good(of("d") == of("tombstone") == ids[:deletes],
                  f"{deletes} deletes: each came once, and a tombstone for each")
        story = ["c", "u", "d", "tombstone"]
        told = {one: [event.op for event in events if event.id == one] for one in ids[:deletes]}
        self.good(all(ops == story for ops in told.values()), "the events of a row are in order")
        self.good(self.same_as_table(), "the topic from its begin gives the table")
        return events

    def kill(self):
        """The broker is killed; what was changed meanwhile comes, at least once."""
        self.insert(20, CHANGE_MS)
        self.broker.kill()
        self.insert(20, CHANGE_MS)
        self.broker.start()
        self.insert(20, CHANGE_MS)
        self.worker.reaches("users", "RUNNING")
        self.good(self.same_as_table(), "after the broker was killed, the topic from its begin gives the table")

    def times(self, events):
        for name, op in (("insert", "c"), ("update", "u")):
            chosen = [event for event in events if event.op == op]
            told, whole = percentiles([event.took_ms for event in chosen])
            print(f"# {name} to consumer: {told} ({len(chosen)} events)", flush=True)
            print(f"#   of that, after Debezium had it (Connect, broker, consumer): "
                  f"{percentiles([event.after_debezium_ms for event in chosen])[0]}", flush=True)
            if op == "c" and not self.options.no_goal:
                self.good(whole[99] < GOAL_MS, f"p99 of inserts, {whole[99]:.1f} ms, is under {GOAL_MS} ms")
        load, cores = os.getloadavg()[0], os.cpu_count()
        if load > cores:
            print(f"# the machine was busy: load {load:.1f} on {cores} cores", flush=True)

    def run(self):
        self.start()
        self.snapshot()
        events = self.changes()
        self.times(events)
        if self.options.kill:
            self.kill()

    def close(self):
        for program in (self.worker, self.hand, self.eye):
            if program:
                program.kill()
        if self.broker:
            self.broker.close()
        if self.postgres:
            self.postgres.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--bin", default=os.path.join(ROOT, "build/fluxmq"))
    parser.add_argument("--broker", choices=["fluxmq", "kafka"], default="fluxmq")
    parser.add_argument("--inserts", type=int, default=100)
    parser.add_argument("--kill", action="store_true", help="kill the broker in the middle, too")
    parser.add_argument("--no-goal", action="store_true", help="show the times without judging them")
    parser.add_argument("--keep", action="store_true", help="keep the broker's data and the logs")
    options = parser.parse_args()
    folder = tempfile.mkdtemp(prefix="fluxmq-cdc-")
    ecosystem.compile_classes()
    demo = Demo(options, folder)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that all that was started ends
    try:
        demo.run()
    except Missing as why:
        print(f"ok 1 - suite # SKIP {why}")
        demo.count = 1
    except Exception as problem:  # pylint: disable=broad-except
        demo.good(False, repr(problem))
    finally:
        demo.close()
        if options.keep or demo.failed:
            print(f"# data and logs are in {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    print(f"1..{demo.count}")
    sys.exit(1 if demo.failed else 0)


if __name__ == "__main__":
    main()
