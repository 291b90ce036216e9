# SPDX-License-Identifier: MIT
"""A NATS client that hides nothing, and whole Kafka records: what the tests of both doors need."""

import os
import socket
import struct
import sys
import time
from collections import namedtuple

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "harness")]

from client import crc32c, read_varint, varint  # noqa: E402

Message = namedtuple("Message", "subject sid reply status headers payload")
Record = namedtuple("Record", "offset timestamp key value headers")


class Nats:
    """One connection; messages are kept until somebody takes them."""

    def __init__(self, port, connect=b'{"verbose":false,"pedantic":false,"headers":true,"no_responders":true}'):
        self.socket = socket.create_connection(("127.0.0.1", port), 30)
        self.pending, self.inbox, self.number = bytearray(), [], 0
        self.line()
        self.send(b"CONNECT " + connect + b"\r\n")
        self.flush()

    def close(self):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def more(self, until):
        self.socket.settimeout(max(until - time.monotonic(), 0.001))
        data = self.socket.recv(1 << 16)
        if not data:
            raise ConnectionError("the door closed the connection")
        self.pending += data

    def take(self, size, until):
        while len(self.pending) < size:
            self.more(until)
        out = bytes(self.pending[:size])
        del self.pending[:size]
        return out

    def line(self, seconds=30):
        until = time.monotonic() + seconds
        while b"\r\n" not in self.pending:
            self.more(until)
        line, _, rest = bytes(self.pending).partition(b"\r\n")
        self.pending = bytearray(rest)
        return line

    def step(self, seconds):
        """Reads one protocol element; True when it was PONG."""
        line = self.line(seconds)
        verb, _, rest = line.partition(b" ")
        words = rest.split()
        if verb == b"PING":
            self.send(b"PONG\r\n")
        elif verb in (b"MSG", b"HMSG"):
            header = int(words[-2]) if verb == b"HMSG" else 0
            body = self.take(int(words[-1]) + 2, time.monotonic() + 30)[:-2]
            sizes = 2 if verb == b"HMSG" else 1
            reply = words[2].decode() if len(words) == 3 + sizes else None
            lines = body[:header].decode("latin-1").split("\r\n")
            headers = [tuple(one.split(": ", 1)) for one in lines[1:] if one]
            self.inbox.append(Message(words[0].decode(), words[1].decode(), reply, lines[0][9:], headers,
                                      body[header:]))
        elif verb == b"-ERR":
            raise RuntimeError(line.decode())
        return verb == b"PONG"

    def flush(self):
        self.send(b"PING\r\n")
        while not self.step(30):
            pass

    def subscribe(self, subject, queue=""):
        self.number += 1
        self.send(f"SUB {subject} {queue} {self.number}\r\n".encode())
        self.flush()
        return str(self.number)

    def publish(self, subject, payload=b"", reply="", headers=()):
        if not headers:
            self.send(f"PUB {subject} {reply} {len(payload)}\r\n".encode() + payload + b"\r\n")
            return
        block = b"NATS/1.0\r\n" + b"".join(f"{k}: {v}\r\n".encode() for k, v in headers) + b"\r\n"
        self.send(f"HPUB {subject} {reply} {len(block)} {len(block) + len(payload)}\r\n".encode() + block + payload +
                  b"\r\n")

    def next(self, seconds=30, sid=None):
        """The next message (of one subscription)."""
        until = time.monotonic() + seconds
        while True:
            for i, m in enumerate(self.inbox):
                if sid is None or m.sid == sid:
                    return self.inbox.pop(i)
            self.step(until - time.monotonic())

    def nothing(self, sid=None):
        """What came in before this call was answered for: no message for that subscription."""
        self.flush()
        return not [m for m in self.inbox if sid is None or m.sid == sid]

    def request(self, subject, payload=b"", headers=(), answers=1):
        inbox = f"_INBOX.{id(self)}.{self.number + 1}"
        sid = self.subscribe(inbox)
        self.publish(subject, payload, inbox, headers)
        out = [self.next(sid=sid) for _ in range(answers)]
        self.send(f"UNSUB {sid}\r\n".encode())
        return out[0] if answers == 1 else out


def batch(rows):
    """A record batch of (key, value, headers) rows."""
    now, body = int(time.time() * 1000), bytearray()

    def piece(data):
        return varint(-1) if data is None else varint(len(data)) + data
    for delta, (key, value, headers) in enumerate(rows):
        record = b"\0\0" + varint(delta) + piece(key) + piece(value) + varint(len(headers))
        for name, content in headers:
            record += piece(name.encode()) + piece(content)
        body += varint(len(record)) + record
    tail = struct.pack(">hiqqqhii", 0, len(rows) - 1, now, now, -1, -1, -1, len(rows)) + bytes(body)
    return struct.pack(">qiibI", 0, len(tail) + 9, -1, 2, crc32c(tail)) + tail


def records(data):
    """Whole records of uncompressed batches."""
    at = 0
    while at + 61 <= len(data):
        base, size = struct.unpack_from(">qi", data, at)
        end = at + 12 + size
        if end > len(data):
            break
        first, = struct.unpack_from(">q", data, at + 27)
        count, = struct.unpack_from(">i", data, at + 57)
        place = at + 61

        def piece(here):
            size, here = read_varint(data, here)
            return (None, here) if size < 0 else (bytes(data[here:here + size]), here + size)
        for _ in range(count):
            _, place = read_varint(data, place)
            delta_ms, place = read_varint(data, place + 1)
            delta, place = read_varint(data, place)
            key, place = piece(place)
            value, place = piece(place)
            headers = []
            number, place = read_varint(data, place)
            for _ in range(number):
                name, place = piece(place)
                content, place = piece(place)
                headers.append((name.decode(), content))
            yield Record(base + delta, first + delta_ms, key, value, headers)
        at = end
