#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A disk that is full, lies or fails, and a heap that is empty, below the running broker.

run.py [--bin FILE] [case...]

In each case the outcome is a defined one (a Kafka error, not a hang or a crash), nothing acknowledged is
lost, neither now nor after SIGKILL and a start on a well disk, and when the trouble is over, producing
works again where the design says so.
"""

import argparse
import mmap
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "harness")]

from broker import DEFAULT_BIN, PATIENCE, FluxMQ, wait_until  # noqa: E402
from client import Client, Lost, Refused, batch, records  # noqa: E402
from tap import Skip, Tap  # noqa: E402

STORAGE_ERROR = 56
TOPIC = "kept"
SYNC_FAILS, WRITE_FAILS, WRITE_SHORT, ALLOC_EVERY, SYNCS, WRITES, ALLOCS = range(7)
ALL_SYNC_FAILS = 8


class Faults:
    """The numbers that the shim looks at."""

    def __init__(self, folder):
        self.path = os.path.join(folder, "faults")
        with open(self.path, "wb") as file:
            file.write(bytes(4096))
        with open(self.path, "r+b") as file:
            self.map = mmap.mmap(file.fileno(), 4096)

    def set(self, index, value):
        struct.pack_into("<I", self.map, index * 4, value)

    def only(self, text):
        """Files whose path has this in it."""
        self.map[256:256 + len(text) + 1] = text.encode() + b"\0"

    def get(self, index):
        return struct.unpack_from("<I", self.map, index * 4)[0]


def build_shim(folder):
    path = os.path.join(folder, "shim.so")
    subprocess.run(["gcc", "-O1", "-shared", "-fPIC", "-o", path, os.path.join(HERE, "shim.c"), "-ldl"], check=True)
    return path


class World:
    """A broker and what it has acknowledged: values in order, one partition."""

    def __init__(self, options, folder, shim=None):
        os.makedirs(folder, exist_ok=True)
        self.faults = Faults(folder) if shim else None
        env = {"LD_PRELOAD": shim, "FAULTS_FILE": self.faults.path} if shim else {}
        self.broker = FluxMQ(folder=folder, binary=options.bin, env=env,
                             settings={"log.segment.bytes": 1 << 20})
        self.acked, self.number = {}, 0
        self.client = None

    def start(self, create=True):
        self.broker.start()
        self.client = Client(self.broker.port)
        if create:
            self.client.create_topic(TOPIC, 1)
        return self

    def produce(self, acks=-1, size=100):
        """The error code; what was acknowledged is remembered at its offset."""
        value = struct.pack(">Q", self.number) + bytes(size)
        self.number += 1
        self.client.send_produce(TOPIC, 0, batch([value]), acks)
        _, code, base = self.client.receive_produce()
        if code == 0:
            assert base not in self.acked, f"offset {base} was given twice"
            self.acked[base] = value
        return code

    def good(self, count, acks=-1):
        for _ in range(count):
            code = self.produce(acks)
            assert code == 0, f"error {code}"

    def all_there(self, client=None):
        client = client or self.client
        start, seen, end = 0, {}, client.ends(TOPIC, 1)[0]
        while start < end:
            code, _, data = client.fetch(TOPIC, {0: start}, 100)[0]
            assert code == 0, f"reading at {start}: error {code}"
            before = start
            for offset, value, _, _ in records(data):
                seen[offset] = value
                start = max(start, offset + 1)
            assert start > before, f"nothing at {start} of {end}"
        for offset, value in self.acked.items():
            assert seen.get(offset) == value, f"offset {offset} was acknowledged, and is " + (
                "another record now" if offset in seen else f"not there; the log ends at {end}")
        return len(seen)

    def survives(self):
        """SIGKILL, a start on a well disk: everything acknowledged is there, and producing works."""
        self.broker.kill()
        self.broker.extra = {}
        self.broker.start()
        self.client = Client(self.broker.port)
        self.all_there()
        self.good(3)
        self.all_there()

    def alive(self):
        assert self.broker.alive(), f"the broker ended ({self.broker.process.returncode}): {self.broker.tail(10)}"

    def close(self):
        self.broker.close()


def mounted(folder, size):
    """A small file system of its own, in the private mount space that main() made."""
    os.makedirs(folder, exist_ok=True)
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", folder], check=False,
                          capture_output=True, text=True)
    if done.returncode:
        raise Skip("mounting is not permitted here: " + done.stderr.strip())


def fill(path):
    """Takes all the space that is left."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT, 0o644)
    try:
        while os.write(file, bytes(4096)):
            pass
    except OSError:
        pass
    finally:
        os.close(file)


