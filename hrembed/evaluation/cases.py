"""Single queries to look at: the worst of one model, and where two models differ most."""

from __future__ import annotations

import hashlib
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from hrembed.evaluation.slices import relevant_grades

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hrembed.types import Floats, Ints, Ranking, Task

_RELEVANT_SHOWN = 5


def worst_cases(task: Task, ranking: Ranking, values: Floats, *, n: int, top: int = 3) -> list[dict[str, Any]]:
    """Show the queries with the lowest values, and what was found in place of what should have been.

    Args:
        task: Queries, documents and grades.
        ranking: What stands first, shape (Q, K).
        values: One number per query, shape (Q,), higher is better; NaN where undefined, and left out.
        n: Most queries. Equal values are put in the order of a hash of the query's id.
        top: Most documents of `ranked_first`.

    Returns:
        For each query `query` (its id), `text`, `value`; `ranked_first`: `id`, `text`, `score`, and `grade` (None when
        nobody judged it) of the first documents; `relevant`: number of relevant documents; `should_have`: `id`, `text`,
        `grade` and `rank` (from 1; None when not in the ranking) of at most 5 of them, best grade first, then best
        rank, then in the order of the corpus.

    Raises:
        ValueError: The lengths differ.
    """
    _check_lengths(task, values, ranking.documents)
    places = {document.id: place for place, document in enumerate(task.documents)}
    rows = _lowest(task, values)[:n]
    return [{"value": float(values[row]), **_case(task, ranking, row, places, top)} for row in rows]


def won_lost(
    task: Task, first: Floats, second: Floats, ranking_first: Ranking, ranking_second: Ranking, *, n: int
) -> dict[str, Any]:
    """Count on how many queries the first model is better than the second, and show where most.

    Args:
        task: Queries, documents and grades.
        first: Values of the model, shape (Q,), higher is better, NaN where undefined.
        second: Values of the reference that it is compared with, shape (Q,).
        ranking_first: What stands first for the model, shape (Q, K).
        ranking_second: The same for the reference, of any depth.
        n: Most queries of each list.

    Returns:
        Numbers of queries `won` (first above second), `lost`, `tied` (exactly equal) and `undefined` (on either side);
        `most_won` and `most_lost`, largest difference first, equal ones in the order of a hash of the query's id:
        `query` (its id), `text`, `first` and `second` (values), `first_rank` and `second_rank`: where the relevant
        document that stands highest stands, from 1; None when none is in the ranking.

    Raises:
        ValueError: The lengths differ.
    """
    _check_lengths(task, first, second, ranking_first.documents, ranking_second.documents)
    delta = first - second
    won, lost = delta > 0, delta < 0
    side_by_side = partial(_side_by_side, task, (first, second), (ranking_first, ranking_second))
    return {
        "won": int(won.sum()),
        "lost": int(lost.sum()),
        "tied": int((delta == 0).sum()),
        "undefined": int(np.isnan(delta).sum()),
        "most_won": [side_by_side(row) for row in _lowest(task, np.where(won, -delta, np.nan))[:n]],
        "most_lost": [side_by_side(row) for row in _lowest(task, np.where(lost, delta, np.nan))[:n]],
    }


def _side_by_side(
    task: Task, values: tuple[Floats, Floats], rankings: tuple[Ranking, Ranking], row: int
) -> dict[str, Any]:
    first, second = (_best_rank(task, ranking, row) for ranking in rankings)
    return {
        "query": task.queries[row].id,
        "text": task.queries[row].text,
        "first": float(values[0][row]),
        "second": float(values[1][row]),
        "first_rank": first,
        "second_rank": second,
    }


def _check_lengths(task: Task, *columns: Floats | Ints) -> None:
    wrong = [len(column) for column in columns if len(column) != len(task.queries)]
    if wrong:
        raise ValueError(f"{len(task.queries)} queries, but {wrong[0]} values or rankings")


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


def _case(task: Task, ranking: Ranking, row: int, places: Mapping[str, int], top: int) -> dict[str, Any]:
    query = task.queries[row]
    return {
        "query": query.id,
        "text": query.text,
        "ranked_first": _ranked_first(task, ranking, row, top),
        "relevant": len(relevant_grades(task, query)),
        "should_have": _should_have(task, ranking, row, places),
    }


def _ranked_first(task: Task, ranking: Ranking, row: int, top: int) -> list[dict[str, Any]]:
    judged = task.qrels.get(task.queries[row].id, {})
    found = []
    for place, score in zip(ranking.documents[row, :top], ranking.scores[row, :top], strict=True):
        if place >= 0:
            document = task.documents[place]
            grade = judged.get(document.id)
            found.append({"id": document.id, "text": document.text, "score": float(score), "grade": grade})
    return found


def _should_have(task: Task, ranking: Ranking, row: int, places: Mapping[str, int]) -> list[dict[str, Any]]:
    relevant = relevant_grades(task, task.queries[row])
    ranks = _ranks(task, ranking, row)
    best_first = sorted(relevant, key=lambda key: (-relevant[key], ranks.get(key, np.inf), places[key]))
    return [
        {"id": key, "text": task.documents[places[key]].text, "grade": relevant[key], "rank": ranks.get(key)}
        for key in best_first[:_RELEVANT_SHOWN]
    ]
