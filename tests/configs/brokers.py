#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Every setting of brokers that Kafka has: described as Kafka does, refused where Kafka refuses, changed and obeyed.

brokers.py [--bin FILE] [--kafka] [--record] [name...]

One case for each row of tests/data/broker-configs.tsv, which --record makes from a real Kafka: what it is, and the
error codes that changes get, each tried without being done (`TRIES`), of this broker and of the cluster's default.
--kafka: the same against a real Kafka, but for what only ours has.
"""

import argparse
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "harness")]

from broker import DEFAULT_BIN, ROOT, FluxMQ, Kafka, wait_until  # noqa: E402
from client import Client, Lost, Refused, batch, crc32c  # noqa: E402
from tap import Tap  # noqa: E402

TABLE = os.path.join(ROOT, "tests", "data", "broker-configs.tsv")
COLUMNS = ("name", "type", "read_only", "sensitive", "default", "of_the_broker", "of_the_cluster")
BROKER, NODE = 4, "1"
FROM_BROKER, FROM_CLUSTER, STATIC, DEFAULT = 2, 3, 4, 5
SET, DELETE, APPEND = 0, 1, 2
TOO_LARGE, INVALID_CONFIG, INVALID_REQUEST = 10, 40, 42
KEPT = "It is kept and shown, and changes nothing here."
FITS = {1: "true", 2: "x", 3: "7", 4: "7", 5: "7", 6: "0.5", 7: "a", 8: "x.Y", 9: "secret"}
FITS_NOT = {1: "maybe", 3: "many", 4: "many", 5: "many", 6: "half"}
# Ours has another default, or none is possible.
OWN_DEFAULT = {"max.connections": "10000", "num.partitions": "3", "offsets.topic.replication.factor": "1",
               "transaction.state.log.replication.factor": "1", "transaction.state.log.min.isr": "1"}
# Kafka fails over its own default, which is null.
KAFKA_FAILS = {("process.roles", "append"), ("controller.listener.names", "append")}
# Where a changed value is obeyed: a test of its own. Defaults of topics: `topic_defaults`, and tests/configs/run.py.
ELSEWHERE = {
    "log.cleaner.backoff.ms": ("src/broker/clean.c", "cleaner_backoff_ms"),
    "log.cleaner.io.max.bytes.per.second": ("src/broker/clean.c", "cleaner_bytes_per_second"),
    "log.cleaner.io.buffer.load.factor": ("src/broker/clean.c", "cleaner_key_load"),
    "log.cleaner.dedupe.buffer.size": ("src/broker/clean.c", "cleaner_key_bytes"),
}


def tries(one):
    """(name, operation, value): the value it has, one of its type, none, a negative one, no value, one more."""
    kind = one["configType"]
    return (("same", SET, one["value"] or "x"), ("fits", SET, FITS[kind]), ("not", SET, FITS_NOT.get(kind, "")),
            ("negative", SET, "-5"), ("delete", DELETE, None), ("append", APPEND, "7"))


class World:
    def __init__(self, options):
        self.real = options.kafka or options.record
        settings = {"log.retention.check.interval.ms": 300}
        self.broker = Kafka() if self.real else FluxMQ(binary=options.bin, options=["--broker-id", NODE],
                                                       settings=settings)
        self.broker.start()
        self.client = Client(self.broker.port, 30)

    def alter(self, resource, name, value, operation=SET, validate=False):
        answer = self.client.call("IncrementalAlterConfigs", 1, {"validateOnly": validate, "resources": [{
            "resourceType": BROKER, "resourceName": resource,
            "configs": [{"name": name, "configOperation": operation, "value": value}]}]})
        return answer["responses"][0]["errorCode"]

    def described(self, keys=None, resource=NODE):
        answer = self.client.call("DescribeConfigs", 4, {
            "resources": [{"resourceType": BROKER, "resourceName": resource, "configurationKeys": keys}],
            "includeSynonyms": True, "includeDocumentation": True})
        return answer["results"][0]["configs"]

    def codes(self, one, resource):
        return {name: self.alter(resource, one["name"], value, operation, True)
                for name, operation, value in tries(one)}


def default_of(one):
    found = [s["value"] for s in one["synonyms"] if s["source"] == DEFAULT]
    return "null" if not found or found[0] is None else '""' if found[0] == "" else found[0]


def written(codes):
    return ",".join(f"{name}:{code}" for name, code in codes.items() if code)


def row_of(w, one):
    return (one["name"], str(one["configType"]), "ny"[one["readOnly"]], "ny"[one["isSensitive"]], default_of(one),
            written(w.codes(one, NODE)) or "-", written(w.codes(one, "")) or "-")


def table():
    with open(TABLE, encoding="utf-8") as file:
        assert file.readline().strip() == "#" + "\t".join(COLUMNS)
        return [dict(zip(COLUMNS, line.rstrip("\n").split("\t"))) for line in file]


def record(w):
    rows = sorted(row_of(w, one) for one in w.described())
    with open(TABLE, "w", encoding="utf-8") as file:
        file.write("#" + "\t".join(COLUMNS) + "\n")
        file.writelines("\t".join(row) + "\n" for row in rows)
    print(len(rows), "settings recorded")


def without(codes, name):
    """What the table says, but for what is known to differ."""
    return [c for c in codes.split(",") if (name, c.split(":")[0]) not in KAFKA_FAILS]


def one_setting(w, row):
    name = row["name"]
    one, = w.described([name])
    got = dict(zip(COLUMNS, row_of(w, one)))
    wanted = dict(row, default=OWN_DEFAULT.get(name, row["default"]) if not w.real else row["default"])
    for column in COLUMNS[:5]:
        assert got[column] == wanted[column], (column, got[column], wanted[column])
    for column in COLUMNS[5:]:
        assert without(got[column], name) == without(wanted[column], name), (column, got[column], wanted[column])
    assert one["documentation"]
    if one["configSource"] == DEFAULT:
        assert one["value"] == {"null": None, '""': ""}.get(wanted["default"], wanted["default"]), one
    if row["read_only"] == "n":
        changed(w, one, row)
    if row["read_only"] == "n" and not w.real:
        accounted_for(one)


def changed(w, before, row):
    """What may be changed is: shown with its source, for this broker and for all, and gone again."""
    name = before["name"]
    for resource, codes, source in ((NODE, row["of_the_broker"], FROM_BROKER), ("", row["of_the_cluster"],
                                                                               FROM_CLUSTER)):
        if "fits:" in codes or name == "min.insync.replicas":
            continue
        value = FITS[before["configType"]]
        assert w.alter(resource, name, value) == 0
        shown = value if row["sensitive"] == "n" else None

        def seen(shown=shown, source=source):
            one, = w.described([name])
            return (one["value"], one["configSource"], one["synonyms"][0]["source"]) == (shown, source, source)
        wait_until(seen, 5, f"{name}={value} of {resource or 'the cluster'}")
        assert w.alter(resource, name, None, DELETE) == 0
        wait_until(lambda: w.described([name]) == [before], 5, f"{name} as it was")


def accounted_for(one):
    """It is obeyed, with a test, or says that it is not."""
    name = one["name"]
    if name in ELSEWHERE:
        path, word = ELSEWHERE[name]
        with open(os.path.join(ROOT, path), encoding="utf-8") as file:
            assert word in file.read(), f"no {word} in {path}"
        return
    topics = one["documentation"].startswith("Default for topics")
    words = ("at the start", "at the next start")
    fixed = name in ("listeners", "listener.security.protocol.map") or any(w in one["documentation"] for w in words)
    assert topics or fixed or (one["documentation"] == KEPT) != (name in OBEYED), one["documentation"]


# ---- obeyed while the broker runs


def limits(name):
    def check(w):
        assert w.alter(NODE, name, "2") == 0

        def full():
            others = []
            try:
                for _ in range(2):
                    others.append(Client(w.broker.port))
                    others[-1].call("ApiVersions", 0, {})
                return False
            except (Lost, OSError):
                return True
            finally:
                for other in others:
                    other.close()
        wait_until(full, 10, "a connection too many is closed")
        assert w.alter(NODE, name, None, DELETE) == 0
        wait_until(lambda: not full(), 10, "and welcome again")
    return check


def producers_expire(w):
    """How long a silent producer is remembered."""
    w.client.create_topic("expiry", 1)
    pid, epoch = w.client.producer_id()
    w.client.produce("expiry", 0, batch([b"x"], pid, epoch, 0, timestamp=1000))

    def known():
        answer = w.client.call("DescribeProducers", 0, {"topics": [{"name": "expiry", "partitionIndexes": [0]}]})
        return [p["producerId"] for p in answer["topics"][0]["partitions"][0]["activeProducers"]]
    assert known() == [pid]
    assert w.alter("", "producer.id.expiration.ms", "1") == 0
    wait_until(lambda: known() == [], 20, "the producer is forgotten")
    assert w.alter("", "producer.id.expiration.ms", None, DELETE) == 0


def verification(w):
    """Batches of transactions in partitions that were not added to them."""
    w.client.create_topic("verified", 1)
    transactional = bytearray(batch([b"x"], 4242, 0, 0))
    transactional[22] |= 16
    body = bytes(transactional[21:])
    transactional[17:21] = crc32c(body).to_bytes(4, "big")

    def code():
        answer = w.client.call("Produce", 11, {
            "transactionalId": "nobody", "acks": -1, "timeoutMs": 5000, "topicData": [
                {"name": "verified", "partitionData": [{"index": 0, "records": bytes(transactional)}]}]})
        return answer["responses"][0]["partitionResponses"][0]["errorCode"]
    assert code() != 0
    assert w.alter("", "transaction.partition.verification.enable", "false") == 0
    wait_until(lambda: code() == 0, 10, "nobody asks")
    assert w.alter("", "transaction.partition.verification.enable", None, DELETE) == 0


OBEYED = {
    "max.connections": limits("max.connections"), "max.connections.per.ip": limits("max.connections.per.ip"),
    "producer.id.expiration.ms": producers_expire, "transaction.partition.verification.enable": verification,
}


def topic_defaults(w):
    """A topic follows what the cluster's default says, at once."""
    w.client.create_topic("follows", 1)
    assert w.alter("", "message.max.bytes", "2000") == 0

    def code():
        try:
            return w.client.produce("follows", 0, batch([bytes(5000)]))
        except Refused as refused:
            return -refused.code
    wait_until(lambda: code() == -TOO_LARGE, 10, "the limit")
    assert w.alter("", "message.max.bytes", None, DELETE) == 0
    wait_until(lambda: code() >= 0, 10, "the default again")


