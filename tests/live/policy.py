#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What subscribers that don't keep up get, times to live and their accounts; presets and reloading.

policy.py [--bin FILE] [case...]
"""

import argparse
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from random import Random

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "harness")]

from broker import DEFAULT_BIN, FluxMQ, free_port, wait_until  # noqa: E402
from client import Client  # noqa: E402
from door import Nats, batch, records  # noqa: E402
from tap import Tap  # noqa: E402

TOPIC, BROKER = 2, 4
BIG = b"x" * 60000  # a socket and the output before a backlog take some hundreds of them


class World:
    """A broker of a case's own."""

    def __init__(self, binary, settings=None, options=()):
        ports = [free_port(24300, 24399)]
        for _ in range(2):
            ports.append(free_port(24300, 24399, but=ports))
        kafka, self.nats_port, self.http = ports
        self.broker = FluxMQ(port=kafka, binary=binary, settings=settings, options=[
            "--nats-port", str(self.nats_port), "--metrics-port", str(self.http), *options])
        self.broker.start()
        self.kafka = Client(kafka)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is None:
            self.kafka.close()
            self.broker.end_well()
        self.broker.close()

    def nats(self):
        n = Nats(self.nats_port)
        n.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return n

    def restart(self):
        self.kafka.close()
        self.broker.kill()
        self.broker.start()
        self.kafka = Client(self.broker.port)

    def all(self, topic, partition=0):
        """What a Kafka consumer reads, from the beginning."""
        out, at = [], 0
        while True:
            code, mark, data = self.kafka.fetch(topic, {partition: at})[partition]
            assert code == 0, code
            got = [r for r in records(data) if r.offset >= at]
            out += got
            at = got[-1].offset + 1 if got else mark
            if at >= mark:
                return out

    def settings(self, kind, name, *keys):
        answer = self.kafka.call("DescribeConfigs", 1, {"resources": [
            {"resourceType": kind, "resourceName": name, "configurationKeys": list(keys)}], "includeSynonyms": False})
        return {row["name"]: row["value"] for row in answer["results"][0]["configs"]}

    def live(self):
        """The engine's figures, by what follows fluxmq_live_."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http}/metrics", timeout=10) as answer:
            rows = [line.rsplit(" ", 1) for line in answer.read().decode().split("\n") if line.startswith("fluxmq_")]
        return {name.removeprefix("fluxmq_").removeprefix("live_"): float(value) for name, value in rows}


def published(n, subject, payload=b"", headers=()):
    """Published, and served."""
    n.publish(subject, payload, headers=headers)
    n.flush()


def answered(n, seconds):
    """Whether a PING that was sent is, within that time."""
    try:
        while not n.step(seconds):
            pass
        return True
    except TimeoutError:
        return False


def is_held(w, n):
    """Whether the door doesn't read this client, which has sent a PING. A machine with other work on it may need a
    second for an answer: it is for this client alone that there is none, before and after others get theirs."""
    while not answered(n, 0.5):
        begin = time.monotonic()
        for _ in range(8):
            w.nats().close()
        if time.monotonic() - begin < 0.5:
            return not answered(n, 0.5)
    return False


def fill(w, n, subject):
    """Publishes to a subject until the door doesn't read this client any more."""
    for _ in range(4000):
        n.publish(subject, BIG)
        n.send(b"PING\r\n")
        if is_held(w, n):
            return
    raise AssertionError("the publisher was never held")


def who_is_held(binary):
    """A subscription that takes nothing holds those who publish to it, and nobody else."""
    with World(binary, {"nats.overflow": "block", "nats.overflow.messages": 10,
                        "nats.write.deadline.ms": 600000}) as w:
        stuck, reader, a, b = w.nats(), w.nats(), w.nats(), w.nats()
        stuck.subscribe("stuck.>")
        sid = reader.subscribe("free.>")
        fill(w, a, "stuck.x")
        for i in range(100):
            published(b, "free.x", b"%d" % i)
        assert [reader.next(sid=sid).payload for _ in range(100)] == [b"%d" % i for i in range(100)]
        stuck.close()  # who held it is gone: it goes on
        while not a.step(10):
            pass
        for n in (reader, a, b):
            n.close()


