#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""curves.py scale.json|native.json|log.json > picture.svg: the figures of a report as curves.

Both axes are logarithmic: a cost that does not depend on a number is a flat line, one that grows with it has a slope
of one. A point is the median of the rounds, the line through it goes from the least to the most; a hollow point is a
nought, which has no place on such an axis. Every point tells its exact figures where a viewer shows titles."""
import json
import math
import sys
from xml.sax.saxutils import escape

COLOURS = ("#2f7ed8", "#e07b39", "#4b9b5a", "#8a5fb0", "#777777")
FIXED = {"fluxmq": "#2f7ed8", "fluxmq-noflush": "#8bbcf0", "kafka": "#777777"}
SMALL, CHAR = 11, 6.1  # size of the letters, and about how wide one is
PANEL, HIGH, GAP, LEFT, ACROSS = 372, 262, 24, 48, 3
TOP, PLOT_TOP, PLOT_LOW = 76, 56, 26


class Axis:
    """Of a logarithm: from least to most, drawn from one end to the other."""

    def __init__(self, values, begin, end, widen=1.0):
        known = [v for v in values if v > 0] or [1]
        low, high = min(known) / 1.15, max(known) * 1.15
        if high / low < widen:  # noise is not to look like a slope
            middle = math.sqrt(low * high)
            low, high = middle / math.sqrt(widen), middle * math.sqrt(widen)
        self.low, self.high, self.begin, self.end = low, high, begin, end

    def at(self, value):
        value = max(value, self.low)
        return self.begin + (self.end - self.begin) * math.log(value / self.low) / math.log(self.high / self.low)

    def ticks(self, room):
        """At most so many: 1 2 5, else decades, else every second or third of them."""
        powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        for steps, every in (((1, 2, 5), 1), ((1, 3), 1), ((1,), 1), ((1,), 2), ((1,), 3), ((1,), 4)):
            at = [s * 10.0 ** p for p in powers for s in steps if p % every == 0]
            at = [m for m in at if self.low <= m <= self.high]
            if len(at) <= room:
                return at
        return at[:room]


def marks(axis, values):
    """The values themselves, of those that are near each other the later ones."""
    out = []
    for value in reversed(values):
        if not out or axis.at(out[-1]) - axis.at(value) > 36:
            out.append(value)
    return out


def number(value):
    """10k, 1.5M, 0.02: short."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size * 0.9995:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"


def text(x, y, words, kind="", anchor="start"):
    end = f' text-anchor="{anchor}"' if anchor != "start" else ""
    return f'<text x="{x:.1f}" y="{y:.1f}"{end}{kind and f" class={chr(34)}{kind}{chr(34)}"}>{escape(words)}</text>'


def colour_of(name, index):
    return FIXED.get(name, COLOURS[index % len(COLOURS)])


def point(x, y, figure, colour, title):
    fill = colour if figure["median"] > 0 else "#fff"
    return [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.2" fill="{fill}" stroke="{colour}">'
            f'<title>{escape(title)}: {figure["median"]:g} ({figure["min"]:g}..{figure["max"]:g})</title></circle>']


