#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""import-schemas.py SCHEMAS.tsv MESSAGES.tsv OUTDIR : write message definitions from field tables.

The tables list every field of every version of every Kafka message (one row a field and version);
this folds the versions into ranges and writes one .msg file for each API or record type, in the
form that genwire.py reads. The sentence at the head of an existing file is kept. Run it once for
each new Kafka release, then read the difference.
"""
import json
import os
import re
import sys
from collections import OrderedDict

ZERO_UUID = "AAAAAAAAAAAAAAAAAAAAAA"
PLAIN = {"": "string", False: "bool"}


def snake(name):
    name = re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1_\2", name)
    return re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name).lower()


def camel(name):
    return re.sub(r"_([a-z0-9])", lambda m: m.group(1).upper(), name)


class Field:
    def __init__(self, name, row):
        self.name, self.fields, self.versions = name, OrderedDict(), []
        self.type, _, self.nullable, self.tag, self.default = row
        self.null_from = None

    def see(self, version, nullable):
        self.versions.append(version)
        if nullable and self.null_from is None:
            self.null_from = version


def rows(path):
    with open(path, encoding="utf-8") as f:
        for line in f:
            if not line.startswith("#"):
                yield line.rstrip("\n").split("\t")


def load(schemas, messages):
    found = OrderedDict()
    for key, name, kind, version, flexible, _, stable in rows(messages):
        m = found.setdefault((name, kind), {"key": int(key), "versions": [], "flexible": None,
                                            "unstable": None, "fields": OrderedDict()})
        m["versions"].append(int(version))
        if flexible == "y" and m["flexible"] is None:
            m["flexible"] = int(version)
        if stable == "n" and m["unstable"] is None:
            m["unstable"] = int(version)
    for _, name, kind, version, path, *row in rows(schemas):
        parts = [p.replace("[]", "") for p in path.split(".")]
        at = found[name, kind]["fields"]
        for p in parts[:-1]:
            at = at[p].fields
        if parts[-1] == "_tags":
            continue
        if camel(snake(parts[-1])) != parts[-1]:
            sys.exit("%s: %s does not survive a change of case" % (name, path))
        new = Field(parts[-1], row[:5])
        if kind == "header" and parts[-1] == "clientId":
            new.type = "string16"  # the one string of a flexible message that is not compact
        field = at.setdefault(parts[-1], new)
        if (field.type, field.tag, field.default) != (new.type, new.tag, new.default):
            sys.exit("%s: %s changes between versions" % (name, path))
        field.see(int(version), row[2] == "y")
    return found


def order(fields):
    """Tagged fields stand behind the others, by tag."""
    return sorted(fields.values(), key=lambda f: (f.tag != "-", int(f.tag) if f.tag != "-" else 0))


def reorder(found, schemas):
    """Rows of one version give its wire order; merge the versions' orders into one."""
    orders = OrderedDict()
    for _, name, kind, version, path, *_ in rows(schemas):
        if path.split(".")[-1] != "_tags":
            outer, _, leaf = path.rpartition(".")
            versions = orders.setdefault((name, kind, outer), OrderedDict())
            versions.setdefault(version, []).append(leaf)
    for (name, kind, outer), versions in orders.items():
        at = found[name, kind]["fields"]
        for p in outer.replace("[]", "").split(".") if outer else []:
            at = at[p].fields
        after = {}
        for leaves in versions.values():
            for i, leaf in enumerate(leaves):
                after.setdefault(leaf, set()).update(leaves[:i])
        left, merged = list(at), []
        while left:
            leaf = next(x for x in left if not after[x] & set(left))
            merged.append(leaf)
            left.remove(leaf)
        for leaf in merged:
            at.move_to_end(leaf)


def ranged(low, high, outer_low, outer_high):
    if (low, high) == (outer_low, outer_high):
        return ""
    if high == outer_high:
        return "%d+" % low
    return "%d" % low if low == high else "%d-%d" % (low, high)


def type_text(field):
    kind = re.sub(r"^array<(.*)>$", r"[]\1", field.type).replace("[]struct", "[]")
    if field.null_from is not None:
        kind += "?" if field.null_from == field.versions[0] else "?%d+" % field.null_from
    return kind


def default_text(field):
    value = json.loads(field.default)
    if value in ("", 0, False, ZERO_UUID, []) and value is not None:
        return ""
    if value == {} and field.null_from is None:
        return ""
    return "= " + ("null" if value is None else json.dumps(value).replace('"', ""))


def field_lines(fields, depth, low, high):
    lines = []
    for f in order(fields):
        first, last = f.versions[0], f.versions[-1]
        words = ["tag " + f.tag if f.tag != "-" else "", default_text(f)]
        lines.append(("    " * depth + snake(f.name), type_text(f), ranged(first, last, low, high),
                      words[0], words[1]))
        lines += field_lines(f.fields, depth + 1, first, last)
    return lines


def head(word, message):
    low, high = message["versions"][0], message["versions"][-1]
    text = word + "  versions " + ("%d" % low if low == high else "%d-%d" % (low, high))
    if message["flexible"] is not None:
        text += "  flexible %d+" % message["flexible"]
    if message["unstable"] is not None:
        text += "  unstable %d+" % message["unstable"]
    return text


def body(message):
    low, high = message["versions"][0], message["versions"][-1]
    lines = field_lines(message["fields"], 1, low, high)
    widths = [max([len(line[i]) for line in lines] + [0]) for i in range(4)]
    for line in lines:
        yield "  ".join([line[i].ljust(widths[i]) for i in range(4)] + [line[4]]).rstrip() \
            .replace("\t", " ")


def place(name, kind, key):
    """The file of a message, without its ending."""
    if kind in ("request", "response"):
        return "api/" + snake(name)
    if kind == "header":
        return "header/" + snake(name)
    if re.search("(Key|Value)$", name):
        return "coordinator/" + snake(re.sub("(Key|Value)$", "", name))
    return ("metadata/" if key >= 0 else "other/") + snake(name)


def path_is_metadata(name, kind, message):
    return place(name, kind, message["key"]).startswith("metadata/")


def main(schemas, messages, out):
    found = load(schemas, messages)
    reorder(found, schemas)
    files = OrderedDict()
    for (name, kind), m in found.items():
        text = files.setdefault(place(name, kind, m["key"]), [])
        if kind in ("request", "response"):
            if not text:
                text.append("api %d %s" % (m["key"], name))
            text.append("\n" + head(kind, m))
        else:
            key = " %d" % m["key"] if m["key"] >= 0 else ""
            word = "metadata" if path_is_metadata(name, kind, m) else kind
            text.append(("\n" if text else "") + head("%s%s %s" % (word, key, name), m))
        text += body(m)
    for path, text in files.items():
        path = os.path.join(out, path + ".msg")
        os.makedirs(os.path.dirname(path), exist_ok=True)
        title = "# " + os.path.basename(path)
        if os.path.exists(path):
            with open(path, encoding="utf-8") as f:
                title = f.readline().rstrip("\n")
        with open(path, "w", encoding="utf-8") as f:
            f.write(title + "\n" + "\n".join(text) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:4])
