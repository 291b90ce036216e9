# SPDX-License-Identifier: MIT
"""A Kafka protocol codec driven by schemas.tsv and messages.tsv: no message is known to this code.

JSON values: int64 as a number, uuid as 22 characters of URL-safe base64, bytes and records as base64,
camelCase field names. Absent fields take the default of the table. A tagged field equal to its default is left out.
"""
import base64, gzip, json, os, struct, sys

HERE = os.path.dirname(os.path.abspath(__file__))
FACTS = os.path.normpath(os.path.join(HERE, "..", "..", "data"))


class Node:
    __slots__ = ("name", "wire", "nullable", "tag", "default", "fields", "tagged", "flexible", "elem")


def parse_wire(w):
    if "(" in w:
        return w[:w.index("(")], w[w.index("(") + 1:-1]
    return w, None


class Tables:
    def __init__(self, facts=FACTS):
        self.msg, self.head, self.flex, self.names, self.keys = {}, {}, {}, {}, {}
        for line in open(os.path.join(facts, "messages.tsv")):
            if line[0] == "#":
                continue
            key, name, kind, ver, flex, hv, stable = line.rstrip("\n").split("\t")
            self.head[name, kind, int(ver)] = int(hv) if hv != "-" else None
            self.flex[name, kind, int(ver)] = flex == "y"
            self.msg[name, kind, int(ver)] = new_struct()
            if kind == "request":
                self.names[int(key)] = name
                self.keys[name] = int(key)
        stack = None
        for line in gzip.open(os.path.join(facts, "schemas.tsv.gz"), "rt"):
            if line[0] == "#":
                continue
            key, name, kind, ver, path, typ, wire, nul, tag, dflt, _, _ = line.rstrip("\n").split("\t")
            root = self.msg[name, kind, int(ver)]
            parts = path.split(".")
            at = root
            for p in parts[:-1]:
                q = p.replace("[]", "")
                at = next(n for n in at.fields + list(at.tagged.values()) if n.name == q)
            leaf = parts[-1]
            if wire == "TAGGED_FIELDS":
                at.flexible = True
                continue
            n = new_struct()
            n.name, n.nullable = leaf, nul == "y"
            n.wire, n.elem = parse_wire(wire)
            n.tag = None if tag == "-" else int(tag)
            n.default = json.loads(dflt)
            if n.tag is None:
                at.fields.append(n)
            else:
                at.tagged[n.tag] = n

    def encode(self, name, kind, ver, obj):
        out = bytearray()
        write_struct(out, self.msg[name, kind, ver], obj, name)
        return bytes(out)

    def decode(self, name, kind, ver, data, rest=False):
        v, p = read_struct(data, 0, self.msg[name, kind, ver])
        if rest:
            return v, p
        if p != len(data):
            raise ValueError("%d bytes left over" % (len(data) - p))
        return v


def new_struct():
    n = Node()
    n.name, n.wire, n.nullable, n.tag, n.default, n.fields, n.tagged, n.flexible, n.elem = "", "STRUCT", False, None, None, [], {}, False, None
    return n


FIX = {"INT8": ">b", "INT16": ">h", "INT32": ">i", "INT64": ">q", "UINT16": ">H", "UINT32": ">I", "UNSIGNED_INT32": ">I", "FLOAT64": ">d"}


def w_uvarint(o, v):
    while v >= 128:
        o.append(v & 127 | 128)
        v >>= 7
    o.append(v)


def r_uvarint(b, p):
    v = s = 0
    while True:
        x = b[p]
        p += 1
        v |= (x & 127) << s
        if x < 128:
            return v, p
        s += 7
        if s > 28:
            raise ValueError("varint too long")


def uuid_bytes(s):
    return base64.urlsafe_b64decode(s + "==")


def uuid_str(b):
    return base64.urlsafe_b64encode(b).decode().rstrip("=")


def w_len(o, kind, n):
    """n None: null"""
    if kind.startswith("COMPACT_"):
        w_uvarint(o, 0 if n is None else n + 1)
    elif "STRING" in kind:
        o += struct.pack(">h", -1 if n is None else n)
    else:
        o += struct.pack(">i", -1 if n is None else n)


def r_len(b, p, kind):
    if kind.startswith("COMPACT_"):
        n, p = r_uvarint(b, p)
        return (None if n == 0 else n - 1), p
    f = ">h" if "STRING" in kind else ">i"
    n = struct.unpack_from(f, b, p)[0]
    return (None if n == -1 else n), p + struct.calcsize(f)


