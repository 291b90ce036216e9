#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""compare.py [--quick] [--rounds N] [--most N] [--only WORD] [--out DIR]: FluxMQ and a real Kafka side by side.

Starts both brokers itself, with fresh data; runs the published programs (bench/java) and plain loads of librdkafka
(load.c) against each, in turns (A B, B A, ...); counts only what was read back whole; reports median, least and most.
Text goes to standard output, figures to DIR/comparison.json, a picture of them to DIR/comparison.svg (DIR:
bench/results, but build with --only, --most or --smoke). BENCHMARK_RULES.md says what is compared and why it is fair.

Brokers are warmed with a load until its CPU falls no more, the client's JVM with records before the clock of each
run. Where acks=all is asked for, FluxMQ is shown twice: as it comes (it flushes before it answers) and with
flush.mode=none, which is what Kafka does."""
import argparse
import json
import os
import platform
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

import picture
import summary
from brokers import ROOT, FluxMQ, Kafka, KeptMemory, cpu_seconds, drop_topic, in_use, make_topic, memory, touch_memory

RUN = os.path.join(ROOT, "bench", "java", "run.sh")
# figure -> (heading, decimals)
FIGURES = {"stored_per_s": ("stored/s", 0), "latency_p50_us": ("p50 us", 0), "latency_p99_us": ("p99 us", 0),
           "produce_cpu_s_per_million": ("CPU s/M produced", 3), "produce_broker_cores": ("cores", 2),
           "consumed_per_s": ("consumed/s", 0), "consume_cpu_s_per_million": ("CPU s/M consumed", 3)}


class Case:
    """A program with its words behind the address, and how many records warm its JVM before each run."""

    def __init__(self, name, words=(), warm_up=100000, quick_words=None):
        self.name, self.words, self.warm_up = name, [str(w) for w in words], warm_up
        self.quick_words = self.words if quick_words is None else [str(w) for w in quick_words]
        self.flushes = "all" in self.words


CASES = [Case("MinimalProducerTest", warm_up=5000), Case("FluxMQBenchmark"), Case("MultiThreadBenchmark"),
         Case("UltraPerformanceBenchmark"), Case("MegaBatchBenchmark"), Case("ComprehensiveBenchmark"),
         Case("ContinuousThroughputBenchmark", [10], quick_words=[3])]
for driver in ("librdkafka", "LoadBenchmark"):
    for size, count in ((100, 2000000), (1024, 500000)):
        for acks in ("1", "all"):
            CASES.append(Case(driver, [size, acks, count], quick_words=[size, acks, count // 4]))


class Comparison:
    def __init__(self, options):
        self.options = options
        self.begin = time.monotonic()
        self.folder = tempfile.mkdtemp(prefix="fluxmq-bench-", dir=options.data)
        binary = os.path.abspath(options.bin)
        self.ours = FluxMQ("fluxmq", self.folder, options.port, binary, {})
        self.no_flush = FluxMQ("fluxmq flush.mode=none", self.folder, options.port + 10, binary,
                               {"flush.mode": "none"})
        self.kafka = Kafka(self.folder, options.port + 20)
        self.brokers = [self.ours, self.no_flush, self.kafka]
        for broker in self.brokers:  # or one would measure somebody else's
            if in_use(broker.port):
                sys.exit(f"port {broker.port} is taken; --port says which to use")
        self.about, self.results, self.settings, self.failures = {}, {}, {}, []

    def say(self, text):
        print(f"[{time.monotonic() - self.begin:6.0f} s] {text}", file=sys.stderr, flush=True)

    # ---- before

    def start(self):
        for broker in self.brokers:
            seconds = []
            for _ in range(self.options.starts if broker is not self.kafka else max(1, self.options.starts // 5)):
                broker.stop()
                broker.wipe()
                seconds.append(broker.start())
            time.sleep(0.5)
            self.about[broker.name] = {"version": broker.version, "start_s": spread(seconds),
                                       "idle_mib": memory(broker.pid)}
            self.say(f"{broker.name}: {broker.version}, starts in {statistics.median(seconds) * 1000:.0f} ms")

    def prepare(self):
        self.load = os.path.join(self.folder, "load")
        flags = subprocess.run(["pkg-config", "--cflags", "--libs", "rdkafka"], capture_output=True, text=True,
                               check=True).stdout.split()
        subprocess.run(["cc", "-O2", "-o", self.load, os.path.join(ROOT, "bench", "load.c"), *flags], check=True)
        subprocess.run([RUN, "--classpath"], check=True, stdout=subprocess.DEVNULL)
        if self.options.smoke:
            return
        self.say(f"{touch_memory(8 if self.options.quick else 1024)} GiB of memory touched")
        for broker in self.brokers:
            self.about[broker.name]["warming_cpu_s"] = self.warm(broker)
            self.say(f"{broker.name} is warm after {len(self.about[broker.name]['warming_cpu_s'])} rounds")

    def warm(self, broker):
        """Until the CPU of a round is twice not a twentieth less than that of the best before."""
        best, worse, rounds = None, 0, []
        while worse < 2 and len(rounds) < (5 if self.options.quick else 12):
            spent = 0
            for size, count in ((100, 1000000), (1024, 300000)):
                figures = self.rdkafka(broker, f"warm-{size}-{len(rounds)}", size, "1", count)
                spent += (figures["produce_cpu_s_per_million"] + figures["consume_cpu_s_per_million"]) * count / 1e6
            worse = worse + 1 if best is not None and spent > best * 0.95 else 0
            best = spent if best is None else min(best, spent)
            rounds.append(round(spent, 2))
        return rounds

    # ---- one measurement

    def rdkafka(self, broker, topic, size, acks, count):
        make_topic(broker, topic)
        out = {}
        try:
            for verb, words in (("produce", [acks]), ("consume", [])):
                before = cpu_seconds(broker.pid)
                command = [self.load, verb, f"127.0.0.1:{broker.port}", topic, str(count), str(size), *words]
                run = subprocess.run(command, capture_output=True, text=True, check=False)
                if run.returncode:
                    raise RuntimeError(f"librdkafka lost or changed records: {run.stderr}")
                seconds, spent = float(run.stdout), cpu_seconds(broker.pid) - before
                out["stored_per_s" if verb == "produce" else "consumed_per_s"] = count / seconds
                out[verb + "_cpu_s_per_million"] = spent / count * 1e6
                if verb == "produce":
                    out["produce_broker_cores"] = spent / seconds
        finally:
            drop_topic(broker, topic)
        return out

    def java(self, broker, case, words):
        """The figures of each run of the program."""
        path = os.path.join(self.folder, "figures.json")
        options = ["--pid", str(broker.pid), "--json", path, "--warm-up", str(case.warm_up), "--results",
                   os.path.join(self.folder, "results")]
        if self.options.most:
            options += ["--most", str(self.options.most), "--warm-up", str(min(case.warm_up, self.options.most))]
        if not self.options.smoke:
            options += ["--repeat", "3"]
        run = subprocess.run([RUN, case.name, f"127.0.0.1:{broker.port}", *words, *options], capture_output=True,
                             text=True, check=False)
        if run.returncode:
            raise RuntimeError((run.stdout + run.stderr)[-2000:])
        with open(path, encoding="utf-8") as file:
            report = json.load(file)
        self.about["client"] = report["conditions"]
        for one in report["runs"]:
            figures = {key: one[key] for key in FIGURES if key in one}
            figures.update({f"latency_{p}_us": one["latency_us"][p] for p in ("p50", "p99")})
            if one["settings"]["acks"] == "0":  # then it is the socket's, not the broker's
                figures = {key: value for key, value in figures.items() if not key.startswith("latency")}
            yield one, figures

    def measure(self, broker, case, number):
        words = case.quick_words if self.options.quick else case.words
        if case.name == "librdkafka":
            size, acks, count = words
            count = self.options.most if self.options.smoke else int(count)
            figures = self.rdkafka(broker, f"load-{size}-{acks}-{number}", size, acks, count)
            self.keep(f"{size} B, acks={acks}", broker, case, figures,
                      {"acks": acks, "value": size + " B", "records": count, "linger.ms": 5, "batch.size": 65536})
            return
        for run, figures in self.java(broker, case, words):
            self.keep(run["name"], broker, case, figures, {"records": run["sent"], **run["settings"]})

    def keep(self, name, broker, case, figures, settings):
        self.settings[case.name, name] = settings
        kept = self.results.setdefault((case.name, name), {}).setdefault(broker.name, {})
        for key, value in figures.items():
            kept.setdefault(key, []).append(value)

    def run(self):
        cases = [c for c in CASES if self.options.only in " ".join([c.name, *c.words])]
        for number in range(self.options.rounds):
            for index, case in enumerate(cases):
                turn = self.brokers if case.flushes else [self.ours, self.kafka]
                for broker in turn if (number + index) % 2 == 0 else reversed(turn):
                    try:
                        self.measure(broker, case, number)
                    except Exception as problem:  # pylint: disable=broad-except
                        self.failures.append(f"{case.name} {' '.join(case.words)} on {broker.name}: {problem}")
                        self.say(self.failures[-1])
                self.say(f"round {number + 1} of {self.options.rounds}: {case.name} {' '.join(case.words)}")

    # ---- after

    def report(self):
        for broker in self.brokers:
            try:
                self.about[broker.name]["after_mib"] = memory(broker.pid)
            except OSError as problem:  # it is gone; what was measured stays
                self.about[broker.name]["after_mib"] = {}
                self.failures.append(f"{broker.name} ended: {problem}")
        rows = [{"program": key[0], "run": key[1], "settings": self.settings[key],
                 "brokers": {name: {f: spread(values) for f, values in figures.items()}
                             for name, figures in kept.items()}}
                for key, kept in self.results.items()]
        for row in rows:
            row["beside_kafka"] = beside_kafka(row["brokers"])
        return {"when": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
                "machine": {"processors": os.cpu_count(), "cpu": cpu_name(), "system": platform.platform(),
                            "memory_gib": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 30},
                "rounds": self.options.rounds, "quick": self.options.quick, "most_records": self.options.most or None,
                "about": self.about, "cases": rows, "failures": self.failures}

    def close(self):
        for broker in self.brokers:
            broker.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


def spread(values):
    return {"median": round(statistics.median(values), 4), "min": round(min(values), 4), "max": round(max(values), 4)}


def beside_kafka(figures):
    """Our medians divided by Kafka's."""
    kafka = figures.get("kafka", {})
    return {name: {f: round(ours[f]["median"] / kafka[f]["median"], 3) for f in ours if kafka.get(f, {}).get("median")}
            for name, ours in sorted(figures.items()) if name != "kafka" and kafka}