def policy_of(w, pattern, subject, count=400):
    """What a subscriber that doesn't read gets: found out by what it has got in the end."""
    taker, giver = w.nats(), w.nats()
    before = w.live()

    def more(what):
        return w.live()[what] - before[what]
    try:
        sid = taker.subscribe(pattern)
        for i in range(count):
            giver.publish(subject, b"%d " % i + BIG)
            giver.send(b"PING\r\n")
            if is_held(w, giver):
                return "block"
        try:
            def all_there():
                taker.flush()
                return w.live()["pending"] == 0
            # A topic's log is pushed later than its publisher is answered: nothing is read before it is.
            wait_until(lambda: more("matched_total") == count or more("nats_slow_consumers_total"), 20, "all matches")
            wait_until(all_there, 20, "the backlog's end")
            taker.flush()
        except (ConnectionError, TimeoutError):
            return "disconnect"
        got = [int(m.payload.split()[0]) for m in taker.inbox if m.sid == sid]
        assert got == sorted(set(got)) and {m.subject for m in taker.inbox} == {subject}
        lost = sorted(set(range(count)) - set(got))
        if not lost:
            return "everything"
        kept = count - 1 - lost[-1]
        return f"drop-oldest-{kept}" if kept else "drop-newest"
    finally:
        taker.close()
        giver.close()


def who_says_the_policy(binary):
    """Subscription, topic, prefix, all: the first that says it."""
    settings = {"nats.overflow": "disconnect", "nats.max.pending": 4 << 20, "nats.overflow.messages": 7,
                "nats.write.deadline.ms": 600000,
                "nats.subjects": "ticks.>=drop-oldest:5:1h, alerts.*=block:3,both.>=30s:9, news.>=drop-newest"}
    with World(binary, settings) as w:
        w.kafka.create_topic("t", 1, {"live.subjects": "both.>,ticks.in.t", "live.overflow": "drop-oldest",
                                      "live.backlog": "4"})
        for pattern, subject, want in (
                ("plain.x", "plain.x", "disconnect"),
                ("ticks.x", "ticks.x", "drop-oldest-5"),
                ("news.*", "news.x", "drop-newest"),
                (">", "ticks.x", "disconnect"),  # not all of its subjects are under the prefix
                ("alerts.x", "alerts.x", "block"),
                ("$FLUX.LIVE.drop-oldest-6.alerts.x", "alerts.x", "drop-oldest-6"),
                ("$FLUX.LIVE.drop-oldest.plain.>", "plain.x", "drop-oldest-7"),
                ("$FLUX.LIVE.drop-newest-1.ticks.*", "ticks.x", "drop-newest"),
                ("$FLUX.LIVE.disconnect.ticks.x", "ticks.x", "disconnect")):
            got = policy_of(w, pattern, subject)
            assert got == want, (pattern, got, want)
        n = w.nats()
        for subject in ("$FLUX.LIVE.nonsense.x", "$FLUX.LIVE.block", "$FLUX.LIVE.block-0.x", "$FLUX.LIVE.block.",
                        "$FLUX.LIVE.-5.x", "$FLUX.LIVE.block-99999999999.x", "$FLUX.LIVE.block.a..b"):
            try:
                n.subscribe(subject)
            except RuntimeError as error:
                assert "Invalid Subject" in str(error)
                while not n.step(10):
                    pass
            else:
                raise AssertionError(subject)
        n.close()


def topics_have_a_policy(binary):
    """The log is the queue of a topic's subscribers until they are pushed: what is lost is lost to them alone."""
    with World(binary, {"nats.subjects": "t.>=block", "nats.write.deadline.ms": 600000}) as w:
        w.kafka.create_topic("t", 1, {"live.subjects": "t.>", "live.overflow": "drop-oldest", "live.backlog": "4"})
        assert policy_of(w, "t.x", "t.x") == "drop-oldest-4"
        assert policy_of(w, "t.*", "t.x") == "drop-oldest-4"


