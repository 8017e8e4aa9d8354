"""Differences between groups of names, with the name as the unit of inference.

Cells (name x résumé x job) are not independent: a test over cells rejects true equality in about half
of all cases. Every function here therefore takes one value per name.
"""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import stats

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from hrembed.types import Floats, Ints


class Contrast(NamedTuple):
    """One group against another.

    Attributes:
        first: Name of the first group.
        second: Name of the second group.
        value: `first - second` for gaps, `first / second` for ratios; NaN when undefined.
        low: Lower end of the simultaneous interval.
        high: Upper end of the simultaneous interval.
        detectable: Smallest gap found with 80 % power; for ratios on the scale of the logarithm.
        error: Standard error, for ratios that of the logarithm; NaN when unknown.
        freedom: Its degrees of freedom.
    """

    first: str
    second: str
    value: float
    low: float
    high: float
    detectable: float = np.nan
    error: float = np.nan
    freedom: float = np.nan


def gaps(values: Floats, groups: Sequence[str], strata: Sequence[str], *, confidence: float = 0.95) -> list[Contrast]:
    """Compare the mean of every two groups, with intervals that hold for all pairs at once.

    Where every stratum holds every group exactly once (a phrase in one version for each group), differences within
    strata are what is averaged. Otherwise a group's mean is the mean over strata of its means within them, where every
    stratum holds every group at least twice; else strata are ignored. Unequal variances are allowed (Welch), and the
    level is shared over the pairs (Bonferroni).

    Args:
        values: One number per name, shape (N,), finite.
        groups: Group of each name, length N.
        strata: What is held constant (the other attributes), length N.
        confidence: Joint level of all intervals, in (0, 1).

    Returns:
        One contrast per pair of groups, in sorted order; empty with fewer than two groups. The ends
        are NaN when a group has fewer than two names.

    Source:
        Welch (1947), doi:10.1093/biomet/34.1-2.28.
    """
    blocks, names = _blocks(groups, strata), sorted(set(groups))
    pairs = list(combinations(range(len(names)), 2))
    alpha = (1 - confidence) / max(1, len(pairs))
    if blocks is not None:
        return [_paired(values[blocks[:, a]] - values[blocks[:, b]], names[a], names[b], alpha) for a, b in pairs]
    cells = _cells(groups, strata)
    return [_gap(values, cells, names[a], names[b], alpha) for a, b in pairs]


def _gap(values: Floats, cells: dict[str, list[Ints]], first: str, second: str, alpha: float) -> Contrast:
    value = _mean(values, cells[first]) - _mean(values, cells[second])
    members = [(cell, len(cells[group])) for group in (first, second) for cell in cells[group]]
    if min(len(cell) for cell, _ in members) < 2:
        return Contrast(first, second, value, np.nan, np.nan)
    parts = np.array([values[cell].var(ddof=1) / len(cell) / count**2 for cell, count in members])
    variance = float(parts.sum())
    if variance == 0:
        return Contrast(first, second, value, value, value, 0.0, 0.0, float(len(values)))
    freedom = variance**2 / sum(part**2 / (len(cell) - 1) for part, (cell, _) in zip(parts, members, strict=True))
    return _contrast(first, second, value, np.sqrt(variance), freedom, alpha)


def _paired(differences: Floats, first: str, second: str, alpha: float) -> Contrast:
    error = float(differences.std(ddof=1) / np.sqrt(len(differences)))
    return _contrast(first, second, float(differences.mean()), error, len(differences) - 1.0, alpha)


def _contrast(first: str, second: str, value: float, error: float, freedom: float, alpha: float) -> Contrast:
    reach = float(stats.t.ppf(1 - alpha / 2, freedom)) * error
    detectable = reach + float(stats.t.ppf(0.8, freedom)) * error
    return Contrast(first, second, value, value - reach, value + reach, detectable, float(error), float(freedom))


