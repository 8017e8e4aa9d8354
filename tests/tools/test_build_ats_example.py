"""Promises of the shipped export."""

from __future__ import annotations

import csv
import filecmp
import re
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from places import DATA

from build_ats_example import build

if TYPE_CHECKING:
    from pathlib import Path

EXAMPLE = DATA / "ats-example"
FILES = ("jobs.csv", "candidates.csv", "applications.csv")


def rows(name: str) -> list[dict[str, str]]:
    with (EXAMPLE / name).open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


JOBS, CANDIDATES, APPLICATIONS = map(rows, FILES)


def test_the_builder_writes_the_shipped_bytes(tmp_path: Path):
    counts = build(tmp_path, DATA / "hr-core")
    assert counts == {"jobs.csv": 60, "candidates.csv": 300, "applications.csv": len(APPLICATIONS)}
    same, different, missing = filecmp.cmpfiles(EXAMPLE, tmp_path, FILES, shallow=False)
    assert (sorted(same), different, missing) == (sorted(FILES), [], [])
    assert f"{len(APPLICATIONS)} applications" in (EXAMPLE / "README.md").read_text(encoding="utf-8")


def test_it_is_small_and_has_the_faults_of_an_export():
    assert sum((EXAMPLE / name).stat().st_size for name in FILES) < 500_000
    described = [job["Job Description"] for job in JOBS]
    assert sum("&lt;p&gt;" in text for text in described) >= 15
    assert sum("<p>" in text for text in described) >= 28
    assert sum(not person["Resume"].strip() or person["Resume"] == "N/A" for person in CANDIDATES) == 4
    people = Counter((person["Email"], person["Last Name"]) for person in CANDIDATES)
    assert [number for number in people.values() if number > 1] == [2, 2, 2]
    known = {person["Candidate ID"] for person in CANDIDATES}
    assert len({row["Candidate ID"] for row in APPLICATIONS} - known) == 3
    assert len({row["Job ID"] for row in APPLICATIONS} - {job["Job ID"] for job in JOBS}) == 2
    statuses = Counter(row["Status"] for row in APPLICATIONS)
    assert {"Hired", "Rejected", "Withdrawn", "Active", "Eingestellt", "Abgelehnt"} <= statuses.keys()


@pytest.mark.parametrize("rows", [CANDIDATES, JOBS])
def test_nobody_can_be_called_or_written_to(rows: list[dict[str, str]]):
    text = "\n".join(cell for row in rows for cell in row.values())
    assert set(re.findall(r"@[\w.-]+\.(\w+)", text)) == {"example"}
    rest, reserved = re.subn(r"(?:\+44 |0)20 7946 0\d{3}\b|\(202\) 555-01\d\d\b", "", text)
    assert reserved >= len(rows)
    assert not re.search(r"\d{3}[ -]\d{4}", rest)
