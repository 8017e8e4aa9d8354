"""Groups in a ranking: worked examples, hyperfair as an oracle, simulations of levels."""

from __future__ import annotations

import numpy as np
import pytest
from hrembed.metrics.fusion import reciprocal_rank_fusion
from hrembed.metrics.group_reranking import det_greedy, fair_star
from hrembed.metrics.representation import (
    adjusted_alpha,
    attention_shares,
    every_top_p,
    fewest_allowed,
    min_skew,
    shares_at,
    too_few_p,
)
from scipy.stats import hypergeom


def test_reciprocal_ranks_add_up_and_what_is_missing_gets_nothing():
    fused = reciprocal_rank_fusion([["a", "b"], ["b", "c"]])
    assert fused == {"a": 1 / 61, "b": 1 / 62 + 1 / 61, "c": 1 / 62}
    assert max(fused, key=fused.__getitem__) == "b"
    assert reciprocal_rank_fusion([["a"], ["a"]], constant=0) == {"a": 2.0}
    assert not reciprocal_rank_fusion([])


def test_the_constant_is_that_of_the_paper():
    """With a small constant a first place outweighs two second ones; with 60 it does not."""
    rankings = [["x", "both"], ["y", "both"]]
    by_60, by_0 = reciprocal_rank_fusion(rankings), reciprocal_rank_fusion(rankings, constant=0)
    assert by_60["both"] > by_60["x"]
    assert by_0["both"] == by_0["x"]


def test_shares_count_known_groups_only():
    labels = np.array([0, 1, -1, 1, 0, 0])
    np.testing.assert_allclose(shares_at(labels, 2, 4), [1 / 3, 2 / 3])
    np.testing.assert_allclose(shares_at(labels, 3, 100), [3 / 5, 2 / 5, 0])
    assert np.isnan(shares_at(np.array([-1, -1]), 2, 2)).all()


def test_attention_falls_with_the_logarithm_of_the_rank():
    weights = 1 / np.log2([2, 3, 4, 5])
    np.testing.assert_allclose(attention_shares(np.array([0, 1, -1, 1]), 2), np.array(
        [weights[0], weights[1] + weights[3]]) / (weights[0] + weights[1] + weights[3]))  # fmt: skip


def test_min_skew_is_that_of_the_group_that_is_worst_off():
    assert min_skew(np.array([0.2, 0.8]), np.array([0.4, 0.6])) == pytest.approx(np.log(0.5))
    assert min_skew(np.array([0.0, 1.0]), np.array([0.4, 0.6])) == -np.inf


def test_the_chance_of_so_few_is_counted_by_hand():
    """Two of four, one place: the first is of the other group in half of the orders."""
    assert too_few_p(0, 1, 2, 4) == pytest.approx(1 / 2)
    assert too_few_p(0, 2, 2, 4) == pytest.approx(1 / 6)
    assert too_few_p(2, 4, 2, 4) == 1.0
    assert too_few_p(0, 3, 0, 4) == 1.0


@pytest.mark.parametrize("seed", range(6))
def test_the_chance_of_so_few_is_that_of_hyperfair(seed: int):
    from hyperfair.hyperfair import measure_fairness_single_point

    rng = np.random.default_rng(seed)
    member = rng.random(120) < rng.uniform(0.1, 0.7)
    for k in (1, 10, 25, 100):
        expected = measure_fairness_single_point(member.astype(int), k)
        assert too_few_p(int(member[:k].sum()), k, int(member.sum()), len(member)) == pytest.approx(float(expected))


@pytest.mark.parametrize("seed", range(3))
def test_the_chance_over_every_top_is_that_which_hyperfair_simulates(seed: int):
    from hyperfair.hyperfair import measure_fairness_multiple_points

    rng = np.random.default_rng(seed)
    member = rng.permutation(np.arange(60) < 20)
    drawn, _ = measure_fairness_multiple_points(member.astype(int), 30, n_exp=20_000, seed=seed, cache={})
    assert every_top_p(member[:30], 20, 60) == pytest.approx(float(drawn), abs=0.02)


def test_the_chance_over_every_top_is_counted_by_hand():
    """One of two: the first place is of the other group in half of the orders, and no order is worse."""
    assert every_top_p(np.array([False, True]), 1, 2) == pytest.approx(0.5)
    assert every_top_p(np.array([True, False]), 1, 2) == pytest.approx(1.0)
    assert every_top_p(np.array([True, True]), 2, 2) == pytest.approx(1.0)


