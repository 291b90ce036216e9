# SPDX-License-Identifier: MIT
"""TAP from Python: cases are functions; an exception, an assertion's too, is a failed case."""

import sys
import time
import traceback


class Skip(Exception):
    """The case can't be run here; its text says why."""


class Tap:
    def __init__(self):
        self.count = self.failed = 0

    def result(self, good, name, note=""):
        self.count += 1
        self.failed += not good
        print(f"{'ok' if good else 'not ok'} {self.count} - {name}{note}", flush=True)
        return good

    def note(self, text):
        for line in str(text).rstrip("\n").split("\n"):
            print("# " + line, flush=True)

    def skip(self, name, why):
        self.result(True, name, f" # SKIP {why}")

    def run(self, name, function, *arguments):
        started = time.monotonic()
        try:
            said = function(*arguments)
        except Skip as why:
            self.skip(name, why)
        except Exception:  # pylint: disable=broad-except
            self.result(False, name)
            self.note(traceback.format_exc())
        else:
            self.result(True, name)
            if said:
                self.note(f"{said} ({time.monotonic() - started:.1f} s)")

    def finish(self):
        print(f"1..{self.count}", flush=True)
        sys.exit(1 if self.failed else 0)
