"""The four words for a difference, and the smallest difference that could have been found."""

from __future__ import annotations

import numpy as np
import pytest
from hrembed.metrics.intervals import clustered_error, detectable_difference, paired_difference, sign_flip_p
from hrembed.metrics.verdicts import judge
from hrembed.types import Estimate


@pytest.mark.parametrize(
    ("low", "high", "p_value", "word"),
    [
        (0.01, 0.2, 0.01, "better"),
        (-0.2, -0.01, 0.01, "worse"),
        (0.001, 0.2, 0.2, "cannot tell"),  # the interval alone, before correction, claims nothing
        (-0.1, 0.1, 0.9, "cannot tell"),
        (-0.015, 0.012, 0.9, "no difference larger than δ"),
        (-0.02, 0.012, 0.9, "cannot tell"),  # the end touches delta
        (0.001, 0.01, 0.01, "better"),  # small, but there
        (np.nan, np.nan, np.nan, "cannot tell"),
    ],
)
def test_the_verdict_is_what_interval_and_p_value_allow(low, high, p_value, word):
    assert judge(Estimate((low + high) / 2, low, high, 20, "items"), p_value, alpha=0.05, delta=0.02) == word


def test_the_error_of_a_mean_is_the_usual_one_and_grows_with_groups():
    rng = np.random.default_rng(1)
    values = rng.normal(size=60)
    error, n = clustered_error(values, [""] * 60)
    assert n == 60
    assert error == pytest.approx(values.std(ddof=1) / np.sqrt(60))
    shared = np.repeat(rng.normal(size=20), 3)
    alone, together = clustered_error(shared, [""] * 60)[0], clustered_error(shared, [f"g{n // 3}" for n in range(60)])
    assert together[1] == 20
    assert together[0] == pytest.approx(alone * np.sqrt(3 * 59 / 57), rel=1e-6)
    assert np.isnan(clustered_error(values, ["one"] * 60)[0])
    assert clustered_error(np.array([np.nan]), [""]) == (pytest.approx(np.nan, nan_ok=True), 0)


def test_detectable_differences_shrink_with_queries_and_grow_with_tests():
    assert detectable_difference(0.1, 10_000) == pytest.approx(0.1 * (1.95996 + 0.84162), rel=1e-3)
    assert detectable_difference(0.1, 10) > detectable_difference(0.1, 1000)
    assert detectable_difference(0.1, 50, alpha=0.01) > detectable_difference(0.1, 50)
    assert np.isnan(detectable_difference(0.1, 1))


def queries(rng: np.random.Generator, n: int, shift: float) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Reciprocal ranks of two models on hard and easy queries, four of which share an occupation."""
    groups = [f"g{n // 4}" for n in range(n)]
    hard = np.repeat(rng.normal(size=-(-n // 4)), 4)[:n] + rng.normal(size=n)
    first, second = (1 / (1 + np.floor(np.exp(hard + 0.7 * rng.normal(size=n)))) for _ in range(2))
    return first + shift, second, groups


def test_a_difference_of_the_stated_size_is_found_in_three_of_four_tasks():
    """Size stated by one sample, looked for in the next: 80 % power by design, at least 75 % wanted."""
    rng, found, runs = np.random.default_rng(11), 0, 300
    for _ in range(runs):
        first, second, groups = queries(rng, 160, 0.0)
        size = detectable_difference(*clustered_error(first - second, groups))
        first, second, groups = queries(rng, 160, size)
        difference = paired_difference(first, second, groups, rng=rng, resamples=300)
        p_value = sign_flip_p(first, second, groups, rng=rng, resamples=500)
        found += judge(difference.estimate, p_value, alpha=0.05, delta=0.02) == "better"
    assert 0.75 <= found / runs <= 0.9
