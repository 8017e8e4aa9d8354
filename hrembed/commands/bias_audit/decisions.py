"""Real decisions: the tables of the law."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hrembed.audit.decisions import (
    UNKNOWN,
    above_median,
    above_median_of_job,
    category_table,
    read_decisions,
    within_jobs,
)
from hrembed.data.locate import locate
from hrembed.data.read import read_table
from hrembed.records.bias_audit import DecisionTable, RealDecisions, WithinJobs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hrembed.audit.decisions import Decisions
    from hrembed.config.bias_audit import DecisionsSection
    from hrembed.runs.record import Run

LAW = (
    "Rates and impact ratios as 6 RCNY section 5-300 and 5-301 define them; that rule sets no limit. Four fifths is "
    "the rule of thumb of 29 CFR 1607.4(D), which looks at statistical and practical significance as well. Whether the "
    "data are what the law asks for, and who may audit them, these tables cannot say."
)


def audit_decisions(section: DecisionsSection, run: Run, confidence: float) -> RealDecisions:
    """Read decisions, and make the tables: each attribute, and their intersection.

    Raises:
        DataError: The file is missing or malformed.
    """
    file = locate(section.path)
    run.add_input("decisions", file)
    columns = [section.selected, section.score, section.job]
    rows = read_table(file, [*section.attributes, *(column for column in columns if column)])
    decisions = read_decisions(file, rows, section.attributes, *columns)
    kinds: dict[str, Sequence[bool]] = {}
    if decisions.selected is not None:
        kinds["selection rate"] = decisions.selected
    if decisions.scores is not None:
        kinds["scoring rate (above the median of all)"] = above_median(decisions.scores)
        if decisions.jobs is not None:
            kinds["scoring rate (above the median of the job)"] = above_median_of_job(decisions.scores, decisions.jobs)
    categories = _categories(decisions)
    return RealDecisions(
        persons=len(rows),
        law=LAW,
        tables=tuple(
            _table(attribute, kind, categories[attribute], positive, decisions.jobs, confidence)
            for kind, positive in kinds.items()
            for attribute in categories
        ),
    )


def _categories(decisions: Decisions) -> dict[str, Sequence[str]]:
    """Attribute -> the category of each person, and of several attributes their intersection."""
    categories: dict[str, Sequence[str]] = dict(decisions.groups)
    if len(categories) > 1:
        categories[" x ".join(decisions.groups)] = [
            UNKNOWN if UNKNOWN in person else " / ".join(person)
            for person in zip(*decisions.groups.values(), strict=True)
        ]
    return categories


def _table(
    attribute: str,
    kind: str,
    categories: Sequence[str],
    positive: Sequence[bool],
    jobs: Sequence[str] | None,
    confidence: float,
) -> DecisionTable:
    rows = category_table(categories, positive, confidence)
    best = next((row.category for row in rows if row.note == "best"), None)
    within = None
    if jobs is not None and best is not None:
        within = WithinJobs(best=best, rows=within_jobs(categories, positive, jobs, best))
    return DecisionTable(attribute=attribute, kind=kind, rows=tuple(rows), within_jobs=within)
