#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""picture.py comparison.json > comparison.svg: a comparison as bars. A row is a run of a program; each of its bars is
as long as its median is beside the largest of the row, the thin line goes from the least to the most of the rounds."""
import json
import sys
from xml.sax.saxutils import escape

COLOURS = {"fluxmq": "#2f7ed8", "fluxmq flush.mode=none": "#8bbcf0", "kafka": "#b0b0b0"}
COLUMNS = [("stored_per_s", "records stored a second", 290, 250, "{:,.0f}"),
           ("produce_cpu_s_per_million", "broker CPU, s a million produced (less is better)", 640, 250, "{:.3f}")]
BAR, GAP, TOP, WIDTH = 12, 12, 92, 980


def bar(x, y, length, most, figure, colour, label):
    scale = length * 0.72 / most
    left, right = x + figure["min"] * scale, x + figure["max"] * scale
    middle = y + BAR / 2
    return [f'<rect x="{x}" y="{y}" width="{figure["median"] * scale:.1f}" height="{BAR - 2}" fill="{colour}"/>',
            f'<path d="M{left:.1f} {middle - 1}H{right:.1f}" stroke="#444" stroke-width="1"/>',
            f'<text x="{x + max(figure["max"], figure["median"]) * scale + 5:.1f}" y="{y + 9}">{label}</text>']


def row(case, y):
    names = [n for n in COLOURS if n in case["brokers"]]
    out = [f'<text x="20" y="{y + 10}" class="name">{escape(case["program"])}</text>',
           f'<text x="20" y="{y + 23}">{escape(case["run"])}</text>']
    for figure, _, x, length, form in COLUMNS:
        known = {n: case["brokers"][n][figure] for n in names if figure in case["brokers"][n]}
        most = max((f["max"] for f in known.values()), default=0) or 1
        for index, name in enumerate(names):
            if name in known:
                label = form.format(known[name]["median"])
                out += bar(x, y + index * BAR, length, most, known[name], COLOURS[name], label)
    return out, y + max(2, len(names)) * BAR + GAP


def draw(report):
    machine = report["machine"]
    body, y = [], TOP
    for case in report["cases"]:
        lines, y = row(case, y)
        body += lines
    size = f'width="{WIDTH}" height="{y + 10}"'
    head = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y + 10}" {size}>',
            "<style>text{font:11px sans-serif;fill:#333}.name{font-weight:bold}.title{font-size:16px}</style>",
            f'<rect {size} fill="#fff"/>',
            '<text x="20" y="26" class="title">FluxMQ beside Apache Kafka</text>',
            f'<text x="20" y="44">{escape(report["when"])}, {machine["processors"]} processors '
            f'({escape(machine["cpu"])}), {report["rounds"]} rounds in turns: median, line from least to most</text>']
    x = 20
    for name, colour in COLOURS.items():
        version = report["about"].get(name, {}).get("version", "")
        label = name if name != "kafka" else version or name
        head += [f'<rect x="{x}" y="54" width="10" height="10" fill="{colour}"/>',
                 f'<text x="{x + 15}" y="63">{escape(label)}</text>']
        x += 40 + 7 * len(label)
    for _, title, x, _, _ in COLUMNS:
        head.append(f'<text x="{x}" y="{TOP - 8}" class="name">{title}</text>')
    return "\n".join([*head, *body, "</svg>"]) + "\n"


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as source:
        print(draw(json.load(source)), end="")
