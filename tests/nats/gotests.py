#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs the client protocol tests of nats-server and the core tests of nats.go against another process.

gotests.py [--server fluxmq|nats-server] [--bin FILE] [--jobs 2] [--list] [--prepare] [PATTERN...]

The sources come through the Go module proxy into the cache; in the copy of nats-server the methods
that start, end and ask a server are replaced by those of go/outside.go, which start the binary. Each
test runs in a process of its own, where it can in a network namespace of its own, since these tests
have fixed ports. TAP. A test that asks for what a client protocol server has not (clusters,
JetStream, ...) is skipped with that reason; left-out.tsv names those that are left out for others. They have
time-outs of their own, of some tens of milliseconds, which a busy machine exceeds: what fails is run again by itself,
and once more, and that is said. --prepare only fetches and builds."""

import argparse
import concurrent.futures
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "harness")]

from broker import DEFAULT_BIN  # noqa: E402
from server import CACHE, NatsServer, versions  # noqa: E402
from tap import Tap  # noqa: E402

WORK = os.path.join(CACHE, "nats", "go")
TEST_SECONDS, TRIES = 90, 2
SUITES = {  # suite -> (folder of the package, files whose tests are run)
    "nats-server": ("nats-server/test", [
        "proto", "verbose", "pedantic", "ping", "maxpayload", "client_auth", "auth", "user_authorization",
        "fanout", "port", "gosrv", "norace"]),
    "nats.go": ("nats.go/test", [
        "auth", "basic", "cluster", "conn", "context", "drain", "enc", "gob", "headers", "json", "nats", "nats_iter",
        "netchan", "norace", "protobuf", "reconnect", "sub"]),
}
REPLACED = ("Start|Shutdown|LameDuckShutdown|lameDuckMode|Reload|WaitForShutdown|ReadyForConnections|Addr|"
            "ClientURL|MonitorAddr|NumClients|NumSubscriptions|Varz|Connz")


def go(folder, *words):
    run = subprocess.run(["go", *words], cwd=folder, capture_output=True, text=True, check=False,
                         env=dict(os.environ, GOFLAGS="-mod=mod", GOTOOLCHAIN="local"))
    if run.returncode:
        sys.exit(f"go {' '.join(words)}: {run.stderr[-3000:]}")
    return run.stdout


def copy_module(module, version, name):
    """The module's source, where it may be changed."""
    os.makedirs(WORK, exist_ok=True)
    found = json.loads(go(WORK, "mod", "download", "-json", f"{module}@{version}"))
    target = os.path.join(WORK, name)
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(found["Dir"], target)
    for base, folders, files in os.walk(target):
        for entry in folders + files:
            path = os.path.join(base, entry)
            os.chmod(path, os.stat(path).st_mode | 0o200)
    os.chmod(target, 0o755)
    return target


def swap_server(source):
    folder = os.path.join(source, "server")
    for name in os.listdir(folder):
        path = os.path.join(folder, name)
        if name.endswith("_test.go"):
            os.unlink(path)
        elif name.endswith(".go"):
            with open(path, encoding="utf-8") as file:
                text = file.read()
            changed = re.sub(rf"^func \(s \*Server\) ({REPLACED})\(", r"func (s *Server) inside\1(", text, flags=re.M)
            if changed != text:
                with open(path, "w", encoding="utf-8") as file:
                    file.write(changed)
    for name in ("outside.go", "outside_options.go"):
        shutil.copy(os.path.join(HERE, "go", name), folder)


def stamp():
    text = []
    for name in ("versions.tsv", "gotests.py", "go/outside.go", "go/outside_options.go"):
        with open(os.path.join(HERE, name), encoding="utf-8") as file:
            text.append(file.read())
    return "\0".join(text)


def prepare():
    """Builds both test programs, unless they are those of the files here."""
    path, text = os.path.join(WORK, "stamp"), stamp()
    if os.path.exists(path):
        with open(path, encoding="utf-8") as file:
            if file.read() == text:
                return
    version = versions()
    server = copy_module("github.com/nats-io/nats-server/v2", version["nats-server"], "nats-server")
    swap_server(server)
    go(server, "test", "-c", "-o", os.path.join(WORK, "nats-server.test"), "./test")
    client = copy_module("github.com/nats-io/nats.go", version["nats.go-tests"], "nats.go")
    go(client, "mod", "edit", f"-replace=github.com/nats-io/nats-server/v2={server}", "go_test.mod")
    go(client, "test", "-c", "-modfile=go_test.mod", "-o", os.path.join(WORK, "nats.go.test"), "./test")
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def tests_of(suite):
    folder, files = SUITES[suite]
    for name in files:
        with open(os.path.join(WORK, folder, name + "_test.go"), encoding="utf-8") as file:
            for test in re.findall(r"^func (Test\w+)\(t \*testing\.T\)", file.read(), re.M):
                yield test


