"""Which layers are trained, where that is measured: the scores, the choice, the control."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hrembed.cli.app import main
from hrembed.commands.finetune import finish, train
from hrembed.commands.finetune.layers import random_layers, rank
from hrembed.commands.finetune.run import run_finetune, run_preflight
from hrembed.config.finetune import FinetuneConfig, LoraMethod, PartialMethod, SourceSection, TrainSection
from hrembed.config.layers import ChoiceSection
from hrembed.config.parts import ModelSection, TaskSection
from hrembed.config.proof import ProofSection
from hrembed.errors import ConfigError, ModelError
from hrembed.models.transformer import load_model
from hrembed.records.base import as_json
from hrembed.records.finetune import LayerChoice
from hrembed.runs.workspace import Workspace
from hrembed.training import importance
from hrembed.training.callbacks import Watch
from hrembed.training.checkpoints import trainable_parameters
from killing import KilledError, killed_at, run_id
from safetensors.numpy import load_file

NO_PROOF = ProofSection(tests=(), retention=(), strengths=())
RULES = ("fisher", "snr", "change")


@pytest.fixture
def config(tiny_model: Path, pairs: Path, task: Path) -> FinetuneConfig:
    return FinetuneConfig(
        model=ModelSection(ref=f"path:{tiny_model}"),
        sources=(SourceSection(path=str(pairs)),),
        train=TrainSection(epochs=2, batch_size=8, learning_rate=5e-3, max_tokens=32, evaluations=2, saves=5),
        dev=TaskSection(path=str(task)),
        proof=NO_PROOF,
    )


def with_method(config: FinetuneConfig, name: str, layers: str, **choice) -> FinetuneConfig:
    section = ChoiceSection(**{"count": 2, "batches": 2, "steps": 2, **choice})
    methods = {
        "lora": LoraMethod(rank=4, layers=layers, choice=section),
        "partial": PartialMethod(name="partial", layers=layers, choice=section),
    }
    return config.model_copy(update={"method": methods[name]})


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


@pytest.mark.parametrize(("method", "by"), [("lora", "fisher"), ("partial", "snr"), ("partial", "change")])
def test_auto_trains_exactly_the_best_layers(config, tiny_model, tmp_path, monkeypatch, method, by):
    seen = seen_training(monkeypatch)
    result = run_finetune(with_method(config, method, "auto", by=by), Workspace(tmp_path))
    found = json.loads((Path(result.run) / "metrics.json").read_text())["layers"]
    assert sorted(found) == ["by", "chosen", "rank", "scores"]
    assert sorted(found["scores"]) == sorted(RULES)
    values = found["scores"][by]
    assert found["rank"] == sorted(range(4), key=lambda layer: -values[layer])
    assert set(found["chosen"]) == set(found["rank"][:2])
    assert seen == [set(found["chosen"])]
    assert changed_layers(tiny_model, Path(result.run) / "model") == set(found["chosen"])
    assert (Path(result.run) / "layers.svg").read_text().count("(trained)") == 2
    (rows,) = [rows for title, rows in result.tables.items() if title.startswith(f"Layers by {by}")]
    assert [row["layer"] for row in rows if row["trained"]] == [str(layer) for layer in found["rank"][:2]]
    card = (Path(result.run) / "model" / "README.md").read_text(encoding="utf-8")
    assert f"* Trained layers: {', '.join(map(str, found['chosen']))} (0 is the lowest), chosen by `{by}`" in card


def test_the_scores_are_those_of_the_planned_training(config, tiny_model, pairs, trained, tmp_path):
    from hrembed.commands.finetune.plan import build_plan
    from hrembed.commands.finetune.sources import Source
    from hrembed.data.pairs import read_pairs

    config = with_method(config, "lora", "auto")
    found = trained(trained.settled(config)).metrics.layers.scores
    model = load_model(tiny_model, max_tokens=32)
    planned = build_plan(config, [Source(read_pairs(pairs))], model, tmp_path, "")
    assert found["fisher"] == tuple(importance.gradient_fisher(model, planned, batches=2))
    assert found["snr"] == tuple(importance.weight_signal(model))
    assert found["change"] == tuple(importance.representation_change(model, planned, steps=2, seed=13))


def test_choosing_the_layers_trains_what_naming_them_trains(config, trained, tmp_path):
    """Scoring leaves no trace in the training."""
    auto = trained(trained.settled(with_method(config, "lora", "auto"))).metrics
    named = LoraMethod(rank=4, layers=auto.layers.chosen)
    plain = run_finetune(config.model_copy(update={"method": named}), Workspace(tmp_path)).metrics
    assert plain.loss_history == auto.loss_history


def test_random_layers_are_seeded_and_as_many(config, tmp_path, monkeypatch):
    seen = seen_training(monkeypatch)
    chosen = []
    for seed in (1, 3):
        section = config.train.model_copy(update={"seed": seed, "epochs": 1, "evaluations": 1})
        asked = with_method(config.model_copy(update={"train": section}), "partial", "random")
        metrics = run_finetune(asked, Workspace(tmp_path)).metrics
        assert metrics.layers == LayerChoice(by="random", chosen=random_layers(2, 4, seed), scores={}, rank=())
        chosen.append(metrics.layers.chosen)
    assert len(set(chosen)) == 2
    assert [tuple(sorted(layers)) for layers in seen] == chosen


def test_every_choice_can_be_drawn_and_none_is_the_one_that_is_excluded():
    drawn = {random_layers(2, 4, seed) for seed in range(60)}
    assert len(drawn) == 6
    assert all(len(layers) == 2 and list(layers) == sorted(set(layers)) for layers in drawn)
    assert (1, 2) not in {random_layers(2, 4, seed, but=(1, 2)) for seed in range(60)}


def test_of_equal_layers_the_upper_is_ranked_first():
    assert rank(np.array([0.5, 1.0, 0.5, 0.0])) == [1, 2, 0, 3]


def test_queries_alone_can_train_chosen_layers(config, tmp_path, monkeypatch):
    seen = seen_training(monkeypatch)
    asked = with_method(config, "partial", "auto").model_copy(update={"sides": "query"})
    metrics = run_finetune(asked, Workspace(tmp_path)).metrics
    assert seen == [set(metrics.layers.chosen)]


def test_a_dry_run_shows_the_ranking(config, tmp_path):
    result = run_preflight(with_method(config, "lora", "auto"), Workspace(tmp_path))
    metrics = json.loads((Path(result.run) / "metrics.json").read_text())
    assert metrics["layers"] == as_json(result.metrics.layers)
    assert len(metrics["layers"]["rank"]) == 4
    assert next(iter(result.tables)).startswith("Layers by fisher (trained: ")
    assert (Path(result.run) / "layers.svg").is_file()
    assert not (Path(result.run) / "model").exists()


@pytest.mark.parametrize("layers", ["auto", "random"])
def test_more_layers_than_there_are_is_an_error(config, tmp_path, layers):
    with pytest.raises(ConfigError, match=r"`method\.choice\.count` is 5, but the model has 4 layers"):
        run_finetune(with_method(config, "lora", layers, count=5), Workspace(tmp_path))


def test_a_control_needs_another_choice(config, tmp_path):
    with pytest.raises(
        ConfigError,
        match=r"`method\.choice\.count` is 4, which is every layer of the model",
    ):
        run_finetune(with_method(config, "lora", "auto", count=4, control=True), Workspace(tmp_path))


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("method={name: lora, layers: atuo}", "or null, got 'atuo' (did you mean 'auto'?)"),
        ("method={name: lora, layers: 3, choice: {control: true}}", "method.choice: `control` requires `layers: auto`"),
        (
            "method={name: partial, layers: random, choice: {control: true}}",
            "`control` requires `layers: auto`, whose selection it compares with a random one",
        ),
        ("method={name: lora, layers: auto, choice: {by: fischer}}", "did you mean 'fisher'?"),
        ("method={name: lora, layers: auto, choice: {count: 0}}", "greater than or equal to 1"),
        ("method={name: full, choice: {count: 1}}", "unknown key"),
    ],
)
def test_wrong_settings_are_named(tmp_path, capsys, setting, message):
    assert main(["finetune", "--runs-dir", str(tmp_path), "--set", setting]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "problems" not in error  # one mistake, one line


def test_scores_that_are_not_finite_choose_nothing(config, tmp_path, monkeypatch):
    monkeypatch.setattr("hrembed.commands.finetune.layers.weight_signal", lambda model: np.array([1.0, np.nan, 1, 1]))
    with pytest.raises(ModelError, match="`snr` gives no finite scores for the layers"):
        run_finetune(with_method(config, "lora", "auto", by="snr"), Workspace(tmp_path))
    metrics = run_finetune(with_method(config, "lora", "auto"), Workspace(tmp_path)).metrics
    assert len(metrics.layers.chosen) == 2


def controlled(config: FinetuneConfig, task: Path, method: str = "partial", **proof) -> FinetuneConfig:
    proven = ProofSection(tests=(TaskSection(path=str(task)),), retention=(), strengths=(), **proof)
    return with_method(config, method, "auto", control=True).model_copy(update={"proof": proven})


def test_the_control_is_the_same_training_on_other_layers(config, task, tiny_model, tmp_path, monkeypatch):
    """Naming the control's layers in a run of their own gives its scores."""
    seen = seen_training(monkeypatch)
    config = config.model_copy(update={"train": config.train.model_copy(update={"learning_rate": 2e-2})})
    result = run_finetune(controlled(config, task), Workspace(tmp_path / "a"))
    metrics, run = json.loads((Path(result.run) / "metrics.json").read_text()), Path(result.run)
    control = metrics["control"]
    assert set(control["layers"]) != set(metrics["layers"]["chosen"])
    assert len(control["layers"]) == 2
    assert seen == [set(metrics["layers"]["chosen"]), set(control["layers"])]
    assert changed_layers(tiny_model, run / "model") == set(metrics["layers"]["chosen"])
    named = PartialMethod(name="partial", layers=tuple(control["layers"]))
    apart = run_finetune(config.model_copy(update={"method": named}), Workspace(tmp_path / "b")).metrics
    assert control["dev"]["control"]["value"] == pytest.approx(apart.tuned.value, abs=1e-9)
    assert control["dev"]["chosen"]["value"] == pytest.approx(metrics["tuned"]["value"], abs=1e-9)
    assert control["dev"]["difference"]["value"] != 0  # else the sides could be swapped
    for row in (control["dev"], *control["tests"]):
        assert row["difference"]["value"] == pytest.approx(row["chosen"]["value"] - row["control"]["value"])
        assert row["difference"]["interval"][0] <= row["difference"]["value"] <= row["difference"]["interval"][1]
    assert [row["task"] for row in control["tests"]] == [row["task"] for row in metrics["tests"]]
    assert sorted(item.name for item in run.iterdir()) == [
        "config.yaml", "dev.svg", "differences.svg", "layers-change.svg", "layers-snr.svg", "layers.svg", "log.txt",
        "manifest.json", "metrics.json", "model", "per_query.parquet", "training.svg",
    ]  # fmt: skip
    assert any(title.startswith("Chosen layers against random ones") for title in result.tables)
    assert "chosen - random: task/test" in (run / "model" / "README.md").read_text(encoding="utf-8")


