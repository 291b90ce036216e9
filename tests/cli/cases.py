# SPDX-License-Identifier: MIT
"""The cases of run.py: each is a function of a World."""

import base64
import json
import os
import re
import select
import signal
import socket
import subprocess
import threading

from broker import wait_until
from client import Client

VERBS = ("pub", "sub", "request", "top", "check-config", "help")


def lines(text):
    return [json.loads(line) for line in text.splitlines()]


def took(process, seconds=20):
    """(standard output, standard error) of a verb that ends well."""
    out, err = process.communicate(timeout=seconds)
    assert process.returncode == 0, (process.returncode, out, err)
    return out.decode(errors="surrogateescape"), err.decode()


class Responder(threading.Thread):
    """A client by hand that answers requests: with what came, reversed; `times` times."""

    def __init__(self, port, subject, times=1):
        super().__init__(daemon=True)
        self.times = times
        self.socket = socket.create_connection(("127.0.0.1", port), 10)
        self.file = self.socket.makefile("rb")
        self.file.readline()
        self.socket.sendall(b'CONNECT {"verbose":false,"headers":false}\r\nSUB %s 1\r\nPING\r\n' % subject.encode())
        while self.file.readline() != b"PONG\r\n":
            pass
        self.start()

    def run(self):
        while line := self.file.readline():
            if line.startswith(b"PING"):
                self.socket.sendall(b"PONG\r\n")
            if not line.startswith(b"MSG"):
                continue
            words = line.split()
            body = self.file.read(int(words[-1]) + 2)[:-2]
            for _ in range(self.times):
                self.socket.sendall(b"PUB %s %d\r\n%s\r\n" % (words[3], len(body), body[::-1]))

    def close(self):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.join(10)
        self.file.close()
        self.socket.close()


# ---- without a server

def tells_about_itself(w):
    out, _ = w.run("help")
    listed = re.findall(r"^  ([a-z-]+) ", out, re.M)
    assert set(VERBS) <= set(listed), listed
    for verb in listed:
        out, err = w.run(verb, "--help")
        assert out.startswith(f"Usage: fluxmq {verb} ") and "--help" in out and not err, out
        assert w.run("help", verb)[0] == out
    _, err = w.run("help", "nonsense", status=2)
    assert "fluxmq help" in err, err


def wrong_command_lines(w):
    for words, wanted in ((("nonsense",), "no verb nonsense"), (("pub",), "a subject is wanted"),
                          (("pub", "a", "b", "c"), "quotes"), (("pub", "a..b"), "no subject"),
                          (("pub", "a.*"), "wildcards"), (("pub", "--bogus", "a"), "see fluxmq pub --help"),
                          (("pub", "a", "--ttl", "soon"), "--ttl soon"), (("pub", "a", "-n", "0"), "--count 0"),
                          (("pub", "a", "-H", "x"), "NAME:VALUE"), (("sub",), "a subject is wanted"),
                          (("sub", "a", "--json", "--raw"), "only one"), (("request",), "a subject is wanted"),
                          (("pub", "-s", "tls://h", "a"), "nats://"), (("pub", "-s", "h:x", "a"), "HOST:PORT"),
                          (("top", "--sort", "beauty"), "--sort beauty"), (("top", "x"), "--monitor"),
                          (("check-config",), "Usage")):
        _, err = w.run(*words, status=2)
        assert wanted in err and err.count("\n") == 1, (words, err)


def looks_at_settings(w):
    out, _ = w.run("check-config", w.path("good.properties", "num.partitions=3\n"))
    assert out.endswith("good\n"), out
    _, err = w.run("check-config", w.path("bad.properties", "num.partitons=3\n"), status=1)
    assert "num.partitions" in err and ":1" in err, err


def nobody_there(w):
    port = str(w.port())
    _, err = w.run("pub", "--server", "127.0.0.1:" + port, "a", "b", status=1)
    assert port in err and "Connection refused" in err and "running" in err, err
    _, err = w.run("top", "--once", "-m", "127.0.0.1:" + port, status=1)
    assert "--metrics-port" in err, err
    quick = {"RES_OPTIONS": "timeout:1 attempts:1"}  # of the resolver, where no name server answers
    _, err = w.run("pub", "--server", "no.such.host.invalid", "a", status=1, env=quick)
    assert "no.such.host.invalid" in err, err


# ---- with any server

