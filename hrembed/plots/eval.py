"""Pictures of an evaluation: every model on every task, and every difference, with intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hrembed.plots.svg import Intervals, Row, mark_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hrembed.plots.svg import Mark
    from hrembed.records.eval import Comparison, EvalRecord


def scores_chart(record: EvalRecord) -> Intervals:
    """A row for each task, a mark with an interval for each model; tasks and models in the order of the record."""
    models = list(dict.fromkeys(name for scores in record.scores.values() for name in scores))
    rows = []
    for task, scores in record.scores.items():
        metric = record.headlines[task]
        marks = [mark_of(scores[model][metric], series=models.index(model)) for model in scores]
        rows.append(Row(f"{task}: {metric}", marks))
    return Intervals(rows, f"score, with its {100 * record.confidence:g} % interval", series=models)


def differences_chart(rows: Sequence[Comparison], delta: float, confidence: float) -> Intervals:
    """A row for each comparison of two models; differences within δ do not matter.

    Args:
        rows: Comparisons.
        delta: Largest difference that does not matter.
        confidence: Level of the intervals.
    """
    drawn = [Row(f"{row.model} - {row.reference}, {row.task}", [_shown(row)]) for row in rows]
    axis = f"difference, with its {100 * confidence:g} % interval: right of 0 the first model is better"
    words = f"shaded: a difference of up to {delta:g} does not matter (δ, a setting)"
    return Intervals(drawn, axis, band=(-delta, delta), band_words=words, zero=0.0)


def _shown(row: Comparison) -> Mark:
    return mark_of(row.difference, sign=True)
