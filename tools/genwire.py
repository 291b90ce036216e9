#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""genwire.py DIR OUT.h OUT.c NAMES.c DEPFILE : message definitions to C.

Reads every .msg file under DIR. OUT.h has a plain struct for each message, OUT.c the constant
programs that the engine runs (one for each distinct struct and version), NAMES.c the field names
for printing. Version ranges, compact forms, nullability and defaults are all resolved here.

A definition: a comment, then `api KEY Name` with a `request` and a `response` section, or sections
`record [KEY] Name`, `metadata KEY Name`, `header Name`. Section heads carry `versions`, `flexible`,
`unstable`. A field is

    name  type[?[N+]]  [versions]  [tag N]  [= default]

with types int8 int16 uint16 int32 int64 float64 bool uuid string string16 bytes records, struct,
[] (array of struct) and []type; the fields of a struct follow, indented. ? means nullable (from
version N on). string16 is a string whose length stays an int16 in flexible versions.
"""
import os
import re
import sys

ALWAYS = 32767
FIXED = {"int8": ("WIRE_INT8", "int8_t", 1), "bool": ("WIRE_BOOL", "bool", 1),
         "int16": ("WIRE_INT16", "int16_t", 2), "uint16": ("WIRE_UINT16", "uint16_t", 2),
         "int32": ("WIRE_INT32", "int32_t", 4), "int64": ("WIRE_INT64", "int64_t", 8),
         "float64": ("WIRE_FLOAT64", "double", 8), "uuid": ("WIRE_UUID", "struct uuid", 16)}
SIZED = {"string": ("WIRE_STRING", "struct bytes", 2),
         "string16": ("WIRE_STRING", "struct bytes", 2),
         "bytes": ("WIRE_BYTES", "struct bytes", 4),
         "records": ("WIRE_RECORDS", "struct wire_records", 4)}
KEYWORDS = set("auto break case char const continue default do double else enum extern float for "
               "goto if inline int long register restrict return short signed sizeof static struct "
               "switch typedef union unsigned void volatile while bool true false".split())
KINDS = {"request": "WIRE_REQUEST", "response": "WIRE_RESPONSE", "header": "WIRE_HEADER",
         "metadata": "WIRE_METADATA", "record": "WIRE_RECORD"}


def snake(name):
    name = re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1_\2", name)
    return re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name).lower()


def camel(name):
    return re.sub(r"_([a-z0-9])", lambda m: m.group(1).upper(), name)


class Error(Exception):
    pass


class Struct:
    """A struct of the generated header; `outer` says where it stands."""

    def __init__(self, name, versions):
        self.name, self.versions, self.fields, self.programs = name, versions, [], {}
        self.nested = []


class Field:
    def __init__(self, name, text, owner):
        self.wire_name = camel(name)
        self.name = name + "_" if name in KEYWORDS else name
        words = text.split()
        m = re.fullmatch(r"(\[\])?([a-z0-9]*)(\?(\d+\+)?)?", words.pop(0))
        if not m or not (m.group(1) or m.group(2)):
            raise Error("unknown type")
        self.array, self.type = bool(m.group(1)), m.group(2) or "struct"
        if self.type not in FIXED and self.type not in SIZED and self.type != "struct":
            raise Error("unknown type " + self.type)
        self.versions, self.tag, self.default, self.struct = owner.versions, None, None, None
        if words and words[0][0].isdigit():
            self.versions = version_range(words.pop(0), owner.versions[1])
        self.null_from = ALWAYS
        if m.group(3):
            self.null_from = int(m.group(4)[:-1]) if m.group(4) else self.versions[0]
        if words and words[0] == "tag":
            self.tag = int(words[1])
            words = words[2:]
        if words and words[0] == "=":
            self.default = words[1]
            words = words[2:]
        if words:
            raise Error("left over: " + " ".join(words))
        if self.type == "struct":
            self.struct = Struct(owner.name + "_" + name, self.versions)

    def at(self, version):
        return self.versions[0] <= version <= self.versions[1]


class Message:
    def __init__(self, kind, key, name, words):
        self.kind, self.key, self.api = kind, key, name
        self.flexible = self.unstable = ALWAYS
        self.versions = None
        while words:
            word, value = words.pop(0), words.pop(0)
            if word == "versions":
                self.versions = version_range(value, ALWAYS)
            elif word in ("flexible", "unstable"):
                setattr(self, word, int(value.rstrip("+")))
            else:
                raise Error("unknown word " + word)
        self.c_name = snake(name) + ("_" + kind if kind in ("request", "response") else "")
        self.struct = Struct(self.c_name, self.versions)


def version_range(text, highest):
    m = re.fullmatch(r"(\d+)(\+|-(\d+))?", text)
    if not m:
        raise Error("versions %s" % text)
    low = int(m.group(1))
    return (low, highest if m.group(2) == "+" else int(m.group(3) or low))


def parse_lines(lines, messages):
    api, stack = None, None
    for number, line in enumerate(lines, 1):
        line = line.split("#")[0].rstrip()
        if not line:
            continue
        try:
            indent = len(line) - len(line.lstrip())
            words = line.split()
            if indent == 0:
                if words[0] == "api":
                    api = (int(words[1]), words[2])
                    continue
                kind = words.pop(0)
                if kind in ("request", "response"):
                    if api is None:
                        raise Error("no api before it")
                    key, name = api
                else:
                    key = int(words.pop(0)) if words[0].isdigit() else -1
                    name = words.pop(0)
                if kind not in KINDS:
                    raise Error("unknown word " + kind)
                messages.append(Message(kind, key, name, words))
                stack = [messages[-1].struct]
                continue
            depth = indent // 4
            if indent % 4 or depth > len(stack):
                raise Error("indentation")
            stack = stack[:depth]
            field = Field(words[0], line.split(None, 1)[1], stack[-1])
            stack[-1].fields.append(field)
            if field.struct:
                stack[-1].nested.append(field.struct)
                stack.append(field.struct)
        except (Error, IndexError, ValueError) as e:
            raise Error("%d: %s" % (number, e))


def read_tree(directory):
    messages, files = [], []
    for folder, folders, names in sorted(os.walk(directory)):
        for name in sorted(n for n in names if n.endswith(".msg")):
            files.append(os.path.join(folder, name))
            with open(files[-1], encoding="utf-8") as f:
                try:
                    parse_lines(f.read().split("\n"), messages)
                except Error as e:
                    sys.exit("%s:%s" % (files[-1], e))
    order = list(KINDS)
    messages.sort(key=lambda m: (order.index(m.kind), m.key, m.api))
    return messages, files


# ---- the header


def check_tagged(s):
    """What the encoder takes for granted about tagged fields."""
    for f in s.fields:
        if f.tag is not None and f.type == "records":
            sys.exit("%s.%s: records in a tagged field" % (s.name, f.name))
        if f.tag is not None and f.struct and not f.array:
            if any(i.tag is not None or (i.struct and not i.array) for i in f.struct.fields):
                sys.exit("%s.%s: a tagged struct is not flat" % (s.name, f.name))
        if f.tag is not None and f.default not in ("null", None) and f.array:
            sys.exit("%s.%s: a default that is no empty array" % (s.name, f.name))
        if f.struct:
            if f.tag is not None and has_records(f.struct):
                sys.exit("%s.%s: records in a tagged field" % (s.name, f.name))
            check_tagged(f.struct)


def has_records(s):
    return any(f.type == "records" or (f.struct and has_records(f.struct)) for f in s.fields)


def declaration(f):
    if f.struct:
        plain = "struct %s" % f.struct.name
        star = "*" if f.array or f.null_from != ALWAYS else ""
    else:
        plain, star = (FIXED.get(f.type) or SIZED.get(f.type))[1], "*" if f.array else ""
    text = "    %s %s%s;" % (plain, star, f.name)
    return text + ("\n    int32_t %s_count;" % f.name if f.array else "")


def emit_struct(s, out):
    for n in s.nested:
        emit_struct(n, out)
    names = [f.name for f in s.fields] + [f.name + "_count" for f in s.fields if f.array]
    if len(set(names)) != len(names):
        sys.exit("%s: a name stands twice" % s.name)
    out.write("struct %s {\n" % s.name)
    for f in s.fields:
        out.write(declaration(f) + note(f) + "\n")
    if not s.fields:
        out.write("    char nothing;\n")
    out.write("};\n\n")


def note(f):
    words = []
    if f.tag is not None:
        words.append("tag %d" % f.tag)
    if f.null_from != ALWAYS:
        words.append("nullable")
    if f.default not in (None, "null"):
        words.append("default " + f.default)
    return " /* %s */" % ", ".join(words) if words else ""


def emit_header(messages, out):
    out.write("/* SPDX-License-Identifier: MIT */\n/*\n * Generated by tools/genwire.py from "
              "src/wire/messages: a plain struct for each Kafka message. One struct\n * serves all "
              "versions; fields a version does not have read as their defaults. Arrays: x and\n"
              " * x_count, -1 for null; a nullable struct is a pointer.\n */\n"
              "#ifndef WIRE_MESSAGES_H\n#define WIRE_MESSAGES_H\n\n#include \"wire/wire.h\"\n\n")
    apis = [m for m in messages if m.kind == "request"]
    out.write("enum api_key {\n")
    for m in apis:
        out.write("    API_%s = %d,\n" % (snake(m.api).upper(), m.key))
    out.write("    API_KEY_END = %d, /* one more than the largest */\n};\n\n" %
              (max([m.key for m in apis], default=-1) + 1))
    out.write("/* Types of the records in the metadata log. */\nenum metadata_record {\n")
    for m in messages:
        if m.kind == "metadata":
            out.write("    METADATA_%s = %d,\n" % (snake(m.api).upper(), m.key))
    out.write("};\n\n")
    for m in messages:
        low, high = m.versions
        flexible = ", flexible from %d" % m.flexible if m.flexible != ALWAYS else ""
        out.write("/* %s %s, versions %d-%d%s. */\n" % (m.api, m.kind, low, high, flexible))
        emit_struct(m.struct, out)
        out.write("extern const struct wire_message wire_%s;\n\n" % m.c_name)
    out.write("#endif\n")


# ---- the programs


def default_value(f):
    null = f.default == "null"
    if f.array:
        return ".%s_count = -1" % f.name if null else None
    if f.struct:
        if f.null_from == ALWAYS:
            inner = image(f.struct)
            return ".%s = %s" % (f.name, inner) if inner != "{0}" else None
        return ".%s = (struct %s *)&%s_defaults" % (f.name, f.struct.name, f.struct.name) \
            if f.default == "{}" else None
    if f.type in SIZED:
        return None if null else ".%s = {(const uint8_t *)\"\", 0}" % f.name
    if f.default is None:
        return None
    smallest = {"-2147483648": "INT32_MIN", "-9223372036854775808": "INT64_MIN"}
    return ".%s = %s" % (f.name, smallest.get(f.default, f.default))


def image(s):
    values = [v for v in map(default_value, s.fields) if v]
    return "{%s}" % ", ".join(values) if values else "{0}"


class Programs:
    """All steps and programs, each distinct one once."""

    def __init__(self):
        self.steps, self.names, self.programs, self.known = [], [], [], {}
        self.depth = 0

    def add(self, s, version, flexible, depth):
        """The program's number and its smallest encoding."""
        self.depth = max(self.depth, depth)
        steps, size_min, tagged = [], 0, []
        for f in (f for f in s.fields if f.at(version)):
            step, least = self.step(s, f, version, flexible, depth)
            if f.tag is None:
                steps.append((step, f.wire_name))
                size_min += least
            else:
                tagged.append((f.tag, step, f.wire_name))
        if flexible:
            steps.append(("{WIRE_TAGS, 0, 0, %d, 0}" % len(tagged), ""))
            size_min += 1
            for _, step, name in sorted(tagged):
                steps += [(step, name), ("{WIRE_TAG_END, 0, 0, 0, 0}", "")]
        else:
            if tagged:
                sys.exit("%s: tagged fields in version %d, not a flexible one" % (s.name, version))
            steps.append(("{WIRE_END, 0, 0, 0, 0}", ""))
        key = (s.name, tuple(steps))
        if key not in self.known:
            self.known[key] = len(self.programs)
            self.programs.append((s.name, len(self.steps), size_min))
            self.steps += steps
        return self.known[key], size_min

    def step(self, s, f, version, flexible, depth):
        flags, arg, least = [], "0", 0
        nullable = version >= f.null_from
        compact = flexible and f.type != "string16"
        if nullable:
            flags.append("WIRE_NULLABLE")
        if f.tag is not None:
            flags.append("WIRE_TAGGED")
        if compact and (f.array or f.type in SIZED):
            flags.append("WIRE_COMPACT")
        if f.struct:
            number, least = self.add(f.struct, version, flexible, depth + 1)
            arg = str(number)
            if f.array and least == 0:
                sys.exit("%s: elements of no size in version %d" % (f.struct.name, version))
            code = "WIRE_STRUCTS" if f.array else "WIRE_STRUCT"
            if not f.array and f.null_from != ALWAYS:
                code, least = "WIRE_POINTER", 1
        elif f.array:
            code, arg = "WIRE_ARRAY", (FIXED.get(f.type) or SIZED[f.type])[0]
        else:
            code, _, least = FIXED.get(f.type) or SIZED[f.type]
            least = 1 if compact and f.type in SIZED else least
        if f.array:
            least = 1 if compact else 4
        return "{%s, %s, offsetof(struct %s, %s), %s, %d}" % (
            code, " | ".join(flags) or "0", s.name, f.name, arg, f.tag or 0), least


