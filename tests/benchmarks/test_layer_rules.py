"""How layers are scored: by gradient, by signal in the weights, by change of the representation."""

from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np
import pytest
import torch
from hrembed.errors import ModelError
from hrembed.models.transformer import load_model
from hrembed.training.losses import cached_ranking, ranking
from hrembed.training.methods import freeze_documents, split_sides
from hrembed.training.plan import TrainingPlan, batch_loss
from hrembed.types import Pair

with pytest.MonkeyPatch.context() as _patch:  # as the script of the study imports it: beside it
    _patch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
    layer_rules = importlib.import_module("layer_rules")


def plan(model, *, routes: dict[str, str] | None = None, loss=ranking, **settings) -> TrainingPlan:
    pairs = [Pair(f"word {n}", f"text {n * 7 + 1}") for n in range(16)]
    columns = {"anchor": [pair.anchor for pair in pairs], "positive": [pair.positive for pair in pairs]}
    settings = settings or {"hardness": 0}
    losses = {"s": loss(model, pairs, temperature=0.05, symmetric=False, **settings)}
    return TrainingPlan({"s": columns}, losses, [[*range(8)], [*range(8, 16)]], {"anchor": "find: "}, routes or {})


def sharp(folder: Path):
    """The tiny model with larger, distinct layers: at its start all of them do next to nothing."""
    model = load_model(folder)
    torch.manual_seed(5)
    with torch.no_grad():
        for block in layer_rules.stack_of(model):
            for parameter in block.parameters():
                parameter.add_(0.1 * torch.randn_like(parameter))
    return model


def test_fisher_is_the_mean_squared_gradient_of_each_layer(tiny_model: Path):
    """By hand: autograd on the same batches, and every parameter of a layer counted once."""
    model = load_model(tiny_model).eval()
    planned = plan(model)
    blocks = [model[0].model.encoder.layer[n] for n in range(4)]
    expected = np.zeros(4)
    for batch in planned.batches:
        loss = batch_loss(model, planned, batch)
        for n, block in enumerate(blocks):
            grads = torch.autograd.grad(loss, list(block.parameters()), retain_graph=True)
            expected[n] += sum(float(g.double().square().sum()) for g in grads)
    expected /= 2 * sum(p.numel() for p in blocks[0].parameters())
    found = layer_rules.gradient_fisher(model, planned, batches=9)
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    first = layer_rules.gradient_fisher(model, planned, batches=1)
    assert np.abs(first / found - 1).max() > 1e-3  # one batch is not both


@pytest.mark.parametrize("layer", [0, 3])
def test_fisher_finds_the_layer_on_which_the_loss_depends(tiny_model: Path, layer: int):
    model = load_model(tiny_model)

    class Planted(torch.nn.Module):
        def forward(self, features, labels):
            return sum(p.square().sum() for p in layer_rules.stack_of(model)[layer].parameters())

    planned = plan(model)
    planned.losses["s"] = Planted()
    scores = layer_rules.gradient_fisher(model, planned, batches=2)
    assert np.flatnonzero(scores).tolist() == [layer]


def test_fisher_of_a_loss_in_parts_is_that_of_the_whole_loss(tiny_model: Path):
    """Its gradients come from a hook that runs `backward` itself."""
    model = load_model(tiny_model)
    whole = layer_rules.gradient_fisher(model, plan(model), batches=2)
    parts = layer_rules.gradient_fisher(model, plan(model, loss=cached_ranking, mini_batch_size=3), batches=2)
    np.testing.assert_allclose(parts, whole, rtol=1e-3)


def test_a_layer_that_happens_to_be_frozen_is_scored(tiny_model: Path):
    model = load_model(tiny_model)
    free = layer_rules.gradient_fisher(model, plan(model), batches=2)
    layer_rules.stack_of(model)[1].requires_grad_(False)
    np.testing.assert_allclose(layer_rules.gradient_fisher(model, plan(model), batches=2), free, rtol=1e-5)


def test_no_planned_batch_is_an_error(tiny_model: Path):
    model = load_model(tiny_model)
    planned = plan(model)
    empty = TrainingPlan(planned.columns, planned.losses, [], {}, {})
    with pytest.raises(ModelError, match="no two training pairs can be in the same batch"):
        layer_rules.gradient_fisher(model, empty, batches=2)


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
    pure, structured = layer_rules.signal_to_noise(noise(*shape)), layer_rules.signal_to_noise(planted(*shape))
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
    assert layer_rules.signal_to_noise(10 * planted(64, 96)) == pytest.approx(
        layer_rules.signal_to_noise(planted(64, 96)) / 10
    )
    assert np.isnan(layer_rules.signal_to_noise(np.zeros((4, 4))))


def test_the_median_of_noise_is_the_published_one():
    """Gavish & Donoho: the threshold 4/sqrt(3) is 2.858 medians of the singular values of a square matrix."""
    assert 4 / np.sqrt(3) / np.sqrt(layer_rules.marchenko_pastur_median(1.0)) == pytest.approx(2.858, abs=1e-3)
    values = np.linalg.svd(np.random.default_rng(3).normal(size=(300, 900)), compute_uv=False)
    # Neighbours are about 1 % apart there.
    assert np.median(values**2) / 900 == pytest.approx(layer_rules.marchenko_pastur_median(1 / 3), rel=0.02)


def test_the_layer_with_structure_has_the_highest_signal(tiny_model: Path):
    model = load_model(tiny_model)
    with torch.no_grad():
        for parameter in layer_rules.stack_of(model)[1].parameters():
            if parameter.ndim == 2:
                parameter.copy_(torch.as_tensor(planted(*parameter.shape)))
    assert int(np.argmax(layer_rules.weight_signal(model))) == 1


