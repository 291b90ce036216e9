# SPDX-License-Identifier: MIT
"""old_suite.py BOOTSTRAP PREFIX: kafka-python and librdkafka (kcat) told that the broker is of 0.8 to 0.11.

They then speak the request versions and message formats of that time, among them those that no other client does:
Produce 0 and 1, Fetch 0 to 2, ListOffsets 0, OffsetCommit 1, OffsetFetch 0.
"""

import subprocess
import sys

import kafka
from kafka.structs import OffsetAndMetadata

from tap import COUNT, PATIENCE, TIME, case, equal, finish, truth

BOOTSTRAP, PREFIX = sys.argv[1], sys.argv[2]
PYTHON = [(0, 8, 0), (0, 8, 1), (0, 8, 2), (0, 9), (0, 10, 0), (0, 10, 1), (0, 10, 2), (0, 11)]
KCAT = ["0.8.0", "0.8.1.1", "0.8.2.2", "0.9.0.1"]
CODECS = [None, "gzip", "snappy", "lz4"]


def text(version):
    return ".".join(map(str, version))


def key(i):
    return None if i % 7 == 0 else b"key-%d" % i


def value(i):
    return b"value-%d-" % i + b"abcdefghij"[i % 10:i % 10 + 1] * (i * 37 % 500)


def topic(name):
    """Made by the newest client: the sample's times are of 2020."""
    admin = kafka.KafkaAdminClient(bootstrap_servers=BOOTSTRAP)
    admin.create_topics([kafka.admin.NewTopic(PREFIX + name, 1, 1, topic_configs={"retention.ms": "-1"})])
    admin.close()
    return PREFIX + name


def write(where, version=None, **more):
    producer = kafka.KafkaProducer(bootstrap_servers=BOOTSTRAP, api_version=version, linger_ms=50,
                                   enable_idempotence=False, **more)
    sent = [producer.send(where, value(i), key(i), partition=0, timestamp_ms=TIME + i * 1000) for i in range(COUNT)]
    producer.flush()
    equal(list(range(COUNT)), [s.get(PATIENCE).offset for s in sent], "offsets")
    producer.close()


def read(where, start=0, version=None, count=COUNT, **more):
    consumer = kafka.KafkaConsumer(bootstrap_servers=BOOTSTRAP, api_version=version, fetch_max_wait_ms=50,
                                   consumer_timeout_ms=PATIENCE * 1000, **more)
    place = kafka.TopicPartition(where, 0)
    consumer.assign([place])
    consumer.seek(place, start)
    got = []
    for record in consumer:
        got.append(record)
        if len(got) == count - start:
            break
    consumer.close()
    equal(count - start, len(got), f"records of {where} from {start}")
    return got


def check(got, start, timed):
    for i, record in enumerate(got, start):
        equal((i, key(i), value(i)), (record.offset, record.key, record.value), "record")
        if timed:
            equal(TIME + i * 1000, record.timestamp, "time")


def cross(version, codec):
    where = topic(f"-{text(version)}-{codec}")
    timed = version >= (0, 10)
    write(where, version, compression_type=codec)
    for start in (0, 1, 151, 299):
        check(read(where, start, version), start, timed)
    check(read(where, 0), 0, timed)


def newest_wrote(version):
    for codec in CODECS:
        where = f"{PREFIX}-newest-{codec}"
        for start in (0, 60):
            check(read(where, start, version), start, version >= (0, 10))


def places(version):
    where, group = f"{PREFIX}-newest-gzip", f"{PREFIX}-group-{text(version)}"
    place = kafka.TopicPartition(where, 0)
    how = {} if version < (0, 8, 1) else {"group_id": group, "enable_auto_commit": False}
    consumer = kafka.KafkaConsumer(bootstrap_servers=BOOTSTRAP, api_version=version, **how)
    consumer.assign([place])
    equal({place: 0}, consumer.beginning_offsets([place]), "beginning")
    equal({place: COUNT}, consumer.end_offsets([place]), "end")
    consumer.seek_to_end(place)
    equal(COUNT, consumer.position(place), "position")
    if how:
        equal(None, consumer.committed(place), "nothing is committed")
        consumer.commit({place: OffsetAndMetadata(77, "here", -1)})
        equal(77, consumer.committed(place), "committed")
    consumer.close()


def subscribed(version):
    where, group = f"{PREFIX}-newest-gzip", f"{PREFIX}-members-{text(version)}"
    got = []
    for count in (50, 100):
        consumer = kafka.KafkaConsumer(where, bootstrap_servers=BOOTSTRAP, api_version=version, group_id=group,
                                       auto_offset_reset="earliest", enable_auto_commit=False, max_poll_records=50,
                                       consumer_timeout_ms=PATIENCE * 1000)
        while len(got) < count:
            got += [record for records in consumer.poll(1000).values() for record in records]
        consumer.commit()
        consumer.close()
    check(got[:100], 0, version >= (0, 10))


