# SPDX-License-Identifier: MIT
"""Servers by hand: what a client has to do that real ones ask for seldom or never."""

import socket
import threading

INFO = b'INFO {"server_id":"x","headers":true,"max_payload":1048576}\r\n'


class Strange(threading.Thread):
    """Serves one client with a function of (socket, file); what it raises is raised by close()."""

    def __init__(self, serve):
        super().__init__(daemon=True)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(20)
        self.port = self.listener.getsockname()[1]
        self.serve, self.problem = serve, None
        self.start()

    def run(self):
        try:
            client, _ = self.listener.accept()
            client.settimeout(20)
            with client, client.makefile("rb") as file:
                self.serve(client, file)
        except Exception as problem:  # pylint: disable=broad-except
            self.problem = problem

    def close(self):
        self.join(20)
        self.listener.close()
        if self.problem:
            raise self.problem


def talk(w, serve, *words, status=0):
    """(standard output, standard error) of a verb with that server; its words hold no --server."""
    server = Strange(serve)
    try:
        return w.run(words[0], "--server", f"127.0.0.1:{server.port}", *words[1:], status=status)
    finally:
        server.close()


def wait_for(file, wanted):
    """Lines until one begins so."""
    while True:
        line = file.readline()
        assert line, f"the client left before {wanted}"
        if line.startswith(wanted):
            return line


def pings(w):
    """A PING is answered: before CONNECT's PONG, while waiting, and every time."""
    def serve(client, file):
        client.sendall(INFO)
        wait_for(file, b"CONNECT")
        wait_for(file, b"PING")
        client.sendall(b"PING\r\n")
        wait_for(file, b"PONG")
        client.sendall(b"PONG\r\n")
        wait_for(file, b"SUB a")
        for _ in range(3):
            client.sendall(b"PING\r\n")
            wait_for(file, b"PONG")
        client.sendall(b"MSG a 1 2\r\nhi\r\n")
    assert talk(w, serve, "sub", "--raw", "-n", "1", "a")[0] == "hi\n"


def byte_by_byte(w):
    def serve(client, file):
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for at in range(len(INFO)):
            client.sendall(INFO[at:at + 1])
        wait_for(file, b"PING")
        client.sendall(b"PONG\r\n")
        wait_for(file, b"SUB a")
        text = b"HMSG a 1 r 18 23\r\nNATS/1.0\r\nX: 1\r\n\r\nhello\r\nMSG a 1 0\r\n\r\n"
        for at in range(len(text)):
            client.sendall(text[at:at + 1])
        file.read()
    assert talk(w, serve, "sub", "-n", "2", "a")[0] == "[1] a, reply to r\nX: 1\n\nhello\n\n[2] a\n\n\n"


def shake(client, file, info=INFO):
    client.sendall(info)
    wait_for(file, b"PING")
    client.sendall(b"PONG\r\n")


def no_headers(w):
    def serve(client, file):
        shake(client, file, INFO.replace(b"true", b"false"))
        file.read()
    _, err = talk(w, serve, "pub", "a", "x", "--ttl", "1s", status=1)
    assert "does not know headers" in err, err


def refuses_late(w):
    """What it says with the connection going on, and what it says before it closes."""
    def serve(client, file):
        shake(client, file)
        wait_for(file, b"PUB a")
        client.sendall(b"-ERR 'Maximum Payload Violation'\r\n")
        client.shutdown(socket.SHUT_WR)
        file.read()  # with something unread, closing would reset the connection
    _, err = talk(w, serve, "pub", "a", "x", status=1)
    assert "Maximum Payload Violation" in err, err


def goes_away(w):
    _, err = talk(w, lambda client, file: client.sendall(INFO), "pub", "a", "x", status=1)
    assert "closed the connection" in err, err
    _, err = talk(w, lambda client, file: client.sendall(b"220 mail ready\r\n"), "pub", "a", "x", status=1)
    assert "does not speak the NATS protocol" in err, err

    def garbage(client, file):
        shake(client, file)
        wait_for(file, b"SUB")
        client.sendall(b"MSG a 1 5\r\nhello, too long\r\n")
        file.read()
    _, err = talk(w, garbage, "sub", "a", status=1)
    assert "does not speak the NATS protocol" in err, err


CASES = [("pings are answered", pings), ("a server that sends byte by byte", byte_by_byte),
         ("a server without headers", no_headers), ("a refusal at the end", refuses_late),
         ("servers that go away, or are none", goes_away)]