def published_and_shown(w):
    texts, plain = w.subscribed("-n", "3", "a.>"), w.subscribed("-n", "3", "--raw", "a.*")
    _, err = w.run("pub", "a.b", "hello", "-H", "X: 1", "--header", "X:2", "--ttl", "1m", "--reply", "r.s")
    assert "published 1 message, 5 bytes, to a.b" in err, err
    w.run("pub", "--quiet", "a.c", "")
    assert w.run("pub", "--quiet", "a.d", "two words") == ("", "")
    assert took(texts)[0] == ("[1] a.b, reply to r.s\nX: 1\nX: 2\nNats-TTL: 1m\n\nhello\n\n[2] a.c\n\n\n"
                              "[3] a.d\ntwo words\n\n")
    assert took(plain)[0] == "hello\n\ntwo words\n"


def json_lines(w):
    every = bytes(range(256))
    whole, heads = w.subscribed("-n", "3", "--json", "j.>"), w.subscribed("-n", "3", "-j", "--headers-only", "j.>")
    w.run("pub", "j.text", "sch\u00f6n \"quoted\"\n", "-H", "A:1", "-H", "B:2", "-H", "A:3")
    w.run("pub", "j.bytes", "-", given=every)
    w.run("pub", "j.file", "--file", w.path("file", b"from a file"), "--reply", "r")
    text, binary, file = lines(took(whole)[0])
    assert (text["subject"], text["payload"], text["size"]) == ("j.text", "sch\u00f6n \"quoted\"\n", 16), text
    assert text["headers"] == {"A": ["1", "3"], "B": ["2"]} and "reply" not in text, text
    assert base64.b64decode(binary["payload_base64"]) == every and binary["size"] == 256, binary
    assert (file["payload"], file["reply"]) == ("from a file", "r"), file
    shown = lines(took(heads)[0])
    assert [m["size"] for m in shown] == [16, 256, 11] and not any("payload" in key for m in shown for key in m)


def line_by_line(w):
    sub = w.subscribed("-n", "4", "--raw", "lines")
    w.run("pub", "-i", "lines", given=b"one\n\ntwo words\nno end")
    assert took(sub)[0] == "one\n\ntwo words\nno end\n"


def lines_as_they_come(w):
    """Each line is a message at once, not when the input ends; subjects likewise."""
    newest = w.newest()
    sub, pub = w.begin("sub", "-i", "--raw", "-n", "2"), w.begin("pub", "-i", "live.a")
    sub.stdin.write(b"live.*\nnot..good\n")
    sub.stdin.flush()
    w.wait_subscription(newest)
    pub.stdin.write(b"first\n")
    pub.stdin.flush()
    assert sub.stdout.readline() == b"first\n"
    pub.stdin.write(b"second\n")
    pub.stdin.close()
    pub.stdin = None
    assert sub.stdout.readline() == b"second\n"
    assert "not..good" in took(sub)[1]
    assert "published 2 messages" in took(pub)[1]


def queue_groups(w):
    count = 200
    taken = [w.subscribed("-q", "workers", "--raw", "work") for _ in range(2)]
    everything = w.subscribed("-n", str(count), "--raw", "work")
    w.run("pub", "-n", str(count), "work", "x")
    assert took(everything)[0] == "x\n" * count
    shares = [0, 0]
    while sum(shares) < count:  # the lines are short: a read gets whole ones
        readable, _, _ = select.select([process.stdout for process in taken], [], [], 20)
        assert readable, shares
        for share, process in enumerate(taken):
            if process.stdout in readable:
                shares[share] += os.read(process.stdout.fileno(), 4096).count(b"x\n")
    for process in taken:
        process.send_signal(signal.SIGINT)
        assert took(process)[0] == ""
    assert sum(shares) == count and min(shares) > count // 5, shares


def many(w):
    """More than sockets hold, and all of it."""
    count, size = 100_000, 100
    sub = w.subscribed("-n", str(count), "--raw", "many")
    _, err = w.run("pub", "-n", str(count), "many", "x" * size)
    assert f"published {count} messages, {count * size} bytes" in err and "messages/s" in err, err
    out, _ = took(sub, 60)
    assert len(out) == count * (size + 1) and set(out) == {"x", "\n"}


def large(w):
    most = w.varz()["max_payload"]
    sub = w.subscribed("-n", "1", "--raw", "large")
    w.run("pub", "large", "-", given=b"y" * most)
    assert took(sub)[0] == "y" * most + "\n"
    _, err = w.run("pub", "large", "-", given=b"y" * (most + 1), status=1)
    assert f"{most + 1} bytes" in err and str(most) in err and "nats.max.payload" in err, err
    _, err = w.run("pub", "a", "--file", w.path("absent"), status=1)
    assert "absent" in err and "No such file" in err, err


