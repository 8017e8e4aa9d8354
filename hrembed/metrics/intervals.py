"""Intervals for means over queries that may share a group."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import special

from hrembed.types import Estimate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hrembed.types import Floats

_CHUNK = 2_000_000  # resampled positions held in memory at once: 16 MB


class Difference(NamedTuple):
    """A paired difference and whether it can be told from nothing.

    Attributes:
        estimate: Mean of `candidate - reference` with its interval.
        better: Items on which the candidate scored higher.
        worse: Items on which it scored lower.
    """

    estimate: Estimate
    better: int
    worse: int


def mean_interval(
    values: Floats,
    groups: Sequence[str],
    *,
    rng: np.random.Generator,
    confidence: float = 0.95,
    resamples: int = 2000,
    unit: str = "queries",
) -> Estimate:
    """Estimate a mean with a percentile bootstrap over groups.

    Undefined (NaN) values are left out, and counted as such. With fewer than two groups the ends are NaN.

    Args:
        values: One number per item, shape (n,).
        groups: Group of each item, length n; a group is resampled as a whole, since queries of one occupation
            succeed and fail together. An empty name stands for a group of its own.
        rng: Source of the resamples.
        confidence: Level, in (0, 1); the percentiles are widened for few groups.
        resamples: Number of resamples, 1 or more.
        unit: Word for what was counted.

    Returns:
        Mean, ends of the interval, the number of groups, and that of undefined values.

    Raises:
        ValueError: The lengths differ.

    Source:
        Field & Welsh (2007), doi:10.1111/j.1467-9868.2007.00593.x; Hesterberg (2015), section 5.3.
    """
    if len(groups) != len(values):
        raise ValueError(f"values and groups differ in length: {len(values)} and {len(groups)}")
    undefined = int(np.isnan(values).sum())
    if undefined == len(values):
        return Estimate(np.nan, np.nan, np.nan, 0, unit, undefined)
    sums, sizes = _by_group(values, groups)
    low, high = _ends(sums, sizes, confidence, resamples, rng)
    return Estimate(float(sums.sum() / sizes.sum()), low, high, len(sums), unit, undefined)


def _ends(
    sums: Floats, sizes: Floats, confidence: float, resamples: int, rng: np.random.Generator
) -> tuple[float, float]:
    if len(sums) < 2:
        return np.nan, np.nan
    draws = _resampled_means(sums, sizes, resamples, rng)
    low, high = np.quantile(draws, expanded_tails(len(sums), confidence))
    return float(low), float(high)


def paired_difference(
    candidate: Floats,
    reference: Floats,
    groups: Sequence[str],
    *,
    rng: np.random.Generator,
    confidence: float = 0.95,
    resamples: int = 2000,
    unit: str = "queries",
) -> Difference:
    """Estimate the mean of `candidate - reference` over the same items.

    Items undefined on either side are left out. Arguments and method are those of `mean_interval`.

    Raises:
        ValueError: The shapes differ.
    """
    if candidate.shape != reference.shape:
        raise ValueError(f"candidate and reference differ in shape: {candidate.shape} and {reference.shape}")
    delta = candidate - reference
    estimate = mean_interval(delta, groups, rng=rng, confidence=confidence, resamples=resamples, unit=unit)
    return Difference(estimate, int((delta > 0).sum()), int((delta < 0).sum()))


def expanded_tails(n: int, confidence: float) -> tuple[float, float]:
    """Return the two quantile levels of a percentile interval, widened for n units.

    Args:
        n: Independent units, 2 or more.
        confidence: Level, in (0, 1).

    Source:
        Hesterberg (2015), doi:10.1080/00031305.2015.1089789, section 5.3.
    """
    quantile = special.stdtrit(n - 1, (1 + confidence) / 2)
    tail = float(special.ndtr(-np.sqrt(n / (n - 1)) * quantile))
    return tail, 1 - tail


def _by_group(values: Floats, groups: Sequence[str]) -> tuple[Floats, Floats]:
    """Sum and number of the defined values of each group; an empty name is a group of its own."""
    labels = np.array([group or f"#{n}" for n, group in enumerate(groups)])
    defined = ~np.isnan(values)
    _, index = np.unique(labels[defined], return_inverse=True)
    sums = np.bincount(index, weights=values[defined]).astype(np.float64)
    return sums, np.bincount(index).astype(np.float64)


def _resampled_means(sums: Floats, sizes: Floats, resamples: int, rng: np.random.Generator) -> Floats:
    """Draw groups with replacement: positions, which take a tenth of the time of counts from `multinomial`."""
    n = len(sums)
    even = bool((sizes == sizes[0]).all())
    # Sum and size of a group lie side by side, so that one look-up finds both.
    table = sums if even else sums + 1j * sizes
    step = max(1, _CHUNK // n)
    drawn = np.concatenate(
        [
            table.take(rng.integers(0, n, size=(min(step, resamples - start), n)), mode="clip").sum(axis=1)
            for start in range(0, resamples, step)
        ]
    )
    return np.asarray(drawn / (n * sizes[0]) if even else drawn.real / drawn.imag)


def sign_flip_p(
    candidate: Floats,
    reference: Floats,
    groups: Sequence[str],
    *,
    rng: np.random.Generator,
    resamples: int = 10_000,
) -> float:
    """Test a paired difference by flipping the sign of whole groups.

    Under the null hypothesis it does not matter which of the two scored a group. Two-sided; the
    observed signs count as one draw, so that p is never 0.

    Args:
        candidate: One number per item, shape (n,).
        reference: The same items, shape (n,).
        groups: Group of each item; an empty name stands for a group of its own.
        rng: Source of the signs.
        resamples: Number of draws.

    Returns:
        p-value in (0, 1]; NaN without a defined pair.

    Source:
        Smucker, Allan & Carterette (2007), doi:10.1145/1321440.1321528; Phipson & Smyth (2010) for the +1.
    """
    delta = candidate - reference
    if np.isnan(delta).all():
        return float("nan")
    sums, _ = _by_group(delta, groups)
    # Sums in another order differ by rounding; a draw that equals the observed one counts as reached.
    rounding = 1e-12 * max(1.0, float(np.abs(sums).sum()))
    reached = int((np.abs(_flipped_sums(sums, resamples, rng)) >= abs(sums.sum()) - rounding).sum())
    return (reached + 1) / (resamples + 1)


def _flipped_sums(sums: Floats, resamples: int, rng: np.random.Generator) -> Floats:
    """Sum with random signs: a random byte looks up what eight groups add up to under its eight signs."""
    blocks = -(-len(sums) // 8)
    whole = np.zeros(blocks * 8)
    whole[: len(sums)] = sums
    signs = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).astype(np.float64) * 2 - 1
    table, starts = (whole.reshape(blocks, 8) @ signs.T).ravel(), np.arange(blocks) * 256
    step = max(1, _CHUNK // blocks)
    return np.concatenate(
        [
            table.take(
                rng.integers(0, 256, size=(min(step, resamples - start), blocks), dtype=np.uint8) + starts, mode="clip"
            ).sum(axis=1)
            for start in range(0, resamples, step)
        ]
    )


def clustered_error(values: Floats, groups: Sequence[str]) -> tuple[float, int]:
    """Standard error of a mean over items that come in groups.

    Args:
        values: One number per item, shape (n,); undefined ones (NaN) are left out.
        groups: Group of each item; an empty name stands for a group of its own.

    Returns:
        The error, NaN with fewer than two groups, and the number of groups.

    Source:
        Liang & Zeger (1986), doi:10.1093/biomet/73.1.13, for a mean, with the factor G / (G - 1).
    """
    if np.isnan(values).all():
        return float("nan"), 0
    sums, sizes = _by_group(values, groups)
    n = len(sums)
    if n < 2:
        return float("nan"), n
    residuals = sums - sums.sum() / sizes.sum() * sizes
    return float(np.sqrt(n / (n - 1) * (residuals**2).sum()) / sizes.sum()), n


def detectable_difference(error: float, n: int, *, alpha: float = 0.05, power: float = 0.8) -> float:
    """Smallest true difference that a two-sided test would find with the given power.

    Args:
        error: Standard error of the difference, from `clustered_error` of the paired differences.
        n: Independent units behind it.
        alpha: Level of the test, in (0, 1); divide it by the number of tests of a family.
        power: Chance to find it, in (0, 1).

    Returns:
        The difference, in the unit of `error`; NaN with fewer than two units.

    Source:
        Lachin (1981), doi:10.1016/0197-2456(81)90001-5, with quantiles of t for few units.
    """
    if n < 2 or np.isnan(error):
        return float("nan")
    return float((special.stdtrit(n - 1, 1 - alpha / 2) + special.stdtrit(n - 1, power)) * error)
