# SPDX-License-Identifier: MIT
"""confluent_suite.py BOOTSTRAP PREFIX: the newest librdkafka, through its Python client."""

import sys
import threading
import time

import confluent_kafka as ck
from confluent_kafka import admin as ka

from tap import (CODECS, COUNT, PATIENCE, TIME, case, equal, finish, headers, key, noise, timestamp, truth, value,
                 within)

BOOTSTRAP, PREFIX = sys.argv[1], sys.argv[2]
ADMIN = ka.AdminClient({"bootstrap.servers": BOOTSTRAP})


def done(futures):
    return {name: future.result(PATIENCE) for name, future in futures.items()}


def topic(name, partitions=1, prefix=PREFIX, **config):
    full = f"{prefix}-{name}"
    config = {"retention.ms": "-1", **{k.replace("_", "."): v for k, v in config.items()}}
    done(ADMIN.create_topics([ka.NewTopic(full, partitions, 1, config=config)]))
    ends = {ck.TopicPartition(full, p): ka.OffsetSpec.latest() for p in range(partitions)}
    within(f"{full} is served", lambda: served(ends))
    return full


def served(ends):
    try:
        done(ADMIN.list_offsets(ends))
        return True
    except ck.KafkaException:
        return False


class Sender:
    """A producer that keeps the delivery reports."""

    def __init__(self, **config):
        config = {k.replace("_", "."): v for k, v in config.items()}
        self.producer = ck.Producer({"bootstrap.servers": BOOTSTRAP, "linger.ms": 2,
                                     "message.timeout.ms": 60000, **config})
        self.reports = []

    def send(self, where, what, **more):
        self.producer.produce(where, value=what, on_delivery=lambda e, m: self.reports.append((e, m)), **more)
        self.producer.poll(0)

    def samples(self, where, begin, end, partition=0):
        for i in range(begin, end):
            self.send(where, value(i), key=key(i), headers=headers(i), timestamp=timestamp(i),
                      partition=partition)
        return self.flush()

    def flush(self):
        equal(0, self.producer.flush(PATIENCE), "messages left after flush")
        for error, _ in self.reports:
            if error:
                raise ck.KafkaException(error)
        messages, self.reports = [m for _, m in self.reports], []
        return messages


def consumer(**config):
    config = {k.replace("_", "."): v for k, v in config.items()}
    return ck.Consumer({"bootstrap.servers": BOOTSTRAP, "group.id": PREFIX + "-none", "auto.offset.reset":
                        "earliest", "enable.auto.commit": False, "fetch.wait.max.ms": 100,
                        "heartbeat.interval.ms": 200, "session.timeout.ms": 30000,
                        "topic.metadata.refresh.interval.ms": 1000, **config})


def read(source, count):
    got, end = [], time.monotonic() + PATIENCE
    while len(got) < count and time.monotonic() < end:
        for message in source.consume(min(500, count - len(got)), 0.2):
            if message.error():
                raise ck.KafkaException(message.error())
            got.append(message)
    equal(count, len(got), "records read")
    return got


def read_all(where, count, partition=0, offset=ck.OFFSET_BEGINNING, **config):
    source = consumer(**config)
    source.assign([ck.TopicPartition(where, partition, offset)])
    try:
        return read(source, count)
    finally:
        source.close()


def check(message, i, offset=None):
    where = f"{message.topic()}@{message.offset()} "
    equal(i if offset is None else offset, message.offset(), where + "offset")
    equal(key(i), message.key(), where + "key")
    equal(value(i), message.value(), where + "value")
    equal(headers(i), message.headers() or [], where + "headers")
    equal((ck.TIMESTAMP_CREATE_TIME, timestamp(i)), message.timestamp(), where + "timestamp")


def codec(name):
    where = topic(name, prefix="data-" + PREFIX)
    sent = Sender(compression_type=name, enable_idempotence=True).samples(where, 0, COUNT)
    equal(list(range(COUNT)), [m.offset() for m in sent], "offsets in the replies")
    for i, message in enumerate(read_all(where, COUNT)):
        check(message, i)


def acks(how):
    where = topic(f"acks-{how}")
    Sender(acks=how, compression_type="snappy").samples(where, 0, COUNT)
    for i, message in enumerate(read_all(where, COUNT)):
        check(message, i)


def large():
    where = topic("large")
    sender = Sender(message_max_bytes=3_000_000)
    sender.send(where, noise(1_000_000))
    sender.flush()
    equal(noise(1_000_000), read_all(where, 1)[0].value(), "large value")
    sender.send(where, noise(1_100_000))
    try:
        sender.flush()
        raise AssertionError("a record over the limit was taken")
    except ck.KafkaException as error:
        equal(ck.KafkaError.MSG_SIZE_TOO_LARGE, error.args[0].code(), "error")


