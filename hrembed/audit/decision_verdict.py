"""From tables of real decisions to `pass`, `fail` or `inconclusive`, against a limit that somebody chose."""

from __future__ import annotations

import math
from itertools import combinations
from typing import TYPE_CHECKING

from hrembed.audit.decisions import rates_test
from hrembed.metrics.legal import Count, ratio_interval
from hrembed.metrics.multiplicity import holm
from hrembed.records.bias_audit import DecisionGate
from hrembed.types import Estimate

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hrembed.metrics.gating import Outcome
    from hrembed.records.bias_audit import CategoryRow, DecisionTable


def judge_decisions(tables: Sequence[DecisionTable], limit: float, confidence: float) -> list[DecisionGate]:
    """Judge the impact ratios of each table.

    `fail` where a ratio is below the limit and the p-value of the two rates, corrected for all pairs of categories in
    all tables, is below 1 - confidence: the best category was chosen by looking, so all pairs were looked at. `pass`
    where every interval of a ratio, widened for the pairs of its table, lies inside the limits. Otherwise
    `inconclusive`, also where there is nothing to compare.

    Args:
        tables: Those that are judged.
        limit: Smallest ratio that is accepted, between 0 and 1.
        confidence: Joint level.
    """
    compared = [[row for row in table.rows if not math.isnan(row.ratio)] for table in tables]
    tests = {
        _pair(n, one, two): rates_test(_count(one), _count(two))[1]
        for n, rows in enumerate(compared)
        for one, two in combinations(rows, 2)
    }
    corrected = dict(zip(tests, holm([*tests.values()]), strict=True))
    return [
        _gate(n, table, rows, tests, corrected, limit, confidence)
        for n, (table, rows) in enumerate(zip(tables, compared, strict=True))
    ]


def _pair(table: int, one: CategoryRow, two: CategoryRow) -> tuple[int, str, str]:
    return table, min(one.category, two.category), max(one.category, two.category)


def _count(row: CategoryRow) -> Count:
    return Count(row.persons.selected or 0, row.persons.total)


def _gate(
    n: int,
    table: DecisionTable,
    rows: Sequence[CategoryRow],
    tests: Mapping[tuple[int, str, str], float],
    corrected: Mapping[tuple[int, str, str], float],
    limit: float,
    confidence: float,
) -> DecisionGate:
    nan = float("nan")
    if len(rows) < 2:
        return DecisionGate(
            attribute=table.attribute, kind=table.kind, limit=limit, category="", best="",
            ratio=Estimate(nan, nan, nan, 0, "persons"), p_value=nan, p_holm=nan,
            verdict="inconclusive", reason=_why(table),
        )  # fmt: skip
    best = next(row for row in rows if row.note == "best")
    others = [row for row in rows if row is not best]
    level = 1 - (1 - confidence) / math.comb(len(rows), 2)
    pairs = {row.category: _pair(n, row, best) for row in others}
    intervals = {row.category: ratio_interval(_count(row), _count(best), level) for row in others}
    failed = [row for row in others if row.ratio < limit and corrected[pairs[row.category]] < 1 - confidence]
    inside = all(limit <= low and high <= 1 / limit for low, high in intervals.values())
    verdict: Outcome = "fail" if failed else "pass" if inside else "inconclusive"
    worst = min(failed or others, key=lambda row: row.ratio)
    pair = pairs[worst.category]
    return DecisionGate(
        attribute=table.attribute,
        kind=table.kind,
        limit=limit,
        category=worst.category,
        best=best.category,
        ratio=Estimate(worst.ratio, *intervals[worst.category], worst.persons.total, "persons"),
        p_value=tests[pair],
        p_holm=corrected[pair],
        verdict=verdict,
    )


def _why(table: DecisionTable) -> str:
    """Why a table has nothing to compare."""
    known = [row for row in table.rows if row.note != "unknown"]
    if not known:
        return "no category is known"
    if not any(row.persons.selected for row in known):
        return "no one with a known category is included in this rate"
    if len(known) > 1:
        return "fewer than two categories are large enough to compare"
    return "there is only one category"
