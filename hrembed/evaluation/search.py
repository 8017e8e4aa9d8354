"""Exact search: every document is compared with every query, in blocks that fit in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hrembed.memory import MB
from hrembed.metrics.ranking import Ranked
from hrembed.types import Ranking

if TYPE_CHECKING:
    import numpy.typing as npt

    from hrembed.types import Floats, Ints, Similarity, Task

    Keys = npt.NDArray[np.uint64]

_QUERIES_AT_ONCE = 256
# A score, its key, the copy that is partitioned, and what the operations between them hold for a moment.
_BYTES_PER_SCORE = 32
_LOW = np.uint64(0xFFFFFFFF)
_SIGN = np.uint32(0x80000000)


def rank_all(similarity: Similarity, *, depth: int, memory_mb: int) -> Ranking:
    """Find the documents that stand first for each query.

    Equal scores keep the order of the columns; readers of tasks therefore order documents by a hash of their id, which
    no model can know. Memory grows with `memory_mb` and with queries × depth, not with queries × documents.

    Args:
        similarity: Scores, computed block by block.
        depth: Ranks that are kept, 1 or more; all documents when there are fewer.
        memory_mb: Memory for one block of scores, in MB; the least block is 256 queries × 1,024 documents.

    Returns:
        The first `min(depth, D)` documents of each query.

    Raises:
        ValueError: A score is not finite.
    """
    queries, documents = similarity.shape
    depth = min(depth, documents)
    step = block_width(memory_mb, depth)
    ranked, scores = np.empty((queries, depth), dtype=np.int64), np.empty((queries, depth), dtype=np.float32)
    for start in range(0, queries, _QUERIES_AT_ONCE):
        rows = slice(start, min(start + _QUERIES_AT_ONCE, queries))
        best: Keys = np.empty((rows.stop - start, 0), dtype=np.uint64)
        for left in range(0, documents, step):
            columns = slice(left, min(left + step, documents))
            best = _merged(best, _finite(similarity.block(rows, columns)), documents - 1 - left, depth)
        best = np.sort(best, axis=1)[:, ::-1]
        ranked[rows] = (documents - 1) - (best & _LOW).astype(np.int64)
        scores[rows] = _scores(best)
    return Ranking(ranked, scores)


def block_width(memory_mb: int, depth: int) -> int:
    """Documents in one block of scores."""
    return max(1024, memory_mb * MB // (_BYTES_PER_SCORE * _QUERIES_AT_ONCE) - depth)


def rank_candidates(similarity: Similarity, candidates: list[Ints], *, depth: int) -> Ranking:
    """Rank for each query only the documents given for it.

    Args:
        similarity: Scores, computed for these pairs only.
        candidates: Columns of each query, any number.
        depth: Ranks that are kept.

    Returns:
        Shape (Q, K), K being the longest list or `depth`; shorter lists end in -1.

    Raises:
        ValueError: A score is not finite.
    """
    width = min(depth, max((len(columns) for columns in candidates), default=0))
    ranked = np.full((len(candidates), width), -1, dtype=np.int64)
    scores = np.full((len(candidates), width), -np.inf, dtype=np.float32)
    for row, unordered in enumerate(candidates):
        columns = np.sort(unordered)
        row_scores = _finite(similarity.block(slice(row, row + 1), columns))[0]
        order = np.argsort(-row_scores, kind="stable")[:width]
        ranked[row, : len(order)] = columns[order]
        scores[row, : len(order)] = row_scores[order]
    return Ranking(ranked, scores)


def _merged(best: Keys, scores: Floats, last: int, depth: int) -> Keys:
    """Keep the `depth` largest keys of each row, in any order.

    Args:
        best: Keys so far, shape (rows, up to `depth`).
        scores: The next block, shape (rows, columns).
        last: What the first column of the block counts as in a key.
        depth: Keys to keep.
    """
    # Most scores are not among the best; a key is made only for what may be.
    if best.shape[1] < depth:
        least = np.partition(scores, -min(depth, scores.shape[1]), axis=1)[:, -min(depth, scores.shape[1])]
        rows, columns = np.nonzero(scores >= least[:, None])
    else:
        rows, columns = np.nonzero(scores > _scores(best.min(axis=1))[:, None])
    if not len(rows):
        return best
    starts = np.searchsorted(rows, np.arange(len(best)))
    places = np.arange(len(rows)) - starts[rows]
    better = np.zeros((len(best), int(places.max()) + 1), dtype=np.uint64)  # 0 is less than the key of any number
    better[rows, places] = _keys(scores[rows, columns], last - columns)
    return _largest(np.concatenate([best, better], axis=1), depth)


def _largest(keys: Keys, count: int) -> Keys:
    if keys.shape[1] <= count:
        return keys
    return np.partition(keys, keys.shape[1] - count, axis=1)[:, -count:]


def _keys(scores: Floats, places: Ints) -> Keys:
    """Turn scores into whole numbers that sort by score first and then by place, so that no two are equal.

    The bits of a float32, with all of them flipped when it is negative and the sign otherwise, sort like the number.
    """
    bits = (scores.astype(np.float32, copy=False) + np.float32(0)).view(np.uint32)  # -0.0 becomes 0.0
    ordered = np.where(bits & _SIGN, ~bits, bits | _SIGN).astype(np.uint64)
    return np.asarray((ordered << np.uint64(32)) | places.astype(np.uint64))


def _scores(keys: Keys) -> Floats:
    ordered = (keys >> np.uint64(32)).astype(np.uint32)
    return np.where(ordered & _SIGN, ordered ^ _SIGN, ~ordered).astype(np.uint32).view(np.float32)


def _finite(scores: Floats) -> Floats:
    # The sum is not finite when a score is not; it is quicker than asking each, and may also overflow.
    with np.errstate(over="ignore", invalid="ignore"):
        total = scores.sum()
    if not np.isfinite(total) and not np.isfinite(scores).all():
        raise ValueError(f"{int((~np.isfinite(scores)).sum())} of {scores.size} scores are not finite")
    return scores


def graded(task: Task, ranking: Ranking) -> Ranked:
    """Put the grades of a task into the order of a ranking; what is not judged counts 0.

    Args:
        task: Queries with their grades.
        ranking: Documents by rank, one row per query of the task.

    Returns:
        Gains by rank, and all gains above 0.
    """
    column = {document.id: n for n, document in enumerate(task.documents)}
    gains = np.zeros(ranking.documents.shape)
    best: list[list[int]] = []
    for row, query in enumerate(task.queries):
        judged = task.qrels.get(query.id, {})
        best.append(sorted((grade for grade in judged.values() if grade > 0), reverse=True))
        columns = np.array([column[document] for document in judged], dtype=np.int64)
        order = np.argsort(columns)
        known, grades = columns[order], np.array(list(judged.values()), dtype=np.float64)[order]
        if len(known):
            place = np.minimum(np.searchsorted(known, ranking.documents[row]), len(known) - 1)
            gains[row] = np.where(known[place] == ranking.documents[row], grades[place], 0.0)
    ideal = np.zeros((len(best), max((len(grades) for grades in best), default=0)))
    for row, grades_of_query in enumerate(best):
        ideal[row, : len(grades_of_query)] = grades_of_query
    return Ranked(gains, ideal)
