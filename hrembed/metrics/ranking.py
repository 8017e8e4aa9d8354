"""Retrieval metrics, one value per query.

Every metric takes a `Ranked`: what stands at each rank and what could have stood there, so that the sorting is done
once. A query without a relevant document has no defined value and yields NaN, so that the caller decides how to count
it. Documents below the depth of the ranking count as not found, as in a TREC run of that depth.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from hrembed.types import Floats


class Ranked(NamedTuple):
    """The gains of a ranking and of the best possible one.

    Attributes:
        gains: Gain of the document at each rank on a linear scale, 0 = not relevant, shape (Q, K).
        ideal: All gains above 0 of the query, falling, padded with 0, shape (Q, J).
    """

    gains: Floats
    ideal: Floats


def ndcg(ranked: Ranked, *, k: int | None = None) -> Floats:
    """Score each ranking against the best possible one, with linear gain and log2 discount.

    Args:
        ranked: Gains of 0 or more.
        k: Cut-off rank, 1 or more; None for the whole ranking.

    Returns:
        nDCG@k per query, shape (Q,), in [0, 1] or NaN.

    Source:
        Järvelin & Kekäläinen (2002), doi:10.1145/582415.582418, with the discount
        1 / log2(rank + 1) that trec_eval uses.
    """
    return _ratio(_dcg(ranked.gains, k), _dcg(ranked.ideal, k))


def ndcg_exponential(ranked: Ranked, *, k: int | None = None) -> Floats:
    """Score as `ndcg` does with the gain 2^grade - 1, which sets high grades further apart; equal for grades 0 and 1.

    Source:
        Burges et al. (2005), doi:10.1145/1102351.1102363.
    """
    return ndcg(Ranked(np.exp2(ranked.gains) - 1, np.exp2(ranked.ideal) - 1), k=k)


def _dcg(gains: Floats, k: int | None) -> Floats:
    depth = _depth(gains, k)
    return np.asarray(gains[:, :depth] @ (1.0 / np.log2(np.arange(2, depth + 2))))


def average_precision(ranked: Ranked, *, k: int | None = None) -> Floats:
    """Average the precision at the rank of each relevant document; missed ones count 0.

    Args:
        ranked: Every gain above 0 is relevant.
        k: Cut-off rank, 1 or more; None for the whole ranking. The divisor is always the number of
            all relevant documents.

    Returns:
        AP@k per query, shape (Q,), in [0, 1] or NaN.

    Source:
        Buckley & Voorhees (2000), doi:10.1145/345508.345543; trec_eval's `map` and `map_cut`.
    """
    depth = _depth(ranked.gains, k)
    hits = (ranked.gains > 0)[:, :depth]
    precision = np.cumsum(hits, axis=1) / np.arange(1, depth + 1)
    return _ratio((precision * hits).sum(axis=1), _relevant(ranked))


def reciprocal_rank(ranked: Ranked, *, k: int | None = None) -> Floats:
    """Return 1 / rank of the first relevant document, 0 when it comes after rank k.

    Args:
        ranked: Every gain above 0 is relevant.
        k: Cut-off rank, 1 or more; None for the whole ranking.

    Returns:
        Reciprocal rank per query, shape (Q,), in [0, 1] or NaN.

    Source:
        Voorhees (1999), The TREC-8 Question Answering Track Report.
    """
    first = first_relevant_rank(ranked)
    depth = _depth(ranked.gains, k)
    found = np.where(first <= depth, 1.0 / first, 0.0)
    return np.where(_relevant(ranked) > 0, found, np.nan)


def recall(ranked: Ranked, *, k: int | None = None) -> Floats:
    """Return the share of all relevant documents that stand in the first k.

    Args:
        ranked: Every gain above 0 is relevant.
        k: Cut-off rank, 1 or more; None for the whole ranking.

    Returns:
        Recall@k per query, shape (Q,), in [0, 1] or NaN.

    Source:
        trec_eval's `recall`.
    """
    return _ratio(_hits(ranked, k), _relevant(ranked))


def precision(ranked: Ranked, *, k: int | None = None) -> Floats:
    """Return the share of the first k that is relevant; k divides even where fewer documents were ranked.

    Args:
        ranked: Every gain above 0 is relevant.
        k: Cut-off rank, 1 or more; None for the depth of the ranking.

    Returns:
        Precision@k per query, shape (Q,), in [0, 1] or NaN.

    Source:
        trec_eval's `P`.
    """
    found = _hits(ranked, k) / float(ranked.gains.shape[1] if k is None else k)
    return np.where(_relevant(ranked) > 0, found, np.nan)


def r_precision(ranked: Ranked, *, k: int | None = None) -> Floats:
    """Return the share of the first R that is relevant, R being the number of relevant documents, or k if that is less.

    Args:
        ranked: Every gain above 0 is relevant.
        k: Cut-off rank, 1 or more; None looks at the first R documents, whatever R is.

    Returns:
        R-precision per query, shape (Q,), in [0, 1] or NaN.

    Source:
        trec_eval's `Rprec`; with a cut-off the `RP@k` of skill matching: Decorte et al. (2022), arXiv:2209.05987.
    """
    relevant = _relevant(ranked)
    if k is not None:
        return _ratio(_hits(ranked, k), np.minimum(relevant, k))
    within = np.arange(ranked.gains.shape[1]) < relevant[:, None]
    return _ratio(((ranked.gains > 0) & within).sum(axis=1), relevant)


def hit(ranked: Ranked, *, k: int | None = None) -> Floats:
    """Return 1 where a relevant document stands in the first k, else 0.

    Args:
        ranked: Every gain above 0 is relevant.
        k: Cut-off rank, 1 or more; None for the whole ranking.

    Returns:
        Success per query, shape (Q,), 0, 1 or NaN.

    Source:
        trec_eval's `success`.
    """
    found = np.minimum(_hits(ranked, k), 1.0)
    return np.where(_relevant(ranked) > 0, found, np.nan)


def first_relevant_rank(ranked: Ranked) -> Floats:
    """Rank of the first relevant document, 1 or more, shape (Q,); infinite where none was found."""
    hits = ranked.gains > 0
    if not hits.shape[1]:
        return np.full(len(hits), np.inf)
    return np.where(hits.any(axis=1), hits.argmax(axis=1) + 1.0, np.inf)


def _relevant(ranked: Ranked) -> Floats:
    return np.asarray((ranked.ideal > 0).sum(axis=1), dtype=np.float64)


def _hits(ranked: Ranked, k: int | None) -> Floats:
    hits = (ranked.gains > 0)[:, : _depth(ranked.gains, k)]
    return np.asarray(hits.sum(axis=1), dtype=np.float64)


def _depth(gains: Floats, k: int | None) -> int:
    if gains.ndim != 2:
        raise ValueError(f"gains must have shape (Q, K), got {gains.shape}")
    if k is not None and k < 1:
        raise ValueError(f"k must be at least 1, got {k}")
    return int(gains.shape[1] if k is None else min(k, gains.shape[1]))


def _ratio(top: Floats, bottom: Floats) -> Floats:
    """Divide, with NaN wherever nothing can be found."""
    found = np.full(top.shape, np.nan)
    np.divide(top, bottom, out=found, where=bottom > 0)
    return found