def until_full(world):
    for _ in range(2000):
        code = world.produce(1, 50000)
        if code:
            return code
    raise AssertionError("the disk never got full")


def full_disk(options, folder, _):
    mounted(folder, "24m")
    world = World(options, folder)
    world.broker.log = folder + ".log"  # not on the disk that gets full
    ballast = os.path.join(folder, "ballast")
    with open(ballast, "wb") as file:
        file.write(bytes(8 << 20))
    try:
        world.start()
        world.good(10)
        code = until_full(world)
        assert code == STORAGE_ERROR, f"a full disk is error {code}, not {STORAGE_ERROR}"
        world.alive()
        for acks in (1, -1):
            assert world.produce(acks, 50000) == STORAGE_ERROR
        count = world.all_there()
        os.remove(ballast)
        wait_until(lambda: world.produce(-1, 50000) == 0, 10, "producing, now that there is space")
        world.good(20)
        world.all_there()
        world.survives()
        with open(world.broker.log, encoding="utf-8", errors="replace") as file:
            lines = [line for line in file if "space" in line.lower()]
        assert 1 <= len(lines) <= 5, f"{len(lines)} lines about space: {lines[:6]}"
        return f"{count} records were on the full disk; {lines[0].strip()}"
    finally:
        world.close()
        subprocess.run(["umount", "-l", folder], check=False)


def full_disk_at_start(options, folder, _):
    """It starts and serves what is there, or says in a line that there is no space."""
    mounted(folder, "24m")
    world = World(options, folder)
    world.broker.log = folder + ".log"
    try:
        world.start()
        world.good(50)
        world.broker.kill()
        fill(os.path.join(folder, "ballast"))
        try:
            world.broker.start()
        except RuntimeError as ended:
            status, said = world.broker.process.returncode, world.broker.tail(3)
            assert status > 0 and "space" in said.lower(), str(ended)
        else:
            client = Client(world.broker.port)
            world.all_there(client)
            client.close()
            said = "it starts, and reads go on"
        world.broker.kill()
        os.remove(os.path.join(folder, "ballast"))
        world.survives()
        return said
    finally:
        world.close()
        subprocess.run(["umount", "-l", folder], check=False)


def flush_fails(options, folder, shim):
    """EIO on a flush: no acknowledgement, nothing is tried again; without a directory left the broker ends."""
    world = World(options, folder, shim)
    try:
        world.start()
        world.good(20)
        world.faults.set(SYNC_FAILS, 1)
        code = world.produce(-1)
        assert code == STORAGE_ERROR, f"a failed flush is error {code}, not {STORAGE_ERROR}"
        assert world.faults.get(SYNCS) >= 1
        world.faults.set(SYNC_FAILS, 0)
        status = world.broker.process.wait(PATIENCE)
        assert status == 1, f"the broker ended with {status}"
        with open(world.broker.log, encoding="utf-8", errors="replace") as file:
            said = file.read()
        assert "Input/output error" in said and "the broker stops" in said, "what the log says: " + said[-500:]
        world.survives()
    finally:
        world.close()


def flush_fails_at_the_stop(options, folder, shim):
    """EIO when many logs are flushed together: no clean stop is claimed, the next start looks at them all."""
    world = World(options, folder, shim)
    try:
        world.start()
        world.client.create_topic("many", 40)
        world.good(20)
        for partition in range(40):
            world.client.produce("many", partition, batch([b"x"]), 1)
        before = world.faults.get(SYNCS)
        world.faults.set(ALL_SYNC_FAILS, 1)
        status = world.broker.stop()
        assert status not in (0, None), f"the stop ended with {status}"
        assert world.faults.get(SYNCS) > before, "nothing was flushed"
        marker = os.path.join(world.broker.data, ".kafka_cleanshutdown")
        assert not os.path.exists(marker), "the clean-shutdown marker was written"
        world.faults.set(ALL_SYNC_FAILS, 0)
        world.start(create=False)
        world.all_there()
        ends = world.client.ends("many", 40)
        assert ends == [1] * 40, f"the ends are {ends}"
        return f"status {status}"
    finally:
        world.close()


def no_space_and_again(options, folder, shim):
    """ENOSPC for a while, under acks=1 and acks=all."""
    world = World(options, folder, shim)
    try:
        world.start()
        for _ in range(5):
            world.good(10)
            world.faults.set(WRITE_FAILS, 1)
            codes = [world.produce(acks) for acks in (1, -1, 1)]
            assert codes == [STORAGE_ERROR] * 3, f"errors {codes}"
            world.all_there()
            world.faults.set(WRITE_FAILS, 0)
            wait_until(lambda: world.produce() == 0, 10, "producing after it")
        world.all_there()
        world.survives()
    finally:
        world.close()