def test_both_sides_of_a_control_are_kept_at_one_strength(config, task, trained, tmp_path):
    weak = trained(trained.settled(controlled(config, task, strength=0.5)))
    half = weak.metrics.control
    named = PartialMethod(name="partial", layers=half.layers)
    proof = ProofSection(tests=(), retention=(), strengths=(), strength=0.5)
    apart = run_finetune(config.model_copy(update={"method": named, "proof": proof}), Workspace(tmp_path / "b")).metrics
    assert half.dev.control.value == pytest.approx(apart.tuned.value, abs=1e-9)
    assert half.dev.chosen.value == pytest.approx(weak.metrics.tuned.value, abs=1e-9)


# Adapters are resumed in test_resume and test_branches as well; a control is two trainings either way.
@pytest.mark.parametrize("method", [pytest.param("lora", marks=pytest.mark.slow), "partial"])
def test_a_run_that_was_killed_in_both_trainings_ends_as_one_that_was_not(
    config, task, trained, tmp_path, monkeypatch, method
):
    config = trained.settled(controlled(config, task, method))
    straight = Path(trained(config).run)
    with monkeypatch.context() as patch:
        killed_at(patch, 5)
        with pytest.raises(KilledError):
            run_finetune(config, Workspace(tmp_path / "b"))
    with monkeypatch.context() as patch:
        killed_at(patch, 9, training=2)
        with pytest.raises(KilledError):
            run_finetune(config, Workspace(tmp_path / "b"), resume=run_id(tmp_path / "b"))
    steps = []
    whole = Watch.step_done
    monkeypatch.setattr(Watch, "step_done", lambda self, step, *rest: steps.append(step) or whole(self, step, *rest))
    resumed = Path(run_finetune(config, Workspace(tmp_path / "b"), resume=run_id(tmp_path / "b")).run)
    assert (resumed / "metrics.json").read_bytes() == (straight / "metrics.json").read_bytes()
    assert (resumed / "model" / "model.safetensors").read_bytes() == (
        straight / "model" / "model.safetensors"
    ).read_bytes()
    total = json.loads((straight / "metrics.json").read_text())["steps"]
    assert steps == list(range(steps[0], total + 1))  # one training only, and its rest
    assert 1 < steps[0] <= 9
    assert not (resumed / "checkpoints").exists()


def test_a_run_that_was_killed_between_trainings_and_card_goes_on(config, task, trained, tmp_path, monkeypatch):
    config = trained.settled(controlled(config, task, strength=0.5))
    straight = Path(trained(config).run)

    def killed(*args, **kwargs):
        raise KilledError

    for where in ("prove", "compare_layers", "model_card"):
        run = run_id(tmp_path / "b") if (tmp_path / "b").exists() else None
        with monkeypatch.context() as patch:
            patch.setattr(finish, where, killed)
            with pytest.raises(KilledError):
                run_finetune(config, Workspace(tmp_path / "b"), resume=run)
    resumed = Path(run_finetune(config, Workspace(tmp_path / "b"), resume=run_id(tmp_path / "b")).run)
    assert (resumed / "metrics.json").read_bytes() == (straight / "metrics.json").read_bytes()
