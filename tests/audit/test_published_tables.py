"""Tables that others published, as facts with their source, through the engine of real decisions."""

from __future__ import annotations

import math

import pytest
from hrembed.audit.decisions import Outcome, SmallRule, category_table, count_outcomes, within_jobs
from hrembed.metrics.legal import Count

RULE = SmallRule()


def ratios(counts: dict[str, Count], rule: SmallRule = RULE, unknown: int = 0) -> dict[str, float]:
    rows = category_table(Outcome(counts, Count(0, unknown)), rule)
    return {row.category: row.ratio for row in rows if row.note != "unknown"}


def of_rates(rates: dict[str, tuple[int, float]]) -> dict[str, Count]:
    """Counts from the number of people and the published rate."""
    return {name: Count(round(people * rate), people) for name, (people, rate) in rates.items()}


def test_the_rule_of_new_york_city_selection_example():
    """6 RCNY section 5-301(b), example: ratios with two digits."""
    found = ratios({"Hispanic": Count(204, 408), "White": Count(412, 797), "Black": Count(170, 390)})
    assert {name: round(ratio, 2) for name, ratio in found.items()} == {"Hispanic": 0.97, "White": 1.0, "Black": 0.84}
    sex = ratios({"Male": Count(667, 1390), "Female": Count(555, 1181)})
    assert {name: round(ratio, 3) for name, ratio in sex.items()} == {"Male": 1.0, "Female": 0.979}


def test_the_rule_of_new_york_city_scoring_example():
    """6 RCNY section 5-301(d), example: the numbers of applicants and their scoring rates."""
    sex = ratios(of_rates({"Male": (92, 0.543), "Female": (76, 0.447)}))
    assert {name: round(ratio, 2) for name, ratio in sex.items()} == {"Male": 1.0, "Female": 0.82}
    people = {
        "Hispanic or Latino": (28, 0.642),
        "White": (40, 0.375),
        "Black or African American": (32, 0.5),
        "Native Hawaiian or Pacific Islander": (8, 0.625),
        "Asian": (24, 0.417),
    }
    found = ratios(of_rates(people))
    assert [round(found[name], 2) for name in people] == [1.0, 0.58, 0.78, 0.97, 0.65]


def test_the_questions_and_answers_on_the_uniform_guidelines():
    """44 FR 11996 (1979): 60 %, 45 %, 48 % and 51 % give 75 %, 80 % and 85 %; only the first is below four fifths."""
    counts = {"White": Count(60, 100), "Indian": Count(45, 100), "Hispanic": Count(48, 100), "Black": Count(51, 100)}
    rows = {row.category: row for row in category_table(Outcome(counts, Count(0, 0)))}
    assert [rows[name].ratio for name in ("Indian", "Hispanic", "Black")] == pytest.approx([0.75, 0.8, 0.85])
    assert [rows[name].below for name in ("Indian", "Hispanic", "Black")] == [True, False, False]
    assert rows["Indian"].missing == 3


def test_graduate_admissions_at_berkeley_in_1973():
    """Bickel, Hammel & O'Connell (1975), doi:10.1126/science.187.4175.398; six departments, R's UCBAdmissions.

    Over all departments women are below four fifths; within departments their odds are not lower.
    """
    admitted = {  # department: men admitted, rejected, women admitted, rejected
        "A": (512, 313, 89, 19),
        "B": (353, 207, 17, 8),
        "C": (120, 205, 202, 391),
        "D": (138, 279, 131, 244),
        "E": (53, 138, 94, 299),
        "F": (22, 351, 24, 317),
    }
    cells = [(sex, row[at], row[at] + row[at + 1], job) for job, row in admitted.items()
             for sex, at in (("men", 0), ("women", 2))]  # fmt: skip
    sexes, chosen, people, jobs = (list(column) for column in zip(*cells, strict=True))
    women, men = (row for row in sorted(category_table(count_outcomes(sexes, chosen, people)), key=lambda r: r.ratio))
    assert (women.persons.selected, women.persons.total) == (557, 1835)
    assert (men.persons.selected, men.persons.total) == (1198, 2691)
    assert women.ratio == pytest.approx(0.6818, abs=1e-4)
    assert women.z == pytest.approx(-math.sqrt(92.2053), abs=1e-3)  # Pearson's chi-square of the two-by-two table
    assert women.below
    odds = within_jobs(sexes, chosen, jobs, "men", people)["women"]
    assert odds.strata == 6
    assert odds.odds_ratio == pytest.approx(1 / 0.9047, abs=1e-3)  # R: mantelhaen.test, men over women
    assert odds.p_value > 0.2


