"""Statuses of applicant-tracking systems: which are recognised, which are left to the user."""

from __future__ import annotations

import pytest
from hrembed.data.stages import GRADES, STAGES, furthest, reaches, stage_of


@pytest.mark.parametrize(
    ("status", "stage"),
    [
        ("Hired", "hired"),
        ("090 Hired", "hired"),
        ("Eingestellt", "hired"),
        ("Zusage", "hired"),
        ("OFFERED", "offer"),
        ("Offer declined", "offer"),  # whoever got one was chosen
        ("1st Interview", "interview"),
        ("Interview - Round 2", "interview"),
        ("Onsite Interview scheduled", "interview"),
        ("Vorstellungsgespräch", "interview"),
        ("Vorstellungsgespraech", "interview"),
        ("Entretien", "interview"),
        ("phone_screen", "shortlisted"),
        ("Shortlisted", "shortlisted"),
        ("Vorauswahl", "shortlisted"),
        ("Rejected: position filled", "rejected"),
        ("Rejected - underqualified", "rejected"),
        ("Abgelehnt / Absage", "rejected"),
        ("Disqualified", "rejected"),
        ("Withdrawn by candidate", "withdrawn"),
        ("Rejected (withdrawn)", "withdrawn"),
        ("Zurückgezogen", "withdrawn"),
        ("IN_PROGRESS", "pending"),
        ("Screening", "pending"),
        ("Neu", "pending"),
    ],
)
def test_usual_statuses_are_recognised(status: str, stage: str):
    assert stage_of(status) == stage
    assert stage_of(status.upper()) == stage


@pytest.mark.parametrize(
    "status",
    ["Talent pool", "Archived", "Closed", "Selected", "Declined", "", "Rejected - candidate stopped responding"],
)
def test_a_status_that_may_mean_several_things_is_not_guessed(status: str):
    assert stage_of(status) is None


def test_the_settings_come_first_in_any_case():
    assert stage_of("talent POOL", {"Talent pool": "pending"}) == "pending"
    assert stage_of("Screening", {"screening": "shortlisted"}) == "shortlisted"
    assert stage_of("Talent pool - later", {"Talent pool": "pending"}) == "pending"


@pytest.mark.parametrize(
    ("outcome", "reached", "stage"),
    [
        ("rejected", "interview", "interview"),
        ("rejected", "pending", "rejected"),
        ("rejected", None, "rejected"),
        ("rejected", "rejected", "rejected"),
        ("pending", "shortlisted", "shortlisted"),
        ("pending", "withdrawn", "withdrawn"),
        ("hired", "offer", "hired"),
        ("shortlisted", "offer", "offer"),
        ("withdrawn", "offer", "withdrawn"),
    ],
)
def test_status_and_stage_together_say_how_far_a_person_came(outcome, reached, stage):
    assert furthest(outcome, reached) == stage


def test_grades_fall_along_the_ladder_and_who_was_not_judged_has_none():
    assert [GRADES.get(stage) for stage in STAGES] == [3, 3, 2, 1, 0, None, None]
    assert [reaches(stage, "interview") for stage in STAGES] == [True, True, True, False, False, False, False]
