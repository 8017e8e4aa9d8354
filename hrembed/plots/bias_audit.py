"""Pictures of an audit, as SVG: gaps, the sweep over cut-offs, the intersection, sensitivity, power."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from hrembed.files import writing

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from hrembed.types import Floats

_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#666666", "#000000")
_MARKERS = "osD^vPX*"


class Bar(NamedTuple):
    """A value with an interval and a label.

    Attributes:
        label: At the left.
        value: The point.
        low: Lower end; NaN draws none.
        high: Upper end.
    """

    label: str
    value: float
    low: float
    high: float


def draw_gaps(path: Path, bars: Sequence[Bar], limit: float, unit: str) -> None:
    """Draw a row for each pair of groups, and the range that does not matter."""

    def draw(axes: Any) -> None:
        axes.axvspan(-limit, limit, color="#e8f1e8", zorder=0)
        axes.axvline(0, color="#555555", linewidth=0.8)
        for place, bar in enumerate(bars):
            axes.plot([bar.low, bar.high], [place, place], color=_COLOURS[0], linewidth=1.6)
            axes.plot(bar.value, place, "o", color=_COLOURS[0], markersize=5)
        axes.set_yticks(range(len(bars)), [bar.label for bar in bars])
        axes.set_ylim(len(bars) - 0.5, -0.5)
        axes.set_xlabel(f"mean score gap in {unit}; shaded: the range of the gate")

    _save(path, (9, 1.2 + 0.27 * len(bars)), draw)


def draw_sweep(path: Path, curves: Mapping[str, Sequence[tuple[float, Bar]]], limit: float) -> None:
    """Draw the lowest impact ratio of each attribute over the selected share."""

    def draw(axes: Any) -> None:
        axes.axhline(1, color="#555555", linewidth=0.8)
        axes.axhline(limit, color="#b42318", linewidth=1, linestyle="--")
        for number, (name, points) in enumerate(curves.items()):
            x = np.array([cut for cut, _ in points]) * (1 + 0.025 * number)  # intervals beside each other
            colour = _COLOURS[number % len(_COLOURS)]
            for place, (_, bar) in zip(x, points, strict=True):
                axes.plot([place, place], [bar.low, bar.high], color=colour, linewidth=1.2)
            axes.plot(x, [bar.value for _, bar in points], marker=_MARKERS[number % 8], color=colour, label=name)
        axes.set_xscale("log")
        axes.set_xlim(0.8 * min(cut for cut, _ in next(iter(curves.values()))), 1)
        axes.set_xticks([cut for cut, _ in next(iter(curves.values()))])
        axes.get_xaxis().set_major_formatter("{x:.0%}")
        axes.minorticks_off()
        axes.set_xlabel("selected share of the candidates of a job")
        axes.set_ylabel("lowest impact ratio")
        axes.set_ylim(0, max(1.3, axes.get_ylim()[1]) if axes.get_ylim()[1] < 2 else 2)
        _legend(axes)

    _save(path, (9, 4.2), draw)


def draw_cells(path: Path, rows: Sequence[str], columns: Sequence[str], values: Floats, unit: str) -> None:
    """Draw a heat map of the mean of every combination of two attributes.

    Args:
        path: SVG file.
        rows: Groups of one attribute.
        columns: Groups of the other.
        values: Shape (rows, columns).
        unit: Label of the colours.
    """

    def draw(axes: Any) -> None:
        reach = max(float(np.abs(values).max()), 1e-9)
        picture = axes.imshow(values, cmap="PuOr", vmin=-reach, vmax=reach, aspect="auto")
        axes.set_xticks(range(len(columns)), columns)
        axes.set_yticks(range(len(rows)), rows)
        for row in range(len(rows)):
            for column in range(len(columns)):
                dark = abs(values[row][column]) > 0.6 * reach
                axes.text(
                    column,
                    row,
                    f"{values[row][column]:+.3f}",
                    ha="center",
                    va="center",
                    color="white" if dark else "black",
                )
        axes.figure.colorbar(picture, ax=axes, label=unit)

    _save(path, (1.6 * len(columns) + 3, 0.7 * len(rows) + 1.4), draw)


def draw_sensitivity(path: Path, bars: Sequence[Bar], unit: str) -> None:
    """Draw how far each kind of change moves scores."""

    def draw(axes: Any) -> None:
        axes.barh(range(len(bars)), [bar.value for bar in bars], color=_COLOURS[5])
        for place, bar in enumerate(bars):
            axes.text(bar.value, place, f" {bar.value:.3f}", va="center")
        axes.set_yticks(range(len(bars)), [bar.label for bar in bars])
        axes.set_ylim(len(bars) - 0.5, -0.5)
        axes.set_xlim(0, max(1.15 * max(bar.value for bar in bars), 1e-6))
        axes.set_xlabel(f"mean absolute change of the score in {unit}")

    _save(path, (9, 1.2 + 0.3 * len(bars)), draw)


def draw_power(path: Path, curves: Mapping[str, tuple[int, float]], limit: float) -> None:
    """Draw the smallest gap that is found with 80 % power over the number of names of a group.

    Args:
        path: SVG file.
        curves: Attribute -> its names in a group now, and the gap they can find.
        limit: Of the gate.
    """

    def draw(axes: Any) -> None:
        sizes = np.geomspace(5, 500, 60)
        for number, (name, (size, gap)) in enumerate(curves.items()):
            colour = _COLOURS[number % len(_COLOURS)]
            axes.plot(sizes, gap * np.sqrt(size / sizes), color=colour, label=name)
            axes.plot(size, gap, marker=_MARKERS[number % 8], color=colour)
        axes.axhline(limit, color="#b42318", linewidth=1, linestyle="--")
        axes.set_xscale("log")
        axes.set_yscale("log")
        gaps = [0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2]
        low, high = axes.get_ylim()
        axes.set_xticks([5, 10, 20, 50, 100, 200, 500], ["5", "10", "20", "50", "100", "200", "500"])
        axes.set_yticks([gap for gap in gaps if low <= gap <= high], [f"{gap:g}" for gap in gaps if low <= gap <= high])
        axes.minorticks_off()
        axes.set_xlabel("names in a group (marked: this audit)")
        axes.set_ylabel("smallest gap found with 80 % power (SD)")
        _legend(axes)

    _save(path, (9, 4), draw)


def _legend(axes: Any) -> None:
    for text in axes.legend(frameon=False, fontsize=9).get_texts():
        text.set_parse_math(False)


def _save(path: Path, size: tuple[float, float], draw: Callable[[Any], None]) -> None:
    """Draw into an SVG file; the same content gives the same bytes."""
    import matplotlib
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    figure = Figure(figsize=size, layout=ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.1))
    axes = figure.subplots()
    draw(axes)
    for label in (*axes.get_yticklabels(), *axes.get_xticklabels()):
        label.set_parse_math(False)
    for spine in ("top", "right"):
        axes.spines[spine].set_visible(False)
    with (
        writing(path) as part,
        matplotlib.rc_context({"svg.hashsalt": "hrembed", "svg.fonttype": "path"}),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore", UserWarning)  # a script that the font lacks is drawn as boxes
        figure.savefig(part, format="svg", metadata={"Date": None, "Creator": None})
