"""Retrieval metrics, one value per query.

Every metric takes `ranked`: the gains of the documents in the order in which the model ranked them,
shape (Q, D), so that the sorting is done once. A query without a relevant document has no defined
value and yields NaN, so that the caller decides how to count it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from hrembed.types import Floats


def rank_gains(scores: Floats, gains: Floats) -> Floats:
    """Put the gains of each query into the order of falling scores.

    Equal scores keep the order of the columns; readers of tasks therefore order documents by a hash
    of their id, which no model can know.

    Args:
        scores: Similarity of each query to each document, shape (Q, D), finite.
        gains: Relevance on a linear scale, 0 = not relevant, shape (Q, D).

    Returns:
        Gains by rank, shape (Q, D).

    Raises:
        ValueError: The shapes differ, or a score is not finite.
    """
    if scores.shape != gains.shape:
        raise ValueError(f"scores {scores.shape} and gains {gains.shape} differ in shape")
    if not np.isfinite(scores).all():
        raise ValueError(f"{int((~np.isfinite(scores)).sum())} of {scores.size} scores are not finite")
    order = np.argsort(-scores, axis=1, kind="stable")
    return np.take_along_axis(gains, order, axis=1)


def ndcg(ranked: Floats, *, k: int | None = None) -> Floats:
    """Score each ranking against the best possible one, with linear gain and log2 discount.

    Args:
        ranked: Gains by rank, shape (Q, D), 0 or more.
        k: Cut-off rank, 1 or more; None for the whole ranking.

    Returns:
        nDCG@k per query, shape (Q,), in [0, 1] or NaN.

    Source:
        Järvelin & Kekäläinen (2002), doi:10.1145/582415.582418, with the discount
        1 / log2(rank + 1) that trec_eval uses.
    """
    depth = _depth(ranked, k)
    discount = 1.0 / np.log2(np.arange(2, depth + 2))
    ideal = -np.sort(-ranked, axis=1)[:, :depth]
    return _ratio(ranked[:, :depth] @ discount, ideal @ discount)


def average_precision(ranked: Floats, *, k: int | None = None) -> Floats:
    """Average the precision at the rank of each relevant document; missed ones count 0.

    Args:
        ranked: Gains by rank, shape (Q, D); every gain above 0 is relevant.
        k: Cut-off rank, 1 or more; None for the whole ranking. The divisor is always the number of
            all relevant documents.

    Returns:
        AP@k per query, shape (Q,), in [0, 1] or NaN.

    Source:
        Buckley & Voorhees (2000), doi:10.1145/345508.345543; trec_eval's `map` and `map_cut`.
    """
    depth = _depth(ranked, k)
    hits = (ranked > 0)[:, :depth]
    precision = np.cumsum(hits, axis=1) / np.arange(1, depth + 1)
    return _ratio((precision * hits).sum(axis=1), (ranked > 0).sum(axis=1))


def reciprocal_rank(ranked: Floats, *, k: int | None = None) -> Floats:
    """Return 1 / rank of the first relevant document, 0 when it comes after rank k.

    Args:
        ranked: Gains by rank, shape (Q, D); every gain above 0 is relevant.
        k: Cut-off rank, 1 or more; None for the whole ranking.

    Returns:
        Reciprocal rank per query, shape (Q,), in [0, 1] or NaN.

    Source:
        Voorhees (1999), The TREC-8 Question Answering Track Report.
    """
    hits = (ranked > 0)[:, : _depth(ranked, k)]
    first = np.where(hits.any(axis=1), 1.0 / (hits.argmax(axis=1) + 1), 0.0)
    return np.where((ranked > 0).any(axis=1), first, np.nan)


def recall(ranked: Floats, *, k: int | None = None) -> Floats:
    """Return the share of all relevant documents that stand in the first k.

    Args:
        ranked: Gains by rank, shape (Q, D); every gain above 0 is relevant.
        k: Cut-off rank, 1 or more; None for the whole ranking (then 1 by construction).

    Returns:
        Recall@k per query, shape (Q,), in [0, 1] or NaN.

    Source:
        trec_eval's `recall`.
    """
    hits = ranked > 0
    return _ratio(hits[:, : _depth(ranked, k)].sum(axis=1), hits.sum(axis=1))


def _depth(ranked: Floats, k: int | None) -> int:
    if ranked.ndim != 2:
        raise ValueError(f"ranked must have shape (Q, D), got {ranked.shape}")
    if k is not None and k < 1:
        raise ValueError(f"k must be 1 or more, got {k}")
    return int(ranked.shape[1] if k is None else min(k, ranked.shape[1]))


def _ratio(top: Floats, bottom: Floats) -> Floats:
    """Divide, with NaN wherever nothing can be found."""
    found = np.full(top.shape, np.nan)
    np.divide(top, bottom, out=found, where=bottom > 0)
    return found