class Lines:
    """Curves: series are (name, [(x, figure)])."""

    span = 1

    def __init__(self, title, unit, by, series):
        self.title, self.unit, self.by = title, unit, by
        self.series = [(name, sorted(points, key=lambda p: p[0])) for name, points in series if points]

    def height(self):
        return HIGH

    def draw(self, x, y, width):
        left, right, top, low = x + LEFT, x + width - 8, y + PLOT_TOP, y + HIGH - PLOT_LOW
        points = [p for _, ps in self.series for p in ps]
        xs = Axis([p[0] for p in points], left, right, 10)
        ys = Axis([v for _, f in points for v in (f["min"], f["median"], f["max"])], low, top, 10)
        out = [text(x, y + 12, self.title, "name"), text(x, y + 26, self.unit)]
        out.append(f'<rect x="{left}" y="{top}" width="{right - left}" height="{low - top}" class="plot"/>')
        for mark in marks(xs, sorted({p[0] for p in points})):
            at = xs.at(mark)
            out.append(f'<path d="M{at:.1f} {top}V{low}" class="grid"/>')
            out.append(text(at, low + 13, number(float(f"{mark:.2g}") if mark >= 1000 else mark), anchor="middle"))
        for mark in ys.ticks(9):
            at = ys.at(mark)
            out.append(f'<path d="M{left} {at:.1f}H{right}" class="grid"/>')
            out.append(text(left - 4, at + 4, number(mark), anchor="end"))
        out.append(text((left + right) / 2, low + 25, self.by, anchor="middle"))
        return out + self.legend(left, y + 45) + self.curves(xs, ys)

    def legend(self, x, y):
        out = []
        for index, (name, _) in enumerate(self.series):
            out.append(f'<circle cx="{x + 4}" cy="{y - 4}" r="3.2" fill="{colour_of(name, index)}"/>')
            out.append(text(x + 11, y, name))
            x += 26 + CHAR * len(name)
        return out

    def curves(self, xs, ys):
        out = []
        for index, (name, points) in enumerate(self.series):
            colour = colour_of(name, index)
            way = " ".join(f"{xs.at(x):.1f},{ys.at(f['median']):.1f}" for x, f in points)
            out.append(f'<polyline points="{way}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
            for x, f in points:
                if f["max"] > f["min"]:
                    out.append(f'<path d="M{xs.at(x):.1f} {ys.at(f["min"]):.1f}V{ys.at(f["max"]):.1f}" '
                               f'stroke="{colour}" opacity="0.55"/>')
                out += point(xs.at(x), ys.at(f["median"]), f, colour, f"{name}, {number(x)} {self.by}")
        return out


class Dots:
    """Figures that are no curve: rows are (label, [(name, figure)]), all in one unit."""

    def __init__(self, title, unit, rows, span=1):
        self.title, self.unit, self.span = title, unit, span
        self.rows = [(label, known) for label, figures in rows if (known := [f for f in figures if f[1]])]

    def height(self):
        return PLOT_TOP + 30 * len(self.rows) + PLOT_LOW

    def draw(self, x, y, width):
        left, right, top = x, x + width - 8, y + PLOT_TOP
        low = top + 30 * len(self.rows)
        axis = Axis([v for _, fs in self.rows for _, f in fs for v in (f["min"], f["max"])], left + 8, right - 8, 10)
        out = [text(x, y + 12, self.title, "name"), text(x, y + 26, self.unit)]
        out.append(f'<rect x="{left}" y="{top}" width="{right - left}" height="{low - top}" class="plot"/>')
        for mark in axis.ticks(int(width / 60)):
            at = axis.at(mark)
            out.append(f'<path d="M{at:.1f} {top}V{low}" class="grid"/>')
            out.append(text(at, low + 13, number(mark), anchor="middle"))
        names = list(dict.fromkeys(name for _, figures in self.rows for name, _ in figures))
        at = left
        for name in names:
            out.append(f'<circle cx="{at + 4}" cy="{y + 41}" r="3.2" fill="{colour_of(name, names.index(name))}"/>')
            out.append(text(at + 11, y + 45, name))
            at += 26 + CHAR * len(name)
        for index, (label, figures) in enumerate(self.rows):
            here = top + 30 * index
            out.append(text(left + 6, here + 13, label))
            values = " / ".join(number(f["median"]) for _, f in figures)
            out.append(text(right - 6, here + 13, values, anchor="end"))
            for name, f in figures:
                colour = colour_of(name, names.index(name))
                out.append(f'<path d="M{axis.at(f["min"]):.1f} {here + 22}H{axis.at(f["max"]):.1f}" '
                           f'stroke="{colour}" opacity="0.55"/>')
                out += point(axis.at(f["median"]), here + 22, f, colour, f"{label}, {name}")
        return out


def page(title, report, panels, shown="median, line from least to most"):
    """Panels from left to right, and on; one without points is left out."""
    about = report["conditions"]
    width = ACROSS * PANEL + (ACROSS + 1) * GAP
    body, y, column, deep = [], TOP, 0, 0
    for panel in panels:
        if not (panel.series if isinstance(panel, Lines) else panel.rows):
            continue
        if column + panel.span > ACROSS:
            y, column, deep = y + deep + GAP, 0, 0
        x = GAP + column * (PANEL + GAP)
        body += panel.draw(x, y, panel.span * (PANEL + GAP) - GAP)
        column, deep = column + panel.span, max(deep, panel.height())
    size = f'width="{width}" height="{y + deep + GAP}"'
    head = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {y + deep + GAP}" {size}>',
            f"<style>text{{font:{SMALL}px sans-serif;fill:#333}}.name{{font-weight:bold}}.title{{font-size:16px}}"
            ".plot{fill:#fafafa;stroke:#ccc}.grid{stroke:#e4e4e4}</style>",
            f'<rect {size} fill="#fff"/>', text(GAP, 28, title, "title"),
            text(GAP, 48, f"{about['date']}, {about['cores']} processors ({about['cpu']}), Linux {about['kernel']}, "
                          f"{about['commit']}; {about['rounds']} rounds: {shown}")]
    return "\n".join([*head, *body, "</svg>"]) + "\n"


# ---- what there is to draw

def series(rows, section, names):
    """[(name, points)] of figures of a section's rows that have a place on its axis."""
    return [(name, [(r["x"], r[key]) for r in rows if r["section"] == section and "x" in r and key in r])
            for key, name in names.items()]


