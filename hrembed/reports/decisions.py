"""Real decisions as people read them: tables for the terminal, and their part of a page."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hrembed.reports.estimates import format_estimate, format_p, p_in_words
from hrembed.reports.page import Prose, Table
from hrembed.text import counted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hrembed.records.bias_audit import (
        CategoryRow,
        DecisionGate,
        DecisionTable,
        Persons,
        RealDecisions,
        StratifiedOdds,
    )

_VERDICT = "Verdict on real decisions (engineering choices, not law)"


def decision_tables(decisions: RealDecisions) -> dict[str, list[dict[str, str]]]:
    """The tables of real decisions: the verdict, then the categories with the comparisons within jobs below them."""
    verdict = {_VERDICT: [_gate_row(gate) for gate in decisions.gates]}
    return verdict | {_title(table): _rows(table) for table in decisions.tables}


def decision_parts(decisions: RealDecisions) -> Iterator[Prose | Table]:
    """What a page says of real decisions: the verdict, what it rests on, and the tables."""
    verdict, *notes = decisions.notes
    in_table = tuple(f"{gate.kind} by {gate.attribute}: {gate.verdict};" for gate in decisions.gates)
    notes = [note for note in notes if not note.startswith(in_table)]
    yield Prose(f"Verdict on real decisions: {decisions.verdict}", [verdict], decisions.verdict)
    yield Prose("Real decisions", [decisions.law, *notes])
    yield Table(
        _VERDICT,
        [_gate_row(gate) for gate in decisions.gates],
        "p (Holm) is corrected over all pairs of categories of these tables; intervals of a table hold together.",
    )
    for table in decisions.tables:
        yield Table(_title(table), _rows(table), table.basis)


def _gate_row(gate: DecisionGate) -> dict[str, str]:
    """The verdict on the impact ratios of one table of real decisions."""
    compared = f"{gate.category} against {gate.best}: {format_estimate(gate.ratio)}"
    return {
        "table": f"{gate.kind} by {gate.attribute}",
        "limit": f"{gate.limit:g}",
        "lowest impact ratio": gate.reason or compared,
        "p": format_p(gate.p_value),
        "p (Holm)": format_p(gate.p_holm),
        "verdict": gate.verdict,
    }


def _title(table: DecisionTable) -> str:
    """What a table of real decisions is called."""
    return f"Real decisions, {table.kind} by {table.attribute}"


def _rows(table: DecisionTable) -> list[dict[str, str]]:
    """Categories, without those that are named elsewhere, and below them the comparisons within jobs."""
    rows = [_category_row(row, table) for row in table.rows if not row.note.endswith("excluded")]
    if table.within_jobs is not None:
        best = table.within_jobs.best
        rows += [_within_jobs_row(name, odds, best) for name, odds in table.within_jobs.rows.items()]
    return rows


def _category_row(row: CategoryRow, table: DecisionTable) -> dict[str, str]:
    selection = table.kind == "selection rate"
    return {
        "category": row.category,
        "selected" if selection else "above the median": (
            f"{row.persons.total:,} people" if row.persons.selected is None else _of(row.persons)
        ),
        "of known": "" if np.isnan(row.share_of_known) else f"{row.share_of_known:.1%}",
        "of all": f"{row.share:.1%}",
        "rate": "" if np.isnan(row.rate.value) else format_estimate(row.rate),
        "impact ratio": "" if np.isnan(row.ratio) else f"{row.ratio:.3f}",
        **({"below 4/5": "yes" if row.below else ""} if selection else {}),
        "z": f"{row.z:+.2f}" if row.test else "",
        "test": f"{row.test} {p_in_words(row.p_value)}" if row.test else "",
        **({"short of 4/5": f"{row.missing:,}" if row.missing else ""} if selection else {}),
        "note": row.note,
    }


def _of(persons: Persons) -> str:
    return f"{persons.selected:,} of {persons.total:,}"


def _within_jobs_row(name: str, odds: StratifiedOdds, best: str) -> dict[str, str]:
    note = f"within {counted(odds.strata, 'job')}, odds against {best}: {odds.odds_ratio:.2f}"
    return {"category": name, "test": f"Mantel-Haenszel {p_in_words(odds.p_value)}", "note": note}
