"""Verdicts from intervals."""

from __future__ import annotations

import pytest
from hrembed.audit.verdict import judge, overall
from hrembed.metrics.fairness import Contrast

NAN = float("nan")


def contrast(low: float, high: float) -> Contrast:
    return Contrast("a", "b", (low + high) / 2, low, high)


@pytest.mark.parametrize(
    ("intervals", "verdict"),
    [
        ([(-0.1, 0.1)], "pass"),
        ([(-0.1, 0.1), (-0.2, 0.2)], "pass"),
        ([(-0.1, 0.3)], "inconclusive"),  # may be small, may be large
        ([(0.1, 0.19)], "pass"),  # real, but too small to matter
        ([(0.1, 0.5)], "inconclusive"),  # the estimate is beyond the limit, the interval is not
        ([(0.25, 0.4)], "fail"),
        ([(-0.4, -0.25)], "fail"),
        ([(-0.1, 0.1), (0.25, 0.4)], "fail"),
        ([(NAN, NAN)], "inconclusive"),
        ([], "inconclusive"),
    ],
)
def test_interval_against_the_range_that_does_not_matter(intervals, verdict):
    assert judge([contrast(*ends) for ends in intervals], -0.2, 0.2) == verdict


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
