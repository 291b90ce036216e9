# SPDX-License-Identifier: MIT
"""A NATS client of bytes: what is sent is written out, what comes is looked at as it came."""

import json
import re
import socket
import time

HELLO = {"verbose": False, "pedantic": False, "protocol": 0, "headers": True, "lang": "python", "version": "0"}


class Closed(Exception):
    """The server closed the connection."""


class Peer:
    def __init__(self, server, hello=None, timeout=30, host="127.0.0.1", **fields):
        """hello: False sends no CONNECT; fields are added to its JSON"""
        self.socket = socket.create_connection((host, server.nats_port), timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""
        self.info = json.loads(self.line()[len("INFO "):])
        if hello is not False:
            self.connect(**{**HELLO, **fields})
            self.flush()

    def connect(self, **fields):
        self.send("CONNECT " + json.dumps(fields))

    def send(self, *lines):
        """Each with its line end; bytes as they are."""
        self.socket.sendall(b"".join(one if isinstance(one, bytes) else one.encode() + b"\r\n" for one in lines))

    def pub(self, subject, payload=b"", reply=""):
        payload = payload if isinstance(payload, bytes) else payload.encode()
        self.send(f"PUB {subject} {reply + ' ' if reply else ''}{len(payload)}", payload + b"\r\n")

    def hpub(self, subject, headers, payload=b"", reply=""):
        block = b"NATS/1.0\r\n" + headers.encode() + b"\r\n"
        self.send(f"HPUB {subject} {reply + ' ' if reply else ''}{len(block)} {len(block) + len(payload)}",
                  block + payload + b"\r\n")

    def fill(self):
        more = self.socket.recv(1 << 16)
        if not more:
            raise Closed(self.buffer[-200:])
        self.buffer += more

    def line(self):
        while b"\r\n" not in self.buffer:
            self.fill()
        line, self.buffer = self.buffer.split(b"\r\n", 1)
        return line.decode()

    def exactly(self, size):
        while len(self.buffer) < size:
            self.fill()
        data, self.buffer = self.buffer[:size], self.buffer[size:]
        return data

    def next(self):
        """("MSG", subject, sid, reply, header block, payload), or another operation's line."""
        while True:
            line = self.line()
            words = line.split()
            if words[0] == "PING":
                self.send("PONG")
            elif words[0] not in ("MSG", "HMSG"):
                if words[0] != "INFO":
                    return line
            else:
                size = int(words[-1])
                header = int(words[-2]) if words[0] == "HMSG" else 0
                known = 3 + (2 if words[0] == "HMSG" else 1)
                reply = words[3] if len(words) > known else None
                data = self.exactly(size + 2)
                assert data.endswith(b"\r\n"), data[-10:]
                return ("MSG", words[1], words[2], reply, data[:header], data[header:-2])

    def message(self):
        found = self.next()
        assert isinstance(found, tuple), f"no message: {found}"
        return found

    def payload(self):
        return self.message()[5]

    def flush(self):
        """All until the PONG: what came before it."""
        self.send("PING")
        out = []
        while True:
            found = self.next()
            if found == "PONG":
                return out
            if isinstance(found, str) and found.startswith("-ERR"):
                raise AssertionError(found)
            out.append(found)

    def expect(self, pattern):
        found = self.next()
        assert isinstance(found, str) and re.fullmatch(pattern, found), f"{found!r} is not {pattern!r}"
        return found

    def expect_error(self, text):
        found = self.next()
        assert isinstance(found, str) and found.lower() == f"-ERR '{text}'".lower(), f"{found!r}, not {text!r}"

    def expect_end(self, seconds=30):
        """The connection is closed; what came before that."""
        self.socket.settimeout(seconds)
        try:
            while True:
                self.fill()
        except (Closed, ConnectionResetError):
            return self.buffer

    def quiet(self, seconds=0.1):
        """Nothing comes; the one place where time has to pass."""
        self.socket.settimeout(seconds)
        try:
            more = self.socket.recv(1 << 16)
            raise AssertionError(f"{more!r} came")
        except TimeoutError:
            self.socket.settimeout(30)

    def close(self):
        self.socket.close()


def until(function, seconds=30):
    end = time.monotonic() + seconds
    while not function():
        if time.monotonic() > end:
            raise TimeoutError
        time.sleep(0.005)
