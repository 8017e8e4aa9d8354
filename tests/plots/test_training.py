"""A curve for each loss of a training, since each has a scale of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hrembed.plots.finetune import charts, loss_curves
from hrembed.plots.svg import NARROW
from hrembed.records.finetune import FinetuneRecord
from hrembed.runs.past import past_runs

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def record(small_runs: Path) -> FinetuneRecord:
    """A training whose steps are in turn of a ranking loss near 1 and of a cosine loss near 6."""
    return past_runs(small_runs, "finetune")[0].record(FinetuneRecord)


def test_each_loss_has_a_curve_of_its_own(record: FinetuneRecord):
    curves = loss_curves(record)
    assert [(name, loss) for name, (loss, _) in curves.items()] == [("training", "ranking"), ("training-2", "cosent")]
    steps, losses = curves["training"][1]
    assert steps == list(range(1, 41, 2))
    assert max(losses) <= 2
    steps, losses = curves["training-2"][1]
    assert steps == list(range(2, 41, 2))
    assert min(losses) >= 6


def test_steps_that_join_several_sources_are_one_curve(record: FinetuneRecord):
    joined = record.model_copy(update={"step_sources": ()})
    ((name, (loss, (steps, losses))),) = loss_curves(joined).items()
    assert (name, loss) == ("training", "ranking and cosent")
    assert len(list(steps)) == len(losses) == 40


def test_everything_that_was_measured_is_drawn(record: FinetuneRecord):
    found = charts(record)
    assert list(found) == ["dev", "training", "training-2", "differences"]
    for title, chart, alt in found.values():
        assert chart.svg(NARROW, alt).startswith("<svg")
        assert title
    assert "titles/test +0.100; questions/test -0.005" in found["differences"][2]
