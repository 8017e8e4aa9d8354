"""Single queries to look at: the worst of one model, and where two models differ most."""

from __future__ import annotations

import hashlib
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from hrembed.evaluation.slices import relevant_grades
from hrembed.records.cases import RankedDocument, RelevantDocument, SideBySide, TaskCases, WonLost, WorstCase

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from hrembed.types import Floats, Ints, Ranking, Task

_RELEVANT_SHOWN = 5


def worst_cases(task: Task, ranking: Ranking, values: Floats, *, n: int, top: int = 3) -> list[WorstCase]:
    """Show the queries with the lowest values, and what was found in place of what should have been.

    Args:
        task: Queries, documents and grades.
        ranking: What stands first, shape (Q, K).
        values: One number per query, shape (Q,), higher is better; NaN where undefined, and left out.
        n: Largest number of queries. Equal values are put in the order of a hash of the query's id.
        top: Largest number of documents in `ranked_first`.

    Returns:
        The queries, lowest value first, each with at most 5 of its relevant documents.

    Raises:
        ValueError: The lengths differ.
    """
    _check_lengths(task, values, ranking.documents)
    places = {document.id: place for place, document in enumerate(task.documents)}
    return [
        WorstCase(
            value=float(values[row]),
            query=task.queries[row].id,
            text=task.queries[row].text,
            ranked_first=_ranked_first(task, ranking, row, top),
            relevant=len(relevant_grades(task, task.queries[row])),
            should_have=_should_have(task, ranking, row, places),
        )
        for row in _lowest(task, values)[:n]
    ]


def won_lost(
    task: Task, first: Floats, second: Floats, ranking_first: Ranking, ranking_second: Ranking, *, n: int
) -> WonLost:
    """Count on how many queries the first model is better than the second, and show where most.

    Args:
        task: Queries, documents and grades.
        first: Values of the model, shape (Q,), higher is better, NaN where undefined.
        second: Values of the reference that it is compared with, shape (Q,).
        ranking_first: What stands first for the model, shape (Q, K).
        ranking_second: The same for the reference, of any depth.
        n: Largest number of queries in each list.

    Raises:
        ValueError: The lengths differ.
    """
    _check_lengths(task, first, second, ranking_first.documents, ranking_second.documents)
    delta = first - second
    won, lost = delta > 0, delta < 0
    side_by_side = partial(_side_by_side, task, (first, second), (ranking_first, ranking_second))
    return WonLost(
        won=int(won.sum()),
        lost=int(lost.sum()),
        tied=int((delta == 0).sum()),
        undefined=int(np.isnan(delta).sum()),
        most_won=tuple(side_by_side(row) for row in _lowest(task, np.where(won, -delta, np.nan))[:n]),
        most_lost=tuple(side_by_side(row) for row in _lowest(task, np.where(lost, delta, np.nan))[:n]),
    )


def texts_of(cases: TaskCases) -> Iterator[str]:
    """Give every text that the cases of a task hold."""
    for worst in cases.worst.values():
        for case in worst:
            yield case.text or ""
            yield from (document.text or "" for document in case.ranked_first)
            yield from (document.text or "" for document in case.should_have)
    for side in cases.won_and_lost.values():
        yield from (query.text or "" for query in (*side.most_won, *side.most_lost))


def redacted(cases: TaskCases, clean: Callable[[str], str]) -> TaskCases:
    """Pass every text of the cases through `clean`."""
    return _rewritten(cases, lambda text: None if text is None else clean(text), redacted=True)


def without_texts(cases: TaskCases) -> TaskCases:
    """Leave ids, ranks and grades, and no text."""
    return _rewritten(cases, lambda text: None, redacted=False)


_Shown = TypeVar("_Shown", WorstCase, SideBySide, RankedDocument, RelevantDocument)


def _rewritten(cases: TaskCases, rewrite: Callable[[str | None], str | None], *, redacted: bool) -> TaskCases:
    def each(shown: tuple[_Shown, ...]) -> tuple[_Shown, ...]:
        return tuple(one.model_copy(update={"text": rewrite(one.text)}) for one in shown)

    def both(case: WorstCase) -> WorstCase:
        shown = {"ranked_first": each(case.ranked_first), "should_have": each(case.should_have)}
        return case.model_copy(update={"text": rewrite(case.text), **shown})

    return TaskCases(
        worst={model: tuple(both(case) for case in worst) for model, worst in cases.worst.items()},
        won_and_lost={
            name: side.model_copy(update={"most_won": each(side.most_won), "most_lost": each(side.most_lost)})
            for name, side in cases.won_and_lost.items()
        },
        redacted=redacted,
    )


def _side_by_side(task: Task, values: tuple[Floats, Floats], rankings: tuple[Ranking, Ranking], row: int) -> SideBySide:
    query = task.queries[row]
    return SideBySide(
        query=query.id,
        text=query.text,
        first=float(values[0][row]),
        second=float(values[1][row]),
        first_rank=_best_rank(task, rankings[0], row),
        second_rank=_best_rank(task, rankings[1], row),
    )


def _check_lengths(task: Task, *columns: Floats | Ints) -> None:
    wrong = [len(column) for column in columns if len(column) != len(task.queries)]
    if wrong:
        raise ValueError(f"expected {len(task.queries)} values and rankings, one for each query, got {wrong[0]}")


def _lowest(task: Task, values: Floats) -> list[int]:
    """Positions of the defined values, lowest first."""

    def key(row: int) -> tuple[float, bytes]:
        return float(values[row]), hashlib.sha256(task.queries[row].id.encode()).digest()

    return sorted(np.flatnonzero(~np.isnan(values)).tolist(), key=key)


def _ranks(task: Task, ranking: Ranking, row: int) -> dict[str, int]:
    """Document id to rank, from 1, of one query."""
    return {task.documents[place].id: rank for rank, place in enumerate(ranking.documents[row], start=1) if place >= 0}


def _best_rank(task: Task, ranking: Ranking, row: int) -> int | None:
    relevant = relevant_grades(task, task.queries[row])
    return min((rank for key, rank in _ranks(task, ranking, row).items() if key in relevant), default=None)


def _ranked_first(task: Task, ranking: Ranking, row: int, top: int) -> tuple[RankedDocument, ...]:
    grades = task.qrels.get(task.queries[row].id, {})
    ranked = [
        (task.documents[place], float(score))
        for place, score in zip(ranking.documents[row, :top], ranking.scores[row, :top], strict=True)
        if place >= 0
    ]
    return tuple(
        RankedDocument(id=document.id, text=document.text, score=score, grade=grades.get(document.id))
        for document, score in ranked
    )


def _should_have(task: Task, ranking: Ranking, row: int, places: Mapping[str, int]) -> tuple[RelevantDocument, ...]:
    grades = relevant_grades(task, task.queries[row])
    ranks = _ranks(task, ranking, row)
    best_first = sorted(grades, key=lambda id_: (-grades[id_], ranks.get(id_, np.inf), places[id_]))
    return tuple(
        RelevantDocument(id=id_, text=task.documents[places[id_]].text, grade=grades[id_], rank=ranks.get(id_))
        for id_ in best_first[:_RELEVANT_SHOWN]
    )
