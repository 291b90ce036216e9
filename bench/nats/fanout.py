#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""fanout.py [--quick] [--rounds N] [--only TEXT] [--bin build/fluxmq] [--nats-server PATH]: live
fan-out of FluxMQ and of nats-server side by side.

Both run at once with their own defaults and get the same load in turns (A B B A ...), from one
generator (fanout.c) that checks every message it gets: its order, size and contents. A lost or wrong
one ends the program. CPU is the server process's own user and system time. The two cores of the
machine are shared with the generator. nats-server comes from tests/nats/deps.sh.

Latency is from the time a message was due to the time it was read, in an open loop; "there" is up
to the time it was at the subscriber's socket. With 48 subscribers the two are far apart: one thread
reads for all of them, on the cores the servers need. As fast as possible means: publishers go on
while no subscriber is more than `window` messages behind (4 MiB worth if nothing is said). Memory
of idle things is measured on a server that was just started."""
import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.append(os.path.join(ROOT, "tests", "nats"))

from server import FluxMQ, NatsServer  # noqa: E402

HERE = os.path.join(ROOT, "bench", "nats")
SHOWN = {"publishes_per_s": "publishes/s", "deliveries_per_s": "deliveries/s", "cpu_s_per_million": "CPU s/M",
         "p50_us": "p50 us", "p99_us": "p99 us", "max_us": "max us",
         "arrived_p50_us": "there p50", "arrived_p99_us": "there p99", "rss_mib": "RSS MiB"}


def build(folder):
    target = os.path.join(folder, "fanout")
    sources = [os.path.join(HERE, name) for name in ("fanout.c", "idle.c", "peer.c")]
    subprocess.run(["cc", "-std=gnu17", "-O2", "-D_GNU_SOURCE", "-Wall", "-o", target, *sources], check=True)
    return target


def cases(quick):
    """name -> arguments of fanout run"""
    seconds = 1 if quick else 2
    fast = f"seconds={seconds}"
    for size in (16, 128, 256, 1024):
        yield f"1 -> 48, {size} B", [fast, f"size={size}"]
    yield "1 -> 48, 16 B, 1000 ahead", [fast, "window=1000"]
    for size in (16, 1024):
        yield f"1 -> 1, {size} B", [fast, f"size={size}", "subscribers=1", "warm=100000"]
    for rate in (1000, 20000):
        yield f"1 -> 48, 16 B, {rate}/s", [f"rate={rate}", f"messages={rate * seconds * 2}", f"warm={rate // 2}"]
    if quick:
        yield "4 -> 4, 100 B", [fast, "size=100", "publishers=4", "subscribers=4"]
        return
    yield "1 -> 8, 20 B", [fast, "size=20", "subscribers=8"]
    yield "48 x 1 -> 1, 128 B", [fast, "size=128", "publishers=48", "subjects=48", "warm=5000", "window=2000"]
    for size in (100, 1024, 4096):
        for publishers in (1, 4, 16):
            for subscribers in (1, 4, 16):
                yield f"{publishers} -> {subscribers}, {size} B", [
                    fast, f"size={size}", f"publishers={publishers}", f"subscribers={subscribers}"]


def idle_cases(quick):
    yield "idle-subscriptions", ["count=100000", "connections=10"]
    yield "idle-connections", [f"count={10000}"]
    yield "churn", [f"count={100000}"]


def load(generator, server, verb, words):
    run = subprocess.run([generator, verb, f"127.0.0.1:{server.nats_port}", f"pid={server.process.pid}", *words],
                         capture_output=True, text=True, check=False)
    if run.returncode:
        sys.exit(f"{server.name}: {verb} {' '.join(words)}: {run.stderr or 'lost or wrong: ' + run.stdout}")
    return json.loads(run.stdout)


def summary(name, server, rows):
    line = {"case": name, "server": server, "rounds": len(rows)}
    for key in SHOWN:
        values = [row[key] for row in rows]
        line[key] = round(statistics.median(values), 3)
        line[key + "_min"], line[key + "_max"] = round(min(values), 3), round(max(values), 3)
    line["deliveries"], line["lost"] = sum(r["deliveries"] for r in rows), sum(r["lost"] for r in rows)
    print(json.dumps(line), flush=True)
    return line


def table(lines):
    print(f"\n{'case':28} {'server':12} " + " ".join(f"{title:>13}" for title in SHOWN.values()))
    for line in lines:
        print(f"{line['case']:28} {line['server']:12} " + " ".join(f"{line[key]:13,.2f}" for key in SHOWN))


def idle_table(lines):
    print(f"\n{'case':28} {'server':12} {'count':>8} {'bytes each':>11} {'per second':>11} {'CPU us each':>12}")
    for line in lines:
        rate = line.get("per_s") or line["count"] / line["seconds"]
        print(f"{line['test']:28} {line['server']:12} {line['count']:8} {line.get('bytes_each', 0):11,.0f} "
              f"{rate:11,.0f} {line.get('cpu_us_each', 0):12.1f}")


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--quick", action="store_true")
    ap.add_argument("--rounds", type=int, default=0, help="runs of each server and case (2 if quick, else 4)")
    ap.add_argument("--only", default="", help="cases whose name contains this")
    ap.add_argument("--port", type=int, default=24020)
    ap.add_argument("--bin", default=os.path.join(ROOT, "build", "fluxmq"))
    ap.add_argument("--nats-server", default=NatsServer.program)
    a = ap.parse_args()
    rounds = a.rounds or (2 if a.quick else 4)
    folder = tempfile.mkdtemp(prefix="fluxmq-fanout-")
    generator = build(folder)
    NatsServer.program = a.nats_server
    makers = [lambda: FluxMQ(a.port, binary=a.bin), lambda: NatsServer(a.port + 10)]
    print(json.dumps({"cores": os.cpu_count(), "kernel": os.uname().release, "rounds": rounds,
                      "nats-server": NatsServer.version()}), flush=True)
    lines, idle = [], []
    servers = []
    try:
        servers = [make().start() for make in makers]
        for name, words in cases(a.quick):
            if a.only not in name:
                continue
            rows = {server.name: [] for server in servers}
            for r in range(rounds):
                for server in servers if r % 2 == 0 else reversed(servers):
                    rows[server.name].append(load(generator, server, "run", words))
            lines += [summary(name, server.name, rows[server.name]) for server in servers]
        for server in servers:
            server.close()
        servers = []
        for verb, words in idle_cases(a.quick):
            for make in makers if a.only in verb else []:
                servers = [make().start()]
                idle.append({"server": servers[0].name, **load(generator, servers[0], verb, words)})
                print(json.dumps(idle[-1]), flush=True)
                servers.pop().close()
    finally:
        for server in servers:
            server.close()
        shutil.rmtree(folder, ignore_errors=True)
    table(lines)
    idle_table(idle)


if __name__ == "__main__":
    main()
