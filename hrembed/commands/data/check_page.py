"""What people read of a check of training data: its tables, and the page."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hrembed.commands.data.anonymise import table
from hrembed.data.leaks import MATCHES
from hrembed.reports.page import Figure, Page, Prose, Table
from hrembed.text import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from hrembed.records.data import DataCheckRecord, Leak, TaskPart
    from hrembed.reports.page import Tone

PART_NAMES: Mapping[TaskPart, str] = {"documents": "documents", "queries": "queries", "pairs": "relevant pairs"}
ALL_MET = "all limits are met"
"""Verdict of a check that found nothing beyond its limits."""

_NOTES = {
    "What of the tasks occurs in training": "A relevant pair that occurs is an answer that the model has seen: its "
    "score on that query says nothing. Documents that occur without their query give no answer away.",
    "In-batch negatives that are relevant": "A relevant negative teaches the model that a right answer is wrong.",
}


def page_of(record: DataCheckRecord, conclusion: Sequence[str]) -> Page:
    """Say whether training data gives away what a model will be judged by.

    Args:
        record: What the check said.
        conclusion: What the command said at its end; the first sentence repeats the verdict.
    """
    title, tone = _answer(record)
    return Page(
        title="Check of training data",
        subtitle="",
        asked="Do the training pairs give away answers of the tasks that a model will be judged by?",
        answer=Prose(title, [f"{record.verdict[:1].upper()}{record.verdict[1:]}.", *conclusion[1:]], tone),
        figures=[*_figures(record)],
        lead=[Table(name, rows, _NOTES.get(name, "")) for name, rows in tables_of(record).items() if rows],
    )


def _answer(record: DataCheckRecord) -> tuple[str, Tone]:
    if record.verdict == ALL_MET:
        return "Nothing was found beyond the limits", "pass"
    if record.removed:
        return (
            f"Limits are exceeded; a copy without {counted(record.removed, 'leaking row')} was written",
            "inconclusive",
        )
    return "Limits are exceeded", "fail"


def _figures(record: DataCheckRecord) -> Iterator[Figure]:
    yield Figure("Training pairs", f"{record.rows:,}", "" if record.removed is None else f"{record.removed:,} left out")
    for task, leaks in record.tasks.items():
        leak = leaks["pairs"]
        name = task.replace("\\", "/").rstrip("/").rpartition("/")[2]
        yield Figure(f"Answers of {name} in training", f"{leak.occur:,} of {leak.total:,}", f"{leak.share:.1%}")
    if record.personal is not None:
        yield Figure("Pieces of personal data", f"{record.personal.findings:,}", "found by rules")


def tables_of(record: DataCheckRecord) -> dict[str, list[dict[str, str]]]:
    """Tables of leaks, false negatives and personal data, for the terminal and the page."""
    tables = {
        "What of the tasks occurs in training": [
            _leak_row(task, part, leak) for task, leaks in record.tasks.items() for part, leak in leaks.items()
        ],
        "In-batch negatives that are relevant": [
            {
                "batches": batching,
                "false": f"{counts.false:,} of {counts.all:,}",
                "share": "no negatives" if np.isnan(counts.share) else f"{counts.share:.2%}",
            }
            for batching, counts in record.false_negatives.items()
        ],
    }
    if record.personal is not None:
        tables["Personal data in the texts of pairs"] = table(record.personal)
    return tables


def _leak_row(task: str, part: TaskPart, leak: Leak) -> dict[str, str]:
    return {
        "task": task,
        "what": PART_NAMES[part],
        "occur": f"{leak.occur:,} of {leak.total:,} ({leak.share:.1%})",
        **{match: f"{leak.by[match]:,}" for match in MATCHES},
        "training rows": f"{leak.rows:,}",
    }