def positions():
    where = topic("positions")
    sender = Sender()
    sender.samples(where, 0, 100)
    check(read_all(where, 100)[0], 0)
    check(read_all(where, 58, offset=42)[0], 42)
    source = consumer()
    source.assign([ck.TopicPartition(where, 0, ck.OFFSET_END)])
    equal([], source.consume(1, 0.5), "records at the end")
    got, end = [], 100
    while not got and end < 200:  # when the client asks for the end is its own affair
        sender.samples(where, end, end + 1)
        end += 1
        got = source.consume(1, 0.2)
    truth(got and got[0].offset() >= 100, "a record from the end on")
    check(got[0], got[0].offset())
    equal((0, end), source.get_watermark_offsets(ck.TopicPartition(where, 0), PATIENCE), "watermarks")
    found = source.offsets_for_times([ck.TopicPartition(where, 0, TIME + 50_500)], PATIENCE)
    equal(51, found[0].offset, "offset of a time")
    found = source.offsets_for_times([ck.TopicPartition(where, 0, TIME + 500_500)], PATIENCE)
    equal(ck.OFFSET_END, found[0].offset, "offset of a late time")
    source.close()
    # librdkafka counts from the tail in offsets below -2000.
    check(read_all(where, 10, offset=-2010)[0], end - 10)


def out_of_range():
    where = topic("range")
    Sender().samples(where, 0, 10)
    source = consumer(auto_offset_reset="error")
    source.assign([ck.TopicPartition(where, 0, 500)])
    end = time.monotonic() + PATIENCE
    error = None
    while error is None and time.monotonic() < end:
        message = source.poll(0.5)
        error = message.error() if message else None
    source.close()
    truth(error is not None, "an error")
    equal(ck.KafkaError._AUTO_OFFSET_RESET, error.code(), "error")  # pylint: disable=protected-access


class Member(threading.Thread):
    """A group member in its own thread; commits what it has seen before it gives partitions away."""

    def __init__(self, where, seen, **config):
        super().__init__(daemon=True)
        self.seen, self.owned, self.revoked = seen, set(), 0
        self.error, self.ending = None, False
        self.cooperative = "cooperative" in config.get("partition_assignment_strategy", "")
        self.source = consumer(group_id=where, **config)
        self.source.subscribe([where], on_assign=self.assigned, on_revoke=self.gone, on_lost=self.lost)
        self.start()

    def assigned(self, source, partitions):
        self.owned |= {p.partition for p in partitions}
        if self.cooperative:
            source.incremental_assign(partitions)
        else:
            source.assign(partitions)

    def gone(self, source, partitions):
        self.revoked += 1
        self.owned -= {p.partition for p in partitions}
        self.commit()
        if self.cooperative:
            source.incremental_unassign(partitions)
        else:
            source.unassign()

    def lost(self, source, partitions):
        self.owned -= {p.partition for p in partitions}

    def commit(self):
        try:
            self.source.commit(asynchronous=False)
        except ck.KafkaException as error:
            if error.args[0].code() != ck.KafkaError._NO_OFFSET:  # pylint: disable=protected-access
                raise

    def run(self):
        try:
            while not self.ending:
                message = self.source.poll(0.05)
                if message and not message.error():
                    self.seen.setdefault(message.partition(), []).append(message.offset())
                elif message:
                    raise ck.KafkaException(message.error())
            self.commit()
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
    within(f"{len(members)} members share {partitions} partitions", shared)


def rebalance(assignor):
    where = topic("group-" + assignor, 6)
    seen, sent, stop = {}, [0], threading.Event()

    def source():
        sender = Sender()
        while not stop.is_set() or sent[0] % 6:
            sender.send(where, b"%d" % sent[0], partition=sent[0] % 6)
            sent[0] += 1
            if sent[0] % 20 == 0:
                time.sleep(0.005)
        sender.flush()

    thread = threading.Thread(target=source, daemon=True)
    thread.start()
    config = {"partition_assignment_strategy": assignor}
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
    seen = {}
    one = Member(where, seen, group_instance_id="one")
    together(4, one)
    two = Member(where, seen, group_instance_id="two")
    together(4, one, two)
    before, revoked = set(two.owned), one.revoked
    two.end()
    two = Member(where, seen, group_instance_id="two")
    together(4, one, two)
    equal(before, two.owned, "assignment after the restart")
    equal(revoked, one.revoked, "rebalances that the other saw")
    one.end()
    two.end()


def resume():
    where = topic("resume")
    Sender().samples(where, 0, 50)
    source = consumer(group_id=where)
    source.subscribe([where])
    read(source, 50)
    source.commit(offsets=[ck.TopicPartition(where, 0, 20, "mark")], asynchronous=False)
    source.close()
    source = consumer(group_id=where)
    source.subscribe([where])
    check(read(source, 30)[0], 20)
    committed = source.committed([ck.TopicPartition(where, 0)], PATIENCE)[0]
    equal((20, "mark"), (committed.offset, committed.metadata), "committed")
    source.close()


