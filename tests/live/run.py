#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Topics behind subjects: what comes in by one door is there behind the other; replay and durable consumers.

run.py [--bin FILE] [case...]
"""

import argparse
import json
import os
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "harness")]

from broker import DEFAULT_BIN, FluxMQ, free_port, wait_until  # noqa: E402
from client import Client  # noqa: E402
from door import Nats, batch, records  # noqa: E402
from tap import Tap  # noqa: E402


class World:
    def __init__(self, binary):
        self.port = free_port()
        self.broker = FluxMQ(binary=binary)
        self.nats_port = free_port(but=[self.broker.port])
        self.broker.options = ["--nats-port", str(self.nats_port)]
        self.broker.start()
        self.kafka = Client(self.broker.port)
        self.number = 0

    def topic(self, partitions=1, **settings):
        self.number += 1
        name = f"live-{self.number}"
        self.kafka.create_topic(name, partitions, {k.replace("_", "."): v for k, v in settings.items()})
        return name

    def nats(self):
        return Nats(self.nats_port)

    def produce(self, topic, rows, partition=0):
        return self.kafka.produce(topic, partition, batch(rows))

    def all(self, topic, partition=0):
        out, at = [], 0
        while True:
            code, mark, data = self.kafka.fetch(topic, {partition: at})[partition]
            assert code == 0, code
            got = [r for r in records(data) if r.offset >= at]
            out += got
            at = got[-1].offset + 1 if got else at
            if at >= mark:
                return out

    def kafka_partitions(self, topic):
        answer = self.kafka.call("Metadata", 1, {"topics": [{"name": topic}]})
        return len(answer["topics"][0]["partitions"])

    def restart(self):
        self.kafka.close()
        self.broker.kill()
        self.broker.start()
        self.kafka = Client(self.broker.port)


def published(client, topic, payload, headers=()):
    """Publishes and waits for the answer: the place in the log."""
    answer = json.loads(client.request(topic, payload, headers).payload)
    assert answer["stream"], answer
    return answer["partition"], answer["seq"]


def in_by_nats_out_by_kafka(w):
    topic, n = w.topic(), w.nats()
    assert published(n, topic, b"one", [("Kafka-Key", "k"), ("X", "y"), ("X", "z")]) == (0, 0)
    assert published(n, topic, b"two") == (0, 1)
    assert published(n, topic, b"", [("Kafka-Tombstone", "true"), ("Kafka-Key;base64", "AP8=")]) == (0, 2)
    rows = [(r.offset, r.key, r.value, r.headers) for r in w.all(topic)]
    assert rows == [(0, b"k", b"one", [("X", b"y"), ("X", b"z")]), (1, None, b"two", []),
                    (2, b"\0\xff", None, [])], rows
    n.close()


def in_by_kafka_out_by_nats(w):
    topic, n = w.topic(), w.nats()
    w.produce(topic, [(None, b"before anybody listens", [])])
    sid = n.subscribe(topic)
    w.produce(topic, [(b"k", b"v", [("a", b"1"), ("b", b" 2\n"), ("c", b"")]), (None, None, []), (b"\0", b"x", [])])
    m = n.next(sid=sid)
    assert (m.subject, m.payload) == (topic, b"v")
    assert m.headers == [("a", "1"), ("b;base64", "IDIK"), ("c", ""), ("Kafka-Key", "k")], m
    m = n.next(sid=sid)
    assert m.payload == b"" and m.headers == [("Kafka-Tombstone", "true")], m
    m = n.next(sid=sid)
    assert m.headers == [("Kafka-Key;base64", "AA==")] and m.payload == b"x", m
    n.close()


def subjects_of_a_topic(w):
    topic, n = w.topic(4, live_subjects="orders.>, returns.*"), w.nats()
    sid = n.subscribe("orders.*")
    places = {published(n, f"orders.{c}", c.encode())[0] for c in "abcdefgh"}
    assert len(places) > 1, "all subjects are in one partition"
    assert {n.next(sid=sid).subject for _ in "abcdefgh"} == {f"orders.{c}" for c in "abcdefgh"}
    partition, offset = published(n, "returns.x", b"r")
    assert published(n, "returns.x", b"s") == (partition, offset + 1), "a subject has one partition"
    found = [r for r in w.all(topic, partition) if r.offset == offset]
    assert found[0].headers == [("Nats-Subject", b"returns.x")], found
    n.publish("returns.x.y", b"live only")
    n.publish("__consumer_offsets", b"live only")
    n.flush()
    assert sum(len(w.all(topic, p)) for p in range(4)) == 10
    n.close()


def a_subject_becomes_a_topics(w):
    """A connection that publishes to one subject all the time finds out when that is another's business."""
    n, mine = w.nats(), f"later-{w.number + 1}.x"
    sid = n.subscribe(mine)

    def publish(text):
        n.send(b"PUB %s %d\r\n%s\r\n" % (mine.encode(), len(text), text) * 3)
        assert [n.next(sid=sid).payload for _ in "123"] == [text] * 3
    publish(b"live")
    topic = w.topic(1, live_subjects=f"later-{w.number + 1}.>")

    def stored():
        publish(b"stored")
        return [r.value for r in w.all(topic)]
    found = wait_until(stored, 10, "the topic has what is published to its subject")
    assert set(found) == {b"stored"} and len(found) % 3 == 0, found
    publish(b"more")
    assert [r.value for r in w.all(topic)] == found + [b"more"] * 3
    n.close()


