"""Tables that others published, as facts with their source, through the engine of real decisions."""

from __future__ import annotations

import math

import pytest
from hrembed.audit.decisions import Outcome, SmallRule, category_table, count_outcomes, within_jobs
from hrembed.metrics.legal import Count

RULE = SmallRule()
COUNT_ALL = SmallRule(treat="count")


def ratios(counts: dict[str, Count], rule: SmallRule = RULE, unknown: int = 0) -> dict[str, float]:
    rows = category_table(Outcome(counts, Count(0, unknown)), rule)
    return {row.category: row.ratio for row in rows if row.note != "unknown"}


def of_rates(rates: dict[str, tuple[int, float]]) -> dict[str, Count]:
    """Counts from the number of people and the published rate."""
    return {name: Count(round(people * rate), people) for name, (people, rate) in rates.items()}


RULE_SELECTION = {  # category: applicants, selected, published impact ratio
    "sex": {"Male": (1390, 667, 1.0), "Female": (1181, 555, 0.979)},
    "race / ethnicity": {
        "Hispanic or Latino": (408, 204, 0.97),
        "White": (797, 412, 1.0),
        "Black or African American": (390, 170, 0.84),
        "Native Hawaiian or Pacific Islander": (119, 52, 0.85),
        "Asian": (616, 302, 0.95),
        "Native American or Alaska Native": (41, 18, 0.85),
        "Two or More Races": (213, 96, 0.87),
    },
    "both": {
        "Hispanic or Latino / Male": (205, 90, 0.841),
        "Hispanic or Latino / Female": (190, 82, 0.827),
        "White / Male": (412, 215, 1.0),
        "Black or African American / Male": (226, 95, 0.806),
        "Native Hawaiian or Pacific Islander / Male": (87, 37, 0.815),
        "Asian / Male": (321, 167, 0.997),
        "Native American or Alaska Native / Male": (24, 11, 0.878),
        "Two or More Races / Male": (115, 52, 0.866),
        "White / Female": (385, 197, 0.981),
        "Black or African American / Female": (164, 75, 0.876),
        "Native Hawaiian or Pacific Islander / Female": (32, 15, 0.898),
        "Asian / Female": (295, 135, 0.877),
        "Native American or Alaska Native / Female": (17, 7, 0.789),
        "Two or More Races / Female": (98, 44, 0.86),
    },
}
RULE_SCORING = {  # category: applicants, published scoring rate, published impact ratio
    "sex": {"Male": (92, 0.543, 1.0), "Female": (76, 0.447, 0.82)},
    "race / ethnicity": {
        "Hispanic or Latino": (28, 0.642, 1.0),
        "White": (40, 0.375, 0.58),
        "Black or African American": (32, 0.5, 0.78),
        "Native Hawaiian or Pacific Islander": (8, 0.625, 0.97),
        "Asian": (24, 0.417, 0.65),
        "Native American or Alaska Native": (16, 0.625, 0.97),
        "Two or More Races": (20, 0.5, 0.78),
    },
    "both": {
        "Hispanic or Latino / Male": (16, 0.75, 1.0),
        "Hispanic or Latino / Female": (12, 0.5, 0.67),
        "White / Male": (20, 0.35, 0.47),
        "Black or African American / Male": (20, 0.5, 0.67),
        "Native Hawaiian or Pacific Islander / Male": (4, 0.75, 1.0),
        "Asian / Male": (12, 0.583, 0.78),
        "Native American or Alaska Native / Male": (8, 0.625, 0.83),
        "Two or More Races / Male": (12, 0.5, 0.67),
        "White / Female": (20, 0.4, 0.53),
        "Black or African American / Female": (12, 0.5, 0.67),
        "Native Hawaiian or Pacific Islander / Female": (4, 0.5, 0.67),
        "Asian / Female": (12, 0.25, 0.33),
        "Native American or Alaska Native / Female": (8, 0.625, 0.83),
        "Two or More Races / Female": (8, 0.5, 0.67),
    },
}


@pytest.mark.parametrize("table", RULE_SELECTION)
def test_the_rule_of_new_york_city_selection_example(table):
    """6 RCNY section 5-301(b), example, read in a copy of the notice of adoption.

    The rule gives every category a ratio, also those under 2 %, which it lets the auditor leave out.
    """
    published = RULE_SELECTION[table]
    found = ratios({name: Count(row[1], row[0]) for name, row in published.items()}, COUNT_ALL, unknown=250)
    for name, (_, _, ratio) in published.items():
        assert found[name] == pytest.approx(ratio, abs=0.0051 if table == "race / ethnicity" else 0.00051), name


def test_categories_under_two_percent_of_the_example_of_the_rule():
    """6 RCNY section 5-301(d): of 2,584 people with a category, 41 are 1.6 %."""
    found = ratios({name: Count(row[1], row[0]) for name, row in RULE_SELECTION["race / ethnicity"].items()})
    assert [name for name, ratio in found.items() if math.isnan(ratio)] == ["Native American or Alaska Native"]


@pytest.mark.parametrize("table", RULE_SCORING)
def test_the_rule_of_new_york_city_scoring_example(table):
    """6 RCNY section 5-301, second example, read in a copy of the notice of adoption; its rates are rounded."""
    published = RULE_SCORING[table]
    found = ratios(of_rates({name: row[:2] for name, row in published.items()}), unknown=15)
    for name, (_, _, ratio) in published.items():
        assert found[name] == pytest.approx(ratio, abs=0.0051), name


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
    counted = ratios(counts, COUNT_ALL, unknown=439_250)
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