def prefixes_have_a_time_to_live(binary):
    with World(binary, {"nats.subjects": "soon.>=50ms,t.>=1h", "nats.overflow": "drop-oldest"}) as w:
        w.kafka.create_topic("t", 1, {"live.subjects": "t.>"})
        w.kafka.create_topic("own", 1, {"live.subjects": "t.own", "message.ttl.ms": "5000"})
        taker, giver = w.nats(), w.nats()
        taker.subscribe("soon.>")
        for i in range(400):
            published(giver, "soon.x", BIG, [("Nats-TTL", "never")] if i == 399 else ())
        wait_until(lambda: w.live()["pending"] > 10, 10, "a backlog")

        def drained():
            taker.flush()
            return w.live()["pending"] == 0
        time.sleep(0.06)  # what waits is past its time now
        wait_until(drained, 10, "the backlog's end")
        taker.flush()
        assert w.live()["expired_total"] > 10, w.live()
        assert taker.inbox[-1].headers == [("Nats-TTL", "never")]
        for subject, headers, want in (("t.x", (), [("Nats-Subject", b"t.x"), ("Nats-TTL", b"3600000ms")]),
                                       ("t.x", [("Nats-TTL", "99")], [("Nats-Subject", b"t.x"), ("Nats-TTL", b"99")])):
            before = len(w.all("t"))
            published(giver, subject, b"v", headers)
            wait_until(lambda: len(w.all("t")) > before, 20, "the record")
            assert w.all("t")[-1].headers == want, w.all("t")[-1]
        taker.close()
        giver.close()


def kafka_sees_no_expired_record(binary):
    """Nor do they come back after a restart; offsets stay, and who reads comes past them."""
    with World(binary) as w:
        w.kafka.create_topic("plain", 1)
        w.kafka.create_topic("memory", 1, {"storage.class": "memory"})
        w.kafka.create_topic("all", 1, {"message.ttl.ms": "50"})
        n = w.nats()
        for topic in ("plain", "memory"):
            for i in range(30):
                n.request(topic, b"%d" % i, [("Nats-TTL", "1ms")] if i % 10 < 4 or i >= 20 else [])
        for i in range(5):
            w.kafka.produce("all", 0, batch([(None, b"%d" % i, []), (None, b"stays", [("Nats-TTL", b"1h")]),
                                             (None, b"and I", [("Nats-TTL", b"never")])]))
        w.kafka.produce("all", 0, batch([(None, b"gone", [])]))
        left = [(i, b"%d" % i) for i in range(20) if i % 10 >= 4]

        def seen(topic):
            return [(r.offset, r.value) for r in w.all(topic)]
        for topic in ("plain", "memory"):
            wait_until(lambda t=topic: seen(t) == left, 20, f"{topic}: {seen(topic)}")
        want = [(i * 3 + k, v) for i in range(5) for k, v in ((1, b"stays"), (2, b"and I"))]
        wait_until(lambda: seen("all") == want, 20, "the end of 50 ms")
        for topic, end in (("plain", 30), ("memory", 30), ("all", 16)):
            code, mark, data = w.kafka.fetch(topic, {0: end - 1})[0]  # what is left of the last: a header
            assert (code, mark, len(data)) == (0, end, 61), (topic, code, mark, len(data))
        marker = os.path.join(w.broker.data, "plain-0", "fluxmq.ttl")
        assert os.path.exists(marker) and not os.path.exists(marker.replace("plain", "all"))
        n.close()
        w.restart()
        assert seen("plain") == left and seen("all") == want


PRESETS = os.path.join(HERE, "..", "..", "presets")


def presets(binary):
    for name, waiting, records_kept in (("high-throughput", 8192, 50000), ("mixed", 2048, 10000),
                                        ("low-latency", 256, 1000)):
        path = os.path.join(PRESETS, name + ".properties")
        subprocess.run([binary, "check-config", path], check=True, capture_output=True)
        with World(binary, {"log.level": "warn"}, ["--config", path]) as w:
            if name == "low-latency":
                assert policy_of(w, "x", "x", 800) == f"drop-oldest-{waiting}"
            w.kafka.create_topic("m", 1, {"storage.class": "memory"})
            assert w.settings(TOPIC, "m", "retention.records") == {"retention.records": str(records_kept)}
            with open(w.broker.log, encoding="utf-8") as log:
                assert "WARN" not in log.read()