def topics_in_memory(w):
    topic, n = w.topic(2, storage_class="memory"), w.nats()
    sid = n.subscribe(topic)
    place = published(n, topic, b"one", [("Kafka-Key", "k")])
    assert n.next(sid=sid).payload == b"one"
    assert [(r.offset, r.key, r.value) for r in w.all(topic, place[0])] == [(place[1], b"k", b"one")]
    w.produce(topic, [(None, b"two", [])], 1)
    assert n.next(sid=sid).payload == b"two"
    assert get(n, topic, seq=place[1], partition=place[0]).payload == b"one"
    n.close()


def messages_say_where_they_are(w):
    topic, n = w.topic(live_metadata="true"), w.nats()
    sid = n.subscribe(topic)
    w.produce(topic, [(None, b"a", []), (None, b"b", [("x", b"y")])])
    n.next(sid=sid)
    h = dict(n.next(sid=sid).headers)
    assert h["x"] == "y" and h["Nats-Stream"] == topic and h["Nats-Sequence"] == "1" and h["Nats-Partition"] == "0", h
    n.close()


def compacted_topics_keep_the_last_of_a_subject(w):
    topic, n = w.topic(cleanup_policy="compact", live_subjects="state.>"), w.nats()
    published(n, "state.a", b"1")
    assert [r.key for r in w.all(topic)] == [b"state.a"]
    n.close()


def both_doors_at_once(w):
    """Who subscribes sees the log: every record once, in its order, whoever wrote it."""
    topic, reader = w.topic(), w.nats()
    sid = reader.subscribe(topic)

    def by_nats():
        n = w.nats()
        for i in range(2000):
            n.publish(topic, b"n%d" % i)
        n.flush()
        n.close()

    def by_kafka():
        k = Client(w.broker.port)
        for i in range(200):
            k.produce(topic, 0, batch([(None, b"k%d-%d" % (i, j), []) for j in range(5)]), 1)
        k.close()
    threads = [threading.Thread(target=by_nats), threading.Thread(target=by_kafka)]
    for t in threads:
        t.start()
    seen = [reader.next(sid=sid).payload for _ in range(3000)]
    for t in threads:
        t.join()
    assert seen == [r.value for r in w.all(topic)]
    assert [v for v in seen if v[:1] == b"n"] == [b"n%d" % i for i in range(2000)]
    assert reader.nothing(sid)
    reader.close()


def what_was_answered_survives_a_kill(w):
    topic, n = w.topic(), w.nats()
    places = {published(n, topic, b"v%d" % i): b"v%d" % i for i in range(100)}
    for i in range(1000):
        n.publish(topic, b"not answered %d" % i)
    n.close()
    w.restart()
    there = {(0, r.offset): r.value for r in w.all(topic)}
    assert all(there.get(place) == value for place, value in places.items())
    n = w.nats()
    sid = n.subscribe(topic)
    where = published(n, topic, b"again")
    assert where == (0, len(there)), where
    assert n.next(sid=sid).payload == b"again"
    n.close()


