"""Which layers are trained, where that is measured: the scores, the choice, the control."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hrembed.cli.app import main
from hrembed.config.layers import ChoiceSection
from hrembed.config.parts import ModelSection, TaskSection
from hrembed.config.proof import ProofSection
from hrembed.config.training import FinetuneConfig, LoraMethod, PartialMethod, SourceSection, TrainSection
from hrembed.errors import ConfigError, ModelError
from hrembed.models.transformer import load_model
from hrembed.stages import finetune
from hrembed.stages.finetune import run_finetune
from hrembed.stages.layers import random_layers, rank
from hrembed.training import importance
from hrembed.training.checkpoints import trained
from hrembed.training.losses import cached_ranking, ranking
from hrembed.training.methods import freeze_documents, split_sides
from hrembed.training.preflight import batch_loss
from hrembed.training.trainer import Feed
from hrembed.training.watch import Watch
from hrembed.types import Pair
from killing import KilledError, killed_at, run_id
from safetensors.numpy import load_file

NO_PROOF = ProofSection(tests=(), retention=(), strengths=())
RULES = ("fisher", "snr", "change")


def feed(model, *, routes: dict[str, str] | None = None, loss=ranking, **settings) -> Feed:
    pairs = [Pair(f"word {n}", f"text {n * 7 + 1}") for n in range(16)]
    columns = {
        "anchor": [pair.anchor for pair in pairs],
        "positive": [pair.positive for pair in pairs],
        "label": [*range(len(pairs))],
    }
    settings = settings or {"hardness": 0}
    losses = {"s": loss(model, pairs, temperature=0.05, symmetric=False, **settings)}
    return Feed({"s": columns}, losses, [[*range(8)], [*range(8, 16)]], {"anchor": "find: "}, routes or {})


def sharp(folder: Path):
    """The tiny model with larger, distinct layers: at its start all of them do next to nothing."""
    model = load_model(folder)
    torch.manual_seed(5)
    with torch.no_grad():
        for block in importance.stack_of(model):
            for parameter in block.parameters():
                parameter.add_(0.1 * torch.randn_like(parameter))
    return model


# Fisher


def test_fisher_is_the_mean_squared_gradient_of_each_layer(tiny_model: Path):
    """By hand: autograd on the same batches, and every parameter of a layer counted once."""
    model = load_model(tiny_model).eval()
    planned = feed(model)
    blocks = [model[0].model.encoder.layer[n] for n in range(4)]
    expected = np.zeros(4)
    for batch in planned.batches:
        loss = batch_loss(model, planned, batch)
        for n, block in enumerate(blocks):
            grads = torch.autograd.grad(loss, list(block.parameters()), retain_graph=True)
            expected[n] += sum(float(g.double().square().sum()) for g in grads)
    expected /= 2 * sum(p.numel() for p in blocks[0].parameters())
    found = importance.gradient_fisher(model, planned, batches=9)
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    first = importance.gradient_fisher(model, planned, batches=1)
    assert np.abs(first / found - 1).max() > 1e-3  # one batch is not both


@pytest.mark.parametrize("layer", [0, 3])
def test_fisher_finds_the_layer_on_which_the_loss_depends(tiny_model: Path, layer: int):
    model = load_model(tiny_model)

    class Planted(torch.nn.Module):
        def forward(self, features, labels):
            return sum(p.square().sum() for p in importance.stack_of(model)[layer].parameters())

    planned = feed(model)
    planned.losses["s"] = Planted()
    scores = importance.gradient_fisher(model, planned, batches=2)
    assert np.flatnonzero(scores).tolist() == [layer]


def test_fisher_of_a_loss_in_parts_is_that_of_the_whole_loss(tiny_model: Path):
    """Its gradients come from a hook that runs `backward` itself."""
    model = load_model(tiny_model)
    whole = importance.gradient_fisher(model, feed(model), batches=2)
    parts = importance.gradient_fisher(model, feed(model, loss=cached_ranking, mini_batch_size=3), batches=2)
    np.testing.assert_allclose(parts, whole, rtol=1e-3)


def test_a_layer_that_happens_to_be_frozen_is_scored(tiny_model: Path):
    model = load_model(tiny_model)
    free = importance.gradient_fisher(model, feed(model), batches=2)
    importance.stack_of(model)[1].requires_grad_(False)
    np.testing.assert_allclose(importance.gradient_fisher(model, feed(model), batches=2), free, rtol=1e-5)


def test_no_planned_batch_is_an_error(tiny_model: Path):
    model = load_model(tiny_model)
    planned = feed(model)
    empty = Feed(planned.columns, planned.losses, [], {}, {})
    with pytest.raises(ModelError, match="no two training pairs may stand in one batch"):
        importance.gradient_fisher(model, empty, batches=2)


# Signal to noise


def noise(rows: int, columns: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.02, (rows, columns))


def planted(rows: int, columns: int) -> np.ndarray:
    """Noise and eight directions that stand five times as high as its edge."""
    rng = np.random.default_rng(1)
    left, right = (np.linalg.qr(rng.normal(size=(n, 8)))[0] for n in (rows, columns))
    edge = 0.02 * (np.sqrt(rows) + np.sqrt(columns))
    return noise(rows, columns) + 5 * edge * left @ right.T


@pytest.mark.parametrize("shape", [(96, 96), (64, 256), (256, 64)])
def test_noise_has_no_signal_and_planted_directions_have(shape):
    pure, structured = importance.signal_to_noise(noise(*shape)), importance.signal_to_noise(planted(*shape))
    values = np.linalg.svd(planted(*shape), compute_uv=False)
    assert structured == pytest.approx(values[:8].sum() / values[8:].sum() / values[0], rel=1e-6)  # exactly these eight
    assert structured > 5 * pure


def test_the_published_noise_level_ranks_noise_above_structure():
    """Spectrum's quartiles, taken as those of a normal distribution, put the edge into the noise."""

    def naive(matrix: np.ndarray) -> float:
        values = np.linalg.svd(matrix, compute_uv=False)
        low, high = np.quantile(values, [0.25, 0.75])
        ratio = min(matrix.shape) / max(matrix.shape)
        edge = (high - low) / 1.349 * (1 + np.sqrt(ratio))
        return float(values[values > edge].sum() / values[values <= edge].sum() / values[0])

    assert naive(noise(96, 96)) > naive(planted(96, 96))


