"""Résumés without names, and templates with a slot where a name stood."""

from __future__ import annotations

import pytest
from hrembed.data.ats_groups import Case
from hrembed.data.ats_products import clean, decision_rows, stimuli_of, template_of
from hrembed.data.personal import TYPES, Finder
from hrembed.types import Task, Text

FINDER = Finder(TYPES, common=frozenset({"a"}))
SLOT = "{name}"


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("Ms Jane Doe (she/her) leads", "[NAME] leads"),
        ("DOE, Jane leads", "[NAME] leads"),
        ("Herr Doe leitet", "[NAME] leitet"),
        ("jane.doe@mail.example\nJane leads, Doe follows", "[EMAIL]\n[NAME] leads, [NAME] follows"),
        ("Jane (Leeds) leads", "[NAME] (Leeds) leads"),
        ("Mismatch of Janets", "Mismatch of Janets"),
    ],
)
def test_names_go_with_title_and_pronouns(text: str, cleaned: str):
    said = clean(text, ["Jane", "Doe"], FINDER, SLOT)
    assert said.text == cleaned
    assert said.template == cleaned.replace("[NAME]", SLOT)
    assert said.named == ("[NAME]" in cleaned)


def test_a_resume_without_a_name_gets_its_slot_on_top():
    said = clean("Bakes bread.", [], FINDER, SLOT)
    assert not said.named
    assert template_of(said, SLOT) == "{name}\nBakes bread."
    assert template_of(clean("Jane bakes.", ["Jane"], FINDER, SLOT), SLOT) == "{name} bakes."


def test_half_of_the_stimuli_fit_a_job_and_say_which():
    queries = tuple(Text(f"q{n}", f"ad {n}") for n in range(3))
    documents = tuple(Text(f"d{n}", f"resume {n}") for n in range(12))
    qrels = {"q0": {"d0": 3, "d1": 1, "d2": 0}, "q1": {"d3": 2, "d0": 1}, "q2": {"d4": 2}}
    task = Task("t", queries, documents, qrels)
    stimuli = stimuli_of(task, {f"d{n}": f"{SLOT} {n}" for n in range(12)}, 3, 6, 1)
    assert len(stimuli.jobs) == 3
    assert len({row["_id"] for row in stimuli.resumes}) == 6
    fitting = [row for row in stimuli.resumes if row["occupation"]]
    assert len(fitting) >= 3
    assert all(qrels[row["occupation"]][row["_id"]] > 0 for row in fitting)
    assert len(stimuli_of(task, {f"d{n}": SLOT for n in range(12)}, 1, 50, 1).resumes) == 12


def test_rows_of_decisions_hold_no_person():
    cases = [
        Case("job-1", "resume-1", "offer", "0.5", {"sex": "F", "email": "x@mail.example"}),
        Case("job-1", "resume-2", "rejected", "0.1", {}),
        Case("job-1", "resume-3", "withdrawn", "", {"sex": "F"}),
    ]
    assert decision_rows(cases, ["sex"], "interview", score=True) == [
        {"job": "job-1", "sex": "F", "selected": "yes", "stage": "offer", "score": "0.5"},
        {"job": "job-1", "sex": "", "selected": "no", "stage": "rejected", "score": "0.1"},
    ]