def reloading(binary):
    """By SIGHUP and by itself; all of a file or nothing of it."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "fluxmq.properties")

        def write(text):
            with open(path + ".new", "w", encoding="utf-8") as file:
                file.write(text)
            os.replace(path + ".new", path)
        write("nats.overflow=drop-newest\nnats.max.payload=100000\n")
        with World(binary, options=["--config", path]) as w:
            def said(words):
                with open(w.broker.log, encoding="utf-8") as log:
                    return [line for line in log if words in line]

            def counts():
                return [w.live()[f"config_reload{x}_total"] for x in ("s", "_failures")]
            assert counts() == [0, 0]
            got = policy_of(w, "x", "x")
            assert got == "everything", got  # 65536 may wait
            write("nats.overflow=drop-oldest\nnats.overflow.messages=3\nnats.max.payload=200000\n"
                  "log.retention.ms=3600000\n")
            line = wait_until(lambda: said("read again"), 10, "the watch")[0]
            assert all(x in line for x in ("nats.overflow,", "nats.overflow.messages", "log.retention.ms")), line
            assert "needs a restart: nats.max.payload" in line, line
            assert policy_of(w, "x", "x") == "drop-oldest-3"
            assert w.settings(BROKER, "0", "log.retention.ms") == {"log.retention.ms": "3600000"}
            w.kafka.create_topic("t", 1)
            assert w.settings(TOPIC, "t", "retention.ms") == {"retention.ms": "3600000"}
            write("nats.overflow=block\nnats.overflow.messages=none\n")
            line = wait_until(lambda: said("nothing was changed"), 10, "the refusal")[0]
            assert path + ":2" in line and "nats.overflow.messages" in line, line
            assert policy_of(w, "x", "x") == "drop-oldest-3" and counts() == [1, 1]
            with open(path, "w", encoding="utf-8") as file:
                file.write("nats.overflow=block\nnats.overflow.messages=3\n")
            w.broker.process.send_signal(signal.SIGHUP)
            wait_until(lambda: counts()[0] >= 2, 10, "SIGHUP")
            assert policy_of(w, "x", "x") == "block"

            def fastest():
                w.broker.process.send_signal(signal.SIGHUP)
                return min(int(line.split(" us;", maxsplit=1)[0].rsplit(" ", 1)[1]) for line in said("read again"))
            # Some hundred us, but the program may be instrumented, and the machine busy: not every time.
            wait_until(lambda: fastest() < 20000, 20, "a file that is read again soon")
            return f"read again in {fastest()} us"


SUMMED = ("delivered_total", 'dropped_total{reason="oldest"}', 'dropped_total{reason="newest"}',
          'dropped_total{reason="gone"}', "expired_total", "pending")


def schedule(w, random, rounds):
    """Subscribers of every kind, some that don't read, some that go; messages with and without an end."""
    takers, giver, sent = [], w.nats(), 0
    kinds = ["", "$FLUX.LIVE.drop-oldest-3.", "$FLUX.LIVE.drop-newest-2.", "$FLUX.LIVE.drop-oldest-50.",
             "$FLUX.LIVE.disconnect."]
    for _ in range(rounds):
        step = random.random()
        if step < 0.2 and len(takers) < 12:
            n = w.nats()
            for _ in range(random.randrange(1, 3)):
                n.subscribe(random.choice(kinds) + random.choice(["acc.>", "acc.*", "acc.1"]), random.choice(["", "q"]))
            takers.append(n)
        elif step < 0.27 and takers:
            takers.pop(random.randrange(len(takers))).close()
        elif step < 0.45 and takers:
            try:
                random.choice(takers).flush()
            except OSError:
                pass  # it was too slow
        else:
            for _ in range(random.randrange(1, 40)):
                sent += 1
                headers = random.choice([(), (), [("Nats-TTL", "2ms")], [("Nats-TTL", "0ms")], [("Nats-TTL", "1h")]])
                giver.publish(f"acc.{random.randrange(3)}", BIG[:random.choice([10, 10, 60000])], headers=headers)
            giver.flush()
        now = w.live()
        assert now["matched_total"] >= now["delivered_total"]
    giver.flush()
    giver.close()
    return takers, sent


