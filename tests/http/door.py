# SPDX-License-Identifier: MIT
"""Cases for the monitoring pages of the NATS door, beside run.py's."""

import json
import os
import socket
import subprocess

from broker import wait_until
from tap import Skip

CACHE = os.environ.get("FLUXMQ_CACHE", os.path.expanduser("~/.cache/fluxmq"))
TOP = os.path.join(CACHE, "nats", "bin", "nats-top")
SERVER = os.path.join(CACHE, "nats", "bin", "nats-server")
# What nats-server tells and we have no answer to.
LEFT_OUT = {"/varz": {"disk_io_wait_stats", "feature_flags", "stalled_clients", "system_account", "config_digest",
                      "http_req_stats"},
            "/subsz": {"num_cache", "max_fanout"}, "/connz": set()}


class Peer:
    """A client of the NATS door, by hand."""

    def __init__(self, port, name):
        self.socket = socket.create_connection(("127.0.0.1", port), 10)
        self.file = self.socket.makefile("rb")
        self.file.readline()
        about = {"verbose": False, "pedantic": False, "headers": True, "name": name, "lang": "hand",
                 "version": "1.2"}
        self.say(f"CONNECT {json.dumps(about)}\r\n")
        self.flush()

    def say(self, text):
        self.socket.sendall(text.encode())

    def flush(self):
        """All that was said before was served."""
        self.say("PING\r\n")
        while self.file.readline() != b"PONG\r\n":
            pass

    def close(self):
        self.file.close()
        self.socket.close()


def page(w, path):
    status, body = w.get(path)
    assert status == 200, (path, status, body)
    return json.loads(body)


def live(w, what):
    return w.value("fluxmq_live_" + what)


def account(w):
    """What was matched, if it adds up: delivered + dropped + expired + pending."""
    values = dict(line.rsplit(" ", 1) for line in w.get("/metrics")[1].split("\n") if line.startswith("fluxmq_live_"))
    parts = [float(value) for name, value in values.items()
             if name.partition("{")[0].removeprefix("fluxmq_live_") in
             ("delivered_total", "dropped_total", "expired_total", "pending")]
    matched = float(values["fluxmq_live_matched_total"])
    assert len(parts) == 6, values
    return matched if matched == sum(parts) else None


def pages(w):
    """Two clients, three subscriptions, messages both ways: every page says so."""
    taker, giver = Peer(w.nats, "taker"), Peer(w.nats, "giver")
    taker.say("SUB a.* 1\r\nSUB a.> workers 2\r\n")
    taker.flush()
    giver.say("PUB a.b 5\r\nhello\r\nPUB a.b.c 2\r\nhi\r\nPUB nobody 1\r\nx\r\n")
    giver.flush()
    taker.flush()
    wait_until(lambda: account(w) == 3 and live(w, "pending") == 0, 5, "three deliveries")

    def flows():
        varz = page(w, "/varz")
        return varz["connections"] == 2 and varz["out_msgs"] == 3
    wait_until(flows, 5, "what was written is counted, and the connection by which the start was noticed is gone")
    varz = page(w, "/varz")
    assert [varz[x] for x in ("connections", "subscriptions", "in_msgs", "in_bytes", "out_msgs", "out_bytes")] == \
        [2, 2, 3, 8, 3, 12], varz
    connz = page(w, "/connz?sort=msgs_to&subs=1")
    assert [(c["name"], c["out_msgs"], c["in_msgs"]) for c in connz["connections"]] == \
        [("taker", 3, 0), ("giver", 0, 3)], connz
    first = connz["connections"][0]
    assert sorted(first["subscriptions_list"]) == ["a.*", "a.>"] and first["lang"] == "hand", first
    one = page(w, f"/connz?cid={first['cid']}&subs=detail")["connections"]
    assert sorted((s["sid"], s["msgs"], s.get("qgroup")) for s in one[0]["subscriptions_list_detail"]) == \
        [("1", 1, None), ("2", 2, "workers")], one
    subsz = page(w, "/subsz?subs=1&test=a.b.c")
    assert [s["subject"] for s in subsz["subscriptions_list"]] == ["a.>"] and subsz["num_subscriptions"] == 2
    assert page(w, "/healthz?js-enabled=true") == {"status": "ok"}
    assert w.value("fluxmq_nats_messages_in_total") == 3 and w.value("fluxmq_nats_connections_active") == 2
    assert live(w, "published_total") == 3 == w.value("blipmq_published")
    giver.close()
    wait_until(lambda: page(w, "/varz")["connections"] == 1, 5, "the end of one")
    return taker


