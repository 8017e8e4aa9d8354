"""Verdicts from effects, intervals and p-values."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hrembed.audit.verdict import Gate, equivalence_p, judge, names_needed
from hrembed.metrics.fairness import Contrast, gaps
from hrembed.metrics.gating import overall

NAN = float("nan")
GAP = Gate("score gap", "score", -0.2, 0.2)
RATIO = Gate("impact ratio", "selected@0.1", 0.8, 1.25, ratio=True)


def contrast(low: float, high: float) -> Contrast:
    return Contrast("a", "b", (low + high) / 2, low, high)


@pytest.mark.parametrize(
    ("intervals", "p_value", "verdict"),
    [
        ([(-0.1, 0.1)], 0.9, "pass"),
        ([(-0.1, 0.1), (-0.2, 0.2)], 0.9, "pass"),
        ([(-0.1, 0.3)], 0.5, "inconclusive"),  # may be small, may be large
        ([(0.1, 0.19)], 0.001, "pass"),  # real, but too small to matter
        ([(0.1, 0.5)], 0.001, "fail"),  # beyond the range, and no chance
        ([(0.1, 0.5)], 0.05, "inconclusive"),  # beyond the range, perhaps by chance
        ([(-0.4, -0.25)], 0.01, "fail"),
        ([(-0.1, 0.1), (0.25, 0.4)], 0.01, "fail"),
        ([(0.25, 0.4)], NAN, "inconclusive"),
        ([(NAN, NAN)], 0.01, "inconclusive"),
        ([], 0.01, "inconclusive"),
    ],
)
def test_effects_against_the_range_that_does_not_matter(intervals, p_value, verdict):
    assert judge(GAP, [contrast(*ends) for ends in intervals], p_value, 0.05) == verdict


@pytest.mark.parametrize(
    ("parts", "verdict"),
    [
        (["pass", "pass"], "pass"),
        (["pass", "inconclusive"], "inconclusive"),
        (["fail", "inconclusive", "pass"], "fail"),
        ([], "inconclusive"),
    ],
)
def test_one_failure_fails_and_one_doubt_leaves_doubt(parts, verdict):
    assert overall(parts) == verdict


def test_equivalence_is_two_one_sided_tests_of_the_worst_pair():
    from scipy import stats

    one = Contrast("a", "b", 0.1, 0, 0.2, error=0.04, freedom=30)
    assert equivalence_p(GAP, [one]) == pytest.approx(stats.t.sf((0.2 - 0.1) / 0.04, 30))
    worse = one._replace(value=-0.15)
    assert equivalence_p(GAP, [one, worse]) == pytest.approx(stats.t.sf((0.2 - 0.15) / 0.04, 30))
    ratio = Contrast("a", "b", 0.9, 0.85, 0.95, error=0.05, freedom=30)
    expected = stats.t.sf((math.log(0.9) - math.log(0.8)) / 0.05, 30)
    assert equivalence_p(RATIO, [ratio]) == pytest.approx(expected)
    assert np.isnan(equivalence_p(GAP, [contrast(0, 0.1)]))
    assert equivalence_p(GAP, [one._replace(error=0.0)]) == 0
    assert equivalence_p(GAP, [one._replace(error=0.0, value=0.3)]) == 1


def test_equivalence_is_claimed_wrongly_in_at_most_five_percent():
    """The true gap lies on the limit."""
    rng = np.random.default_rng(0)
    groups = ["f"] * 40 + ["m"] * 40
    claimed = 0
    for _ in range(400):
        values = rng.normal(size=80) * 0.3 + np.where(np.arange(80) < 40, 0.2, 0)
        claimed += equivalence_p(GAP, gaps(values, groups, [""] * 80)) <= 0.05
    assert claimed / 400 <= 0.08


def test_the_number_of_names_that_is_promised_settles_the_doubt():
    rng = np.random.default_rng(1)
    groups = ["f"] * 10 + ["m"] * 10
    values = rng.normal(size=20) * 0.3
    values[:10] += 0.05 - (values[:10].mean() - values[10:].mean())  # a gap of exactly 0.05
    now = gaps(values, groups, [""] * 20)
    assert judge(GAP, now, 1.0, 0.05) == "inconclusive"
    needed = names_needed(GAP, now, 10)
    assert needed is not None
    many = np.concatenate([np.tile(values[:10], -(-needed // 10)), np.tile(values[10:], -(-needed // 10))])
    half = len(many) // 2
    assert judge(GAP, gaps(many, ["f"] * half + ["m"] * half, [""] * len(many)), 1.0, 0.05) == "pass"
    assert names_needed(GAP, [Contrast("a", "b", 0.2, 0.1, 0.3, error=0.05, freedom=9)], 10) is None  # on the limit
    beyond = names_needed(GAP, [Contrast("a", "b", 0.4, -0.2, 1.0, error=0.3, freedom=9)], 10)
    assert beyond is not None
    assert beyond > 10
    assert names_needed(GAP, [], 10) is None