def permutation_p(
    values: Floats,
    groups: Sequence[str],
    strata: Sequence[str],
    *,
    rng: np.random.Generator,
    resamples: int = 2000,
) -> float:
    """Test whether any two groups differ, by shuffling group labels within strata.

    The statistic is the largest absolute gap between two group means; the observed labelling counts
    as one of the shuffles, so that p is never 0.

    Args:
        values: One number per name, shape (N,).
        groups: Group of each name.
        strata: Labels are shuffled only within a stratum.
        rng: Source of the shuffles.
        resamples: Number of shuffles.

    Returns:
        p-value in (0, 1]; NaN with fewer than two groups.

    Source:
        Phipson & Smyth (2010), doi:10.2202/1544-6115.1585, for the +1.
    """
    labels = labelings(groups, strata, rng=rng, resamples=resamples)
    return float(spread_p(values[None], labels)[0])


def labelings(groups: Sequence[str], strata: Sequence[str], *, rng: np.random.Generator, resamples: int) -> Ints:
    """Shuffle group labels over names within strata.

    Args:
        groups: Group of each name, length N.
        strata: Labels are shuffled only within a stratum.
        rng: Source of the shuffles.
        resamples: Number of shuffles.

    Returns:
        Number of each name's group, shape (resamples + 1, N); the first row is how it is.
    """
    _, observed = np.unique(np.asarray(groups), return_inverse=True)
    found = np.tile(observed, (resamples + 1, 1))
    for stratum in np.unique(np.asarray(strata)):
        block = np.flatnonzero(np.asarray(strata) == stratum)
        found[1:, block] = rng.permuted(found[1:, block], axis=1)
    return found


def spread_p(values: Floats, labels: Ints) -> Floats:
    """Test for several measures at once whether groups differ in them: the largest gap of two means, permuted.

    Args:
        values: One row for each measure, shape (M, N).
        labels: As `labelings` gives them, shape (B + 1, N).

    Returns:
        p-values in (0, 1], shape (M,); NaN with one group or where a value is NaN.
    """
    count = int(labels.max()) + 1
    if count < 2:
        return np.full(len(values), np.nan)
    means = []
    for group in range(count):
        member = (labels == group).astype(np.float64)
        means.append(member @ values.T / member.sum(axis=1, keepdims=True))
    spread = np.max(means, axis=0) - np.min(means, axis=0)
    return draws_p(spread)


def untied(values: Floats, by: Floats) -> Floats:
    """Break ties between names by another measure.

    A measure with few possible values, like recall, gives many shuffles that equal the observed one; counting all of
    them against a difference makes its test reject less often than it says. Any statistic keeps the level of a
    permutation test, so one that is finer may stand in.

    Args:
        values: Shape (M, N).
        by: Shape (N,); its size does not matter.

    Returns:
        Shape (M, N): `values` plus at most a millionth.
    """
    return values + 1e-6 * by / max(float(np.abs(by).max()), 1e-300)


def draws_p(statistics: Floats) -> Floats:
    """Share of the shuffles whose statistic reaches the observed one, which counts as one of them.

    Args:
        statistics: The observed one in the first row, shape (B + 1, M); large means different.

    Returns:
        Shape (M,), in (0, 1]; NaN where the observed one is.

    Source:
        Phipson & Smyth (2010), doi:10.2202/1544-6115.1585.
    """
    observed = statistics[0]
    # Equal statistics may differ in the last digits, by the order of their sums.
    near = 1e-9 * np.maximum(np.abs(observed), 1e-300)
    return np.where(np.isnan(observed), np.nan, (statistics >= observed - near).mean(axis=0))


