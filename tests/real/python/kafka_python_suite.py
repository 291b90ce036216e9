# SPDX-License-Identifier: MIT
"""kafka_python_suite.py BOOTSTRAP PREFIX: kafka-python, a client in Python alone."""

import sys
import threading
import time

import kafka
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient, OffsetSpec
from kafka.consumer.subscription_state import ConsumerRebalanceListener
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.coordinator.assignors.range import RangePartitionAssignor
from kafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from kafka.errors import (InvalidPartitionsError, MessageSizeTooLargeError, OffsetOutOfRangeError,
                          TopicAlreadyExistsError, UnknownTopicOrPartitionError)
from kafka.structs import OffsetAndMetadata

from tap import (CODECS, COUNT, PATIENCE, TIME, case, equal, finish, headers, key, noise, timestamp, truth, value,
                 within)

BOOTSTRAP, PREFIX = sys.argv[1], sys.argv[2]
ADMIN = KafkaAdminClient(bootstrap_servers=BOOTSTRAP, request_timeout_ms=60000)


def topic(name, partitions=1, prefix=PREFIX, **config):
    full = f"{prefix}-{name}"
    config = {"retention.ms": "-1", **{k.replace("_", "."): v for k, v in config.items()}}
    ADMIN.create_topics({full: {"num_partitions": partitions, "replication_factor": 1, "configs": config}},
                        wait_for_metadata=True)
    ADMIN.list_partition_offsets({TopicPartition(full, p): OffsetSpec.LATEST for p in range(partitions)})
    return full


def producer(**config):
    return KafkaProducer(bootstrap_servers=BOOTSTRAP, linger_ms=2, **config)


def send(sender, where, begin, end, partition=0):
    futures = [sender.send(where, value(i), key(i), headers(i), partition, timestamp(i)) for i in range(begin, end)]
    sender.flush(PATIENCE)
    return [future.get(PATIENCE) for future in futures]


def filled(name, count, partitions=1):
    where = topic(name, partitions)
    sender = producer()
    for partition in range(partitions):
        send(sender, where, 0, count, partition)
    sender.close()
    return where


def consumer(*topics, **config):
    return KafkaConsumer(*topics, **{"bootstrap_servers": BOOTSTRAP, "auto_offset_reset": "earliest",
                                     "enable_auto_commit": False, "fetch_max_wait_ms": 100,
                                     "heartbeat_interval_ms": 200, "session_timeout_ms": 30000,
                                     "metadata_max_age_ms": 1000, **config})


def read(source, count):
    got, end = [], time.monotonic() + PATIENCE
    while len(got) < count and time.monotonic() < end:
        for records in source.poll(200).values():
            got += records
    equal(count, len(got), "records read")
    return got


def read_all(where, count, partition=0, **config):
    source = consumer(**config)
    source.assign([TopicPartition(where, partition)])
    source.seek_to_beginning()
    got = read(source, count)
    source.close()
    return got


def check(record, i):
    where = f"{record.topic}@{record.offset} "
    equal(i, record.offset, where + "offset")
    equal(key(i), record.key, where + "key")
    equal(value(i), record.value, where + "value")
    equal(headers(i), list(record.headers), where + "headers")
    equal((timestamp(i), 0), (record.timestamp, record.timestamp_type), where + "timestamp")


def codec(name, idempotent):
    where = topic(name, prefix="data-" + PREFIX) if idempotent else topic("plain-" + name)
    sender = producer(compression_type=None if name == "none" else name, enable_idempotence=idempotent,
                      acks="all" if idempotent else 1)
    sent = send(sender, where, 0, COUNT)
    equal(list(range(COUNT)), [m.offset for m in sent], "offsets in the replies")
    sender.close()
    for i, record in enumerate(read_all(where, COUNT)):
        check(record, i)


def acks_zero():
    where = topic("acks-0")
    sender = producer(acks=0, enable_idempotence=False)
    send(sender, where, 0, COUNT)
    sender.close()
    for i, record in enumerate(read_all(where, COUNT)):
        check(record, i)


def large():
    where = topic("large")
    sender = producer(max_request_size=4_000_000)
    sender.send(where, noise(1_000_000)).get(PATIENCE)
    fails(MessageSizeTooLargeError, lambda: sender.send(where, noise(1_100_000)).get(PATIENCE))
    sender.close()
    equal(noise(1_000_000), read_all(where, 1)[0].value, "large value")


def fails(error, call):
    try:
        call()
    except error:
        return
    raise AssertionError(f"expected {error.__name__}, but the call succeeded")


