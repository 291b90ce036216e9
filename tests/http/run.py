#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The HTTP port of a running broker: do its figures say what really happened?

run.py [--bin FILE]
"""

import argparse
import json
import os
import re
import sys
import urllib.error
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "harness")]

from broker import DEFAULT_BIN, ROOT, FluxMQ, free_port, wait_until  # noqa: E402
from client import Client, batch  # noqa: E402
from tap import Tap  # noqa: E402
import door  # noqa: E402

RECORDS, COMMITTED = 40, 25


class World:
    def __init__(self, binary):
        self.http, self.nats = self.free_ports(2)
        self.broker = FluxMQ(binary=binary, options=("--metrics-port", str(self.http),
                                                     "--nats-port", str(self.nats))).start()
        self.client = Client(self.broker.port)

    def free_ports(self, count):
        ports = []
        while len(ports) < count:
            ports.append(free_port(22000, 22999, but=ports))
        return ports

    def get(self, path, port=None):
        """(status, body)"""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port or self.http}{path}", timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as problem:
            return problem.code, problem.read().decode()
        except urllib.error.URLError:  # not listening yet
            return 0, ""

    def value(self, name):
        """A sample of /metrics, labels and all in its name."""
        for line in self.get("/metrics")[1].split("\n"):
            if line.startswith(name + " "):
                return float(line.rsplit(" ", 1)[1])
        raise KeyError(name)


def ready(w):
    wait_until(lambda: w.get("/health/ready")[0] == 200, 10, "/health/ready")
    assert w.get("/health/live")[0] == 200
    status = json.loads(w.get("/status")[1])
    assert status["broker_id"] == 0 and len(status["cluster_id"]) == 22, status


def counts(w):
    w.client.create_topic("seen", 2)
    before = w.value("fluxmq_requests_total")
    for number in range(4):
        w.client.produce("seen", 1, batch([b"value"] * (RECORDS // 4)))
        assert w.value("fluxmq_requests_total") == before + number + 1
    assert w.value("fluxmq_messages_produced_total") == RECORDS
    assert w.value("fluxmq_topics_total") == 1
    assert w.value("fluxmq_partitions_total") == 2
    assert w.value("fluxmq_storage_messages_total") == RECORDS
    # The connection by which the start was noticed may still count.
    wait_until(lambda: w.value("fluxmq_connections_active") == 1, 5, "one connection")
    more = Client(w.broker.port)
    wait_until(lambda: w.value("fluxmq_connections_active") == 2, 5, "a second connection")
    more.close()
    wait_until(lambda: w.value("fluxmq_connections_active") == 1, 5, "its end")
    sizes = [os.path.getsize(os.path.join(w.broker.data, f"seen-{p}", "0" * 20 + ".log")) for p in range(2)]
    assert w.value("fluxmq_storage_bytes_total") == sum(sizes), sizes
    real = w.broker.status("VmRSS") * 1024
    assert abs(w.value("fluxmq_memory_usage_bytes") - real) < 1 << 20


def consumes(w):
    """What was read is counted when the reader goes on behind it, without a fetch session too."""
    assert w.value("fluxmq_messages_consumed_total") == 0
    w.client.fetch("seen", {1: 0})
    w.client.fetch("seen", {1: RECORDS})
    assert w.value("fluxmq_messages_consumed_total") == RECORDS
    w.client.fetch("seen", {1: 5})
    assert w.value("fluxmq_messages_consumed_total") == RECORDS


def commit(group="readers", topic="seen", partitions=(1,)):
    return {"groupId": group, "generationIdOrMemberEpoch": -1, "memberId": "", "groupInstanceId": None,
            "topics": [{"name": topic, "partitions": [
                {"partitionIndex": p, "committedOffset": COMMITTED, "committedLeaderEpoch": -1,
                 "committedMetadata": ""} for p in partitions]}]}


def groups(w):
    assert json.loads(w.get("/consumer-groups")[1]) == {"consumer_groups": []}
    assert w.get("/consumer-groups/readers")[0] == 404

    def done():
        w.client.call("FindCoordinator", 1, {"key": "readers", "keyType": 0})
        answer = w.client.call("OffsetCommit", 7, commit())
        return answer["topics"][0]["partitions"][0]["errorCode"] == 0
    wait_until(done, 10, "a committed offset")
    listed = json.loads(w.get("/consumer-groups")[1])["consumer_groups"]
    assert [(g["group_id"], g["lag"], g["member_count"]) for g in listed] == \
        [("readers", RECORDS - COMMITTED, 0)], listed
    one = json.loads(w.get("/consumer-groups/readers")[1])
    assert one["offsets"] == [{"topic": "seen", "partition": 1, "committed_offset": COMMITTED,
                               "end_offset": RECORDS, "lag": RECORDS - COMMITTED}], one
    assert w.value('fluxmq_consumer_group_lag{group="readers"}') == RECORDS - COMMITTED
    assert w.value("fluxmq_consumer_groups_active") == 1
    w.client.produce("seen", 1, batch([b"more"]))
    assert w.value('fluxmq_consumer_group_lag{group="readers"}') == RECORDS - COMMITTED + 1


def many_offsets(w):
    """More than fit into the page's memory: it is there all the same, and its sums are those of all."""
    wide, count, name = 9000, 12, "a-name-that-takes-memory-" * 9
    w.client.create_topic(name, wide, {"storage.class": "memory"})
    groups_wide = [f"wide{number}" for number in range(count)]
    for group in groups_wide:
        w.client.call("FindCoordinator", 1, {"key": group, "keyType": 0})
        answer = w.client.call("OffsetCommit", 7, commit(group, name, range(wide)))
        assert {p["errorCode"] for p in answer["topics"][0]["partitions"]} == {0}
        w.client.call("OffsetCommit", 7, commit(group))
    assert w.value("fluxmq_consumer_groups_active") == 1 + count
    for group in groups_wide:
        assert w.value(f'fluxmq_consumer_group_lag{{group="{group}"}}') == RECORDS - COMMITTED + 1
    one = json.loads(w.get(f"/consumer-groups/{group}")[1])
    assert (one["offsets_total"], one["lag"]) == (wide + 1, RECORDS - COMMITTED + 1), one["offsets_total"]
    assert len(one["offsets"]) == 5000, len(one["offsets"])
    w.client.call("DeleteGroups", 1, {"groupsNames": groups_wide})
    w.client.call("DeleteTopics", 4, {"topicNames": [name], "timeoutMs": 10000})
    assert w.value("fluxmq_consumer_groups_active") == 1


