"""What is said before a training, and that saying it changes nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from hrembed.cli.app import main
from hrembed.commands.finetune.phases import probes
from hrembed.commands.finetune.plan import build_plan
from hrembed.commands.finetune.run import run_finetune, run_preflight
from hrembed.commands.finetune.sources import Source
from hrembed.config.finetune import FinetuneConfig, LoraMethod, SourceSection, TrainSection
from hrembed.config.parts import ModelSection, TaskSection
from hrembed.config.proof import ProofSection
from hrembed.data.pairs import read_pairs
from hrembed.errors import HrembedError, ModelError
from hrembed.models import machine
from hrembed.models.transformer import load_model
from hrembed.progress import Silent
from hrembed.records.base import as_json
from hrembed.records.finetune import PreflightRecord
from hrembed.registry import resolve
from hrembed.runs.past import find_run
from hrembed.runs.workspace import Workspace
from hrembed.training import preflight
from hrembed.training.losses import ranking
from hrembed.training.plan import Recipe, TrainingPlan
from hrembed.types import Pair
from source_runs import config_of

from conftest import jsonl


@pytest.fixture
def recipe() -> Recipe:
    return Recipe(1e-3, 0.1, "linear", 0.0, "float32", 1, 1, 1, None, 13)


def plan(model, pairs: list[Pair], batches: list[list[int]]) -> TrainingPlan:
    columns = {"anchor": [p.anchor for p in pairs], "positive": [p.positive for p in pairs]}
    loss = ranking(model, pairs, temperature=0.05, symmetric=False, hardness=0)
    return TrainingPlan({"s": columns}, {"s": loss}, batches, {}, {})


def some(count: int, text: str = "word") -> list[Pair]:
    return [Pair(f"{text} {n}", f"{text} {n * 7 + 1}") for n in range(count)]


def test_a_clean_training_has_no_warning(tiny_model: Path, recipe: Recipe, tmp_path: Path):
    model = load_model(tiny_model)
    found = preflight.check(
        model, plan(model, some(16), [[*range(8)], [*range(8, 16)]]), recipe, tmp_path, timed=("float32", "bfloat16")
    )
    assert [w for w in found.warnings if "times faster" not in w] == []
    assert found.steps == 2
    assert found.cut["anchor"].texts == 0
    assert found.probe.loss > 0.5
    assert found.probe.training_seconds == pytest.approx(2 * found.probe.seconds_per_batch["float32"])


def test_long_texts_are_counted_with_what_is_lost(tiny_model: Path, recipe: Recipe, tmp_path: Path):
    model = load_model(tiny_model, max_tokens=12)
    pairs = [Pair("abc", "x" * 30) if n < 4 else Pair("abc", "xyz") for n in range(8)]
    found = preflight.check(model, plan(model, pairs, [[*range(8)]]), recipe, tmp_path)
    # Two distinct positives: 30 letters and 3, one token each, and two special tokens.
    cut = found.cut["positive"]
    assert (cut.limit, cut.texts, cut.tokens) == (12, 0.5, pytest.approx(20 / 37))
    assert found.cut["anchor"].texts == 0
    assert any("50% of the texts in `positive` exceed 12 tokens" in warning for warning in found.warnings)


def test_hardly_any_negatives_are_told(tiny_model: Path, recipe: Recipe, tmp_path: Path):
    model = load_model(tiny_model)
    found = preflight.check(model, plan(model, some(8), [[0, 1], [2, 3], [4, 5, 6, 7]]), recipe, tmp_path)
    assert any(
        "67% of the batches contain fewer than four rows, so there are hardly any in-batch negatives" in warning
        for warning in found.warnings
    )


def test_negatives_that_are_too_easy_are_told(tiny_model: Path, recipe: Recipe, tmp_path: Path):
    model = load_model(tiny_model)
    pairs = [Pair("aaaa aaaa", "aaaa aaaa"), Pair("9999 0000", "9999 0000")]
    easy = plan(model, pairs, [[0, 1]])
    easy.losses["s"].scale = 2000.0
    found = preflight.check(model, easy, recipe, tmp_path, timed=("float32", "bfloat16"))
    assert found.probe.loss < 0.05
    assert any("the negatives are too easy" in warning for warning in found.warnings)


def test_nothing_to_train_is_an_error(tiny_model: Path, recipe: Recipe, tmp_path: Path):
    model = load_model(tiny_model).requires_grad_(False)
    with pytest.raises(ModelError, match="no parameters to train"):
        preflight.check(model, plan(model, some(4), [[*range(4)]]), recipe, tmp_path)


def test_a_full_disk_is_told_before_the_training(tiny_model: Path, recipe: Recipe, tmp_path: Path, monkeypatch):
    model = load_model(tiny_model)
    monkeypatch.setattr(preflight.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 1000}))
    with pytest.raises(HrembedError, match=r"needs about \d+ MB .* but only 0 MB are free"):
        preflight.check(model, plan(model, some(4), [[*range(4)]]), recipe, tmp_path)


def test_a_probe_leaves_weights_gradients_and_random_numbers_alone(tiny_model: Path, recipe: Recipe, tmp_path: Path):
    import torch

    model = load_model(tiny_model)
    resolve("method", "lora")(model, rank=4, alpha=8, dropout=0.5, targets="all-linear")
    before, state = {n: p.detach().clone() for n, p in model.named_parameters()}, torch.get_rng_state()
    preflight.check(model, plan(model, some(8), [[*range(8)]]), recipe, tmp_path, timed=("float32", "bfloat16"))
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(before[n], p) and p.grad is None for n, p in model.named_parameters())


def test_a_batch_is_scored_as_the_trainer_scores_it(tiny_model: Path, pairs: Path, task: Path, tmp_path: Path):
    """The loss of the first step of a run, with prompts, is that of the first planned batch."""
    plain, folder = load_model(tiny_model), tmp_path / "no-dropout"
    plain[0].model.config.hidden_dropout_prob = plain[0].model.config.attention_probs_dropout_prob = 0.0
    plain.save_pretrained(str(folder), create_model_card=False)
    config = FinetuneConfig(
        model=ModelSection(ref=f"path:{folder}", query_prompt="find: ", document_prompt="this: "),
        sources=(SourceSection(path=str(pairs)),),
        method=LoraMethod(rank=4),
        train=TrainSection(batch_size=8, max_tokens=32, evaluations=1),
        dev=TaskSection(path=str(task)),
        proof=ProofSection(tests=(), retention=(), strengths=()),
    )
    model = load_model(folder, max_tokens=32)
    planned = build_plan(config, [Source(read_pairs(pairs))], model, tmp_path, "")
    bare = build_plan(unprompted(config), [Source(read_pairs(pairs))], model, tmp_path, "")
    expected, other = (float(preflight.batch_loss(model, f, f.batches[0]).detach()) for f in (planned, bare))
    assert run_finetune(config, Workspace(tmp_path)).metrics.loss_history[0] == pytest.approx(expected, abs=1e-5)
    assert abs(other - expected) > 1e-3  # the prompts matter


def unprompted(config: FinetuneConfig) -> FinetuneConfig:
    return config.model_copy(update={"model": ModelSection(ref=config.model.ref)})


def test_a_dry_run_trains_nothing_and_is_no_model(task: Path, pairs: Path, tiny_model: Path, tmp_path: Path, capsys):
    values = (f"model.ref=path:{tiny_model}", f"sources=[{{path: {pairs}}}]", f"dev.path={task}", "method.layers=2")
    overrides = [part for value in (*values, "proof={tests: [], retention: []}") for part in ("--set", value)]
    assert main(["finetune", "--dry-run", "--json", "--runs-dir", str(tmp_path / "r"), *overrides]) == 0
    content = json.loads(capsys.readouterr().out)
    assert content["metrics"]["parameters"]["trainable"] > 0
    assert as_json(find_run(tmp_path / "r", content["run"]).record(PreflightRecord)) == content["metrics"]
    assert Path(content["run"]).parent.name == "finetune-preflight"
    assert not (Path(content["run"]) / "model").exists()
    assert not (tmp_path / "r" / "finetune").exists()


def test_a_resumed_run_takes_no_other_settings(tmp_path: Path, capsys):
    (tmp_path / "finetune" / "x").mkdir(parents=True)
    jsonl(tmp_path / "finetune" / "x" / "manifest.json", [{"status": "failed"}])
    assert main(["finetune", "--resume", "x", "--runs-dir", str(tmp_path), "--set", "delta=0.1"]) == 2
    assert "a resumed run uses its original config" in capsys.readouterr().err


@pytest.mark.parametrize("precision", ["bfloat16", "float32"])
def test_half_precision_is_timed_before_it_is_used(tiny_model, pairs, task, tmp_path: Path, monkeypatch, precision):
    class Notes(Silent):
        def __init__(self) -> None:
            self.seen: list[str] = []

        def note(self, text: str) -> None:
            self.seen.append(text)

    monkeypatch.setattr(preflight, "_step", lambda model, plan, batch, kind: (1.0, 3.0 if kind == "bfloat16" else 2.0))
    monkeypatch.setattr(machine, "cpu_flags", lambda: frozenset({"avx512_bf16"}))
    config = FinetuneConfig(
        model=ModelSection(ref=f"path:{tiny_model}"),
        sources=(SourceSection(path=str(pairs)),),
        method=LoraMethod(rank=2),
        train=TrainSection(batch_size=8, max_tokens=32, evaluations=1, precision=precision),
        dev=TaskSection(path=str(task)),
        proof=ProofSection(tests=(), retention=(), strengths=()),
    )
    notes = Notes()
    run_finetune(config, Workspace(tmp_path, notes))
    told = "warning: `train.precision: float32` is 1.5 times faster on this machine"
    assert (told in notes.seen) == (precision == "bfloat16")


def test_a_dry_run_of_pairs_that_make_no_batch_fails_as_the_training_would(
    tiny_model: Path, task: Path, tmp_path, capsys
):
    rows = [{"anchor": f"ad {n}", "positive": f"profile {n}", "group": "one"} for n in range(4)]
    sets = [
        f"model.ref=path:{tiny_model}", f"sources=[{{path: {jsonl(tmp_path / 'one.jsonl', rows)}}}]",
        f"dev={{path: {task}}}", "proof={tests: [], retention: [], strengths: []}", "method={name: full}",
    ]  # fmt: skip
    command = ["finetune", "--dry-run", "--runs-dir", str(tmp_path / "runs"), *(p for s in sets for p in ("--set", s))]
    assert main(command) == 4
    assert "no two training pairs can be in the same batch" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    ("flags", "auto", "timed"),
    [({"avx2"}, "float32", ("float32",)), ({"avx2", "avx512_bf16"}, "bfloat16", ("float32", "bfloat16"))],
)
def test_auto_is_bfloat16_where_there_are_instructions_for_it(monkeypatch, flags, auto, timed):
    monkeypatch.setattr(machine, "cpu_flags", lambda: frozenset(flags))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert machine.settled("auto") == auto
    assert machine.worth_timing(auto) == timed
    assert machine.settled("bfloat16") == "bfloat16"
    assert machine.worth_timing("bfloat16") == ("float32", "bfloat16")
    assert probes(FinetuneConfig(train={"precision": "bfloat16"})) == (auto == "bfloat16")


def test_a_bfloat16_that_is_emulated_is_warned_about_and_not_timed(tiny_model, task, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(machine, "cpu_flags", frozenset)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    config = config_of(tiny_model, task, SourceSection(limit=40))
    for precision, said in (("bfloat16", True), ("auto", False), ("float32", False)):
        train = config.train.model_copy(update={"precision": precision})
        result = run_preflight(config.model_copy(update={"train": train}), Workspace(tmp_path / precision))
        warned = any("no instructions for bfloat16" in warning for warning in result.metrics.warnings)
        assert warned == said
        assert set(result.metrics.probe.seconds_per_batch) == {"float32"} | ({"bfloat16"} if said else set())
        kept = json.loads((Path(result.run) / "config.yaml").read_text(encoding="utf-8"))
        assert kept["train"]["precision"] == ("bfloat16" if precision == "bfloat16" else "float32")