def emit_defaults(s, out):
    for n in s.nested:
        emit_defaults(n, out)
    out.write("static const struct %s %s_defaults = %s;\n" % (s.name, s.name, image(s)))


def emit_message(m, programs, out):
    low, high = m.versions
    numbers = [programs.add(m.struct, v, v >= m.flexible, 1)[0] for v in range(low, high + 1)]
    out.write("static const uint16_t programs_of_%s[] = {%s};\n" %
              (m.c_name, ", ".join(map(str, numbers))))
    out.write("const struct wire_message wire_%s = {\n    \"%s\", \"%s\", %s, %d, %d, %d, %s, %s,\n"
              "    sizeof(struct %s), programs_of_%s};\n\n" %
              (m.c_name, m.api, m.c_name, KINDS[m.kind], m.key, low, high,
               m.flexible if m.flexible != ALWAYS else "INT16_MAX",
               m.unstable if m.unstable != ALWAYS else "INT16_MAX", m.c_name, m.c_name))


def emit_tables(messages, out):
    requests = {m.key: m for m in messages if m.kind == "request"}
    responses = {m.key: m for m in messages if m.kind == "response"}
    if any(requests[k].versions != responses[k].versions for k in requests):
        sys.exit("an api's request and response differ in versions")
    out.write("const struct wire_api wire_api_rows[] = {\n")
    for key, m in requests.items():
        out.write("    [%d] = {%d, %d, %d, \"%s\", &wire_%s, &wire_%s},\n" %
                  (key, key, m.versions[0], m.versions[1], m.api, m.c_name, responses[key].c_name))
    out.write("};\nconst size_t wire_api_row_count = COUNT_OF(wire_api_rows);\n\n"
              "const struct wire_message *const wire_metadata_rows[] = {\n")
    for m in messages:
        if m.kind == "metadata":
            out.write("    [%d] = &wire_%s,\n" % (m.key, m.c_name))
    out.write("};\nconst size_t wire_metadata_row_count = COUNT_OF(wire_metadata_rows);\n\n"
              "const struct wire_message *const wire_messages[] = {\n")
    for m in messages:
        out.write("    &wire_%s,\n" % m.c_name)
    out.write("};\nconst size_t wire_message_count = COUNT_OF(wire_messages);\n")


