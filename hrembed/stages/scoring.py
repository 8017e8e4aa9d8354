"""The one place where a retrieval score is made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np

from hrembed.data.locate import locate
from hrembed.data.read import read_task
from hrembed.metrics.intervals import mean_interval, paired_difference
from hrembed.metrics.names import parse_metric
from hrembed.metrics.ranking import rank_gains
from hrembed.registry import resolve

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hrembed.config.schema import BootstrapSection, TaskSection
    from hrembed.metrics.intervals import Difference
    from hrembed.runs.record import Run
    from hrembed.types import Encoder, Estimate, Floats, Task


class _Options(TypedDict):
    confidence: float
    resamples: int
    unit: str


def open_task(section: TaskSection, run: Run) -> Task:
    """Read a task and record it in the run.

    Raises:
        DataError: It is missing or malformed.
    """
    folder = locate(section.path)
    task = read_task(folder, section.split)
    run.add_input(task.name, folder)
    return task


def score_task(encoder: Encoder, task: Task, metrics: Sequence[str]) -> dict[str, Floats]:
    """Rank all documents for every query, and score each ranking.

    Returns:
        Metric name to one value per query, shape (Q,), in the order of `task.queries`.
    """
    similarity = encoder.similarity([q.text for q in task.queries], [d.text for d in task.documents])
    ranked = rank_gains(similarity, gain_matrix(task))
    found = {}
    for name in metrics:
        metric = parse_metric(name)
        found[name] = resolve("metric", metric.name)(ranked, k=metric.k)
    return found


def gain_matrix(task: Task) -> Floats:
    """Grades of a task as a matrix, shape (Q, D); what is not judged counts 0."""
    column = {document.id: n for n, document in enumerate(task.documents)}
    gains = np.zeros((len(task.queries), len(task.documents)))
    for row, query in enumerate(task.queries):
        for document, grade in task.qrels[query.id].items():
            gains[row, column[document]] = grade
    return gains


def groups_of(task: Task) -> list[str]:
    """Group of each query; queries of one group are resampled together."""
    return [query.group for query in task.queries]


def estimate(values: Floats, task: Task, bootstrap: BootstrapSection) -> Estimate:
    """Mean of a metric over the queries of a task, with its interval."""
    return mean_interval(
        values, groups_of(task), rng=np.random.default_rng(bootstrap.seed), **_options(task, bootstrap)
    )


def compare(candidate: Floats, reference: Floats, task: Task, bootstrap: BootstrapSection) -> Difference:
    """Paired difference of two models on the queries of a task."""
    rng = np.random.default_rng(bootstrap.seed)
    return paired_difference(candidate, reference, groups_of(task), rng=rng, **_options(task, bootstrap))


def _options(task: Task, bootstrap: BootstrapSection) -> _Options:
    return {
        "confidence": bootstrap.confidence,
        "resamples": bootstrap.resamples,
        "unit": "query groups" if any(groups_of(task)) else "queries",
    }


def as_json(estimate: Estimate) -> dict[str, Any]:
    """Write an estimate as it stands in `metrics.json`."""
    return {
        "value": estimate.value,
        "interval": [estimate.low, estimate.high],
        "n": estimate.n,
        "unit": estimate.unit,
    }


def shown(entry: Mapping[str, Any], *, sign: bool = False) -> str:
    """Write an entry of `metrics.json` for a table: `0.712 [0.680, 0.744]`, with a sign for differences."""
    form = "+.3f" if sign else ".3f"
    low, high = entry["interval"]
    return f"{entry['value']:{form}} [{low:{form}}, {high:{form}}]"