def positions():
    where = filled("positions", 100)
    tp = TopicPartition(where, 0)
    source = consumer()
    source.assign([tp])
    source.seek_to_beginning()
    check(read(source, 100)[0], 0)
    source.seek(tp, 42)
    check(read(source, 58)[0], 42)
    source.seek_to_end()
    equal(100, source.position(tp), "position at the end")
    equal({}, source.poll(200), "records at the end")
    sender = producer()
    send(sender, where, 100, 103)
    sender.close()
    check(read(source, 3)[0], 100)
    equal({tp: 0}, source.beginning_offsets([tp]), "beginning")
    equal({tp: 103}, source.end_offsets([tp]), "end")
    found = source.offsets_for_times({tp: TIME + 50_500})[tp]
    equal((51, TIME + 51_000), (found.offset, found.timestamp), "offset of a time")
    equal(None, source.offsets_for_times({tp: TIME + 500_500})[tp], "offset of a late time")
    source.close()


def out_of_range():
    where = filled("range", 10)
    source = consumer(auto_offset_reset="none")
    source.assign([TopicPartition(where, 0)])
    source.seek(TopicPartition(where, 0), 500)

    def polls():
        for _ in range(300):
            source.poll(200)
    fails(OffsetOutOfRangeError, polls)
    source.close()


class Member(threading.Thread, ConsumerRebalanceListener):
    """A group member in its own thread; the client commits before it gives partitions away."""

    def __init__(self, where, seen, **config):
        super().__init__(daemon=True)
        self.seen, self.owned, self.revoked = seen, set(), 0
        self.error, self.ending = None, False
        self.source = consumer(group_id=where, enable_auto_commit=True, auto_commit_interval_ms=100, **config)
        # kafka-python 3.0.12 loses an assignment whose reply comes in the moment a poll() times out
        # (poll's "timeout in ensure_active_group"): so it knows the topic first, which saves it a
        # rebalance of its own, and polls are long.
        within("the member knows the topic", lambda: self.source.partitions_for_topic(where))
        self.source.subscribe([where], listener=self)
        self.start()

    def on_partitions_assigned(self, assigned):
        self.owned |= {tp.partition for tp in assigned}

    def on_partitions_revoked(self, revoked):
        if revoked:
            self.revoked += 1
            self.owned -= {tp.partition for tp in revoked}

    def on_partitions_lost(self, lost):
        self.owned -= {tp.partition for tp in lost}

    def run(self):
        try:
            while not self.ending:
                for tp, records in self.source.poll(1000).items():
                    self.seen.setdefault(tp.partition, []).extend(r.offset for r in records)
        except Exception as error:  # pylint: disable=broad-except
            self.error = error
        finally:
            self.source.close()

    def end(self):
        self.ending = True
        self.join(PATIENCE)
        if self.error:
            raise self.error


