#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What subscribers that don't keep up get, times to live and their accounts; presets and reloading.

policy.py [--bin FILE] [case...]
"""

import argparse
import os
import sys
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "harness")]

from broker import DEFAULT_BIN, FluxMQ, free_port, wait_until  # noqa: E402
from client import Client  # noqa: E402
from door import Nats, batch, records  # noqa: E402
from tap import Tap  # noqa: E402

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
        return Nats(self.nats_port)

    def restart(self):
        self.kafka.close()
        self.broker.kill()
        self.broker.start()
        self.kafka = Client(self.broker.port)

    def live(self):
        """The engine's figures, by what follows fluxmq_live_."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http}/metrics", timeout=10) as answer:
            rows = [line.rsplit(" ", 1) for line in answer.read().decode().split("\n") if line.startswith("fluxmq_")]
        return {name.removeprefix("fluxmq_live_"): float(value) for name, value in rows}


def published(n, subject, payload=b"", headers=()):
    """Published, and served."""
    n.publish(subject, payload, headers=headers)
    n.flush()


def fill(n, subject, seconds=0.3):
    """Publishes to a subject until the door doesn't read this client any more."""
    n.socket.settimeout(seconds)
    try:
        for _ in range(4000):
            n.publish(subject, BIG)
            n.send(b"PING\r\n")
            while not n.step(seconds):
                pass
    except TimeoutError:
        return
    raise AssertionError("the publisher was never held")


def who_is_held(binary):
    """A subscription that takes nothing holds those who publish to it, and nobody else."""
    with World(binary, {"nats.overflow": "block", "nats.overflow.messages": 10,
                        "nats.write.deadline.ms": 600000}) as w:
        stuck, reader, a, b = w.nats(), w.nats(), w.nats(), w.nats()
        stuck.subscribe("stuck.>")
        sid = reader.subscribe("free.>")
        fill(a, "stuck.x")
        for i in range(100):
            published(b, "free.x", b"%d" % i)
        assert [reader.next(sid=sid).payload for _ in range(100)] == [b"%d" % i for i in range(100)]
        stuck.close()  # who held it is gone: it goes on
        while not a.step(10):
            pass
        for n in (reader, a, b):
            n.close()


CASES = [who_is_held]


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