def too_large(version):
    where = topic(f"-large-{text(version)}")
    producer = kafka.KafkaProducer(bootstrap_servers=BOOTSTRAP, enable_idempotence=False)
    producer.send(where, b"x" * 100000, partition=0).get(PATIENCE)
    producer.close()
    consumer = kafka.KafkaConsumer(bootstrap_servers=BOOTSTRAP, api_version=version, max_partition_fetch_bytes=1000,
                                   fetch_max_wait_ms=50)
    place = kafka.TopicPartition(where, 0)
    consumer.assign([place])
    consumer.seek(place, 0)
    try:
        for _ in range(300):
            equal({}, consumer.poll(200), "records")
        raise AssertionError("the client was not told that the message is larger than it asked for")
    except kafka.errors.KafkaError as error:
        truth("ecord" in type(error).__name__ or "arge" in str(error), f"it says {error!r}")
    finally:
        consumer.close()
    equal(100000, len(read(where, 0, version, 1)[0].value), "size")


def settings(version):
    """A topic in memory, and one whose records are gone after a while: what is gone is passed over."""
    admin = kafka.KafkaAdminClient(bootstrap_servers=BOOTSTRAP)
    memory, brief = f"{PREFIX}-memory-{text(version)}", f"{PREFIX}-brief-{text(version)}"
    admin.create_topics([kafka.admin.NewTopic(memory, 1, 1, topic_configs={"storage.class": "memory",
                                                                           "retention.ms": "-1"}),
                         kafka.admin.NewTopic(brief, 1, 1, topic_configs={"message.ttl.ms": "3600000",
                                                                          "retention.ms": "-1"})])
    admin.close()
    write(memory, version, compression_type="gzip")
    for start in (0, 77, 299):
        check(read(memory, start, version), start, version >= (0, 10))
    write(brief)  # all of 2020
    producer = kafka.KafkaProducer(bootstrap_servers=BOOTSTRAP, enable_idempotence=False)
    sent = producer.send(brief, b"of now", partition=0).get(PATIENCE)
    producer.close()
    got = read(brief, 0, version, 1)
    equal((sent.offset, b"of now"), (got[0].offset, got[0].value), "what is left")


def kcat(version, *args, feed=b""):
    old = ["-X", "api.version.request=false", "-X", f"broker.version.fallback={version}"]
    got = subprocess.run(["kcat", "-b", BOOTSTRAP, *old, *args], input=feed, capture_output=True, timeout=120,
                         check=False)
    if got.returncode:
        raise AssertionError(f"kcat {' '.join(args)}: {got.stderr.decode()}")
    return got.stdout


def kcat_both(version):
    lines = [b"key%d:value %d %s" % (i, i, b"z" * (i * 7 % 200)) for i in range(200)]
    for codec in ["none", "gzip", "snappy"] + (["lz4"] if version >= "0.8.2" else []):
        where = topic(f"-kcat-{version}-{codec}")
        kcat(version, "-P", "-t", where, "-p", "0", "-K:", "-z", codec, feed=b"\n".join(lines) + b"\n")
        for start in (0, 150):
            got = kcat(version, "-C", "-q", "-e", "-t", where, "-p", "0", "-o", str(start), "-f", "%o|%k:%s\n")
            equal([b"%d|%s" % (i, lines[i]) for i in range(start, 200)], got.splitlines(), f"lines, {codec}")
        newest = read(where, count=200)
        equal([(*line.split(b":"),) for line in lines], [(r.key, r.value) for r in newest], "for the newest")


def kcat_reads(version):
    for codec in CODECS:
        got = kcat(version, "-C", "-q", "-e", "-t", f"{PREFIX}-newest-{codec}", "-p", "0", "-o", "0", "-f", "%o|%s\n")
        equal([b"%d|%s" % (i, value(i)) for i in range(COUNT)], got.splitlines(), f"lines, {codec}")


def main():
    for codec in CODECS:
        write(topic(f"-newest-{codec}"), compression_type=codec)
    for version in PYTHON:
        for codec in CODECS:
            if codec != "lz4" or version >= (0, 8, 2):
                case(f"kafka-python as of {text(version)}, {codec}", cross, version, codec)
        case(f"kafka-python as of {text(version)} reads what the newest wrote", newest_wrote, version)
        case(f"kafka-python as of {text(version)}, positions and commits", places, version)
        if version >= (0, 9):
            case(f"kafka-python as of {text(version)}, a group", subscribed, version)
        if version in ((0, 8, 2), (0, 10, 1)):
            case(f"kafka-python as of {text(version)}, memory and time to live", settings, version)
        if version < (0, 10, 1):
            case(f"kafka-python as of {text(version)}, a message larger than a fetch", too_large, version)
    for version in KCAT:
        case(f"kcat as of {version}", kcat_both, version)
        case(f"kcat as of {version} reads what the newest client wrote", kcat_reads, version)
    sys.exit(finish())


main()
