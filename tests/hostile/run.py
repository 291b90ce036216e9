#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What peers and operators do wrong, done to the running broker.

run.py [--bin FILE] [--light] [case...]     --light: fewer connections, for sanitizer builds

After every case of the first kind the broker must be alive and answer a well-behaved client. Cases of
the second kind start a broker where it can't run: one clear line, and a status that is not zero.
"""

import argparse
import os
import random
import resource
import shutil
import socket
import struct
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "harness")]

import start  # noqa: E402
from broker import DEFAULT_BIN, PATIENCE, FluxMQ, wait_until  # noqa: E402
from client import Client, batch  # noqa: E402
from tap import Skip, Tap  # noqa: E402

REQUEST_MAX = 1 << 20  # socket.request.max.bytes of the broker under test
API_VERSIONS = struct.pack(">ihhih", 10, 18, 0, 7, -1)
MIB = 1 << 20


class Recorder(Client):
    """Keeps the frames that a client would send."""

    def __init__(self, frames):  # pylint: disable=super-init-not-called
        self.name, self.correlation, self.socket = "recorder", 0, self
        self.sendall = frames.append


class Hostile:
    def __init__(self, options):
        self.options, self.random = options, random.Random(20260101)
        self.broker = FluxMQ(binary=options.bin, settings={"socket.request.max.bytes": REQUEST_MAX,
                                                           "max.connections": 20000})

    # ---- helpers

    def connect(self, seconds=PATIENCE):
        plain = socket.create_connection(("127.0.0.1", self.broker.port), seconds)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return plain

    @staticmethod
    def outcome(plain, seconds=PATIENCE):
        """'closed', 'answered' or 'open' if nothing came in that time"""
        plain.settimeout(seconds)
        try:
            return "answered" if plain.recv(1 << 16) else "closed"
        except TimeoutError:
            return "open"
        except OSError:
            return "closed"

    def send(self, data, seconds=PATIENCE):
        plain = self.connect()
        try:
            plain.sendall(data)
        except OSError:
            pass
        said = self.outcome(plain, seconds)
        plain.close()
        return said

    def well(self):
        """A well-behaved client gets all it asks for."""
        assert self.broker.alive(), "the broker died: " + self.broker.tail(20)
        client = Client(self.broker.port)
        base = client.produce("well", 0, batch([b"x"]))
        _, _, data = client.fetch("well", {0: base}, 1000)[0]
        assert len(data) > 0
        client.close()

    def settled_memory(self):
        """Resident kB, when it does not change any more."""
        last = [0]

        def same():
            now = self.broker.status("VmRSS")
            same_now, last[0] = abs(now - last[0]) < 64, now
            time.sleep(0.1)
            return same_now
        wait_until(same, 10, "a steady size")
        return last[0]

    # ---- cases

    def garbage(self):
        for size in (1, 3, 4, 5, 17, 100, 1000, 65536):
            for _ in range(20):
                said = self.send(self.random.randbytes(size), 0.02)
                assert said != "answered", f"{size} random bytes were answered"

    def garbage_in_frames(self):
        """Frames of a right size with a random inside: closed, or answered with an error."""
        for api in list(range(0, 93)) + [-1, 999, 32767]:
            for version in (0, 1, 5, 9, 12, 17):
                body = self.random.randbytes(self.random.randrange(0, 200))
                data = struct.pack(">hhih", api, version, 1, -1) + body
                self.send(struct.pack(">i", len(data)) + data, 0.002)

    def mutated(self):
        """Real requests with a few bytes changed or cut off."""
        frames = []
        client = Recorder(frames)
        client.send_produce("well", 0, batch([b"x" * 50, b"y"]), 1)
        client.send_frame("Metadata", 1, struct.pack(">ih", 1, 4) + b"well")
        client.send_frame("CreateTopics", 2, struct.pack(">ih", 1, 2) + b"mu"
                          + struct.pack(">ihiiib", 1, 1, 0, 0, 99, 0))
        client.send_frame("ListOffsets", 1, struct.pack(">iih", -1, 1, 4) + b"well" + struct.pack(">iiq", 1, 0, -1))
        for frame in frames:
            for _ in range(150):
                changed = bytearray(frame)
                for _ in range(self.random.choice([1, 1, 2, 5])):
                    changed[self.random.randrange(4, len(changed))] = self.random.randrange(256)
                if self.random.random() < 0.2:
                    del changed[self.random.randrange(4, len(changed)):]
                    changed[0:4] = struct.pack(">i", len(changed) - 4)
                self.send(bytes(changed), 0.002)

    def sizes(self):
        for size in (-1, -(1 << 31), REQUEST_MAX + 1, (1 << 31) - 1):
            assert self.send(struct.pack(">i", size)) == "closed", f"a frame of {size} bytes was not refused"
        assert self.send(struct.pack(">i", 0)) == "closed", "an empty frame"
        said = self.send(struct.pack(">i", REQUEST_MAX), 0.3)
        assert said == "open", f"a frame of just the limit was {said} before it came"

    def announced_memory(self):
        """A size is believed when the bytes come, not before."""
        before = self.settled_memory()
        plains = [self.connect() for _ in range(200)]
        for plain in plains:
            plain.sendall(struct.pack(">i", REQUEST_MAX) + b"\0\0\0\7")
        grown = self.settled_memory() - before
        for plain in plains:
            plain.close()
        assert grown < 20 << 10, f"200 announced MiB took {grown} kB"
        return f"{grown} kB for 200 announced requests of 1 MiB"

    def half_frames(self):
        for cut in range(1, len(API_VERSIONS)):
            plain = self.connect()
            plain.sendall(API_VERSIONS[:cut])
            plain.close()
        for cut in (1, 4, 8, 13):
            plain = self.connect()
            plain.sendall(API_VERSIONS[:cut])
            plain.shutdown(socket.SHUT_WR)
            assert self.outcome(plain) == "closed", f"half a frame of {cut} bytes and an end"
            plain.close()

    def half_closed(self):
        """The answer still comes when the peer has ended its side behind the request."""
        plain = self.connect()
        plain.sendall(API_VERSIONS * 3)
        plain.shutdown(socket.SHUT_WR)
        plain.settimeout(PATIENCE)
        data = b""
        while True:
            some = plain.recv(65536)
            if not some:
                break
            data += some
        plain.close()
        size = struct.unpack_from(">i", data)[0] + 4 if data else 0
        assert len(data) == 3 * size, f"{len(data)} bytes of three answers"

    def byte_by_byte(self):
        plain = self.connect()
        for byte in API_VERSIONS:
            plain.sendall(bytes([byte]))
        assert self.outcome(plain) == "answered"
        plain.close()

    def slow_writers(self):
        """Many that never finish a request do not disturb one that does."""
        plains = [self.connect() for _ in range(300)]
        for byte in API_VERSIONS[:-1]:
            for plain in plains:
                plain.sendall(bytes([byte]))
        self.well()
        for plain in plains[:50]:
            plain.sendall(API_VERSIONS[-1:])
            assert self.outcome(plain) == "answered"
        for plain in plains:
            plain.close()

    def slow_readers(self):
        """Peers that ask for much and never read: bounded memory, no spinning."""
        client = Client(self.broker.port)
        for _ in range(32):
            client.produce("much", 0, batch([bytes(500000)]))
        before = self.settled_memory()
        fetch = (struct.pack(">hhih", 1, 4, 5, -1) + struct.pack(">iiiibi", -1, 100, 1, 50 * MIB, 0, 1)
                 + struct.pack(">h", 4) + b"much" + struct.pack(">iiqi", 1, 0, 0, 50 * MIB))
        fetch = struct.pack(">i", len(fetch)) + fetch
        plains = [self.connect() for _ in range(50)]
        for plain in plains:
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            plain.settimeout(0.01)
            try:
                for _ in range(200):
                    plain.sendall(fetch)
            except OSError:
                pass
        grown = self.settled_memory() - before
        began, cpu = time.monotonic(), self.broker.cpu_seconds()
        self.well()
        time.sleep(1)
        used = (self.broker.cpu_seconds() - cpu) / (time.monotonic() - began)
        for plain in plains:
            plain.close()
        client.close()
        assert grown < 64 << 10 or self.options.light, f"50 who do not read hold {grown} kB"
        assert used < 0.2 or self.options.light, f"{used * 100:.0f} % CPU for peers that do not read"
        return f"{grown} kB held, {used * 100:.1f} % CPU"

    def pipelined_without_reading(self):
        """A peer that sends requests for ever and never reads is stopped, not buffered."""
        before = self.settled_memory()
        plain = self.connect(0.5)
        sent = 0
        try:
            while sent < 256 * MIB:
                sent += plain.send(API_VERSIONS * 1000)
        except OSError:
            pass
        grown = self.settled_memory() - before
        plain.close()
        assert sent < 256 * MIB, "256 MiB of requests were taken and not one answer was read"
        assert grown < 32 << 10 or self.options.light, f"{grown} kB for one peer"
        return f"stopped after {sent >> 10} KiB, {grown} kB held"

    def resets(self):
        """Connections reset in the middle of everything."""
        for number in range(500):
            plain = self.connect()
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            plain.sendall((API_VERSIONS * 5)[:self.random.randrange(1, 60)])
            if number % 3 == 0:
                self.outcome(plain, 0.001)
            plain.close()

    def idle_connections(self):
        """10,000 that say nothing: bounded memory each, no CPU, and the next one is served."""
        wanted = 500 if self.options.light else 10000
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft < wanted + 100:
            try:
                resource.setrlimit(resource.RLIMIT_NOFILE, (wanted + 1000, max(hard, wanted + 1000)))
            except (ValueError, OSError):
                raise Skip(f"{wanted} files may not be open here") from None
        before, plains = self.settled_memory(), []
        for _ in range(wanted):
            plains.append(self.connect())
        for plain in plains[::10]:
            plain.sendall(API_VERSIONS)
        for plain in plains[::10]:
            assert self.outcome(plain) == "answered"
        grown = self.settled_memory() - before
        began, cpu = time.monotonic(), self.broker.cpu_seconds()
        time.sleep(2)
        used = (self.broker.cpu_seconds() - cpu) / (time.monotonic() - began)
        self.well()
        for plain in plains:
            plain.close()
        assert self.options.light or grown / wanted < 4, f"{grown / wanted:.1f} kB for each idle connection"
        assert used < 0.01 or self.options.light, f"{used * 100:.1f} % CPU with {wanted} idle connections"
        wait_until(lambda: self.descriptors() < 200, 20, "the end of their connections")
        return f"{wanted}: {grown * 1024 // wanted} B each, {used * 100:.2f} % CPU"

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.broker.process.pid}/fd"))

    def no_leaks(self):
        """After all this, files and memory are what they were after a warm-up."""
        def storm():
            for _ in range(300):
                self.send(API_VERSIONS)
                self.send(self.random.randbytes(30), 0.001)
            wait_until(lambda: self.descriptors() <= files + 4, 10, "the end of their connections")
        files = self.descriptors()
        storm()
        before = self.settled_memory()
        storm()
        grown = self.settled_memory() - before
        assert grown < 1024 or self.options.light, f"{grown} kB more after the second storm"
        return f"{grown} kB, {self.descriptors() - files} files more"

    def idle_cpu(self):
        before = self.broker.cpu_seconds()
        time.sleep(3)
        used = self.broker.cpu_seconds() - before
        assert used <= 0.02, f"{used} s of CPU in 3 idle seconds"

    def stop_with_clients(self):
        """SIGTERM with connections, half requests and waiting fetches: an end in under 2 s, status 0."""
        times = [self.time_of_stop()]
        # What a busy machine or disk adds is not the broker's.
        while times[-1] >= (10 if self.options.light else 2):
            assert len(times) < 3, f"it took {', '.join(f'{took:.1f}' for took in times)} s"
            self.broker.start()
            times.append(self.time_of_stop())
        complaints = self.broker.complaints()
        assert not complaints, "\n".join(complaints[:10])
        return ", ".join(f"{took * 1000:.0f} ms" for took in times)

    def time_of_stop(self):
        plains = [self.connect() for _ in range(50)]
        for plain in plains[:20]:
            plain.sendall(API_VERSIONS[:9])
        client = Client(self.broker.port)
        body = struct.pack(">iiiibiii", -1, 30000, 1, MIB, 0, 0, -1, 1) + struct.pack(">h", 4) + b"well"
        body += struct.pack(">iiiqqi", 1, 0, -1, client.ends("well", 1)[0], -1, MIB) + struct.pack(">ih", 0, 0)
        client.send_frame("Fetch", 11, body)
        began = time.monotonic()
        status = self.broker.stop()
        took = time.monotonic() - began
        for plain in plains:
            plain.close()
        assert status == 0, f"status {status}: {self.broker.tail(20)}"
        return took


CASES = ["garbage", "garbage_in_frames", "mutated", "sizes", "announced_memory", "half_frames", "half_closed",
         "byte_by_byte", "slow_writers", "slow_readers", "pipelined_without_reading", "resets", "idle_connections",
         "no_leaks", "idle_cpu", "stop_with_clients"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--bin", default=DEFAULT_BIN)
    parser.add_argument("--light", action="store_true")
    parser.add_argument("case", nargs="*")
    options = parser.parse_args()
    tap, hostile = Tap(), Hostile(options)
    try:
        hostile.broker.start()
        client = Client(hostile.broker.port)
        client.create_topic("well", 1)
        client.create_topic("much", 1)
        client.close()
        for name in CASES:
            if options.case and name not in options.case:
                continue
            if not hostile.broker.alive():
                tap.result(False, name)
                tap.note("the broker is dead")
                continue
            tap.run(name, getattr(hostile, name))
            if name != "stop_with_clients":
                tap.run(name + ": and then the broker serves", hostile.well)
    finally:
        hostile.broker.own_folder = hostile.broker.own_folder and not tap.failed
        hostile.broker.close()
    folder = tempfile.mkdtemp(prefix="fluxmq-start-")
    try:
        for name, case in start.CASES:
            if not options.case or name in options.case:
                tap.run(name, case, options, os.path.join(folder, name))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if tap.failed:
        tap.note(f"data and log in {hostile.broker.folder}")
    tap.finish()


if __name__ == "__main__":
    main()
