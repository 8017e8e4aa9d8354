"""Group differences: worked examples, and simulated audits in which the truth is known."""

from __future__ import annotations

import numpy as np
import pytest
from hrembed.metrics.brown_forsythe import spread_ratio_p
from hrembed.metrics.counterfactual import deviations, selection_rates
from hrembed.metrics.fairness import (
    gaps,
    impact_ratios,
    labelings,
    permutation_p,
    spread_p,
    two_way_intervals,
    untied,
)
from hrembed.metrics.multiplicity import benjamini_hochberg, holm

GENDER = ["f", "m"] * 40
RACE = ["a"] * 20 + ["b"] * 20 + ["c"] * 20 + ["d"] * 20


def test_name_effect_is_the_shift_in_standard_deviations_of_the_job():
    nameless = np.array([[0.2, 0.4], [0.1, 0.7]])  # sd .1414 and .4243
    scores = nameless[:, :, None] + np.array([0.0, 0.05])
    effect = (0.05 / np.std([0.2, 0.4], ddof=1) + 0.05 / np.std([0.1, 0.7], ddof=1)) / 2
    assert deviations(scores, nameless).mean(axis=(0, 1)) == pytest.approx([0.0, effect])


def test_name_effect_is_undefined_when_all_resumes_score_alike():
    assert np.isnan(deviations(np.ones((1, 2, 3)), np.ones((1, 2)))).all()
    with pytest.raises(ValueError, match="fewer than 2"):
        deviations(np.ones((1, 1, 3)), np.ones((1, 1)))


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


def test_a_measure_of_few_values_keeps_its_level_once_ties_are_broken():
    rng = np.random.default_rng(11)
    coarse = fine = 0
    for _ in range(600):
        values, score = rng.binomial(3, 0.06, size=(1, 80)).astype(float), rng.normal(size=80)
        labels = labelings(GENDER, RACE, rng=rng, resamples=199)
        coarse += spread_p(values, labels)[0] <= 0.05
        fine += spread_p(untied(values, score), labels)[0] <= 0.05
    assert coarse / 600 < 0.03 < fine / 600 < 0.07
    assert np.abs(untied(values, 1e9 * score) - values).max() <= 1e-6


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


def test_benjamini_hochberg_equals_an_independent_engine_and_skips_what_is_undefined():
    from scipy.stats import false_discovery_control

    p_values = [0.01, 0.04, 0.03, 0.5]
    assert benjamini_hochberg(p_values) == pytest.approx(false_discovery_control(p_values))
    assert benjamini_hochberg([0.01, float("nan"), 0.04])[::2] == pytest.approx([0.02, 0.04])


def test_wordings_are_compared_within_each_other():
    """Eight wordings that differ much, each a little lower in one version: only the paired interval sees it."""
    rng = np.random.default_rng(0)
    wording = rng.normal(size=8)
    values = np.concatenate([wording, wording - 0.1 + 0.01 * rng.normal(size=8)])
    groups, strata = ["a"] * 8 + ["b"] * 8, [str(n) for n in range(8)] * 2
    (paired,) = gaps(values, groups, strata)
    (apart,) = gaps(values, groups, [""] * 16)
    assert paired.value == pytest.approx(apart.value)
    assert paired.low > 0.05
    assert apart.low < 0
    assert permutation_p(values, groups, strata, rng=rng, resamples=999) <= 0.02
    assert permutation_p(values, groups, [""] * 16, rng=rng, resamples=999) > 0.2


def test_ratios_of_wordings_resample_whole_wordings():
    rng = np.random.default_rng(1)
    rates = np.repeat(rng.uniform(0.05, 0.5, size=12), 2) * np.tile([0.8, 1.0], 12)
    groups, strata = ["a", "b"] * 12, np.repeat(np.arange(12), 2).astype(str).tolist()
    (ratio,) = impact_ratios(rates, groups, strata, rng=rng)
    assert ratio.value == pytest.approx(0.8)
    assert 0.78 < ratio.low <= ratio.high < 0.82  # every wording says the same


def test_several_measures_at_once_are_tested_as_each_alone():
    rng = np.random.default_rng(2)
    values = rng.normal(size=(3, 80))
    labels = labelings(RACE, GENDER, rng=np.random.default_rng(5), resamples=300)
    together = spread_p(values, labels)
    alone = [permutation_p(row, RACE, GENDER, rng=np.random.default_rng(5), resamples=300) for row in values]
    assert together.tolist() == pytest.approx(alone)
    counts = [np.bincount(own[np.array(GENDER) == "f"]).tolist() for own in labels]
    assert all(count == counts[0] for count in counts)  # shuffled within strata


def test_intervals_over_jobs_cover_a_gap_that_differs_from_job_to_job():
    """Names alone would cover the gap of these very jobs, not that of jobs in general."""
    rng = np.random.default_rng(3)
    both = alone = 0
    for _ in range(200):
        own = 0.3 * rng.normal(size=6)  # the gap of each job; 0 on average
        by_job = np.where(np.array(GENDER) == "f", own[:, None], 0) + 0.2 * rng.normal(size=(6, 80))
        by_resume = np.tile(by_job.mean(axis=0), (5, 1))
        ((low, high),) = two_way_intervals(by_job, by_resume, GENDER, RACE, rng=rng, resamples=200)
        both += low <= 0 <= high
        (gap,) = gaps(by_job.mean(axis=0), GENDER, RACE)
        alone += gap.low <= 0 <= gap.high
    assert both / 200 >= 0.85  # six jobs are few for a bootstrap
    assert alone / 200 <= 0.6


def test_unequal_spread_is_found_and_equal_spread_is_not():
    rng = np.random.default_rng(4)
    labels = labelings(GENDER, RACE, rng=rng, resamples=299)
    wide = np.where(np.array(GENDER) == "f", 3.0, 1.0) * rng.normal(size=80)
    assert spread_ratio_p(wide, labels) <= 0.01
    found = [spread_ratio_p(rng.normal(size=80), labels) <= 0.05 for _ in range(200)]
    assert 0.01 <= np.mean(found) <= 0.11