def test_looking_at_every_top_keeps_its_level_where_the_plain_p_value_does_not():
    rng = np.random.default_rng(0)
    every, worst = [], []
    for _ in range(400):
        member = rng.permutation(np.arange(80) < 30)[:40]
        every.append(every_top_p(member, 30, 80))
        worst.append(hypergeom.cdf(np.cumsum(member), 80, 30, np.arange(1, 41)).min())
    assert np.mean(np.array(every) <= 0.1) < 0.1 + 3 * np.sqrt(0.09 / 400)
    assert np.mean(np.array(worst) <= 0.1) > 0.2


@pytest.mark.parametrize(("depth", "members", "pool"), [(20, 10, 50), (10, 3, 12), (40, 30, 200)])
def test_the_adjusted_level_fails_random_rankings_as_often_as_it_says(depth: int, members: int, pool: int):
    rng = np.random.default_rng(1)
    alpha = adjusted_alpha(0.1, depth, members, pool)
    assert 0 <= alpha <= 0.1
    least = fewest_allowed(alpha, depth, members, pool)
    member = rng.permuted(np.tile(np.arange(pool) < members, (4000, 1)), axis=1)[:, :depth]
    failing = (np.cumsum(member, axis=1) < least).any(axis=1).mean()
    assert failing <= 0.1 + 3 * np.sqrt(0.09 / 4000)


def test_det_greedy_follows_the_paper_on_a_small_list():
    """Two groups with half of the places each, all of the first group ahead: they alternate."""
    order = det_greedy(np.array([0, 0, 0, 1, 1, 1]), np.array([0.5, 0.5]), 6)
    assert order.tolist() == [0, 3, 1, 4, 2, 5]


def test_det_greedy_leaves_a_balanced_list_and_what_lies_behind_alone():
    labels = np.array([0, 1, 0, 1, 0, 0])
    assert det_greedy(labels, np.array([0.5, 0.5]), 4).tolist() == [0, 1, 2, 3, 4, 5]


def test_det_greedy_goes_on_where_a_group_has_nobody_left_or_is_not_known():
    assert det_greedy(np.array([0, 0, 0]), np.array([0.5, 0.5]), 3).tolist() == [0, 1, 2]
    assert det_greedy(np.array([-1, 0, 1]), np.array([0.5, 0.5]), 3).tolist() == [0, 1, 2]


def test_every_top_of_det_greedy_holds_its_least():
    rng = np.random.default_rng(3)
    for _ in range(20):
        labels = np.sort(rng.integers(0, 2, 40))
        share = np.bincount(labels, minlength=2) / 40
        counts = np.cumsum(labels[det_greedy(labels, share, 40)] == 1)
        assert (counts >= np.floor(np.arange(1, 41) * share[1] + 1e-9)).all()


def test_fair_star_moves_up_only_where_chance_does_not_explain_it():
    rng = np.random.default_rng(5)
    member = rng.permutation(np.arange(60) < 30)
    fine = fair_star(member, alpha=0.1, k=20, members=30, pool=60)
    if every_top_p(member[:20], 30, 60) > 0.1:
        assert fine.tolist() == list(range(60))
    last = np.arange(60) >= 30
    order = fair_star(last, alpha=0.1, k=20, members=30, pool=60)
    least = fewest_allowed(adjusted_alpha(0.1, 20, 30, 60), 20, 30, 60)
    assert (np.cumsum(last[order][:20]) >= least).all()
    assert last[order][:20].sum() == least[-1] > 0
    assert sorted(order.tolist()) == list(range(60))
    assert (np.diff(order[20:]) > 0).all(), "behind the filled places nothing moves"


def test_fair_star_is_the_ranking_of_hyperfair():
    from hyperfair.hyperfair import adjust_ranking

    last = np.arange(40) >= 25
    corrected, ids, _ = adjust_ranking(last.astype(int), np.arange(40), 20, 0.1, n_exp=50_000, seed=0, cache={})
    ours = fair_star(last, alpha=0.1, k=20, members=15, pool=40)
    assert abs(int(last[ours][:20].sum()) - int(np.asarray(corrected)[:20].sum())) <= 1
    assert ours[:5].tolist() == np.asarray(ids)[:5].tolist()
