"""The numbers of employment law against three independent packages, on 200 random tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hrembed.audit.decisions import (
    Columns,
    SmallRule,
    above_median,
    above_median_of_job,
    category_table,
    count_outcomes,
    read_decisions,
    within_jobs,
)
from hrembed.data.read import read_table
from hrembed.errors import DataError
from hrembed.metrics.legal import (
    Count,
    below_four_fifths,
    fisher,
    impact_ratio,
    mantel_haenszel,
    naive_chi_square,
    ratio_interval,
    shortfall,
    small,
    two_proportions,
    wilson,
)

if TYPE_CHECKING:
    from pathlib import Path


def tables() -> list[tuple[Count, Count]]:
    """200 pairs of a group and the most selected one."""
    rng = np.random.default_rng(0)
    found = []
    while len(found) < 200:
        sizes = rng.integers(1, 900, size=2) if rng.random() < 0.5 else rng.integers(1, 60, size=2)
        one, two = (Count(int(rng.integers(0, n + 1)), int(n)) for n in sizes)
        found.append((one, two) if one.rate <= two.rate else (two, one))
    return found


TABLES = tables()


def test_ratio_z_and_shortfall_equal_those_of_aedt_audit():
    from aedt_audit.significance import selections_to_four_fifths, standard_deviation_test

    for group, best in TABLES:
        z, p_value = standard_deviation_test(group.selected, group.total, best.selected, best.total)
        assert two_proportions(group, best) == pytest.approx((z, p_value), abs=1e-9)
        needed = selections_to_four_fifths(group.selected, group.total, best.selected, best.total)
        assert shortfall(group, best) == needed


def test_ratio_fisher_wilson_and_shortfall_equal_those_of_glassbox():
    from glassbox.audit.impact import adverse_impact
    from glassbox.audit.stats import fisher_exact_2x2, wilson_interval

    for group, best in TABLES:
        cells = (group.selected, group.total - group.selected, best.selected, best.total - best.selected)
        assert fisher(group, best) == pytest.approx(fisher_exact_2x2(*cells).p_value, abs=1e-9)
        assert wilson(group) == pytest.approx(wilson_interval(group.selected, group.total), abs=1e-9)
        report = adverse_impact({"group": tuple(group), "best": tuple(best)})
        if report.reference_group == "best" and best.selected:
            (found,) = (own for own in report.groups if own.name == "group")
            assert impact_ratio(group, best) == pytest.approx(found.impact_ratio, abs=1e-9)
            assert shortfall(group, best) == found.shortfall
            assert below_four_fifths(group, best) is found.flagged


def test_rates_and_ratios_equal_those_of_fairlearn():
    from fairlearn.metrics import MetricFrame, selection_rate

    for group, best in TABLES:
        who = ["group"] * group.total + ["best"] * best.total
        chosen = [n < group.selected for n in range(group.total)] + [n < best.selected for n in range(best.total)]
        frame = MetricFrame(metrics=selection_rate, y_true=chosen, y_pred=chosen, sensitive_features=who)
        assert group.rate == pytest.approx(frame.by_group["group"], abs=1e-9)
        assert best.rate == pytest.approx(frame.by_group["best"], abs=1e-9)
        if best.selected:
            assert impact_ratio(group, best) == pytest.approx(frame.ratio(), abs=1e-9)


def test_a_table_equals_that_of_aedt_audit():
    import pandas as pd
    from aedt_audit import four_fifths, impact_ratios, selection_rates
    from aedt_audit.significance import significance

    rng = np.random.default_rng(1)
    people = pd.DataFrame({"sex": rng.choice(["f", "m", "x"], p=[0.5, 0.495, 0.005], size=3000)})
    people.loc[rng.random(3000) < 0.1, "sex"] = None
    people["selected"] = rng.random(3000) < np.where(people["sex"] == "f", 0.2, 0.3)
    theirs = significance(four_fifths(impact_ratios(selection_rates(people, by=["sex"], outcome="selected"))))
    categories = [sex if isinstance(sex, str) else None for sex in people["sex"]]
    outcome = count_outcomes(categories, people["selected"].tolist())
    ours = category_table(outcome, SmallRule(treat="count"))
    assert [line.category for line in ours] == ["f", "m", "x", "unknown"]
    for line in ours[:3]:
        row = theirs[theirs["sex"] == line.category].iloc[0]
        assert (line.persons.selected, line.persons.total) == (row["selected"], row["n"])
        assert line.ratio == pytest.approx(row["impact_ratio"], abs=1e-9)
        assert line.z == pytest.approx(row["z_score"], abs=1e-9)
        assert line.missing == row["selections_to_four_fifths"]
        assert line.below == row["adverse_impact_eeoc"]
    assert [line.note for line in ours] == ["", "best", "", "unknown"]
    assert np.isnan(ours[3].ratio)  # theirs gives one; people of unknown category are no group to compare
    assert ours[2].test == "Fisher"
    left_out = category_table(outcome)
    assert left_out[2].note == "under 2 %"
    assert np.isnan(left_out[2].ratio)


def test_exactly_four_fifths_is_not_less_and_asks_for_nothing():
    assert not below_four_fifths(Count(4, 10), Count(5, 10))
    assert shortfall(Count(3, 5), Count(3, 4)) == 0
    assert shortfall(Count(2, 5), Count(3, 4)) == 1  # floating point would ask for 2
    assert np.isnan(impact_ratio(Count(0, 5), Count(0, 5)))


def test_intervals_of_ratios_hold_their_level():
    rng = np.random.default_rng(3)
    for rates, sizes in (((0.1, 0.12), (60, 300)), ((0.4, 0.5), (40, 200)), ((0.02, 0.03), (300, 900))):
        covered, drawn = 0, 0
        for _ in range(1000):
            group, best = (Count(int(rng.binomial(n, p)), n) for p, n in zip(rates, sizes, strict=True))
            low, high = ratio_interval(group, best)
            drawn += not np.isnan(low)
            covered += low <= rates[0] / rates[1] <= high
        assert 0.93 <= covered / drawn <= 0.98
    assert ratio_interval(Count(0, 20), Count(8, 20))[0] == 0
    assert np.isnan(ratio_interval(Count(0, 20), Count(0, 20))).all()
    low, high = ratio_interval(Count(3, 3), Count(3, 3))
    assert low == pytest.approx(1 / high)


def test_small_cells_are_told_by_what_is_expected():
    assert small(Count(3, 10), Count(4, 12))  # fewer than 30 persons
    assert small(Count(0, 40), Count(2, 400))
    assert not small(Count(20, 100), Count(30, 100))


def test_mantel_haenszel_equals_an_independent_engine():
    from scipy.stats import chi2

    rng = np.random.default_rng(2)
    strata = [
        (Count(int(rng.binomial(30, 0.2 + 0.1 * n)), 30), Count(int(rng.binomial(50, 0.3 + 0.1 * n)), 50))
        for n in range(4)
    ]
    found = mantel_haenszel(strata)
    # As written in Agresti (2013), Categorical Data Analysis, 6.4.2.
    n11 = np.array([one.selected for one, _ in strata], dtype=float)
    rows = np.array([[one.total, two.total] for one, two in strata], dtype=float)
    cols = np.array([one.selected + two.selected for one, two in strata], dtype=float)
    n = rows.sum(axis=1)
    mean = rows[:, 0] * cols / n
    variance = rows[:, 0] * rows[:, 1] * cols * (n - cols) / (n**2 * (n - 1))
    statistic = (n11.sum() - mean.sum()) ** 2 / variance.sum()
    assert found.statistic == pytest.approx(statistic)
    assert found.p_value == pytest.approx(chi2.sf(statistic, 1))
    assert found.odds_ratio < 1
    assert found.strata == 4
    assert np.isnan(mantel_haenszel([(Count(0, 5), Count(0, 5))]).p_value)


def test_groups_that_apply_to_harder_jobs_are_no_evidence_within_jobs():
    categories, chosen, jobs = [], [], []
    for job, rate, women, men in (("hard", 0.1, 300, 100), ("easy", 0.5, 100, 300)):
        for sex, n in (("f", women), ("m", men)):
            categories += [sex] * n
            chosen += [k < rate * n for k in range(n)]
            jobs += [job] * n
    assert category_table(count_outcomes(categories, chosen))[0].below  # over all jobs
    assert within_jobs(categories, chosen, jobs, "m")["f"].p_value > 0.9


def test_scoring_rates_are_above_the_median_not_at_it():
    assert above_median([1, 2, 2, 3]) == [False, False, False, True]
    assert above_median_of_job([1, 2, 10, 20], ["a", "a", "b", "b"]) == [False, True, False, True]


def test_the_usual_chi_square_is_the_one_of_every_text_book():
    assert naive_chi_square([10, 20], [100, 100]) == pytest.approx(0.0477, abs=1e-4)
    assert np.isnan(naive_chi_square([0, 0], [10, 10]))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "d.csv is empty"),
        ("sex,selected\n", "d.csv is empty"),
        ("gender,selected\nf,1\n", "column 'sex' not found"),
        ("sex,selected\nf,perhaps\n", ":2: column 'selected': invalid decision 'perhaps'; use 1 or 0"),
        ("sex,selected\nf,1\nm,\n", ":3: column 'selected': invalid decision ''"),
    ],
)
def test_decisions_that_cannot_be_read_are_told(tmp_path: Path, text, message):
    file = tmp_path / "d.csv"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=message):
        read_decisions(file, read_table(file, ("sex", "selected")), Columns(("sex",)))


def test_scores_that_are_no_numbers_are_told(tmp_path: Path):
    file = tmp_path / "d.csv"
    file.write_text("sex,score\nf,0.5\nm,nan\n", encoding="utf-8")
    with pytest.raises(DataError, match=":3: expected a numeric score, got 'nan'"):
        read_decisions(file, read_table(file, ("sex", "score")), Columns(("sex",), None, "score"))
