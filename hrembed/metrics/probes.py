"""Numbers that are no mean over items: rank correlation and v-measure, with bootstrap draws.

Draws of one seed pick the same groups whatever the values are, so the draws of two models may be subtracted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from hrembed.metrics.intervals import expanded_tails

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hrembed.types import Floats, Ints


def spearman(first: Floats, second: Floats) -> float:
    """Correlate ranks; equal values share their middle rank.

    Args:
        first: Shape (n,).
        second: Shape (n,).

    Returns:
        In [-1, 1]; NaN where a side is constant.

    Source:
        Spearman (1904), doi:10.2307/1412159.
    """
    return float(_weighted_spearman(first, second, np.ones((1, len(first))))[0])


def spearman_draws(
    first: Floats, second: Floats, groups: Sequence[str], *, rng: np.random.Generator, resamples: int
) -> Floats:
    """Correlate ranks in resamples of whole groups.

    Args:
        first: Shape (n,).
        second: Shape (n,).
        groups: Group of each item; an empty name stands for a group of its own.
        rng: Source of the resamples.
        resamples: Their number.

    Returns:
        Shape (resamples,); NaN where a resample is constant.

    Source:
        Field & Welsh (2007), doi:10.1111/j.1467-9868.2007.00593.x, for resampling groups.
    """
    return np.concatenate([_weighted_spearman(first, second, part) for part in _counts(groups, rng, resamples)])


def _weighted_spearman(first: Floats, second: Floats, counts: Floats) -> Floats:
    """Rank correlation where item i stands counts[b, i] times, for each row b; no sorting inside of a resample."""
    total = counts.sum(axis=1, keepdims=True)
    sides = [_weighted_ranks(values, counts) - (total + 1) / 2 for values in (first, second)]
    both = (counts * sides[0] * sides[1]).sum(axis=1)
    spread = [(counts * side**2).sum(axis=1) for side in sides]
    bottom = np.sqrt(spread[0] * spread[1])
    found = np.full(len(counts), np.nan)
    np.divide(both, bottom, out=found, where=bottom > 1e-9)
    return found


def _weighted_ranks(values: Floats, counts: Floats) -> Floats:
    """Middle rank of each value when the items stand as often as counted, shape of `counts`."""
    _, level = np.unique(values, return_inverse=True)
    order = np.argsort(level, kind="stable")
    starts = np.flatnonzero(np.diff(level[order], prepend=-1))
    per_level = np.add.reduceat(counts[:, order], starts, axis=1)
    below = np.cumsum(per_level, axis=1) - per_level
    return np.asarray((below + (per_level + 1) / 2)[:, level])


def _counts(groups: Sequence[str], rng: np.random.Generator, resamples: int) -> list[Floats]:
    """How often each item stands in each resample, in parts of at most 200 resamples."""
    _, index = np.unique([group or f"#{n}" for n, group in enumerate(groups)], return_inverse=True)
    n = int(index.max()) + 1
    even = np.full(n, 1.0 / n)
    sizes = [min(200, resamples - start) for start in range(0, resamples, 200)]
    return [rng.multinomial(n, even, size=size).astype(np.float64)[:, index] for size in sizes]


def v_measure(labels: Sequence[str], clusters: Ints) -> float:
    """Harmonic mean of homogeneity and completeness: do clusters hold one label, and labels one cluster.

    Args:
        labels: What people said, length n.
        clusters: What was found, shape (n,).

    Returns:
        In [0, 1].

    Source:
        Rosenberg & Hirschberg (2007), https://aclanthology.org/D07-1043.
    """
    return float(_v_measures(labels, clusters, np.ones((1, len(labels))))[0])


def _v_measures(labels: Sequence[str], clusters: Ints, counts: Floats) -> Floats:
    _, label = np.unique(labels, return_inverse=True)
    _, cluster = np.unique(clusters, return_inverse=True)
    joint = _entropy(counts, label * (int(cluster.max()) + 1) + cluster)
    of_label, of_cluster = _entropy(counts, label), _entropy(counts, cluster)
    shared = of_label + of_cluster - joint
    total = of_label + of_cluster
    return np.where(total > 1e-12, 2 * shared / np.where(total > 1e-12, total, 1), 1.0)


def _entropy(counts: Floats, cell: Ints) -> Floats:
    """Entropy of the cells, in nats, one value for each row of counts."""
    _, index = np.unique(cell, return_inverse=True)
    order = np.argsort(index, kind="stable")
    starts = np.flatnonzero(np.diff(index[order], prepend=-1))
    share = np.add.reduceat(counts[:, order], starts, axis=1) / counts.sum(axis=1, keepdims=True)
    return np.asarray(-(share * np.log(np.where(share > 0, share, 1))).sum(axis=1))


def macro_f1(labels: Sequence[str], predicted: Sequence[str]) -> float:
    """Mean over the labels of the harmonic mean of precision and recall; a label never predicted counts 0.

    Args:
        labels: What is true, length n.
        predicted: What was said, length n.

    Source:
        Opitz & Burst (2019), arXiv:1911.03347, "averaged F1".
    """
    true, said = np.asarray(labels), np.asarray(predicted)
    scores = []
    for label in np.unique(np.concatenate([true, said])):
        both = float(((true == label) & (said == label)).sum())
        scores.append(2 * both / float((true == label).sum() + (said == label).sum()))
    return float(np.mean(scores))


def interval_of(draws: Floats, n: int, confidence: float) -> tuple[float, float]:
    """Percentile interval of bootstrap draws, widened for n groups; NaN with fewer than two.

    Source:
        Hesterberg (2015), doi:10.1080/00031305.2015.1089789, section 5.3.
    """
    if n < 2 or np.isnan(draws).all():
        return float("nan"), float("nan")
    low, high = np.nanquantile(draws, expanded_tails(n, confidence))
    return float(low), float(high)


def bootstrap_p(draws: Floats, error_groups: int | None = None) -> float:
    """Two-sided p-value of a difference by its bootstrap draws: the level at which the interval just touches zero.

    Args:
        draws: Differences, shape (resamples,); undefined ones are left out.
        error_groups: Independent units; the tails are widened for them as those of the interval are.

    Returns:
        In (0, 1]; NaN without draws.

    Source:
        Efron & Tibshirani (1993), section 15.4; Davison & Hinkley (1997), section 4.2, for the +1.
    """
    defined = draws[~np.isnan(draws)]
    if not len(defined):
        return float("nan")
    tail = (min(int((defined <= 0).sum()), int((defined >= 0).sum())) + 1) / (len(defined) + 1)
    if error_groups is not None and error_groups > 1:
        # The inverse of `expanded_tails`: the level of the interval whose widened end lies at this tail.
        quantile = -special.ndtri(min(tail, 0.5)) * np.sqrt((error_groups - 1) / error_groups)
        tail = float(special.stdtr(error_groups - 1, -quantile))
    return min(1.0, 2 * tail)
