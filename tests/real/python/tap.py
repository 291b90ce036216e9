# SPDX-License-Identifier: MIT
"""TAP output, and the sample records that every client program of tests/real writes (java/Sample.java)."""

import os
import sys
import time
import traceback

COUNT = 300
TIME = 1_600_000_000_000
CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]
PATIENCE = 60  # seconds that a busy machine may need for what takes milliseconds
ONLY = os.environ.get("ONLY", "")

_state = {"count": 0, "failed": 0}


class Skip(Exception):
    """Raised by a case that cannot run with this client."""


def case(name, body, *args):
    """Runs one case: a function that raises when something is wrong."""
    if ONLY not in name:
        return
    _state["count"] += 1
    start = time.monotonic()
    try:
        body(*args)
        print(f"ok {_state['count']} - {name}")
    except Skip as why:
        print(f"ok {_state['count']} - {name} # SKIP {why}")
    except Exception as error:  # pylint: disable=broad-except
        _state["failed"] += 1
        print(f"not ok {_state['count']} - {name}")
        story = f"{type(error).__name__}: {error}"
        print("# " + story[:2000].replace("\n", "\n# "))
        for frame in traceback.extract_tb(error.__traceback__)[1:]:
            print(f"#   {frame.filename.rsplit('/', 1)[-1]}:{frame.lineno} {frame.line}")
    took = time.monotonic() - start
    if took > 1:
        print(f"# {name} took {took:.1f} s")
    sys.stdout.flush()


def finish():
    print(f"1..{_state['count']}")
    sys.stdout.flush()
    return 1 if _state["failed"] else 0


def equal(expected, got, what):
    if expected != got:
        raise AssertionError(f"{what}: expected {short(expected)}, got {short(got)}")


def short(value):
    text = repr(value)
    return text if len(text) < 300 else f"{text[:300]}... ({len(value)})"


def truth(condition, what):
    if not condition:
        raise AssertionError(what)


def within(what, condition):
    """Waits until a condition holds: for what the protocol makes visible only in time."""
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"not within {PATIENCE} s: {what}")
        time.sleep(0.02)


def key(i):
    return None if i % 7 == 0 else f"key-{i}".encode()


def value(i):
    if i % 11 == 0 and i % 7:
        return None
    return f"value-{i}-".encode() + bytes([ord("a") + i % 26]) * (i * 37 % 500)


def headers(i):
    return [("n", str(i).encode()), ("n", b"again"), ("empty", b"")] if i % 3 == 0 else []


def timestamp(i):
    return TIME + i * 1000


def noise(size):
    """Bytes that do not compress, always the same."""
    state, out = size * 2654435761 % 2**32 or 1, bytearray()
    while len(out) < size:
        state ^= state << 13 & 0xFFFFFFFF
        state ^= state >> 17
        state ^= state << 5 & 0xFFFFFFFF
        out += state.to_bytes(4, "little")
    return bytes(out[:size])
