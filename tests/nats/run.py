#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The NATS door as clients see it, byte by byte, and with the clients of three languages. TAP.

run.py [--server fluxmq|nats-server] [--bin FILE] [--light] [CASE...]

--server nats-server shows that the cases themselves are right. Clients come from deps.sh."""

import argparse
import json
import os
import sys
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "harness")]

import cases_auth  # noqa: E402
import cases_more  # noqa: E402
import cases_protocol  # noqa: E402
from broker import DEFAULT_BIN  # noqa: E402
from clients import CLIENTS  # noqa: E402
from server import PORTS, FluxMQ, NatsServer, free_port  # noqa: E402
from tap import Tap  # noqa: E402

SHARED = [cases_protocol.transcript, cases_protocol.transcript_verbose, cases_protocol.splits,
          cases_protocol.broken_operations, cases_protocol.control_line, cases_protocol.payloads,
          cases_protocol.wildcards, cases_protocol.invalid_subjects, cases_protocol.empty_tokens,
          cases_protocol.duplicate_sid,
          cases_protocol.unsub_max, cases_more.headers, cases_more.echo, cases_more.no_responders,
          cases_more.request_reply, cases_more.queue_balance, cases_more.order, cases_more.come_and_go]
OWN = [cases_auth.passwords, cases_auth.token, cases_auth.nkey, cases_auth.no_auth_user, cases_auth.permissions,
       cases_auth.allow_responses, cases_auth.authentication_timeout, cases_auth.pings, cases_auth.connection_limit,
       cases_auth.second_connect, cases_auth.lame_duck]
HEAVY = [cases_more.never_reads]


class World:
    def __init__(self, kind, binary):
        self.kind, self.binary = kind, binary
        self.others = []
        self.http = free_port(*PORTS)
        self.server = self.make(http=self.http).start()

    def make(self, **more):
        maker = FluxMQ if self.kind == "fluxmq" else NatsServer
        return maker(binary=self.binary, **more)

    def start(self, **more):
        """A server of the case's own."""
        self.others.append(self.make(**more).start())
        return self.others[-1]

    def ask(self, path):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http}{path}", timeout=10) as answer:
            return json.load(answer)

    def connections(self):
        return self.ask("/connz")["total"]

    def subscriptions(self):
        return self.ask("/subsz")["num_subscriptions"]

    def over(self):
        """After a case: its servers end well."""
        while self.others:
            server = self.others.pop()
            try:
                server.end_well()
            finally:
                server.close()


def case(world, function):
    try:
        return function(world)
    finally:
        world.over()


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--server", choices=["fluxmq", "nats-server"], default="fluxmq")
    ap.add_argument("--bin")
    ap.add_argument("--light", action="store_true", help="without the case that moves gigabytes and the clients")
    ap.add_argument("names", nargs="*")
    a = ap.parse_args()
    tap = Tap()
    binary = a.bin or (DEFAULT_BIN if a.server == "fluxmq" else NatsServer.program)
    if a.server != "fluxmq" and not os.path.exists(binary):
        tap.skip("everything", f"no {binary}; tests/nats/deps.sh fetches it")
        tap.finish()
    world = World(a.server, binary)
    for function in [*SHARED, *OWN, *([] if a.light else HEAVY)]:
        if not a.names or function.__name__ in a.names:
            tap.run(function.__name__.replace("_", " "), case, world, function)
    for name, function in {} if a.light else CLIENTS.items():
        if not a.names or name in a.names:
            function(tap, name, f"nats://127.0.0.1:{world.server.nats_port}")
    tap.run("the server ends well", world.server.end_well)
    world.server.close()
    tap.finish()


if __name__ == "__main__":
    main()
