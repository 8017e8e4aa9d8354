"""The A/A check: the same names split at random. A test that finds groups there finds them everywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from scipy import stats

from hrembed.metrics.counterfactual import excess
from hrembed.metrics.fairness import draws_p, gaps, impact_ratios, labelings, spread_p
from hrembed.metrics.legal import naive_chi_square

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hrembed.audit.measures import Measured
    from hrembed.audit.stimuli import Units

SHUFFLES = 199


class Check(NamedTuple):
    """How often one test rejected where nothing is to be found.

    Attributes:
        test: Which.
        rejected: Share of the splits in which it did, at 5 %.
        splits: Number of splits.
        low: Lower end of the exact interval of the share; the intervals of all tests hold together at 99 %.
        high: Upper end.
        naive: Whether it is a test that takes cells for independent, shown as what not to do.
    """

    test: str
    rejected: float
    splits: int
    low: float
    high: float
    naive: bool

    @property
    def holds(self) -> bool:
        """Whether the share is compatible with 5 %, or below it."""
        return self.low <= 0.05


def self_check(
    measured: Measured, units: Units, headline: str, *, splits: int, seed: int, resamples: int = 400
) -> list[Check]:
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
    cells = [" ".join(own) for own in zip(*(units.groups[name] for name in sorted(units.groups)), strict=True)]
    if min(cells.count(cell) for cell in set(cells)) < 4:
        return []
    found: dict[str, list[bool]] = {}
    for _ in range(splits):
        halves = _halves(cells, rng)
        for name, rejected in _tests(measured, halves, cells, headline, rng, resamples).items():
            found.setdefault(name, []).append(rejected)
    return [_row(name, rejected, 1 - 0.01 / len(found)) for name, rejected in found.items()]


def _halves(cells: Sequence[str], rng: np.random.Generator) -> list[str]:
    own, halves = np.asarray(cells), np.empty(len(cells), dtype="<U1")
    for cell in sorted(set(cells)):
        block = rng.permutation(np.flatnonzero(own == cell))
        halves[block] = np.where(np.arange(len(block)) % 2 == 0, "A", "B")
    return halves.tolist()


def _tests(
    measured: Measured,
    halves: Sequence[str],
    cells: Sequence[str],
    headline: str,
    rng: np.random.Generator,
    resamples: int,
) -> dict[str, bool]:
    labels = labelings(halves, cells, rng=rng, resamples=SHUFFLES)
    values, rates = measured.units["score"], measured.units[headline]
    p_values = spread_p(measured.tested, labels)
    found = {f"permutation: {name}": p <= 0.05 for name, p in zip(measured.units, p_values, strict=True)}
    for name, pairs in measured.pairs.items():
        found[f"permutation: excess of {name}"] = draws_p(excess(pairs, labels)[:, None])[0] <= 0.05
    (gap,) = gaps(values, halves, cells)
    (ratio,) = impact_ratios(rates, halves, cells, rng=rng, resamples=resamples)
    found["interval of the score gap"] = not gap.low <= 0 <= gap.high
    found["interval of the impact ratio"] = bool(ratio.low > 1 or ratio.high < 1)
    return {name: bool(value) for name, value in found.items()} | _naive(measured, halves, rates)


def _naive(measured: Measured, halves: Sequence[str], rates: Any) -> dict[str, bool]:
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


def _row(name: str, rejected: Sequence[bool], confidence: float) -> Check:
    hits, n = sum(rejected), len(rejected)
    found = stats.binomtest(hits, n).proportion_ci(confidence)
    return Check(name, hits / n, n, float(found.low), float(found.high), name.startswith("over cells"))
