# SPDX-License-Identifier: MIT
"""The probes of a module: ALL, probe = registry(), then @probe("its name") before each function."""


def registry():
    every = []

    def probe(name):
        def keep(f):
            every.append((name, f))
            return f
        return keep
    return every, probe
