#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Plants one offence after another in a small tree, and expects tools/tidy.py to name each."""

import os
import shutil
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TIDY = os.path.join(ROOT, "tools", "tidy.py")
SPDX = "/* SPDX-License-Identifier: MIT */\n"
GOOD = SPDX + "int f(int x)\n{\n    if (x) {\n        x++;\n    }\n    return x;\n}\n"


def nested(words):
    """A function whose blocks stand in each other, one for each word."""
    text = SPDX + "void f(int x)\n{\n"
    for depth, word in enumerate(words, 1):
        text += "    " * depth + word + " (x) {\n"
    for depth in range(len(words), 0, -1):
        text += "    " * depth + "}\n"
    return text + "}\n"


# what, {file: text (None: no such file)}, what tidy has to say ("" = nothing)
CASES = [
    ("a tidy tree", {}, ""),
    ("an arrow upwards", {"src/os/a.c": SPDX + '#include "log/log.h"\n' + GOOD}, "src/os/a.c:2: log/log.h: os"),
    ("an arrow to a neighbour", {"src/log/a.c": SPDX + '#include "wire/wire.h"\n'}, "may not look at wire"),
    ("an arrow downwards", {"src/log/a.c": SPDX + '#include "os/os.h"\n'}, ""),
    ("a private header", {"src/log/a.c": SPDX + '#include "os/private.h"\n'}, "private to os"),
    ("one's own private header", {"src/os/a.c": SPDX + '#include "os/private.h"\n'}, ""),
    ("any header of base", {"src/os/a.c": SPDX + '#include "base/bytes.h"\n'}, ""),
    ("a header without its room", {"src/os/a.c": SPDX + '#include "private.h"\n'}, "headers are named with"),
    ("a private header in a strange test", {"tests/unit/log/a_test.c": SPDX + '#include "os/private.h"\n'},
     "private to os"),
    ("a private header in the room's test", {"tests/unit/os/a_test.c": SPDX + '#include "os/private.h"\n'}, ""),
    ("a verb that looks at the server",
     {"src/cli/a.c": SPDX + '#include "broker/broker.h"\n', "src/cli/cli.h": SPDX,
      "src/cli/README.md": "# cli\n\n" + "What it is.\n" * 6,
      "src/cli/meson.build": "# SPDX-License-Identifier: MIT\nx = ['a.c']\n"},
     "the tools of cli/ may not look at broker"),
    ("a function of 71 lines", {"src/os/a.c": SPDX + "void f(void)\n{\n" + "    g();\n" * 69 + "}\n"},
     "src/os/a.c:3: f has 71 lines"),
    ("a function of 70 lines", {"src/os/a.c": SPDX + "void f(void)\n{\n" + "    g();\n" * 68 + "}\n"}, ""),
    ("a file of 801 lines", {"src/os/a.c": SPDX + "int x;\n" * 800}, "lines, more than 800"),
    ("a line of 101 columns", {"src/os/a.c": SPDX + "/*" + "x" * 97 + "*/\n"}, "src/os/a.c:2: 101 columns"),
    ("a line of 100 columns", {"src/os/a.c": SPDX + "/*" + "x" * 96 + "*/\n"}, ""),
    ("nesting of four", {"src/os/a.c": nested(["if", "for", "while", "if"])}, "nests 4 levels"),
    ("nesting of three", {"src/os/a.c": nested(["if", "for", "while"])}, ""),
    ("nesting of four with a switch", {"src/os/a.c": nested(["for", "switch", "if", "if"])}, ""),
    ("nesting of five with a switch", {"src/os/a.c": nested(["for", "switch", "if", "if", "if"])},
     "nests 5 levels"),
    ("recursion", {"src/os/a.c": SPDX + "int f(int x)\n{\n    return f(x);\n}\n"}, "a.c:4: f calls itself"),
    ("a banned call", {"src/os/a.c": SPDX + "void f(void)\n{\n    strcpy(a, b);\n}\n"}, "a.c:4: strcpy"),
    ("a banned word in a comment", {"src/os/a.c": SPDX + "/* strcpy(a, b) */\n"}, ""),
    ("a banned word in a string", {"src/os/a.c": SPDX + 'char *s = "strcpy(a)";\n'}, ""),
    ("a longer name", {"src/os/a.c": SPDX + "void f(void)\n{\n    my_strcpy(a);\n}\n"}, ""),
    ("sleep in a test", {"tests/unit/os/a_test.c": SPDX + "void f(void)\n{\n    usleep(1);\n}\n"}, "usleep"),
    ("a goto", {"src/os/a.c": SPDX + "void f(void)\n{\n    goto out;\n}\n"}, "goto out"),
    ("an undo", {"src/os/a.c": SPDX + "void f(void)\n{\n    goto undo_map;\n}\n"}, ""),
    ("a typedef of a struct", {"src/os/a.c": SPDX + "typedef struct x x;\n"}, "a typedef"),
    ("no licence", {"src/os/a.c": "int x;\n"}, "the first line is not the SPDX line"),
    ("no licence in a script", {"tools/a.py": "#!/usr/bin/env python3\nx = 1\n"}, "not the SPDX line"),
    ("a room without a README", {"src/os/README.md": None}, "README.md:1: is missing"),
    ("a README of one line", {"src/os/README.md": "os\n"}, "1 lines; ten or so"),
    ("a room without a door", {"src/os/os.h": None, "src/log/a.c": None}, "has no door os.h"),
    ("a forgotten file", {"src/os/b.c": SPDX + "int x;\n"}, "src/os/b.c:1: is in no meson.build"),
    ("a path of one machine", {"docs/a.md": "see /ho" + "me/me/x\n"}, "path of one machine"),
    ("a blank at the end", {"src/os/a.c": SPDX + "int x; \n"}, "blanks at the end"),
    ("a room nobody knows", {"src/os/a.c": SPDX + '#include "cellar/cellar.h"\n'}, "there is no room cellar"),
]


def plant(folder, changes):
    tree = {"tests/unit/meson.build": "# SPDX-License-Identifier: MIT\n'a_test.c'\n"}
    for room in ("base", "os", "log", "wire"):
        tree[f"src/{room}/{room}.h"] = SPDX
        tree[f"src/{room}/README.md"] = f"# {room}\n\n" + "What it is.\n" * 6
        tree[f"src/{room}/meson.build"] = "# SPDX-License-Identifier: MIT\nx = ['a.c']\n"
    tree["src/os/a.c"] = GOOD
    tree.update(changes)
    for path, text in tree.items():
        if text is not None:
            path = os.path.join(folder, path)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)


def judge(changes, wanted):
    folder = tempfile.mkdtemp(prefix="tidy-")
    try:
        plant(folder, changes)
        done = subprocess.run([sys.executable, TIDY, folder], capture_output=True, text=True, check=False)
    finally:
        shutil.rmtree(folder)
    said = done.stdout.strip()
    good = (said == "" and done.returncode == 0) if not wanted else \
        (wanted in said and said.count("\n") == 0 and done.returncode == 1)
    return good, said + done.stderr


def main():
    failed = 0
    for number, (what, changes, wanted) in enumerate(CASES, 1):
        good, said = judge(changes, wanted)
        failed += not good
        print(f"{'ok' if good else 'not ok'} {number} - {what}")
        if not good:
            print("\n".join("# " + line for line in [f"wanted: {wanted!r}"] + said.split("\n")))
    print(f"1..{len(CASES)}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
