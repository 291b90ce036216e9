# SPDX-License-Identifier: MIT
"""Headers, echo, request and reply, queues, order, many connections, slow consumers."""

import collections
import hashlib
import os
import re
import socket
import struct
import threading
import time

from peer import Closed, Peer, until


def headers(w):
    new, old = Peer(w.server), Peer(w.server, headers=False)
    new.send("SUB h 1")
    old.send("SUB h 1")
    old.flush()
    new.hpub("h", "Key: a\r\nkEY:  b \r\nKey: a\r\nEmpty:\r\n", b"body", "re.ply")
    block = b"NATS/1.0\r\nKey: a\r\nkEY:  b \r\nKey: a\r\nEmpty:\r\n\r\n"
    assert new.message() == ("MSG", "h", "1", "re.ply", block, b"body")
    assert old.message() == ("MSG", "h", "1", "re.ply", b"", b"body")
    old.send("HPUB h 12 12", b"NATS/1.0\r\n\r\n\r\n")
    assert not re.search(b"^-ERR", old.expect_end())
    assert new.flush() == []


def echo(w):
    quiet, other = Peer(w.server, echo=False), Peer(w.server)
    quiet.send("SUB e 1")
    other.send("SUB e 1")
    other.flush()
    quiet.pub("e", b"mine")
    assert quiet.flush() == []
    assert other.payload() == b"mine"
    other.pub("e", b"yours")
    assert other.payload() == b"yours"
    assert quiet.payload() == b"yours"


def no_responders(w):
    p = Peer(w.server, no_responders=True)
    p.send("SUB _INBOX.x.* 4")
    p.pub("nobody.home", b"?", "_INBOX.x.1")
    found = p.message()
    assert found == ("MSG", "_INBOX.x.1", "4", None, b"NATS/1.0 503\r\nNats-Subject: nobody.home\r\n\r\n", b""), found
    q = Peer(w.server)
    q.send("SUB somebody.home 1")
    q.flush()
    p.pub("somebody.home", b"?", "_INBOX.x.2")
    assert p.flush() == []
    assert q.message()[3] == "_INBOX.x.2"
    r = Peer(w.server)  # did not ask for it
    r.send("SUB _INBOX.y 4")
    r.pub("nobody.home", b"?", "_INBOX.y")
    assert r.flush() == []
    s = Peer(w.server, hello=False)
    s.connect(verbose=False, no_responders=True, headers=False)
    s.expect_error("no responders requires headers support")
    s.expect_end()


def request_reply(w):
    service, client = Peer(w.server), Peer(w.server)
    service.send("SUB svc.echo workers 1")
    service.flush()
    client.send("SUB _INBOX.r.* 1")
    for number in range(200):
        client.pub("svc.echo", str(number), f"_INBOX.r.{number}")
        asked = service.message()
        service.pub(asked[3], b"re:" + asked[5])
        got = client.message()
        assert (got[1], got[5]) == (f"_INBOX.r.{number}", f"re:{number}".encode())


def queue_balance(w):
    members = [Peer(w.server) for _ in range(2)]
    plain = Peer(w.server)
    for m in members:
        m.send("SUB work q 1")
        m.flush()
    plain.send("SUB work 1", "SUB work other 2")
    plain.flush()
    plain.send(b"".join(b"PUB work 3\r\n%03d\r\n" % n for n in range(1000)))
    mine = plain.flush()
    assert len(mine) == 2000 and collections.Counter(m[2] for m in mine) == {"1": 1000, "2": 1000}
    counts, seen = [], []
    for m in members:
        got = m.flush()
        counts.append(len(got))
        order = [x[5] for x in got]
        assert order == sorted(order), "out of order"
        seen += order
    assert sorted(seen) == [b"%03d" % n for n in range(1000)]
    assert all(400 <= c <= 600 for c in counts), counts
    members[0].close()
    until(lambda: deliveries(plain, members[1]) == 20)
    return f"{counts[0]} and {counts[1]}"