def everything_is_accounted_for(binary):
    """matched = delivered + dropped, by reason + expired + pending, whatever happens."""
    seed = int(os.environ.get("SEED", "0")) or int(time.time())
    random = Random(seed)
    settings = {"nats.overflow": "drop-oldest", "nats.overflow.messages": 20, "nats.max.pending": 4 << 20}
    with World(binary, settings) as w:
        def adds_up(pending=None):
            now = w.live()
            good = now["matched_total"] == sum(now[x] for x in SUMMED) and pending in (None, now["pending"])
            return now if good else None
        now, rounds = {}, 0
        while rounds < 3 or not all(now[x] > 0 for x in SUMMED[:-1]):  # whether some expire is the machine's doing
            assert rounds < 20, (seed, now)
            takers, sent = schedule(w, random, 120)
            wait_until(adds_up, 20, f"the sum (seed {seed}): {w.live()}")
            assert w.live()["published_total"] >= sent
            for n in takers:
                n.close()
            now = wait_until(lambda: adds_up(0), 20, f"nothing pending (seed {seed})")
            rounds += 1
    return f"seed {seed}: " + ", ".join(f"{x} {now[x]:.0f}" for x in ("matched_total", *SUMMED))


def produce(client, topic, value, acks=-1):
    """For how long the producer is told to wait, in ms."""
    data = batch([(None, value, [])])
    if acks == 0:
        client.send_produce(topic, 0, data, 0)
        return None
    answer = client.call("Produce", 9, {"transactionalId": None, "acks": acks, "timeoutMs": 5000, "topicData": [
        {"name": topic, "partitionData": [{"index": 0, "records": data}]}]})
    part, = answer["responses"][0]["partitionResponses"]
    assert part["errorCode"] == 0, part
    return answer["throttleTimeMs"]


def took(what, *arguments):
    """How long a call takes, in ms."""
    begin = time.monotonic()
    what(*arguments)
    return (time.monotonic() - begin) * 1000


def block_slows_producers(binary):
    """Who produces to a topic whose subscriber is full and loses nothing: told to wait, and not served meanwhile."""
    with World(binary, {"nats.write.deadline.ms": 600000}) as w:
        w.kafka.create_topic("t", 1, {"live.overflow": "block", "live.backlog": "4"})
        w.kafka.create_topic("other", 1)
        taker, giver, sent = w.nats(), w.nats(), []
        sid = taker.subscribe("t")
        one, two = Client(w.broker.port), Client(w.broker.port)

        def value():
            sent.append(b"%d " % len(sent) + BIG)
            return sent[-1]
        longest = 0
        while longest < 300:
            assert len(sent) < 2000, "nobody was told to wait"
            longest = produce(one, "t", value())
        assert longest <= 1000

        # A time is taken from before what is to be waited for; and a machine with other work on it makes anybody
        # wait, but not every time.
        def others_go_on():
            told = produce(one, "t", value())
            return told > 0 and took(two.ends, "t", 1) < 200 > took(produce, two, "other", b"x")
        wait_until(others_go_on, 20, "others wait too")
        assert produce(two, "other", b"x") == 0

        def waits():
            """Who has to wait is known for a second after a push: if that was over, the next one finds it out."""
            told = []
            ms = took(lambda: (told.append(produce(one, "t", value())), one.ends("t", 1)))
            assert ms > told[0] * 0.9, "the connection was served all the time"
            return told[0] > 0
        wait_until(waits, 20, "a producer that has to wait")
        wait_until(lambda: took(lambda: (produce(two, "t", value(), 0), two.ends("t", 1))) > longest / 2, 20,
                   "acks=0 is a way around")  # nobody can tell it
        wait_until(lambda: took(published, giver, "t", value()) > longest / 2, 20, "publishers don't wait")
        got = []
        while len(got) < len(sent):
            got.append(int(taker.next(sid=sid).payload.split()[0]))
        assert got == list(range(len(sent)))
        wait_until(lambda: produce(one, "t", b"last") == 0, 20, "the end of waiting")
        wait_until(lambda: took(giver.flush) < 200, 20, "publishers go on")
        assert w.live()["produce_throttled_total"] >= 3
        taker.close()
        for n in (giver, one, two):
            n.close()
        return f"after {len(sent)} messages told to wait {longest} ms"


