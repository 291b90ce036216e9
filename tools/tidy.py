#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Checks what the compiler can't: arrows between rooms, doors, sizes, banned calls, house keeping.

tidy.py [--tap] [ROOT]        prints file:line: what, and ends with status 1 if there was anything.

Each rule is a function on a file or on the tree; the tables below say what is allowed.
"""

import os
import re
import sys

# A room may include the doors of rooms on lower floors (docs/architecture.md).
FLOORS = {
    "base": 0, "os": 1, "config": 2, "watch": 2, "store": 2, "log": 3, "wire": 3,
    "meta": 4, "stream": 4, "legacy": 4, "auth": 4, "client": 4, "group": 5, "txn": 5, "replica": 5, "live": 5,
    "broker": 6,
    "kafka": 7, "nats": 7, "local": 7, "bench": 7, "net": 8, "http": 8, "cli": 8, "main": 9,
}
# The verbs are clients: what a server is made of is not theirs.
CLI_ROOMS = {"base", "os", "config", "log", "wire", "client", "bench"}
# Further public headers: the generated one, and the broker's own nouns, which net/ and kafka/ use
# without the rest of broker/broker.h.
OPEN_HEADERS = {"wire/messages.h", "broker/request.h", "broker/shard.h", "broker/coordinator.h",
                "broker/link.h"}
FUNCTION_LINES, FILE_LINES, NESTING = 70, 800, 3
COLUMNS, SCRIPT_COLUMNS = 100, 120
BANNED = {
    "strcpy": "copy with a known size", "strcat": "append with a known size",
    "sprintf": "use snprintf", "vsprintf": "use vsnprintf", "atoi": "parse with bounds",
    "atol": "parse with bounds", "alloca": "use the arena", "rand": "use os randomness or a seed",
    "strtok": "cut with a cursor", "gets": "bound the read",
}
BANNED_IN_TESTS = {"sleep": "wait for an event", "usleep": "wait for an event",
                   "nanosleep": "wait for an event"}
MACHINE = re.compile("|".join([r"\.\./" + "shared", "/wor" + "k/", "/tmp/" + "brief", "/ro" + "ot/",
                               "/ho" + r"me/\w"]))
CODE = (".c", ".h", ".def")
SCRIPTS = (".py", ".sh", ".msg")
TEXT = CODE + SCRIPTS + (".md", ".txt", ".tsv", ".java", ".js", ".go", ".json", ".xml", ".build")
SKIPPED = re.compile(r"^(\.git|build.*|data|results|node_modules|__pycache__|\.cache)$")
README_LINES = range(4, 31)

findings = []


def found(path, line, what):
    findings.append(f"{path}:{line}: {what}")


def files(root):
    """Every file of the tree below root, by its path from there."""
    for folder, names, leaves in os.walk(root):
        here = os.path.relpath(folder, root)
        names[:] = sorted(n for n in names if not (SKIPPED.match(n) and here in (".", "tests/real/node"))
                          and n not in ("__pycache__", ".git"))
        for leaf in sorted(leaves):
            yield os.path.normpath(os.path.join(here, leaf))


BLANK = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)


def bare(text):
    """C without comments and without what is inside literals; the lines stay where they were."""
    def blank(match):
        word = match.group(0)
        if word[0] in "\"'":
            return word[0] + word[0]
        return "\n" * word.count("\n") or " "
    return BLANK.sub(blank, text)


# ---- C files

def check_includes(path, text):
    parts = path.split("/")
    room = parts[1] if parts[0] == "src" and len(parts) > 2 else None
    tested = parts[2] if parts[:2] == ["tests", "unit"] and len(parts) > 3 else None
    for number, line in enumerate(text.split("\n"), 1):
        match = re.match(r'\s*#\s*include\s+"([^"]+)"', line)
        if not match:
            continue
        header = match.group(1)
        if "/" not in header:
            if room and room in FLOORS and not header.endswith("_cases.h"):
                found(path, number, f'write "{room}/{header}": headers are named with their room')
            continue
        target = header.split("/")[0]
        if target not in FLOORS:
            if room:
                found(path, number, f"{header}: there is no room {target} (tools/tidy.py, FLOORS)")
            continue
        check_arrow(path, number, room, target, header)
        door = header == f"{target}/{target}.h" or target == "base" or header in OPEN_HEADERS
        if not door and target not in (room, tested) and parts[:2] != ["tests", "fuzz"]:
            found(path, number, f"{header} is private to {target}; its door is {target}/{target}.h")


def check_arrow(path, number, room, target, header):
    if room:
        if room not in FLOORS:
            found(path, number, f"room {room} has no floor (tools/tidy.py, FLOORS)")
        elif target != room and FLOORS[target] >= FLOORS[room]:
            found(path, number, f"{header}: {room} (floor {FLOORS[room]}) may not look at {target} "
                                f"(floor {FLOORS[target]})")
        elif room == "cli" and target != room and target not in CLI_ROOMS:
            found(path, number, f"{header}: the tools of cli/ may not look at {target}")


OPENS = re.compile(r"\b(switch|if|for|while|do|else)\b|[{}();]")
NAME = re.compile(r"\b([A-Za-z_]\w*)\s*\([^;{}]*$", re.S)


def check_functions(path, text):
    """Size and nesting of functions, and calls of a function by itself."""
    start, name, depth, body = 0, "", 0, []
    stack, previous = [], []
    for number, line in enumerate(text.split("\n"), 1):
        if line.lstrip().startswith("#"):
            continue
        if depth == 0 and line.startswith("{"):
            match = NAME.search("\n".join(previous[-12:]))
            start, name, body, stack = number, match.group(1) if match else "", [], []
            previous = []
        elif depth == 0:
            previous = [] if re.search(r"[;}]", line) else previous + [line]
        if start and number > start:
            body.append((number, line))
        depth += line.count("{") - line.count("}")
        if start and depth == 0:
            finish_function(path, start, number, name, body)
            start = 0
    if depth:
        found(path, 1, "braces do not match")


def finish_function(path, start, end, name, body):
    size = end - start + 1
    if name and size > FUNCTION_LINES:
        found(path, start, f"{name} has {size} lines, more than {FUNCTION_LINES}")
    if not name:
        return
    stack, word, deepest = [], "", (0, 0)
    call = re.compile(r"(?<![\w.>])" + re.escape(name) + r"\s*\(")
    for number, line in body:
        if call.search(line):
            found(path, number, f"{name} calls itself")
        for match in OPENS.finditer(line):
            token = match.group(0)
            if token == "{":
                stack.append(word)
                deepest = deeper(path, name, stack, number, deepest)
                word = ""
            elif token == "}":
                if stack:
                    stack.pop()
                word = ""
            elif token == ";":
                word = ""
            elif token not in "()":
                word = token
    if deepest[0]:
        found(path, deepest[0], f"{name} nests {deepest[1]} levels, more than {NESTING}")


def deeper(path, name, stack, number, deepest):
    level = sum(1 for word in stack if word)
    allowed = NESTING + (1 if "switch" in stack else 0)
    return (number, level) if level > max(allowed, deepest[1]) else deepest


def check_calls(path, text):
    tests = path.startswith("tests/")
    banned = {**BANNED, **BANNED_IN_TESTS} if tests else BANNED
    words = re.compile(r"(?<![\w.>])(" + "|".join(banned) + r")\s*\(")
    for number, line in enumerate(text.split("\n"), 1):
        match = words.search(line)
        if match:
            found(path, number, f"{match.group(1)}: {banned[match.group(1)]}")
        match = re.search(r"\bgoto\s+(\w+)", line)
        if match and not match.group(1).startswith("undo_"):
            found(path, number, f"goto {match.group(1)}: only undo_ labels")
        if re.search(r"\btypedef\s+(struct|union)\b", line) and ")" not in line:
            found(path, number, "a typedef for a struct")


# ---- every text file

def check_lines(path, lines):
    limited = path.endswith(CODE) or (path.endswith((".py", ".sh")) and not frozen(path))
    if limited and len(lines) > FILE_LINES:
        found(path, FILE_LINES, f"{len(lines)} lines, more than {FILE_LINES}")
    for number, line in enumerate(lines, 1):
        columns = COLUMNS if path.endswith(CODE) else SCRIPT_COLUMNS
        if limited and len(line) > columns:
            found(path, number, f"{len(line)} columns, more than {columns}")
        if MACHINE.search(line):
            found(path, number, "names a path of one machine: " + MACHINE.search(line).group(0))
        if limited and line != line.rstrip():
            found(path, number, "blanks at the end of the line")


def frozen(path):
    """The probes are kept as they were when the recording was made."""
    return path.startswith("tests/probe/recorded/")


def check_licence(path, lines):
    head = "\n".join(lines[:3 if lines and lines[0].startswith("#!") else 1])
    if path.endswith(CODE) or path.endswith((".py", ".sh", ".java", ".js", ".go")) \
            or path.endswith("meson.build"):
        if "SPDX-License-Identifier: MIT" not in head:
            found(path, 1, "the first line is not the SPDX line")


# ---- the tree

def check_rooms(root, paths):
    rooms = sorted({p.split("/")[1] for p in paths if p.startswith("src/") and p.count("/") > 1})
    for room in rooms:
        readme = f"src/{room}/README.md"
        if readme not in paths:
            found(readme, 1, "is missing: what the room is, its owner thread, its invariants")
        else:
            with open(os.path.join(root, readme), encoding="utf-8") as file:
                count = len(file.readlines())
            if count not in README_LINES:
                found(readme, 1, f"{count} lines; ten or so are wanted")
        if room != "base" and room != "main" and f"src/{room}/{room}.h" not in paths:
            found(f"src/{room}", 1, f"has no door {room}.h")


def check_listed(root, paths):
    """Every C file stands in the meson.build of its folder, or of one above."""
    texts = {}
    for path in paths:
        if not path.endswith(".c") or not path.startswith(("src/", "tests/unit", "tests/wire",
                                                             "tests/fuzz")):
            continue
        folder, listed = os.path.dirname(path), False
        name = os.path.basename(path)
        stem = re.sub(r"_test$|^fuzz_", "", name[:-2])
        while folder and not listed:
            if folder not in texts:
                build = os.path.join(root, folder, "meson.build")
                texts[folder] = open(build, encoding="utf-8").read() if os.path.exists(build) else ""
            listed = any(f"'{word}" in texts[folder] or f"/{word}" in texts[folder]
                         for word in (name, stem + "'"))
            folder = os.path.dirname(folder)
        if not listed:
            found(path, 1, "is in no meson.build: dead, or forgotten")


def check_tree(root):
    paths = list(files(root))
    for path in paths:
        if not path.endswith(TEXT) and os.path.basename(path) not in ("Makefile", "run"):
            continue
        with open(os.path.join(root, path), encoding="utf-8", errors="replace") as file:
            text = file.read()
        if path.endswith(".tsv") and not text.isprintable() and len(text) > 1 << 20:
            continue
        lines = text.split("\n")
        check_lines(path, lines)
        check_licence(path, lines)
        if path.endswith((".c", ".h")):
            check_includes(path, text)
            code = bare(text)
            check_calls(path, code)
            check_functions(path, code)
    check_rooms(root, set(paths))
    check_listed(root, paths)
    return len(paths)


def main():
    words = [w for w in sys.argv[1:] if w != "--tap"]
    root = words[0] if words else os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    count = check_tree(root)
    for line in findings:
        print(line if "--tap" not in sys.argv else "# " + line)
    if "--tap" in sys.argv:
        print(f"{'not ok' if findings else 'ok'} 1 - {count} files are tidy"
              + (f": {len(findings)} findings" if findings else ""))
        print("1..1")
    sys.exit(1 if findings else 0)


if __name__ == "__main__":
    main()
