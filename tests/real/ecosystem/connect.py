# SPDX-License-Identifier: MIT
"""Kafka Connect, distributed: a file, line by line exactly once into a topic, and from there into a file."""

import collections
import os
import threading
import time

from hand import equal, run_suite, wait_until
from worker import Refused, Worker

TOPIC = "lines"
SECONDS = 120
PIECE, PIECE_SECONDS = 100, 0.02
BATCH = "1000000"  # a smaller batch that is full leaves lines in the connector until the file grows again
INTERNAL = {"connect_configs": 1, "connect_offsets": 5, "connect_statuses": 5}


class Lines:
    """Two workers; "source" reads in.txt into the topic, sinks write it to files."""

    def __init__(self, suite):
        self.suite = suite
        self.broker = suite.broker()
        self.hand = suite.hand(self.broker)
        self.workers = {}
        self.source_file = os.path.join(suite.folder, "in.txt")
        self.written = 0

    def start(self, name):
        worker = Worker(self.suite.folder, name, f"127.0.0.1:{self.broker.port}",
                        settings={"exactly.once.source.support": "enabled", "session.timeout.ms": 6000,
                                  "heartbeat.interval.ms": 500})
        self.workers[name] = self.suite.own(worker)
        return worker

    @property
    def one(self):
        return next(iter(self.workers.values()))

    def begin(self):
        self.start("worker-1")
        self.start("worker-2")
        for worker in self.workers.values():
            equal("4.3.1", worker.ready()["version"], "version")
            equal([], worker.patient("GET", "/connectors"), "connectors")

    def internal(self):
        topics = dict(self.hand("topics"))
        for name, partitions in INTERNAL.items():
            equal(str(partitions), topics.get(name), "partitions of " + name)
            equal("compact", self.hand.config(name).get("cleanup.policy"), "cleanup.policy of " + name)

    def write(self, count):
        """Appends lines to the file of the source, in pieces, so that there are many transactions."""
        first, self.written = self.written, self.written + count
        with open(self.source_file, "a", encoding="utf-8") as out:
            for number in range(first, first + count):
                out.write(f"line {number} of the file\n")
                if number % PIECE == PIECE - 1:
                    out.flush()
                    time.sleep(PIECE_SECONDS)

    def begin_write(self, count):
        """The same in the background; returns what waits for its end."""
        thread = threading.Thread(target=self.write, args=(count,))
        thread.start()
        return thread.join

    def lines(self):
        return [f"line {number} of the file" for number in range(self.written)]

    def create_source(self):
        self.hand("topic", TOPIC, 1)
        self.write(2000)
        made = self.one.patient("POST", "/connectors", {"name": "source", "config": {
            "connector.class": "org.apache.kafka.connect.file.FileStreamSourceConnector", "tasks.max": "1",
            "file": self.source_file, "topic": TOPIC, "batch.size": BATCH, "exactly.once.support": "required"}})
        equal("source", made["name"], "the answer")
        self.one.reaches("source", "RUNNING")
        self.in_topic()

    def sink_file(self, name):
        return os.path.join(self.suite.folder, name + ".txt")

    def create_sink(self, name):
        self.one.patient("PUT", f"/connectors/{name}/config", {
            "connector.class": "org.apache.kafka.connect.file.FileStreamSinkConnector", "tasks.max": "1",
            "file": self.sink_file(name), "topics": TOPIC,
            "consumer.override.isolation.level": "read_committed",
            # So long nobody reads for a consumer that went without a word.
            "consumer.override.session.timeout.ms": "6000", "consumer.override.heartbeat.interval.ms": "500"})
        self.one.reaches(name, "RUNNING")
        self.in_file(name)

    def in_topic(self):
        """All lines, in order and once, for who reads what is committed."""
        wait_until(lambda: len(self.hand.values(TOPIC)) >= self.written or self.restart_failed(), SECONDS,
                   "the lines in the topic")
        equal(self.lines(), self.hand.values(TOPIC), "lines in the topic")

    def file_lines(self, name):
        if not os.path.exists(self.sink_file(name)):
            return []
        with open(self.sink_file(name), encoding="utf-8") as file:
            return file.read().splitlines()

    def in_file(self, name):
        wait_until(lambda: len(self.file_lines(name)) >= self.written, SECONDS, "the lines in the file")
        equal(self.lines(), self.file_lines(name), "lines in the file")

    def in_file_at_least_once(self, name):
        """A sink that is killed may write again what it had not yet committed, in order."""
        wait_until(lambda: self.lines()[-1] in self.file_lines(name) or self.restart_failed(), SECONDS,
                   "the last line in the file")
        equal(self.lines(), list(collections.OrderedDict.fromkeys(self.file_lines(name))), "lines in the file")

    def pause(self):
        self.one.patient("PUT", "/connectors/source/pause")
        self.one.reaches("source", "PAUSED")
        before = len(self.hand.values(TOPIC))
        self.write(500)
        self.one.patient("PUT", "/connectors/sink/pause")
        self.one.reaches("sink", "PAUSED")
        equal(before, len(self.hand.values(TOPIC)), "lines while it is paused")
        self.one.patient("PUT", "/connectors/source/resume")
        self.one.patient("PUT", "/connectors/sink/resume")
        self.one.reaches("source", "RUNNING")
        self.in_topic()
        self.in_file("sink")

    def restart_failed(self):
        """By REST, as an operator would: a task may fail some time after what it fails of."""
        for name in self.one.patient("GET", "/connectors"):
            if "FAILED" in self.one.state(name):
                self.one.patient("POST", f"/connectors/{name}/restart?includeTasks=true&onlyFailed=true")

    def settle(self):
        """What failed is restarted; then everything runs."""
        self.restart_failed()
        for name in self.one.patient("GET", "/connectors"):
            self.one.reaches(name, "RUNNING")

    def kill_broker(self):
        before = self.written
        written = self.begin_write(5000)
        wait_until(lambda: len(self.hand.values(TOPIC)) > before, SECONDS, "lines on their way")
        self.broker.kill()
        self.broker.start()
        written()
        self.settle()
        self.write(500)
        self.in_topic()
        self.in_file_at_least_once("sink")

    def kill_worker(self):
        owner = self.one.ask("GET", "/connectors/source/status")["tasks"][0]["worker_id"]
        name = next(name for name, worker in self.workers.items() if owner.endswith(f":{worker.port}"))
        before = self.written
        written = self.begin_write(3000)
        wait_until(lambda: len(self.hand.values(TOPIC)) > before, SECONDS, "lines on their way")
        self.workers.pop(name).kill()
        written()
        wait_until(lambda: self.one.state("source") and self.one.ask("GET", "/connectors/source/status")
                   ["tasks"][0]["worker_id"] != owner, SECONDS, "the task has moved")
        self.settle()
        self.in_topic()
        self.in_file_at_least_once("sink")

    def offsets(self):
        """Offsets are shown, changed and deleted while a connector is stopped (KIP-875)."""
        read = self.one.ask("GET", "/connectors/source/offsets")["offsets"]
        equal([{"filename": self.source_file}], [row["partition"] for row in read], "offsets of the source")
        equal(os.path.getsize(self.source_file), read[0]["offset"]["position"], "position of the source")
        self.one.patient("PUT", "/connectors/sink/stop")
        self.one.reaches("sink", "STOPPED", tasks=0)
        rows = self.one.ask("GET", "/connectors/sink/offsets")["offsets"]
        equal([{"kafka_topic": TOPIC, "kafka_partition": 0}], [row["partition"] for row in rows], "of the sink")
        rows[0]["offset"]["kafka_offset"] = 10
        self.one.patient("PATCH", "/connectors/sink/offsets", {"offsets": rows})
        equal([[TOPIC, "0", "10"]], self.hand("committed", "connect-sink"), "changed offset")
        self.one.patient("DELETE", "/connectors/sink/offsets")
        equal([], self.hand("committed", "connect-sink"), "offsets after they were deleted")
        os.remove(self.sink_file("sink"))
        self.one.patient("PUT", "/connectors/sink/resume")
        self.one.reaches("sink", "RUNNING")
        self.in_file("sink")

    def delete(self):
        for name in ("source", "sink", "later"):
            self.one.patient("DELETE", f"/connectors/{name}")
        wait_until(lambda: self.one.patient("GET", "/connectors") == [], SECONDS, "no connector is left")
        try:
            self.one.ask("GET", "/connectors/source/status")
        except Refused as refused:
            equal(404, refused.status, "status of a connector that was deleted")


def body(suite):
    lines = Lines(suite)
    suite.case("two workers start", lines.begin)
    suite.case("internal topics are compacted", lines.internal)
    suite.case("a source is created: the topic has the lines", lines.create_source)
    suite.case("a sink is created: the file has the lines", lines.create_sink, "sink")
    suite.case("paused and resumed", lines.pause)
    suite.case("the broker is killed and comes back", lines.kill_broker)
    suite.case("a worker is killed: the other one takes its tasks", lines.kill_worker)
    suite.case("a sink created later has every line once", lines.create_sink, "later")
    suite.case("offsets are shown, changed and deleted", lines.offsets)
    suite.case("connectors are deleted", lines.delete)


def connect(run):
    run_suite(run, "connect", body)
