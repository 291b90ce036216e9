# SPDX-License-Identifier: MIT
"""The protocol: the recorded transcript, splits, limits, subjects, headers, errors."""

import json
import os
import re
import socket
import time

from peer import HELLO, Closed, Peer


def transcript(w):
    """What nats-server answered, in its order; `pedantic` absent is true."""
    p = Peer(w.server, hello=False)
    assert p.info["headers"] is True and p.info["proto"] == 1 and p.info["max_payload"] == 1048576, p.info
    assert re.fullmatch(r"\d+\.\d+\.\d+.*", p.info["version"]) and p.info["port"] == w.server.nats_port, p.info
    assert isinstance(p.info["client_id"], int) and p.info["client_ip"] == "127.0.0.1", p.info
    p.send('CONNECT {"verbose":false,"headers":true,"no_responders":true,"protocol":1}', "PING")
    assert p.line() == "PONG"
    info = p.line()
    assert info.startswith("INFO ") and json.loads(info[5:])["connect_info"] is True, info
    p.send("SUB _I.1 9")
    p.hpub("no.one", "Bar: Baz\r\n", b"hi", "_I.1")
    p.send("PUB foo.* 0", "", "SUB foo..bar 3", "PING")
    assert p.line() == "HMSG _I.1 9 38 38"
    assert p.exactly(40) == b"NATS/1.0 503\r\nNats-Subject: no.one\r\n\r\n\r\n"
    assert p.line() == "-ERR 'Invalid Publish Subject'"
    assert p.line() == "-ERR 'Invalid Subject'"
    assert p.line() == "PONG"


def transcript_verbose(w):
    p = Peer(w.server, hello=False)
    p.send('CONNECT {"verbose":true,"pedantic":true}', "PUB foo.* 0", "", "SUB foo..bar 3", "SUB a 1", "PUB a 1048577")
    for line in ("+OK", "-ERR 'Invalid Publish Subject'", "+OK", "-ERR 'Invalid Subject'", "+OK",
                 "-ERR 'Maximum Payload Violation'"):
        found = p.line()
        assert found == line, (found, line)
    assert p.expect_end() == b""


CONVERSATION = (b'CONNECT {"verbose":false,"pedantic":false,"headers":true,"no_responders":true}\r\n'
                b"sub \t a.*  7 \r\nSUB a.> workers q-8\r\nPUB a.b 5\r\nhello\r\nPUB  a.b\tre.ply 3\r\nx\r\n\r\n"
                b"HPUB a.c 17 19\r\nNATS/1.0\r\nA:b\r\n\r\nhi\r\nUNSUB 7\r\npub a.d 0\n\r\nUNSUB q-8 2\r\nPING\r\n")


def answers(p):
    out = []
    while True:
        found = p.next()
        if found == "PONG":
            return sorted(map(str, out))
        out.append(found)


def splits(w):
    """The same answers wherever a write ends, and byte by byte."""
    p = Peer(w.server, hello=False)
    p.send(CONVERSATION)
    whole = answers(p)
    assert len(whole) == 7, whole
    p.close()
    for at in range(1, len(CONVERSATION)):
        p = Peer(w.server, hello=False)
        p.send(CONVERSATION[:at])
        p.send(CONVERSATION[at:])
        found = answers(p)
        assert found == whole, (at, found, whole)
        p.close()
    p = Peer(w.server, hello=False)
    for at in range(len(CONVERSATION)):
        p.send(CONVERSATION[at:at + 1])
        if at % 16 == 0:
            time.sleep(0.001)  # so that it is read in pieces
    assert answers(p) == whole
    return f"{len(CONVERSATION)} places"


UNKNOWN = rb"-ERR 'Unknown Protocol Operation'" + b"\r\n"
TOLD = (b"PUBS foo 2\r\nok\r\n", b"SUBZZZ foo 1\r\n", b"HELLO\r\n", b"PUB foo 2\r\nokay\r\n", b"UNSUB\r\n",
        b"PUB\r\n", b"\x00\r\n", b"MSG foo 1 2\r\nok\r\n", b"HMSG foo 1 2 3\r\n", b"PI\r\n", b"\r\n",
        b" PING\r\n", b"A+ foo\r\n", b"RS+ a b\r\n", b"PUB a 1\r\nx\n")
SILENT = (b"PUB foo x\r\n", b"PUB foo 1234567890\r\n", b"PUB foo -1\r\n", b"SUB foo\r\n", b"PUB a b c 1\r\n",
          b"PUB a\r\n", b"SUB a b c d\r\n", b"HPUB foo 5 2\r\nok\r\n", b"CONNECT []\r\n", b"CONNECT {\r\n",
          b"CONNECT\r\n", b"CONNECT {} trailing\r\n", b'CONNECT {"verbose":1}\r\n', b"-ERR 'x'\r\n",
          b"-ERR \r\nPING\r\n")
