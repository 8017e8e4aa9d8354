"""Real decisions: the tables of the law, as numbers and as rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

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

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hrembed.audit.decisions import Decisions, Line
    from hrembed.config.bias_audit import DecisionsSection
    from hrembed.runs.record import Run

LAW = (
    "Rates and impact ratios as 6 RCNY section 5-300 and 5-301 define them; that rule sets no limit. Four fifths is "
    "the rule of thumb of 29 CFR 1607.4(D), which looks at statistical and practical significance as well. Whether the "
    "data are what the law asks for, and who may audit them, these tables cannot say."
)


def decisions_json(section: DecisionsSection, run: Run, confidence: float) -> dict[str, Any]:
    """Read decisions, and make the tables: each attribute, and their intersection.

    Raises:
        DataError: The file is missing or malformed.
    """
    file = locate(section.path)
    run.add_input("decisions", file)
    columns = [section.selected, section.score, section.job]
    rows = read_table(file, [*section.attributes, *(column for column in columns if column)])
    found = read_decisions(file, rows, section.attributes, *columns)
    kinds: dict[str, Sequence[bool]] = {}
    if found.selected is not None:
        kinds["selection rate"] = found.selected
    if found.scores is not None:
        kinds["scoring rate (above the median of all)"] = above_median(found.scores)
        if found.jobs is not None:
            kinds["scoring rate (above the median of the job)"] = above_median_of_job(found.scores, found.jobs)
    people = len(next(iter(found.groups.values())))
    tables = [
        _table(found, kind, positive, name, confidence) for kind, positive in kinds.items() for name in _views(found)
    ]
    return {"persons": people, "law": LAW, "tables": tables}


def _views(found: Decisions) -> dict[str, list[str]]:
    views = {name: list(own) for name, own in found.groups.items()}
    if len(views) > 1:
        both = [UNKNOWN if UNKNOWN in own else " / ".join(own) for own in zip(*found.groups.values(), strict=True)]
        views[" x ".join(found.groups)] = both
    return views


def _table(found: Decisions, kind: str, positive: Sequence[bool], name: str, confidence: float) -> dict[str, Any]:
    categories = _views(found)[name]
    lines = category_table(categories, positive, confidence)
    table: dict[str, Any] = {"attribute": name, "kind": kind, "rows": [_line(line) for line in lines]}
    best = next((line.category for line in lines if line.note == "best"), None)
    if found.jobs is not None and best is not None:
        table["within_jobs"] = {"best": best, "rows": within_jobs(categories, positive, found.jobs, best)}
    return table


def _line(line: Line) -> dict[str, Any]:
    return {
        **line._asdict(),
        "persons": line.persons._asdict(),
        "rate": line.persons.rate,
        "interval": list(line.interval),
    }


def decision_tables(decisions: Mapping[str, Any] | None) -> dict[str, list[dict[str, str]]]:
    """What a person reads."""
    if decisions is None:
        return {}
    return {
        f"Real decisions, {table['kind']} by {table['attribute']}": [_cells(row) for row in table["rows"]]
        + [
            _within(name, row, table["within_jobs"]["best"])
            for name, row in table.get("within_jobs", {}).get("rows", {}).items()
        ]
        for table in decisions["tables"]
    }


def _cells(row: Mapping[str, Any]) -> dict[str, str]:
    count, (low, high) = row["persons"], row["interval"]
    return {
        "category": row["category"],
        "selected": f"{count['selected']:,} of {count['total']:,}",
        "rate": f"{row['rate']:.3f} [{low:.3f}, {high:.3f}]",
        "impact ratio": "" if np.isnan(row["ratio"]) else f"{row['ratio']:.3f}",
        "below 4/5": "yes" if row["below"] else "",
        "test": f"{row['test']} p = {row['p_value']:.4f}" if row["test"] else "",
        "short of 4/5": f"{row['missing']:,}" if row["missing"] else "",
        "note": row["note"],
    }


def _within(name: str, row: Mapping[str, Any], best: str) -> dict[str, str]:
    empty = dict.fromkeys(("selected", "rate", "impact ratio", "below 4/5", "short of 4/5"), "")
    note = f"within {row['strata']} jobs, odds against {best}: {row['odds_ratio']:.2f}"
    return {"category": name, **empty, "test": f"Mantel-Haenszel p = {row['p_value']:.4f}", "note": note}
