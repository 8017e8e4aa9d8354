"""Embedding by length gives the vectors of the plain calls, with less work."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hrembed.models.transformer import load_model
from hrembed.training.by_length import embed_by_length
from hrembed.training.methods import split_sides

ANCHORS = ["nurse", "a nurse for the night shift of the ward", "cook", "nurse", "car mechanic"]
POSITIVES = ["ward nurse", "nurse", "bakes bread and cakes before sunrise every day", "cook", "repairs brakes"]


@pytest.fixture
def model(tiny_model):
    return load_model(tiny_model).eval()


def columns(model, **sides):
    texts = {"query": ANCHORS, "document": POSITIVES}
    return [model.preprocess(texts[side], **options) for side, options in sides.items()]


def plain(model, features):
    return [model(dict(column))["sentence_embedding"] for column in features]


@pytest.mark.parametrize("rows", [1, 2, 3, 64])
def test_the_vectors_and_gradients_are_those_of_plain_calls(model, rows):
    features = columns(model, query={}, document={})
    gradients = []
    for embed in (plain, lambda m, f: embed_by_length(m, f, rows=rows)):
        model.zero_grad()
        anchors, positives = embed(model, features)
        (anchors @ positives.T).pow(2).sum().backward()
        parameters = [p.grad.clone() for p in model.parameters() if p.grad is not None]
        gradients.append((anchors.detach(), positives.detach(), torch.cat([g.flatten() for g in parameters])))
    for one, other in zip(*gradients, strict=True):
        assert torch.allclose(one, other, atol=1e-5, rtol=1e-4)


def test_equal_texts_are_embedded_once_and_short_ones_not_padded(model):
    seen = []
    whole = model.forward
    model.forward = lambda features: (seen.append(tuple(features["input_ids"].shape)), whole(features))[1]
    features = columns(model, query={}, document={})
    embed_by_length(model, features, rows=2)
    assert sum(rows for rows, _ in seen) == len(set(ANCHORS + POSITIVES))
    longest = max(column["input_ids"].shape[1] for column in features)
    work = sum(rows * width for rows, width in seen)
    assert work < 0.6 * 2 * len(ANCHORS) * longest
    widths = [width for _, width in seen]
    assert widths == sorted(widths)
    assert widths[0] < longest


def test_columns_with_another_prompt_are_not_mixed(model):
    model.set_pooling_include_prompt(False)
    features = columns(model, query={"prompt": "find: "}, document={})
    for one, other in zip(plain(model, features), embed_by_length(model, features, rows=2), strict=True):
        assert torch.allclose(one, other, atol=1e-5)


def test_sides_stay_apart(tiny_model):
    model = split_sides(load_model(tiny_model)).eval()
    with torch.no_grad():
        for value in model[0].sub_modules["query"].parameters():
            value.add_(0.1)
    features = columns(model, query={"task": "query"}, document={"task": "document"})
    found = embed_by_length(model, features, rows=2)
    expected = [model.encode_query(ANCHORS), model.encode_document(POSITIVES)]
    for one, other in zip(expected, found, strict=True):
        assert np.abs(one - other.detach().numpy()).max() < 1e-5


def test_padding_in_front_is_left_alone(model):
    model.tokenizer.padding_side = "left"
    features = columns(model, query={}, document={})
    assert features[0]["attention_mask"][0, 0] == 0
    for one, other in zip(plain(model, features), embed_by_length(model, features, rows=2), strict=True):
        assert torch.equal(one, other)


def kept_bytes(model, features):
    """Bytes of the activations that wait for the way back, and the gradients that come of it."""
    kept = {}

    def keep(value):
        kept[value.untyped_storage().data_ptr()] = value.untyped_storage().nbytes()
        return value

    torch.manual_seed(13)
    model.zero_grad()
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda value: value):
        (vectors,) = embed_by_length(model, features, rows=10)
    vectors.pow(3).sum().backward()
    gradients = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
    return sum(kept.values()), vectors.detach(), gradients


@pytest.mark.parametrize(("inputs", "share"), [(100_000, 0.7), (200, 0.5)], ids=["layer by layer", "part by part"])
@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_beyond_a_limit_activations_are_computed_again_and_nothing_else_changes(
    model, monkeypatch, inputs, share, precision
):
    """Dropout is on: the second pass must draw what the first drew."""
    model.train()
    model[0].model.apply(lambda part: setattr(part, "p", 0.3) if isinstance(part, torch.nn.Dropout) else None)
    features = [model.preprocess([f"{text}, number {n}" for n in range(20) for text in ANCHORS])]
    with torch.autocast("cpu", precision, enabled=precision is torch.bfloat16):
        whole, *plain_numbers = kept_bytes(model, features)
        monkeypatch.setattr("hrembed.training.by_length._KEPT_TOKENS", 200)
        monkeypatch.setattr("hrembed.training.by_length._KEPT_INPUTS", inputs)
        bounded, *numbers = kept_bytes(model, features)
    assert bounded < share * whole
    for one, other in zip(plain_numbers, numbers, strict=True):
        assert torch.equal(one, other)


def test_layers_are_computed_again_only_where_they_were_asked_to(model, monkeypatch):
    monkeypatch.setattr("hrembed.training.by_length._KEPT_TOKENS", 0)
    before = [set(vars(part)) for part in model.modules()]
    embed_by_length(model.train(), columns(model, query={}, document={}))
    assert [set(vars(part)) for part in model.modules()] == before