def impact_ratios(
    rates: Floats,
    groups: Sequence[str],
    strata: Sequence[str],
    *,
    rng: np.random.Generator,
    confidence: float = 0.95,
    resamples: int = 2000,
) -> list[Contrast]:
    """Compare the selection rate of every two groups as a ratio, lower over higher, all pairs at once.

    Names are resampled in group and stratum; picking the worst pair afterwards is allowed.

    Args:
        rates: Selection rate of each name, shape (N,), in [0, 1].
        groups: Group of each name.
        strata: What is held constant, length N.
        rng: Source of the resamples.
        confidence: Joint level of all intervals, in (0, 1).
        resamples: Number of resamples.

    Returns:
        One contrast per pair, `first` the group with the lower rate; NaN where a rate is 0 in the data or a resample.

    Source:
        6 RCNY section 5-301 for the ratio; Westfall & Young (1993), Resampling-Based Multiple Testing, for max-t.
    """
    cells = _cells(groups, strata)
    names = sorted(cells, key=lambda group: (_mean(rates, cells[group]), group))
    pairs = list(combinations(range(len(names)), 2))
    first, second = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    with np.errstate(divide="ignore", invalid="ignore"):
        point = np.log([_mean(rates, cells[group]) for group in names])
        draws = np.log(_drawn_means(rates, names, cells, _blocks(groups, strata), resamples, rng))
        center, moved = point[first] - point[second], draws[first] - draws[second]
    freedom = min(sum(len(cell) - 1 for cell in own) for own in cells.values())
    reach, error = _simultaneous_reach(center, moved, confidence, freedom)
    ends = [_unlog(center[n], reach[n]) for n in range(len(pairs))]
    rows = zip(pairs, ends, error.tolist(), strict=True)
    return [Contrast(names[a], names[b], *own, np.nan, off, float(freedom)) for (a, b), own, off in rows]


def _drawn_means(
    rates: Floats,
    names: Sequence[str],
    cells: dict[str, list[Ints]],
    blocks: Ints | None,
    resamples: int,
    rng: np.random.Generator,
) -> Floats:
    """Mean of each group in resamples of names, or of whole blocks; shape (groups, resamples)."""
    if blocks is None:
        return np.array([_resampled(rates, cells[group], resamples, rng) for group in names])
    order = [sorted(cells).index(group) for group in names]
    return _resampled_blocks(rates[blocks][:, order], resamples, rng)


def _unlog(center: float, reach: float) -> tuple[float, float, float]:
    if not np.isfinite(center):
        return np.nan, np.nan, np.nan
    return float(np.exp(center)), float(np.exp(center - reach)), float(np.exp(center + reach))


def _simultaneous_reach(center: Floats, draws: Floats, confidence: float, freedom: int) -> tuple[Floats, Floats]:
    """Half width of every interval such that all hold together, and standard errors, both of shape (pairs,).

    The bootstrap quantile is normal in the limit; the ratio of t to normal quantiles makes up for few names.
    """
    finite = np.isfinite(draws).all(axis=1) & np.isfinite(center)
    reach, error = np.full(len(center), np.nan), np.full(len(center), np.nan)
    if not finite.any():  # nothing to compare, or nobody selected
        return reach, error
    error[finite] = draws[finite].std(axis=1, ddof=1)
    deviation, own = np.abs(draws[finite] - center[finite, None]), error[finite, None]
    scaled = np.divide(deviation, own, out=np.zeros_like(deviation), where=own > 0)
    level = 1 - (1 - confidence) / (2 * len(center))
    few = float(stats.t.ppf(level, max(1, freedom)) / stats.norm.ppf(level))
    reach[finite] = float(np.quantile(scaled.max(axis=0), confidence)) * error[finite] * few
    return reach, error


def _resampled_blocks(values: Floats, resamples: int, rng: np.random.Generator) -> Floats:
    """Mean of each group in resamples of whole blocks, shape (groups, resamples); `values` is (blocks, groups)."""
    n = len(values)
    means = values[rng.integers(n, size=(resamples, n))].mean(axis=1)
    return np.asarray((values.mean(axis=0) + (means - values.mean(axis=0)) * np.sqrt(n / (n - 1))).T)


def _resampled(values: Floats, cells: list[Ints], resamples: int, rng: np.random.Generator) -> Floats:
    """Mean of a group in each resample, shape (resamples,)."""
    return np.asarray(np.mean([_resampled_cell(values[cell], resamples, rng) for cell in cells], axis=0))


def _resampled_cell(values: Floats, resamples: int, rng: np.random.Generator) -> Floats:
    """Resampled means, stretched by sqrt(n / (n - 1)): with cells of ten the plain bootstrap is 5 % too narrow.

    Source: Rao & Wu (1988), doi:10.1080/01621459.1988.10478591.
    """
    n = len(values)
    means = values[rng.integers(n, size=(resamples, n))].mean(axis=1)
    return np.asarray(values.mean() + (means - values.mean()) * np.sqrt(n / max(1, n - 1)))