def test_noise_level_does_not_matter_but_for_the_unit():
    assert importance.signal_to_noise(10 * planted(64, 96)) == pytest.approx(
        importance.signal_to_noise(planted(64, 96)) / 10
    )
    assert np.isnan(importance.signal_to_noise(np.zeros((4, 4))))


def test_the_median_of_noise_is_the_published_one():
    """Gavish & Donoho: the threshold 4/sqrt(3) is 2.858 medians of the singular values of a square matrix."""
    assert 4 / np.sqrt(3) / np.sqrt(importance.marchenko_pastur_median(1.0)) == pytest.approx(2.858, abs=1e-3)
    values = np.linalg.svd(np.random.default_rng(3).normal(size=(300, 900)), compute_uv=False)
    # Neighbours are about 1 % apart there.
    assert np.median(values**2) / 900 == pytest.approx(importance.marchenko_pastur_median(1 / 3), rel=0.02)


def test_the_layer_with_structure_has_the_highest_signal(tiny_model: Path):
    model = load_model(tiny_model)
    with torch.no_grad():
        for parameter in importance.stack_of(model)[1].parameters():
            if parameter.ndim == 2:
                parameter.copy_(torch.as_tensor(planted(*parameter.shape)))
    assert int(np.argmax(importance.weight_signal(model))) == 1


# Change of representation


@pytest.mark.parametrize("layer", [0, 2])
def test_change_is_credited_to_the_layer_that_changes(tiny_model: Path, layer: int):
    """The naive change of a layer's output is as large in every layer above."""
    model = load_model(tiny_model)
    model.requires_grad_(False)
    importance.stack_of(model)[layer].requires_grad_(True)
    planned, texts = feed(model), importance._sample(feed(model), 1)
    added = importance.representation_change(model, planned, steps=2, seed=1)
    assert np.abs(added[:layer]).max(initial=0) < 1e-12  # below nothing changes
    assert int(np.argmax(added)) == layer
    assert added[layer] > 5 * np.abs(np.delete(added, layer)).max()
    before = importance._representations(model, planned, texts)
    importance._short_run(model, planned, 2)
    after = importance._representations(model, planned, texts)
    raw = [1 - importance.linear_cka(b, a) for b, a in zip(before, after, strict=True)][1:]
    assert min(raw[layer:]) > 0.5 * raw[layer]