@pytest.mark.parametrize("layer", [0, 2])
def test_change_is_credited_to_the_layer_that_changes(tiny_model: Path, layer: int):
    """The naive change of a layer's output is as large in every layer above."""
    model = load_model(tiny_model)
    model.requires_grad_(False)
    layer_rules.stack_of(model)[layer].requires_grad_(True)
    planned, texts = plan(model), layer_rules._sample(plan(model), 1)
    added = layer_rules.representation_change(model, planned, steps=2, seed=1)
    assert np.abs(added[:layer]).max(initial=0) < 1e-12  # below nothing changes
    assert int(np.argmax(added)) == layer
    assert added[layer] > 5 * np.abs(np.delete(added, layer)).max()
    before = layer_rules._representations(model, planned, texts)
    layer_rules._short_run(model, planned, 2)
    after = layer_rules._representations(model, planned, texts)
    raw = [1 - layer_rules.linear_cka(b, a) for b, a in zip(before, after, strict=True)][1:]
    assert min(raw[layer:]) > 0.5 * raw[layer]


def test_representations_are_means_over_the_tokens_of_every_layer(tiny_model: Path):
    model = load_model(tiny_model).eval()
    planned = plan(model)
    text = planned.columns["s"]["anchor"][0]
    found = layer_rules._representations(model, planned, [("anchor", text)])
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in layer_rules.stack_of(model))
    tokens = model.tokenizer("find: " + text, return_tensors="pt")
    with torch.no_grad():
        hidden = model[0].model(**tokens, output_hidden_states=True).hidden_states
    np.testing.assert_allclose(found[:, 0], [h[0].mean(0).numpy() for h in hidden], atol=1e-6)


def test_of_many_texts_a_seeded_sample_is_compared(tiny_model: Path, monkeypatch):
    monkeypatch.setattr(layer_rules, "_SAMPLE", 6)
    drawn = [layer_rules._sample(plan(load_model(tiny_model)), seed) for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert all(len(set(texts)) == 6 for texts in drawn)


def test_cka_forgets_rotation_and_scale_and_sees_the_rest():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(50, 6))
    turn = np.linalg.qr(rng.normal(size=(6, 6)))[0]
    assert layer_rules.linear_cka(x, 3 * x @ turn + 1) == pytest.approx(1)
    one, other = np.array([[1.0], [-1], [0], [0]]), np.array([[0.0], [0], [1], [-1]])
    assert layer_rules.linear_cka(one, other) == pytest.approx(0)
    # By hand: |yᵀx|² = 2², |xᵀx| = 2, and |yᵀy| = 2·sqrt(2), since the two columns of y are independent.
    both = np.hstack([one, other])
    assert layer_rules.linear_cka(one, both) == pytest.approx(1 / np.sqrt(2))
    assert np.isnan(layer_rules.linear_cka(one, np.ones((4, 1))))


@pytest.mark.parametrize("rule", ["fisher", "change"])
def test_scoring_changes_nothing(tiny_model: Path, rule: str):
    model = load_model(tiny_model)
    model[0].model.embeddings.requires_grad_(False)
    layer_rules.stack_of(model)[1].requires_grad_(False)
    layer_rules.stack_of(model)[2].eval()
    state = {name: value.clone() for name, value in model.state_dict().items()}
    flags = {name: p.requires_grad for name, p in model.named_parameters()}
    modes = {name: module.training for name, module in model.named_modules()}
    random = torch.get_rng_state()
    score(model, plan(model), rule)
    assert torch.equal(torch.get_rng_state(), random)
    assert all(torch.equal(state[name], value) for name, value in model.state_dict().items())
    assert {name: p.requires_grad for name, p in model.named_parameters()} == flags
    assert {name: module.training for name, module in model.named_modules()} == modes
    assert all(p.grad is None for p in model.parameters())


def score(model, planned: TrainingPlan, rule: str, seed: int = 1) -> np.ndarray:
    if rule == "fisher":
        return layer_rules.gradient_fisher(model, planned, batches=2)
    return layer_rules.representation_change(model, planned, steps=2, seed=seed)


@pytest.mark.parametrize("rule", ["fisher", "change"])
def test_scores_do_not_depend_on_what_was_drawn_before(tiny_model: Path, rule: str):
    model = load_model(tiny_model)
    first = score(model, plan(model), rule)
    torch.rand(3)
    assert np.array_equal(score(model, plan(model), rule), first)
    if rule == "change":
        assert not np.array_equal(score(model, plan(model), rule, seed=2), first)


@pytest.mark.parametrize("rule", ["fisher", "change"])
def test_parameters_of_a_loss_keep_no_gradient_for_the_training(tiny_model: Path, rule: str):
    model = load_model(tiny_model)
    planned = plan(model)
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
    planned = plan(model)
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
        layer_rules.representation_change(model, planned, steps=2, seed=1)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


@pytest.mark.parametrize("rule", ["fisher", "change"])
def test_of_a_router_the_side_of_the_queries_is_scored(tiny_model: Path, rule: str):
    model = split_sides(sharp(tiny_model))
    freeze_documents(model)
    planned = plan(model, routes={"anchor": "query", "positive": "document"})
    assert (score(model, planned, rule) > 0).any()
    assert {column for column, _ in layer_rules._sample(planned, 1)} == {"anchor"}
    assert not any(p.requires_grad for p in model[0].sub_modules["document"].parameters())


def test_of_equal_layers_the_upper_is_ranked_first():
    assert layer_rules.rank(np.array([0.5, 1.0, 0.5, 0.0])) == [1, 2, 0, 3]
