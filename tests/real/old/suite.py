# SPDX-License-Identifier: MIT
"""suite.py BOOTSTRAP PREFIX MODERN_CLASSES OLD_CLASSES [newer]: a Java client of former times beside the newest one.

The newest client writes, the old one reads that and writes itself, the newest one reads it: three programs with
class paths of their own, whose results become one list.
"""

import re
import subprocess
import sys

JAVA = ["java", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xmx512m",
        "-Dorg.slf4j.simpleLogger.defaultLogLevel=error"]


def main():
    address, prefix, modern, old, *newer = sys.argv[1:]
    programs = [["-cp", modern, "Modern", address, prefix, "write"], ["-cp", old, "Old", address, prefix, *newer],
                ["-cp", modern, "Modern", address, prefix, "read"]]
    count, failed, ended = 0, False, True
    for program in programs:
        planned = False
        with subprocess.Popen([*JAVA, *program], stdout=subprocess.PIPE) as process:
            for raw in process.stdout:
                line = raw.decode(errors="replace").rstrip("\n")
                match = re.match(r"(not )?ok \d+(.*)", line)
                if match:
                    count += 1
                    failed = failed or bool(match.group(1))
                    line = f"{match.group(1) or ''}ok {count}{match.group(2)}"
                elif re.match(r"1\.\.\d+$", line):
                    planned = True
                    continue
                print(line, flush=True)
        ended = ended and planned
    if ended:  # else run.py sees that there is no plan
        print(f"1..{count}", flush=True)
    return failed or not ended


sys.exit(main())
