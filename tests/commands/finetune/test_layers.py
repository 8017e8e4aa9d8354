"""Which layers are trained: the last ones, those of a list, and what is no layer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hrembed.cli.app import main
from hrembed.commands.finetune import train
from hrembed.commands.finetune.run import run_finetune
from hrembed.config.finetune import FinetuneConfig, LoraMethod, PartialMethod, SourceSection, TrainSection
from hrembed.config.parts import ModelSection, TaskSection
from hrembed.config.proof import ProofSection
from hrembed.runs.workspace import Workspace
from hrembed.training.checkpoints import trainable_parameters
from safetensors.numpy import load_file


@pytest.fixture
def config(tiny_model: Path, pairs: Path, task: Path) -> FinetuneConfig:
    """Of a model of four layers."""
    return FinetuneConfig(
        model=ModelSection(ref=f"path:{tiny_model}"),
        sources=(SourceSection(path=str(pairs)),),
        train=TrainSection(epochs=1, batch_size=8, learning_rate=5e-3, max_tokens=32, evaluations=1, saves=0),
        dev=TaskSection(path=str(task)),
        proof=ProofSection(tests=(), retention=(), strengths=()),
    )


def seen_training(monkeypatch: pytest.MonkeyPatch) -> list[set[int]]:
    """Layers with trained parameters, of every training."""
    found, whole = [], train.train

    def watched(model, *rest):
        names = trainable_parameters(model)
        found.append({int(name.split("encoder.layer.")[1].split(".")[0]) for name in names})
        return whole(model, *rest)

    monkeypatch.setattr(train, "train", watched)
    return found


def changed_layers(base: Path, tuned: Path) -> set[int]:
    before, after = load_file(base / "model.safetensors"), load_file(tuned / "model.safetensors")
    changed = [name for name in after if not np.array_equal(before[name], after[name])]
    return {int(name.split("encoder.layer.")[1].split(".")[0]) for name in changed}


@pytest.mark.parametrize(("layers", "expected"), [((0, 2), {0, 2}), ((3, 1), {1, 3}), (2, {2, 3})])
@pytest.mark.parametrize("method", ["lora", "partial"])
def test_these_layers_are_trained_and_no_others(config, tiny_model, tmp_path, monkeypatch, method, layers, expected):
    seen = seen_training(monkeypatch)
    methods = {"lora": LoraMethod(rank=4, layers=layers), "partial": PartialMethod(name="partial", layers=layers)}
    result = run_finetune(config.model_copy(update={"method": methods[method]}), Workspace(tmp_path))
    assert seen == [expected]
    assert changed_layers(tiny_model, Path(result.run) / "model") == expected


def test_queries_alone_can_train_layers_of_a_list(config, tmp_path, monkeypatch):
    seen = seen_training(monkeypatch)
    method = PartialMethod(name="partial", layers=(1, 2))
    run_finetune(config.model_copy(update={"method": method, "sides": "query"}), Workspace(tmp_path))
    assert seen == [{1, 2}]


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("method={name: lora, layers: auto}", "method.layers: must be a number of layers, a list of layers, or null"),
        ("method={name: partial, layers: 0}", "must be at least 1, a list of layers, or null"),
        ("method={name: partial, layers: [-1]}", "must contain at least one layer, counted from 0"),
        ("method={name: lora, layers: []}", "must contain at least one layer, counted from 0"),
        ("method={name: full, layers: 2}", "unknown key"),
    ],
)
def test_wrong_settings_are_named(tmp_path, capsys, setting, message):
    assert main(["finetune", "--runs-dir", str(tmp_path), "--set", setting]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "problems" not in error  # one mistake, one line