def together(partitions, *members):
    def shared():
        for member in members:
            if member.error:
                raise member.error
        owned = [set(member.owned) for member in members]
        return (sorted(p for one in owned for p in one) == list(range(partitions))
                and all(len(one) == partitions // len(members) for one in owned))
    try:
        within(f"{len(members)} members share {partitions} partitions", shared)
    except AssertionError as error:
        group = members[0].source.config["group_id"]
        story = [f"{member.owned} {member.source.assignment()}" for member in members]
        raise AssertionError(f"{error}; owned {story}; the broker says {ADMIN.describe_groups([group])}") from error


def rebalance(assignor):
    where = topic("group-" + assignor.name, 6)
    seen, sent, stop = {}, [0], threading.Event()

    def source():
        sender = producer()
        while not stop.is_set() or sent[0] % 6:
            sender.send(where, b"%d" % sent[0], partition=sent[0] % 6)
            sent[0] += 1
            if sent[0] % 20 == 0:
                time.sleep(0.01)
        sender.close(PATIENCE)

    thread = threading.Thread(target=source, daemon=True)
    thread.start()
    config = {"partition_assignment_strategy": [assignor]}
    one = Member(where, seen, **config)
    together(6, one)
    two = Member(where, seen, **config)
    together(6, one, two)
    three = Member(where, seen, **config)
    together(6, one, two, three)
    one.end()
    together(6, two, three)
    stop.set()
    thread.join()
    within("all is read", lambda: sum(len(l) for l in seen.values()) >= sent[0])
    two.end()
    three.end()
    for partition in range(6):
        equal(list(range(sent[0] // 6)), seen[partition], f"offsets of partition {partition} over the members")


def static_member():
    where = topic("static", 4)
    config = {"partition_assignment_strategy": [RangePartitionAssignor]}
    one = Member(where, {}, group_instance_id="one", **config)
    together(4, one)
    two = Member(where, {}, group_instance_id="two", **config)
    together(4, one, two)
    before, revoked = set(two.owned), one.revoked
    two.end()
    two = Member(where, {}, group_instance_id="two", **config)
    together(4, one, two)
    equal(before, two.owned, "assignment after the restart")
    equal(revoked, one.revoked, "rebalances that the other saw")
    one.end()
    two.end()


def resume():
    where = filled("resume", 50)
    tp = TopicPartition(where, 0)
    source = consumer(where, group_id=where)
    read(source, 50)
    source.commit({tp: OffsetAndMetadata(20, "mark", -1)})
    source.close()
    source = consumer(where, group_id=where)
    check(read(source, 30)[0], 20)
    equal(20, source.committed(tp), "committed")
    source.close()


def admin_topics():
    where = topic("admin", 2)
    got = ADMIN.describe_topics([where])[0]
    equal(2, len(got["partitions"]), "partitions")
    fails(TopicAlreadyExistsError, lambda: ADMIN.create_topics({where: {"num_partitions": 1}}))
    ADMIN.create_partitions({where: 4})
    within("four partitions", lambda: len(ADMIN.describe_topics([where])[0]["partitions"]) == 4)
    fails(InvalidPartitionsError, lambda: ADMIN.create_partitions({where: 3}))
    ADMIN.delete_topics([where])
    within("topic is gone", lambda: where not in ADMIN.list_topics())
    fails(UnknownTopicOrPartitionError, lambda: ADMIN.delete_topics([where]))


def configs(where):
    resource = ConfigResource(ConfigResourceType.TOPIC, where, None)
    got = ADMIN.describe_configs([resource], config_filter="all")
    return {name: entry["value"] for name, entry in list(list(got.values())[0].values())[0].items()}


def admin_configs():
    where = topic("configs", 1, segment_ms="1234567")
    equal("1234567", configs(where)["segment.ms"], "segment.ms")
    ADMIN.alter_configs([ConfigResource(ConfigResourceType.TOPIC, where,
                                        {"retention.bytes": ("SET", "5000000"), "segment.ms": ("DELETE", None)})])
    within("changed", lambda: configs(where)["retention.bytes"] == "5000000")
    equal("604800000", configs(where)["segment.ms"], "segment.ms after delete")
    ADMIN.alter_configs([ConfigResource(ConfigResourceType.TOPIC, where, {"retention.bytes": "6000000"})],
                        incremental=False)
    within("replaced", lambda: configs(where)["retention.bytes"] == "6000000")


def admin_records():
    where = filled("records", 60)
    tp = TopicPartition(where, 0)
    equal(25, ADMIN.delete_records({tp: 25})[tp]["low_watermark"], "low watermark")
    check(read_all(where, 35)[0], 25)
    for spec, expected in [(OffsetSpec.EARLIEST, 25), (OffsetSpec.LATEST, 60), (TIME + 40_000, 40),
                           (OffsetSpec.MAX_TIMESTAMP, 59)]:
        equal(expected, ADMIN.list_partition_offsets({tp: spec})[tp].offset, f"offset of {spec}")


def admin_groups():
    where = topic("groups", 2)
    member = Member(where, {}, client_id="teller", partition_assignment_strategy=[RangePartitionAssignor])
    together(2, member)
    got = ADMIN.describe_groups([where])[where]
    equal("Stable", got["group_state"], "state")
    equal(["teller"], [m["client_id"] for m in got["members"]], "clients")
    member.end()
    truth(where in [g["group_id"] for g in ADMIN.list_groups()], "the group is listed")
    offsets = {TopicPartition(where, p): OffsetAndMetadata(7 + p, "", -1) for p in range(2)}
    ADMIN.alter_group_offsets(where, offsets)
    got = ADMIN.list_group_offsets({where: None})[where]
    equal([7, 8], sorted(entry.offset for entry in got.values()), "offsets")
    ADMIN.delete_group_offsets(where, [TopicPartition(where, 0)])
    equal([8], [e.offset for e in ADMIN.list_group_offsets({where: None})[where].values() if e.offset >= 0],
          "offsets after delete")
    ADMIN.delete_groups([where])
    truth(where not in [g["group_id"] for g in ADMIN.list_groups()], "the group is gone")
    truth("GroupIdNotFound" in str(ADMIN.delete_groups([where])), "deleted twice")


def admin_cluster():
    got = ADMIN.describe_cluster()
    equal(22, len(got["cluster_id"]), "length of the cluster id")
    equal([BOOTSTRAP], [f"{b['host']}:{b['port']}" for b in got["brokers"]], "brokers")
    where = filled("dirs", 20)
    text = str(ADMIN.describe_log_dirs([where]))
    truth(where in text, "topic in the log directories: " + text)


def main():
    print("# kafka-python", kafka.__version__)
    for name in CODECS:
        case(f"produce {name} idempotent, read back", codec, name, True)
        case(f"produce {name} plain acks=1, read back", codec, name, False)
    case("produce acks=0", acks_zero)
    case("large records, and too large", large)
    case("consume from start, end, offset, time", positions)
    case("offset out of range", out_of_range)
    for assignor in [RangePartitionAssignor, RoundRobinPartitionAssignor, CooperativeStickyAssignor]:
        case(f"rebalance in mid-stream, {assignor.name}", rebalance, assignor)
    case("static member restarts without a rebalance", static_member)
    case("committed offsets are resumed", resume)
    case("admin: topics, partitions", admin_topics)
    case("admin: configs", admin_configs)
    case("admin: delete records, list offsets", admin_records)
    case("admin: groups and their offsets", admin_groups)
    case("admin: cluster, log dirs", admin_cluster)
    return finish()


sys.exit(main())
