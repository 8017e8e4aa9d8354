"""Group differences: worked examples, and simulated audits in which the truth is known."""

from __future__ import annotations

import numpy as np
import pytest
from hrembed.metrics.fairness import (
    gaps,
    holm,
    impact_ratios,
    name_effects,
    permutation_p,
    selection_rates,
)

GENDER = ["f", "m"] * 40
RACE = ["a"] * 20 + ["b"] * 20 + ["c"] * 20 + ["d"] * 20


def test_name_effect_is_the_shift_in_standard_deviations_of_the_job():
    nameless = np.array([[0.2, 0.4], [0.1, 0.7]])  # sd .1414 and .4243
    scores = nameless[:, :, None] + np.array([0.0, 0.05])
    effect = (0.05 / np.std([0.2, 0.4], ddof=1) + 0.05 / np.std([0.1, 0.7], ddof=1)) / 2
    assert name_effects(scores, nameless) == pytest.approx([0.0, effect])


def test_name_effect_is_undefined_when_all_resumes_score_alike():
    assert np.isnan(name_effects(np.ones((1, 2, 3)), np.ones((1, 2)))).all()
    with pytest.raises(ValueError, match="fewer than 2"):
        name_effects(np.ones((1, 1, 3)), np.ones((1, 1)))


def test_selection_takes_the_best_of_the_whole_pool():
    scores = np.array([[[0.9, 0.8], [0.1, 0.7]]])  # one job, two résumés, two names
    assert selection_rates(scores, 0.5).tolist() == [0.5, 0.5]
    assert selection_rates(scores, 0.25).tolist() == [0.5, 0.0]


def test_ties_at_the_cut_share_the_places():
    scores = np.array([[[0.5, 0.5, 0.5, 0.1]]])
    assert selection_rates(scores, 0.5) == pytest.approx([2 / 3, 2 / 3, 2 / 3, 0.0])
    assert selection_rates(np.ones((2, 3, 4)), 0.25) == pytest.approx([0.25] * 4)


def test_gap_is_taken_within_strata():
    """More women of a race that scores high is no gender gap."""
    groups = ["f"] * 6 + ["m"] * 2 + ["f"] * 2 + ["m"] * 6
    strata = ["x"] * 8 + ["y"] * 8
    values = np.array([1.0] * 8 + [0.0] * 8) + np.tile([0.01, -0.01], 8)
    (contrast,) = gaps(values, groups, strata)
    assert contrast.value == pytest.approx(0.0)
    assert (contrast.first, contrast.second) == ("f", "m")


def test_gap_without_replication_has_no_interval():
    (contrast,) = gaps(np.array([0.1, 0.3]), ["f", "m"], ["", ""])
    assert contrast.value == pytest.approx(-0.2)
    assert np.isnan(contrast.low)


def test_gap_intervals_hold_together_and_detect_what_they_promise():
    rng = np.random.default_rng(0)
    truth = {"a": 0.0, "b": 0.0, "c": 0.1, "d": 0.3}
    jointly = found = 0
    for _ in range(400):
        spread = np.where(np.array(RACE) == "d", 0.4, 0.15)
        values = np.array([truth[r] for r in RACE]) + spread * rng.normal(size=80)
        contrasts = gaps(values, RACE, GENDER)
        jointly += all(c.low <= truth[c.first] - truth[c.second] <= c.high for c in contrasts)
        planted = values + np.where(np.array(RACE) == "a", contrasts[0].detectable, 0)
        found += not gaps(planted, RACE, GENDER)[0].low <= 0
    assert jointly / 400 >= 0.94  # Bonferroni is a little wider than needed
    assert found / 400 >= 0.75  # promised: 80 %


def test_permutation_rejects_equal_names_as_often_as_it_says_where_cells_would_not():
    """The A/A check: 10 résumés per name are no 10 names."""
    from scipy import stats

    rng = np.random.default_rng(1)
    by_name = by_cell = 0
    for _ in range(300):
        cells = rng.normal(size=80)[:, None] + 0.3 * rng.normal(size=(80, 10))
        by_name += permutation_p(cells.mean(axis=1), GENDER, RACE, rng=rng, resamples=199) <= 0.05
        by_cell += stats.ttest_ind(cells[::2].ravel(), cells[1::2].ravel()).pvalue <= 0.05
    assert by_name / 300 <= 0.09
    assert by_cell / 300 >= 0.30


def test_permutation_finds_a_planted_gap():
    rng = np.random.default_rng(2)
    values = rng.normal(size=80) + np.where(np.array(GENDER) == "f", 1.0, 0.0)
    assert permutation_p(values, GENDER, RACE, rng=rng, resamples=999) <= 0.01
    assert np.isnan(permutation_p(values, ["f"] * 80, RACE, rng=rng))


def test_impact_ratio_intervals_hold_together():
    rng = np.random.default_rng(3)
    truth = {"a": 0.10, "b": 0.10, "c": 0.12, "d": 0.15}
    jointly = 0
    for _ in range(300):
        rates = np.array([rng.beta(4 * truth[r] * 10, 4 * (1 - truth[r]) * 10) for r in RACE])
        contrasts = impact_ratios(rates, RACE, GENDER, rng=rng, resamples=400)
        jointly += all(c.low <= truth[c.first] / truth[c.second] <= c.high for c in contrasts)
    assert 0.90 <= jointly / 300 <= 0.99


def test_resampled_means_spread_as_much_as_the_standard_error_says():
    """Cells of three: the plain bootstrap would spread sqrt(2 / 3) as much."""
    from hrembed.metrics.fairness import _resampled_cell

    values = np.array([0.0, 0.3, 0.9])
    draws = _resampled_cell(values, 40_000, np.random.default_rng(0))
    assert draws.std() == pytest.approx(values.std(ddof=1) / np.sqrt(3), rel=0.02)


def test_impact_ratio_puts_the_lower_rate_on_top_and_is_undefined_without_selection():
    rates = np.array([0.1, 0.2] * 40)
    (contrast,) = impact_ratios(rates, GENDER, RACE, rng=np.random.default_rng(0))
    assert (contrast.first, contrast.second) == ("f", "m")
    assert (contrast.value, contrast.low, contrast.high) == pytest.approx((0.5, 0.5, 0.5))
    (none,) = impact_ratios(np.array([0.0, 0.2] * 40), GENDER, RACE, rng=np.random.default_rng(0))
    assert np.isnan(none.low)
    assert impact_ratios(rates, ["f"] * 80, RACE, rng=np.random.default_rng(0)) == []


def test_holm_worked_out_by_hand():
    # sorted .01 .02 .04 -> x3 = .03, x2 = .04, x1 = .04
    assert holm([0.04, 0.01, 0.02]) == pytest.approx([0.04, 0.03, 0.04])
    assert holm([0.6, 0.9]) == [1.0, 1.0]
    assert np.isnan(holm([float("nan"), 0.01])[0])
    assert holm([float("nan"), 0.01])[1] == pytest.approx(0.01)
