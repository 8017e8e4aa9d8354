"""Columns of exports under the names that systems give them."""

from __future__ import annotations

import pytest
from hrembed.data.ats_columns import KNOWN_AS, NAME_COLUMNS, NEEDED, TEXT_COLUMNS, recognise


@pytest.mark.parametrize(
    ("table", "header", "columns"),
    [
        (
            "jobs",
            ["Requisition Number", "Requisition Title", "Job Description", "Hiring Manager"],
            {"id": "Requisition Number", "title": "Requisition Title", "text": "Job Description"},
        ),
        ("jobs", ["id", "name", "content", "departments"], {"id": "id", "title": "name", "text": "content"}),
        ("jobs", ["Stellen-ID", "Stellentitel", "Beschreibung"], {"title": "Stellentitel", "text": "Beschreibung"}),
        (
            "candidates",
            ["candidateId", "firstName", "lastName", "resumeText", "Gender", "Race/Ethnicity"],
            {"id": "candidateId", "text": "resumeText", "sex": "Gender", "race_ethnicity": "Race/Ethnicity"},
        ),
        ("candidates", ["Bewerber-ID", "Vorname", "Nachname", "Lebenslauf"], {"first_name": "Vorname"}),
        (
            "applications",
            ["candidate.id", "job.id", "status", "currentInterviewStage.title"],
            {"candidate": "candidate.id", "job": "job.id", "stage": "currentInterviewStage.title"},
        ),
        ("applications", ["candidateId", "postingId", "status"], {"job": "postingId", "candidate": "candidateId"}),
        ("applications", ["baseprofile", "associatedprofile", "status"], {"job": "baseprofile"}),
        ("applications", ["candidate_id", "offer_id", "stage"], {"status": "stage"}),
    ],
)
def test_usual_names_are_recognised(table, header, columns):
    found = recognise(table, header)
    assert {ours: found.get(ours) for ours in columns} == columns


def test_what_is_not_there_is_not_invented():
    assert recognise("applications", ["a", "b"]) == {}
    assert "stage" not in recognise("applications", ["candidate_id", "job_id", "stage"]), "it is the status there"


@pytest.mark.parametrize("table", list(KNOWN_AS))
def test_every_column_that_something_reads_can_be_recognised(table):
    assert {*NEEDED[table], *TEXT_COLUMNS[table], *NAME_COLUMNS[table]} <= KNOWN_AS[table].keys()
    for ours, names in KNOWN_AS[table].items():
        assert ours in names
        assert len({*names}) == len(names), (ours, [name for name in names if names.count(name) > 1])
        assert all(names), ours
