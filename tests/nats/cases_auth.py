# SPDX-License-Identifier: MIT
"""Who may connect and what for; time-outs, limits of connections, lame duck. Each starts its server."""

import base64
import binascii
import os
import subprocess
import tempfile
import time

from peer import Closed, Peer, until

class Nkey:
    """An Ed25519 key pair by openssl, in the form of nkeys."""

    def __init__(self):
        self.path = tempfile.mktemp(prefix="fluxmq-nkey-")
        subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", self.path], check=True,
                       capture_output=True)
        der = subprocess.run(["openssl", "pkey", "-in", self.path, "-pubout", "-outform", "DER"], check=True,
                             capture_output=True).stdout
        raw = bytes([20 << 3]) + der[-32:]
        self.public = base64.b32encode(raw + binascii.crc_hqx(raw, 0).to_bytes(2, "little")).decode().rstrip("=")

    def sign(self, nonce):
        with tempfile.NamedTemporaryFile() as file:
            file.write(nonce.encode())
            file.flush()
            done = subprocess.run(["openssl", "pkeyutl", "-sign", "-rawin", "-inkey", self.path, "-in", file.name],
                                  check=True, capture_output=True)
        return base64.urlsafe_b64encode(done.stdout).decode().rstrip("=")

    def close(self):
        os.unlink(self.path)


def bcrypt(password):
    """By perl's crypt(3): it is on every Debian."""
    done = subprocess.run(["perl", "-e", "print crypt($ARGV[0], '$2a$04$' . 'abcdefghijklmnopqrstuu')", password],
                          capture_output=True, text=True, check=True)
    return done.stdout


def refused(server, text="Authorization Violation", **fields):
    p = Peer(server, hello=False)
    p.connect(verbose=False, **fields)
    p.send("PING")
    p.expect_error(text)
    p.expect_end()


def passwords(w):
    hashed = bcrypt("open sesame")
    assert hashed.startswith("$2a$04$"), hashed
    server = w.start(users={"users": [{"user": "ann", "password": "secret"}, {"user": "bob", "password": hashed}]})
    p = Peer(server, user="ann", **{"pass": "secret"})
    assert p.info["auth_required"] is True
    Peer(server, user="bob", **{"pass": "open sesame"})
    for fields in ({}, {"user": "ann"}, {"user": "ann", "pass": "Secret"}, {"user": "bob", "pass": hashed},
                   {"user": "eve", "pass": "secret"}, {"user": "", "pass": ""}, {"auth_token": "secret"}):
        refused(server, **fields)
    p = Peer(server, hello=False)
    p.send("PUB a 0", "")
    p.expect_error("Authorization Violation")
    p.expect_end()


def token(w):
    server = w.start(users={"token": "a long token"})
    Peer(server, auth_token="a long token")
    for fields in ({}, {"auth_token": "a long tokem"}, {"user": "a long token"}):
        refused(server, **fields)


def nkey(w):
    key, other = Nkey(), Nkey()
    try:
        # A signature is another process's: it may take longer than the two seconds that there are for it.
        server = w.start(users={"users": [{"nkey": key.public}]}, limits={"auth.timeout.ms": 60000})
        p = Peer(server, hello=False)
        nonce = p.info["nonce"]
        p.connect(verbose=False, nkey=key.public, sig=key.sign(nonce))
        p.flush()
        old = key.sign(nonce)
        for public, sign in ((key.public, lambda n: old), (key.public, other.sign), (other.public, other.sign),
                             (key.public, lambda n: ""), (key.public, lambda n: "AAAA")):
            q = Peer(server, hello=False)
            assert q.info["nonce"] != nonce
            q.connect(verbose=False, nkey=public, sig=sign(q.info["nonce"]))
            q.send("PING")
            q.expect_error("Authorization Violation")
    finally:
        key.close()
        other.close()


def no_auth_user(w):
    server = w.start(users={"no_auth_user": "guest", "users": [
        {"user": "guest", "password": "x", "permissions": {"publish": "public.>", "subscribe": "public.>"}},
        {"user": "root", "password": "y"}]})
    p = Peer(server)
    p.send("SUB public.a 1")
    p.pub("public.a", b"1")
    assert p.payload() == b"1"
    p.pub("private", b"1")
    p.expect_error('Permissions Violation for Publish to "private"')
    refused(server, user="root", **{"pass": "x"})


def permissions(w):
    server = w.start(users={"default_permissions": {"publish": "sandbox.*", "subscribe": ["_INBOX.>"]}, "users": [
        {"user": "all", "password": "p"},
        {"user": "boss", "password": "p", "permissions": {"publish": ">", "subscribe": ">"}},
        {"user": "part", "password": "p", "permissions": {
            "publish": {"allow": ["a.>"], "deny": ["a.secret", "a.*.x"]},
            "subscribe": {"allow": ["b.>", "jobs.* team"], "deny": "b.secret"}}}]})

    def user(name):
        return Peer(server, user=name, **{"pass": "p"})
    p, boss = user("part"), user("boss")
    boss.send("SUB > 1")
    boss.flush()
    for subject, may in (("a.b", True), ("a.secret", False), ("a.b.x", False), ("a.b.y", True), ("b.a", False),
                         ("a", False)):
        p.pub(subject, b"x")
        if not may:
            p.expect_error(f'Permissions Violation for Publish to "{subject}"')
    p.flush()
    assert [m[1] for m in boss.flush()] == ["a.b", "a.b.y"]
    for line, error in (("b.x 1", None), ("b.secret 2", 'Subscription to "b.secret"'), ("c 3", 'Subscription to "c"'),
                        ("jobs.a team 4", None), ("jobs.a 5", 'Subscription to "jobs.a"'),
                        ("jobs.a else 6", 'Subscription to "jobs.a" using queue "else"'), ("b.* 7", None),
                        ("> 8", 'Subscription to ">"')):
        p.send("SUB " + line)
        if error:
            p.expect_error("Permissions Violation for " + error)
    p.flush()
    for subject in ("b.x", "b.secret", "jobs.a", "c", "b.z"):
        boss.pub(subject, b"x")
    boss.flush()
    assert sorted((m[1], m[2]) for m in p.flush()) == [("b.x", "1"), ("b.x", "7"), ("b.z", "7"), ("jobs.a", "4")]
    standard = user("all")
    standard.pub("sandbox.a", b"")
    standard.pub("a.b", b"")
    standard.expect_error('Permissions Violation for Publish to "a.b"')


