#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""run.py [--rounds N] [--million N] [--only NAME]: FluxMQ and a real Kafka side by side.

Each round runs both brokers, in turns (A B, B A, ...), with the same load: bench/load.c on librdkafka
and Kafka's own ProducerPerformance and ConsumerPerformance. The machine is warmed first: memory that a
virtual machine touches for the first time costs several times more than any broker, so most of what is
free is touched once. Then each broker is warmed with the same loads until its CPU per record falls no
more (a JVM's falls by four within its first millions of records); those figures are thrown away, and
topics are deleted when they are done, so that all work in the same memory. What was produced is read
back, counted and checked each time. CPU is the broker process's own user and system time. Kafka does
not flush before it answers acks=all; FluxMQ does (flush.mode=group), so that row is given with
flush.mode=none as well."""
import argparse
import json
import mmap
import os
import shutil
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.append(os.path.join(ROOT, "tests", "harness"))

from client import Client  # noqa: E402

KAFKA = os.path.join(ROOT, "tests", "kafka", "kafka.sh")
TICK = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid):
    fields = open(f"/proc/{pid}/stat", encoding="ascii").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def memory(pid):
    out = {}
    for line in open(f"/proc/{pid}/status", encoding="ascii"):
        if line.startswith(("VmRSS", "RssAnon")):
            out[line.split(":")[0]] = int(line.split()[1]) / 1024
    return out


def metadata_answered(port):
    """sends Metadata v1 (no topics) and reads the reply"""
    with socket.create_connection(("127.0.0.1", port), 1) as s:
        body = struct.pack(">hhih", 3, 1, 1, -1) + struct.pack(">i", 0)
        s.sendall(struct.pack(">i", len(body)) + body)
        size = struct.unpack(">i", s.recv(4))[0]
        return len(s.recv(size)) > 8


def start_to_metadata(run, port):
    begin = time.monotonic()
    process = run()
    while True:
        try:
            if metadata_answered(port):
                return process, time.monotonic() - begin
        except (OSError, struct.error):
            time.sleep(0.0005)


class Ours:
    def __init__(self, name, folder, port, settings):
        self.name, self.folder, self.port = name, folder, port
        self.env = dict(os.environ, FLUXMQ_NUM_PARTITIONS="1", **settings,
                        FLUXMQ_GROUP_INITIAL_REBALANCE_DELAY_MS="0")  # as the Kafka here has it
        self.process, self.seconds = start_to_metadata(self.start, port)
        self.pid = self.process.pid
        time.sleep(0.2)
        self.idle = memory(self.pid)

    def start(self):
        return subprocess.Popen([os.path.join(ROOT, "build", "fluxmq"), "--port", str(self.port), "--data-dir",
                                 os.path.join(self.folder, self.name), "--metrics-port", "0", "--nats-port", "0"],
                                env=self.env, stdout=subprocess.DEVNULL,
                                stderr=subprocess.DEVNULL)

    def stop(self):
        self.process.terminate()
        self.process.wait()


class Kafka:
    name = "kafka"

    def __init__(self, folder, port):
        self.folder, self.port = os.path.join(folder, "kafka"), port
        begin = time.monotonic()
        env = dict(os.environ, KAFKA_HEAP="1G")
        subprocess.run([KAFKA, "start", str(port), self.folder], check=True, env=env, stdout=subprocess.DEVNULL)
        self.seconds = time.monotonic() - begin
        found = subprocess.run(["pgrep", "-f", self.folder + "/server.properties"], capture_output=True, text=True)
        self.pid = max(int(p) for p in found.stdout.split() if os.path.exists(f"/proc/{p}"))
        self.idle = memory(self.pid)

    def stop(self):
        subprocess.run([KAFKA, "stop", self.folder], check=False)


def starts(count, settings):
    """Seconds from exec to the first Metadata reply, each time in an empty directory."""
    out = []
    for i in range(count):
        folder = tempfile.mkdtemp(prefix="fluxmq-start-")
        broker = Ours("start", folder, 26392 + i, settings)
        broker.stop()
        shutil.rmtree(folder, ignore_errors=True)
        out.append(broker.seconds * 1000)
    return {"ms_median": round(statistics.median(out), 1), "ms_min": round(min(out), 1), "ms_max": round(max(out), 1),
            "starts": count}


def tool(*words):
    run = subprocess.run([KAFKA, "tool", *words], capture_output=True, text=True, check=False)
    if run.returncode:
        sys.exit("tool %s failed: %s" % (words[0], run.stderr[-500:]))
    return run.stdout


def make_topic(broker, topic):
    client = Client(broker.port, 30)
    client.create_topic(topic, 1, {"file.delete.delay.ms": "0"})
    client.close()


def drop_topic(broker, topic):
    client = Client(broker.port, 30)
    client.call("DeleteTopics", 5, {"topicNames": [topic], "timeoutMs": 10000})
    client.close()
    time.sleep(1)  # both delete files a moment later


def measure(broker, run):
    before = cpu_seconds(broker.pid)
    seconds = run()
    time.sleep(0.1)
    return seconds, cpu_seconds(broker.pid) - before


def native(broker, verb, topic, count, size, *acks):
    run = subprocess.run([os.path.join(ROOT, "build", "bench-load"), verb, f"127.0.0.1:{broker.port}", topic,
                          str(count), str(size), *acks], capture_output=True, text=True, check=False)
    if run.returncode:
        sys.exit(f"{broker.name}: {verb} lost or changed records: {run.stderr}")
    return float(run.stdout)


def java(broker, verb, topic, count, size, acks=None):
    address = f"127.0.0.1:{broker.port}"
    if verb == "produce":
        out = tool("ProducerPerformance", "--topic", topic, "--num-records", str(count), "--record-size", str(size),
                   "--throughput", "-1", "--producer-props", f"bootstrap.servers={address}", f"acks={acks}",
                   "batch.size=65536", "linger.ms=5")
        rate = float(out.strip().splitlines()[-1].split("sent, ")[1].split(" ")[0])
        return count / rate
    out = tool("ConsumerPerformance", "--bootstrap-server", address, "--topic", topic, "--num-records", str(count),
               "--timeout", "60000")
    row = [f.strip() for f in out.strip().splitlines()[-1].split(",")]
    if int(row[4]) < count:
        sys.exit(f"{broker.name}: only {row[4]} of {count} records read")
    return count / float(row[5])


def report(name, broker, count, rows):
    rates = [count / s / 1000 for s, _ in rows]
    cpus = [c / count * 1e6 for _, c in rows]
    line = {"case": name, "broker": broker.name, "krecords_per_s": round(statistics.median(rates), 1),
            "rate_min": round(min(rates), 1), "rate_max": round(max(rates), 1),
            "cpu_s_per_million": round(statistics.median(cpus), 3), "cpu_min": round(min(cpus), 3),
            "cpu_max": round(max(cpus), 3), "rounds": len(rows)}
    print(json.dumps(line), flush=True)
    return line


def cases(million):
    for driver in (native, java):
        for size, count in ((100, int(2e6 * million)), (1024, int(0.5e6 * million))):
            for acks in ("1", "all"):
                yield driver, size, count, acks


def touch_memory():
    """Three quarters of what is free, once, and given back; the gigabytes."""
    line = next(line for line in open("/proc/meminfo", encoding="ascii") if line.startswith("MemAvailable"))
    block = bytes(64 << 20)
    with mmap.mmap(-1, int(line.split()[1]) * 1024 * 3 // 4 // len(block) * len(block)) as area:
        for at in range(0, len(area), len(block)):
            area[at:at + len(block)] = block
        return len(area) >> 30


class KeptMemory:
    """Free pages that a virtual machine's kernel reports go back to the host and cost again: not while we measure."""

    path = "/sys/module/page_reporting/parameters/page_reporting_order"

    def __init__(self):
        try:
            with open(self.path, encoding="ascii") as file:
                self.before = file.read().strip()
            self.write("11")  # above the largest order there is
        except OSError:
            self.before = None

    def write(self, order):
        with open(self.path, "w", encoding="ascii") as file:
            file.write(order)

    def restore(self):
        if self.before is not None:
            self.write(self.before)


def warm(broker):
    """Until the CPU of a round is not a twentieth less than that of the best before; its rounds."""
    best, worse, rounds = None, 0, []
    while worse < 2 and len(rounds) < 12:
        spent = 0
        for size, count in ((100, 2000000), (1024, 300000)):
            topic = f"warm-{size}-{len(rounds)}"
            make_topic(broker, topic)
            for verb, acks in (("produce", ("1",)), ("consume", ())):
                spent += measure(broker, lambda: native(broker, verb, topic, count, size, *acks))[1]
            drop_topic(broker, topic)
        worse = worse + 1 if best is not None and spent > best * 0.95 else 0
        best = spent if best is None else min(best, spent)
        rounds.append(round(spent, 2))
    return rounds


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--rounds", type=int, default=3)
    ap.add_argument("--million", type=float, default=1.0, help="scales the number of records")
    ap.add_argument("--only", default="")
    a = ap.parse_args()
    flags = subprocess.run(["pkg-config", "--cflags", "--libs", "rdkafka"], capture_output=True, text=True, check=True)
    subprocess.run(["cc", "-O2", "-o", os.path.join(ROOT, "build", "bench-load"), os.path.join(ROOT, "bench", "load.c"),
                    *flags.stdout.split()], check=True)
    print(json.dumps({"cores": os.cpu_count(), "kernel": os.uname().release, "rounds": a.rounds,
                      "scale": a.million}), flush=True)
    folder = tempfile.mkdtemp(prefix="fluxmq-bench-")
    kept = KeptMemory()
    brokers = [Ours("fluxmq", folder, 26092, {}), Ours("fluxmq-noflush", folder, 26192, {"FLUXMQ_FLUSH_MODE": "none"}),
               Kafka(folder, 26292)]
    try:
        for name, settings in (("fluxmq", {}), ("fluxmq-noflush", {"FLUXMQ_FLUSH_MODE": "none"})):
            print(json.dumps({"case": "starts", "broker": name, **starts(20, settings)}), flush=True)
        for b in brokers:
            print(json.dumps({"case": "start", "broker": b.name, "start_to_metadata_s": round(b.seconds, 4),
                              "idle_rss_mb": round(b.idle["VmRSS"], 1), "idle_anon_mb": round(b.idle["RssAnon"], 1)}),
                  flush=True)
        print(json.dumps({"case": "memory touched", "GiB": touch_memory(), "free pages kept": kept.before is not None}),
              flush=True)
        for b in brokers:
            print(json.dumps({"case": "warmed", "broker": b.name, "cpu_s_of_rounds": warm(b)}), flush=True)
        for driver, size, count, acks in cases(a.million):
            name = f"{driver.__name__} {size} B acks={acks}"
            if a.only and a.only not in name:
                continue
            rows = {(b.name, v): [] for b in brokers for v in ("produce", "consume")}
            for r in range(a.rounds):
                for b in brokers if r % 2 == 0 else reversed(brokers):
                    topic = f"t-{driver.__name__}-{size}-{acks}-{r}"
                    make_topic(b, topic)
                    rows[b.name, "produce"].append(
                        measure(b, lambda: driver(b, "produce", topic, count, size, acks)))
                    rows[b.name, "consume"].append(measure(b, lambda: driver(b, "consume", topic, count, size)))
                    drop_topic(b, topic)
            for verb in ("produce", "consume"):
                for b in brokers:
                    report(f"{name} {verb}", b, count, rows[b.name, verb])
        for b in brokers:
            print(json.dumps({"case": "after", "broker": b.name, **{k: round(v, 1) for k, v in memory(b.pid).items()}}))
    finally:
        kept.restore()
        for b in brokers:
            b.stop()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
