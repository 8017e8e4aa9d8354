"""The tables that a person reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hrembed.reports.estimates import format_estimate

if TYPE_CHECKING:
    from hrembed.records.serve_check import ServeCheckRecord, ServedRanking

CHECKS = "Checks"
TEXTS = "Vectors of eight texts"
WAYS = "Ways to run the model, and how near they come"
_SHOWN_WAYS = 4


def tables_of(record: ServeCheckRecord) -> dict[str, list[dict[str, str]]]:
    """Make the tables: checks first, then what they rest on."""
    tables = {
        CHECKS: [
            {"check": row.check, "outcome": row.outcome, "found": row.found, "what to do": row.advice}
            for row in record.checks
        ]
    }
    if record.explanations:
        sides = dict.fromkeys(row.side for row in record.explanations)
        shown = [
            row for side in sides for row in [row for row in record.explanations if row.side == side][:_SHOWN_WAYS]
        ]
        tables[WAYS] = [
            {"side": row.side, "run": row.run_as, "lowest cosine": _cosine(row.lowest), "mean": _cosine(row.mean)}
            for row in shown
        ]
    if record.ranking is not None:
        tables[f"{record.ranking.task}, ranked by both"] = [_ranking(record.ranking)]
    return tables


def text_rows(record: ServeCheckRecord) -> list[dict[str, str]]:
    """One row for each of the varied texts."""
    return [
        {
            "side": row.side,
            "text": row.text,
            "cosine, alone": _cosine(row.alone),
            "cosine, in one request": _cosine(row.together),
            "length": f"{row.length:.4g}" if np.isfinite(row.length) else "none",
        }
        for row in record.texts
    ]


def _ranking(row: ServedRanking) -> dict[str, str]:
    return {
        "metric": row.metric,
        "model": format_estimate(row.model),
        "server": format_estimate(row.server),
        "difference": format_estimate(row.difference, sign=True),
        "same top 10": f"{row.same_top_10:.2f}",
        "lowest cosine": f"{_cosine(row.lowest_cosine)} of {row.texts:,} texts",
    }


def _cosine(value: float) -> str:
    return f"{value:.6f}" if np.isfinite(value) else "none"