def like_the_real_one(w, taker):
    """Every field that a real nats-server has is there, with the same type."""
    if not os.path.exists(SERVER):
        raise Skip("no nats-server in the cache")
    nats, http = w.free_ports(2)
    real = subprocess.Popen([SERVER, "-a", "127.0.0.1", "-p", str(nats), "-m", str(http)], stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: w.get("/healthz", http)[0] == 200, 10, "nats-server")
        peer = Peer(nats, "probe")
        peer.say("SUB a 1\r\n")
        peer.flush()
        for path, left_out in LEFT_OUT.items():
            theirs = json.loads(w.get(path + "?subs=1", http)[1])
            ours = page(w, path + "?subs=1")
            compare(theirs, ours, left_out)
            if path == "/connz":
                # The round trip is known when a first ping was answered, after two seconds or so.
                compare(theirs["connections"][0], ours["connections"][0], {"rtt"})
            if path == "/subsz":
                compare(theirs["subscriptions_list"][0], ours["subscriptions_list"][0], set())
        peer.close()
    finally:
        real.terminate()
        real.wait()
    taker.flush()


def compare(theirs, ours, left_out):
    missing = set(theirs) - set(ours) - left_out
    assert not missing, missing
    for name in set(theirs) & set(ours):
        kinds = {type(theirs[name]), type(ours[name])}
        assert len(kinds) == 1 or kinds == {int, float}, (name, theirs[name], ours[name])


def nats_top(w, taker):
    if not os.path.exists(TOP):
        raise Skip("no nats-top in the cache")
    done = subprocess.run([TOP, "-s", "127.0.0.1", "-m", str(w.http), "-o", "-", "-r", "1", "-u"],
                          capture_output=True, text=True, timeout=30, check=True)
    assert "Connections Polled: 1" in done.stdout and "taker" in done.stdout and "a.>" in done.stdout, done.stdout
    assert "In:   Msgs: 3  Bytes: 8" in done.stdout, done.stdout
    taker.close()


def by_topic(w):
    """Each topic's deliveries, of bounded number: 100 by name, the others summed up."""
    names = [f"live-{i}" for i in range(130)]
    for name in names:
        w.client.create_topic(name, 1, {"live.subjects": f"{name}.>"})
    peer, other = Peer(w.nats, "topics"), Peer(w.nats, "all")
    try:
        other.say("SUB > 1\r\n")  # no topic's
        other.flush()
        for i, name in enumerate(names):
            peer.say(f"SUB {name} {i + 1}\r\n")
        peer.say(f"SUB {names[7]}.* 900\r\nSUB {names[7]}.a.> 901\r\nPUB {names[7]}.a 1\r\nx\r\n"
                 f"PUB {names[7]}.a.b 1\r\nx\r\nPUB {names[7]} 1\r\nx\r\nPUB {names[9]} 1\r\nx\r\n")
        peer.flush()

        def rows():
            return {o["topic"]: o for o in page(w, "/subsz?topics=1")["topics"]}
        wait_until(lambda: rows()[names[9]]["delivered"] == 1 and rows()[names[7]]["delivered"] == 3, 10, "deliveries")
        assert [o["topic"] for o in page(w, "/subsz?topics=1&limit=2")["topics"]] == [names[7], names[9]]
        assert page(w, "/subsz?topics=1&limit=1&offset=1")["topics"] == [rows()[names[9]]]
        assert "topics" not in page(w, "/subsz")
        assert {n: o["num_subscriptions"] for n, o in rows().items()} == {n: 3 if n == names[7] else 1 for n in names}
        lines = [line for line in w.get("/metrics")[1].split("\n") if line.startswith("fluxmq_live_topic_")]
        subs = {line for line in lines if line.startswith("fluxmq_live_topic_subscriptions")}
        assert len(subs) == 101 and sum(float(line.split()[1]) for line in subs) == 132, subs
        assert 'fluxmq_live_topic_subscriptions{topic=""} 30' in subs
        for what in ("matched", "delivered"):
            assert f'fluxmq_live_topic_{what}_total{{topic="{names[7]}"}} 3' in lines, what
        assert f'fluxmq_live_topic_dropped_total{{topic="{names[9]}",reason="gone"}} 0' in lines
        peer.close()  # what was delivered stays told, as long as there is the topic
        wait_until(lambda: rows()[names[7]]["num_subscriptions"] == 0, 10, "the end of subscriptions")
        assert rows()[names[7]]["delivered"] == 3
        w.client.call("DeleteTopics", 1, {"topicNames": names, "timeoutMs": 10000})
        wait_until(lambda: not rows(), 10, "the end of the topics")
    finally:
        other.close()
