#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""genwire_test.py GENWIRE : what the generator says about definitions that are wrong. TAP."""
import os
import subprocess
import sys
import tempfile

HEAD = "# A test.\nrecord 1 Thing  versions 0-2  flexible 1+\n"
CASES = [
    ("a plain definition is taken", HEAD + "    a  int32\n    b  string?  1+  = null\n", None),
    ("an unknown type", HEAD + "    a  int33\n", "thing.msg:3: unknown type int33"),
    ("no type", HEAD + "    a\n", "thing.msg:3: "),
    ("words left over", HEAD + "    a  int32  1+  sometimes\n",
     "thing.msg:3: left over: sometimes"),
    ("fields of what is no struct", HEAD + "    a  int32\n        b  int8\n",
     "thing.msg:4: indentation"),
    ("odd indentation", HEAD + "   a  int32\n", "thing.msg:3: indentation"),
    ("a name twice", HEAD + "    a  int32\n    a  int8\n", "a name stands twice"),
    ("a count that clashes with an array's", HEAD + "    a  []int8\n    a_count  int32\n",
     "a name stands twice"),
    ("a tagged field in a plain version", HEAD + "    a  int32  0+  tag 0\n", "not a flexible one"),
    ("records in a tagged field", HEAD + "    a  records?  1+  tag 0  = null\n",
     "records in a tagged field"),
    ("elements of no size", "record Thing  versions 0\n    a  []\n", "elements of no size"),
    ("an unknown section", "# A test.\nnote 1 Thing  versions 0\n",
     "thing.msg:2: unknown word note"),
    ("a wrong range of versions", HEAD + "    a  int32  1to2\n", "thing.msg:3: versions 1to2"),
    ("a response without its api", "response  versions 0\n    a  int32\n",
     "thing.msg:1: no api before it"),
]


def run(genwire, text):
    """The generator's complaint, None when it had none."""
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, "thing.msg"), "w", encoding="utf-8") as f:
            f.write(text)
        outs = [os.path.join(folder, n) for n in ("m.h", "m.c", "n.c", "m.d")]
        done = subprocess.run([sys.executable, genwire, folder] + outs, capture_output=True,
                              text=True, check=False)
        return None if done.returncode == 0 else done.stderr


def main():
    failed = 0
    for number, (name, text, wanted) in enumerate(CASES, 1):
        got = run(sys.argv[1], text)
        good = got is None if wanted is None else \
            got is not None and wanted in got and "Traceback" not in got
        failed += not good
        if not good:
            print("# wanted %r, got %r" % (wanted, got))
        print("%s %d - %s" % ("ok" if good else "not ok", number, name))
    print("1..%d" % len(CASES))
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())
