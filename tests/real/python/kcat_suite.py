# SPDX-License-Identifier: MIT
"""kcat_suite.py BOOTSTRAP PREFIX: the kcat program of the distribution, its librdkafka with it."""

import json
import subprocess
import sys
import time

from tap import CODECS, case, equal, finish, truth

BOOTSTRAP, PREFIX = sys.argv[1], sys.argv[2]


def kcat(*args, feed=b"", status=0):
    got = subprocess.run(["kcat", "-b", BOOTSTRAP, *args], input=feed, capture_output=True, timeout=120, check=False)
    if status is not None and got.returncode != status:
        raise AssertionError(f"kcat {' '.join(args)}: status {got.returncode}: {got.stderr.decode()}")
    return got.stdout if status == 0 else got.stderr


def fill(name, count, *args):
    """Creates the topic by writing to it; partition 0, lines "line <i>"."""
    where = f"{PREFIX}-{name}"
    kcat("-P", "-t", where, "-p", "0", *args, feed=b"".join(b"line %d\n" % i for i in range(count)))
    return where


def read(where, *args):
    return kcat("-C", "-q", "-t", where, "-p", "0", "-e", *args)


def codec(name):
    where = f"{PREFIX}-{name}"
    lines = [b"key%d:value %d %s" % (i, i, b"z" * (i * 7 % 200)) for i in range(200)]
    kcat("-P", "-t", where, "-p", "0", "-K:", "-z", name, "-H", "first=1", "-H", "second=two", "-X",
         "enable.idempotence=true", feed=b"\n".join(lines) + b"\n")
    got = read(where, "-o", "beginning", "-f", "%o|%h|%k:%s\n").splitlines()
    equal([b"%d|first=1,second=two|%s" % (i, line) for i, line in enumerate(lines)], got, "lines")


def metadata():
    where = fill("meta", 1)
    got = json.loads(kcat("-L", "-J", "-t", where))
    equal([BOOTSTRAP], [b["name"] for b in got["brokers"]], "brokers")
    truth(len(got["topics"][0]["partitions"]) >= 1, "partitions")
    text = kcat("-L").decode()
    truth(f'topic "{where}" with' in text, "topic in the list of all")


def empty():
    where = f"{PREFIX}-empty"
    kcat("-P", "-t", where, "-p", "0", "-K:", "-Z", feed=b"k1:\nk2:v\n")
    got = json.loads(b"[" + b",".join(read(where, "-o", "beginning", "-J").splitlines()) + b"]")
    equal([("k1", None), ("k2", "v")], [(m["key"], m["payload"]) for m in got], "keys and payloads")


def positions():
    where = fill("positions", 30)
    equal(b"line 25\nline 26\nline 27\nline 28\nline 29\n", read(where, "-o", "25"), "from an offset")
    equal(b"line 28\nline 29\n", read(where, "-o", "-2"), "from the tail")
    equal(b"", read(where, "-o", "end"), "from the end")
    equal(b"line 0\n", read(where, "-o", "beginning", "-c", "1"), "from the beginning")
    now = int(time.time() * 1000)
    equal(30, len(read(where, "-o", f"s@{now - 600_000}").splitlines()), "since ten minutes ago")
    equal(b"", read(where, "-o", f"s@{now + 600_000}"), "since a later time")


def query():
    before = int(time.time() * 1000)
    where = fill("query", 10)
    equal(f"{where} [0] offset 0\n".encode(), kcat("-Q", "-t", f"{where}:0:{before - 1}"), "offset of a time")


def acks():
    for how in ["0", "1", "-1"]:
        where = fill(f"acks{how}", 20, "-X", f"acks={how}")
        equal(b"".join(b"line %d\n" % i for i in range(20)), read(where, "-o", "beginning"), f"acks={how}")


def group():
    where = fill("group", 40)
    args = ["-q", "-X", "auto.offset.reset=earliest", "-X", "session.timeout.ms=6000", "-G", where + "-g", where]
    first = kcat("-c", "15", *args).splitlines()
    equal([b"line %d" % i for i in range(15)], first, "first of the group")
    rest = kcat("-e", *args).splitlines()
    equal([b"line %d" % i for i in range(15, 40)], rest, "the group goes on")


def large():
    where = f"{PREFIX}-large"
    text = b"".join(b"%07d," % i for i in range(125_000))
    kcat("-P", "-t", where, "-p", "0", "-D", "\\0", "-X", "message.max.bytes=2000000", feed=text)
    equal(text, read(where, "-o", "beginning", "-D", ""), "large value")
    told = kcat("-P", "-t", where, "-p", "0", "-D", "\\0", "-X", "message.max.bytes=2000000", feed=text + text[:90_000],
                status=1)
    truth(b"Message size too large" in told, told.decode())


def main():
    print("#", subprocess.run(["kcat", "-V"], capture_output=True, check=True).stdout.decode().splitlines()[3])
    case("metadata", metadata)
    for name in CODECS:
        case(f"produce {name}, keys, headers, read back", codec, name)
    case("null values", empty)
    case("consume from offsets and times", positions)
    case("query an offset by time", query)
    case("acks 0, 1, all", acks)
    case("group goes on where it was", group)
    case("large records, and too large", large)
    return finish()


sys.exit(main())