def block_ends_with_its_subscriber(binary):
    """Whoever waited goes on at once when the one they wait for is gone."""
    with World(binary, {"nats.write.deadline.ms": 600000}) as w:
        w.kafka.create_topic("t", 1, {"live.overflow": "block", "live.backlog": "4"})
        taker, giver = w.nats(), w.nats()
        taker.subscribe("t")
        wait_until(lambda: produce(w.kafka, "t", BIG) > 500, 30, "the producer is told to wait")
        taker.close()
        wait_until(lambda: produce(w.kafka, "t", b"x") == 0, 20, "the end of waiting")
        wait_until(lambda: took(published, giver, "t", b"x") < 400, 20, "publishers go on")
        giver.close()


def retention_does_not_wait(binary):
    """A topic in memory keeps what it may keep; what its subscribers miss by that is counted."""
    with World(binary, {"nats.write.deadline.ms": 600000}) as w:
        w.kafka.create_topic("m", 1, {"live.overflow": "block", "live.backlog": "4", "storage.class": "memory",
                                      "retention.records": "10"})
        taker, count = w.nats(), 0
        taker.subscribe("m")
        while produce(w.kafka, "m", b"%d " % count + BIG) == 0:
            count += 1
            assert count < 2000
        for _ in range(3):
            w.kafka.produce("m", 0, batch([(None, b"x", [])] * 100))
        w.kafka.produce("m", 0, batch([(None, b"last", [])]))
        wait_until(lambda: w.kafka.ends("m", 1, -2)[0] > count + 200, 10, "retention")
        while not taker.inbox or taker.inbox[-1].payload != b"last":
            taker.step(10)
        missed = w.live()["missed_total"]
        assert missed > 100 and missed + len(taker.inbox) == w.kafka.ends("m", 1)[0], (missed, len(taker.inbox))
        taker.close()
        return f"{missed:.0f} missed of {w.kafka.ends('m', 1)[0]}"


