"""Two models on the same items, fresh and from past runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from gates import GROUPS, eval_run, values
from hrembed.config.parts import BootstrapSection
from hrembed.errors import DataError
from hrembed.runs.record import open_run
from hrembed.runs.workspace import Workspace
from hrembed.scoring.pairs import Drawn, pair
from hrembed.scoring.past_evals import open_evaluated_model, pair_models

if TYPE_CHECKING:
    from pathlib import Path

BOOTSTRAP = BootstrapSection(resamples=200)
RANDOM = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (values(0.01), values(0, seed=2)),
        (Drawn(0.6, RANDOM.normal(0.6, 0.1, size=200)), Drawn(0.5, RANDOM.normal(0.5, 0.1, size=200))),
    ],
    ids=["items", "draws"],
)
def test_the_other_way_round_is_the_same_difference(first, second):
    there, back = pair(first, second, GROUPS, BOOTSTRAP), pair(second, first, GROUPS, BOOTSTRAP)
    assert back.difference().value == pytest.approx(-there.difference().value)
    assert (back.difference().low, back.difference().high) == pytest.approx(
        (-there.difference().high, -there.difference().low)
    )
    assert back.p_value() == there.p_value()
    assert back.error() == pytest.approx(there.error())
    assert back.counts() == there.counts()[::-1]
    assert there.difference(0.99).low < there.difference().low < there.difference().high < there.difference(0.99).high


def test_a_mean_over_items_is_paired_with_nothing_else():
    with pytest.raises(TypeError, match="cannot be paired"):
        pair(values(0), Drawn(0.5, np.zeros(200)), GROUPS, BOOTSTRAP)


def test_models_of_a_past_run_are_paired_on_what_it_wrote(task: Path, tmp_path: Path):
    old, new = values(0), values(0.05, seed=2)
    eval_run(tmp_path, {"old": old, "new": new}, task)
    sides = [open_evaluated_model(tmp_path, "latest", None, last=last) for last in (True, False)]
    assert [side.model for side in sides] == ["path:new", "path:old"]
    found = pair_models(sides[0], sides[1], "task/test", "ndcg@10", BOOTSTRAP).difference()
    assert found == pair(new, old, GROUPS, BOOTSTRAP).difference()


def test_settings_of_another_version_are_told(tmp_path: Path):
    with open_run(Workspace(tmp_path), "eval", {"modles": []}, seeds={}):
        pass
    with pytest.raises(DataError, match="is not valid for this version of hrembed: modles: Extra inputs"):
        open_evaluated_model(tmp_path, "latest", None, last=False)