def scale(report):
    rows = report["rows"]

    def lines(section, title, unit, by, **names):
        return Lines(title, unit, by, series(rows, section, {k: v.replace("_", " ") for k, v in names.items()}))

    def dots(section, title, unit, **names):
        return Dots(title, unit, [(r["name"], [(n.replace("_", " "), r.get(k)) for k, n in names.items()])
                                  for r in rows if r["section"] == section])

    return page("FluxMQ: what many of a thing cost", report, [
        lines("partitions", "Partitions: time until ready", "seconds from start, or from the request, to the answer",
              "partitions", ready_after_stop_s="after a clean stop", ready_after_kill_s="after SIGKILL",
              created_s="created"),
        lines("partitions", "Partitions: memory of the broker", "MiB resident", "partitions", rss_mib="in all",
              anonymous_mib="its own"),
        lines("partitions", "Partitions: a produce request", "us, 2,000 records/s, one a request", "partitions",
              p50_us="p50", p99_us="p99", late_p99_us="generator's lateness, p99"),
        lines("connections", "Idle connections: memory", "MiB of the broker's own memory", "connections",
              anonymous_mib="anonymous"),
        lines("connections", "Idle connections: CPU", "% of a core, all together", "connections",
              cpu_percent="CPU"),
        lines("parked", "Fetches that wait: CPU", "% of a core, all together", "parked fetches",
              cpu_percent="wait 60 s", asking_cpu_percent="each asks twice a second"),
        lines("producers", "Producers: a produce request", "us, 5,000 records/s of all, one a request", "producers",
              p50_us="p50", p99_us="p99", late_p99_us="generator's lateness, p99"),
        lines("producers", "Producers: CPU of the broker", "seconds a million records", "producers",
              cpu_s_per_million="CPU"),
        lines("producers", "Producers: memory of the broker", "MiB resident", "producers", rss_mib="in all"),
        lines("sizes", "Size of values: throughput", "MiB/s of values", "bytes a value",
              produced_mib_per_s="produced", consumed_mib_per_s="consumed"),
        lines("sizes", "Size of values: records", "records/s", "bytes a value", produced_per_s="produced",
              consumed_per_s="consumed"),
        lines("sizes", "Size of values: CPU of the broker", "seconds a GiB of values", "bytes a value",
              produce_cpu_s_per_gib="produced", consume_cpu_s_per_gib="consumed"),
        lines("recovery", "Recovery of one log after SIGKILL", "seconds from start to the first answer", "MiB of log",
              ready_s="from the page cache", ready_from_disk_s="from the disk"),
        dots("small", "180 partitions, 15,000 records/s, no linger", "us until acknowledged", p50_us="p50",
             p99_us="p99", late_p99_us="generator's lateness, p99"),
        dots("backlog", "Hot topic beside a reader of a backlog", "us end to end, 5,000 records/s", p50_us="p50",
             p99_us="p99", late_p99_us="generator's lateness, p99")])


def native(report):
    rows = report["rows"]

    def rates(title, unit, key):
        names, got = [], {}
        for r in rows:
            if r["section"].startswith("e2e "):
                rate, name = r["name"].split("/s ", 1)
                if name not in names:
                    names.append(name)
                got.setdefault(name, []).append((int(rate), r[key]))
        return Lines(title, unit, "records/s", [(n, got[n]) for n in names])

    def dots(section, title, unit, **names):
        return Dots(title, unit, [(r["name"], [(n.replace("_", " "), r.get(k)) for k, n in names.items()])
                                  for r in rows if r["section"] == section])

    return page("FluxMQ, beside Kafka and what the machine can do", report, [
        rates("End to end, 128 B, acks=all: p50", "us from the time a record was due", "p50_us"),
        rates("End to end, 128 B, acks=all: p99", "us from the time a record was due", "p99_us"),
        rates("End to end: CPU of the broker", "cores", "cores"),
        dots("sync", "One record at a time, acks=1", "us", p50_us="p50", p99_us="p99"),
        dots("safe", "One record at a time, acks=all, flushed", "us", p50_us="p50", p99_us="p99"),
        dots("produce", "Produced, 1 KiB records: CPU", "seconds a GiB", cpu_s_per_gib="CPU"),
        dots("produce", "Produced, 1 KiB records in 64 KiB: rate", "MiB/s", mib_per_s="rate"),
        dots("fetch", "Fetched, hot: rate", "MiB/s", mib_per_s="rate"),
        dots("fetch", "Fetched, hot: CPU of the sender", "seconds a GiB", cpu_s_per_gib="CPU")])


def log(report):
    rows = report["rows"]

    def one(value):
        return None if value is None else {"median": value, "min": value, "max": value}

    def dots(scenario, title, unit, span, **names):
        return Dots(title, unit, [(r["name"], [(n.replace("_", " "), one(r.get(k))) for k, n in names.items()])
                                  for r in rows if r["scenario"] == scenario], span)

    both = {"gib_per_s": "ours", "limit": "the machine"}
    return page("FluxMQ's log library, beside what the machine can do", report, [
        dots("view", "Sealed log, read in order", "GiB/s", 1, **both),
        dots("chunks", "Chunks", "GiB/s", 2, **both),
        dots("append", "Appended", "records/s", 2, records_per_s="ours", limit_records_per_s="the machine"),
        dots("segments", "Segment size", "GiB/s", 1, **both),
        dots("active", "Active segment", "GiB/s", 1, gib_per_s="active", sealed_gib_per_s="sealed"),
        dots("random", "At random", "ns a read", 1, ns="ours", pread_ns="pread"),
        dots("readers", "Several readers", "GiB/s", 1, **both),
        dots("cold", "From the disk", "GiB/s", 1, **both)], "median")


def draw(report):
    return {"scale": scale, "native": native, "log": log}[report["suite"]](report)


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as source:
        print(draw(json.load(source)), end="")
