"""Intervals and tests: by simulation, since a formula can look right and cover 80 %."""

from __future__ import annotations

import numpy as np
import pytest
from hrembed.metrics.intervals import expanded_tails, mean_interval, paired_difference, sign_flip_p


def clustered(rng: np.random.Generator, clusters: int, size: int, effect: float = 0.0):
    """Bounded scores whose queries share most of their luck with their group."""
    shared = rng.normal(size=clusters)[:, None]
    values = 1 / (1 + np.exp(-(effect + shared + 0.3 * rng.normal(size=(clusters, size)))))
    return values.ravel(), [f"g{n}" for n in range(clusters) for _ in range(size)]


def test_interval_covers_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(0)
    truth = clustered(rng, 200_000, 1)[0].mean()
    inside = 0
    for _ in range(400):
        values, groups = clustered(rng, 24, 4)
        estimate = mean_interval(values, groups, rng=rng, resamples=500)
        inside += estimate.low <= truth <= estimate.high
    # 95 % +- 3 standard errors of 400 draws is 91.7 to 98.3 %.
    assert 0.917 <= inside / 400 <= 0.983


def test_ignoring_the_groups_would_not_cover():
    """What the groups are for: taking queries as independent covers far less than 95 %."""
    rng = np.random.default_rng(1)
    truth = clustered(rng, 200_000, 1)[0].mean()
    inside = 0
    for _ in range(200):
        values, groups = clustered(rng, 24, 4)
        estimate = mean_interval(values, [""] * len(groups), rng=rng, resamples=300)
        inside += estimate.low <= truth <= estimate.high
    assert inside / 200 < 0.85


def test_sign_flip_rejects_a_true_null_as_often_as_it_says_and_finds_a_real_difference():
    rng = np.random.default_rng(2)
    null = found = 0
    for _ in range(300):
        first, groups = clustered(rng, 24, 4)
        second, _ = clustered(rng, 24, 4)
        null += sign_flip_p(first, second, groups, rng=rng, resamples=400) < 0.05
        found += sign_flip_p(first + 0.25, second, groups, rng=rng, resamples=400) < 0.05
    assert null / 300 <= 0.09
    assert found / 300 >= 0.80


def test_undefined_values_are_left_out_and_not_counted():
    values = np.array([0.2, np.nan, 0.4])
    estimate = mean_interval(values, ["a", "b", "c"], rng=np.random.default_rng(0))
    assert estimate.value == pytest.approx(0.3)
    assert estimate.n == 2


def test_nothing_defined_is_undefined_and_one_group_has_no_interval():
    nothing = mean_interval(np.array([np.nan]), ["a"], rng=np.random.default_rng(0))
    assert np.isnan(nothing.value)
    assert nothing.n == 0
    one = mean_interval(np.array([0.2, 0.4]), ["a", "a"], rng=np.random.default_rng(0))
    assert one.value == pytest.approx(0.3)
    assert np.isnan(one.low)
    assert np.isnan(sign_flip_p(np.array([np.nan]), np.array([1.0]), ["a"], rng=np.random.default_rng(0)))


def test_same_seed_same_interval():
    values, groups = clustered(np.random.default_rng(3), 10, 3)
    first = mean_interval(values, groups, rng=np.random.default_rng(13))
    assert first == mean_interval(values, groups, rng=np.random.default_rng(13))
    assert first != mean_interval(values, groups, rng=np.random.default_rng(14))


def test_paired_difference_counts_better_and_worse():
    result = paired_difference(
        np.array([0.5, 0.2, 0.9, 0.1]), np.array([0.4, 0.3, 0.9, np.nan]), list("abcd"), rng=np.random.default_rng(0)
    )
    assert (result.better, result.worse, result.estimate.n) == (1, 1, 3)
    assert result.estimate.value == pytest.approx(0.0)


def test_large_groups_weigh_more():
    """The mean is over queries, also in the resamples: 20 groups of nine at 1, 20 of one at 0."""
    values = np.array([1.0] * 180 + [0.0] * 20)
    groups = [f"large{n // 9}" for n in range(180)] + [f"small{n}" for n in range(20)]
    estimate = mean_interval(values, groups, rng=np.random.default_rng(0))
    assert estimate.value == pytest.approx(0.9)
    assert estimate.low < 0.9 < estimate.high
    assert estimate.low > 0.8


def test_the_p_value_is_never_zero():
    ones, groups = np.ones(30), [f"g{n}" for n in range(30)]
    assert sign_flip_p(ones, 0 * ones, groups, rng=np.random.default_rng(0), resamples=99) == pytest.approx(0.01)


def test_lengths_must_agree():
    with pytest.raises(ValueError, match="2 values but 1 groups"):
        mean_interval(np.zeros(2), ["a"], rng=np.random.default_rng(0))
    with pytest.raises(ValueError, match="differ in shape"):
        paired_difference(np.zeros(2), np.zeros(3), ["a"], rng=np.random.default_rng(0))


def test_tails_widen_as_units_get_few():
    assert expanded_tails(10_000, 0.95)[0] == pytest.approx(0.025, abs=1e-4)
    assert expanded_tails(8, 0.95)[0] < 0.01
