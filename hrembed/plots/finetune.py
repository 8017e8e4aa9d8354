"""Pictures of a training: loss and dev scores over its steps, gain and loss over the strength."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hrembed.files import writing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

# Okabe & Ito's palette, as in the pictures of an evaluation.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_MARKERS = "osD^vP"


def draw_training(
    path: Path, losses: Sequence[float], dev: Sequence[tuple[int, float]], base: float, best: int, metric: str
) -> None:
    """Draw loss and dev score over the steps into a PNG file; the kept step is marked.

    Args:
        path: The file.
        losses: One for each step.
        dev: (step, score), step 0 is before the training.
        base: Dev score of the base model.
        best: The kept step.
        metric: Name of the dev metric.

    Raises:
        HrembedError: The file cannot be written.
    """
    figure, (above, below) = _figure(2, (8, 5.5), sharex=True)
    steps = np.arange(1, len(losses) + 1)
    above.plot(steps, losses, color="#bbbbbb", linewidth=0.8, label="each step")
    above.plot(steps, _smooth(np.array(losses)), color=_COLOURS[0], linewidth=1.5, label="mean of the steps around")
    above.set_ylabel("loss")
    above.legend(frameon=False, fontsize=9, loc="lower left", bbox_to_anchor=(0, 1), ncols=2)
    below.plot(*zip(*dev, strict=True), marker="o", color=_COLOURS[1])
    below.axhline(base, color="#777777", linewidth=0.8, linestyle="--", label="the base model")
    below.axvline(best, color=_COLOURS[2], linewidth=0.8, label=f"kept: step {best}")
    below.set_ylabel(f"dev {metric}")
    below.set_xlabel("step")
    below.legend(frameon=False, fontsize=9, loc="lower right")
    _save(figure, path)


def draw_pretraining(
    path: Path, losses: Sequence[Mapping[str, float]], held_out: Sequence[Mapping[str, float]]
) -> None:
    """Draw the loss of masked language modelling over its steps into a PNG file.

    Args:
        path: The file.
        losses: Entries of `loss_history` in `pretraining`: `step` and `loss`, each a mean of the steps before it.
        held_out: Entries of `held_out`; step 0 is before the training.

    Raises:
        HrembedError: The file cannot be written.
    """
    figure, (axes,) = _figure(1, (8, 3.6))
    steps, values = ([entry[key] for entry in losses] for key in ("step", "loss"))
    axes.plot(steps, values, color="#bbbbbb", linewidth=0.8, label="training")
    axes.plot(steps, _smooth(np.array(values)), color=_COLOURS[0], linewidth=1.5, label="mean of the steps around")
    steps, values = ([entry[key] for entry in held_out] for key in ("step", "loss"))
    axes.plot(steps, values, color=_COLOURS[1], marker="o", label="texts held out")
    axes.set_ylabel("loss of a hidden token (nats)")
    axes.set_xlabel("step of masked language modelling")
    axes.legend(frameon=False, fontsize=9, loc="lower left", bbox_to_anchor=(0, 1), ncols=3)
    _save(figure, path)


def _smooth(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Mean over a window of a twentieth of the steps, narrower at the ends."""
    half = max(1, len(values) // 40)
    sums = np.concatenate([[0.0], np.cumsum(values)])
    places = np.arange(len(values))
    left, right = np.maximum(places - half, 0), np.minimum(places + half + 1, len(values))
    return np.asarray((sums[right] - sums[left]) / (right - left))


def draw_strengths(path: Path, points: Sequence[Mapping[str, Any]], chosen: float, dev: str) -> None:
    """Draw dev score and retention over the strength, with intervals, into a PNG file; the chosen one is marked.

    Args:
        path: The file.
        points: Entries of `strengths` in `metrics.json`.
        chosen: The strength that became the model.
        dev: Name of dev task and metric.

    Raises:
        HrembedError: The file cannot be written.
    """
    figure, (axes,) = _figure(1, (8, 4.2))
    curves = {dev: [point["dev"] for point in points]}
    for name in points[0]["retention"]:
        curves[f"{name} (outside of hiring)"] = [point["retention"][name] for point in points]
    for number, (name, entries) in enumerate(curves.items()):
        values = np.array([entry["value"] for entry in entries])
        spread = np.abs(np.array([entry["interval"] for entry in entries], dtype=float) - values[:, None]).T
        style = {"marker": _MARKERS[number % len(_MARKERS)], "color": _COLOURS[number % len(_COLOURS)]}
        places = [point["strength"] for point in points]
        axes.errorbar(places, values, yerr=np.nan_to_num(spread), capsize=3, label=name, **style)
    axes.axvline(chosen, color="#777777", linewidth=0.8, linestyle="--", label=f"chosen: {chosen:g}")
    axes.set_xlabel("strength: 0 is the base, 1 the tuned model")
    axes.set_ylabel("score")
    axes.legend(frameon=False, fontsize=9, loc="upper center", bbox_to_anchor=(0.5, -0.18), ncols=2)
    _save(figure, path)


def _figure(rows: int, size: tuple[float, float], *, sharex: bool = False) -> tuple[Any, list[Any]]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, dpi=120, layout="constrained")
    found = list(np.atleast_1d(figure.subplots(rows, 1, sharex=sharex)))
    for axes in found:
        axes.grid(axis="y", color="#dddddd")
        axes.set_axisbelow(True)
        for spine in ("top", "right"):
            axes.spines[spine].set_visible(False)
    return figure, found


def _save(figure: Any, path: Path) -> None:
    for axes in figure.axes:
        for text in (axes.get_legend().get_texts() if axes.get_legend() else []) + [axes.yaxis.label]:
            text.set_parse_math(False)  # a `$` in a name is no formula
    with writing(path) as part:
        figure.savefig(part, format="png", metadata={"Software": None})
