"""The page of a check of training data."""

from __future__ import annotations

import pytest
from hrembed.commands.data.check_page import ALL_MET, page_of
from hrembed.records.data import DataCheckRecord, Leak, NegativeCounts

LEAKS = "2 of 8 relevant pairs of 'my/task' occur in the training data (25.0%, limit 0.0%)"


def record(verdict: str, removed: int | None = None) -> DataCheckRecord:
    leak = Leak(total=8, occur=2, share=0.25, by={"exact": 2, "id": 0, "near": 0, "group": 0}, rows=3)
    return DataCheckRecord(
        rows=40, tasks={"my/task": dict.fromkeys(("documents", "queries", "pairs"), leak)},
        false_negatives={"random batches": NegativeCounts(false=1, all=99, share=1 / 99)},
        personal=None, removed=removed, verdict=verdict,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("verdict", "removed", "title", "tone"),
    [
        (ALL_MET, None, "Nothing was found beyond the limits", "pass"),
        (LEAKS, None, "Limits are exceeded", "fail"),
        (LEAKS, 1, "Limits are exceeded; a copy without 1 leaking row was written", "inconclusive"),
    ],
)
def test_the_answer_leads_and_what_was_found_is_said_once(verdict, removed, title, tone):
    page = page_of(
        record(verdict, removed), [f"pairs.jsonl (40 pairs): {verdict}.", "Next, train:", "  hrembed finetune"]
    )
    assert (page.answer.title, page.answer.kind) == (title, tone)
    assert page.answer.paragraphs == [f"{verdict[:1].upper()}{verdict[1:]}.", "Next, train:", "  hrembed finetune"]
    assert [(figure.label, figure.value) for figure in page.figures] == [
        ("Training pairs", "40"), ("Answers of task in training", "2 of 8"),
    ]  # fmt: skip
    assert [row["what"] for row in page.lead[0].rows] == ["documents", "queries", "relevant pairs"]