def get(n, topic, answers=1, **asked):
    return n.request(f"$JS.API.DIRECT.GET.{topic}", json.dumps(asked).encode() if asked else b"", answers=answers)


def replay(w):
    topic, n = w.topic(live_subjects="r.>"), w.nats()
    for i in range(10):
        published(n, f"r.{i % 2}", b"v%d" % i, [("N", str(i))])
    m = get(n, topic, seq=3)
    h = dict(m.headers)
    assert m.payload == b"v3" and h["N"] == "3" and h["Nats-Stream"] == topic and h["Nats-Sequence"] == "3", m
    assert h["Nats-Subject"] == "r.1" and h["Nats-Partition"] == "0" and h["Nats-Time-Stamp"].endswith("Z")
    assert get(n, topic).payload == b"v9"
    assert get(n, topic, last_by_subj="r.0").payload == b"v8"
    assert n.request(f"$JS.API.DIRECT.GET.{topic}.r.0").payload == b"v8"
    assert get(n, topic, next_by_subj="r.1", seq=4).payload == b"v5"
    got = get(n, topic, 4, seq=7, batch=5)
    assert [m.payload for m in got[:3]] == [b"v7", b"v8", b"v9"] and got[3].status == "204 EOB", got
    got = get(n, topic, 4, last=3)
    assert [m.payload for m in got[:3]] == [b"v7", b"v8", b"v9"], got
    assert get(n, topic, start_time="2020-01-01T00:00:00Z").payload == b"v0"
    assert get(n, topic, seq=10).status.startswith("404")
    assert get(n, topic, partition=7).status.startswith("404")
    assert get(n, "no-such-topic").status.startswith("404")
    assert n.request(f"$JS.API.DIRECT.GET.{topic}", b"{").status.startswith("408")
    n.close()


def expired_records_are_not_replayed(w):
    topic, n = w.topic(), w.nats()
    published(n, topic, b"gone", [("Nats-TTL", "1ms")])
    published(n, topic, b"stays", [("Nats-TTL", "1h")])
    wait_until(lambda: get(n, topic, seq=0).payload == b"stays", 20, "the end of a millisecond")
    sid = n.subscribe(f"$FLUX.CONSUME.ttl.{topic}")
    assert n.next(sid=sid).payload == b"stays"
    n.close()


def consumer(n, name, topic, **settings):
    answer = json.loads(n.request(f"$FLUX.API.CONSUMER.CREATE.{name}.{topic}", json.dumps(settings).encode()).payload)
    assert "error" not in answer, answer
    return n.subscribe(answer["deliver_subject"])


def deliveries(m):
    return int(m.reply.split(".")[6])


def consumers_repeat_until_acknowledged(w):
    topic, n = w.topic(), w.nats()
    for i in range(4):
        published(n, topic, b"v%d" % i, [("N", str(i))])
    sid = consumer(n, "window", topic, ack_wait_ms=3600000, max_deliver=5, max_ack_pending=3)
    first = [n.next(sid=sid) for _ in range(3)]
    assert [m.payload for m in first] == [b"v0", b"v1", b"v2"]
    assert dict(first[1].headers)["Nats-Subject"] == topic and dict(first[1].headers)["N"] == "1"
    assert n.nothing(sid), "more than the window"
    n.publish(first[0].reply, b"+ACK")
    last = n.next(sid=sid)
    assert last.payload == b"v3" and n.nothing(sid), last
    n.publish(first[1].reply, b"+TERM")
    n.publish(first[2].reply, b'-NAK {"delay": 1000000}')
    again = n.next(sid=sid)
    assert again.payload == b"v2" and deliveries(again) == 2, again
    n.publish(again.reply, b"")
    n.publish(last.reply)
    told = json.loads(n.request(f"$FLUX.API.CONSUMER.INFO.window.{topic}").payload)
    assert (told["num_ack_pending"], told["num_pending"], told["acknowledged"]) == (0, 0, 4), told
    n.close()


