#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The published benchmark programs with a few records each, against our broker: they work, they count what was read
back, and they say so when something is missing. And a comparison with a real Kafka, for its form.

run.py [--bin FILE]
"""

import argparse
import concurrent.futures
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import xml.dom.minidom

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path[:0] = [os.path.join(HERE, "..", "harness"), os.path.join(ROOT, "bench")]

from broker import DEFAULT_BIN, FluxMQ, free_port  # noqa: E402

RUN = os.path.join(ROOT, "bench", "java", "run.sh")
PARALLEL = os.path.join(ROOT, "bench", "java", "run_parallel_producers.sh")
JAVA = "-XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Xmx1g"
# program -> (words after the address, records of each of its runs with --most 2000)
MEASURED = {
    "MegaBatchBenchmark": ([], [2000] * 4),
    "UltraPerformanceBenchmark": ([], [2000]),
    "FluxMQBenchmark": ([], [2000]),
    "MinimalProducerTest": ([], [1000]),
    "MultiThreadBenchmark": ([], [2000]),
    "ComprehensiveBenchmark": (["ours"], [2000] * 3),
    "ContinuousThroughputBenchmark": (["0.5"], [None]),
    "LoadBenchmark": (["1024", "all", "10000", "--repeat", "2"], [2000, 2000]),
}
CHECKED = {"AdminApiTest": 11, "TransactionTest": 3, "ConsumerGroupTest": 3}


def timed(body):
    begin = time.monotonic()
    body()
    return time.monotonic() - begin


class Suite:
    def __init__(self, binary):
        self.folder = tempfile.mkdtemp(prefix="fluxmq-bench-test-")
        self.binary, self.count, self.failed = binary, 0, 0
        self.ports = []

    def broker(self, settings=None):
        port = free_port(24050, 24090, but=self.ports)
        self.ports.append(port)
        return FluxMQ(port=port, binary=self.binary, settings=settings).start()

    def result(self, good, name, story=""):
        self.count += 1
        self.failed += not good
        print(f"{'ok' if good else 'not ok'} {self.count} - {name}")
        if not good:
            print("\n".join("# " + line for line in str(story).strip().split("\n")[-20:]))
        sys.stdout.flush()

    def run(self, program, broker, *words):
        env = dict(os.environ, JAVA_OPTS=JAVA)
        return subprocess.run([RUN, program, f"127.0.0.1:{broker.port}", *words], capture_output=True, text=True,
                              check=False, timeout=300, cwd=self.folder, env=env)

    def figures(self, program, broker, *words):
        path = os.path.join(self.folder, f"{program}-{len(words)}-{broker.port}.json")
        done = self.run(program, broker, *words, "--json", path)
        with open(path, encoding="utf-8") as file:
            return done, json.load(file)

    # ---- cases

    def measured(self, program, broker):
        words, counts = MEASURED[program]
        done, figures = self.figures(program, broker, *words, "--most", "2000", "--pid", str(broker.process.pid))
        runs = figures["runs"]
        assert done.returncode == 0 and "NOT" not in done.stdout, done.stdout + done.stderr
        assert len(runs) == len(counts), runs
        for run, count in zip(runs, counts):
            assert run["sent"] == run["read_back"] > 0 and count in (None, run["sent"]), run
            assert run["whole"] and run["gaps"] == run["doubled"] == run["changed"] == 0, run
            assert run["stored_per_s"] > 0 and run["latency_us"]["p50"] <= run["latency_us"]["max"], run
            assert run["produce_cpu_s_per_million"] > 0, run
            if run["settings"].get("compression.type") == "lz4":
                assert run["compression"] <= 0.35, f"lz4 is to save 65 %: {run}"

    def written(self):
        """ComprehensiveBenchmark leaves its files."""
        for name, gate in (("single_thread", 350000), ("multi_thread", 450000), ("high_volume", 900000)):
            with open(os.path.join(self.folder, "results", "ours", name + ".json"), encoding="utf-8") as file:
                run = json.load(file)
            assert run["gate_per_s"] == gate and run["gate_passed"] == (run["stored_per_s"] >= gate), run

    def checked(self, program, broker):
        done = self.run(program, broker)
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stdout.count("\nok ") == CHECKED[program], done.stdout

    def parallel(self, broker):
        done = subprocess.run([PARALLEL, "2", "0.5", f"127.0.0.1:{broker.port}"], capture_output=True, text=True,
                              check=False, timeout=300, env=dict(os.environ, JAVA_OPTS=JAVA))
        assert done.returncode == 0 and "2 of 2 producers whole" in done.stdout, done.stdout + done.stderr

    def monitor(self, broker):
        path = os.path.join(self.folder, "monitor.json")
        done = subprocess.run([RUN, "ResourceMonitor", str(broker.process.pid), "0.6", "--every", "100", "--json",
                               path], capture_output=True, text=True, check=False, timeout=300)
        assert done.returncode == 0, done.stderr
        with open(path, encoding="utf-8") as file:
            out = json.load(file)
        assert out["samples"] >= 1 and out["cpu_percent"]["min"] >= 0, out
        assert 1 < out["rss_mib"]["min"] <= out["rss_mib"]["avg"] <= out["rss_mib"]["max"] < 1000, out
        assert out["rss_anonymous_mib"]["max"] < out["rss_mib"]["max"], out

    def refused(self, program, broker):
        """A broker that takes no batch: what was sent and not read back must not count."""
        done, figures = self.figures(program, broker, "--most", "200")
        assert done.returncode == 1 and "NOT all that was sent" in done.stdout, done.stdout + done.stderr
        assert all(r["read_back"] == 0 and r["stored_per_s"] == 0 and not r["whole"] for r in figures["runs"]), figures

    def comparison(self, folder):
        # timeout ends it with SIGTERM: then it takes its brokers with it
        done = subprocess.run(["timeout", "500", sys.executable, os.path.join(ROOT, "bench", "compare.py"), "--smoke",
                               "--only", "1024 all", "--out", folder, "--bin", self.binary, "--port",
                               str(free_port(24100, 24140))], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        with open(os.path.join(folder, "comparison.json"), encoding="utf-8") as file:
            report = json.load(file)
        assert [c["program"] for c in report["cases"]] == ["librdkafka", "LoadBenchmark"], report
        for case in report["cases"]:
            assert set(case["brokers"]) == {"fluxmq", "fluxmq flush.mode=none", "kafka"}, case
            for figures in case["brokers"].values():
                for name in ("stored_per_s", "consumed_per_s", "produce_cpu_s_per_million"):
                    assert figures[name]["median"] > 0, case
        xml.dom.minidom.parse(os.path.join(folder, "comparison.svg"))

    def all(self):
        cases = []
        broker, closed = self.broker(), self.broker({"message.max.bytes": "100"})
        for program in CHECKED:
            cases.append((program, lambda p=program: self.checked(p, broker)))
        for program in MEASURED:
            cases.append((program, lambda p=program: self.measured(p, broker)))
        cases.append(("run_parallel_producers.sh", lambda: self.parallel(broker)))
        cases.append(("ResourceMonitor", lambda: self.monitor(broker)))
        cases.append(("acks=1, all refused: nothing counts", lambda: self.refused("FluxMQBenchmark", closed)))
        cases.append(("acks=0, all refused: nothing counts", lambda: self.refused("UltraPerformanceBenchmark", closed)))
        cases.append(("a comparison with Kafka, for its form",
                      lambda: self.comparison(os.path.join(self.folder, "out"))))
        subprocess.run([RUN, "--classpath"], check=True, stdout=subprocess.DEVNULL)
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            for name, future in [(name, pool.submit(timed, body)) for name, body in cases]:
                try:
                    seconds = future.result()
                    self.result(True, name)
                    print(f"# took {seconds:.1f} s")
                except Exception as problem:  # the next case tells more
                    self.result(False, name, f"{type(problem).__name__}: {problem}")
        try:
            self.written()
            self.result(True, "ComprehensiveBenchmark's files and gates")
        except (AssertionError, OSError) as problem:
            self.result(False, "ComprehensiveBenchmark's files and gates", problem)
        for one in (broker, closed):
            try:
                one.end_well()
                self.result(True, "the broker ends well")
            except AssertionError as problem:
                self.result(False, "the broker ends well", problem)
            one.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--bin", default=DEFAULT_BIN)
    if not shutil.which("javac"):
        print("ok 1 - the benchmark programs # SKIP no Java here\n1..1")
        return
    suite = Suite(os.path.abspath(ap.parse_args().bin))
    suite.all()
    print(f"1..{suite.count}")
    sys.exit(1 if suite.failed else 0)


if __name__ == "__main__":
    main()