def requests(w):
    responder = Responder(w.nats, "ask.*")
    assert w.run("request", "--raw", "ask.me", "abc")[0] == "cba\n"
    reply, = lines(w.run("request", "--json", "ask.me", "-", given=b"x1")[0])
    assert reply["payload"] == "1x" and reply["subject"].startswith("_INBOX."), reply
    responder.close()
    several = Responder(w.nats, "ask.all", times=3)
    assert w.run("request", "--raw", "-n", "3", "ask.all", "ab")[0] == "ba\n" * 3
    for wait in ("300ms", "3s", "20s"):  # what a busy machine does not bring in the first, it does in the last
        out, err = w.run("request", "--raw", "-n", "4", "-t", wait, "ask.all", "ab", status=1)
        if out == "ba\n" * 3:
            break
    assert out == "ba\n" * 3 and "only 3 of 4" in err, (out, err)
    several.close()


def requests_in_vain(w):
    _, err = w.run("request", "nobody.here", "x", status=1)
    assert "nobody listens at nobody.here" in err, err
    w.subscribed("deaf")
    _, err = w.run("request", "-t", "200ms", "deaf", "x", status=1)
    assert "no reply from deaf within 200 ms" in err, err


def no_patience(w):
    _, err = w.run("sub", "-t", "100ms", "silence", status=1)
    assert "100 ms" in err, err


def stopped(w):
    """Ctrl-C: a sub without an end has done what it should; one with an end has not."""
    for words, status in ((["s.>"], 0), (["-n", "5", "s.>"], 130)):
        sub = w.subscribed("--raw", *words)
        w.run("pub", "s.a", "seen")
        assert sub.stdout.readline() == b"seen\n"
        sub.send_signal(signal.SIGINT)
        _, err = sub.communicate(timeout=20)
        assert sub.returncode == status and err == b"", (sub.returncode, err)
    before = w.varz()["in_msgs"]
    endless = w.begin("pub", "-n", "1000000000000", "s.b", "x")
    wait_until(lambda: w.varz()["in_msgs"] > before + 10000, 20, "much that is published")
    endless.send_signal(signal.SIGTERM)
    _, err = endless.communicate(timeout=20)
    assert endless.returncode == 130 and b"published" in err, (endless.returncode, err)
    deaf = w.subscribed("--raw", "s.c")
    request = w.begin("request", "-t", "1h", "s.c", "x")
    assert deaf.stdout.readline() == b"x\n"
    request.send_signal(signal.SIGINT)
    assert request.wait(20) == 130


def broken_pipe(w):
    """As `fluxmq sub ... | head -1`: it ends, and says nothing odd."""
    sub = w.subscribed("--raw", "p")
    w.run("pub", "p", "x")
    assert sub.stdout.readline() == b"x\n"
    sub.stdout.close()
    sub.stdout = None
    w.run("pub", "-n", "2", "p", "x" * 70000)
    assert sub.wait(20) in (1, -signal.SIGPIPE)


def by_environment(w):
    sub = w.subscribed("-n", "1", "--raw", "env")
    done = subprocess.run([w.binary, "pub", "env", "hello"], capture_output=True, check=True,
                          env={**w.environment(), "NATS_URL": f"nats://127.0.0.1:{w.port()},127.0.0.1:{w.nats}"})
    assert done.returncode == 0 and took(sub)[0] == "hello\n"


def no_nats_there(w):
    _, err = w.run("pub", "--server", f"127.0.0.1:{w.http}", "a", status=1)
    assert "NATS server would" in err or "does not speak" in err or "closed the connection" in err, err


def top(w):
    wait_until(lambda: not w.connections(), 20, "the end of all connections")
    w.subscribed("top.>")
    for _ in range(3):
        w.run("pub", "top.x", "12345")
    # The publishers have ended, and the server knows it.
    wait_until(lambda: [c["out_msgs"] for c in w.connections()] == [3], 20, "one connection with its messages")
    out, _ = w.run("top", "--once", "-m", f"127.0.0.1:{w.http}")
    varz = w.varz()
    assert f"total {varz['in_msgs']} messages" in out and f"total {varz['out_msgs']} messages" in out, out
    assert "memory" in out and "slow consumers 0" in out and "connections 1" in out, out
    row = next(line for line in out.splitlines() if " fluxmq " in line).split()
    assert row[2:7] == ["fluxmq", "1", "0", "3", "0"] and row[7:9] == ["15", "0"], row
    going = w.begin("top", "-m", f"http://127.0.0.1:{w.http}/", "-d", "20ms", "--sort", "cid")
    text = b""
    while text.count(b"msg/s") < 6:
        text += going.stdout.readline()
    going.send_signal(signal.SIGINT)
    going.communicate(timeout=20)
    assert going.returncode == 0
    _, err = w.run("top", "--once", "-m", f"127.0.0.1:{w.nats}", status=1)
    assert "no monitoring port" in err, err


