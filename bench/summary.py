#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""summary.py: what the reports in bench/results say, as one page, bench/results/README.md: each goal with its figure,
met or missed, and the comparison with Kafka as ratios; and a sentence of it in the project's README. The suites call it
when they have written there."""

import json
import os

RESULTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "results")
README = os.path.join(RESULTS, "..", "..", "README.md")
MARK, END = "<!-- bench/summary.py -->\n", "\n<!-- end -->"
SUITES = [("native", "make bench-native", "Beside the machine, and end to end beside Kafka"),
          ("log", "make bench-log", "The log library by itself"),
          ("scale", "make bench-scale", "Many partitions, connections, producers, sizes, a long backlog")]
RATIOS = [("stored_per_s", "stored a second"), ("produce_cpu_s_per_million", "CPU, produced"),
          ("consumed_per_s", "consumed a second"), ("consume_cpu_s_per_million", "CPU, consumed")]
HEAD = """# Results

Written by `bench/summary.py` from the reports beside it; [the rules](../BENCHMARK_RULES.md) say how they are made.
Why a goal is missed stands in [docs/performance.md](../../docs/performance.md).
"""


def read(name):
    path = os.path.join(RESULTS, name + ".json")
    if not os.path.exists(path):
        return None
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def table(head, rows):
    return ["| " + " | ".join(head) + " |", "|" + "---|" * len(head),
            *("| " + " | ".join(str(cell) for cell in row) + " |" for row in rows), ""]


def goals(report):
    rows = [(g["what"], g["goal"], f"{g['value']:.4g}", "" if g["met"] else "**missed**") for g in report["goals"]]
    return table(["goal", "wanted", "measured", ""], rows)


def conditions(about):
    return ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in about.items() if not isinstance(value, list))


def suite(name, command, title):
    report = read(name)
    if report is None:
        return []
    met = sum(g["met"] for g in report["goals"])
    failed = [f"FAILED: {what}" for what in report.get("failures", [])]
    about = f"`{command}`: {met} of {len(report['goals'])} goals met. {conditions(report['conditions'])}."
    return [f"## {title}", "", about, "", *goals(report), *failed, f"![{title}]({name}.svg)", ""]


def ratio(case, broker, key):
    value = case.get("beside_kafka", {}).get(broker, {}).get(key)
    return "" if value is None else f"{value:.2f}"


def brokers(report):
    names = list(report["about"])
    rows = []
    for name in names:
        about = report["about"][name]
        if "start_s" in about:
            idle, after = about["idle_mib"], about["after_mib"]
            memory = [f"{m['rss']:.0f} ({m['anonymous']:.1f})" for m in (idle, after)]
            rows.append((about["version"] + name[len("fluxmq"):] * name.startswith("fluxmq"),
                         f"{about['start_s']['median'] * 1000:,.0f}", *memory))
    return table(["", "start to first reply, ms", "idle, MiB (anonymous)", "after the runs"], rows)


def shortened(report):
    """How it differs from what the programs publish."""
    most = report.get("most_records")
    return (", shortened" if report["quick"] else "") + (f", at most {most:,} records a run" if most else "")


def comparison():
    report = read("comparison")
    if report is None:
        return []
    ours = [name for name in report["about"] if name.startswith("fluxmq")]
    rows = []
    for case in report["cases"]:
        for name in ours:
            if name in case["brokers"]:
                rows.append((case["program"], case["run"], name[len("fluxmq "):],
                             *(ratio(case, name, key) for key, _ in RATIOS)))
    machine = report["machine"]
    return ["## Beside Kafka", "",
            f"`make bench-compare`, {report['rounds']} rounds{shortened(report)}, "
            f"{report['when']}, {machine['processors']} x {machine['cpu']}, {machine['memory_gib']} GiB.", "",
            *brokers(report),
            "FluxMQ over Kafka: more is better for records, less for CPU.", "",
            *table(["program", "run", "settings", *(title for _, title in RATIOS)], rows),
            "![Beside Kafka](comparison.svg)", ""]


def page():
    lines = [HEAD, *comparison()]
    for name, command, title in SUITES:
        lines += suite(name, command, title)
    return "\n".join(lines).rstrip() + "\n"


def sentence():
    """Of the comparison, for the project's README."""
    about = read("comparison")["about"]
    ours, kafka = about["fluxmq"], about["kafka"]
    return (f"On that machine FluxMQ answers its first request {ours['start_s']['median'] * 1000:.0f} ms after it was "
            f"started (Kafka: {kafka['start_s']['median']:.1f} s),\nis {ours['idle_mib']['rss']:.0f} MiB large when "
            f"idle ({kafka['idle_mib']['rss']:.0f}) and {ours['after_mib']['rss']:.0f} MiB after all these runs "
            f"({kafka['after_mib']['rss']:.0f}).")


def write():
    with open(os.path.join(RESULTS, "README.md"), "w", encoding="utf-8") as file:
        file.write(page())
    with open(README, encoding="utf-8") as file:
        text = file.read()
    begin, end = text.index(MARK) + len(MARK), text.index(END)
    with open(README, "w", encoding="utf-8") as file:
        file.write(text[:begin] + sentence() + text[end:])


if __name__ == "__main__":
    write()