def consumers_repeat_when_time_is_over(w):
    """However late this client is: a message comes again and again, until an acknowledgement was in time."""
    topic, n = w.topic(), w.nats()
    published(n, topic, b"v")
    sid = consumer(n, "again", topic, ack_wait_ms=200, backoff_ms=20, max_deliver=1000)
    for times in range(1, 4):
        m = n.next(sid=sid)
        assert m.payload == b"v" and deliveries(m) == times, m

    def over():
        m = n.next(sid=sid)
        n.publish(m.reply)
        told = json.loads(n.request(f"$FLUX.API.CONSUMER.INFO.again.{topic}").payload)
        return (told["num_ack_pending"], told["num_pending"], told["acknowledged"]) == (0, 0, 1)
    wait_until(over, 20, "the acknowledgement")
    n.close()


def dead_letters(w):
    topic, n = w.topic(), w.nats()
    published(n, topic, b"poison", [("A", "b"), ("Kafka-Key", "k")])
    sid = consumer(n, "mortal", topic, ack_wait_ms=20, backoff_ms=5, max_deliver=3)
    assert [deliveries(n.next(sid=sid)) for _ in range(3)] == [1, 2, 3]
    info = f"$FLUX.API.CONSUMER.INFO.mortal.{topic}"
    wait_until(lambda: json.loads(n.request(info).payload)["dead_letters"] == 1, 10, "the dead letter")
    found = [r for p in range(w.kafka_partitions(topic + ".dead")) for r in w.all(topic + ".dead", p)]
    assert len(found) == 1 and found[0].value == b"poison" and found[0].key == b"k", found
    h = dict(found[0].headers)
    assert h["A"] == b"b" and h["Dead-Letter-Topic"] == topic.encode() and h["Dead-Letter-Deliveries"] == b"3", h
    assert h["Dead-Letter-Offset"] == b"0" and h["Dead-Letter-Consumer"] == b"mortal", h
    assert n.nothing(sid)
    n.close()


def dead_letters_by_the_command_line(w):
    topic, n = w.topic(2, live_subjects="late.>"), w.nats()

    def tool(*words):
        run = subprocess.run([w.broker.binary, "dead", *words, "--server", f"127.0.0.1:{w.nats_port}"], check=False,
                             capture_output=True, text=True, timeout=20)
        return run.returncode, run.stdout, run.stderr
    for i in range(5):
        published(n, f"late.{i}", b"letter %d" % i, [("A", "b"), ("Kafka-Key", "k%d" % i)])
    sid = consumer(n, "tooled", topic, ack_wait_ms=10, backoff_ms=1, max_deliver=1)
    dead = topic + ".dead"

    def letters():
        code, said, _ = tool(dead, "--json")
        return [json.loads(line) for line in said.splitlines()] if code == 0 else []
    found = wait_until(lambda: letters() if len(letters()) == 5 else None, 10, "five dead letters")
    assert sorted(m["payload"] for m in found) == [f"letter {i}" for i in range(5)], found
    assert found[0]["headers"]["Dead-Letter-Topic"] == [topic], found[0]
    n.request(f"$FLUX.API.CONSUMER.DELETE.tooled.{topic}")
    n.send(f"UNSUB {sid}\r\n".encode())
    live = n.subscribe("late.*")
    code, _, said = tool(dead, "--replay", "--raw")
    assert code == 0 and "5 published again" in said, said
    again = [n.next(sid=live) for _ in range(5)]
    assert sorted((m.subject, m.payload) for m in again) == [(f"late.{i}", b"letter %d" % i) for i in range(5)], again
    assert all(sorted(k for k, _ in m.headers) == ["A", "Kafka-Key"] for m in again), again
    assert sum(len(w.all(topic, p)) for p in range(2)) == 10
    code, _, said = tool("no-such-topic.dead")
    assert code == 1 and "no topic" in said, said
    n.close()