def comes_back(w):
    """The server goes away and comes again: sub goes on by itself."""
    sub = w.subscribed("--raw", "-n", "2", "back")
    w.run("pub", "back", "before")
    assert sub.stdout.readline() == b"before\n"
    w.stop()
    assert b"closed the connection" in sub.stderr.readline()
    w.start()
    assert b"connected again" in sub.stderr.readline()
    w.wait_subscription(0)
    w.run("pub", "back", "after")
    assert took(sub)[0] == "after\n"


def users(w):
    w.stop()
    w.start_with_users()
    _, err = w.run("pub", "a", "b", status=1)
    assert "Authorization Violation" in err and "--user" in err, err
    w.run("pub", "--user", "me", "--password", "wrong", "a", "b", status=1)
    w.run("pub", "--user", "me", "--password", "secret", "a", "b")
    w.run("pub", "--server", f"nats://me:secret@127.0.0.1:{w.nats}", "a", "b")
    w.run("pub", "a", "b", env={"NATS_USER": "me", "NATS_PASSWORD": "secret"})
    _, err = w.run("pub", "--user", "me", "--password", "secret", "closed", "b", status=1)
    assert 'Permissions Violation for Publish to "closed"' in err, err


# ---- with ours only

def into_a_topic(w):
    client = Client(w.broker.port)
    client.create_topic("kept", 1)
    try:
        # The door hears of a topic a moment after it is there.
        def stored():
            return subprocess.run(w.words("pub", ["--ack", "--key", "k", "-H", "A:1", "kept", "value"]),
                                  capture_output=True, check=False).stdout.decode()
        out = wait_until(stored, 20, "an acknowledgement")
        assert re.fullmatch(r"topic kept, partition 0, offset \d+\n", out), out
        out, _ = w.run("pub", "--ack", "-n", "3", "kept", "x")
        offsets = [int(n) for n in re.findall(r"offset (\d+)", out)]
        assert offsets == list(range(offsets[0], offsets[0] + 3)), out
        sub = w.subscribed("-n", "1", "--json", "kept")
        w.run("pub", "--key", "k2", "kept", "again")
        message, = lines(took(sub)[0])
        assert (message["headers"]["Kafka-Key"], message["payload"]) == (["k2"], "again"), message

        def shown():  # soon after the subscriber has ended
            out, _ = w.run("top", "--once", "-m", f"127.0.0.1:{w.http}")
            return re.search(r"^TOPIC +SUBS +DELIVERED +DROPPED +EXPIRED +PENDING\nkept +0 +1 +0 +0 +0$", out, re.M)
        wait_until(shown, 20, "the row of the topic")
    finally:
        client.close()
    _, err = w.run("pub", "--ack", "no.topic", "x", status=1)
    assert "names no topic" in err, err


def too_late(w):
    """A time to live is in the header that the server obeys."""
    sub = w.subscribed("-n", "1", "--json", "ttl")
    w.run("pub", "--ttl", "250000ms", "ttl", "x")
    assert lines(took(sub)[0])[0]["headers"] == {"Nats-TTL": ["250000ms"]}


ALONE = [("help of each verb", tells_about_itself), ("wrong command lines", wrong_command_lines),
         ("check-config", looks_at_settings), ("no server", nobody_there)]
OURS = [("pub into a topic, and sub of it", into_a_topic), ("a time to live", too_late)]
BOTH = [("pub and sub", published_and_shown), ("JSON lines, standard input, files", json_lines),
        ("pub -i", line_by_line), ("-i goes message by message", lines_as_they_come),
        ("queue groups", queue_groups), ("100,000 messages", many), ("large messages", large),
        ("request", requests), ("requests in vain", requests_in_vain), ("sub --timeout", no_patience),
        ("Ctrl-C", stopped), ("a reader that goes away", broken_pipe), ("NATS_URL, several servers", by_environment),
        ("a port that is no NATS server", no_nats_there), ("top", top), ("sub goes on after a loss", comes_back),
        ("users and permissions", users)]
