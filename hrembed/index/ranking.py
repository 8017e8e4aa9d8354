"""The best documents of a query, the same whichever way they were found.

A matrix product rounds the same two vectors differently from place to place, so it only says who may be among the best.
Their cosines are then summed in float64, row by row, and equal ones are ordered by the hash of the id, as readers of
tasks order documents.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from hrembed.errors import DataError, ModelError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from hrembed.types import Floats, Ints

ROUNDING = 1e-5
"""More than a float32 product of two unit vectors is wrong by, at any number of dimensions that models have."""
_SCORES_AT_ONCE = 32_000_000  # of a block of queries and documents: 128 MB


class Hits(NamedTuple):
    """Documents found for one query, the best first.

    Attributes:
        ids: Their ids.
        scores: Cosines, shape (n,), float32.
        vectors: Their unit vectors, shape (n, dim), float32.
    """

    ids: list[str]
    scores: Floats
    vectors: Floats


class Ids(Protocol):
    """Ids by place, read where they are asked for."""

    def __getitem__(self, place: int, /) -> str:
        """The id at a place."""
        ...


class Block(NamedTuple):
    """Some documents.

    Attributes:
        ids: Their ids by place.
        vectors: Shape (n, dim), float32.
    """

    ids: Ids
    vectors: Floats


def id_key(document: str) -> bytes:
    """What documents of equal score are ordered by."""
    return hashlib.sha256(document.encode()).digest()


def cosines(vectors: Floats, query: Floats) -> Floats:
    """Cosine of each unit row to a unit query, shape (n,), float32: the same wherever the row stands."""
    return np.asarray((vectors.astype(np.float64) * query.astype(np.float64)).sum(axis=1), dtype=np.float32)


def ranked(ids: Sequence[str], vectors: Floats, query: Floats, k: int) -> Hits:
    """Order candidates by cosine and then by the hash of their id, and keep the first k."""
    scores = cosines(vectors, query)
    kept = np.flatnonzero(scores >= -np.partition(-scores, k - 1)[k - 1]) if len(scores) > k else np.arange(len(scores))
    best = sorted(kept.tolist(), key=lambda row: (-scores[row], id_key(ids[row])))[:k]
    return Hits([ids[row] for row in best], scores[best], np.asarray(vectors[best]))


def rank_blocks(queries: Floats, k: int, blocks: Iterable[Block]) -> list[Hits]:
    """Compare all queries with all documents of some blocks, in memory that does not grow with the documents.

    Args:
        queries: Unit rows, shape (Q, dim).
        k: Documents per query, 1 or more.
        blocks: Documents; no id stands in two of them.

    Returns:
        The first k of each query, fewer where there are fewer.

    Raises:
        DataError: A vector is not finite any more: it would be found by nobody.
    """
    found: list[list[_Kept]] = [[] for _ in queries]
    least = np.full(len(queries), -np.inf, dtype=np.float32)
    best: list[Floats] = [np.empty(0, dtype=np.float32) for _ in queries]
    for block in blocks:
        at_once = max(1, _SCORES_AT_ONCE // max(1, len(block.vectors)))
        for start in range(0, len(queries), at_once):
            with np.errstate(invalid="ignore"):
                part = queries[start : start + at_once] @ block.vectors.T
                damaged = not np.isfinite(part.sum())  # one sum sees it, and costs nothing beside the product
            if damaged:
                raise DataError(
                    "vectors of the index contain NaN or infinite values: its files are damaged",
                    hint="restore the index from a backup, or build it again",
                )
            for row, scores in enumerate(part, start):
                kept = np.flatnonzero(scores >= least[row])
                if not len(kept):
                    continue
                both = np.concatenate([best[row], scores[kept]])
                if len(both) >= k:
                    both = -np.partition(-both, k - 1)[:k]
                    least[row] = both.min() - ROUNDING
                    kept = kept[scores[kept] >= least[row]]
                best[row] = both
                found[row].append(_rows(block, kept))
    return [_merged(parts, query, k) for parts, query in zip(found, queries, strict=True)]


class _Kept(NamedTuple):
    ids: list[str]
    vectors: Floats


def _rows(block: Block, kept: Ints) -> _Kept:
    return _Kept([block.ids[row] for row in kept.tolist()], np.asarray(block.vectors[kept]))


def _merged(parts: Sequence[_Kept], query: Floats, k: int) -> Hits:
    if not parts:
        return Hits([], np.empty(0, dtype=np.float32), np.empty((0, len(query)), dtype=np.float32))
    ids = [each for part in parts for each in part.ids]
    return ranked(ids, np.concatenate([part.vectors for part in parts]), query, k)


def checked_queries(queries: Floats, dim: int) -> Floats:
    """Return query vectors as unit rows of float32.

    Raises:
        ModelError: They have another number of dimensions, or are not finite: LanceDB would find nothing, and say
            nothing.
    """
    rows = np.atleast_2d(np.asarray(queries, dtype=np.float32))
    if rows.ndim != 2 or rows.shape[1] != dim:
        raise ModelError(
            f"query vectors have {rows.shape[-1]} dimensions, and the index has {dim}",
            hint="embed queries with the model and `dimensions` that the index names (`index stats`)",
        )
    bad = int((~np.isfinite(rows)).any(axis=1).sum())
    if bad:
        raise ModelError(
            f"{bad} of {len(rows)} query vectors contain NaN or infinite values",
            hint="check the model that embeds queries: `hrembed doctor`",
        )
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(length > 0, length, 1), dtype=np.float32)
