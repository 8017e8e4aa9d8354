"""How alike two rankings of the same documents are, one value per query.

Both functions take document numbers by rank, shape (Q, K), as in `hrembed.types.Ranking`: distinct numbers of 0 or
more, then -1 where nothing more was ranked. Where neither list ranks anything there is nothing to compare, and the
value is NaN; where only one does, nothing is in common, and the value is 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from hrembed.types import Floats, Ints

_CHUNK = 1_000_000  # numbers sorted at once: some 100 MB with all that is made of them


def rank_biased_overlap(first: Ints, second: Ints, *, p: float = 0.9) -> Floats:
    """Compare two rankings with a weight that falls geometrically with the rank (extrapolated RBO).

    Below the end of the lists they are taken to go on agreeing as much as before. The measure is symmetric.

    Args:
        first: Document numbers by rank, shape (Q, K).
        second: The same queries, shape (Q, K); a list may end earlier or later than that of `first`.
        p: How far down the weight reaches, in (0, 1): at 0.9 the first ten ranks have 86 % of it.

    Returns:
        Overlap per query, shape (Q,), from 0 (no document in common) to 1 (the same lists), or NaN.

    Raises:
        ValueError: The shapes differ, p is out of range, a list names a document twice or goes on behind a -1.

    Source:
        Webber, Moffat & Zobel (2010), doi:10.1145/1852102.1852106: equation 32, which for lists of equal length is
        equation 23; equation 21 for the weight of the first ranks.
    """
    if not 0 < p < 1:
        raise ValueError(f"p must be between 0 and 1, got {p}")
    _check(first, second)
    step = max(1, _CHUNK // max(1, 2 * first.shape[1]))
    parts = [_overlap(first[at : at + step], second[at : at + step], p) for at in range(0, len(first), step)]
    return np.concatenate([np.empty(0), *parts])


def top_overlap(first: Ints, second: Ints, k: int) -> Floats:
    """Return the share of the first k documents that two rankings have in common, whatever their order.

    Args:
        first: Document numbers by rank, shape (Q, K).
        second: The same queries, shape (Q, K).
        k: Cut-off rank, 1 or more. Where both lists end earlier, the longer one's length takes its place.

    Returns:
        Share per query, shape (Q,), in [0, 1] or NaN.

    Raises:
        ValueError: The shapes differ, k is below 1, a list names a document twice or goes on behind a -1.
    """
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}")
    _check(first, second)
    first, second = first[:, :k], second[:, :k]
    longer = np.maximum(_lengths(first), _lengths(second))
    share = np.full(len(first), np.nan)
    np.divide(_shared(first, second).max(axis=1, initial=0), longer, out=share, where=longer > 0)
    return share


def _check(first: Ints, second: Ints) -> None:
    if first.ndim != 2 or first.shape != second.shape:
        raise ValueError(f"expected two arrays of shape (Q, K), got {first.shape} and {second.shape}")
    for name, lists in (("first", first), ("second", second)):
        gaps = ((lists[:, :-1] < 0) & (lists[:, 1:] >= 0)).any(axis=1)
        if gaps.any():
            raise ValueError(f"row {int(gaps.argmax())} of `{name}` has values after -1")


def _lengths(lists: Ints) -> Ints:
    return np.asarray((lists >= 0).sum(axis=1))


def _overlap(first: Ints, second: Ints, p: float) -> Floats:
    shared = _shared(first, second)
    short, long = np.sort([_lengths(first), _lengths(second)], axis=0)[:, :, None]
    depth = np.arange(1, shared.shape[1] + 1)
    # Behind its end the shorter list is taken to go on holding its share of common documents.
    at_end = np.where(depth == short, shared, 0).sum(axis=1, keepdims=True)
    agreement = (shared + at_end * np.maximum(depth - short, 0) / np.maximum(short, 1)) / depth
    summed = np.where(depth <= long, agreement * (1 - p) * p ** (depth - 1.0), 0).sum(axis=1)
    last = np.where(depth == long, agreement * p**depth, 0).sum(axis=1)
    # Rounding alone can lead out of the range.
    return np.where(long[:, 0] > 0, np.clip(summed + last, 0, 1), np.nan)


def _shared(first: Ints, second: Ints) -> Ints:
    """Count the documents that the first d ranks of both lists share, for each d, shape (Q, K)."""
    queries, depth = first.shape
    both = np.concatenate([first, second], axis=1)
    order = np.argsort(both, axis=1, kind="stable")
    both = np.take_along_axis(both, order, axis=1)
    twins = (both[:, 1:] == both[:, :-1]) & (both[:, 1:] >= 0)
    # A document of both lists stands twice in a row, that of the first list in front.
    repeated = twins & ((order[:, :-1] >= depth) | (order[:, 1:] < depth))
    if repeated.any():
        raise ValueError(f"row {int(repeated.any(axis=1).argmax())} contains a document twice")
    row, column = np.nonzero(twins)
    rank = np.maximum(order[row, column], order[row, column + 1] - depth)  # where the later of the two stands
    found = np.bincount(row * depth + rank, minlength=queries * depth)
    return np.cumsum(found.reshape(queries, depth), axis=1)