def all_described(w):
    assert sorted(one["name"] for one in w.described()) == [row["name"] for row in table()]


def ids(w):
    """One id under both names; the log directory from the root on."""
    if not w.real:
        for name in ("node.id", "broker.id"):
            one, = w.described([name])
            assert (one["value"], one["configSource"]) == (NODE, STATIC), one
    answer = w.client.call("DescribeLogDirs", 4, {"topics": None})
    assert [r["logDir"] for r in answer["results"]] == [w.broker.data]


def relative_dir(w):
    """Given from where the program stands, told from the root on."""
    other = FluxMQ(binary=w.broker.binary, wrap=["env", "--chdir", w.broker.folder])
    other.data = "./some//./where/"
    os.makedirs(os.path.join(w.broker.folder, "some"))
    try:
        other.start()
        client = Client(other.port)
        answer = client.call("DescribeLogDirs", 4, {"topics": None})
        assert [r["logDir"] for r in answer["results"]] == [os.path.join(w.broker.folder, "some", "where")]
        for name in ("node.id", "broker.id"):
            answer = client.call("DescribeConfigs", 4, {"resources": [{
                "resourceType": BROKER, "resourceName": "0", "configurationKeys": [name]}]})
            assert answer["results"][0]["configs"][0]["value"] == "0"
        client.close()
        other.end_well()
    finally:
        other.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--bin", default=DEFAULT_BIN)
    parser.add_argument("--kafka", action="store_true")
    parser.add_argument("--record", action="store_true")
    parser.add_argument("name", nargs="*")
    options = parser.parse_args()
    tap, w = Tap(), World(options)
    try:
        if options.record:
            record(w)
            return
        tap.run("a broker shows Kafka's settings, and no others", all_described, w)
        tap.run("ids and directories", ids, w)
        for row in table():
            if not options.name or row["name"] in options.name:
                tap.run(row["name"], one_setting, w, row)
        tap.run("defaults of topics", topic_defaults, w)
        for name, check in OBEYED.items():
            if (not options.name or name in options.name) and not w.real:
                tap.run(f"{name}, obeyed", check, w)
        if not w.real:
            tap.run("a relative directory", relative_dir, w)
            tap.run("the broker stops, and has nothing to complain about", w.broker.end_well)
    finally:
        w.broker.close()
    tap.finish()


if __name__ == "__main__":
    main()
