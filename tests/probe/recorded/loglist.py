# SPDX-License-Identifier: MIT
"""loglist.py DIR : one JSON line per file of a Kafka log directory, from the bytes alone (no decompression).

Lines: segment (batch headers), index, timeindex, txnindex, snapshot, text (checkpoints, partition.metadata, meta.properties).
Use it on two log directories to compare them."""
import json, os, struct, sys

CODEC = ["none", "gzip", "snappy", "lz4", "zstd", "codec5", "codec6", "codec7"]


def crc_table():
    t = []
    for i in range(256):
        c = i
        for _ in range(8):
            c = (c >> 1) ^ 0x82F63B78 if c & 1 else c >> 1
        t.append(c)
    return t


TABLE = crc_table()


def crc32c(b):
    c = 0xFFFFFFFF
    for x in b:
        c = TABLE[(c ^ x) & 255] ^ (c >> 8)
    return c ^ 0xFFFFFFFF


def batches(b, check=True):
    """(list of batch header dicts, bytes that hold complete batches)"""
    out, p = [], 0
    while p + 17 <= len(b):
        base, length, epoch, magic = struct.unpack_from(">qiib", b, p)
        if length < 14 or p + 12 + length > len(b):
            break
        d = {"position": p, "size": 12 + length, "baseOffset": base, "magic": magic}
        if magic == 2:
            crc, attr, delta, t0, tmax, pid, pep, seq, n = struct.unpack_from(">Ihiqqqhii", b, p + 17)
            d.update(leaderEpoch=epoch, lastOffset=base + delta, count=n, attributes=attr, codec=CODEC[attr & 7], timestampType="append" if attr & 8 else "create",
                     transactional=bool(attr & 16), control=bool(attr & 32), baseTimestamp=t0, maxTimestamp=tmax, producerId=pid, producerEpoch=pep, baseSequence=seq)
            if attr & 64:
                d["deleteHorizon"] = t0
            if check:
                d["crcOk"] = crc == crc32c(b[p + 21:p + 12 + length])
            if attr & 32:
                d["controlType"] = {0: "abort", 1: "commit", 2: "leader-change", 3: "snapshot-header", 4: "snapshot-footer", 5: "kraft-version", 6: "kraft-voters"}.get(control_type(b, p + 61), "?")
        out.append(d)
        p += 12 + length
    return out, p


def varint(b, p):
    v = s = 0
    while True:
        x = b[p]
        p += 1
        v |= (x & 127) << s
        s += 7
        if x < 128:
            return (v >> 1) ^ -(v & 1), p


def control_type(b, p):
    _, p = varint(b, p)   # record length
    p += 1                # attributes
    _, p = varint(b, p)   # timestamp delta
    _, p = varint(b, p)   # offset delta
    _, p = varint(b, p)   # key length
    return struct.unpack_from(">h", b, p + 2)[0]


def describe(path, rel):
    b = open(path, "rb").read()
    name = os.path.basename(path)
    ext = name.rsplit(".", 1)[-1]
    base = int(name.split(".")[0]) if name.split(".")[0].isdigit() else None
    o = {"file": rel, "size": len(b)}
    if ext == "log":
        bs, used = batches(b)
        o.update(kind="segment", batches=bs, validBytes=used)
    elif ext == "index":
        e = [struct.unpack_from(">ii", b, i) for i in range(0, len(b) // 8 * 8, 8)]
        while e and e[-1] == (0, 0):
            e.pop()
        o.update(kind="index", baseOffset=base, entries=[[base + r, p] for r, p in e])
    elif ext == "timeindex":
        e = [struct.unpack_from(">qi", b, i) for i in range(0, len(b) // 12 * 12, 12)]
        while e and e[-1] == (0, 0):
            e.pop()
        o.update(kind="timeindex", baseOffset=base, entries=[[t, base + r] for t, r in e])
    elif ext == "txnindex":
        e = [struct.unpack_from(">hqqqq", b, i) for i in range(0, len(b) // 34 * 34, 34)]
        o.update(kind="txnindex", entries=[dict(zip(("version", "producerId", "firstOffset", "lastOffset", "lastStableOffset"), x)) for x in e])
    elif ext == "snapshot" and len(b) >= 10:
        v, crc, n = struct.unpack_from(">hIi", b, 0)
        e = [dict(zip(("producerId", "epoch", "lastSequence", "lastOffset", "offsetDelta", "timestamp", "coordinatorEpoch", "currentTxnFirstOffset"), struct.unpack_from(">qhiqiqiq", b, 10 + 46 * i))) for i in range(n)]
        o.update(kind="snapshot", version=v, crcOk=crc == crc32c(b[6:]), producers=e)
    elif ext == "checkpoint" and b[8:12] == b"\0\0\0" + b[11:12] and len(b) > 61:
        bs, used = batches(b)
        o.update(kind="segment", batches=bs, validBytes=used)
    else:
        o.update(kind="text", text=b.decode("utf-8", "replace"))
    return o


def main(root):
    for d, ds, fs in os.walk(root):
        ds.sort()
        for f in sorted(fs):
            p = os.path.join(d, f)
            print(json.dumps(describe(p, os.path.relpath(p, root)), separators=(",", ":")))


if __name__ == "__main__":
    main(sys.argv[1])
