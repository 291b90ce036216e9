# SPDX-License-Identifier: MIT
"""Programs in clients/ that speak through the NATS clients of other people; each prints TAP."""

import os
import re
import subprocess

from server import CACHE

HERE = os.path.dirname(os.path.abspath(__file__))
NATS = os.path.join(CACHE, "nats")


def program(needs, *command):
    """Runs it and counts its cases under its name; skipped if what it needs is not there."""
    def run(tap, name, url):
        if not all(os.path.exists(path) for path in needs):
            tap.skip(name, "not there; tests/nats/deps.sh fetches it")
            return
        count = 0
        try:
            done = subprocess.run([*command, url], capture_output=True, text=True, timeout=400, check=False)
        except subprocess.TimeoutExpired:
            tap.result(False, f"{name}: took more than 400 s")
            return
        for line in done.stdout.splitlines():
            found = re.match(r"(not )?ok \d+ - (.*)", line)
            if found:
                count += 1
                tap.result(not found.group(1), f"{name}: {found.group(2)}")
            elif line.startswith("#"):
                tap.note(line[2:])
        if done.returncode or not count:
            tap.result(False, f"{name}: ended with {done.returncode}")
            tap.note(done.stderr[-3000:])
    return run


CLIENTS = {
    "nats.go": program([os.path.join(NATS, "go-client")], os.path.join(NATS, "go-client")),
    "nats-py": program([os.path.join(NATS, "python/bin/python")], os.path.join(NATS, "python/bin/python"),
                       os.path.join(HERE, "clients/python.py")),
    "nats.js": program([os.path.join(NATS, "node/node_modules")], "node", os.path.join(NATS, "node/node.cjs")),
    "nats.c": program([os.path.join(NATS, "c-client")], os.path.join(NATS, "c-client")),
}
