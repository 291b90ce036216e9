# SPDX-License-Identifier: MIT
"""MirrorMaker 2 between a real Kafka and the broker under test, both ways at once, exactly once."""

import os
import time

from hand import Java, equal, new_port, run_suite, wait_until

SECONDS = 120
ORDERS = 300


class Mirror:
    """"old" is a real Kafka, "new" the broker under test; topics of one appear in the other as old.NAME, new.NAME."""

    def __init__(self, suite):
        self.suite = suite
        self.sides = {"old": suite.broker("old", "kafka"), "new": suite.broker("new")}
        self.hands = {side: suite.hand(broker, side + "-hand") for side, broker in self.sides.items()}
        self.now = int(time.time() * 1000)
        self.maker = None

    def start(self):
        file = os.path.join(self.suite.folder, "mirror.properties")
        lines = ["clusters = old, new", "dedicated.mode.enable.internal.rest = true",
                 f"listeners = http://127.0.0.1:{new_port()}"]
        for side, broker in self.sides.items():
            lines += [f"{side}.bootstrap.servers = 127.0.0.1:{broker.port}",
                      f"{side}.exactly.once.source.support = enabled", f"{side}.offset.flush.interval.ms = 500"]
        for path in ("old->new", "new->old"):
            lines += [f"{path}.{setting}" for setting in (
                "enabled = true", "topics = orders|later", "groups = buyers.*", "sync.group.offsets.enabled = true",
                "offset.lag.max = 0", "refresh.topics.interval.seconds = 1", "refresh.groups.interval.seconds = 1",
                "sync.topic.configs.interval.seconds = 1", "sync.group.offsets.interval.seconds = 1",
                "emit.checkpoints.interval.seconds = 1", "emit.heartbeats.interval.seconds = 1")]
        lines += [f"{name}.replication.factor = 1" for name in (
            "config.storage", "offset.storage", "status.storage", "heartbeats.topic", "checkpoints.topic",
            "offset-syncs.topic")] + ["replication.factor = 1"]
        with open(file, "w", encoding="utf-8") as out:
            out.write("\n".join(lines) + "\n")
        self.maker = self.suite.own(Java(self.suite.folder, "maker", "org.apache.kafka.connect.mirror.MirrorMaker",
                                         file))

    def send(self, side, topic, partitions, first, last):
        for i in range(first, last):
            self.hands[side]("send", topic, i % partitions, self.now + i, f"{side}-{i}", f"order {i} of {side}",
                             f"number={i}", f"from={side}")

    def prepare(self):
        for side, setting in (("old", "retention.ms=-1"), ("new", "max.message.bytes=300000")):
            self.hands[side]("topic", "orders", 3, "cleanup.policy=compact,delete", setting)
            self.send(side, "orders", 3, 0, ORDERS)

    def content(self, side, topic):
        """By partition: time, key, value and headers, in order; offsets may differ."""
        if topic not in dict(self.hands[side]("topics")):
            return {}
        found = {}
        for row in self.hands[side]("read", topic, "read_committed"):
            found.setdefault(row[0], []).append([*row[2:5], *sorted(row[5:])])
        return found

    def same(self, source, target, topic):
        def count(content):
            return sum(map(len, content.values()))

        wanted = self.content(source, topic)
        copy = f"{source}.{topic}"
        wait_until(lambda: count(self.content(target, copy)) >= count(wanted), SECONDS, f"{copy} has the records")
        equal(wanted, self.content(target, copy), f"records of {copy}")

    def records(self):
        self.same("old", "new", "orders")
        self.same("new", "old", "orders")

    def configs(self):
        wait_until(lambda: self.hands["new"].config("old.orders").get("retention.ms") == "-1", SECONDS, "retention")
        wait_until(lambda: self.hands["old"].config("new.orders").get("max.message.bytes") == "300000", SECONDS,
                   "max.message.bytes")
        for side, topic in (("new", "old.orders"), ("old", "new.orders")):
            equal("compact,delete", self.hands[side].config(topic)["cleanup.policy"], "cleanup.policy of " + topic)
        for side, hand in self.hands.items():
            hand("alter", "orders", "segment.bytes=2000000")
            other = "new" if side == "old" else "old"
            wait_until(lambda o=other, s=side: self.hands[o].config(s + ".orders").get("segment.bytes") == "2000000",
                       SECONDS, f"a change of {side}'s orders")

    def grow(self):
        """More partitions, and topics that did not exist when it started."""
        for side, other in (("old", "new"), ("new", "old")):
            self.hands[side]("partitions", "orders", 4)
            self.hands[side]("topic", "later", 2)
            self.send(side, "later", 2, 0, 40)
            wait_until(lambda o=other, s=side: dict(self.hands[o]("topics")).get(s + ".orders") == "4", SECONDS,
                       "the new partition")
            self.send(side, "orders", 4, ORDERS, ORDERS + 40)
        for side, other in (("old", "new"), ("new", "old")):
            self.same(side, other, "orders")
            self.same(side, other, "later")

    def read_before(self, side, topic, offsets):
        """How many records a group has behind it that is at these offsets, by partition."""
        rows = self.hands[side]("read", topic, "read_committed")
        return {p: sum(1 for row in rows if row[0] == p and int(row[1]) < offset) for p, offset in offsets.items()}

    def offsets(self):
        """A group that moves over goes on where it was: nothing is left out, and it has not begun anew."""
        for side, other in (("old", "new"), ("new", "old")):
            group = "buyers-of-" + side
            ends = {row[0]: int(row[1]) + 1 for row in self.hands[side]("read", "orders", "read_committed")}
            for partition, offset in ends.items():
                self.hands[side]("commit", group, "orders", partition, offset)
            copy = side + ".orders"

            def translated(other=other, group=group, copy=copy):
                return {row[1]: int(row[2]) for row in self.hands[other]("committed", group) if row[0] == copy}

            wait_until(lambda t=translated, e=ends: set(t()) == set(e), SECONDS, f"offsets of {group}")
            before = self.read_before(side, "orders", ends)
            wait_until(lambda t=translated, o=other, c=copy, b=before: self.read_before(o, c, t()) == b, SECONDS,
                       f"{group} is at the same record on the other side")

    def internal(self):
        for side, other in (("old", "new"), ("new", "old")):
            topics = dict(self.hands[side]("topics"))
            for name in ("heartbeats", f"{other}.heartbeats", f"{other}.checkpoints.internal",
                         f"mm2-offsets.{other}.internal", f"mm2-configs.{other}.internal"):
                equal(True, name in topics, f"{name} in {side}: {sorted(topics)}")
                equal("compact", self.hands[side].config(name).get("cleanup.policy"), "cleanup.policy of " + name)

    def complaints(self):
        with open(os.path.join(self.suite.folder, "maker.err"), encoding="utf-8") as file:
            equal([], [line.strip() for line in file if " ERROR " in line], "errors in MirrorMaker's log")

    def kill(self):
        """The broker is killed while the mirror is at work, both as its source and as its target."""
        for side in self.sides:
            self.send(side, "later", 2, 40, 80)
        self.sides["new"].kill()
        self.send("old", "later", 2, 80, 120)
        self.sides["new"].start()
        self.send("new", "later", 2, 80, 120)
        self.same("old", "new", "later")
        self.same("new", "old", "later")
        self.records()


def body(suite):
    mirror = Mirror(suite)
    suite.case("a topic on each side", mirror.prepare)
    mirror.start()
    suite.case("records are on the other side, both ways", mirror.records)
    suite.case("topic configs follow", mirror.configs)
    suite.case("new topics and partitions follow", mirror.grow)
    suite.case("offsets of groups are translated", mirror.offsets)
    suite.case("its own topics are there", mirror.internal)
    suite.case("it has nothing to complain about", mirror.complaints)
    suite.case("the broker is killed and comes back", mirror.kill)


def mirror(run):
    run_suite(run, "mirror", body)
