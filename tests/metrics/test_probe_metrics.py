"""Rank correlation, v-measure and F1 against SciPy and scikit-learn, and draws against resampling written out."""

from __future__ import annotations

import numpy as np
import pytest
from hrembed.metrics.probes import bootstrap_p, interval_of, macro_f1, spearman, spearman_draws, v_measure
from scipy import stats


def tied(seed: int, n: int = 60) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    first = rng.integers(0, 6, size=n).astype(float)
    return first, np.round(first + 2 * rng.normal(size=n), 0)


@pytest.mark.parametrize("seed", range(5))
def test_spearman_is_scipys_with_many_ties(seed: int):
    first, second = tied(seed)
    assert spearman(first, second) == pytest.approx(stats.spearmanr(first, second).statistic)


def test_a_constant_side_has_no_correlation():
    assert np.isnan(spearman(np.ones(4), np.arange(4.0)))


def test_draws_are_those_of_resampling_whole_groups():
    first, second = tied(1)
    groups = [f"g{n // 3}" if n < 30 else "" for n in range(60)]
    draws = spearman_draws(first, second, groups, rng=np.random.default_rng(4), resamples=250)
    labels = [group or f"#{n}" for n, group in enumerate(groups)]
    names, index = np.unique(labels, return_inverse=True)
    rng, expected = np.random.default_rng(4), []
    for size in (200, 50):
        for counts in rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=size):
            rows = np.repeat(np.arange(60), counts[index])
            expected.append(stats.spearmanr(first[rows], second[rows]).statistic)
    assert draws == pytest.approx(np.array(expected))


def test_v_measure_and_f1_are_scikit_learns():
    from sklearn.metrics import f1_score, v_measure_score

    rng = np.random.default_rng(2)
    labels, clusters = [f"l{n}" for n in rng.integers(0, 5, 80)], rng.integers(0, 7, 80)
    assert v_measure(labels, clusters) == pytest.approx(v_measure_score(labels, clusters))
    assert v_measure(labels, np.zeros(80, dtype=int)) == pytest.approx(0, abs=1e-9)
    assert v_measure(["a", "a"], np.array([0, 0])) == 1.0
    said = [f"l{n}" for n in rng.integers(0, 6, 80)]
    assert macro_f1(labels, said) == pytest.approx(f1_score(labels, said, average="macro", zero_division=0))


@pytest.mark.parametrize("groups", [8, 50, 500])
def test_p_is_small_exactly_when_the_interval_excludes_zero(groups: int):
    rng = np.random.default_rng(3)
    agree = 0
    for shift in np.linspace(0, 4, 60):
        draws = rng.normal(shift, 1, size=4000)
        low, high = interval_of(draws, groups, 0.95)
        agree += (bootstrap_p(draws, groups) <= 0.05) == (low > 0 or high < 0)
    assert agree >= 58  # the +1 may decide at the edge


def test_few_draws_and_few_groups_claim_nothing():
    assert bootstrap_p(np.ones(99)) == pytest.approx(2 / 100)
    assert np.isnan(bootstrap_p(np.array([np.nan])))
    assert all(np.isnan(end) for end in interval_of(np.ones(9), 1, 0.95))