def test_representations_are_means_over_the_tokens_of_every_layer(tiny_model: Path):
    model = load_model(tiny_model).eval()
    planned = feed(model)
    text = planned.columns["s"]["anchor"][0]
    found = importance._representations(model, planned, [("anchor", text)])
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in importance.stack_of(model))
    tokens = model.tokenizer("find: " + text, return_tensors="pt")
    with torch.no_grad():
        hidden = model[0].model(**tokens, output_hidden_states=True).hidden_states
    np.testing.assert_allclose(found[:, 0], [h[0].mean(0).numpy() for h in hidden], atol=1e-6)


def test_of_many_texts_a_seeded_sample_is_compared(tiny_model: Path, monkeypatch):
    monkeypatch.setattr(importance, "_SAMPLE", 6)
    drawn = [importance._sample(feed(load_model(tiny_model)), seed) for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert all(len(set(texts)) == 6 for texts in drawn)


def test_cka_forgets_rotation_and_scale_and_sees_the_rest():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(50, 6))
    turn = np.linalg.qr(rng.normal(size=(6, 6)))[0]
    assert importance.linear_cka(x, 3 * x @ turn + 1) == pytest.approx(1)
    one, other = np.array([[1.0], [-1], [0], [0]]), np.array([[0.0], [0], [1], [-1]])
    assert importance.linear_cka(one, other) == pytest.approx(0)
    # By hand: |yᵀx|² = 2², |xᵀx| = 2, and |yᵀy| = 2·sqrt(2), since the two columns of y are independent.
    both = np.hstack([one, other])
    assert importance.linear_cka(one, both) == pytest.approx(1 / np.sqrt(2))
    assert np.isnan(importance.linear_cka(one, np.ones((4, 1))))


# What scoring leaves behind


@pytest.mark.parametrize("rule", ["fisher", "change"])
def test_scoring_changes_nothing(tiny_model: Path, rule: str):
    model = load_model(tiny_model)
    model[0].model.embeddings.requires_grad_(False)
    importance.stack_of(model)[1].requires_grad_(False)
    importance.stack_of(model)[2].eval()
    state = {name: value.clone() for name, value in model.state_dict().items()}
    flags = {name: p.requires_grad for name, p in model.named_parameters()}
    modes = {name: module.training for name, module in model.named_modules()}
    random = torch.get_rng_state()
    score(model, feed(model), rule)
    assert torch.equal(torch.get_rng_state(), random)
    assert all(torch.equal(state[name], value) for name, value in model.state_dict().items())
    assert {name: p.requires_grad for name, p in model.named_parameters()} == flags
    assert {name: module.training for name, module in model.named_modules()} == modes
    assert all(p.grad is None for p in model.parameters())


def score(model, planned: Feed, rule: str, seed: int = 1) -> np.ndarray:
    if rule == "fisher":
        return importance.gradient_fisher(model, planned, batches=2)
    return importance.representation_change(model, planned, steps=2, seed=seed)


@pytest.mark.parametrize("rule", ["fisher", "change"])
def test_scores_do_not_depend_on_what_was_drawn_before(tiny_model: Path, rule: str):
    model = load_model(tiny_model)
    first = score(model, feed(model), rule)
    torch.rand(3)
    assert np.array_equal(score(model, feed(model), rule), first)
    if rule == "change":
        assert not np.array_equal(score(model, feed(model), rule, seed=2), first)