def emit_source(messages, out):
    programs = Programs()
    out.write("/* SPDX-License-Identifier: MIT */\n/* Generated by tools/genwire.py: the programs "
              "of every message and version. */\n#include \"wire/messages.h\"\n#include "
              "\"wire/wire_step.h\"\n\n")
    for m in messages:
        emit_defaults(m.struct, out)
    out.write("\n")
    for m in messages:
        emit_message(m, programs, out)
    out.write("const struct wire_step wire_steps[] = {\n")
    for step, _ in programs.steps:
        out.write("    %s,\n" % step)
    out.write("};\n\nconst struct wire_program wire_programs[] = {\n")
    for name, start, size_min in programs.programs:
        out.write("    {wire_steps + %d, &%s_defaults, sizeof(struct %s), %d},\n" %
                  (start, name, name, size_min))
    out.write("};\nstatic_assert(%d <= WIRE_DEPTH, \"messages nest deeper than the engine's "
              "stack\");\n\n" % programs.depth)
    emit_tables(messages, out)
    return programs.steps


def emit_names(steps, out):
    pool, places = [""], {"": 0}
    size = 1
    for _, name in steps:
        if name not in places:
            places[name] = size
            pool.append(name)
            size += len(name) + 1
    if size > 65535:
        sys.exit("too many names")
    out.write("/* SPDX-License-Identifier: MIT */\n/* Generated by tools/genwire.py: the field "
              "names of all steps. */\n#include \"wire/wire_step.h\"\n\n"
              "static const char pool[] =\n")
    out.write("\n".join("    \"%s\\0\"" % name for name in pool) + ";\n\n")
    out.write("static const uint16_t places[] = {\n")
    for i in range(0, len(steps), 14):
        out.write("    " + " ".join("%d," % places[name] for _, name in steps[i:i + 14]) + "\n")
    out.write("};\n\nconst char *wire_step_name(const struct wire_step *step)\n{\n"
              "    return pool + places[step - wire_steps];\n}\n")


def main(directory, header, source, names, depfile):
    messages, files = read_tree(directory)
    for m in messages:
        check_tagged(m.struct)
    with open(header, "w", encoding="utf-8") as out:
        emit_header(messages, out)
    with open(source, "w", encoding="utf-8") as out:
        steps = emit_source(messages, out)
    with open(names, "w", encoding="utf-8") as out:
        emit_names(steps, out)
    with open(depfile, "w", encoding="utf-8") as out:
        folders = [folder for folder, _, _ in os.walk(directory)]
        inputs = files + folders  # a new file changes the time of its folder
        out.write("%s: %s\n" % (header, " ".join(re.sub(r"([ #])", r"\\\1", i) for i in inputs)))


if __name__ == "__main__":
    main(*sys.argv[1:6])
