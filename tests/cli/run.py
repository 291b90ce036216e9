#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The verbs of the program, against our server and, as the control, against nats-server.

run.py [--bin FILE] [--only ours|nats-server] [--kafka HOST:PORT]

--kafka: the loads of `fluxmq bench` on that Kafka, and nothing else.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "harness")]

from broker import DEFAULT_BIN, FluxMQ, accepts, free_port, wait_until  # noqa: E402
from tap import Tap  # noqa: E402
import bench  # noqa: E402
import cases  # noqa: E402
import strange  # noqa: E402

CACHE = os.environ.get("FLUXMQ_CACHE", os.path.expanduser("~/.cache/fluxmq"))
SERVER = os.path.join(CACHE, "nats", "bin", "nats-server")
USERS = {"users": [{"user": "me", "password": "secret", "permissions": {"publish": {"deny": "closed"}}}]}
THEIR_USERS = """authorization {
  users = [ { user: me, password: secret, permissions: { publish: { deny: "closed" } } } ]
}
"""


class World:
    """A server, and the program that talks to it."""

    def __init__(self, binary):
        self.binary = os.path.abspath(binary)
        self.folder = tempfile.TemporaryDirectory(prefix="fluxmq-cli-")
        self.ports = []
        self.nats, self.http = self.port(), self.port()
        self.running = []

    def port(self):
        self.ports.append(free_port(23000, 23999, but=self.ports))
        return self.ports[-1]

    def path(self, name, text=None):
        path = os.path.join(self.folder.name, name)
        if text is not None:
            with open(path, "wb") as file:
                file.write(text if isinstance(text, bytes) else text.encode())
        return path

    def words(self, verb, words):
        where = [] if "--server" in words or verb not in ("pub", "sub", "request") else \
            ["--server", f"127.0.0.1:{self.nats}"]
        return [self.binary, verb, *where, *words]

    def run(self, verb, *words, given=b"", status=0, env=None):
        """(standard output, standard error) of a verb that has to end with that status."""
        done = subprocess.run(self.words(verb, words), input=given, capture_output=True, timeout=120, check=False,
                              env={**self.environment(), **(env or {})})
        out, err = done.stdout.decode(errors="surrogateescape"), done.stderr.decode(errors="replace")
        assert done.returncode == status, f"{verb} {words}: {done.returncode}, not {status}: {out} {err}"
        return out, err

    def environment(self):
        return {k: v for k, v in os.environ.items() if not k.startswith(("NATS_", "FLUXMQ_"))}

    def begin(self, verb, *words):
        """A verb that goes on; killed at the end of the case if it still runs."""
        process = subprocess.Popen(self.words(verb, words), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, env=self.environment())
        self.running.append(process)
        return process

    def subscribed(self, *words, count=1):
        """A running sub, once the server knows of it."""
        newest = self.newest()
        process = self.begin("sub", *words)
        self.wait_subscription(newest, count)
        return process

    def connections(self):
        return json.loads(self.get("/connz"))["connections"]

    def newest(self):
        """The highest cid there is."""
        return max((c["cid"] for c in self.connections()), default=0)

    def wait_subscription(self, newest, count=1):
        """Until a connection that came after that one has so many subscriptions."""
        wait_until(lambda: any(c["cid"] > newest and c["subscriptions"] >= count for c in self.connections()), 20,
                   "the subscription")

    def varz(self):
        return json.loads(self.get("/varz"))

    def get(self, path):
        from urllib.request import urlopen  # pylint: disable=import-outside-toplevel
        with urlopen(f"http://127.0.0.1:{self.http}{path}", timeout=10) as answer:
            return answer.read().decode()

    def end_case(self):
        for process in self.running:
            if process.poll() is None:
                process.kill()
            process.communicate()
        self.running = []

    def close(self):
        self.end_case()
        self.folder.cleanup()


class Ours(World):
    name = "ours"

    def __init__(self, binary):
        super().__init__(binary)
        self.broker = None

    def start(self, *options):
        self.broker = FluxMQ(binary=self.binary, folder=self.folder.name,
                             options=("--metrics-port", str(self.http), "--nats-port", str(self.nats), *options))
        self.broker.start()
        wait_until(lambda: accepts(self.nats) and accepts(self.http), 10, "the server's ports")

    def start_with_users(self):
        self.start("--nats-users", self.path("users.json", json.dumps(USERS)))

    def stop(self):
        self.broker.end_well()

    def close(self):
        if self.broker:
            self.broker.close()
        super().close()


class Given(World):
    """A Kafka that runs already."""
    name = "kafka"

    def __init__(self, binary, address):
        super().__init__(binary)
        self.kafka = address

    def start(self):
        pass


class Theirs(World):
    name = "nats-server"

    def __init__(self, binary):
        super().__init__(binary)
        self.server = None

    def start(self, *options):
        self.server = subprocess.Popen(
            [SERVER, "-a", "127.0.0.1", "-p", str(self.nats), "-m", str(self.http), *options],
            stderr=subprocess.DEVNULL)
        wait_until(lambda: accepts(self.nats) and accepts(self.http), 10, "nats-server's ports")

    def start_with_users(self):
        self.start("-c", self.path("users.conf", THEIR_USERS))

    def stop(self):
        self.server.send_signal(signal.SIGTERM)
        self.server.wait(20)

    def close(self):
        if self.server and self.server.poll() is None:
            self.server.kill()
            self.server.wait()
        super().close()


def run_all(tap, world, listed):
    try:
        world.start()
        for name, case in listed:
            try:
                tap.run(f"{world.name}: {name}", case, world)
            finally:
                world.end_case()
    finally:
        world.close()


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--bin", default=DEFAULT_BIN)
    options.add_argument("--only", choices=("ours", "nats-server"))
    options.add_argument("--kafka", metavar="HOST:PORT")
    given, tap = options.parse_args(), Tap()
    if given.kafka:
        run_all(tap, Given(given.bin, given.kafka), bench.KAFKA)
        tap.finish()
        return
    if given.only != "nats-server":
        run_all(tap, Ours(given.bin), cases.ALONE + bench.ALONE + bench.KAFKA + bench.OURS + bench.BOTH +
                strange.CASES + cases.OURS + cases.BOTH)
    if given.only != "ours":
        if os.path.exists(SERVER):
            run_all(tap, Theirs(given.bin), bench.BOTH + cases.BOTH)
        else:
            tap.skip("nats-server: the same cases", "it is not in the cache")
    tap.finish()


if __name__ == "__main__":
    main()
