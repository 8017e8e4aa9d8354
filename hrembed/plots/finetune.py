"""Pictures of a training: loss and dev scores over its steps, dev score and retention over the strength, layers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hrembed.plots.eval import differences_chart
from hrembed.plots.svg import Curve, Curves, Line, Point

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hrembed.plots.svg import Chart
    from hrembed.records.finetune import FinetuneRecord, Pretraining
    from hrembed.types import Floats

_POINTS = 300  # of a curve; more cannot be seen


def charts(record: FinetuneRecord) -> Mapping[str, tuple[str, Chart, str]]:
    """Draw everything there is to see of a training.

    Returns:
        Name of the file without its ending -> title, chart, what is to be seen in words.
    """
    found: dict[str, tuple[str, Chart, str]] = {
        "dev": (
            f"Score on the dev task {record.task} over the steps",
            dev_chart(record),
            f"{record.metric} on the dev task over the steps; the kept step {record.best_step} is marked.",
        )
    }
    for name, (words, losses) in loss_curves(record).items():
        last = _smooth(losses[1])[-1]
        found[name] = (
            f"Loss of the training: {words}",
            loss_chart(*losses),
            f"Loss over the steps; at the end about {last:.3f}.",
        )
    compared = [*record.tests, *record.retention]
    if compared:
        chart = differences_chart(compared, record.delta, record.confidence)
        words = "; ".join(f"{row.task} {row.difference.value:+.3f}" for row in compared)
        found["differences"] = ("Tuned model against its base on tasks that took no part in the training", chart, words)
    if record.strengths:
        alt = "Scores over the strength from base to tuned model, on the dev task and outside of hiring."
        found["strengths"] = ("What a part of the training keeps and loses", strengths_chart(record), alt)
    if record.pretraining is not None:
        alt = "Loss of hidden tokens over the steps, in training and on texts held out."
        title = "Masked language modelling from random weights"
        found["pretraining"] = (title, pretraining_chart(record.pretraining), alt)
    return found


def loss_curves(record: FinetuneRecord) -> dict[str, tuple[str, tuple[Sequence[int], Floats]]]:
    """Divide the losses of the steps by the loss that was computed, since each has a scale of its own.

    Returns:
        Name of a file -> the loss with its sources in words, its steps from 1, and its values. All steps together
        where the run does not say which source a step was of.
    """
    losses = np.array(record.loss_history)
    if not len(losses):
        return {}
    if len(record.step_sources) != len(losses):
        names = " and ".join(dict.fromkeys(source.loss for source in record.sources))
        return {"training": (names, (range(1, len(losses) + 1), losses))}
    found: dict[str, tuple[str, tuple[Sequence[int], Floats]]] = {}
    of_step = np.array([record.sources[source].loss for source in record.step_sources])
    for number, loss in enumerate(dict.fromkeys(of_step)):
        steps = np.flatnonzero(of_step == loss)
        name = "training" if number == 0 else f"training-{number + 1}"
        found[name] = (str(loss), ((steps + 1).tolist(), losses[steps]))
    return found


def loss_chart(steps: Sequence[int], losses: Floats) -> Curves:
    """One loss over the steps at which it was computed, and its mean over the steps around."""
    each = Curve("each step", _points(steps, losses), marked=False, faint=True, series=6)
    mean = Curve("mean of the steps around", _points(steps, _smooth(losses)), marked=False, series=0)
    return Curves([each, mean], "step", "loss", height=170)


def dev_chart(record: FinetuneRecord) -> Curves:
    """Dev score over the steps; base and kept step are marked."""
    points = [Point(dev.step, dev.score) for dev in record.dev_history]
    base = Line(record.base.value, f"the base model, {record.base.value:.3f}")
    kept = Line(record.best_step, f"kept: step {record.best_step}", "edge")
    return Curves([Curve("", points)], "step", record.metric, across=[base], upright=[kept], height=170)


def pretraining_chart(pretraining: Pretraining) -> Curves:
    """Loss of masked language modelling over its steps."""
    steps, losses = [mean.step for mean in pretraining.loss_history], [mean.loss for mean in pretraining.loss_history]
    curves = [
        Curve("training", _points(steps, np.array(losses)), marked=False, faint=True, series=6),
        Curve("mean of the steps around", _points(steps, _smooth(np.array(losses))), marked=False, series=0),
        Curve("texts held out", [Point(point.step, point.loss) for point in pretraining.held_out], series=1),
    ]
    return Curves(curves, "step of masked language modelling", "loss of a hidden token (nats)")


def strengths_chart(record: FinetuneRecord) -> Curves:
    """Dev score and retention over the strength, with intervals; the chosen one is marked."""
    points = record.strengths
    curves = {f"{record.task}, {record.metric} (dev task)": [point.dev for point in points]}
    for task in points[0].retention:
        curves[f"{task} (outside of hiring)"] = [point.retention[task] for point in points]
    drawn = [
        Curve(
            name,
            [
                Point(point.strength, score.value, score.low, score.high)
                for point, score in zip(points, scores, strict=True)
            ],
        )
        for name, scores in curves.items()
    ]
    chosen = Line(record.strength, f"chosen: {record.strength:g}", "edge")
    return Curves(drawn, "strength: 0 is the base, 1 the tuned model", "score", upright=[chosen])


def _points(steps: Sequence[int], values: Floats) -> list[Point]:
    """Points of a curve; of many, so many that more could not be seen."""
    shown = np.unique(np.linspace(0, len(values) - 1, min(len(values), _POINTS)).astype(int))
    return [Point(steps[place], float(values[place])) for place in shown]


def _smooth(values: Floats) -> Floats:
    """Mean over a window of a twentieth of the steps, narrower at the ends."""
    half = max(1, len(values) // 40)
    sums = np.concatenate([[0.0], np.cumsum(values)])
    places = np.arange(len(values))
    left, right = np.maximum(places - half, 0), np.minimum(places + half + 1, len(values))
    return np.asarray((sums[right] - sums[left]) / (right - left))
