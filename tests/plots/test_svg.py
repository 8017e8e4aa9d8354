"""Charts: well-formed whatever the data is, inside their frame, and readable without colour."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest
from hrembed.plots.svg import (
    NARROW,
    WIDE,
    Bar,
    Bars,
    Cells,
    Curve,
    Curves,
    Intervals,
    Line,
    Mark,
    Point,
    Row,
    Strip,
    Strips,
    write_svg,
)

if TYPE_CHECKING:
    from pathlib import Path

NAN = float("nan")
SVG = "{http://www.w3.org/2000/svg}"
EVIL = "</svg><script>alert(1)</script> $x_{$ \x07 日本語 & a very long name that goes on and on and on and on"
CHARTS = {
    "intervals": Intervals(
        [Row("a task", [Mark(0.5, 0.4, 0.6, 0, "0.500"), Mark(0.7, 0.6, 0.8, 1, "0.700")]), Row(EVIL, [Mark(NAN)])],
        "score",
        series=["minilm", EVIL],
        band=(-0.02, 0.02),
        band_words="does not matter",
        zero=0.0,
    ),
    "one value": Intervals([Row("t", [Mark(0.5)])], "score"),
    "no value": Intervals([Row("t", [Mark(NAN)])], "score"),
    "nothing": Intervals([], "score"),
    "strips": Strips(
        [
            Strip("loss", "no loss of 0.02", "+0.05", "pass", Mark(0.05, 0.01, 0.09), (-0.02, math.inf)),
            Strip("size", "80 MB at most", "90 MB", "fail", Mark(90), (-math.inf, 80)),
            Strip("ratio", "0.8 to 1.25", "0.7", "inconclusive", Mark(0.7, 0.5, 0.9), (0.8, 1.25)),
            Strip(EVIL, EVIL, EVIL, "waived"),
        ]
    ),
    "curves": Curves(
        [Curve("a", [Point(1, 2.0, 1.0, 3.0), Point(10, 4.0)]), Curve(EVIL, [Point(5, NAN)]), Curve("", [])],
        "steps",
        "loss",
        across=[Line(3, "limit", "limit")],
        upright=[Line(5, EVIL)],
        band=(1, 2),
    ),
    "logarithmic": Curves(
        [Curve("a", [Point(10**n, 2.0 * 10**n, label=f"n{n}", hollow=n > 3) for n in range(7)])],
        "documents",
        "ms",
        log_x=True,
        log_y=True,
        x_ticks=[(1, "1"), (1e6, "a million")],
    ),
    "flat": Curves([Curve("a", [Point(0, 0.0), Point(1, 0.0)])], "x", "y"),
    "cells": Cells(["b", "w"], ["f", EVIL], [[0.05, -0.3], [NAN, 0.0]], 0.1, "limit 0.1"),
    "bars": Bars([Bar("a", 0.3, "0.300"), Bar(EVIL, -0.2, "-0.2", chosen=False), Bar("c", NAN, "")], "share"),
}


@pytest.mark.parametrize("width", [WIDE, NARROW])
@pytest.mark.parametrize("name", CHARTS)
def test_a_chart_is_well_formed_and_inside_its_frame(name: str, width: int):
    text = CHARTS[name].svg(width, EVIL)
    root = ET.fromstring(text)
    assert root.tag == f"{SVG}svg"
    assert "<script" not in text
    assert not re.search(r"\b(nan|inf)\b", text)
    height = float(root.attrib["height"])
    assert float(root.attrib["width"]) == width
    for item in root.iter():
        for key in ("x", "x1", "x2"):
            assert -1 <= float(item.attrib.get(key, 0)) <= width + 1, ET.tostring(item)
        for key in ("y", "y1", "y2"):
            assert -1 <= float(item.attrib.get(key, 0)) <= height + 1, ET.tostring(item)


def test_an_outcome_is_a_sign_and_a_word_beside_its_colour():
    text = CHARTS["strips"].svg(WIDE, "")
    for shown in ("✓ pass", "✗ fail", "? inconclusive", "~ waived", "limit -0.02", "limit 80"):
        assert f">{shown}</text>" in text


def test_series_differ_by_shape_and_colour():
    paths = re.findall(
        r'<path class="(s\d)" d="[^"]*?([a-zA-Z])[^a-zA-Z]*([a-zA-Z])', CHARTS["intervals"].svg(WIDE, "")
    )
    assert {series for series, *_ in paths} == {"s0", "s1"}
    assert len({shape for _, *shape in map(tuple, paths) for shape in [tuple(shape)]}) == 2


def test_a_cell_beyond_the_limit_is_framed_and_full_colour_is_the_limit():
    text = CHARTS["cells"].svg(WIDE, "")
    assert re.findall(r'class="(more|less)"[^>]*fill-opacity="([\d.]+)"', text) == [
        ("more", "0.50"), ("less", "1.00"), ("less", "0.00"),
    ]  # fmt: skip
    assert text.count('class="beyond"') == 1


def test_dark_readers_and_printers_get_their_own_colours():
    text = CHARTS["bars"].svg(WIDE, "")
    assert "prefers-color-scheme:dark" in text
    assert "@media print" in text
    body = text.partition("</style>")[2]
    assert not re.search(r"#[0-9a-fA-F]{6}", body)  # colours are variables, so that both schemes reach them


def test_a_file_is_the_same_each_time(tmp_path: Path):
    for name in ("a.svg", "b.svg"):
        write_svg(tmp_path / name, CHARTS["curves"], "two curves")
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
