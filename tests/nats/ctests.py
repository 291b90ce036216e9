#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs the core tests of nats.c against another process: ctests.py SOURCE [--server fluxmq|nats-server] [--bin FILE]
[PATTERN...]

SOURCE is a checkout of nats.c (no package has its tests, so make test does not run this). Its test
program starts what NATS_TEST_SERVER_EXE names: as-nats-server, which starts our binary. Each test has
a network namespace of its own. Not run: JetStream, key-value and object stores, streaming, benchmarks,
what looks only at the library, and what wants
a localhost with IPv6; a test whose server wants another option than a port, an address or
one user is skipped with that option. TAP."""

import argparse
import concurrent.futures
import os
import re
import signal
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "harness")]

from broker import DEFAULT_BIN  # noqa: E402
from gotests import alone  # noqa: E402
from server import NatsServer  # noqa: E402
from tap import Tap  # noqa: E402

NOT_OURS = re.compile("IPResolutionOrder|JetStream|KeyValue|ObjectStore|Stan|^nats[A-Z]|^SSL|TLS|Websocket")
TEST_SECONDS = 60


def build(source):
    target = os.path.join(source, "fluxmq-build")
    program = os.path.join(target, "bin", "testsuite")
    if not os.path.exists(program):
        for words in (["cmake", "-S", source, "-B", target, "-DNATS_BUILD_STREAMING=OFF", "-DNATS_BUILD_EXAMPLES=OFF",
                       "-DCMAKE_BUILD_TYPE=Release", "-Wno-dev"],
                      ["cmake", "--build", target, "-j2", "--target", "testsuite"]):
            done = subprocess.run(words, capture_output=True, text=True, check=False)
            if done.returncode:
                sys.exit(done.stdout[-2000:] + done.stderr[-2000:])
    return program


def run(program, source, server, binary, test):
    with tempfile.TemporaryDirectory() as folder:
        exe = os.path.join(HERE, "as-nats-server") if server == "fluxmq" else binary
        env = dict(os.environ, NATS_TEST_SERVER_EXE=exe, OUTSIDE_FOLDER=folder, OUTSIDE_BIN=binary,
                   NATS_TEST_SERVER_VERSION="nats-server: v2.10.0")  # as our INFO says
        process = subprocess.Popen([*alone(), program, test], cwd=os.path.join(source, "test"), env=env, text=True,
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT, errors="replace",
                                   start_new_session=True)
        try:
            said = process.communicate(timeout=TEST_SECONDS)[0]
        except subprocess.TimeoutExpired:
            said = "it did not end"
        finally:
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        try:
            with open(os.path.join(folder, "left-out"), encoding="utf-8") as file:
                return "skip", "a server with " + file.readline().strip()
        except FileNotFoundError:
            if "error opening file 'server.log'" in said:
                return "skip", "reads nats-server's log"
            return "ok" if process.returncode == 0 and "ALL PASSED" in said else "not ok", said


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("source")
    ap.add_argument("--server", choices=["fluxmq", "nats-server"], default="fluxmq")
    ap.add_argument("--bin")
    ap.add_argument("patterns", nargs="*")
    a = ap.parse_intermixed_args()
    source = os.path.abspath(a.source)
    program = build(source)
    binary = os.path.abspath(a.bin or (DEFAULT_BIN if a.server == "fluxmq" else NatsServer.program))
    with open(os.path.join(source, "test", "list_test.txt"), encoding="utf-8") as file:
        tests = [t for t in re.findall(r"\((\w+)\)", file.read()) if not NOT_OURS.search(t)]
    tests = [t for t in tests if not a.patterns or any(re.search(p, t) for p in a.patterns)]
    tap = Tap()
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for test, (result, said) in zip(tests, pool.map(lambda t: run(program, source, a.server, binary, t), tests)):
            if result == "skip":
                tap.skip(test, said)
            elif not tap.result(result == "ok", test):
                tap.note("\n".join(said.split("\n")[-25:]))
    tap.finish()


if __name__ == "__main__":
    main()