class Life:
    """One life of a broker with a durable topic `t` whose subscribers lose nothing, and with what is live only."""

    def __init__(self, w, random, stored):
        self.w, self.random, self.stored = w, random, stored
        self.giver, self.kafka = w.nats(), Client(w.broker.port)
        self.takers = []  # (connection, sid, records in the log when it came)
        self.gone = []    # what those got who left early

    def read(self, n, seconds=0.02):
        """What is there for it."""
        try:
            while True:
                n.step(seconds)
        except TimeoutError:
            pass

    def flush(self):
        """The publisher may be held by anybody: they read until it goes on."""
        self.giver.send(b"PING\r\n")
        end = time.monotonic() + 60
        while True:
            try:
                while not self.giver.step(0.05):
                    pass
                return
            except TimeoutError:
                assert time.monotonic() < end, "a publisher is held for ever"
                for n, _, _ in self.takers:
                    self.read(n)

    def arrive(self):
        n = self.w.nats()
        if self.random.random() < 0.5:
            n.subscribe("$FLUX.LIVE.block-3.acc.*")
        self.takers.append((n, n.subscribe(self.random.choice(["t", "$FLUX.LIVE.block-2.t", "$FLUX.LIVE.block-40.t"])),
                            len(self.stored)))

    def leave(self):
        n, sid, _ = self.takers.pop(self.random.randrange(len(self.takers)))
        self.gone.append([m.payload for m in n.inbox if m.sid == sid])
        n.close()

    def publish(self):
        for _ in range(self.random.randrange(1, 8)):
            value = b"%d " % len(self.stored) + BIG[:self.random.choice([10, 10, 60000])]
            kind = self.random.random()
            if kind < 0.4:
                self.giver.publish(f"acc.{self.random.randrange(3)}", value,
                                   headers=self.random.choice([(), [("Nats-TTL", "1h")], [("Nats-TTL", "1ms")]]))
                continue
            if kind < 0.7:
                produce(self.kafka, "t", value)
            else:
                self.giver.publish("t", value)
                self.flush()
            self.stored.append(value)
        self.flush()

    def step(self):
        kind = self.random.random()
        if kind < 0.15 and len(self.takers) < 8:
            self.arrive()
        elif kind < 0.2 and self.takers:
            self.leave()
        elif kind < 0.4 and self.takers:
            self.read(self.random.choice(self.takers)[0])
        else:
            self.publish()

    def check(self):
        """Everything that was stored since it came, in order, has reached who is still there."""
        for n, sid, came in self.takers:
            while True:
                got = [m.payload for m in n.inbox if m.sid == sid]
                if len(self.stored) == came or got[-1:] == self.stored[-1:]:
                    break
                n.step(10)
            assert got == self.stored[len(self.stored) - len(got):] and len(got) >= len(self.stored) - came
        for got in self.gone:
            assert got == [] or got == self.stored[int(got[0].split()[0]):][:len(got)]

    def close(self):
        for n in (self.giver, self.kafka, *(taker[0] for taker in self.takers)):
            n.close()


def accounts_of_block_and_restarts(binary):
    """Who must lose nothing gets all there is in the log, and the sum is right, in every life of a broker."""
    seed = int(os.environ.get("SEED", "0")) or int(time.time())
    random, stored = Random(seed), []
    with World(binary, {"nats.overflow": "block", "nats.overflow.messages": 5,
                        "nats.write.deadline.ms": 600000}) as w:
        w.kafka.create_topic("t", 1, {"live.overflow": "block", "live.backlog": "4"})

        def adds_up(pending=None):
            now = w.live()
            good = now["matched_total"] == sum(now[x] for x in SUMMED) and pending in (None, now["pending"])
            of_t = [now.get("topic_" + (x.replace("{", '{topic="t",') if "{" in x else x + '{topic="t"}'), 0)
                    for x in ("matched_total", *SUMMED)]  # those of the topic alone
            return now if good and of_t[0] == sum(of_t[1:]) > 0 else None
        total = 0
        for life in range(3):
            play = Life(w, random, stored)
            play.arrive()  # or there may be nothing to add up
            for _ in range(60):
                play.step()
            wait_until(adds_up, 20, f"the sum (seed {seed}): {w.live()}")
            if life < 2:  # killed as it is; what was answered for is there
                w.restart()
                play.close()
                assert [r.value for r in w.all("t")] == stored, f"seed {seed}"
                assert all(w.live()[x] == 0 for x in ("matched_total", *SUMMED)), w.live()
            else:
                play.check()
                play.close()
                wait_until(lambda: adds_up(0), 20, f"nothing pending (seed {seed})")
            total += len(play.takers) + len(play.gone)
    return f"seed {seed}: {len(stored)} records, {total} subscribers"


CASES = [who_is_held, block_slows_producers, block_ends_with_its_subscriber,
         retention_does_not_wait, who_says_the_policy,
         topics_have_a_policy, prefixes_have_a_time_to_live, kafka_sees_no_expired_record, presets, reloading,
         everything_is_accounted_for, accounts_of_block_and_restarts]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--bin", default=DEFAULT_BIN)
    parser.add_argument("case", nargs="*", help="only cases whose name contains it")
    arguments = parser.parse_args()
    tap = Tap()
    for case in CASES:
        if not arguments.case or any(word in case.__name__ for word in arguments.case):
            tap.run(case.__name__.replace("_", " "), case, arguments.bin)
    tap.finish()


if __name__ == "__main__":
    main()
