"""A part of a task that is a small task of its own."""

from __future__ import annotations

import hashlib
import math
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hrembed.types import Task, Text


def subtask(task: Task, share: float, *, min_queries: int, seed: int) -> Task:
    """Take a part of the queries, what is relevant to them, and the same part of all other documents.

    Queries of one group stay together. Parts are nested: a larger one holds all of a smaller one of the same seed. A
    smaller corpus is easier to search, so scores of a part are compared with scores of the same part only.

    Args:
        task: The whole.
        share: Part that is wanted, in (0, 1]; 1 gives the task itself.
        min_queries: Fewest queries, where the task has them.
        seed: Decides which.
    """
    wanted = max(math.ceil(share * len(task.queries)), min_queries)
    if share >= 1 or wanted >= len(task.queries):
        return task
    groups = sorted({query.group or query.id for query in task.queries}, key=lambda name: _place(name, seed))
    place = {name: n for n, name in enumerate(groups)}
    queries = sorted(task.queries, key=lambda query: place[query.group or query.id])
    last = place[queries[wanted - 1].group or queries[wanted - 1].id]
    chosen = {query.id for query in queries if place[query.group or query.id] <= last}
    needed = {id_ for query in chosen for id_ in _named(task, query)}
    return replace(
        task,
        queries=tuple(query for query in task.queries if query.id in chosen),
        documents=tuple(d for d in task.documents if d.id in needed or _drawn(d, share, seed)),
        qrels={query: judged for query, judged in task.qrels.items() if query in chosen},
        candidates=None if task.candidates is None else {q: c for q, c in task.candidates.items() if q in chosen},
    )


def _named(task: Task, query: str) -> set[str]:
    """Documents that the query cannot do without."""
    relevant = {id_ for id_, grade in task.qrels[query].items() if grade > 0}
    return relevant if task.candidates is None else relevant | set(task.candidates[query])


def _drawn(document: Text, share: float, seed: int) -> bool:
    return int.from_bytes(_place(document.id, seed)[:8], "big") < share * 2**64


def _place(name: str, seed: int) -> bytes:
    return hashlib.blake2b(f"{seed} {name}".encode(), digest_size=16).digest()
