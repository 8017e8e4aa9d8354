"""Selection of people, as employment law looks at it: counts of persons, never of swapped names.

These tests take every person for an independent one. On a name-swap run they would reject far too often.
"""

from __future__ import annotations

from fractions import Fraction
from math import erfc, isnan, sqrt
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import stats

if TYPE_CHECKING:
    from collections.abc import Sequence

FOUR_FIFTHS = Fraction(4, 5)


class Count(NamedTuple):
    """How many of a group were selected.

    Attributes:
        selected: Persons selected, 0 to `total`.
        total: Persons.
    """

    selected: int
    total: int

    @property
    def rate(self) -> float:
        """Selection rate in [0, 1]; NaN without persons."""
        return self.selected / self.total if self.total else float("nan")


def impact_ratio(group: Count, best: Count) -> float:
    """Selection rate over that of the most selected group; NaN where that is 0 or a group is empty.

    Source:
        6 RCNY section 5-300; 29 CFR 1607.4(D).
    """
    exact = _ratio(group, best)
    return float("nan") if exact is None else float(exact)


def ratio_interval(group: Count, best: Count, confidence: float = 0.95) -> tuple[float, float]:
    """Interval of the impact ratio, from Wilson's intervals of the two rates; NaN where the ratio is undefined.

    Source:
        Donner & Zou (2012), doi:10.1177/0962280210383082 (MOVER, for a ratio).
    """
    if _ratio(group, best) is None:
        return float("nan"), float("nan")
    (low, high), (bottom, top) = wilson(group, confidence), wilson(best, confidence)
    product = group.rate * best.rate
    inner = low * (2 * group.rate - low)
    below = sqrt(max(0.0, product**2 - inner * top * (2 * best.rate - top)))
    above = sqrt(max(0.0, product**2 - high * bottom * (2 * group.rate - high) * (2 * best.rate - bottom)))
    lowest = inner / (product + below) if inner > 0 else 0.0
    return lowest, (product + above) / (bottom * (2 * best.rate - bottom))


def below_four_fifths(group: Count, best: Count) -> bool:
    """Whether the rate is less than four fifths of the best one, in whole numbers: exactly 0.8 is not less.

    Source:
        29 CFR 1607.4(D).
    """
    exact = _ratio(group, best)
    return exact is not None and exact < FOUR_FIFTHS


