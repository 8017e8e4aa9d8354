"""What `hrembed finetune` concludes: test tasks decide, for the dev task chose the checkpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hrembed.commands.finetune.conclusion import conclusion_of, deciding
from hrembed.commands.finetune.page import page_of
from hrembed.records.finetune import FinetuneRecord
from hrembed.runs.past import find_run

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def record(small_runs: Path) -> FinetuneRecord:
    return find_run(small_runs, "finetune/latest").record(FinetuneRecord)


@pytest.mark.parametrize(
    ("dev", "tests", "task", "good"),
    [
        ("cannot tell", ["better"], "t0", True),
        ("better", ["cannot tell"], "t0", False),
        ("better", ["better", "worse"], "t1", False),
        ("better", ["no difference larger than δ", "better"], "t1", True),
        ("worse", ["no difference larger than δ"], "t0", False),
        ("better", [], "titles/dev", True),
    ],
)
def test_a_test_task_decides_where_there_is_one(record, dev, tests, task, good):
    (row,) = record.tests
    rows = tuple(row.model_copy(update={"task": f"t{n}", "verdict": said}) for n, said in enumerate(tests))
    record = record.model_copy(update={"verdict": dev, "tests": rows})
    assert deciding(record).task == task
    assert any("hrembed bias-audit" in line for line in conclusion_of(record, "a-run")) is good
    assert f" on {task}" in page_of(record, "a-run", "minilm").answer.title


def test_warnings_are_counted_in_the_answer(record: FinetuneRecord):
    bare = record.model_copy(update={"warnings": ()})
    assert not any("warning" in line for line in page_of(bare, "a-run", "minilm").answer.paragraphs)
    warned = record.model_copy(update={"warnings": ("leak: some",)})
    said = page_of(warned, "a-run", "minilm").answer.paragraphs
    assert "1 warning below: what a reader of the scores must know." in said