def deliveries(publisher, member):
    """How many of 20 a member gets."""
    publisher.send(b"PUB work 1\r\nx\r\n" * 20)
    publisher.flush()
    return len(member.flush())


def order(w):
    """Four publishers, four subscribers with overlapping filters: each pair's order holds."""
    count = 3000
    subscribers = []
    for _ in range(4):
        p = Peer(w.server)
        p.send("SUB o.> 1", "SUB o.* 2")
        p.flush()
        subscribers.append(p)

    def publish(number):
        p = Peer(w.server)
        for first in range(0, count, 100):
            p.send(b"".join(b"PUB o.%d 8\r\n%s\r\n" % (number, struct.pack(">Q", n))
                            for n in range(first, first + 100)))
        p.flush()
    threads = [threading.Thread(target=publish, args=(n,)) for n in range(4)]
    for t in threads:
        t.start()
    for p in subscribers:
        at = collections.Counter()
        for _ in range(count * 4 * 2):
            m = p.message()
            number = struct.unpack(">Q", m[5])[0]
            assert at[m[1], m[2]] == number, (m, at)
            at[m[1], m[2]] += 1
        assert p.flush() == []
    for t in threads:
        t.join()
    return f"{count * 4 * 2 * 4} deliveries"


def come_and_go(w):
    """1,000 connects and disconnects of all kinds beside a conversation that goes on; nothing is left over."""
    talk = Peer(w.server)
    talk.send("SUB talk.> 1")
    until(lambda: w.connections() == 1)  # those of the cases before are gone
    for number in range(1000):
        p = Peer(w.server, hello=False if number % 4 == 0 else None)
        if number % 4:
            p.send("SUB talk.> 1", f"SUB own.{number} 2")
        if number % 4 == 2:
            p.send(f"PUB talk.{number} 100", b"half of it")
        if number % 4 == 3:
            p.flush()
            p.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        p.close()
        if number % 50 == 0:
            talk.pub("talk.self", str(number))
            assert talk.payload() == str(number).encode()
    until(lambda: w.connections() == 1)
    return f"{w.subscriptions()} subscriptions left"


def never_reads(w):
    """A gigabyte is published past a subscriber that reads nothing: memory is bounded, others get all in order."""
    size, count = 64 << 10, (1 << 30) // (64 << 10)
    stuck, good, publisher = Peer(w.server), Peer(w.server), Peer(w.server)
    for p in (stuck, good):
        p.send("SUB flood 1")
        p.flush()
    before, most, longest = w.server.status("VmRSS"), 0, 0
    want, got = hashlib.sha256(), hashlib.sha256()
    body = os.urandom(size - 8)
    ended, room = [], threading.Semaphore((16 << 20) // size)  # who reads is never so far behind that it is cut off

    def read():
        for _ in range(count):
            got.update(good.payload())
            room.release()
        ended.append(True)
    reader = threading.Thread(target=read)
    reader.start()
    for number in range(count):
        payload = struct.pack(">Q", number) + body
        want.update(payload)
        assert room.acquire(timeout=60), "the subscriber that reads gets nothing"
        begin = time.monotonic()
        publisher.pub("flood", payload)
        if number % 64 == 0:
            publisher.flush()
            longest = max(longest, time.monotonic() - begin)
            most = max(most, w.server.status("VmRSS"))
    reader.join(60)
    assert ended, "the subscriber that reads did not get all"
    assert got.digest() == want.digest()
    assert most - before < 200 << 10, f"{before} KiB before, {most} KiB at most"
    stuck.socket.settimeout(30)
    size = 0
    try:
        while more := stuck.socket.recv(1 << 20):
            size += len(more)
    except ConnectionResetError:
        pass
    assert size < 128 << 20, size
    return f"{(most - before) >> 10} MiB more at most, longest wait for a PONG {longest * 1000:.0f} ms"