def shortfall(group: Count, best: Count) -> int:
    """How many more selections would bring a group to four fifths of the best rate; 0 where it is there.

    Source:
        29 CFR 1607.4(D). In whole numbers: `ceil(0.8 * 3 / 4 * 5)` in floating point asks for one too many.
    """
    if not below_four_fifths(group, best):
        return 0
    target = FOUR_FIFTHS * Fraction(best.selected, best.total) * group.total
    return -(-target.numerator // target.denominator) - group.selected


def _ratio(group: Count, best: Count) -> Fraction | None:
    if not group.total or not best.total or not best.selected:
        return None
    return Fraction(group.selected, group.total) / Fraction(best.selected, best.total)


def two_proportions(group: Count, best: Count) -> tuple[float, float]:
    """Distance of two rates in standard deviations of their difference, and its two-sided p-value (pooled).

    Returns:
        (z, p): z is negative where the group is selected less often; (0, 1) where all or none are selected, NaN where
        a group is empty.

    Source:
        Fleiss, Levin & Paik (2003), Statistical Methods for Rates and Proportions, section 3.1, without continuity
        correction. That "two or three standard deviations" count is from Castaneda v. Partida, 430 U.S. 482 (1977),
        n. 17, and Hazelwood v. United States, 433 U.S. 299 (1977), n. 14, which compare a group with a population.
    """
    if not group.total or not best.total:
        return float("nan"), float("nan")
    pooled = (group.selected + best.selected) / (group.total + best.total)
    variance = pooled * (1 - pooled) * (1 / group.total + 1 / best.total)
    if variance <= 0:
        return 0.0, 1.0
    z = (group.rate - best.rate) / sqrt(variance)
    return z, erfc(abs(z) / sqrt(2))


def fisher(group: Count, best: Count) -> float:
    """Two-sided exact p-value of a two-by-two table, the sum over tables that are no likelier.

    Returns:
        In (0, 1]; 1 where a margin is empty.

    Source:
        Fisher (1935), The Design of Experiments.
    """
    table = np.array([[count.selected, count.total - count.selected] for count in (group, best)])
    return float(stats.fisher_exact(table).pvalue)


def small(group: Count, best: Count) -> bool:
    """Whether a normal approximation is unreliable: an expected cell below 5, or fewer than 30 persons in all."""
    total = group.total + best.total
    if total < 30:
        return True
    selected = group.selected + best.selected
    shares = [count.total * part / total for count in (group, best) for part in (selected, total - selected)]
    return min(shares) < 5


def wilson(count: Count, confidence: float = 0.95) -> tuple[float, float]:
    """Interval of a rate that keeps its level for small counts and rates near 0 and 1; NaN without persons.

    Source:
        Wilson (1927), doi:10.1080/01621459.1927.10502953.
    """
    if not count.total:
        return float("nan"), float("nan")
    z = float(stats.norm.ppf((1 + confidence) / 2))
    n, rate = count.total, count.rate
    middle = (rate + z**2 / (2 * n)) / (1 + z**2 / n)
    reach = z / (1 + z**2 / n) * sqrt(rate * (1 - rate) / n + z**2 / (4 * n**2))
    return max(0.0, middle - reach), min(1.0, middle + reach)


class Stratified(NamedTuple):
    """Two groups compared within strata (jobs).

    Attributes:
        odds_ratio: Common odds ratio of selection, first over second; NaN when undefined.
        statistic: Mantel-Haenszel chi-square with one degree of freedom, without continuity correction.
        p_value: Its p-value; NaN where no stratum can tell.
        strata: Strata that hold both groups, and both outcomes.
    """

    odds_ratio: float
    statistic: float
    p_value: float
    strata: int


def mantel_haenszel(tables: Sequence[tuple[Count, Count]]) -> Stratified:
    """Compare two groups within every job, so that a group that applies to harder jobs is no evidence.

    Args:
        tables: For each job the counts of the first and of the second group.

    Source:
        Mantel & Haenszel (1959), doi:10.1093/jnci/22.4.719.
    """
    top = bottom = gap = variance = 0.0
    used = 0
    for one, two in tables:
        n, selected = one.total + two.total, one.selected + two.selected
        if not one.total or not two.total or selected in (0, n):
            continue
        used += 1
        top += one.selected * (two.total - two.selected) / n
        bottom += (one.total - one.selected) * two.selected / n
        gap += one.selected - one.total * selected / n
        variance += one.total * two.total * selected * (n - selected) / (n**2 * (n - 1))
    if not variance:
        return Stratified(float("nan"), float("nan"), float("nan"), used)
    statistic = gap**2 / variance
    odds = top / bottom if bottom else float("inf")
    return Stratified(odds, statistic, float(stats.chi2.sf(statistic, 1)), used)


def naive_chi_square(selected: Sequence[int], total: Sequence[int]) -> float:
    """Chi-square test of equal rates that takes every row for an independent person; NaN where it is undefined.

    On swapped names it is shown only as what not to do.

    Source:
        Pearson (1900), doi:10.1080/14786440009463897.
    """
    table = np.array([selected, np.asarray(total) - np.asarray(selected)], dtype=np.float64)
    table = table[:, table.sum(axis=0) > 0]
    if table.shape[1] < 2 or (table.sum(axis=1) == 0).any():
        return float("nan")
    found = float(stats.chi2_contingency(table, correction=False).pvalue)
    return float("nan") if isnan(found) else found
