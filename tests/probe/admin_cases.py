# SPDX-License-Identifier: MIT
"""Probes of what refused batches leave behind, and of log directories; more.py sends them. """
from txn_cases import Producer, fetch

ALL = []


def probe(name):
    def keep(f):
        ALL.append((name, f))
        return f
    return keep


@probe("txn-refused-first")
def _(e):
    """The least sequence that was seen of a transaction is its first, refused or not."""
    t, i = e.topic("rf", 8, max_message_bytes="1000")
    p = Producer(e, "rf-p")
    p.send("v11: sequence 5, not added", t, ver=11, seq=5)
    p.add("added", [(t, [0])])
    p.send("v11: sequence 7", t, ver=11, seq=7)
    p.send("v11: sequence 6", t, ver=11, seq=6)
    p.send("v11: sequence 5", t, ver=11, seq=5)
    p.send("v11: sequence 6 after it", t, ver=11, seq=6)
    p.add("others", [(t, [1, 2, 3])])
    p.send("v11: too large, sequence 3", t, [b"x" * 2000], ver=11, part=1, seq=3)
    p.send("v11: sequence 4 behind it", t, ver=11, part=1, seq=4)
    p.send("v11: sequence 2, less than it", t, ver=11, part=1, seq=2)
    p.send("v11: sequence 3 now", t, ver=11, part=1, seq=3)
    p.send("v11: nothing refused, sequence 4", t, ver=11, part=2, seq=4)
    p.send("v11: of another transactional id, sequence 1", t, ver=11, part=3, seq=1, txn="rf-nobody")
    p.send("v11: sequence 2 behind it", t, ver=11, part=3, seq=2)
    p.send("v11: sequence 1 again", t, ver=11, part=3, seq=1)
    fetch(e, "what is there", i, part=0, committed=False)
    p.q_end(v=4)
    p.send("v11: the next transaction, not added", t, ver=11, seq=7)
    p.send("v11: later, not added", t, ver=11, seq=9)
    p.add("added", [(t, [0, 4])])
    p.send("v11: later, added", t, ver=11, seq=9)
    p.send("v11: too late", t, ver=11, seq=8)
    p.send("v11: the right one", t, ver=11, seq=7)
    p.send("v11: too large, sequence 0", t, [b"x" * 2000], ver=11, part=4, seq=0)
    p.send("v11: sequence 1 behind it", t, ver=11, part=4, seq=1)
    p.send("v11: sequence 0 now", t, ver=11, part=4, seq=0)
    p.q_end(v=4)
    p.init("a new epoch")
    p.send("v11: new epoch, not added, sequence 2", t, ver=11, part=5, seq=2)
    p.add("added", [(t, [5])])
    p.send("v11: sequence 3", t, ver=11, part=5, seq=3)
    p.init("another epoch: aborts")
    p.done()
    p.add("added again", [(t, [5])])
    p.send("v11: the newer epoch, sequence 4", t, ver=11, part=5, seq=4)
    p.send("v11: the newer epoch, sequence 0", t, ver=11, part=5, seq=0)


@probe("txn-refused-first-v2")
def _(e):
    t, i = e.topic("rg", 4, max_message_bytes="1000")
    p = Producer(e, "rg-p")
    p.send("v13: of another transactional id", i, seq=0, txn="rg-nobody")
    p.send("v13: sequence 1", i, seq=1)
    p.send("v13: sequence 0", i, seq=0)
    p.send("v13: too large, sequence 0", i, [b"x" * 2000], part=1, seq=0)
    p.send("v13: sequence 1 behind it", i, part=1, seq=1)
    p.send("v13: sequence 0 now", i, part=1, seq=0)
    p.q_end()
    p.send("v13: too large in the next one", i, [b"x" * 2000], part=1, seq=0)
    p.send("v13: sequence 1 behind it, next one", i, part=1, seq=1)
    p.send("v13: sequence 0 of the next one", i, part=1, seq=0)
    p.send("v13: a damaged batch", i, part=2, seq=0, crc=7)
    p.send("v13: sequence 3 behind it", i, part=2, seq=3)
    p.send("v13: sequence 0 behind it", i, part=2, seq=0)
    fetch(e, "what is there", i, part=1, committed=False)
