"""The A/A check: the same names split at random. A test that finds groups there finds them everywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

from hrembed.metrics.counterfactual import excess
from hrembed.metrics.fairness import draws_p, gaps, impact_ratios, labelings, spread_p
from hrembed.metrics.legal import naive_chi_square
from hrembed.records.bias_audit import SelfCheck

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hrembed.audit.measures import Measurements
    from hrembed.audit.stimuli import Units
    from hrembed.types import Floats

SHUFFLES = 199


def self_check(
    measured: Measurements, units: Units, headline: str, *, splits: int, seed: int, resamples: int = 400
) -> list[SelfCheck]:
    """Split the names of every cell of groups in two at random, many times, and test the halves against each other.

    The very functions of the audit are used: permutation tests, Welch and bootstrap intervals. Beside them stand two
    usual tests over cells.

    Args:
        measured: What was measured of the names.
        units: Names and groups.
        headline: Measure of the selection rate.
        splits: Number of splits.
        seed: Of the splits.
        resamples: Bootstrap draws of each impact ratio.

    Returns:
        One row for each test; empty where a cell has fewer than four names, so that halves have no variance.
    """
    rng = np.random.default_rng(seed)
    cells = [" ".join(groups) for groups in zip(*(units.groups[name] for name in sorted(units.groups)), strict=True)]
    if min(cells.count(cell) for cell in set(cells)) < 4:
        return []
    rejections: dict[str, list[bool]] = {}
    for _ in range(splits):
        halves = _halves(cells, rng)
        for name, rejected in _tests(measured, halves, cells, headline, rng, resamples).items():
            rejections.setdefault(name, []).append(rejected)
    return [_row(name, rejected, 1 - 0.01 / len(rejections)) for name, rejected in rejections.items()]


def _halves(cells: Sequence[str], rng: np.random.Generator) -> list[str]:
    halves = np.empty(len(cells), dtype="<U1")
    for cell in sorted(set(cells)):
        block = rng.permutation(np.flatnonzero(np.asarray(cells) == cell))
        halves[block] = np.where(np.arange(len(block)) % 2 == 0, "A", "B")
    return halves.tolist()


def _tests(
    measured: Measurements,
    halves: Sequence[str],
    cells: Sequence[str],
    headline: str,
    rng: np.random.Generator,
    resamples: int,
) -> dict[str, bool]:
    labels = labelings(halves, cells, rng=rng, resamples=SHUFFLES)
    values, rates = measured.units["score"], measured.units[headline]
    p_values = spread_p(measured.tested, labels)
    rejected = {f"permutation: {name}": bool(p <= 0.05) for name, p in zip(measured.units, p_values, strict=True)}
    for name, pairs in measured.pairs.items():
        rejected[f"permutation: excess of {name}"] = bool(draws_p(excess(pairs, labels)[:, None])[0] <= 0.05)
    (gap,) = gaps(values, halves, cells)
    (ratio,) = impact_ratios(rates, halves, cells, rng=rng, resamples=resamples)
    rejected["interval of the score gap"] = not gap.low <= 0 <= gap.high
    rejected["interval of the impact ratio"] = bool(ratio.low > 1 or ratio.high < 1)
    return rejected | _naive(measured, halves, rates)


def _naive(measured: Measurements, halves: Sequence[str], rates: Floats) -> dict[str, bool]:
    first = np.asarray(halves) == "A"
    sides = [measured.effects[:, side].ravel() for side in (first, ~first)]
    size = measured.jobs * measured.resumes
    counts = [round(float(rates[side].sum()) * size) for side in (first, ~first)]
    return {
        "over cells: t-test of scores": bool(stats.ttest_ind(*sides).pvalue <= 0.05),
        "over cells: chi-square of selections": bool(
            naive_chi_square(counts, [int(side.sum()) * size for side in (first, ~first)]) <= 0.05
        ),
    }


def _row(test: str, rejected: Sequence[bool], confidence: float) -> SelfCheck:
    hits, splits = sum(rejected), len(rejected)
    interval = stats.binomtest(hits, splits).proportion_ci(confidence)
    return SelfCheck(
        test=test,
        rejected=hits / splits,
        splits=splits,
        low=float(interval.low),
        high=float(interval.high),
        naive=test.startswith("over cells"),
        holds=bool(interval.low <= 0.05),
    )
