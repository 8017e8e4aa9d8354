"""Kept activations of frozen layers change the time of a training, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hrembed.commands.finetune.run import run_finetune
from hrembed.config.finetune import FinetuneConfig, FullMethod, LoraMethod, PartialMethod, SourceSection, TrainSection
from hrembed.config.parts import ModelSection, TaskSection
from hrembed.config.proof import ProofSection
from hrembed.errors import ModelError
from hrembed.models.transformer import load_model
from hrembed.progress import Silent
from hrembed.runs.workspace import Workspace
from hrembed.training.activation_cache import FrozenLayers, frozen_depth, keep_frozen
from hrembed.training.methods import apply_full, apply_lora, apply_partial, blocks, split_sides
from hrembed.training.plan import TrainingPlan
from killing import KilledError, killed_at, run_id

ANCHORS = ["nurse", "a nurse for the night shift", "cook", "nurse", "car mechanic"]
POSITIVES = ["ward nurse", "nurse", "bakes bread and cakes every day", "cook", "repairs brakes"]


@pytest.fixture
def model(tiny_model: Path):
    found = load_model(tiny_model)
    apply_partial(found, layers=1)
    return found


def plan(prompt: str = "") -> TrainingPlan:
    columns = {"source-0": {"anchor": ANCHORS, "positive": POSITIVES}}
    return TrainingPlan(columns, {}, [], {"anchor": prompt, "positive": ""}, {})


def gradients(model, texts: list[str]) -> tuple[torch.Tensor, torch.Tensor]:
    model.zero_grad()
    vectors = model(dict(model.preprocess(texts)))["sentence_embedding"]
    vectors.pow(2).sum().backward()
    return vectors.detach(), torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])


def test_vectors_and_gradients_are_those_without_it(model, tmp_path: Path) -> None:
    model.eval()
    expected = gradients(model, ANCHORS)
    layers = keep_frozen(model, plan(), tmp_path, 10, pytest.fail)
    ran = []
    hook = blocks(model[0].model)[0].attention.register_forward_hook(lambda *_: ran.append(1))
    with layers.in_place():
        found = gradients(model, ANCHORS)
    hook.remove()
    assert ran == []
    for one, other in zip(expected, found, strict=True):
        assert torch.allclose(one, other, atol=1e-6, rtol=1e-5)
    assert list(tmp_path.iterdir()) == []  # the file has no name


def test_an_unknown_text_runs_through_the_layers_without_their_dropout(model, tmp_path: Path) -> None:
    expected = gradients(model.eval(), ["never seen", "nurse"])
    layers = keep_frozen(model, plan(), tmp_path, 10, pytest.fail)
    for part in blocks(model[0].model)[-1].modules():
        if isinstance(part, torch.nn.Dropout):
            part.p = 0.0
    model[0].model.encoder.layer[-1].attention.self.dropout.p = 0.0
    model.train()
    with layers.in_place():
        found = gradients(model, ["never seen", "nurse"])
    for one, other in zip(expected, found, strict=True):
        assert torch.allclose(one, other, atol=1e-6, rtol=1e-5)


def test_nothing_stays_on_the_model(model, tmp_path: Path) -> None:
    layers = keep_frozen(model, plan(), tmp_path, 10, pytest.fail)
    with pytest.raises(RuntimeError, match="broke"), layers.in_place():
        raise RuntimeError("broke")
    assert all("forward" not in part.__dict__ for part in model.modules())


def test_depth_is_that_of_the_lowest_trained_layer(tiny_model: Path) -> None:
    cases = [
        (lambda m: apply_partial(m, layers=1), 3),
        (lambda m: apply_partial(m, layers=(1, 3)), 1),
        (lambda m: apply_partial(m, layers=1, names=("embeddings.*",)), 0),
        (apply_full, 0),
        (lambda m: apply_lora(m, rank=2, alpha=4, dropout=0.0, targets="all-linear", layers=2), 2),
    ]
    for method, depth in cases:
        model = load_model(tiny_model)
        method(model)
        assert frozen_depth(model) == depth
    assert frozen_depth(split_sides(load_model(tiny_model))) == 0


def test_what_would_be_too_large_is_not_computed(model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FrozenLayers, "_activations", lambda *_: pytest.fail("computed"))
    said: list[str] = []
    many = TrainingPlan({"s": {"anchor": [f"text {n}" for n in range(2000)]}}, {}, [], {}, {})
    assert keep_frozen(model, many, tmp_path, 1, said.append) is None
    assert "MB, but `train.keep_frozen_mb` allows" in said[0]
    assert "`train.keep_frozen_mb` allows 1" in said[0]
    assert keep_frozen(model, many, tmp_path, 0, pytest.fail) is None


def config(tiny_model: Path, pairs: Path, task: Path, method, megabytes: int = 50) -> FinetuneConfig:
    return FinetuneConfig(
        model=ModelSection(ref=f"path:{tiny_model}"),
        sources=(SourceSection(path=str(pairs)),),
        method=method,
        train=TrainSection(
            epochs=4, batch_size=8, learning_rate=5e-3, max_tokens=32, saves=5, keep_frozen_mb=megabytes
        ),
        dev=TaskSection(path=str(task)),
        proof=ProofSection(tests=(), retention=(), strengths=()),
    )


METHODS = [PartialMethod(name="partial", layers=2), LoraMethod(rank=4, layers=2)]


@pytest.mark.parametrize("method", METHODS)
def test_a_whole_training_is_that_without_dropout_in_frozen_layers(
    tiny_model: Path, pairs: Path, task: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method
) -> None:
    kept = run_finetune(config(tiny_model, pairs, task, method), Workspace(tmp_path / "kept"))
    monkeypatch.setattr(FrozenLayers, "_look_up", lambda *_: None)
    computed = run_finetune(config(tiny_model, pairs, task, method), Workspace(tmp_path / "computed"))
    plain = run_finetune(config(tiny_model, pairs, task, method, 0), Workspace(tmp_path / "plain"))
    vectors = [np.asarray(load_model(Path(r.run) / "model").encode(ANCHORS)) for r in (kept, computed, plain)]
    assert np.abs(vectors[0] - vectors[1]).max() < 1e-3
    assert np.abs(vectors[0] - vectors[2]).max() > 1e-2  # dropout is on there


def test_a_resumed_training_gives_the_same_bytes(
    tiny_model: Path, pairs: Path, task: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = config(tiny_model, pairs, task, METHODS[0])
    straight = Path(run_finetune(settings, Workspace(tmp_path / "a")).run)
    with monkeypatch.context() as patch:
        killed_at(patch, 11)
        with pytest.raises(KilledError):
            run_finetune(settings, Workspace(tmp_path / "b"))
    resumed = Path(run_finetune(settings, Workspace(tmp_path / "b"), resume=run_id(tmp_path / "b")).run)
    assert (resumed / "metrics.json").read_bytes() == (straight / "metrics.json").read_bytes()
    weights = [(run / "model" / "model.safetensors").read_bytes() for run in (straight, resumed)]
    assert weights[0] == weights[1]


def test_a_training_goes_on_with_the_threads_it_began_with(
    tiny_model: Path, pairs: Path, task: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = config(tiny_model, pairs, task, METHODS[0])
    threads = torch.get_num_threads()
    with monkeypatch.context() as patch:
        killed_at(patch, 11)
        with pytest.raises(KilledError):
            run_finetune(settings, Workspace(tmp_path))
    (manifest,) = tmp_path.glob("finetune/*/manifest.json")
    assert json.loads(manifest.read_text(encoding="utf-8"))["threads"] == threads
    torch.set_num_threads(threads + 1)
    try:
        with pytest.raises(ModelError, match="the number of threads changed since the run was started") as caught:
            run_finetune(settings, Workspace(tmp_path), resume=run_id(tmp_path))
    finally:
        torch.set_num_threads(threads)
    assert caught.value.hint.startswith(f"set the environment variable OMP_NUM_THREADS={threads}")
    assert json.loads(manifest.read_text(encoding="utf-8"))["threads"] == threads + 1
    run_finetune(settings, Workspace(tmp_path), resume=run_id(tmp_path))


class Notes(Silent):
    """A progress that keeps what it is told."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def test_a_method_without_frozen_layers_says_so(tiny_model: Path, pairs: Path, task: Path, tmp_path: Path) -> None:
    notes = Notes()
    run_finetune(config(tiny_model, pairs, task, FullMethod(name="full")), Workspace(tmp_path, notes))
    assert "activations are not cached: no layer below the trained ones is frozen" in notes.notes
