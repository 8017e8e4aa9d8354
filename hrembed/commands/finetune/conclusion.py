"""What a fine-tuning found, in two or three sentences, and what to do next."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hrembed.metrics.verdicts import verdict_words
from hrembed.reports.conclusions import compared_in_words, interval_in_words

if TYPE_CHECKING:
    from hrembed.records.finetune import FinetuneRecord, TunedComparison


def deciding(record: FinetuneRecord) -> FinetuneRecord | TunedComparison:
    """Return the comparison that the answer rests on.

    That of a test task where there is one, since the dev task chose the checkpoint; of several the worst news, then
    the best.
    """
    for verdict in ("worse", "better", "cannot tell"):
        for row in record.tests:
            if row.verdict == verdict:
                return row
    return record.tests[0] if record.tests else record


def conclusion_of(record: FinetuneRecord, run_id: str) -> list[str]:
    """Say what the training gained, what it cost outside of hiring, and which command comes next.

    Args:
        record: What the fine-tuning said.
        run_id: Id of its run, by which the next command names the model.
    """
    said = verdict_words(record.verdict, record.delta)
    interval = interval_in_words(record.difference, record.confidence, sign=True)
    found = f"{record.difference.value:+.3f} {record.metric}, {interval}"
    sentences = [f"The tuned model against its base on the dev task {record.task}: {said} ({found})."]
    for where, rows in (("On test tasks", record.tests), ("Outside of hiring", record.retention)):
        compared = compared_in_words(rows, delta=record.delta, confidence=record.confidence)
        if compared:
            sentences.append(f"{where}: {compared}.")
    if deciding(record).verdict != "better":
        return [*sentences, "Next, check the pairs, and find more of them:", "  hrembed data check PAIRS"]
    return [
        *sentences,
        "Next, evaluate it on tasks that took no part in the training, and audit it:",
        f"  hrembed eval --set models.1.ref=run:{run_id}",
        f"  hrembed bias-audit --set model.ref=run:{run_id}",
    ]