def same_in_json(w):
    figures = json.loads(w.get("/metrics/json")[1])
    assert figures["throughput"]["produced_total"] == w.value("fluxmq_messages_produced_total")
    assert figures["consumer_groups"]["active"] == 1
    assert figures["broker"]["connections"] == 1
    assert set(figures) == {"timestamp", "throughput", "storage", "broker", "consumer_groups", "system"}


def described(w):
    with open(os.path.join(ROOT, "docs", "METRICS.md"), encoding="utf-8") as file:
        known = set(re.findall(r"^\| `(\w+)` \|", file.read(), re.M))
    shown = set(re.findall(r"^# TYPE (\w+) ", w.get("/metrics")[1], re.M))
    assert shown == known, shown ^ known


def door_pages(w):
    w.taker = door.pages(w)


def door_like(w):
    door.like_the_real_one(w, w.taker)


def door_top(w):
    door.nats_top(w, w.taker)


def stops(w):
    w.client.close()
    assert w.broker.stop() == 0


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--bin", default=DEFAULT_BIN)
    tap, world = Tap(), World(options.parse_args().bin)
    try:
        for name, case in (("health and status", ready), ("counters and what is stored", counts),
                           ("records consumed", consumes),
                           ("groups, their offsets and lag", groups), ("more offsets than fit a page", many_offsets),
                           ("the same as JSON", same_in_json),
                           ("METRICS.md has every metric, and no other", described),
                           ("the NATS door's pages and metrics", door_pages),
                           ("they have what nats-server's have", door_like), ("nats-top", door_top),
                           ("live figures of each topic", door.by_topic),
                           ("it stops", stops)):
            tap.run(name, case, world)
    finally:
        world.broker.close()
    tap.finish()


if __name__ == "__main__":
    main()
