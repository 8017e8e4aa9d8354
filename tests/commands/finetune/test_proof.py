"""How much of a training is kept, and what it gained and lost."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from hrembed.commands.finetune.card import model_card
from hrembed.commands.finetune.proof import choose_strength
from hrembed.commands.finetune.run import run_finetune, run_preflight
from hrembed.config.finetune import FinetuneConfig, LoraMethod, SourceSection, TrainSection
from hrembed.config.parts import ModelSection, TaskSection
from hrembed.config.proof import ProofSection
from hrembed.errors import ModelError
from hrembed.models.transformer import load_model
from hrembed.progress import Silent
from hrembed.records.finetune import FinetuneRecord, StrengthPoint
from hrembed.records.manifest import InputEntry, Manifest
from hrembed.runs.past import find_run
from hrembed.runs.record import Run
from hrembed.runs.workspace import Workspace
from hrembed.training.weight_interpolation import Blend
from hrembed.types import Estimate

from conftest import jsonl

TEXTS = ["nurse for the ward", "car mechanic", "bakes bread before sunrise"]


@pytest.fixture
def config(tiny_model: Path, pairs: Path, task: Path) -> FinetuneConfig:
    retention = TaskSection(path=str(similar(task.parent / "general" / "similar.jsonl")))
    proof = ProofSection(tests=(TaskSection(path=str(task)),), retention=(retention,), strengths=(0.5,))
    return FinetuneConfig(
        model=ModelSection(ref=f"path:{tiny_model}"),
        sources=(SourceSection(path=str(pairs)),),
        method=LoraMethod(rank=4),
        train=TrainSection(epochs=2, batch_size=8, learning_rate=5e-3, max_tokens=32, evaluations=2),
        dev=TaskSection(path=str(task)),
        proof=proof,
    )


def similar(path: Path) -> Path:
    rows = [
        {"sentence1": f"text {n} of many", "sentence2": f"text {n * n} of few", "score": n % 5 + n / 20}
        for n in range(20)
    ]
    return jsonl(path, rows)


def vectors(model) -> np.ndarray:
    return np.asarray(model.encode(TEXTS))


@pytest.fixture
def changed(tiny_model: Path):
    """The tiny model with other numbers in it."""
    import torch

    model = load_model(tiny_model)
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return model


def test_the_ends_are_base_and_tuned_to_the_bit(tiny_model: Path, changed):
    base = load_model(tiny_model)
    before, after = vectors(base), vectors(changed)
    blend = Blend(base, changed)
    assert np.abs(vectors(blend.at(0.5)) - after).max() > 1e-3
    assert np.array_equal(vectors(blend.at(0)), before)
    assert np.array_equal(vectors(blend.at(1)), after)


def test_weights_in_between_are_weighted_means(tiny_model: Path, changed):
    base = load_model(tiny_model)
    ends = [
        {name: value.detach().numpy().copy() for name, value in side.named_parameters()} for side in (base, changed)
    ]
    middle = {name: value.detach().numpy() for name, value in Blend(base, changed).at(0.25).named_parameters()}
    for name, value in middle.items():
        np.testing.assert_allclose(value, 0.75 * ends[0][name] + 0.25 * ends[1][name], atol=1e-6)


def test_half_the_strength_is_half_the_adapter(config: FinetuneConfig, tiny_model: Path, tmp_path: Path):
    """PEFT scales the adapter, the blend the merged weights: two ways to one model."""
    from peft import PeftModel

    config = config.model_copy(update={"proof": config.proof.model_copy(update={"strength": 0.5})})
    run = Path(run_finetune(config, Workspace(tmp_path)).run)
    base = load_model(tiny_model)
    adapted = PeftModel.from_pretrained(base[0].model, str(run / "adapter"))
    for module in adapted.modules():
        if hasattr(module, "scale_layer"):
            module.scale_layer(0.5)
    base[0].model = adapted.merge_and_unload()
    assert np.abs(vectors(base) - vectors(load_model(run / "model"))).max() < 1e-5
    assert np.abs(vectors(base) - vectors(load_model(tiny_model))).max() > 1e-3


def test_models_of_other_shapes_have_nothing_between_them(tiny_model: Path):
    base, other = load_model(tiny_model), load_model(tiny_model)
    other[0].model.encoder.layer = copy.deepcopy(other[0].model.encoder.layer[:3])
    with pytest.raises(ModelError, match="base and tuned model have different weights"):
        Blend(base, other)


@pytest.mark.parametrize(
    ("lost", "chosen"),
    [
        ({0.25: 0.0, 0.5: 0.005, 0.75: 0.01, 1.0: 0.011}, 0.75),
        ({0.25: -0.2, 0.5: -0.1, 0.75: 0.0, 1.0: 0.0}, 1.0),
        ({0.25: 0.02, 0.5: 0.03, 0.75: 0.04, 1.0: 0.05}, 0.25),
        ({0.25: 0.02, 0.5: 0.03, 0.75: 0.009, 1.0: 0.05}, 0.75),
    ],
    ids=["a limit between", "nothing lost", "all lose too much", "not monotone"],
)
def test_auto_takes_the_largest_strength_within_the_limit(lost, chosen):
    points = [point(strength, general=loss) for strength, loss in {0.0: 0.0, **lost}.items()]
    assert choose_strength(points, ProofSection(strength="auto", max_loss=0.01)) == chosen


def test_a_loss_on_any_retention_task_counts():
    points = [point(0.0, a=0, b=0), point(0.5, a=0, b=0), point(1.0, a=0, b=0.02)]
    assert choose_strength(points, ProofSection(strength="auto")) == 0.5


def point(strength: float, **lost: float) -> StrengthPoint:
    """A strength of which only the losses matter."""
    return StrengthPoint(strength=strength, dev=Estimate(0, 0, 0, 1, "items"), retention={}, lost=lost)


class Told(Silent):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.mark.parametrize(("max_loss", "warned"), [(0.0, True), (0.99, False)])
def test_a_limit_that_no_strength_keeps_is_told(config: FinetuneConfig, tmp_path: Path, max_loss, warned):
    proof = config.proof.model_copy(update={"strength": "auto", "max_loss": max_loss, "strengths": (0.9,)})
    progress = Told()
    metrics = run_finetune(config.model_copy(update={"proof": proof}), Workspace(tmp_path, progress)).metrics
    loses = all(lost > 0 for strength in metrics.strengths[1:] for lost in strength.lost.values())
    assert loses, "the toy training must lose something, or nothing is tested here"
    assert any("Try smaller values in `proof.strengths`" in note for note in progress.notes) is warned


@pytest.mark.parametrize(("evaluations", "warned"), [(2, True), (1, False)])
def test_a_dev_task_too_small_to_choose_a_checkpoint_is_told(config, tmp_path: Path, evaluations, warned):
    train = config.train.model_copy(update={"evaluations": evaluations})
    progress = Told()
    run_preflight(config.model_copy(update={"train": train}), Workspace(tmp_path, progress))
    assert (
        any(
            "checkpoints is mostly chance; use a larger dev task, or set `train.evaluations: 1` to keep the final model"
            in note
            for note in progress.notes
        )
        is warned
    )


def test_a_run_reports_tests_retention_and_strengths(config: FinetuneConfig, trained):
    result = trained(trained.settled(config))
    run, metrics = Path(result.run), result.metrics
    assert [point.strength for point in metrics.strengths] == [0.0, 0.5, 1.0]
    ends = metrics.strengths[0], metrics.strengths[-1]
    assert [end.dev.value for end in ends] == pytest.approx([metrics.base.value, metrics.tuned.value])
    (test,), (kept,) = metrics.tests, metrics.retention
    assert test.difference.value == pytest.approx(test.tuned.value - test.base.value)
    assert test.tuned.value == pytest.approx(metrics.tuned.value)  # the same task, for once
    assert kept.task.endswith("/similar")
    assert kept.metric == "spearman"
    assert ends[1].lost[kept.task] == pytest.approx(-kept.difference.value)
    assert {"strengths.svg", "training.svg"} <= {item.name for item in run.iterdir()}
    titles = ["Dev task, base against tuned", "Test tasks, base against tuned", "Outside of hiring"]
    assert list(result.tables)[:3] == titles
    card = (run / "model" / "README.md").read_text(encoding="utf-8")
    assert f"| {kept.task} | outside | spearman | {kept.base.value:.3f}" in card
    assert f"cut at {config.train.max_tokens} tokens" in card
    assert json.loads((run / "manifest.json").read_text())["inputs"][kept.task]["sha256"]
    assert find_run(run.parent.parent, "finetune/latest").record(FinetuneRecord) == metrics


def test_texts_of_the_user_cannot_break_the_card(config: FinetuneConfig, trained, tmp_path: Path):
    result = trained(trained.settled(config))
    (test,) = result.metrics.tests
    hostile = test.model_copy(update={"task": "a|b`c\n---\n# d"})
    record = result.metrics.model_copy(update={"tests": (hostile,)})
    changed = {"ref": "path:x\n---\ny`z"}, {"path": "p\n- q`|"}
    other = config.model_copy(
        update={
            "model": config.model.model_copy(update=changed[0]),
            "sources": (config.sources[0].model_copy(update=changed[1]),),
        }
    )

    run = Run(tmp_path, path=tmp_path, manifest=Manifest(inputs={"source-0": InputEntry(path="p", sha256="0")}))
    card = model_card(other, record, run)
    head, body = card.split("---\n")[1], card.split("---\n", 2)[2]
    assert yaml.safe_load(head)["library_name"] == "sentence-transformers"
    assert "\n---\n" not in body
    assert "\n- q" not in body
    rows = [line for line in body.splitlines() if line.startswith("| a")]
    assert len(rows) == 1
    assert rows[0].replace("\\|", "").count("|") == 8
