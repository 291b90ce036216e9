# SPDX-License-Identifier: MIT
"""A server for NATS clients: ours, or nats-server, with the same limits and users.

Limits have the names of our settings without "nats." (max.payload, ping.interval.ms, ...); users are
what stands in our users file. Both become nats-server's own configuration for nats-server."""

import json
import os
import re
import signal
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.append(os.path.join(HERE, "..", "harness"))

import broker  # noqa: E402
from broker import DEFAULT_BIN, free_port, wait_until  # noqa: E402

CACHE = os.environ.get("FLUXMQ_CACHE", os.path.expanduser("~/.cache/fluxmq"))
PORTS = (24000, 24199)


def versions():
    """What deps.sh fetches: name -> version"""
    with open(os.path.join(HERE, "versions.tsv"), encoding="utf-8") as file:
        return dict(line.split("\t") for line in file.read().splitlines() if line and not line.startswith("#"))


class FluxMQ(broker.FluxMQ):
    name = "fluxmq"

    def __init__(self, port=None, binary=DEFAULT_BIN, limits=None, users=None, http=0, options=(), settings=None):
        self.nats_port = port or free_port(*PORTS, but=(http,))
        kafka = free_port(*PORTS, but=(self.nats_port, http))
        settings = {**(settings or {}), **{"nats." + name: value for name, value in (limits or {}).items()}}
        options = ["--nats-port", str(self.nats_port), *options]
        if http:
            options += ["--metrics-port", str(http)]
        super().__init__(port=kafka, binary=binary, settings=settings, options=options)
        if users is not None:
            path = os.path.join(self.folder, "users.json")
            with open(path, "w", encoding="utf-8") as file:
                json.dump(users, file)
            self.options += ["--nats-users", path]

    def wait_ready(self, seconds=broker.START_SECONDS):
        super().wait_ready(seconds)
        wait_until(lambda: broker.accepts(self.nats_port), seconds, "the NATS port")

    def lame_duck(self):
        self.process.send_signal(signal.SIGUSR2)



LIMITS = {  # ours -> (nats-server's, how the value is written)
    "max.payload": ("max_payload", str), "max.pending": ("max_pending", str),
    "max.control.line": ("max_control_line", str), "max.connections": ("max_connections", str),
    "max.subscriptions": ("max_subscriptions", str), "ping.interval.ms": ("ping_interval", '"{}ms"'.format),
    "ping.max": ("ping_max", str), "write.deadline.ms": ("write_deadline", '"{}ms"'.format),
    "lame.duck.ms": ("lame_duck_duration", '"{}ms"'.format),
    "server.name": ("server_name", str),
}


class NatsServer(broker.FluxMQ):
    name = "nats-server"
    program = os.path.join(CACHE, "nats", "bin", "nats-server")

    @classmethod
    def version(cls):
        return subprocess.run([cls.program, "--version"], capture_output=True, text=True, check=True).stdout.split()[-1]

    def __init__(self, port=None, binary=None, limits=None, users=None, http=0, options=(), settings=None):
        del settings
        super().__init__(port=port or free_port(*PORTS, but=(http,)), binary=binary or self.program)
        self.nats_port = self.port
        self.limits, self.users, self.http, self.words = dict(limits or {}), users, http, list(options)

    def text(self):
        """nats-server's configuration: JSON is almost a subset of its language."""
        lines = [f"listen: 127.0.0.1:{self.port}"]
        if self.http:
            lines.append(f"http: 127.0.0.1:{self.http}")
        auth = dict(self.users or {})
        if "lame.duck.ms" in self.limits:
            lines.append('lame_duck_grace_period: "10ms"')
        if "auth.timeout.ms" in self.limits:
            auth["timeout"] = self.limits.pop("auth.timeout.ms") / 1000
        for name, value in self.limits.items():
            key, write = LIMITS[name]
            lines.append(f"{key}: {write(value)}")
        if "no_auth_user" in auth:
            lines.append(f"no_auth_user: {auth.pop('no_auth_user')}")
        if auth:
            lines.append("authorization: " + json.dumps(auth))
        return "\n".join(lines) + "\n"

    def command(self):
        path = os.path.join(self.folder, "server.conf")
        with open(path, "w", encoding="utf-8") as file:
            file.write(self.text())
        return [self.binary, "-c", path, *self.words]

    def lame_duck(self):
        self.process.send_signal(signal.SIGUSR2)

    def end_well(self):
        """SIGTERM; its status after that is not 0"""
        self.stop(30)
        with open(self.log, errors="replace", encoding="utf-8") as file:
            panics = re.findall(r"^panic: .*", file.read(), re.M)
        assert not panics, panics


