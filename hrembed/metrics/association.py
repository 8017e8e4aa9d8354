"""Association tests on vectors (WEAT, SEAT): reported, never a gate, since they say little about decisions."""

from __future__ import annotations

from itertools import combinations
from math import comb
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from hrembed.types import Floats, Ints

EXACT = 20_000  # divisions up to which all are looked at


class Association(NamedTuple):
    """How two sets of targets differ in their closeness to two sets of attributes.

    Attributes:
        effect: Difference of the mean associations in standard deviations of all, in [-2, 2]; positive where the first
            targets are closer to the first attributes. NaN where all associations are equal.
        p_value: Two-sided, over divisions of the targets.
        divisions: How many were looked at.
        exact: Whether these were all.
    """

    effect: float
    p_value: float
    divisions: int
    exact: bool


def associations(targets: Floats, first: Floats, second: Floats) -> Floats:
    """Mean cosine of each target with the first attributes less that with the second; all rows are unit vectors."""
    return np.asarray((targets @ first.T).mean(axis=1) - (targets @ second.T).mean(axis=1))


def weat(one: Floats, other: Floats, *, rng: np.random.Generator, resamples: int = 10_000) -> Association:
    """Test whether two sets of targets differ in their associations.

    All divisions of the targets into sets of these sizes are looked at where there are at most `EXACT`; otherwise a
    seeded sample, in which the observed one counts.

    Args:
        one: Associations of the first targets, shape (n,), n of 2 or more.
        other: Of the second, shape (m,).
        rng: Source of the sample.
        resamples: Its size.

    Source:
        Caliskan, Bryson & Narayanan (2017), doi:10.1126/science.aal4230, with the standard deviation of a sample, and
        the two-sided p-value by absolute differences.
    """
    pooled, n = np.concatenate([one, other]), len(one)
    deviation = pooled.std(ddof=1)
    observed = one.mean() - other.mean()
    if deviation < 1e-12:
        return Association(float("nan"), 1.0, 1, True)
    exact = comb(len(pooled), n) <= EXACT
    chosen = _all(len(pooled), n) if exact else _some(len(pooled), n, rng, resamples)
    sums = pooled[chosen].sum(axis=1)
    gaps = np.abs(sums / n - (pooled.sum() - sums) / (len(pooled) - n))
    reached = int((gaps >= abs(observed) - 1e-12).sum())
    p_value = reached / len(gaps) if exact else (reached + 1) / (len(gaps) + 1)
    return Association(float(observed / deviation), p_value, len(gaps), exact)


def _all(size: int, n: int) -> Ints:
    return np.array(list(combinations(range(size), n)), dtype=np.int64)


def _some(size: int, n: int, rng: np.random.Generator, resamples: int) -> Ints:
    return np.argsort(rng.random((resamples, size)), axis=1)[:, :n]
