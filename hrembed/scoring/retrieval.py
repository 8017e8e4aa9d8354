"""The one place where a retrieval score is made."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypedDict

import numpy as np

from hrembed.config.parts import form_of
from hrembed.data.locate import locate
from hrembed.data.read import read_task
from hrembed.evaluation.search import graded, rank_all, rank_candidates
from hrembed.metrics.intervals import mean_interval, paired_difference
from hrembed.metrics.names import parse_metric
from hrembed.registry import resolve
from hrembed.scoring.self_retrieval import exclude_self, without_self
from hrembed.scoring.tasks import items_of
from hrembed.types import TaskRanker

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hrembed.config.parts import BootstrapSection, TaskSection
    from hrembed.metrics.intervals import Difference
    from hrembed.runs.record import Run
    from hrembed.scoring.tasks import AnyTask
    from hrembed.types import Encoder, Estimate, Floats, Ints, Ranking, Similarity, Task

DEPTH = 1000
MEMORY_MB = 512


class _Options(TypedDict):
    confidence: float
    resamples: int
    unit: str


def open_task(section: TaskSection, run: Run) -> Task:
    """Read a retrieval task and record it in the run.

    Raises:
        DataError: It is missing or malformed.
    """
    folder = locate(section.path)
    task = read_task(folder, section.split, form_of(section))
    task = exclude_self(replace(task, name=section.name or task.name), section.exclude_self)
    run.add_input(task.name, folder)
    for warning in task.warnings:
        run.warn(warning)
    return task


def rank_task(encoder: Encoder, task: Task, *, depth: int = DEPTH, memory_mb: int = MEMORY_MB) -> Ranking:
    """Rank the documents (or the candidates) of a task for every query; documents without a text are never ranked.

    Args:
        encoder: Scores queries and documents.
        task: What is asked, and of what.
        depth: Ranks that are kept.
        memory_mb: Memory for a block of scores, in MB.

    Raises:
        ModelError: A text cannot be embedded.
        DataError: The search of an index holds other documents.
    """
    if isinstance(encoder, TaskRanker):
        return encoder.rank(task, depth)
    queries = [query.text for query in task.queries]
    similarity = encoder.similarity(queries, texts_to_rank(task), instruction=task.instruction)
    return rank_similarity(similarity, task, depth=depth, memory_mb=memory_mb)


def texts_to_rank(task: Task) -> list[str]:
    """Texts of the documents of a task that have one, in order."""
    return [document.text for document in task.documents if document.text]


def rank_similarity(similarity: Similarity, task: Task, *, depth: int = DEPTH, memory_mb: int = MEMORY_MB) -> Ranking:
    """Rank as `rank_task` does, by the similarity of the queries to `texts_to_rank`."""
    places = np.array([n for n, document in enumerate(task.documents) if document.text], dtype=np.int64)
    if task.candidates is None:
        ranking = rank_all(similarity, depth=depth + bool(task.excluded), memory_mb=memory_mb)
    else:
        column = {task.documents[place].id: n for n, place in enumerate(places)}
        candidates = [[id_ for id_ in task.candidates[query.id] if id_ in column] for query in task.queries]
        given: list[Ints] = [np.array([column[id_] for id_ in ids], dtype=np.int64) for ids in candidates]
        ranking = rank_candidates(similarity, given, depth=depth)
    if len(places) < len(task.documents):
        ranking = ranking._replace(documents=np.where(ranking.documents >= 0, places[ranking.documents], -1))
    return without_self(task, ranking, depth) if task.candidates is None else ranking


def score_ranking(task: Task, ranking: Ranking, metrics: Sequence[str]) -> dict[str, Floats]:
    """Score a ranking.

    Returns:
        Metric name to one value per query, shape (Q,), in the order of `task.queries`; NaN where undefined.
    """
    ranked = graded(task, ranking)
    values = {}
    for name in metrics:
        metric = parse_metric(name)
        values[name] = resolve("metric", metric.name)(ranked, k=metric.k)
    return values


def score_task(encoder: Encoder, task: Task, metrics: Sequence[str]) -> dict[str, Floats]:
    """Rank all documents for every query, and score each ranking; returns what `score_ranking` does."""
    return score_ranking(task, rank_task(encoder, task), metrics)


def groups_of(task: AnyTask) -> list[str]:
    """Group of each item, such as a query; items of one group are resampled together."""
    return [item.group for item in items_of(task)]


def estimate(values: Floats, groups: Sequence[str], bootstrap: BootstrapSection) -> Estimate:
    """Mean of a metric over the items of a task, with its interval."""
    return mean_interval(values, groups, rng=np.random.default_rng(bootstrap.seed), **_options(groups, bootstrap))


def compare(candidate: Floats, reference: Floats, groups: Sequence[str], bootstrap: BootstrapSection) -> Difference:
    """Paired difference of two models on the items of a task."""
    rng = np.random.default_rng(bootstrap.seed)
    return paired_difference(candidate, reference, groups, rng=rng, **_options(groups, bootstrap))


def _options(groups: Sequence[str], bootstrap: BootstrapSection) -> _Options:
    return {"confidence": bootstrap.confidence, "resamples": bootstrap.resamples, "unit": unit_of(groups)}


def unit_of(groups: Sequence[str]) -> str:
    """Word for what is resampled."""
    return "groups" if any(groups) else "items"
