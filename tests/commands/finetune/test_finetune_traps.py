"""Silent failures of the libraries below, each shown first on the plain code, then on ours."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hrembed.cli.app import main
from hrembed.commands.finetune.plan import build_plan
from hrembed.commands.finetune.run import run_finetune
from hrembed.commands.finetune.sources import Source
from hrembed.config.finetune import FinetuneConfig, LoraMethod, SourceSection, TrainSection
from hrembed.config.parts import ModelSection, TaskSection
from hrembed.config.proof import ProofSection
from hrembed.data.pairs import read_pairs
from hrembed.errors import HrembedError, ModelError
from hrembed.models.transformer import load_model
from hrembed.progress import Silent
from hrembed.runs.past import resumable_run
from hrembed.runs.workspace import Workspace
from hrembed.training import preflight
from hrembed.training.checkpoints import ResumePoint, restore_parameters, trainable_parameters
from hrembed.training.methods import apply_lora, apply_partial, count_parameters, plain_copy
from hrembed.training.plan import Recipe, TrainingPlan
from hrembed.training.trainer import Context, train
from sentence_transformers import SentenceTransformer, SentenceTransformerTrainer, SentenceTransformerTrainingArguments

TEXTS = ["nurse for the ward", "car mechanic", "bakes bread before sunrise"]


def vectors(model) -> np.ndarray:
    return np.asarray(model.eval().encode(TEXTS, show_progress_bar=False))


def adapted(folder: Path, *, dora: bool = False):
    """A model with an adapter that changes something."""
    torch.manual_seed(0)
    model = load_model(folder)
    apply_lora(model, rank=4, alpha=8, dropout=0, targets="all-linear", dora=dora)
    with torch.no_grad():
        for value in trainable_parameters(model).values():
            value.add_(0.1 * torch.randn_like(value))
    return model


@pytest.fixture
def config(tiny_model: Path, pairs: Path, task: Path) -> FinetuneConfig:
    return FinetuneConfig(
        model=ModelSection(ref=f"path:{tiny_model}"),
        sources=(SourceSection(path=str(pairs)),),
        method=LoraMethod(rank=4),
        train=TrainSection(epochs=1, batch_size=8, learning_rate=5e-3, max_tokens=32, evaluations=1),
        dev=TaskSection(path=str(task)),
        proof=ProofSection(tests=(), retention=(), strengths=()),
    )


def test_1_dora_is_saved_so_that_it_reloads(tiny_model: Path, config: FinetuneConfig, tmp_path: Path):
    model = adapted(tiny_model, dora=True)
    model.save_pretrained(str(tmp_path / "naive"), create_model_card=False)
    assert np.abs(vectors(SentenceTransformer(str(tmp_path / "naive"))) - vectors(model)).max() > 1e-2
    plain_copy(model).save_pretrained(str(tmp_path / "ours"), create_model_card=False)
    assert np.abs(vectors(SentenceTransformer(str(tmp_path / "ours"))) - vectors(model)).max() < 1e-5
    config = config.model_copy(update={"method": LoraMethod(rank=4, dora=True)})
    run = Path(run_finetune(config, Workspace(tmp_path)).run)  # compares what it saved with what it trained
    from peft import PeftModel

    base = load_model(tiny_model)
    base[0].model = PeftModel.from_pretrained(base[0].model, str(run / "adapter")).merge_and_unload()
    assert np.abs(vectors(base) - vectors(load_model(run / "model"))).max() < 1e-5


def test_2_and_3_merging_changes_the_model_that_is_used(tiny_model: Path):
    model = adapted(tiny_model)
    assert not hasattr(model[0].model, "merge_and_unload")
    other = load_model(tiny_model)
    before = vectors(other)
    other[0].auto_model = model[0].model  # accepted, and without effect
    assert np.array_equal(vectors(other), before)
    plain = plain_copy(model)
    assert not any("lora" in name for name, _ in plain.named_parameters())
    assert np.abs(vectors(plain) - vectors(model)).max() < 1e-5
    assert np.abs(vectors(plain) - before).max() > 1e-2


def test_4_a_half_precision_checkpoint_is_not_trained_in_half_precision(
    tiny_model: Path, config: FinetuneConfig, tmp_path: Path
):
    load_model(tiny_model).half().save_pretrained(str(tmp_path / "half"), create_model_card=False)
    naive = SentenceTransformer(str(tmp_path / "half"))
    assert {p.dtype for p in naive.parameters()} == {torch.float16}
    config = config.model_copy(update={"model": ModelSection(ref=f"path:{tmp_path / 'half'}")})
    run = Path(run_finetune(config, Workspace(tmp_path)).run)
    assert {p.dtype for p in SentenceTransformer(str(run / "model")).parameters()} == {torch.float32}


def test_5_an_adapter_loaded_as_a_model_is_not_trained_for_nothing(tiny_model: Path, tmp_path: Path):
    adapted(tiny_model).save_pretrained(str(tmp_path / "checkpoint"), create_model_card=False)
    naive = SentenceTransformer(str(tmp_path / "checkpoint"))
    assert count_parameters(naive).trainable == 0
    recipe = Recipe(1e-3, 0.1, "linear", 0.0, "float32", 1, 1, 1, None, 13)
    with pytest.raises(ModelError, match="no parameters to train"):
        preflight.check(naive, TrainingPlan({}, {}, [], {}, {}), recipe, tmp_path)


def test_6_resuming_names_what_is_wrong(tiny_model: Path, tmp_path: Path):
    model, other = load_model(tiny_model), load_model(tiny_model)
    apply_partial(model, layers=1)
    apply_partial(other, layers=2)
    optimizers = [torch.optim.AdamW(list(trainable_parameters(side).values())) for side in (model, other)]
    with pytest.raises(ValueError, match="doesn't match the size of optimizer's group"):  # which parameters?
        optimizers[1].load_state_dict(optimizers[0].state_dict())
    held = {f"parameter.{name}": value.detach() for name, value in trainable_parameters(model).items()}
    with pytest.raises(
        ModelError,
        match=r"the checkpoint contains different trainable parameters, for example '0.model.encoder.layer.2",
    ):
        restore_parameters(other, ResumePoint(1, {}, {}, held), {})
    with pytest.raises(HrembedError, match="no finetune run 'gone' found"):  # no word of a network
        resumable_run(tmp_path, "finetune", "gone")


def test_7_a_wrong_metric_is_told_before_anything_is_loaded(tmp_path: Path, capsys):
    SentenceTransformerTrainingArguments(
        output_dir=str(tmp_path / "x"), metric_for_best_model="ndgc@10", report_to="none"
    )
    assert main(["finetune", "--runs-dir", str(tmp_path / "r"), "--set", "metric=ndgc@10"]) == 2
    assert "did you mean 'ndcg'?" in capsys.readouterr().err
    assert not (tmp_path / "r").exists()


def test_8_half_precision_that_would_do_nothing_is_refused_and_bfloat16_does_something(
    config: FinetuneConfig, tmp_path: Path, capsys
):
    assert main(["finetune", "--runs-dir", str(tmp_path / "r"), "--set", "train.precision=float16"]) == 2
    assert "float32" in capsys.readouterr().err
    losses = []
    for precision in ("float32", "bfloat16"):
        train_section = config.train.model_copy(update={"precision": precision})
        result = run_finetune(config.model_copy(update={"train": train_section}), Workspace(tmp_path))
        losses.append(result.metrics.loss_history)
    assert losses[0] != losses[1]
    assert losses[0] == pytest.approx(losses[1], rel=0.2)


def test_9_the_planned_batches_are_what_is_trained(
    config: FinetuneConfig, tiny_model: Path, pairs: Path, tmp_path: Path
):
    """The trainer takes `group_by_length` and does nothing with it; here the plan itself is looked at."""
    from datasets import Dataset

    rows = [{"a": "x" * (1 + n % 20), "b": "y"} for n in range(40)]
    lengths = {}
    for strategy in ("random", "group_by_length"):
        arguments = SentenceTransformerTrainingArguments(
            output_dir=str(tmp_path / "t"), per_device_train_batch_size=8, report_to="none",
            train_sampling_strategy=strategy, use_cpu=True, dataloader_pin_memory=False,
        )  # fmt: skip
        naive = SentenceTransformerTrainer(load_model(tiny_model), arguments, train_dataset=Dataset.from_list(rows))
        batches = [batch["a_attention_mask"].sum(1).tolist() for batch in naive.get_train_dataloader()]
        lengths[strategy] = [max(batch) - min(batch) for batch in batches]
    assert lengths["random"] == lengths["group_by_length"]
    seen: list[list[int]] = []
    model = load_model(tiny_model, max_tokens=32)
    plan = build_plan(config, [Source(read_pairs(pairs))], model, tmp_path, "")
    loss = plan.losses["source-0"]
    whole = loss.forward
    loss.forward = lambda features, labels: (seen.append(labels.tolist()), whole(features, labels))[1]
    recipe = Recipe(1e-3, 0.1, "linear", 0.0, "float32", 1, 1, 0, None, 13)
    never = Context(0.0, lambda plain: 0.0, lambda: False, tmp_path / "c", Silent())
    train(model, plan, recipe, never)
    assert seen == [list(batch) for batch in plan.batches]


def test_query_only_leaves_every_document_where_it_was(config: FinetuneConfig, tiny_model: Path, tmp_path: Path):
    result = run_finetune(config.model_copy(update={"sides": "query"}), Workspace(tmp_path))
    tuned, base = load_model(Path(result.run) / "model"), load_model(tiny_model)
    assert np.array_equal(np.asarray(tuned.encode_document(TEXTS)), np.asarray(base.encode_document(TEXTS)))
    assert np.abs(np.asarray(tuned.encode_query(TEXTS)) - np.asarray(base.encode_query(TEXTS))).max() > 1e-3
    assert json.loads((Path(result.run) / "metrics.json").read_text())["parameters"]["trainable"] > 0
