"""The history of a metric over runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from hrembed.plots.svg import Curve, Curves, Point

if TYPE_CHECKING:
    from collections.abc import Sequence

_TICKS = 6


class Measurement(NamedTuple):
    """A number of one run.

    Attributes:
        run: Id of the run.
        day: When it was started, `2026-11-30`.
        name: What has it: a model, an attribute.
        value: The number.
        low: Lower end of its interval; NaN for none.
        high: Upper end.
    """

    run: str
    day: str
    name: str
    value: float
    low: float
    high: float


def history_chart(measured: Sequence[Measurement], what: str) -> Curves:
    """Draw a curve for each name, the runs side by side in time.

    Args:
        measured: Oldest first.
        what: What the numbers are.
    """
    runs = list(dict.fromkeys(each.run for each in measured))
    days = {each.run: each.day for each in measured}
    curves = [
        Curve(
            name,
            [Point(runs.index(e.run) + 1, e.value, e.low, e.high) for e in measured if e.name == name],
        )
        for name in dict.fromkeys(each.name for each in measured)
    ]
    step = -(-len(runs) // _TICKS)
    ticks = [(place + 1.0, days[run]) for place, run in enumerate(runs) if place % step == 0]
    return Curves(curves, "runs, in the order of time", what, x_ticks=ticks)
