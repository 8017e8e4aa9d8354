"""Three pictures of a selection: quality against size, rank intervals, who is first under other weights."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from hrembed.files import writing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from hrembed.records.select import RankedModel

# Okabe & Ito's palette, which colour-blind readers can tell apart.
_BLUE, _ORANGE, _GREY = "#0072B2", "#D55E00", "#999999"
_LABEL = 44
_NAMED = 12


def draw_sizes(path: Path, models: Sequence[RankedModel], label: str) -> None:
    """Draw quality with intervals over parameters into a PNG file; the best on the Pareto front are named.

    Args:
        path: The file.
        models: Best first; those of unknown size are left out.
        label: What their points are.

    Raises:
        HrembedError: The file cannot be written.
    """
    figure, axes = _canvas(10, 5.2)
    sizes = {model.model: model.parameters / 1e6 for model in models if model.parameters is not None}
    models = [model for model in models if model.model in sizes]
    for front, colour in ((False, _GREY), (True, _ORANGE)):
        drawn = [model for model in models if model.pareto_front == front]
        values = np.array([model.points.value for model in drawn])
        ends = np.array([(model.points.low, model.points.high) for model in drawn]).reshape(-1, 2)
        spread = np.abs(np.where(np.isfinite(ends), ends, values[:, None]) - values[:, None]).T
        axes.errorbar(
            [sizes[model.model] for model in drawn],
            values,
            yerr=spread,
            fmt="D" if front else "o",
            color=colour,
            markersize=4,
            capsize=2,
            elinewidth=0.7,
            label="on the Pareto front" if front else "others",
            alpha=1.0 if front else 0.6,
        )
    named = [model for model in models if model.pareto_front][:_NAMED]
    for n, model in enumerate(named, 1):
        place = sizes[model.model], model.points.value
        axes.annotate(str(n), place, xytext=(5, 3), textcoords="offset points", fontsize=8)
    names = "\n".join(f"{n}  {_short(model.model)}" for n, model in enumerate(named, 1))
    axes.text(1.02, 1.0, names, transform=axes.transAxes, va="top", fontsize=8, parse_math=False)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:,g}")
    axes.set_xlabel("parameters, millions")
    axes.set_ylabel(label)
    axes.set_title("Quality against size", loc="left", fontsize=11)
    axes.legend(frameon=False, fontsize=9, loc="lower right")
    _save(figure, path)


def draw_ranks(path: Path, models: Sequence[RankedModel]) -> None:
    """Draw the interval of the rank of each model into a PNG file, in the order given.

    Raises:
        HrembedError: The file cannot be written.
    """
    figure, axes = _canvas(9, 1.3 + 0.24 * len(models))
    for n, model in enumerate(models):
        colour = _ORANGE if model.tied_with_first else _BLUE
        axes.plot(list(model.rank_interval), [n, n], color=colour, linewidth=3, solid_capstyle="round")
        axes.plot([n + 1], [n], "o", color=colour, markersize=5)
    axes.set_yticks(range(len(models)), [_short(model.model) for model in models])
    axes.set_ylim(len(models) - 0.5, -0.5)
    axes.set_xlabel("rank")
    axes.set_title(
        "Ranks consistent with the tasks; orange: statistically tied with the first", loc="left", fontsize=11
    )
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
    axes.set_title("How much first place depends on the task weights", loc="left", fontsize=11)
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