def write_value(o, wire, n, v, path):
    base = wire.replace("COMPACT_", "").replace("NULLABLE_", "")
    if wire in FIX:
        o += struct.pack(FIX[wire], v)
    elif wire == "BOOLEAN":
        o.append(1 if v else 0)
    elif wire == "UUID":
        o += uuid_bytes(v)
    elif wire == "STRUCT":
        write_struct(o, n, v, path)
    elif wire == "NULLABLE_STRUCT":
        o += struct.pack(">b", 1 if v is not None else -1 if n.tag is None else 0)   # a tagged one: 0 for null
        if v is not None:
            write_struct(o, n, v, path)
    elif base in ("STRING", "BYTES", "RECORDS"):
        if v is None:
            return w_len(o, wire, None)
        if base == "STRING":
            v = v.encode("utf-8", "surrogatepass")
        elif isinstance(v, str):
            v = base64.b64decode(v)
        w_len(o, wire, len(v))
        o += v
    elif base == "ARRAY":
        if v is None:
            return w_len(o, wire, None)
        w_len(o, wire, len(v))
        for x in v:
            write_value(o, n.elem, n, x, path)
    else:
        raise ValueError("%s: wire type %s" % (path, wire))


def write_struct(o, n, obj, path):
    known = {f.name for f in n.fields} | {f.name for f in n.tagged.values()}
    bad = [k for k in obj if k not in known and k != "_unknownTags"]
    if bad:
        raise ValueError("%s has no field %s in this version" % (path, bad))
    for f in n.fields:
        v = obj[f.name] if f.name in obj else f.default
        try:
            write_value(o, f.wire, f, v, path + "." + f.name)
        except (struct.error, AttributeError, TypeError) as e:
            raise ValueError("%s.%s: %s" % (path, f.name, e))
    if n.flexible:
        tags = []
        for t, f in sorted(n.tagged.items()):
            if f.name in obj and obj[f.name] != f.default and not (f.wire == "STRUCT" and is_default(f, obj[f.name])):
                b = bytearray()
                write_value(b, f.wire, f, obj[f.name], path + "." + f.name)
                tags.append((t, bytes(b)))
        tags += [(int(t), bytes.fromhex(x)) for t, x in obj.get("_unknownTags", {}).items()]
        w_uvarint(o, len(tags))
        for t, b in sorted(tags):
            w_uvarint(o, t)
            w_uvarint(o, len(b))
            o += b


def is_default(n, obj):
    return all(obj.get(f.name, f.default) == f.default for f in n.fields)


def read_value(b, p, wire, n):
    base = wire.replace("COMPACT_", "").replace("NULLABLE_", "")
    if wire in FIX:
        return struct.unpack_from(FIX[wire], b, p)[0], p + struct.calcsize(FIX[wire])
    if wire == "BOOLEAN":
        return b[p] != 0, p + 1
    if wire == "UUID":
        if p + 16 > len(b):
            raise ValueError("short")
        return uuid_str(b[p:p + 16]), p + 16
    if wire == "STRUCT":
        return read_struct(b, p, n)
    if wire == "NULLABLE_STRUCT":
        x = struct.unpack_from(">b", b, p)[0]
        return (None, p + 1) if x < 0 or (x == 0 and n.tag is not None) else read_struct(b, p + 1, n)
    ln, p = r_len(b, p, wire)
    if ln is None:
        return None, p
    if base == "ARRAY":
        out = []
        for _ in range(ln):
            v, p = read_value(b, p, n.elem, n)
            out.append(v)
        return out, p
    if p + ln > len(b):
        raise ValueError("short")
    v = b[p:p + ln]
    return (v.decode("utf-8") if base == "STRING" else base64.b64encode(v).decode()), p + ln


def read_struct(b, p, n):
    o = {}
    for f in n.fields:
        o[f.name], p = read_value(b, p, f.wire, f)
    if n.flexible:
        c, p = r_uvarint(b, p)
        for _ in range(c):
            t, p = r_uvarint(b, p)
            ln, p = r_uvarint(b, p)
            f = n.tagged.get(t)
            if f:
                o[f.name], q = read_value(b, p, f.wire, f)
                if q != p + ln:
                    raise ValueError("tag %d: size" % t)
            else:
                o.setdefault("_unknownTags", {})[str(t)] = b[p:p + ln].hex()
            p += ln
    return o, p


def selftest():
    t = Tables()
    n = bad = 0
    for line in gzip.open(os.path.join(FACTS, "messages.jsonl.gz"), "rt"):
        d = json.loads(line)
        raw = bytes.fromhex(d["hex"])
        try:
            v = t.decode(d["api"], d["kind"], d["version"], raw)
            again = t.encode(d["api"], d["kind"], d["version"], v)
            ok = again == raw
            if ok and d["variant"] != "unknown-tags":
                ok = t.encode(d["api"], d["kind"], d["version"], d["json"]) == raw
        except Exception as e:
            ok = False
            v = e
        n += 1
        if not ok:
            bad += 1
            if bad < 12:
                print(d["api"], d["kind"], d["version"], d["variant"], v)
    print("%d passed, %d failed" % (n - bad, bad))
    return bad


if __name__ == "__main__":
    sys.exit(1 if selftest() else 0)