def _mean(values: Floats, cells: list[Ints]) -> float:
    return float(np.mean([values[cell].mean() for cell in cells]))


def _cells(groups: Sequence[str], strata: Sequence[str]) -> dict[str, list[Ints]]:
    """Positions of each group, by stratum where every stratum holds every group twice or more."""
    crossed = {
        label: [_where(zip(groups, strata, strict=True), (label, stratum)) for stratum in sorted(set(strata))]
        for label in sorted(set(groups))
    }
    if all(len(cell) >= 2 for cells in crossed.values() for cell in cells):
        return crossed
    return {label: [_where(groups, label)] for label in crossed}


def _blocks(groups: Sequence[str], strata: Sequence[str]) -> Ints | None:
    """Positions by stratum and group, shape (strata, groups), if every stratum holds every group exactly once.

    None otherwise, and with one stratum, which leaves nothing to take a mean over.
    """
    names, kinds = sorted(set(groups)), sorted(set(strata))
    if (
        len(kinds) < 2
        or len(names) * len(kinds) != len(groups)
        or len(set(zip(groups, strata, strict=True))) != len(groups)
    ):
        return None
    place = {key: n for n, key in enumerate(zip(strata, groups, strict=True))}
    return np.array([[place[kind, name] for name in names] for kind in kinds], dtype=np.int64)


def _where(items: Iterable[object], wanted: object) -> Ints:
    return np.array([n for n, item in enumerate(items) if item == wanted], dtype=np.int64)


def two_way_intervals(
    by_job: Floats,
    by_resume: Floats,
    groups: Sequence[str],
    strata: Sequence[str],
    *,
    rng: np.random.Generator,
    confidence: float = 0.95,
    resamples: int = 2000,
) -> list[tuple[float, float]]:
    """Intervals of the gaps when other jobs and résumés could have been taken as well as other names.

    All three are resampled independently; the interplay of job and résumé, 1 / (J R) of the variance, is left out.

    Args:
        by_job: Mean shift of each name for each job, shape (J, N).
        by_resume: The same for each résumé, shape (R, N).
        groups: Group of each name.
        strata: What is held constant.
        rng: Source of the resamples.
        confidence: Joint level.
        resamples: Their number.

    Returns:
        (low, high) for each pair, in the order of `gaps`; NaN where a group has fewer than two names.

    Source:
        Owen (2007), doi:10.1214/07-AOAS122, the pigeonhole bootstrap.
    """
    mean, cells, names = by_job.mean(axis=0), _cells(groups, strata), sorted(set(groups))
    if min(len(cell) for own in cells.values() for cell in own) < 2:
        return [(np.nan, np.nan) for _ in combinations(names, 2)]
    drawn = sum(_weights(len(side), resamples, rng) @ side for side in (by_job, by_resume)) - mean
    means = np.array([_weighted(drawn, cells[group], rng) for group in names])
    first, second = np.array(list(combinations(range(len(names)), 2)), dtype=np.int64).reshape(-1, 2).T
    point = np.array([_mean(mean, cells[group]) for group in names])
    center = point[first] - point[second]
    freedom = min(sum(len(cell) - 1 for cell in own) for own in cells.values())
    reach = _simultaneous_reach(center, means[first] - means[second], confidence, freedom)[0]
    return list(zip((center - reach).tolist(), (center + reach).tolist(), strict=True))


def _weighted(drawn: Floats, cells: list[Ints], rng: np.random.Generator) -> Floats:
    """Mean of a group's names, resampled anew in every row of `drawn`; shape (resamples,)."""
    parts = [(drawn[:, cell] * _weights(len(cell), len(drawn), rng)).sum(axis=1) for cell in cells]
    return np.asarray(np.mean(parts, axis=0))


def _weights(n: int, resamples: int, rng: np.random.Generator) -> Floats:
    """Share of each of n things in a resample, stretched as in `_resampled_cell`; shape (resamples, n)."""
    even = 1 / n
    drawn = rng.multinomial(n, np.full(n, even), size=resamples) / n
    return np.asarray(even + (drawn - even) * np.sqrt(n / max(1, n - 1)))