def left_out(server):
    """test -> reason"""
    out = {}
    with open(os.path.join(HERE, "left-out.tsv"), encoding="utf-8") as file:
        for line in file:
            if line.strip() and not line.startswith("#"):
                who, suite, test, why = line.rstrip("\n").split("\t")
                if who in ("both", server):
                    out[suite, test] = why
    return out


def alone():
    """Words that give a program a network of its own, if that is allowed here."""
    words = ["unshare", "-n", "sh", "-c", 'ip link set lo up && exec "$0" "$@"']
    if not shutil.which("unshare"):
        return []
    return [] if subprocess.run([*words, "true"], capture_output=True, check=False).returncode else words


class Runner:
    def __init__(self, kind, binary):
        self.kind, self.words = kind, alone()
        self.folder = tempfile.mkdtemp(prefix="fluxmq-nats-go-")
        self.env = dict(os.environ, OUTSIDE_KIND=kind, OUTSIDE_BIN=os.path.abspath(binary), TMPDIR=self.folder,
                        OUTSIDE_FOLDER=self.folder)

    def run(self, suite, test):
        """(result, what it said)"""
        command = [*self.words, os.path.join(WORK, suite + ".test"), "-test.v", f"-test.run=^{test}$",
                   f"-test.timeout={TEST_SECONDS}s"]
        process = subprocess.Popen(command, cwd=os.path.join(WORK, SUITES[suite][0]), env=self.env, text=True,
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT, errors="replace",
                                   start_new_session=True)
        try:
            said = process.communicate(timeout=TEST_SECONDS + 30)[0]
        except subprocess.TimeoutExpired:
            said = "it did not end"
        finally:
            try:
                os.killpg(process.pid, signal.SIGKILL)  # what a failed test left behind
            except ProcessLookupError:
                pass
        why = re.search(r"^LEFT OUT: (.*)$", said, re.M)
        if process.returncode == 77 and why:
            return "skip", why.group(1)
        if process.returncode == 0 and re.search(rf"^--- PASS: {test} ", said, re.M):
            return "ok", ""
        if process.returncode == 0 and re.search(rf"^--- SKIP: {test} ", said, re.M):
            why = " ".join(re.findall(r"^ +\w+_test.go:\d+: (.*)$", said, re.M))
            return "skip", "by itself: " + (why or "without a reason")
        return "not ok", said

    def close(self):
        shutil.rmtree(self.folder, ignore_errors=True)


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--server", choices=["fluxmq", "nats-server"], default="fluxmq")
    ap.add_argument("--bin")
    ap.add_argument("--jobs", type=int, default=2)
    ap.add_argument("--list", action="store_true")
    ap.add_argument("--prepare", action="store_true")
    ap.add_argument("patterns", nargs="*", help="regular expressions of suite/test")
    a = ap.parse_args()
    tap = Tap()
    if not shutil.which("go"):
        tap.skip("tests in Go", "no go on this machine")
        tap.finish()
    prepare()
    if a.prepare:
        return
    known = left_out(a.server)
    work = [(suite, test) for suite in SUITES for test in tests_of(suite)
            if not a.patterns or any(re.search(p, f"{suite}/{test}") for p in a.patterns)]
    if a.list:
        print("\n".join(f"{suite}/{test}" for suite, test in work))
        return
    runner = Runner(a.server, a.bin or (DEFAULT_BIN if a.server == "fluxmq" else NatsServer.program))
    jobs, again = a.jobs if runner.words else 1, []
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        def one(item):
            return ("skip", known[item]) if item in known else runner.run(*item)
        for (suite, test), (result, said) in zip(work, pool.map(one, work)):
            if result == "skip":
                tap.skip(f"{suite}/{test}", said)
            elif result == "ok":
                tap.result(True, f"{suite}/{test}")
            else:
                again.append((suite, test, said))
    for suite, test, said in again:
        result, tries = "not ok", 0
        while result == "not ok" and tries < TRIES:
            tap.note(f"{suite}/{test} failed:\n" + "\n".join(said.split("\n")[:60]))
            result, said = runner.run(suite, test)
            tries += 1
        tap.result(result == "ok", f"{suite}/{test}")
    runner.close()
    tap.finish()


if __name__ == "__main__":
    main()