def allow_responses(w):
    server = w.start(users={"users": [
        {"user": "svc", "password": "p", "permissions": {
            "subscribe": "svc", "allow_responses": {"max": 2, "expires": "1m"}}},
        {"user": "client", "password": "p"}]})
    service = Peer(server, user="svc", **{"pass": "p"})
    client = Peer(server, user="client", **{"pass": "p"})
    service.send("SUB svc 1")
    service.flush()
    client.send("SUB answer.> 1")
    client.pub("svc", b"?", "answer.1")
    reply = service.message()[3]
    service.pub("answer.2", b"no")
    service.expect_error('Permissions Violation for Publish to "answer.2"')
    for number in range(2):
        service.pub(reply, b"%d" % number)
    service.flush()
    service.pub(reply, b"one more")
    service.expect_error('Permissions Violation for Publish to "answer.1"')
    assert [m[5] for m in client.flush()] == [b"0", b"1"]


def authentication_timeout(w):
    server = w.start(users={"token": "t"}, limits={"auth.timeout.ms": 300})
    begin = time.monotonic()
    p = Peer(server, hello=False)
    p.expect_error("Authentication Timeout")
    p.expect_end()
    assert 0.2 < time.monotonic() - begin  # at most half a minute: the socket's own


def pings(w):
    """The server's own PINGs; who answers stays, who doesn't is stale."""
    server = w.start(limits={"ping.interval.ms": 200, "ping.max": 2})
    for attempt in range(10):
        good, bad = Peer(server), Peer(server)
        try:
            stays(good)
        except (AssertionError, Closed, OSError) as problem:  # stale too, if other work held us up: then once more
            assert attempt < 9, problem
            continue
        said = bad.expect_end()
        assert said.count(b"PING\r\n") == 2 and said.endswith(b"-ERR 'Stale Connection'\r\n"), said
        return


def stays(good):
    for _ in range(4):
        line = good.line()
        assert line == "PING", line
        good.send("PONG")
    good.send("PING")
    while (line := good.line()) != "PONG":
        assert line == "PING", line
        good.send("PONG")


def connection_limit(w):
    server = w.start(limits={"max.connections": 3, "max.subscriptions": 5})
    peers = []
    until(lambda: came(server, peers) == 3)  # what looked whether the port is open may still be there
    last = Peer(server, hello=False)
    last.expect_error("maximum connections exceeded")
    last.expect_end()
    peers.pop().close()
    until(lambda: may_connect(server))
    for number in range(5):
        peers[0].send(f"SUB s.{number} {number}")
    peers[0].flush()
    peers[0].send("SUB s.6 6")
    peers[0].expect_error("maximum subscriptions exceeded")
    peers[0].send("UNSUB 1", "SUB s.7 7")
    peers[0].flush()


def came(server, peers):
    """How many have, with one more if that one may."""
    try:
        peers.append(Peer(server))
    except (AssertionError, Closed, ConnectionError):
        pass
    return len(peers)


def may_connect(server):
    try:
        Peer(server).close()
        return True
    except (AssertionError, Closed, ConnectionError):
        return False


def second_connect(w):
    server = w.start(users={"users": [{"user": "a", "password": "p", "permissions": {"publish": "x", "subscribe": "x"}},
                                      {"user": "b", "password": "p"}]})
    p = Peer(server, user="a", **{"pass": "p"})
    p.pub("y", b"")
    p.expect_error('Permissions Violation for Publish to "y"')
    p.connect(verbose=False, user="b", **{"pass": "p"})
    p.send("SUB y 1")
    p.pub("y", b"now")
    assert p.payload() == b"now"
    p.connect(verbose=False, user="b", **{"pass": "wrong"})
    p.expect_error("Authorization Violation")
    p.expect_end()


def lame_duck(w):
    server = w.start(limits={"lame.duck.ms": 2000 if w.kind == "fluxmq" else 30000})
    peers = [Peer(server, protocol=1) for _ in range(10)]
    old = Peer(server)
    server.lame_duck()
    for p in peers:
        while '"ldm":true' not in p.line().replace(" ", ""):
            pass  # an INFO that answers the first PING
    until(lambda: not may_open(server))
    if w.kind == "fluxmq":  # nats-server takes 30 s at least
        begin = time.monotonic()
        for p in [*peers, old]:
            p.expect_end()
        assert time.monotonic() - begin < 20  # not the two minutes that are the default


def may_open(server):
    try:
        Peer(server, hello=False).close()
        return True
    except (OSError, Closed):
        return False
