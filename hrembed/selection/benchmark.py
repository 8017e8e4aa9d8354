"""The tasks of a benchmark: which cells of them count, and what their texts look like."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hrembed.errors import DataError
from hrembed.registry import nearest

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from hrembed.types import Floats

_DECADES = 0.5  # texts that are three times as long are half as relevant as one of the same length, roughly
_OTHER_KIND = 1.0  # a task that is no search stands as far away as one with texts of ten times the length
_SEARCH = {"Retrieval", "Reranking", "InstructionRetrieval", "InstructionReranking", "MultilabelRetrieval"}


@dataclass(frozen=True)
class Shape:
    """What the texts of a task look like.

    Attributes:
        query: Mean characters of a query, or of the first text of a pair; None where texts are not paired.
        document: Mean characters of a document, or of the second text.
        relevant: Mean number of relevant documents of a query; None where there are none.
    """

    query: float | None
    document: float
    relevant: float | None


@dataclass(frozen=True)
class BenchmarkTask:
    """One task.

    Attributes:
        name: As mteb calls it.
        kind: mteb's type, for example `Retrieval`.
        cells: Splits and subsets whose scores make the score of the task; None takes whatever is there.
        shape: What its texts look like; None where mteb ships no statistics.
    """

    name: str
    kind: str
    cells: frozenset[tuple[str, str]] | None = None
    shape: Shape | None = None


def benchmark_tasks(benchmark: str, kinds: Collection[str]) -> list[BenchmarkTask]:
    """Tasks of an mteb benchmark that are of the given types (all where none is given), sorted by name.

    Raises:
        DataError: The installed mteb has no such benchmark, or it has no task of these types.
    """
    import mteb

    try:
        present = mteb.get_benchmark(benchmark).tasks
    except (KeyError, ValueError):
        known = [item.name for item in mteb.get_benchmarks()]
        raise DataError(
            f"the installed mteb has no benchmark '{benchmark}'{nearest(benchmark, known)}", hint="try 'MTEB(eng, v2)'"
        ) from None
    tasks = [_task(task) for task in present if not kinds or task.metadata.type in kinds]
    if not tasks:
        types = sorted({task.metadata.type for task in present})
        raise DataError(f"'{benchmark}' has no tasks of type {', '.join(kinds)}; available: {', '.join(types)}")
    return sorted(tasks, key=lambda task: task.name)


def named_tasks(names: Sequence[str], benchmark: str) -> list[BenchmarkTask]:
    """Tasks by name, as the benchmark cuts them where it has them.

    A name that mteb does not know is taken as a task of the user's own, all of whose rows count.

    Raises:
        DataError: The installed mteb has no such benchmark.
    """
    import mteb

    known = {task.name: task for task in benchmark_tasks(benchmark, ())}
    for name in set(names) - set(known):
        try:
            known[name] = _task(mteb.get_task(name))
        except KeyError:
            known[name] = BenchmarkTask(name, "own")
    return [known[name] for name in sorted(set(names))]


def _task(task: Any) -> BenchmarkTask:
    """Describe a task of mteb (`AbsTask`)."""
    splits, subsets = list(task.eval_splits), list(task.hf_subsets)
    cells = frozenset((split, subset) for split in splits for subset in subsets)
    statistics = task.metadata.descriptive_stats or {}
    return BenchmarkTask(task.metadata.name, task.metadata.type, cells, _shape(statistics.get(splits[0])))


def _shape(statistics: Mapping[str, Any] | None) -> Shape | None:
    """Read the descriptive statistics that mteb ships as JSON; their keys depend on the type of the task."""
    if not statistics:
        return None
    for first, second in (("queries_text", "documents_text"), ("text1", "text2")):
        document = _mean_length(statistics, second)
        if document is not None:
            relevant = (statistics.get("relevant_docs_statistics") or {}).get("average_relevant_docs_per_query")
            return Shape(_mean_length(statistics, first), document, relevant)
    alone = _mean_length(statistics, "text")
    return None if alone is None else Shape(None, alone, None)


def _mean_length(statistics: Mapping[str, Any], side: str) -> float | None:
    length = (statistics.get(f"{side}_statistics") or {}).get("average_text_length")
    return None if length is None else max(float(length), 1.0)


def like_mine(tasks: Sequence[BenchmarkTask], mine: Shape) -> Floats:
    """Weigh tasks by how much their texts look like the user's.

    The distance is Euclidean over the logarithms (base 10) of query length, document length and relevant documents for
    a query, plus one for a task that is no search; the weight falls with it like a bell of width half a decade. A side
    that a task does not have, or that is not known, counts as a decade away.

    Args:
        tasks: Tasks of the benchmark.
        mine: The user's.

    Returns:
        Weights, shape (T,), summing to 1.
    """
    weights: Floats = np.array([np.exp(-_distance(task, mine) / (2 * _DECADES**2)) for task in tasks])
    return np.asarray(weights / weights.sum())


def _distance(task: BenchmarkTask, mine: Shape) -> float:
    """Squared distance in decades."""
    query, document = (None, None) if task.shape is None else (task.shape.query, task.shape.document)
    distance = _squared_decades(query, mine.query) + _squared_decades(document, mine.document)
    if task.shape is not None and task.shape.relevant and mine.relevant:
        # A quarter of it, since how many documents were judged differs between benchmarks.
        distance += _squared_decades(task.shape.relevant, mine.relevant) / 4
    return distance + (0.0 if task.kind in _SEARCH else _OTHER_KIND)


def _squared_decades(first: float | None, second: float | None) -> float:
    """Squared difference of the logarithms; 1 where a side is unknown."""
    if first is None or second is None:
        return 1.0
    return float(np.log10(max(first, 1.0) / max(second, 1.0)) ** 2)