@pytest.mark.parametrize("rule", ["fisher", "change"])
def test_parameters_of_a_loss_keep_no_gradient_for_the_training(tiny_model: Path, rule: str):
    model = load_model(tiny_model)
    planned = feed(model)
    own = planned.losses["s"]

    class Projecting(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.own, self.scale = own, torch.nn.Parameter(torch.ones(()))

        def forward(self, features, labels):
            return self.scale * self.own(features, labels)

    planned.losses["s"] = Projecting()
    score(model, planned, rule)
    assert planned.losses["s"].scale.grad is None
    assert float(planned.losses["s"].scale.detach()) == 1


def test_a_broken_run_puts_the_weights_back(tiny_model: Path):
    model = load_model(tiny_model)
    planned = feed(model)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    own, calls = planned.losses["s"], []

    class Broken(torch.nn.Module):
        def forward(self, features, labels):
            calls.append(1)
            if len(calls) == 2:
                raise KeyboardInterrupt
            return own(features, labels)

    planned.losses["s"] = Broken()
    with pytest.raises(KeyboardInterrupt):
        importance.representation_change(model, planned, steps=2, seed=1)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


@pytest.mark.parametrize("rule", ["fisher", "change"])
def test_of_a_router_the_side_of_the_queries_is_scored(tiny_model: Path, rule: str):
    model = split_sides(sharp(tiny_model))
    freeze_documents(model)
    planned = feed(model, routes={"anchor": "query", "positive": "document"})
    assert (score(model, planned, rule) > 0).any()
    assert {column for column, _ in importance._sample(planned, 1)} == {"anchor"}
    assert not any(p.requires_grad for p in model[0].sub_modules["document"].parameters())


# The choice


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
    found, whole = [], finetune.train

    def watched(model, *rest):
        names = trained(model)
        found.append({int(name.split("encoder.layer.")[1].split(".")[0]) for name in names})
        return whole(model, *rest)

    monkeypatch.setattr(finetune, "train", watched)
    return found


def changed_layers(base: Path, tuned: Path) -> set[int]:
    before, after = load_file(base / "model.safetensors"), load_file(tuned / "model.safetensors")
    changed = [name for name in after if not np.array_equal(before[name], after[name])]
    return {int(name.split("encoder.layer.")[1].split(".")[0]) for name in changed}


@pytest.mark.parametrize(("method", "by"), [("lora", "fisher"), ("partial", "snr"), ("partial", "change")])
def test_auto_trains_exactly_the_best_layers(config, tiny_model, tmp_path, monkeypatch, method, by):
    seen = seen_training(monkeypatch)
    result = run_finetune(with_method(config, method, "auto", by=by), tmp_path)
    found = json.loads((Path(result.run) / "metrics.json").read_text())["layers"]
    assert sorted(found) == ["by", "chosen", "rank", "scores"]
    assert sorted(found["scores"]) == sorted(RULES)
    values = found["scores"][by]
    assert found["rank"] == sorted(range(4), key=lambda layer: -values[layer])
    assert set(found["chosen"]) == set(found["rank"][:2])
    assert seen == [set(found["chosen"])]
    assert changed_layers(tiny_model, Path(result.run) / "model") == set(found["chosen"])
    assert (Path(result.run) / "layers.png").stat().st_size > 10_000
    (rows,) = [rows for title, rows in result.tables.items() if title.startswith(f"Layers by {by}")]
    assert [row["layer"] for row in rows if row["trained"]] == [str(layer) for layer in found["rank"][:2]]
    card = (Path(result.run) / "model" / "README.md").read_text(encoding="utf-8")
    assert f"* Trained layers: {', '.join(map(str, found['chosen']))} (0 is the lowest), chosen by `{by}`" in card


def test_the_scores_are_those_of_the_planned_training(config, tiny_model, pairs, tmp_path):
    from hrembed.data.pairs import read_pairs
    from hrembed.stages.feeding import build_feed
    from hrembed.stages.sources import Source

    config = with_method(config, "lora", "auto")
    found = run_finetune(config, tmp_path).metrics["layers"]["scores"]
    model = load_model(tiny_model, max_tokens=32)
    planned = build_feed(config, [Source(read_pairs(pairs))], model, tmp_path, "")
    assert found["fisher"] == importance.gradient_fisher(model, planned, batches=2).tolist()
    assert found["snr"] == importance.weight_signal(model).tolist()
    assert found["change"] == importance.representation_change(model, planned, steps=2, seed=13).tolist()


def test_choosing_the_layers_trains_what_naming_them_trains(config, tmp_path):
    """Scoring leaves no trace in the training."""
    auto = run_finetune(with_method(config, "lora", "auto"), tmp_path).metrics
    named = LoraMethod(rank=4, layers=tuple(auto["layers"]["chosen"]))
    plain = run_finetune(config.model_copy(update={"method": named}), tmp_path).metrics
    assert plain["loss_history"] == auto["loss_history"]


def test_random_layers_are_seeded_and_as_many(config, tmp_path, monkeypatch):
    seen = seen_training(monkeypatch)
    chosen = []
    for seed in (1, 1, 3):
        train = config.train.model_copy(update={"seed": seed, "epochs": 1, "evaluations": 1})
        asked = with_method(config.model_copy(update={"train": train}), "partial", "random")
        metrics = run_finetune(asked, tmp_path).metrics
        assert metrics["layers"] == {"by": "random", "chosen": list(random_layers(2, 4, seed))}
        chosen.append(tuple(metrics["layers"]["chosen"]))
    assert chosen[0] == chosen[1]
    assert len(set(chosen)) > 1
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
    metrics = run_finetune(asked, tmp_path).metrics
    assert seen == [set(metrics["layers"]["chosen"])]


def test_a_dry_run_shows_the_ranking(config, tmp_path):
    result = run_finetune(with_method(config, "lora", "auto"), tmp_path, dry_run=True)
    metrics = json.loads((Path(result.run) / "metrics.json").read_text())
    assert metrics["layers"] == result.metrics["layers"]
    assert len(metrics["layers"]["rank"]) == 4
    assert next(iter(result.tables)).startswith("Layers by fisher (trained: ")
    assert (Path(result.run) / "layers.png").is_file()
    assert not (Path(result.run) / "model").exists()


# Mistakes


@pytest.mark.parametrize("layers", ["auto", "random"])
def test_more_layers_than_there_are_is_an_error(config, tmp_path, layers):
    with pytest.raises(ConfigError, match=r"`method\.choice\.count` is 5, but the model has 4 layers"):
        run_finetune(with_method(config, "lora", layers, count=5), tmp_path)


def test_a_control_needs_another_choice(config, tmp_path):
    with pytest.raises(ConfigError, match="is 4, which is all layers of the model: there is no other choice"):
        run_finetune(with_method(config, "lora", "auto", count=4, control=True), tmp_path)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("method={name: lora, layers: atuo}", "or null, got 'atuo' (did you mean 'auto'?)"),
        ("method={name: lora, layers: 3, choice: {control: true}}", "method.choice: a control needs `layers: auto`"),
        ("method={name: partial, layers: random, choice: {control: true}}", "a control needs `layers: auto`"),
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
    monkeypatch.setattr("hrembed.stages.layers.weight_signal", lambda model: np.array([1.0, np.nan, 1, 1]))
    with pytest.raises(ModelError, match="no finite scores by `snr`"):
        run_finetune(with_method(config, "lora", "auto", by="snr"), tmp_path)
    metrics = run_finetune(with_method(config, "lora", "auto"), tmp_path).metrics
    assert len(metrics["layers"]["chosen"]) == 2


# The control


def controlled(config: FinetuneConfig, task: Path, method: str = "partial", **proof) -> FinetuneConfig:
    proven = ProofSection(tests=(TaskSection(path=str(task)),), retention=(), strengths=(), **proof)
    return with_method(config, method, "auto", control=True).model_copy(update={"proof": proven})


def test_the_control_is_the_same_training_on_other_layers(config, task, tiny_model, tmp_path, monkeypatch):
    """Naming the control's layers in a run of their own gives its scores."""
    seen = seen_training(monkeypatch)
    config = config.model_copy(update={"train": config.train.model_copy(update={"learning_rate": 2e-2})})
    result = run_finetune(controlled(config, task), tmp_path / "a")
    metrics, run = json.loads((Path(result.run) / "metrics.json").read_text()), Path(result.run)
    control = metrics["control"]
    assert set(control["layers"]) != set(metrics["layers"]["chosen"])
    assert len(control["layers"]) == 2
    assert seen == [set(metrics["layers"]["chosen"]), set(control["layers"])]
    assert changed_layers(tiny_model, run / "model") == set(metrics["layers"]["chosen"])
    named = PartialMethod(name="partial", layers=tuple(control["layers"]))
    apart = run_finetune(config.model_copy(update={"method": named}), tmp_path / "b").metrics
    assert control["dev"]["control"]["value"] == pytest.approx(apart["tuned"]["value"], abs=1e-9)
    assert control["dev"]["chosen"]["value"] == pytest.approx(metrics["tuned"]["value"], abs=1e-9)
    assert control["dev"]["difference"]["value"] != 0  # else the sides could be swapped
    for row in (control["dev"], *control["tests"]):
        assert row["difference"]["value"] == pytest.approx(row["chosen"]["value"] - row["control"]["value"])
        assert row["difference"]["interval"][0] <= row["difference"]["value"] <= row["difference"]["interval"][1]
    assert [row["task"] for row in control["tests"]] == [row["task"] for row in metrics["tests"]]
    assert sorted(item.name for item in run.iterdir()) == [
        "config.yaml", "layers.png", "log.txt", "manifest.json", "metrics.json", "model", "per_query.parquet",
        "training.png",
    ]  # fmt: skip
    assert any(title.startswith("Chosen layers against random ones") for title in result.tables)
    assert "chosen - random: task/test" in (run / "model" / "README.md").read_text(encoding="utf-8")


def test_both_sides_of_a_control_are_kept_at_one_strength(config, task, tmp_path):
    weak = run_finetune(controlled(config, task, strength=0.5), tmp_path / "a")
    half = weak.metrics["control"]
    named = PartialMethod(name="partial", layers=tuple(half["layers"]))
    proof = ProofSection(tests=(), retention=(), strengths=(), strength=0.5)
    apart = run_finetune(config.model_copy(update={"method": named, "proof": proof}), tmp_path / "b").metrics
    assert half["dev"]["control"]["value"] == pytest.approx(apart["tuned"]["value"], abs=1e-9)
    assert half["dev"]["chosen"]["value"] == pytest.approx(weak.metrics["tuned"]["value"], abs=1e-9)


@pytest.mark.parametrize("method", ["lora", "partial"])
def test_a_run_that_was_killed_in_both_trainings_ends_as_one_that_was_not(config, task, tmp_path, monkeypatch, method):
    config = controlled(config, task, method)
    straight = Path(run_finetune(config, tmp_path / "a").run)
    with monkeypatch.context() as patch:
        killed_at(patch, 5)
        with pytest.raises(KilledError):
            run_finetune(config, tmp_path / "b")
    with monkeypatch.context() as patch:
        killed_at(patch, 9, training=2)
        with pytest.raises(KilledError):
            run_finetune(config, tmp_path / "b", resume=run_id(tmp_path / "b"))
    steps = []
    whole = Watch.step_done
    monkeypatch.setattr(Watch, "step_done", lambda self, step, *rest: steps.append(step) or whole(self, step, *rest))
    resumed = Path(run_finetune(config, tmp_path / "b", resume=run_id(tmp_path / "b")).run)
    assert (resumed / "metrics.json").read_bytes() == (straight / "metrics.json").read_bytes()
    assert (resumed / "model" / "model.safetensors").read_bytes() == (
        straight / "model" / "model.safetensors"
    ).read_bytes()
    total = json.loads((straight / "metrics.json").read_text())["steps"]
    assert steps == list(range(steps[0], total + 1))  # one training only, and its rest
    assert 1 < steps[0] <= 9
    assert not (resumed / "checkpoints").exists()


@pytest.mark.parametrize("where", ["_prove", "compare_control", "model_card"])
def test_a_run_that_was_killed_between_trainings_and_card_goes_on(config, task, tmp_path, monkeypatch, where):
    config = controlled(config, task, strength=0.5)
    straight = Path(run_finetune(config, tmp_path / "a").run)

    def killed(*args, **kwargs):
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(finetune, where, killed)
        with pytest.raises(KilledError):
            run_finetune(config, tmp_path / "b")
    resumed = Path(run_finetune(config, tmp_path / "b", resume=run_id(tmp_path / "b")).run)
    assert (resumed / "metrics.json").read_bytes() == (straight / "metrics.json").read_bytes()
