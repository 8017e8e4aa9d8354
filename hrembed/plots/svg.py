"""Charts as SVG that follow the reader: light or dark, wide or narrow, on paper or on a screen.

A chart is drawn for a width, so that letters keep their size on a phone. Colours are CSS variables with a value for
light and one for dark; series differ by the shape of their marks as well, outcomes by a sign and a word.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING, NamedTuple, Protocol

from hrembed.files import write_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from hrembed.types import Estimate

WIDE, NARROW = 880, 346
"""Widths, in CSS pixels, for which a page draws: a column of a desktop, and a phone of 390 pixels less its margins."""

_SIZE, _SMALL = 13, 12
_EM = 0.6  # mean width of a letter of a sans-serif font, in heights
_NAN = float("nan")
SIGNS = {"pass": "✓", "fail": "✗", "inconclusive": "?", "waived": "~"}
"""What stands beside the colour of an outcome."""

_LIGHT = (
    "--ink:#1a1a1a;--soft:#5a606b;--grid:#dfe2e7;--axis:#767b85;--band:#dff0e2;--bandline:#1a7f37;--pass:#1a7f37;"
    "--fail:#b42318;--doubt:#8a5a00;--more:#f5b97a;--less:#93c0ec;--hole:#ffffff;--s0:#0b62a8;--s1:#b84a00;"
    "--s2:#00795a;--s3:#a3437f;--s4:#7a5c00;--s5:#4a4fa3;--s6:#5f6670;--s7:#111111"
)
_DARK = (
    "--ink:#ececec;--soft:#b3b9c4;--grid:#363b44;--axis:#8b919c;--band:#1d3a26;--bandline:#56d07a;--pass:#56d07a;"
    "--fail:#ff8d80;--doubt:#e5b04c;--more:#7d4514;--less:#1d5288;--hole:#16181c;--s0:#6db3f2;--s1:#ff9d5c;"
    "--s2:#4fd1a5;--s3:#f09ad0;--s4:#e3c04d;--s5:#b3b7ff;--s6:#a9b0bb;--s7:#f4f4f4"
)
_STYLE = (
    f".hc{{{_LIGHT};font:13px system-ui,sans-serif;max-width:100%;height:auto}}"
    f"@media (prefers-color-scheme:dark){{.hc{{{_DARK}}}}}@media print{{.hc{{{_LIGHT}}}}}"
    ".hc text{fill:var(--ink)}.hc .small{font-size:12px;fill:var(--soft)}.hc .bold{font-weight:600}"
    ".hc .grid{stroke:var(--grid)}.hc .axis{stroke:var(--axis)}.hc .band{fill:var(--band)}"
    ".hc .limit{stroke:var(--fail);stroke-dasharray:5 3;stroke-width:1.5}"
    ".hc .edge{stroke:var(--bandline);stroke-dasharray:5 3;stroke-width:1.5}"
    ".hc .note{stroke:var(--soft);stroke-dasharray:2 3;stroke-width:1.5}"
    + "".join(
        f".hc .{name}{{stroke:var(--{name});fill:var(--{name})}}.hc text.{name}{{stroke:none}}"
        for name in (*(f"s{number}" for number in range(8)), "pass", "fail", "doubt", "soft")
    )
    + ".hc .hollow{fill:var(--hole)}.hc .line{fill:none;stroke-width:2}.hc .thin{stroke-width:1;opacity:.35}"
    ".hc .more{fill:var(--more)}.hc .less{fill:var(--less)}.hc .beyond{stroke:var(--fail);stroke-width:3;fill:none}"
)
_TONES = {"pass": "pass", "fail": "fail", "inconclusive": "doubt", "waived": "doubt", "better": "pass", "worse": "fail"}


class Chart(Protocol):
    """Something that can be drawn for any width."""

    def svg(self, width: int, alt: str) -> str:
        """Draw it.

        Args:
            width: In CSS pixels.
            alt: What is to be seen, in words.
        """


def write_svg(path: Path, chart: Chart, alt: str) -> None:
    """Write a chart into a file; the same content gives the same bytes.

    Raises:
        HrembedError: The file cannot be written.
    """
    write_text(path, chart.svg(WIDE, alt) + "\n")


class Mark(NamedTuple):
    """A value with its interval.

    Attributes:
        value: The point; NaN is not drawn.
        low: Lower end; NaN draws no interval.
        high: Upper end.
        series: Number of the series, which decides colour and shape.
        shown: What is written beside it.
    """

    value: float
    low: float = _NAN
    high: float = _NAN
    series: int = 0
    shown: str = ""


def mark_of(estimate: Estimate, *, series: int = 0, sign: bool = False) -> Mark:
    """Make a mark of an estimate, with its value written beside it."""
    shown = f"{estimate.value:{'+' if sign else ''}.3f}" if math.isfinite(estimate.value) else "undefined"
    return Mark(estimate.value, estimate.low, estimate.high, series, shown)


class Row(NamedTuple):
    """A line of a chart: what it is about, and its marks one below the other."""

    label: str
    marks: Sequence[Mark]


@dataclass(frozen=True)
class Intervals:
    """Values with intervals on one scale, in rows.

    Attributes:
        rows: From top to bottom.
        axis: What the scale is.
        series: Names of the series; of a single one none is written.
        band: Range that is shaded: what does not matter, or what is accepted.
        band_words: What the shade means.
        zero: Draw a line at this value; None for none.
    """

    rows: Sequence[Row]
    axis: str
    series: Sequence[str] = ()
    band: tuple[float, float] | None = None
    band_words: str = ""
    zero: float | None = None

    def svg(self, width: int, alt: str) -> str:
        """Draw it."""
        narrow = width < WIDE
        canvas = _Canvas(width)
        names = [(number, name, True) for number, name in enumerate(self.series)]
        top = canvas.legend(names if len(names) > 1 else [], 4)
        values = [end for row in self.rows for mark in row.marks for end in mark[:3]]
        values += [*(self.band or ()), *([] if self.zero is None else [self.zero])]
        left = 8 if narrow else min(300, 14 + max((_length(row.label) for row in self.rows), default=0))
        shown = max((_length(mark.shown, _SMALL) for row in self.rows for mark in row.marks), default=0)
        right = width - 10 - (shown + 8 if shown else 0)
        scale = _Linear.around(values, left + 6, right)
        heights = [(20 if narrow else 0) + max(24, 17 * len(row.marks) + 8) for row in self.rows]
        bottom = top + sum(heights)
        if self.band is not None:
            canvas.band(scale, self.band, top, bottom)
        end = canvas.ticks_below(scale, top, bottom, self.axis)
        if self.zero is not None:
            canvas.line(scale(self.zero), top, scale(self.zero), bottom, "axis")
        place = top
        for row, height in zip(self.rows, heights, strict=True):
            self._draw(canvas, row, (place, height), scale, left, narrow=narrow)
            place += height
        if self.band is not None and self.band_words:
            canvas.rect(left + 6, end + 6, 14, 11, "band")
            end = canvas.paragraph(left + 26, end + 16, width - left - 30, self.band_words)
        return canvas.close(end + 2, alt)

    def _draw(
        self, canvas: _Canvas, row: Row, place: tuple[float, float], scale: _Linear, left: float, *, narrow: bool
    ) -> None:
        top, height = place
        if narrow:
            canvas.text(8, top + 15, _cut(row.label, canvas.width - 16), "", full=row.label)
            top, height = top + 20, height - 20
        else:
            canvas.text(left - 6, top + height / 2 + 4, _cut(row.label, left - 10), "", anchor="end", full=row.label)
        first = top + height / 2 - 17 * (len(row.marks) - 1) / 2
        for number, mark in enumerate(row.marks):
            canvas.mark(scale, mark, first + 17 * number)
            canvas.text(canvas.width - 6, first + 17 * number + 4, mark.shown, "small", anchor="end")


class Strip(NamedTuple):
    """A requirement: what is accepted, what was found, and what follows from it.

    Attributes:
        label: What is judged.
        asked: What is accepted, in words.
        shown: What was found, in words.
        status: `pass`, `fail`, `inconclusive` or `waived`.
        mark: The number with its interval; None where there is none to draw.
        accepted: Lowest and highest value that is accepted; infinite for no limit.
    """

    label: str
    asked: str
    shown: str
    status: str
    mark: Mark | None = None
    accepted: tuple[float, float] = (-math.inf, math.inf)


@dataclass(frozen=True)
class Strips:
    """Requirements below each other, each on a scale of its own.

    Attributes:
        strips: From top to bottom.
    """

    strips: Sequence[Strip]

    def svg(self, width: int, alt: str) -> str:
        """Draw it."""
        canvas = _Canvas(width)
        place = 4.0
        for strip in self.strips:
            place = self._draw(canvas, strip, place)
        return canvas.close(place, alt)

    @staticmethod
    def _draw(canvas: _Canvas, strip: Strip, top: float) -> float:
        """Draw one; returns where the next one starts."""
        width, tone = canvas.width, _TONES[strip.status]
        word = f"{SIGNS[strip.status]} {strip.status}"
        canvas.text(width - 6, top + 14, word, f"bold {tone}", anchor="end")
        canvas.text(8, top + 14, _cut(strip.label, width - 30 - _length(word)), "bold", full=strip.label)
        end = canvas.paragraph(8, top + 31, width - 16, f"Asked: {strip.asked}. Found: {strip.shown}.")
        if strip.mark is None or not math.isfinite(strip.mark.value):
            return end + 14
        limits = [limit for limit in strip.accepted if math.isfinite(limit)]
        scale = _Linear.around([*strip.mark[:3], *limits, *_beside(strip.mark, limits)], 14, width - 14)
        low, high = (
            scale.pixels[number] if math.isinf(limit) else scale(limit) for number, limit in enumerate(strip.accepted)
        )
        middle = end + 6
        canvas.rect(low, middle - 9, max(high - low, 1), 18, "band")
        canvas.line(scale.pixels[0], middle, scale.pixels[1], middle, "axis")
        for limit in limits:
            canvas.line(scale(limit), middle - 11, scale(limit), middle + 11, "edge")
            canvas.text(scale.inside(limit, 30), middle + 24, f"limit {limit:g}", "small", anchor="middle")
        canvas.mark(scale, strip.mark, middle, tone)
        return middle + 42


def _beside(mark: Mark, limits: Sequence[float]) -> list[float]:
    """Values that leave room on both sides of the limits."""
    ends = [end for end in (*mark[:3], *limits) if math.isfinite(end)]
    reach = (max(ends) - min(ends)) or abs(max(ends)) or 1.0
    return [value for limit in limits for value in (limit - reach / 4, limit + reach / 4)]


class Point(NamedTuple):
    """A point of a curve with its interval; `label` is written beside it."""

    x: float
    y: float
    low: float = _NAN
    high: float = _NAN
    label: str = ""
    hollow: bool = False


class Curve(NamedTuple):
    """A named series of points.

    Attributes:
        name: For the legend.
        points: From left to right.
        joined: Draw a line through them.
        marked: Draw a mark at each.
        faint: A thin, pale line, for what lies behind another curve.
        series: Number that decides colour and shape; None is the place in the chart.
    """

    name: str
    points: Sequence[Point]
    joined: bool = True
    marked: bool = True
    faint: bool = False
    series: int | None = None


class Line(NamedTuple):
    """A straight line across a chart: a limit, a step that was kept."""

    value: float
    words: str
    kind: str = "note"


@dataclass(frozen=True)
class Curves:
    """Curves or points over two axes.

    Attributes:
        curves: Drawn in order.
        x: What the horizontal axis is.
        y: What the vertical axis is; written above it.
        log_x: Logarithmic horizontal axis.
        log_y: Logarithmic vertical axis.
        across: Horizontal lines.
        upright: Vertical lines.
        band: Range of y that is shaded.
        x_ticks: Places with a word each; None chooses numbers.
        height: Of the area with the curves.
        most: Largest y that is drawn; what lies above is cut off.
    """

    curves: Sequence[Curve]
    x: str
    y: str
    log_x: bool = False
    log_y: bool = False
    across: Sequence[Line] = ()
    upright: Sequence[Line] = ()
    band: tuple[float, float] | None = None
    x_ticks: Sequence[tuple[float, str]] | None = None
    height: int = 220
    most: float = math.inf

    def svg(self, width: int, alt: str) -> str:
        """Draw it."""
        canvas = _Canvas(width)
        entries = [
            (self._series(number), curve.name, curve.marked) for number, curve in enumerate(self.curves) if curve.name
        ]
        top = canvas.legend(entries, 4)
        for line in (*self.across, *self.upright):
            if line.words:
                canvas.line(10, top + 8, 26, top + 8, line.kind)
                top = canvas.paragraph(32, top + 12, width - 40, line.words) - 2
        top = canvas.paragraph(8, top + 14, width - 16, self.y) + 2
        curves = [curve._replace(points=[self._cut_off(point) for point in curve.points]) for curve in self.curves]
        points = [point for curve in curves for point in curve.points if math.isfinite(point.y)]
        ys = [end for point in points for end in (point.y, point.low, point.high)] + [
            line.value for line in self.across
        ]
        bottom = top + self.height
        vertical = (_Log if self.log_y else _Linear).around([*ys, *(self.band or ())], bottom, top)
        left = 14 + max((_length(word, _SMALL) for _, word in vertical.ticks(5)), default=20)
        xs = [point.x for point in points] + [line.value for line in self.upright]
        xs += [place for place, _ in self.x_ticks or ()]
        horizontal = (_Log if self.log_x else _Linear).around(xs, left + 8, width - 18, pad=0.02)
        if self.band is not None:
            ends = vertical(self.band[1]), vertical(self.band[0])
            canvas.rect(left, ends[0], width - left - 10, ends[1] - ends[0], "band")
        for value, word in vertical.ticks(5):
            canvas.line(left, vertical(value), width - 10, vertical(value), "grid")
            canvas.text(left - 6, vertical(value) + 4, word, "small", anchor="end")
        end = canvas.ticks_below(horizontal, top, bottom, self.x, self.x_ticks, grid=False)
        canvas.line(left, bottom, width - 10, bottom, "axis")
        for line in self.across:
            canvas.line(left, vertical(line.value), width - 10, vertical(line.value), line.kind)
        for line in self.upright:
            canvas.line(horizontal(line.value), top, horizontal(line.value), bottom, line.kind)
        for number, curve in enumerate(curves):
            self._draw(canvas, curve, self._series(number), horizontal, vertical)
        return canvas.close(end, alt)

    def _cut_off(self, point: Point) -> Point:
        return point._replace(y=min(point.y, self.most), low=min(point.low, self.most), high=min(point.high, self.most))

    def _series(self, number: int) -> int:
        chosen = self.curves[number].series
        return number if chosen is None else chosen

    @staticmethod
    def _draw(canvas: _Canvas, curve: Curve, series: int, horizontal: _Linear | _Log, vertical: _Linear | _Log) -> None:
        drawn = [point for point in curve.points if math.isfinite(point.x) and math.isfinite(point.y)]
        if curve.joined and len(drawn) > 1:
            path = " ".join(f"{horizontal(point.x):.1f},{vertical(point.y):.1f}" for point in drawn)
            canvas.add(f'<polyline class="s{series % 8} line{" thin" if curve.faint else ""}" points="{path}"/>')
        for point in drawn if curve.marked else ():
            x = horizontal(point.x)
            if point.low <= point.high:
                canvas.line(x, vertical(point.low), x, vertical(point.high), f"s{series % 8}", width=1.5)
            canvas.marker(x, vertical(point.y), series, hollow=point.hollow)
            if point.label:
                canvas.text(x + 6, vertical(point.y) - 6, point.label, "small")


@dataclass(frozen=True)
class Cells:
    """A table of values whose colour says how near they are to a limit.

    Attributes:
        rows: Names of the rows.
        columns: Names of the columns.
        values: Shape (rows, columns).
        limit: Full colour; values beyond are framed as well.
        words: What is shown, and what the limit is.
    """

    rows: Sequence[str]
    columns: Sequence[str]
    values: Sequence[Sequence[float]]
    limit: float
    words: str

    def svg(self, width: int, alt: str) -> str:
        """Draw it."""
        canvas = _Canvas(width)
        left = min(width * 0.3, 14 + max(_length(row) for row in self.rows))
        each = min(130.0, (width - left - 10) / len(self.columns))
        size = _SMALL if each < 60 else _SIZE
        for number, name in enumerate(self.columns):
            place = left + each * (number + 0.5)
            canvas.text(place, 16, _cut(name, each - 4, size), "small", anchor="middle", full=name)
        for down, name in enumerate(self.rows):
            top = 24 + 36 * down
            canvas.text(left - 6, top + 22, _cut(name, left - 10), "", anchor="end", full=name)
            for across in range(len(self.columns)):
                self._draw(canvas, self.values[down][across], left + each * across, top, each)
        end = 24 + 36 * len(self.rows) + 18
        return canvas.close(canvas.paragraph(8, end, width - 16, self.words) + 4, alt)

    def _draw(self, canvas: _Canvas, value: float, left: float, top: float, each: float) -> None:
        if math.isfinite(value):
            part = min(abs(value) / self.limit, 1.0) if self.limit > 0 else 1.0
            kind = "more" if value > 0 else "less"
            canvas.rect(left + 1, top + 1, each - 2, 34, kind, opacity=part)
            if abs(value) > self.limit:
                canvas.rect(left + 3, top + 3, each - 6, 30, "beyond")
        shown = f"{value:+.2f}" if each < 60 else f"{value:+.3f}"
        canvas.text(left + each / 2, top + 22, shown if math.isfinite(value) else "none", "", anchor="middle")


class Bar(NamedTuple):
    """A length with a label and what is written at its end; chosen ones are darker."""

    label: str
    value: float
    shown: str
    chosen: bool = True


@dataclass(frozen=True)
class Bars:
    """Lengths from zero.

    Attributes:
        bars: From top to bottom.
        axis: What their length is.
    """

    bars: Sequence[Bar]
    axis: str

    def svg(self, width: int, alt: str) -> str:
        """Draw it."""
        narrow = width < WIDE
        canvas = _Canvas(width)
        left = 8 if narrow else min(280, 14 + max((_length(bar.label) for bar in self.bars), default=0))
        shown = max((_length(bar.shown, _SMALL) for bar in self.bars), default=0)
        values = [0.0, *(bar.value for bar in self.bars)]
        scale = _Linear.around(values, left + 2, width - 14 - shown, pad=0)
        height = 40 if narrow else 24
        for number, bar in enumerate(self.bars):
            top = 4 + height * number
            if narrow:
                canvas.text(8, top + 14, _cut(bar.label, width - 16), "", full=bar.label)
                top += 16
            else:
                canvas.text(left - 6, top + 16, _cut(bar.label, left - 10), "", anchor="end", full=bar.label)
            if not math.isfinite(bar.value):
                continue
            start, end = sorted((scale(0), scale(bar.value)))
            canvas.rect(start, top + 4, max(end - start, 1), 15, "s0", opacity=1 if bar.chosen else 0.35)
            canvas.text(end + 6, top + 16, bar.shown, "small")
        bottom = 4 + height * len(self.bars)
        canvas.line(scale(0), 4, scale(0), bottom, "axis")
        return canvas.close(canvas.paragraph(8, bottom + 18, width - 16, self.axis) + 4, alt)


@dataclass(frozen=True)
class _Linear:
    low: float
    high: float
    pixels: tuple[float, float]

    @classmethod
    def around(cls, values: Iterable[float], start: float, end: float, pad: float = 0.05) -> _Linear:
        low, high = _ends(values, (0.0, 1.0))
        room = pad * (high - low) if high > low else abs(high) * 0.1 or 1.0
        return cls(low - room, high + room, (start, end))

    def __call__(self, value: float) -> float:
        start, end = self.pixels
        return start + (end - start) * (value - self.low) / (self.high - self.low)

    def inside(self, value: float, margin: float) -> float:
        """Place of a value, as far from both ends as a word on it needs."""
        return min(max(self(value), self.pixels[0] + margin), self.pixels[1] - margin)

    def ticks(self, most: int) -> list[tuple[float, str]]:
        raw = (self.high - self.low) / max(most, 1)
        power = 10.0 ** math.floor(math.log10(raw))
        step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= raw * 0.999)
        first = math.ceil(self.low / step - 1e-9)
        places = [step * number for number in range(first, math.floor(self.high / step + 1e-9) + 1)]
        digits = max(0, -math.floor(math.log10(step) + 1e-9))
        return [(place, f"{place + 0.0:,.{digits}f}".replace("-0.0", "0.0") if place else "0") for place in places]


@dataclass(frozen=True)
class _Log:
    low: float
    high: float
    pixels: tuple[float, float]

    @classmethod
    def around(cls, values: Iterable[float], start: float, end: float, pad: float = 0.05) -> _Log:
        low, high = _ends((value for value in values if value > 0), (1.0, 10.0))
        room = (high / low) ** pad if high > low else 1.5
        return cls(low / room, high * room, (start, end))

    def __call__(self, value: float) -> float:
        start, end = self.pixels
        return start + (end - start) * math.log(max(value, self.low / 10) / self.low) / math.log(self.high / self.low)

    def ticks(self, most: int) -> list[tuple[float, str]]:
        found: list[tuple[float, str]] = []
        for factors in ((1,), (1, 3), (1, 2, 5)):
            powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            places = [factor * 10.0**power for power in powers for factor in factors]
            kept = [place for place in places if self.low <= place <= self.high]
            if len(kept) <= most + 1 or not found:
                found = [(place, f"{place:,g}") for place in kept]
        return found[:: 1 + len(found) // (most + 2)]


def _ends(values: Iterable[float], default: tuple[float, float]) -> tuple[float, float]:
    finite = [value for value in values if math.isfinite(value)]
    return (min(finite), max(finite)) if finite else default


def _length(text: str, size: int = _SIZE) -> float:
    """Width of a text in pixels, about."""
    return sum(1.0 if ord(letter) > 0x2E7F else _EM for letter in text) * size


def _cut(text: str, room: float, size: int = _SIZE) -> str:
    """Leave out the middle of what does not fit."""
    if _length(text, size) <= room:
        return text
    letters = max(int(room / (_EM * size)) - 1, 2)
    return f"{text[: (letters + 1) // 2]}…{text[len(text) - letters // 2 :]}"


@dataclass
class _Canvas:
    width: int
    _parts: list[str] = field(default_factory=list)

    def add(self, markup: str) -> None:
        self._parts.append(markup)

    def line(self, x: float, y: float, to_x: float, to_y: float, kind: str, width: float | None = None) -> None:
        style = "" if width is None else f' stroke-width="{width:g}"'
        self.add(f'<line class="{kind}" x1="{x:.1f}" y1="{y:.1f}" x2="{to_x:.1f}" y2="{to_y:.1f}"{style}/>')

    def rect(self, x: float, y: float, width: float, height: float, kind: str, opacity: float | None = None) -> None:
        style = "" if opacity is None else f' fill-opacity="{opacity:.2f}" stroke="none"'
        self.add(f'<rect class="{kind}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"{style}/>')

    def text(self, x: float, y: float, text: str, kind: str, *, anchor: str = "start", full: str = "") -> None:
        """Write a text; `full` is what a pointer shows where it was cut."""
        if not text:
            return
        hint = f"<title>{_safe(full)}</title>" if full and full != text else ""
        style = f' class="{kind}"' if kind else ""
        place = f'x="{x:.1f}" y="{y:.1f}"' + (f' text-anchor="{anchor}"' if anchor != "start" else "")
        self.add(f"<text {place}{style}>{_safe(text)}{hint}</text>")

    def paragraph(self, x: float, y: float, room: float, text: str) -> float:
        """Write small text in lines that fit; returns the place of the line after it."""
        line: list[str] = []
        for word in [*text.split(), ""]:
            if line and (not word or _length(" ".join([*line, word]), _SMALL) > room):
                self.text(x, y, _cut(" ".join(line), room, _SMALL), "small")
                line, y = [], y + 16
            line.append(word)
        return y

    def marker(self, x: float, y: float, series: int, *, tone: str = "", hollow: bool = False) -> None:
        kind = (tone or f"s{series % 8}") + (" hollow" if hollow else "")
        self.add(f'<path class="{kind}" d="{_SHAPES[series % len(_SHAPES)](x, y)}"/>')

    def mark(self, scale: _Linear, mark: Mark, y: float, tone: str = "") -> None:
        """Draw a point with its interval on a horizontal scale."""
        if not math.isfinite(mark.value):
            return
        kind = tone or f"s{mark.series % 8}"
        if mark.low <= mark.high:
            self.line(scale(mark.low), y, scale(mark.high), y, kind, width=2)
            for end in (mark.low, mark.high):
                self.line(scale(end), y - 4, scale(end), y + 4, kind, width=2)
        self.marker(scale(mark.value), y, mark.series, tone=tone)

    def band(self, scale: _Linear, band: tuple[float, float], top: float, bottom: float) -> None:
        low, high = (scale.pixels[number] if math.isinf(end) else scale(end) for number, end in enumerate(band))
        self.rect(low, top, max(high - low, 1), bottom - top, "band")
        for end in band:
            if math.isfinite(end):
                self.line(scale(end), top, scale(end), bottom, "edge")

    def ticks_below(
        self,
        scale: _Linear | _Log,
        top: float,
        bottom: float,
        words: str,
        ticks: Sequence[tuple[float, str]] | None = None,
        *,
        grid: bool = True,
    ) -> float:
        """Write numbers below a scale, thinned out so that they do not touch, and what they are; returns the end."""
        found = scale.ticks(4 if self.width < WIDE else 8) if ticks is None else ticks
        last = -math.inf
        for value, word in found:
            half = _length(word, _SMALL) / 2
            place = min(max(scale(value), half + 2), self.width - half - 2)
            if grid:
                self.line(scale(value), top, scale(value), bottom, "grid")
            if place - half > last:
                self.text(place, bottom + 17, word, "small", anchor="middle")
                last = place + half + 6
        middle = (scale.pixels[0] + scale.pixels[1]) / 2
        half = _length(words, _SMALL) / 2
        if half > self.width / 2 - 8:
            return self.paragraph(8, bottom + 34, self.width - 16, words) - 8
        self.text(max(min(middle, self.width - half - 4), half + 4), bottom + 34, words, "small", anchor="middle")
        return bottom + 42

    def legend(self, entries: Sequence[tuple[int, str, bool]], top: float) -> float:
        """Write marks (or lines) with their names; returns where the chart may start."""
        if not entries:
            return top
        x = 12.0
        for series, name, marked in entries:
            shown = _cut(name, self.width - 40)
            if x > 12 and x + 24 + _length(shown) > self.width:
                x, top = 12.0, top + 20
            if marked:
                self.marker(x, top + 9, series)
            else:
                self.line(x - 6, top + 9, x + 6, top + 9, f"s{series % 8}", width=2)
            self.text(x + 11, top + 13, shown, "", full=name)
            x += 11 + _length(shown) + 20
        return top + 26

    def close(self, height: float, alt: str) -> str:
        """Put everything into an `svg` element."""
        size = f'viewBox="0 0 {self.width} {height:.0f}" width="{self.width}" height="{height:.0f}"'
        kind = f'class="hc" xmlns="http://www.w3.org/2000/svg" role="img" aria-label="{_safe(alt)}"'
        return f"<svg {kind} {size}><style>{_STYLE}</style>{''.join(self._parts)}</svg>"


def _safe(text: str) -> str:
    """Escape a text, without the control characters that no XML may hold."""
    return escape("".join(letter for letter in text if letter >= " " and not 0xD800 <= ord(letter) <= 0xDFFF))


def _polygon(*corners: tuple[float, float]) -> Callable[[float, float], str]:
    def draw(x: float, y: float) -> str:
        return "M" + "L".join(f"{x + dx:.1f} {y + dy:.1f}" for dx, dy in corners) + "Z"

    return draw


def _circle(x: float, y: float) -> str:
    return f"M{x - 4.5:.1f} {y:.1f}a4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0 -9 0Z"


_SHAPES = (
    _circle,
    _polygon((-4, -4), (4, -4), (4, 4), (-4, 4)),
    _polygon((0, -5.5), (5.5, 0), (0, 5.5), (-5.5, 0)),
    _polygon((0, -5), (5, 4), (-5, 4)),
    _polygon((0, 5), (5, -4), (-5, -4)),
    _polygon((-1.6, -5), (1.6, -5), (1.6, -1.6), (5, -1.6), (5, 1.6), (1.6, 1.6), (1.6, 5), (-1.6, 5), (-1.6, 1.6),
             (-5, 1.6), (-5, -1.6), (-1.6, -1.6)),
    _polygon((-5, 0), (4, -5), (4, 5)),
    _polygon((5, 0), (-4, -5), (-4, 5)),
)  # fmt: skip