def short_writes(options, folder, shim):
    """The kernel takes a few bytes at a time: the rest is written, or it is an error; never half a batch."""
    world = World(options, folder, shim)
    try:
        world.start()
        refused = 0
        for size in (1, 7, 60, 61, 100):
            world.faults.set(WRITE_SHORT, size)
            for acks in (1, -1, 1):
                refused += world.produce(acks) != 0
            world.faults.set(WRITE_SHORT, 0)
            wait_until(lambda: world.produce() == 0, 10, "producing after it")
            world.all_there()
        assert world.faults.get(WRITES) > 10
        world.survives()
        return f"{refused} of 15 were refused, {world.faults.get(WRITES)} writes were short"
    finally:
        world.close()


def short_write_then_kill(options, folder, shim):
    """Half a batch on the disk, and then the end: recovery finds the whole ones."""
    world = World(options, folder, shim)
    try:
        world.start()
        world.good(10, 1)
        world.faults.set(WRITE_SHORT, 33)
        world.client.send_produce(TOPIC, 0, batch([bytes(200000)]), 1)
        wait_until(lambda: world.faults.get(WRITES) >= 2, 10, "a short write")
        world.survives()
    finally:
        world.close()


def no_memory(options, folder, shim):
    """One in N allocations fails while clients do everything: errors and closed connections, no crash."""
    world = World(options, folder, shim)
    refused = lost = done = 0
    try:
        world.start()
        world.good(20)
        for every in (97, 31, 11, 5, 2, 1):
            world.faults.set(ALLOC_EVERY, every)
            for number in range(60):
                try:
                    everything(world, f"t-{every}-{number}")
                    done += 1
                except Refused:
                    refused += 1
                except (Lost, AssertionError, KeyError, IndexError, struct.error):
                    lost += 1
                    world.alive()
                    world.faults.set(ALLOC_EVERY, 0)
                    world.client.close()
                    world.client = Client(world.broker.port)
                    world.faults.set(ALLOC_EVERY, every)
            world.faults.set(ALLOC_EVERY, 0)
            world.alive()
            world.client.close()
            world.client = Client(world.broker.port)
            world.good(3)
        world.all_there()
        failed = world.faults.get(ALLOCS)
        world.survives()
        return f"{failed} allocations failed: {done} rounds of requests went well, {refused} refused, {lost} lost"
    finally:
        world.close()


def everything(world, name):
    world.produce(1)
    world.produce(-1)
    world.client.fetch(TOPIC, {0: 0}, 0)
    world.client.create_topic(name, 2)
    world.client.call("Metadata", 9, {"topics": [{"name": name}], "allowAutoTopicCreation": False})
    world.client.call("DescribeConfigs", 4, {"resources": [{"resourceType": 2, "resourceName": name}]})
    world.client.ends(TOPIC, 1)
    world.client.producer_id()


CASES = [full_disk, full_disk_at_start, flush_fails, flush_fails_at_the_stop, no_space_and_again, short_writes,
         short_write_then_kill, no_memory]


def own_mounts():
    """Starts this program again in a mount space of its own, if that is permitted."""
    if os.environ.get("FAULTS_OWN_MOUNTS") or shutil.which("unshare") is None:
        return
    for wrap in (["unshare", "-m"], ["unshare", "-r", "-m"]):
        if subprocess.run([*wrap, "true"], check=False, capture_output=True).returncode == 0:
            os.environ["FAULTS_OWN_MOUNTS"] = "1"
            os.execvp(wrap[0], [*wrap, sys.executable, *sys.argv])


def main():
    own_mounts()
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--bin", default=DEFAULT_BIN)
    parser.add_argument("case", nargs="*")
    options = parser.parse_args()
    tap, folder, began = Tap(), tempfile.mkdtemp(prefix="fluxmq-faults-"), time.monotonic()
    shim = build_shim(folder)
    for case in CASES:
        name = case.__name__
        if not options.case or name in options.case:
            tap.run(name, case, options, os.path.join(folder, name), shim)
    tap.note(f"{time.monotonic() - began:.1f} s" + (f"; logs in {folder}" if tap.failed else ""))
    if not tap.failed:
        shutil.rmtree(folder, ignore_errors=True)
    tap.finish()


if __name__ == "__main__":
    main()
