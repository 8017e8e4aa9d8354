from __future__ import annotations

import importlib
import json
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

if TYPE_CHECKING:
    from types import ModuleType

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def layers(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script, imported as it is started: beside `measuring`."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("layers")


def test_every_choice_has_a_key_of_its_own(layers: ModuleType) -> None:
    keys = {
        layers.key_of(layers.settings_of(seed, subset, rate=rate, short=short))
        for seed in (13, 14)
        for short in (True, False)
        for rate in (1e-4, 2e-4)
        for subset in [*layers.SUBSETS, ()]
    }
    assert len(layers.SUBSETS) == len(set(layers.SUBSETS)) == 20
    assert len(keys) == 2 * 2 * 2 * 21


@pytest.fixture
def trained(layers: ModuleType, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The choices of layers that were trained, by a study that trains nothing and is killed once, at the fifth."""
    trained: list[Any] = []

    def training(prepared: Any, config: Any, scores: Any) -> dict[str, Any]:
        trained.append((config.method.layers, config.train.learning_rate))
        if len(trained) == 5:
            raise KeyboardInterrupt
        return {"dev": [0.5], "test": [0.25], "whole_cpu_seconds": 1.0}

    monkeypatch.setattr(layers, "prepare", lambda *_: SimpleNamespace(config=None))
    monkeypatch.setattr(layers, "Scores", lambda *_: SimpleNamespace())
    monkeypatch.setattr(layers, "as_eval", lambda *_: None)
    monkeypatch.setattr(layers, "seed_facts", lambda *_: {"rules": {}})
    monkeypatch.setattr(layers, "one_training", training)
    return trained


def test_workers_share_the_choices_of_a_seed(layers: ModuleType, trained: list[Any], tmp_path: Path) -> None:
    trained += [None] * 5  # nobody is killed
    file = tmp_path / "layers.jsonl"
    asked = [(subset, rate) for subset in layers.SUBSETS for rate in (1e-4, 2e-4)]
    for first in (1, 2, 0):
        layers.study(layers.Share(13, first, 3), asked, file, short=False, idle=False)
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    assert sorted(trained[5:]) == asked
    assert sorted((tuple(row["layers"]), row.get("rate")) for row in rows) == [((), None), *asked]


def test_only_what_is_missing_is_trained(
    layers: ModuleType, trained: list[Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "folder" / "layers.jsonl"
    asked = [(subset, 1e-4) for subset in layers.SUBSETS]
    with pytest.raises(KeyboardInterrupt):
        layers.study(layers.Share(13), asked, file, short=False, idle=False)
    for _ in range(2):
        layers.study(layers.Share(13), asked, file, short=False, idle=False)
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    assert trained == [*trained[:5], trained[4], *trained[6:]], "only the killed one is repeated"
    assert len(trained) == 21
    assert [tuple(row["layers"]) for row in rows] == [(), *layers.SUBSETS]
    assert all(row["idle"] is False for row in rows[1:])
    assert "0.5000" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.timeout(1200)  # three trainings
def test_the_numbers_are_those_of_finetune(layers: ModuleType, minilm: Path, tmp_path: Path) -> None:
    """Every score of a training of the study is that of the command with the same settings and named layers."""
    from hrembed.commands.finetune.run import run_finetune
    from hrembed.runs.workspace import Workspace

    subset = layers.SUBSETS[0]
    file = tmp_path / "layers-short.jsonl"
    layers.study(layers.Share(13), [(layers.LAST, 1e-4), (subset, 1e-4)], file, short=True, idle=False)
    row = next(row for row in layers.read_lines(file) if tuple(row["layers"]) == subset)
    record = run_finetune(layers.settings_of(13, subset, short=True), Workspace(tmp_path / "runs")).metrics
    assert np.mean(row["dev"]) == pytest.approx(record.tuned.value, abs=1e-6)
    assert np.mean(row["test"]) == pytest.approx(record.tests[0].tuned.value, abs=1e-6)
    assert row["loss"] == pytest.approx(record.loss_history[-1], abs=1e-6)
    base = layers.read_lines(file)[0]["base"]
    assert np.mean(base["test"]) == pytest.approx(record.tests[0].base.value, abs=1e-6)
    assert np.mean(row["test"]) > np.mean(base["test"])