def cpu_name():
    with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:
        names = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
    return names[0] if names else platform.machine()


def shown(figure, decimals):
    if figure is None:
        return ""
    return "{:,.{d}f} ({:,.{d}f}..{:,.{d}f})".format(figure["median"], figure["min"], figure["max"], d=decimals)


def text(report):
    lines = []
    machine = report["machine"]
    lines.append(f"{report['when']}: {machine['cpu']}, {machine['processors']} processors, "
                 f"{machine['memory_gib']} GiB, {machine['system']}; {report['rounds']} rounds: median (least..most)")
    for name, about in report["about"].items():
        if "start_s" in about:
            lines.append(f"{name}: {about['version']}; start to first reply {shown(about['start_s'], 3)} s; "
                         f"idle {about['idle_mib']} MiB; after {about['after_mib']} MiB")
    for case in report["cases"]:
        lines.append("")
        lines.append(f"{case['program']}, {case['run']} ({case['settings']['records']:,} records)")
        for name, figures in sorted(case["brokers"].items()):  # ours first
            cells = [f"{shown(figures[f], decimals)} {heading}" for f, (heading, decimals) in FIGURES.items()
                     if f in figures]
            lines.append(f"  {name}: " + "; ".join(cells))
        for name, beside in case["beside_kafka"].items():
            cells = [f"{beside[f]:.2f} {heading}" for f, (heading, _) in FIGURES.items() if f in beside]
            lines.append(f"  {name} / kafka: " + "; ".join(cells))
    lines += [""] + ["FAILED: " + f for f in report["failures"]]
    return "\n".join(lines)


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--quick", action="store_true", help="3 rounds, at most 100,000 records a run of a Java program")
    ap.add_argument("--smoke", action="store_true", help="whether it works at all: nothing is warmed, one round")
    ap.add_argument("--rounds", type=int, default=0, help="5, with --quick 3")
    ap.add_argument("--most", type=int, default=0, help="bounds the records of each run")
    ap.add_argument("--only", default="", help="only programs (with their words) that have this in their name")
    ap.add_argument("--out", help="a folder; bench/results, but build/ for a part of the programs or of their records")
    ap.add_argument("--bin", default=os.path.join(ROOT, "build", "fluxmq"), help="a release build")
    ap.add_argument("--data", default=None, help="a folder for the brokers' data, on the disk that is to be measured")
    ap.add_argument("--port", type=int, default=24000, help="the first of 30 ports")
    options = ap.parse_args()
    part = options.only or options.most or options.smoke
    options.out = options.out or os.path.join(ROOT, "build" if part else os.path.join("bench", "results"))
    options.quick |= options.smoke
    options.rounds = options.rounds or (1 if options.smoke else 3 if options.quick else 5)
    options.most = options.most or (1000 if options.smoke else 100000 if options.quick else 0)
    options.starts = 1 if options.smoke else 5 if options.quick else 20
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended before its time"))  # and the brokers with it
    kept = KeptMemory(not options.smoke)
    comparison = Comparison(options)
    try:
        comparison.start()
        comparison.prepare()
        comparison.run()
        report = comparison.report()
    finally:
        kept.restore()
        comparison.close()
    os.makedirs(options.out, exist_ok=True)
    with open(os.path.join(options.out, "comparison.json"), "w", encoding="utf-8") as file:
        json.dump(report, file, indent=1)
    with open(os.path.join(options.out, "comparison.svg"), "w", encoding="utf-8") as file:
        file.write(picture.draw(report))
    if os.path.abspath(options.out) == summary.RESULTS:
        summary.write()
    print(text(report))
    sys.exit(1 if report["failures"] else 0)


if __name__ == "__main__":
    main()
