#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""run.py [--rounds N] [--million N] [--only NAME]: FluxMQ and a real Kafka side by side.

Each round runs both brokers, in turns (A B, B A, ...), with the same load: bench/load.c on librdkafka
and Kafka's own ProducerPerformance and ConsumerPerformance. Kafka is warmed first (a JVM broker's CPU
per record falls by four within its first millions of records) and those figures are thrown away.
What was produced is read back, counted and checked each time. CPU is the broker process's own user and
system time. Kafka does not flush before it answers acks=all; FluxMQ does (flush.mode=group), so that
row is given with flush.mode=none as well."""
import argparse
import json
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
        self.env = dict(os.environ, FLUXMQ_NUM_PARTITIONS="1", **settings)
        self.process, self.seconds = start_to_metadata(self.start, port)
        self.pid = self.process.pid
        time.sleep(0.2)
        self.idle = memory(self.pid)

    def start(self):
        return subprocess.Popen([os.path.join(ROOT, "build", "fluxmq"), "--port", str(self.port), "--data-dir",
                                 os.path.join(self.folder, self.name), "--metrics-port", "0"], env=self.env,
                                stdout=subprocess.DEVNULL)

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


def tool(*words):
    run = subprocess.run([KAFKA, "tool", *words], capture_output=True, text=True, check=False)
    if run.returncode:
        sys.exit("tool %s failed: %s" % (words[0], run.stderr[-500:]))
    return run.stdout


def make_topic(broker, topic):
    subprocess.run([os.path.join(ROOT, "build", "bench-load"), "produce", f"127.0.0.1:{broker.port}", topic, "0", "10",
                    "1"], check=False, capture_output=True)
    tool("TopicCommand", "--bootstrap-server", f"127.0.0.1:{broker.port}", "--create", "--if-not-exists", "--topic",
         topic, "--partitions", "1")


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


def warm(broker):
    make_topic(broker, "warm")
    for _ in range(3):
        native(broker, "produce", "warm", 2000000, 100, "1")
    native(broker, "consume", "warm", 6000000, 100)


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
    brokers = [Ours("fluxmq", folder, 26092, {}), Ours("fluxmq-noflush", folder, 26192, {"FLUXMQ_FLUSH_MODE": "none"}),
               Kafka(folder, 26292)]
    try:
        for b in brokers:
            print(json.dumps({"case": "start", "broker": b.name, "start_to_metadata_s": round(b.seconds, 4),
                              "idle_rss_mb": round(b.idle["VmRSS"], 1), "idle_anon_mb": round(b.idle["RssAnon"], 1)}),
                  flush=True)
        for b in brokers:
            warm(b)
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
            for verb in ("produce", "consume"):
                for b in brokers:
                    report(f"{name} {verb}", b, count, rows[b.name, verb])
        for b in brokers:
            print(json.dumps({"case": "after", "broker": b.name, **{k: round(v, 1) for k, v in memory(b.pid).items()}}))
    finally:
        for b in brokers:
            b.stop()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