ADP = {  # race / ethnicity: people, scoring rate, published impact ratio
    "Asian": (97_576, 0.470, 0.956),
    "Black or African American": (278_592, 0.465, 0.946),
    "Hispanic or Latino": (196_581, 0.475, 0.965),
    "Two or More Races": (40_542, 0.489, 0.994),
    "White": (385_751, 0.492, 1.0),
    "American Indian or Alaska Native": (5_050, 0.454, None),
    "Native Hawaiian or Other Pacific Islander": (4_329, 0.487, None),
}


def test_an_audit_under_local_law_144():
    """ADP, audited by BLDS, LLC, 2023: https://perma.cc/KF5Y-5XY7.

    Counts as in github.com/aclu-national/auditing-the-audits-facct-2025, which collects such audits. Two small
    categories have a number and a rate and no ratio; the published ratios are of unrounded rates.
    """
    sex = ratios(of_rates({"Female": (573_856, 0.473), "Male": (478_161, 0.466)}), unknown=397_979)
    assert sex["Male"] == pytest.approx(0.986, abs=2e-3)
    counts = of_rates({name: row[:2] for name, row in ADP.items()})
    found = ratios(counts, unknown=439_250)
    for name, (_, _, published) in ADP.items():
        if published is None:
            assert math.isnan(found[name])
        else:
            assert found[name] == pytest.approx(published, abs=2e-3)
    counted = ratios(counts, SmallRule(treat="count"), unknown=439_250)
    assert counted["American Indian or Alaska Native"] == pytest.approx(0.454 / 0.492, abs=1e-3)


@pytest.mark.parametrize(
    ("rule", "best", "ratio"),
    [(SmallRule(base="known"), "B", 0.45 / 0.5833), (SmallRule(base="all"), "A", 1.0)],
)
def test_the_base_of_two_percent_decides_who_is_the_best(rule, best, ratio):
    outcome = Outcome({"A": Count(405, 900), "B": Count(35, 60)}, Count(4000, 9000))
    rows = category_table(outcome, rule)
    assert next(row.category for row in rows if row.note == "best") == best
    assert rows[0].ratio == pytest.approx(ratio, abs=1e-3)
    assert [row.share_of_known for row in rows[:2]] == pytest.approx([0.9375, 0.0625])
    assert rows[1].share == pytest.approx(60 / 9960)


@pytest.mark.parametrize("treat", ["blank", "exclude", "count"])
@pytest.mark.parametrize("base", ["known", "all"])
def test_no_impact_ratio_is_above_one(treat, base):
    outcome = Outcome({"A": Count(300, 600), "B": Count(195, 400), "C": Count(12, 15)}, Count(7, 300))
    rows = category_table(outcome, SmallRule(base=base, treat=treat))
    assert all(math.isnan(row.ratio) or row.ratio <= 1 for row in rows)
    small = rows[2]
    assert small.persons.total == 15
    assert math.isnan(small.ratio) is (treat != "count")
    assert (small.note == "best") is (treat == "count")


def test_exactly_two_percent_is_not_small():
    rows = category_table(Outcome({"A": Count(30, 343), "B": Count(1, 7)}, Count(0, 0)))
    assert [row.note for row in rows] == ["", "best"]


def test_nobody_selected_has_no_best_category():
    rows = category_table(Outcome({"A": Count(0, 40), "B": Count(0, 55)}, Count(0, 0)))
    assert [row.note for row in rows] == ["", ""]
    assert all(math.isnan(row.ratio) for row in rows)


def test_scoring_rates_know_no_four_fifths():
    rows = category_table(Outcome({"A": Count(1, 40), "B": Count(30, 55)}, Count(0, 0)), four_fifths=False)
    assert [(row.below, row.missing) for row in rows] == [(None, None), (None, None)]
    assert rows[0].ratio < 0.8
