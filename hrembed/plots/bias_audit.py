"""Pictures of an audit: gaps, the sweep over cut-offs, the intersection, sensitivity, power."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hrembed.plots.svg import Bar, Bars, Cells, Curve, Curves, Intervals, Line, Mark, Point, Row

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_SIZES = (5, 10, 20, 50, 100, 200, 500)


class Effect(NamedTuple):
    """A value with an interval and a label.

    Attributes:
        label: At the left.
        value: The point.
        low: Lower end; NaN draws none.
        high: Upper end.
    """

    label: str
    value: float
    low: float = float("nan")
    high: float = float("nan")


def gaps_chart(effects: Sequence[Effect], limit: float, unit: str) -> Intervals:
    """A row for each pair of groups, and the range that does not matter."""
    rows = [
        Row(effect.label, [Mark(effect.value, effect.low, effect.high, 0, f"{effect.value:+.3f}")])
        for effect in effects
    ]
    words = f"shaded: up to {limit:g} either way, the limit of the gate (an engineering choice)"
    return Intervals(rows, f"mean score gap in {unit}", band=(-limit, limit), band_words=words, zero=0.0)


def sweep_chart(curves: Mapping[str, Sequence[tuple[float, Effect]]], limit: float, headline: float) -> Curves:
    """The lowest impact ratio of each attribute over the selected share."""
    drawn = [
        Curve(
            name,
            [
                Point(cut * (1 + 0.03 * number), effect.value, effect.low, effect.high)  # intervals beside each other
                for cut, effect in points
            ],
        )
        for number, (name, points) in enumerate(curves.items())
    ]
    ticks = [(cut, f"{cut:.0%}") for cut, _ in next(iter(curves.values()))]
    return Curves(
        drawn,
        "selected share of the candidates of a job",
        "lowest impact ratio (intervals end at 2 in this picture)",
        log_x=True,
        across=[Line(1.0, "1: no difference"), Line(limit, f"{limit:g}: the limit", "limit")],
        upright=[Line(headline, f"the verdict looks at the top {headline:.0%}", "edge")],
        x_ticks=ticks,
        height=260,
        most=2.0,
    )


def cells_chart(rows: Sequence[str], columns: Sequence[str], values: Sequence[Sequence[float]], limit: float) -> Cells:
    """The mean of every combination of two attributes, coloured by how near it is to the limit.

    Args:
        rows: Groups of one attribute.
        columns: Groups of the other.
        values: Shape (rows, columns), in standard deviations.
        limit: Of the gate on gaps.
    """
    words = (
        f"mean score less the mean of all, in standard deviations; orange is above, blue below. Full colour is the "
        f"limit of the gate, {limit:g}; a cell beyond it has a red frame"
    )
    return Cells(rows, columns, values, limit, words)


def sensitivity_chart(effects: Sequence[Effect], unit: str) -> Bars:
    """How far each kind of change moves scores."""
    bars = [Bar(effect.label, effect.value, f"{effect.value:.3f}") for effect in effects]
    return Bars(bars, f"mean absolute change of the score in {unit}")


def power_chart(curves: Mapping[str, tuple[int, float]], limit: float) -> Curves:
    """The smallest gap that is found with 80 % power over the number of names of a group.

    Args:
        curves: Attribute -> its names in a group now, and the gap they can find.
        limit: Of the gate.
    """
    drawn = []
    for number, (name, (size, gap)) in enumerate(curves.items()):
        line = [Point(x, gap * np.sqrt(size / x)) for x in _SIZES]
        drawn.append(Curve("", line, marked=False, series=number))
        drawn.append(Curve(name, [Point(size, gap, label=f"now: {size}")], joined=False, series=number))
    return Curves(
        drawn,
        "names in a group",
        "smallest gap found with 80 % power (SD)",
        log_x=True,
        log_y=True,
        across=[Line(limit, f"{limit:g}: the limit", "limit")],
        x_ticks=[(size, str(size)) for size in _SIZES],
    )
