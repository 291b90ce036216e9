# SPDX-License-Identifier: MIT
"""The cases of `fluxmq bench`: each is a function of a World (run.py), or of a Kafka's address."""

import glob
import json
import os
import signal
import threading


def load(w, *words, status=0):
    """A load of `fluxmq bench` and its report."""
    out, err = w.run("bench", *words, "--json", status=status)
    assert status != 0 or not err, err
    return json.loads(out)


def kafka(w):
    return ("--brokers", w.kafka if hasattr(w, "kafka") else f"127.0.0.1:{w.broker.port}")


# ---- without a server

def wrong_loads(w):
    for words, wanted in (((), "produce, consume, e2e or fan-out"), (("swim",), "produce, consume, e2e or fan-out"),
                          (("produce",), "a topic is wanted"), (("produce", "a", "b"), "one topic"),
                          (("produce", "t", "--acks", "2"), "--acks 2"),
                          (("produce", "t", "--size", "-1"), "--size -1"),
                          (("e2e", "t", "--size", "15"), "from 16 on"),
                          (("e2e", "t", "--from", "end"), "knows no --from"),
                          (("consume", "t", "--rate", "1"), "bench consume knows no --rate"),
                          (("consume", "t", "--from", "end"), "--count or --duration"),
                          (("consume", "t", "--from", "middle"), "--from middle"),
                          (("fan-out", "a.*"), "wildcards"), (("fan-out", "--acks", "1"), "knows no --acks"),
                          (("produce", "t", "--in-flight", "100000000"), "too much"),
                          (("produce", "t", "--duration", "0"), "more than nothing"),
                          (("produce", "t", "-b", "h:x"), "HOST:PORT")):
        _, err = w.run("bench", *words, status=2)
        assert wanted in err and err.count("\n") == 1, (words, err)


def no_kafka_there(w):
    port = str(w.port())
    _, err = w.run("bench", "produce", "t", "-b", "127.0.0.1:" + port, status=1)
    assert port in err and "Connection refused" in err, err
    _, err = w.run("bench", "fan-out", "-s", "127.0.0.1:" + port, status=1)
    assert port in err and "Connection refused" in err, err


# ---- with any Kafka

def every_acks(w):
    """What was produced is what can be read: count, offsets, checksum; with more and fewer connections
    than partitions, one thread and two."""
    total, topic = 0, f"b.acks.{os.getpid()}"
    for acks, connections, threads in (("all", 1, 1), ("1", 5, 2), ("0", 2, 1), ("0", 1, 1)):
        r = load(w, "produce", topic, *kafka(w), "--partitions", "3", "--acks", acks, "--connections",
                 str(connections), "--threads", str(threads), "--count", "20001", "--size", "100", "--verify")
        assert r["good"] and r["records"] == r["sent"] == r["received"] == 20001, r
        assert r["checksum"] == r["checksum_back"] and r["gaps"] == r["wrong"] == 0, r
        assert r["bytes"] == 20001 * 100 and r["conditions"]["partitions"] == 3, r
        assert (r["latency_us"] is None) == (acks == "0"), r
        total += 20001
    r = load(w, "consume", topic, *kafka(w))
    assert r["good"] and r["records"] == total and r["requests"] > 0, r
    r = load(w, "consume", topic, *kafka(w), "--connections", "6", "--threads", "2")
    assert r["records"] == 2 * total and r["gaps"] == 0, r
    r = load(w, "consume", topic, *kafka(w), "--count", "100", "--fetch-size", "20000")
    assert 100 <= r["records"] < total, r


def sizes(w):
    """Any size of a value, and batches that are cut by bytes and by number."""
    for size, extra in ((0, ()), (1, ()), (15, ()), (16, ("--batch-records", "1")), (17, ("--batch-records", "63")),
                        (1000, ("--batch-size", "1")), (100, ("--batch-size", "1000000", "--linger", "50ms"))):
        r = load(w, "produce", "b.sizes", *kafka(w), "--partitions", "1", "--count", "9000", "--size", str(size),
                 "--verify", *extra)
        assert r["good"] and r["received"] == 9000 and r["bytes"] == 9000 * size, (size, extra, r)
        most = int(extra[1]) if len(extra) == 2 else 9000
        assert r["batches"] * most >= 9000, (extra, r)
    assert r["batches"] < 9000 / 5000, r


def open_loop(w):
    """A rate is kept, warm records do not count, and small linger makes few batches."""
    r = load(w, "produce", "b.rate", *kafka(w), "--partitions", "2", "--rate", "2000", "--duration", "1", "--warm",
             "200ms", "--linger", "20ms", "--verify")
    assert r["good"] and r["records"] == 2000 and r["sent"] == 2400, r
    assert 0.9 < r["seconds"] < 20 and r["batches"] < 400, r  # a busy machine ends later
    r = load(w, "produce", "b.rate", *kafka(w), "--rate", "4000", "--count", "1000", "--connections", "4")
    assert r["records"] == 1000 and r["conditions"]["rate"] == 4000, r


