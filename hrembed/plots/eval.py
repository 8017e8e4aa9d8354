"""One picture of an evaluation: every model on every task, with intervals."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from hrembed.files import writing

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

# Okabe & Ito's palette, which colour-blind readers can tell apart; markers tell the models apart without colour.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#999999", "#000000")
_MARKERS = "osD^vPX*"
_LABEL = 40


class Dot(NamedTuple):
    """One model on one task.

    Attributes:
        task: What is written at the left.
        model: What the colour stands for.
        value: The headline metric; NaN is not drawn.
        low: Lower end of its interval.
        high: Upper end.
    """

    task: str
    model: str
    value: float
    low: float
    high: float


def draw_scores(path: Path, dots: Sequence[Dot], title: str) -> None:
    """Draw a row for each task and a dot with an interval for each model into a PNG file.

    The same content gives the same bytes. Tasks stand in the order in which they first come, models as well.

    Raises:
        HrembedError: The file cannot be written.
    """
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    tasks = list(dict.fromkeys(dot.task for dot in dots))
    models = list(dict.fromkeys(dot.model for dot in dots))
    height = 1.3 + len(tasks) * (0.25 + 0.17 * len(models))
    figure = Figure(figsize=(9, height), dpi=120, layout=ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.1))
    axes = figure.subplots()
    for number, model in enumerate(models):
        _draw_model(axes, [dot for dot in dots if dot.model == model], tasks, number, len(models))
    axes.set_yticks(range(len(tasks)), [_short(task) for task in tasks])
    for label in axes.get_yticklabels():
        label.set_parse_math(False)
    axes.set_ylim(len(tasks) - 0.5, -0.5)
    axes.set_title(title, loc="left", fontsize=11)
    axes.grid(axis="x", color="#dddddd")
    axes.set_axisbelow(True)
    for spine in ("top", "right", "left"):
        axes.spines[spine].set_visible(False)
    axes.tick_params(axis="y", length=0)
    legend = axes.legend(loc="upper left", bbox_to_anchor=(0, -0.12), ncols=4, frameon=False, fontsize=9)
    for text in legend.get_texts():
        text.set_parse_math(False)
    with writing(path) as part, warnings.catch_warnings():
        # A script that the font lacks is drawn as boxes; the numbers are still right.
        warnings.simplefilter("ignore", UserWarning)
        figure.savefig(part, format="png", metadata={"Software": None})


def _draw_model(axes: Any, dots: Sequence[Dot], tasks: Sequence[str], number: int, models: int) -> None:
    drawn = [dot for dot in dots if np.isfinite(dot.value)]
    offset = 0.0 if models == 1 else 0.6 * (number / (models - 1) - 0.5)
    places = [tasks.index(dot.task) + offset for dot in drawn]
    values = np.array([dot.value for dot in drawn])
    ends = np.array([[dot.low, dot.high] for dot in drawn]).reshape(-1, 2)
    ends = np.where(np.isfinite(ends), ends, values[:, None])
    spread = np.abs(ends - values[:, None]).T
    colour, marker = _COLOURS[number % len(_COLOURS)], _MARKERS[number % len(_MARKERS)]
    style = {"fmt": marker, "color": colour, "markersize": 5, "capsize": 2}
    axes.errorbar(values, places, xerr=spread, label=_short(dots[0].model), **style)


def _short(text: str) -> str:
    return text if len(text) <= _LABEL else f"…{text[1 - _LABEL :]}"
