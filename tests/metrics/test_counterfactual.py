"""What a swap does, against small worked examples and plain loops."""

from __future__ import annotations

import numpy as np
import pytest
from hrembed.metrics.counterfactual import (
    attention,
    disagreement,
    excess,
    excess_error,
    exposure,
    flips,
    pool_ranks,
    ranks_among,
    shifts,
    win_rates,
)
from scipy import stats

RNG = np.random.default_rng(0)
SCORES = RNG.normal(size=(3, 5, 6))
NAMELESS = RNG.normal(size=(3, 5))


def test_ranks_among_the_others_by_plain_loops():
    found = ranks_among(SCORES, NAMELESS)
    for j in range(3):
        for r in range(5):
            others = np.delete(NAMELESS[j], r)
            for n in range(6):
                assert found[j, r, n] == 1 + (others > SCORES[j, r, n]).sum()
    own = ranks_among(NAMELESS[:, :, None], NAMELESS)[:, :, 0]
    assert own.tolist() == (stats.rankdata(-NAMELESS, axis=1)).astype(int).tolist()


def test_places_in_the_pool_and_the_attention_they_get():
    ranks = pool_ranks(np.array([[[0.9, 0.5], [0.5, 0.1]]]))
    assert ranks.tolist() == [[[1, 2.5], [2.5, 4]]]
    assert exposure(np.array([1.0, 3.0])).tolist() == [1.0, 0.5]
    assert attention(np.arange(1, 200), 0.1).sum() == pytest.approx(1)


def test_wins_are_counted_on_the_same_resume():
    scores = np.array([[[0.3, 0.2, 0.1], [0.9, 0.9, 0.8]]])
    assert win_rates(scores) == pytest.approx([(1 + 0.75) / 2, (0.5 + 0.75) / 2, 0.0])
    assert win_rates(SCORES).mean() == pytest.approx(0.5)


def test_flips_and_shifts_by_plain_loops():
    inside = RNG.random((40, 6)) < 0.3
    effects = RNG.normal(size=(40, 6))
    flip, shift = flips(inside), shifts(effects)
    for a in range(6):
        for b in range(6):
            assert flip[a, b] == pytest.approx((inside[:, a] != inside[:, b]).mean())
            assert shift[a, b] == pytest.approx(np.abs(effects[:, a] - effects[:, b]).mean())


def test_turned_pairs_are_those_of_kendall():
    found = disagreement(SCORES[0])
    for a in range(6):
        for b in range(6):
            tau = stats.kendalltau(SCORES[0][:, a], SCORES[0][:, b]).statistic
            assert found[a, b] == pytest.approx((1 - tau) / 2)


def test_excess_is_between_less_within():
    labels = np.array([0, 0, 0, 1, 1, 1])
    pairs = RNG.random((6, 6))
    pairs = (pairs + pairs.T) / 2
    np.fill_diagonal(pairs, 0)
    within = [pairs[a, b] for a in range(6) for b in range(6) if a != b and labels[a] == labels[b]]
    between = [pairs[a, b] for a in range(6) for b in range(6) if labels[a] != labels[b]]
    assert excess(pairs, labels[None])[0] == pytest.approx(np.mean(between) - np.mean(within))
    assert np.isnan(excess(pairs, np.arange(6)[None])[0])  # no two share a group
    assert np.isnan(excess(pairs, np.zeros((1, 6), dtype=int))[0])


def test_the_jackknife_leaves_out_one_name_at_a_time():
    labels = np.array([0, 0, 0, 1, 1, 2, 2])
    pairs = np.random.default_rng(3).random((7, 7))
    pairs = pairs + pairs.T
    np.fill_diagonal(pairs, 0)
    left = []
    for name in range(7):
        rest = np.flatnonzero(np.arange(7) != name)
        left.append(excess(pairs[np.ix_(rest, rest)], labels[None, rest])[0])
    expected = np.sqrt(6 / 7 * ((np.array(left) - np.mean(left)) ** 2).sum())
    assert excess_error(pairs, labels) == pytest.approx(expected)


def test_the_jackknife_error_of_an_excess_is_about_its_spread():
    rng = np.random.default_rng(1)
    labels = np.arange(40) % 2
    drawn, errors = [], []
    for _ in range(100):
        effects = rng.normal(size=(30, 40)) + rng.normal(size=40)
        pairs = shifts(effects)
        drawn.append(excess(pairs, labels[None])[0])
        errors.append(excess_error(pairs, labels))
    assert 0.9 <= np.mean(errors) / np.std(drawn) <= 2  # a jackknife errs on the wide side