def end_to_end(w):
    for words in (("--rate", "1000", "--duration", "1", "--warm", "100ms"),
                  ("--rate", "3000", "--count", "1500", "--connections", "5", "--threads", "2"),
                  ("--count", "5000", "--connections", "2", "--acks", "1")):
        r = load(w, "e2e", "b.e2e", *kafka(w), "--partitions", "3", "--size", "64", *words)
        assert r["good"] and r["sent"] == r["received"] >= r["records"] > 0, r
        assert r["latency_us"]["p50"] <= r["latency_us"]["p99"] <= r["latency_us"]["max"], r
        assert r["acked_us"] and r["checksum"] == r["checksum_back"], r
    assert r["records"] == 5000, r
    # The generator never sleeps on when something is due: it would until the fetch's answer came.
    r = load(w, "e2e", "b.e2e", *kafka(w), "--rate", "10000", "--duration", "1", "--fetch-wait", "9s")
    assert r["good"] and r["latency_us"]["max"] < 5e6, r


def said_as_text(w):
    out, err = w.run("bench", "produce", "b.text", *kafka(w), "--partitions", "1", "--rate", "500", "--duration",
                     "1500ms", "--progress", "--verify")
    assert "offsets and checksums are right" in out and "records/s" in out and "p99" in out, out
    assert "produced" in err and err.count("\n") >= 1, err
    _, err = w.run("bench", "consume", "b.missing", *kafka(w), status=1)
    assert "no topic b.missing" in err and "--partitions" in err, err


def ended_early(w):
    """Ctrl-C: what came so far is reported."""
    p = w.begin("bench", "produce", "b.stop", *kafka(w), "--partitions", "1", "--rate", "1000", "--duration", "60",
                "--progress")
    assert b"produced" in p.stderr.readline()
    p.send_signal(signal.SIGINT)
    out, _ = p.communicate(timeout=60)
    assert p.returncode == 130 and b"records/s" in out, (p.returncode, out)


# ---- with ours only

def a_stall_counts(w):
    """The server stops for a while: every record that was due meanwhile has waited, not just one."""
    w.run("bench", "produce", "b.stall", *kafka(w), "--partitions", "1", "--count", "1")
    for _ in range(5):  # where other work holds us up, the stall may come when the load is over
        p = w.begin("bench", "produce", "b.stall", *kafka(w), "--rate", "1000", "--duration", "2", "--json",
                    "--progress")
        p.stderr.readline()
        w.broker.process.send_signal(signal.SIGSTOP)
        going_on = threading.Timer(0.5, w.broker.process.send_signal, (signal.SIGCONT,))
        going_on.start()
        out, _ = p.communicate(timeout=60)
        going_on.join()
        r = json.loads(out)
        assert r["records"] == 2000, r
        if r["latency_us"]["max"] > 400000 and r["latency_us"]["p90"] > 200000:
            return
    raise AssertionError(r)


def damage_is_seen(w):
    w.run("bench", "produce", "b.damage", *kafka(w), "--partitions", "1", "--count", "1000")
    path, = glob.glob(os.path.join(w.broker.folder, "**", "b.damage-0", "*.log"), recursive=True)
    with open(path, "r+b") as file:
        file.seek(5000)
        was = file.read(1)
        file.seek(5000)
        file.write(bytes([was[0] ^ 1]))
    r = load(w, "consume", "b.damage", *kafka(w), status=1)
    assert not r["good"] and r["wrong"] > 0, r
    r = load(w, "consume", "b.damage", *kafka(w), "--unchecked")
    assert r["records"] == 1000, r


def of_a_process(w):
    r = load(w, "produce", "b.pid", *kafka(w), "--partitions", "1", "--duration", "300ms", "--pid",
             str(w.broker.process.pid))
    assert r["server"]["cpu_s"] > 0 and r["server"]["rss_mib"] > r["server"]["anonymous_mib"] > 0, r


# ---- with any NATS server

def fan_out(w):
    where = ("-s", f"127.0.0.1:{w.nats}")
    r = load(w, "fan-out", *where, "--subscribers", "7", "--publishers", "2", "--count", "5000", "--size", "50")
    assert r["good"] and r["records"] == 5000 and r["sent"] == r["received"] == 35000 and r["wrong"] == 0, r
    r = load(w, "fan-out", "a.subject", *where, "--rate", "1000", "--duration", "1", "--warm", "100ms",
             "--subscribers", "3")
    assert r["good"] and r["records"] == 1000 and r["sent"] == 3300, r
    out, _ = w.run("bench", "fan-out", *where, "--count", "1000", "--subscribers", "1")
    assert "whole and in order" in out and "deliveries" in out, out
    _, err = w.run("bench", "produce", "t", "-b", f"127.0.0.1:{w.nats}", status=1)
    assert "no Kafka" in err, err


ALONE = [("bench: wrong command lines", wrong_loads), ("bench: no server", no_kafka_there)]
KAFKA = [("bench: all acks", every_acks), ("bench: sizes", sizes), ("bench: a rate", open_loop),
         ("bench: end to end", end_to_end), ("bench: text, an unknown topic", said_as_text),
         ("bench: Ctrl-C", ended_early)]
OURS = [("bench: a stall counts", a_stall_counts), ("bench: damage is seen", damage_is_seen),
        ("bench: a process", of_a_process)]
BOTH = [("bench: fan-out", fan_out)]
