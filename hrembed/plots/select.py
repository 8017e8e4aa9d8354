"""Three pictures of a selection: quality against size, rank intervals, who is first under other weights."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from hrembed.files import writing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

# Okabe & Ito's palette, which colour-blind readers can tell apart.
_BLUE, _ORANGE, _GREY = "#0072B2", "#D55E00", "#999999"
_LABEL = 44
_NAMED = 12


class Place(NamedTuple):
    """A ranked model.

    Attributes:
        model: Its name.
        mean: Mean score or points.
        interval: Its ends.
        ranks: Best and worst rank that the tasks allow.
        tied: Whether it cannot be told from the first.
        front: Whether nothing else is better in everything.
        parameters: Its size; NaN when unknown.
    """

    model: str
    mean: float
    interval: tuple[float, float]
    ranks: tuple[int, int]
    tied: bool
    front: bool
    parameters: float


def draw_sizes(path: Path, places: Sequence[Place], label: str) -> None:
    """Draw quality with intervals over parameters into a PNG file; the best on the Pareto front are named.

    Raises:
        HrembedError: The file cannot be written.
    """
    figure, axes = _canvas(10, 5.2)
    for front, colour in ((False, _GREY), (True, _ORANGE)):
        drawn = [place for place in places if place.front == front and np.isfinite(place.parameters)]
        values = np.array([place.mean for place in drawn])
        ends = np.array([place.interval for place in drawn]).reshape(-1, 2)
        spread = np.abs(np.where(np.isfinite(ends), ends, values[:, None]) - values[:, None]).T
        name = "on the Pareto front" if front else "others"
        axes.errorbar(
            [place.parameters / 1e6 for place in drawn], values, yerr=spread, fmt="D" if front else "o", color=colour,
            markersize=4, capsize=2, elinewidth=0.7, label=name, alpha=1.0 if front else 0.6,
        )  # fmt: skip
    named = [place for place in places if place.front and np.isfinite(place.parameters)][:_NAMED]
    for n, place in enumerate(named, 1):
        axes.annotate(
            str(n), (place.parameters / 1e6, place.mean), xytext=(5, 3), textcoords="offset points", fontsize=8
        )
    names = "\n".join(f"{n}  {_short(place.model)}" for n, place in enumerate(named, 1))
    axes.text(1.02, 1.0, names, transform=axes.transAxes, va="top", fontsize=8, parse_math=False)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:,g}")
    axes.set_xlabel("parameters, millions")
    axes.set_ylabel(label)
    axes.set_title("Quality against size", loc="left", fontsize=11)
    axes.legend(frameon=False, fontsize=9, loc="lower right")
    _save(figure, path)


def draw_ranks(path: Path, places: Sequence[Place]) -> None:
    """Draw the interval of the rank of each model into a PNG file, in the order given.

    Raises:
        HrembedError: The file cannot be written.
    """
    figure, axes = _canvas(9, 1.3 + 0.24 * len(places))
    for n, place in enumerate(places):
        colour = _ORANGE if place.tied else _BLUE
        axes.plot(list(place.ranks), [n, n], color=colour, linewidth=3, solid_capstyle="round")
        axes.plot([n + 1], [n], "o", color=colour, markersize=5)
    axes.set_yticks(range(len(places)), [_short(place.model) for place in places])
    axes.set_ylim(len(places) - 0.5, -0.5)
    axes.set_xlabel("rank")
    axes.set_title("Ranks that the tasks allow; orange cannot be told from the first", loc="left", fontsize=11)
    _save(figure, path)


def draw_shares(path: Path, shares: Mapping[str, float]) -> None:
    """Draw how often each model is first under random weights of the tasks into a PNG file.

    Raises:
        HrembedError: The file cannot be written.
    """
    figure, axes = _canvas(9, 1.3 + 0.26 * len(shares))
    axes.barh(range(len(shares)), list(shares.values()), color=_BLUE)
    axes.set_yticks(range(len(shares)), [_short(name) for name in shares])
    axes.set_ylim(len(shares) - 0.5, -0.5)
    axes.set_xlabel("share of random weightings under which the model is first")
    axes.set_title("How much the first place depends on the weights of the tasks", loc="left", fontsize=11)
    _save(figure, path)


def _canvas(width: float, height: float) -> tuple[Any, Any]:
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    figure = Figure(figsize=(width, height), dpi=120, layout=ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.1))
    axes = figure.subplots()
    axes.grid(color="#dddddd")
    axes.set_axisbelow(True)
    for spine in ("top", "right"):
        axes.spines[spine].set_visible(False)
    return figure, axes


def _save(figure: Any, path: Path) -> None:
    for label in figure.axes[0].get_yticklabels():
        label.set_parse_math(False)
    with writing(path) as part, warnings.catch_warnings():
        # A script that the font lacks is drawn as boxes; the numbers are still right.
        warnings.simplefilter("ignore", UserWarning)
        figure.savefig(part, format="png", metadata={"Software": None})


def _short(text: str) -> str:
    return text if len(text) <= _LABEL else f"…{text[1 - _LABEL :]}"
