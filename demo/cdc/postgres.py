# SPDX-License-Identifier: MIT
"""A Postgres of its own in a temporary folder, with wal_level=logical, never run as root."""

import glob
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time

START_SECONDS = 30


class Missing(Exception):
    """No Postgres on this machine."""


def programs():
    """The folder of the newest version that Debian installed."""
    found = glob.glob("/usr/lib/postgresql/*/bin/initdb")
    if not found:
        raise Missing("Postgres is not there: apt-get install postgresql")
    return os.path.dirname(max(found, key=lambda path: float(path.split("/")[4])))


class Postgres:
    """One database "shop"; say() sends a statement and does not wait, ask() gives rows."""

    def __init__(self, port):
        self.port, self.bin, self.process, self.session = port, programs(), None, None
        self.folder = tempfile.mkdtemp(prefix="fluxmq-postgres-")
        self.as_user = []
        if os.getuid() == 0:
            user = pwd.getpwnam("postgres")
            os.chown(self.folder, user.pw_uid, user.pw_gid)
            self.as_user = ["runuser", "-u", "postgres", "--"]

    def run(self, program, *args):
        return subprocess.run([*self.as_user, os.path.join(self.bin, program), *args], check=True, text=True,
                              cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT).stdout

    def psql(self, database, *args):
        return [*self.as_user, os.path.join(self.bin, "psql"), "-h", "127.0.0.1", "-p", str(self.port),
                "-U", "postgres", "-d", database, "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", *args]

    def start(self):
        data = os.path.join(self.folder, "data")
        self.run("initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C")
        with open(os.path.join(self.folder, "postgres.log"), "wb") as log:
            self.process = subprocess.Popen(
                [*self.as_user, os.path.join(self.bin, "postgres"), "-D", data, "-p", str(self.port),
                 "-c", "listen_addresses=127.0.0.1", "-c", f"unix_socket_directories={self.folder}",
                 "-c", "wal_level=logical"],
                cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        end = time.monotonic() + START_SECONDS
        while subprocess.run([os.path.join(self.bin, "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)],
                             check=False).returncode:
            if self.process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"Postgres does not start: {self.log()}")
            time.sleep(0.05)
        subprocess.run(self.psql("postgres", "-c", "create database shop"), check=True, cwd=self.folder)
        self.session = subprocess.Popen(self.psql("shop"), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                                        text=True, cwd=self.folder)
        return self

    def log(self):
        with open(os.path.join(self.folder, "postgres.log"), encoding="utf-8", errors="replace") as file:
            return " | ".join(file.read().strip().split("\n")[-3:])

    def say(self, statement):
        self.session.stdin.write(statement + ";\n")
        self.session.stdin.flush()

    def ask(self, query):
        done = subprocess.run(self.psql("shop", "-c", query), check=True, text=True, stdout=subprocess.PIPE,
                              cwd=self.folder)
        return [line.split("|") for line in done.stdout.splitlines()]

    def close(self):
        if self.session:
            self.session.stdin.close()
            self.session.wait()
        if self.process and self.process.poll() is None:
            # The process is runuser's or Postgres itself; the file says which one is the server.
            with open(os.path.join(self.folder, "data", "postmaster.pid"), encoding="ascii") as file:
                os.kill(int(file.readline()), signal.SIGINT)
            self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)
