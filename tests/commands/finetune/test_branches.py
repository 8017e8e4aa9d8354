"""Branches: trainings from one base whose weights are averaged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hrembed.commands.finetune.phases import training_phases
from hrembed.commands.finetune.plan import source_records
from hrembed.commands.finetune.prepare import prepare
from hrembed.commands.finetune.run import run_finetune
from hrembed.config.finetune import (
    FinetuneConfig,
    FullMethod,
    GroupRankingLoss,
    SourceSection,
    TrainSection,
)
from hrembed.config.losses import EmbeddingDistillationLoss
from hrembed.config.parts import ModelSection, TaskSection
from hrembed.config.proof import ProofSection
from hrembed.config.scratch import ScratchMethod
from hrembed.errors import ModelError
from hrembed.models.transformer import load_model
from hrembed.runs.record import open_run
from hrembed.runs.workspace import Workspace
from hrembed.training.processes import Processes
from hrembed.training.weight_interpolation import average
from killing import KilledError, killed_at, run_id
from pydantic import ValidationError
from safetensors.numpy import load_file

if TYPE_CHECKING:
    from finished_trainings import FinishedTrainings


@pytest.fixture
def alone(tiny_model: Path, pairs: Path, task: Path) -> FinetuneConfig:
    return FinetuneConfig(
        model=ModelSection(ref=f"path:{tiny_model}"),
        sources=(SourceSection(path=str(pairs)),),
        method=FullMethod(name="full"),
        train=TrainSection(epochs=2, batch_size=8, learning_rate=5e-3, max_tokens=32, evaluations=1, saves=3),
        dev=TaskSection(path=str(task)),
        proof=ProofSection(tests=(), retention=(), strengths=(0.5,)),
    )


def with_sources(config: FinetuneConfig, *sources: SourceSection) -> FinetuneConfig:
    return FinetuneConfig.model_validate({**dict(config), "sources": sources})


def branched(config: FinetuneConfig, pairs: Path, **more) -> FinetuneConfig:
    second = SourceSection(path=str(pairs), branch=2, loss=GroupRankingLoss(name="group-ranking"))
    return FinetuneConfig.model_validate({**dict(config), "sources": (*config.sources, second), **more})


def weights(run: str | Path) -> dict[str, np.ndarray]:
    return load_file(str(Path(run) / "model" / "model.safetensors"))


def test_two_branches_give_the_mean_of_two_trainings(alone: FinetuneConfig, pairs: Path, trained: FinishedTrainings):
    both = trained.settled(branched(alone, pairs))
    separate = [trained(with_sources(both, source.model_copy(update={"branch": 1}))) for source in both.sources]
    result = trained(both)
    one, other = (weights(own.run) for own in separate)
    assert any(np.abs(one[name] - other[name]).max() > 1e-3 for name in one)
    for name, values in weights(result.run).items():
        np.testing.assert_allclose(values, (one[name] + other[name]) / 2, atol=1e-6)
    metrics = json.loads((Path(result.run) / "metrics.json").read_text(encoding="utf-8"))
    assert [(own["branch"], own["sources"]) for own in metrics["branches"]] == [(1, [0]), (2, [1])]
    assert [own["dev"] for own in metrics["branches"]] == pytest.approx([own.metrics.tuned.value for own in separate])
    assert metrics["steps"] == metrics["steps_done"] == sum(own.metrics.steps for own in separate)
    assert [source["batches"] for source in metrics["sources"]] == [own.metrics.steps for own in separate]
    assert [row["branch"] for row in result.tables["Branches"]] == ["1", "2", "mean, strength 1"]
    card = (Path(result.run) / "model" / "README.md").read_text(encoding="utf-8")
    assert "the mean of the weights of 2 models, trained apart" in card
    assert "branch 2; SHA-256" in card
    assert not (Path(result.run) / "checkpoints").exists()


def test_a_run_that_is_killed_in_its_second_branch_goes_on(
    alone: FinetuneConfig,
    pairs: Path,
    trained: FinishedTrainings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    both = trained.settled(branched(alone, pairs))
    whole = trained(both)
    with monkeypatch.context() as patch:
        killed_at(patch, 6, training=2)
        with pytest.raises(KilledError):
            run_finetune(both, Workspace(tmp_path / "broken"))
    resumed = run_finetune(both, Workspace(tmp_path / "broken"), resume=run_id(tmp_path / "broken"))
    for name in ("metrics.json", "model/model.safetensors"):
        assert (Path(resumed.run) / name).read_bytes() == (Path(whole.run) / name).read_bytes()


def test_company_keeps_to_its_branch(alone: FinetuneConfig, pairs: Path, tmp_path: Path):
    held = EmbeddingDistillationLoss(name="embedding-distillation", texts="positives", every_step=4)
    config = branched(alone, pairs)
    config = with_sources(config, *config.sources, SourceSection(path=str(pairs), branch=2, loss=held))
    phases = training_phases(config)
    with open_run(Workspace(tmp_path), "finetune", config.model_dump(mode="json"), seeds={}, phases=phases) as run:
        prepared = prepare(config, run, Processes())
    losses, sources = prepared.plan.losses, source_records(config, prepared.sources, prepared.plan)
    assert type(losses["source-1"]) is not type(losses["source-0"])
    assert sources[2].batches == sources[1].batches < len(prepared.plan.batches)
    assert {*prepared.plan_for(prepared.model, 1).columns} == {"source-0"}
    assert {*prepared.plan_for(prepared.model, 2).columns} == {"source-1"}


def test_adapters_are_averaged_as_whole_models(alone: FinetuneConfig, pairs: Path, tiny_model: Path, tmp_path: Path):
    both = branched(FinetuneConfig.model_validate({**dict(alone), "method": {"name": "lora"}}), pairs)
    run = Path(run_finetune(both, Workspace(tmp_path)).run)
    assert not (run / "adapter").exists()  # a mean of adapters is no adapter of their rank
    assert np.isfinite(np.asarray(load_model(run / "model").encode(["nurse"]))).all()


def test_models_of_other_shapes_have_no_mean(tiny_model: Path):
    models = [load_model(tiny_model), load_model(tiny_model)]
    models[1][0].model.resize_token_embeddings(200)
    with pytest.raises(ModelError, match="cannot average"):
        average(models)


def test_branches_that_cannot_be_are_refused(alone: FinetuneConfig, pairs: Path):
    with pytest.raises(
        ValidationError,
        match="`method: scratch` has no base model for branches to share; use the same `branch` for all sources",
    ):
        branched(alone, pairs, method=ScratchMethod(name="scratch"))
    held = EmbeddingDistillationLoss(name="embedding-distillation", every_step=4)
    with pytest.raises(
        ValidationError,
        match=r"every source of branch 2 uses `loss\.every_step`",
    ):
        with_sources(alone, *alone.sources, SourceSection(path=str(pairs), branch=2, loss=held))
