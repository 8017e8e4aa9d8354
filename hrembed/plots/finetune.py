"""Pictures of a training: loss and dev scores over its steps, dev score and retention over the strength."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hrembed.files import writing

if TYPE_CHECKING:
    from pathlib import Path

    from hrembed.records.finetune import FinetuneRecord, Pretraining
    from hrembed.types import Floats

# Okabe & Ito's palette, as in the pictures of an evaluation.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_MARKERS = "osD^vP"


def draw_training(path: Path, record: FinetuneRecord) -> None:
    """Draw loss and dev score over the steps into a PNG file; the kept step is marked.

    Args:
        path: The file.
        record: The training.

    Raises:
        HrembedError: The file cannot be written.
    """
    figure, (above, below) = _figure(2, (8, 5.5), sharex=True)
    losses = np.array(record.loss_history)
    steps = np.arange(1, len(losses) + 1)
    above.plot(steps, losses, color="#bbbbbb", linewidth=0.8, label="each step")
    above.plot(steps, _smooth(losses), color=_COLOURS[0], linewidth=1.5, label="mean of the steps around")
    above.set_ylabel("loss")
    above.legend(frameon=False, fontsize=9, loc="lower left", bbox_to_anchor=(0, 1), ncols=2)
    dev_steps, dev_scores = [dev.step for dev in record.dev_history], [dev.score for dev in record.dev_history]
    below.plot(dev_steps, dev_scores, marker="o", color=_COLOURS[1])
    below.axhline(record.base.value, color="#777777", linewidth=0.8, linestyle="--", label="the base model")
    below.axvline(record.best_step, color=_COLOURS[2], linewidth=0.8, label=f"kept: step {record.best_step}")
    below.set_ylabel(f"dev {record.metric}")
    below.set_xlabel("step")
    below.legend(frameon=False, fontsize=9, loc="lower right")
    _save(figure, path)


def draw_pretraining(path: Path, pretraining: Pretraining) -> None:
    """Draw the loss of masked language modelling over its steps into a PNG file.

    Args:
        path: The file.
        pretraining: Its losses in training and on texts that were held out.

    Raises:
        HrembedError: The file cannot be written.
    """
    figure, (axes,) = _figure(1, (8, 3.6))
    steps, losses = [mean.step for mean in pretraining.loss_history], [mean.loss for mean in pretraining.loss_history]
    axes.plot(steps, losses, color="#bbbbbb", linewidth=0.8, label="training")
    axes.plot(steps, _smooth(np.array(losses)), color=_COLOURS[0], linewidth=1.5, label="mean of the steps around")
    steps, losses = [point.step for point in pretraining.held_out], [point.loss for point in pretraining.held_out]
    axes.plot(steps, losses, color=_COLOURS[1], marker="o", label="texts held out")
    axes.set_ylabel("loss of a hidden token (nats)")
    axes.set_xlabel("step of masked language modelling")
    axes.legend(frameon=False, fontsize=9, loc="lower left", bbox_to_anchor=(0, 1), ncols=3)
    _save(figure, path)


def _smooth(values: Floats) -> Floats:
    """Mean over a window of a twentieth of the steps, narrower at the ends."""
    half = max(1, len(values) // 40)
    sums = np.concatenate([[0.0], np.cumsum(values)])
    places = np.arange(len(values))
    left, right = np.maximum(places - half, 0), np.minimum(places + half + 1, len(values))
    return np.asarray((sums[right] - sums[left]) / (right - left))


def draw_strengths(path: Path, record: FinetuneRecord) -> None:
    """Draw dev score and retention over the strength, with intervals, into a PNG file; the chosen one is marked.

    Args:
        path: The file.
        record: The training, scored at one strength or more.

    Raises:
        HrembedError: The file cannot be written.
    """
    figure, (axes,) = _figure(1, (8, 4.2))
    points = record.strengths
    curves = {f"{record.task}, {record.metric} (dev)": [point.dev for point in points]}
    for task in points[0].retention:
        curves[f"{task} (outside of hiring)"] = [point.retention[task] for point in points]
    for number, (name, scores) in enumerate(curves.items()):
        values = np.array([score.value for score in scores])
        spread = np.abs(np.array([[score.low, score.high] for score in scores]) - values[:, None]).T
        style = {"marker": _MARKERS[number % len(_MARKERS)], "color": _COLOURS[number % len(_COLOURS)]}
        places = [point.strength for point in points]
        axes.errorbar(places, values, yerr=np.nan_to_num(spread), capsize=3, label=name, **style)
    label = f"chosen: {record.strength:g}"
    axes.axvline(record.strength, color="#777777", linewidth=0.8, linestyle="--", label=label)
    axes.set_xlabel("strength: 0 is the base, 1 the tuned model")
    axes.set_ylabel("score")
    axes.legend(frameon=False, fontsize=9, loc="upper center", bbox_to_anchor=(0.5, -0.18), ncols=2)
    _save(figure, path)


def _figure(rows: int, size: tuple[float, float], *, sharex: bool = False) -> tuple[Any, list[Any]]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, dpi=120, layout="constrained")
    panels = list(np.atleast_1d(figure.subplots(rows, 1, sharex=sharex)))
    for axes in panels:
        axes.grid(axis="y", color="#dddddd")
        axes.set_axisbelow(True)
        for spine in ("top", "right"):
            axes.spines[spine].set_visible(False)
    return figure, panels


def _save(figure: Any, path: Path) -> None:
    for axes in figure.axes:
        for text in (axes.get_legend().get_texts() if axes.get_legend() else []) + [axes.yaxis.label]:
            text.set_parse_math(False)  # a `$` in a name is no formula
    with writing(path) as part:
        figure.savefig(part, format="png", metadata={"Software": None})
