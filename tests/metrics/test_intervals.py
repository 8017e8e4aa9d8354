"""Intervals and tests: by simulation, since a formula can look right and cover 80 %."""

from __future__ import annotations

import numpy as np
import pytest
from hrembed.metrics import intervals
from hrembed.metrics.intervals import expanded_tails, mean_interval, paired_difference, sign_flip_p
from scipy import stats


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
    with pytest.raises(ValueError, match="values and groups differ in length"):
        mean_interval(np.zeros(2), ["a"], rng=np.random.default_rng(0))
    with pytest.raises(ValueError, match="differ in shape"):
        paired_difference(np.zeros(2), np.zeros(3), ["a"], rng=np.random.default_rng(0))


def test_tails_widen_as_units_get_few():
    assert expanded_tails(10_000, 0.95)[0] == pytest.approx(0.025, abs=1e-4)
    assert expanded_tails(8, 0.95)[0] < 0.01


@pytest.mark.parametrize("uneven", [False, True])
def test_resampled_means_are_those_of_drawing_groups_with_replacement(uneven: bool):
    """Against SciPy's own bootstrap, an independent engine: the same mean and spread."""
    rng = np.random.default_rng(5)
    sizes = rng.integers(1, 9, 60).astype(float) if uneven else np.full(60, 3.0)
    sums = rng.random(60) * sizes
    found = intervals._resampled_means(sums, sizes, 20_000, np.random.default_rng(1))
    theirs = stats.bootstrap(
        (sums, sizes),
        lambda a, b, axis: a.sum(axis=axis) / b.sum(axis=axis),
        paired=True,
        n_resamples=20_000,
        method="percentile",
        rng=np.random.default_rng(2),
    ).bootstrap_distribution
    assert len(found) == 20_000
    assert found.mean() == pytest.approx(theirs.mean(), abs=4 * theirs.std() / np.sqrt(20_000))
    assert found.std() == pytest.approx(theirs.std(), rel=0.03)


@pytest.mark.parametrize("n", [1, 7, 8, 19])
def test_flipped_sums_give_every_group_a_fair_sign_of_its_own(n: int):
    """Powers of three tell from a sum which signs it was made of."""
    found = intervals._flipped_sums(3.0 ** np.arange(n), 4000, np.random.default_rng(3))
    digits = ((found[:, None] + 3.0**n / 2 - 0.5) // 3.0 ** np.arange(n)) % 3  # balanced ternary: 0 is -1, 2 is +1
    assert set(np.unique(digits)) == {0.0, 2.0}
    positive = digits == 2
    assert np.abs(positive.mean(axis=0) - 0.5).max() < 0.035
    if n > 1:
        assert np.abs(np.corrcoef(positive.T) - np.eye(n)).max() < 0.08


def test_the_p_value_is_that_of_all_signs():
    """Six groups have 64 sign patterns: the share of those that reach the observed sum is known."""
    deltas = np.array([0.5, 0.25, -0.125, 0.5, 0.0625, 0.25])
    signs = np.array(np.meshgrid(*[[-1, 1]] * 6)).reshape(6, -1)
    exact = (np.abs(deltas @ signs) >= deltas.sum()).mean()
    found = sign_flip_p(deltas, np.zeros(6), list("abcdef"), rng=np.random.default_rng(0), resamples=40_000)
    assert found == pytest.approx(exact, abs=0.01)
