"""Queries that are documents of the corpus: without a rule each finds itself first, which says nothing about a model.

BEIR's evaluation and mteb's tasks of that kind (ArguAna, Quora) leave a document with the id of the query out.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from hrembed.text import normalise
from hrembed.types import Ranking

if TYPE_CHECKING:
    from hrembed.types import Task, Text


def exclude_self(task: Task, exclude: bool | None) -> Task:
    """Note which documents are not ranked for their own query, and warn of it.

    Args:
        task: As it was read.
        exclude: True leaves out every document with the id of the query, also where it is judged; False none; None
            those whose text is that of the query and that are not judged relevant to it.
    """
    documents = {document.id: document for document in task.documents}
    shared = [query for query in task.queries if query.id in documents]
    itself = [query for query in shared if _is_same(query, documents[query.id])]
    relevant = {query.id for query in shared if task.qrels.get(query.id, {}).get(query.id, 0) > 0}
    if exclude:
        excluded = frozenset(query.id for query in shared)
    elif exclude is None:
        excluded = frozenset(query.id for query in itself) - relevant
    else:
        excluded = frozenset()
    warnings = _warnings(task, exclude, excluded, {query.id for query in itself}, relevant)
    if not excluded:
        return replace(task, warnings=(*task.warnings, *warnings)) if warnings else task
    qrels = {
        query: {document: grade for document, grade in judged.items() if document != query or query not in excluded}
        for query, judged in task.qrels.items()
    }
    candidates = task.candidates and {
        query: tuple(document for document in ranked if document != query or query not in excluded)
        for query, ranked in task.candidates.items()
    }
    return replace(task, qrels=qrels, candidates=candidates, excluded=excluded, warnings=(*task.warnings, *warnings))


def _warnings(
    task: Task, exclude: bool | None, excluded: frozenset[str], itself: set[str], relevant: set[str]
) -> list[str]:
    name, queries = task.name, f"of {len(task.queries):,} queries"
    if excluded:
        rule = "" if exclude else " (set `exclude_self: false` to rank them)"
        return [
            (
                f"{name}: {len(excluded):,} {queries} are also documents of the corpus; each is excluded from "
                f"its own ranking, as in BEIR and mteb{rule}"
            )
        ]
    if exclude:
        return [f"{name}: `exclude_self` has no effect, because no query has the id of a document"]
    if itself and exclude is None:
        return [
            (
                f"{name}: {len(itself & relevant):,} {queries} are judged relevant to themselves (a document "
                "with the same id and text), which every model ranks first; set `exclude_self: true` to "
                "exclude it"
            )
        ]
    if itself:
        return [(f"{name}: {len(itself):,} {queries} are also documents of the corpus, and retrieve themselves first")]
    return []


def _is_same(query: Text, document: Text) -> bool:
    """Whether a document with the id of a query is that query; plain numbers may coincide by chance."""
    asked, found = normalise(query.text) or query.text, normalise(document.text) or document.text
    if query.id.isdecimal():
        return asked == found
    return f" {asked} " in f" {found} "


def without_self(task: Task, ranking: Ranking, depth: int) -> Ranking:
    """Take excluded documents out of the rankings of their queries.

    Args:
        task: Says which.
        ranking: One rank deeper than what is kept, where the task excludes any.
        depth: Ranks that are kept.
    """
    if not task.excluded:
        return ranking
    column = {document.id: n for n, document in enumerate(task.documents) if document.id in task.excluded}
    own = np.array([column.get(query.id, -2) for query in task.queries])  # no place in a ranking is -2
    excluded = ranking.documents == own[:, None]
    order = np.argsort(excluded, axis=1, kind="stable")[:, :depth]
    dropped = np.take_along_axis(excluded, order, axis=1)
    return Ranking(
        np.where(dropped, -1, np.take_along_axis(ranking.documents, order, axis=1)),
        np.where(dropped, -np.inf, np.take_along_axis(ranking.scores, order, axis=1)).astype(ranking.scores.dtype),
    )