BORNE = (b"UNSUB 1 x\r\n", b"UNSUB 1 -1\r\n", b"HPUB foo 2 2\r\nok\r\n",
         b"HPUB foo 12 14\r\nNATS/2.0\r\n\r\nhi\r\n", b"+OK\r\n", b"INFO {}\r\n", b"PONG\r\n",
         b"PUB a\t1\r\nx\r\n", b"PUB a 1\nx\r\n", b"PUB \xff\xfe 1\r\nx\r\n", b"SUB \xc3\xa9 1\r\n",
         b"PUB a. 1\r\nx\r\n", b"PUB .a 1\r\nx\r\n", b"PUB a b. 1\r\nx\r\n",
         b"HPUB a 12 12\r\nNATS/1.0\r\n\r\n\r\n")


def broken_operations(w):
    """What nats-server says to each before it closes, if it does: told, silent, borne."""
    for expected, texts in ((UNKNOWN, TOLD), (b"", SILENT)):
        for text in texts:
            p = Peer(w.server)
            p.send(text)
            said = p.expect_end()
            assert said == expected, (text, said)
    for text in BORNE:
        p = Peer(w.server)
        p.send(text)
        assert p.flush() == [], text
        p.close()
    p = Peer(w.server)
    p.send('CONNECT {"protocol":2}')
    p.expect_error("invalid client protocol")
    p.expect_end()
    return f"{len(TOLD)} told, {len(SILENT)} silent, {len(BORNE)} borne"


def control_line(w):
    limit = 4096
    p = Peer(w.server)
    p.pub("a." + "b" * (limit - 20), b"x")
    p.flush()
    p.send(b"PUB " + b"a" * (limit + 2))
    said = p.expect_end()
    assert said.lower() == b"-err 'maximum control line exceeded'\r\n", said


def payloads(w):
    p = Peer(w.server)
    p.send("SUB big 1")
    for size in (0, 1, 2, 4095, 65536, 1048575, 1048576):
        data = os.urandom(size)
        p.pub("big", data)
        assert p.payload() == data, size
    p.send("PUB big 1048577", bytes(100))
    p.expect_error("Maximum Payload Violation")
    p.expect_end()
    p = Peer(w.server)
    p.send("HPUB big 20 1048577")
    p.expect_error("Maximum Payload Violation")
    p.expect_end()


def wildcards(w):
    good = {"a.b.c": ["a.b.c", "a.*.c", "*.*.*", "a.>", ">", "a.b.>", "*.b.*", "*.>"],
            "a": ["a", "*", ">"], "a.b": ["a.*", "*.b", "a.>", "*.*", "a.b", ">", "*.>"],
            "*.x": ["*.x", "*.*", ">", "*.>"], "a*.b": ["a*.b", "*.b", "*.*", ">", "*.>"],
            "A.b": ["*.b", "*.*", ">", "*.>"], "x.>y": ["x.*", "*.*", "x.>", ">", "x.>y", "*.>"]}
    filters = sorted({f for found in good.values() for f in found} | {"b", "a.b.c.d", "a.c", "*.c", "b.>"})
    p = Peer(w.server)
    for number, subject in enumerate(filters):
        p.send(f"SUB {subject} {number}")
    for subject, want in good.items():
        p.pub(subject, subject)
        got = sorted(filters[int(m[2])] for m in p.flush())
        assert got == sorted(want), (subject, got, sorted(want))


def invalid_subjects(w):
    p = Peer(w.server)
    for subject in ("a..b", ".a", "a.", "a.>.b", "..", ">.a"):
        p.send(f"SUB {subject} 1")
        p.expect_error("Invalid Subject")
    p.flush()


def empty_tokens(w):
    """They match no wildcard, and the publisher is told in pedantic mode only."""
    p = Peer(w.server)
    p.send("SUB > 1", "SUB a.* 2", "SUB *.* 3", "SUB a.*.b 4", "SUB a.> 5")
    for subject in ("a..b", ".a", "a.", "..", "."):
        p.pub(subject, b"x")
    got = p.flush()
    assert got == [], got


def duplicate_sid(w):
    p = Peer(w.server)
    p.send("SUB one 1", "SUB one 1", "SUB two 1")
    p.pub("one", b"1")
    p.pub("two", b"2")
    assert [(m[1], m[2]) for m in p.flush()] == [("one", "1")]
    p.send("UNSUB 77", "UNSUB 1")
    p.pub("one", b"3")
    assert p.flush() == []


def unsub_max(w):
    p = Peer(w.server)
    p.send("SUB a 1", "UNSUB 1 3")
    p.send(b"PUB a 1\r\nx\r\n" * 10)
    assert len(p.flush()) == 3
    p.send("SUB a 1")
    p.send(b"PUB a 1\r\nx\r\n" * 5, "UNSUB 1 5")
    p.send(b"PUB a 1\r\nx\r\n" * 5)
    assert len(p.flush()) == 5
    p.send("SUB a 2")
    p.send(b"PUB a 1\r\nx\r\n" * 4, "UNSUB 2 2")
    p.send(b"PUB a 1\r\nx\r\n" * 5)
    assert len(p.flush()) == 4, "a maximum that is behind us ends it at once"