def admin_topics():
    where = topic("admin", 2)
    got = done(ADMIN.describe_topics(ck.TopicCollection([where])))[where]
    equal(2, len(got.partitions), "partitions")
    try:
        done(ADMIN.create_topics([ka.NewTopic(where, 1, 1)]))
        raise AssertionError("created twice")
    except ck.KafkaException as error:
        equal(ck.KafkaError.TOPIC_ALREADY_EXISTS, error.args[0].code(), "error")
    done(ADMIN.create_partitions([ka.NewPartitions(where, 4)]))
    within("four partitions", lambda: len(ADMIN.list_topics(where, PATIENCE).topics[where].partitions) == 4)
    done(ADMIN.delete_topics([where]))
    within("topic is gone", lambda: where not in ADMIN.list_topics(timeout=PATIENCE).topics)


def admin_configs():
    where = topic("configs", 1, segment_ms="1234567")
    resource = ka.ConfigResource(ka.ConfigResource.Type.TOPIC, where)
    got = list(done(ADMIN.describe_configs([resource])).values())[0]
    equal("1234567", got["segment.ms"].value, "segment.ms")
    equal(ka.ConfigSource.DYNAMIC_TOPIC_CONFIG.value, got["segment.ms"].source, "source")
    change = ka.ConfigResource(ka.ConfigResource.Type.TOPIC, where, incremental_configs=[
        ka.ConfigEntry("retention.bytes", "5000000", incremental_operation=ka.AlterConfigOpType.SET),
        ka.ConfigEntry("segment.ms", None, incremental_operation=ka.AlterConfigOpType.DELETE)])
    done(ADMIN.incremental_alter_configs([change]))

    def configs():
        return list(done(ADMIN.describe_configs([resource])).values())[0]
    within("changed", lambda: configs()["retention.bytes"].value == "5000000")
    equal("604800000", configs()["segment.ms"].value, "segment.ms after delete")
    done(ADMIN.alter_configs([ka.ConfigResource(ka.ConfigResource.Type.TOPIC, where,
                                                set_config={"retention.ms": "9000000"})]))
    within("replaced", lambda: configs()["retention.ms"].value == "9000000")
    equal("-1", configs()["retention.bytes"].value, "retention.bytes after the replacement")


def admin_records():
    where = topic("records")
    Sender().samples(where, 0, 60)
    got = done(ADMIN.delete_records([ck.TopicPartition(where, 0, 25)]))
    equal(25, list(got.values())[0].low_watermark, "low watermark")
    check(read_all(where, 35)[0], 25)
    partition = ck.TopicPartition(where, 0)
    for spec, expected in [(ka.OffsetSpec.earliest(), 25), (ka.OffsetSpec.latest(), 60),
                           (ka.OffsetSpec.for_timestamp(TIME + 40_000), 40), (ka.OffsetSpec.max_timestamp(), 59)]:
        equal(expected, list(done(ADMIN.list_offsets({partition: spec})).values())[0].offset, "offset")


def admin_groups():
    where = topic("groups", 2)
    member = Member(where, {}, client_id="teller")
    together(2, member)
    got = done(ADMIN.describe_consumer_groups([where]))[where]
    equal(ck.ConsumerGroupState.STABLE, got.state, "state")
    equal(["teller"], [m.client_id for m in got.members], "clients")
    equal("range", got.partition_assignor, "assignor")
    member.end()
    listed = ADMIN.list_consumer_groups().result(PATIENCE)
    truth(where in [g.group_id for g in listed.valid], "the group is listed")
    offsets = [ck.TopicPartition(where, p, 7 + p) for p in range(2)]
    done(ADMIN.alter_consumer_group_offsets([ck.ConsumerGroupTopicPartitions(where, offsets)]))
    got = done(ADMIN.list_consumer_group_offsets([ck.ConsumerGroupTopicPartitions(where)]))[where]
    equal([7, 8], sorted(p.offset for p in got.topic_partitions), "offsets")
    done(ADMIN.delete_consumer_groups([where]))
    listed = ADMIN.list_consumer_groups().result(PATIENCE)
    truth(where not in [g.group_id for g in listed.valid], "the group is gone")


def admin_cluster():
    got = ADMIN.describe_cluster().result(PATIENCE)
    equal(22, len(got.cluster_id), "length of the cluster id")
    equal([BOOTSTRAP], [f"{n.host}:{n.port}" for n in got.nodes], "nodes")
    equal(got.nodes[0].id, got.controller.id, "controller")


def main():
    print("# confluent-kafka", ck.version()[0] if isinstance(ck.version(), tuple) else ck.version(),
          "librdkafka", ck.libversion()[0])
    for name in CODECS:
        case(f"produce {name} idempotent, read back", codec, name)
    for how in ["0", "1", "all"]:
        case(f"produce acks={how}", acks, how)
    case("large records, and too large", large)
    case("consume from start, end, offset, time, tail", positions)
    case("offset out of range", out_of_range)
    for assignor in ["range", "roundrobin", "cooperative-sticky"]:
        case(f"rebalance in mid-stream, {assignor}", rebalance, assignor)
    case("static member restarts without a rebalance", static_member)
    case("committed offsets are resumed", resume)
    case("admin: topics, partitions", admin_topics)
    case("admin: configs", admin_configs)
    case("admin: delete records, list offsets", admin_records)
    case("admin: groups and their offsets", admin_groups)
    case("admin: cluster", admin_cluster)
    return finish()


sys.exit(main())