def consumers_share_and_go_on_after_a_kill(w):
    topic, n = w.topic(3), w.nats()
    members = [w.nats(), w.nats()]
    sids = [consumer(m, "shared", topic, ack_wait_ms=60000) for m in members]
    for i in range(90):
        w.produce(topic, [(None, b"v%d" % i, [])], i % 3)
    seen = {0: [], 1: []}

    def work(i):
        members[i].socket.settimeout(5)
        while len(seen[0]) + len(seen[1]) < 90:
            try:
                m = members[i].next(0.3, sids[i])
            except TimeoutError:
                continue
            seen[i].append(m.payload)
            members[i].publish(m.reply, b"+ACK")
        members[i].flush()
    threads = [threading.Thread(target=work, args=(i,)) for i in range(2)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert sorted(seen[0] + seen[1]) == sorted(b"v%d" % i for i in range(90))
    assert len(seen[0]) > 15 and len(seen[1]) > 15, (len(seen[0]), len(seen[1]))

    def committed():
        answer = w.kafka.call("OffsetFetch", 7, {"groupId": "shared", "topics": [
            {"name": topic, "partitionIndexes": [0, 1, 2]}], "requireStable": False})
        return [p["committedOffset"] for p in answer["topics"][0]["partitions"]] == [30, 30, 30]
    wait_until(committed, 20, "the commit")
    for m in (*members, n):
        m.close()
    w.restart()
    w.produce(topic, [(None, b"after", [])], 1)
    n = w.nats()
    sid = n.subscribe(f"$FLUX.CONSUME.shared.{topic}")
    m = n.next(sid=sid)
    assert m.payload == b"after", m
    told = json.loads(n.request(f"$FLUX.API.CONSUMER.INFO.shared.{topic}").payload)
    assert told["config"]["ack_wait_ms"] == 60000, "the settings are kept with the offsets"
    n.publish(m.reply)
    assert json.loads(n.request(f"$FLUX.API.CONSUMER.DELETE.shared.{topic}").payload) == {"success": True}
    assert n.nothing(sid)
    n.close()


def requests_that_make_no_sense(w):
    topic, n = w.topic(), w.nats()
    for subject, body in ((f"$FLUX.API.CONSUMER.CREATE.x.{topic}", b"{"), (f"$FLUX.API.CONSUMER.NOPE.x.{topic}", b""),
                          (f"$FLUX.API.CONSUMER.CREATE.x.{topic}", b'{"ack_wait_ms":0}'),
                          ("$FLUX.API.CONSUMER.CREATE.x.no-such-topic", b""),
                          (f"$FLUX.API.CONSUMER.INFO.never.{topic}", b"")):
        assert "error" in json.loads(n.request(subject, body).payload), subject
    for place in ("_", "_.p0", f"_.p9.{topic}.x.1.0.1.1.1", f"_.px.{topic}.x.1.0",
                  f"_.p0.{topic}.x.1.99999999999999999999"):
        n.publish("$JS.ACK." + place, b"+ACK")
    n.flush()
    assert w.broker.alive()
    n.close()


CASES = [in_by_nats_out_by_kafka, in_by_kafka_out_by_nats, subjects_of_a_topic, a_subject_becomes_a_topics,
         topics_in_memory,
         messages_say_where_they_are,
         compacted_topics_keep_the_last_of_a_subject, both_doors_at_once, what_was_answered_survives_a_kill, replay,
         expired_records_are_not_replayed, consumers_repeat_until_acknowledged, consumers_repeat_when_time_is_over,
         dead_letters,
         dead_letters_by_the_command_line,
         consumers_share_and_go_on_after_a_kill, requests_that_make_no_sense]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--bin", default=DEFAULT_BIN)
    parser.add_argument("case", nargs="*", help="only cases whose name contains it")
    arguments = parser.parse_args()
    tap, w = Tap(), World(arguments.bin)
    try:
        for case in CASES:
            if not arguments.case or any(word in case.__name__ for word in arguments.case):
                tap.run(case.__name__.replace("_", " "), case, w)
        tap.run("the broker ends well", w.broker.end_well)
    finally:
        w.broker.close()
    tap.finish()


if __name__ == "__main__":
    main()
