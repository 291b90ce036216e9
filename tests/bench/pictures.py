# SPDX-License-Identifier: MIT
"""What a picture of curves must be: well-formed, every point in it, no text on another."""

import re
import xml.dom.minidom

LETTER = 11


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def titles(svg):
    return [t.firstChild.data for t in svg.getElementsByTagName("title")]


def boxes(svg):
    """(left, top, right, bottom, words) of every text, by the size of its letters."""
    for t in svg.getElementsByTagName("text"):
        words, big = t.firstChild.data, 16 if t.getAttribute("class") == "title" else LETTER
        wide = len(words) * big * (0.58 if t.getAttribute("class") == "name" else 0.52)
        x, y = float(t.getAttribute("x")), float(t.getAttribute("y"))
        x -= {"": 0, "middle": wide / 2, "end": wide}[t.getAttribute("text-anchor")]
        yield x, y - big * 0.75, x + wide, y + big * 0.2, words


def check(text, figures):
    """figures: those that it must show, as they are in the report. The number of its points."""
    svg = xml.dom.minidom.parseString(text)
    _, _, width, height = map(float, svg.documentElement.getAttribute("viewBox").split())
    known = titles(svg)
    for f in figures:
        wanted = f"{f['median']:g} ({f['min']:g}..{f['max']:g})"
        assert any(t.endswith(": " + wanted) for t in known), f"{wanted} is not in the picture"
    for c in svg.getElementsByTagName("circle"):
        x, y = float(c.getAttribute("cx")), float(c.getAttribute("cy"))
        assert 0 < x < width and 0 < y < height, c.toxml()
    all_ = sorted(boxes(svg), key=lambda b: b[1])
    for i, a in enumerate(all_):
        assert a[0] >= 0 and a[2] <= width and a[3] <= height, a
        for b in all_[i + 1:]:
            if b[1] >= a[3]:
                break
            assert b[0] >= a[2] or b[2] <= a[0], f"{a[4]!r} lies on {b[4]!r}"
    assert not re.search(r"nan|inf\b", re.sub(r"<title>.*?</title>|<text.*?</text>", "", text)), "no place for a point"
    return len(known)
