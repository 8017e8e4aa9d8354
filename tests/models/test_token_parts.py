"""What each token adds: the parts of a text add up to its vector, whatever linear thing follows the tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hrembed.models.dense import DenseEncoder, Prompts
from hrembed.models.static import open_wordllama
from hrembed.models.transformer import TransformerBackend, load_model

if TYPE_CHECKING:
    from pathlib import Path

TEXTS = ["cleans wounds. gives medicine!", "a", "bakes bread before sunrise, and 7 cakes.\nsells them", "brakes " * 60]


def encoder_of(model, *, prompts: Prompts = Prompts(), dimensions: int | None = None) -> DenseEncoder:  # noqa: B008
    backend = TransformerBackend(lambda: model, identity="x")
    return DenseEncoder(backend, name="m", prompts=prompts, dimensions=dimensions)


def check(encoder: DenseEncoder, side: str = "document") -> None:
    whole = encoder.vectors(TEXTS, side)
    parts = encoder.token_parts(TEXTS, side)
    assert parts is not None
    for row, (vectors, spans) in enumerate(parts):
        np.testing.assert_allclose(vectors.sum(axis=0), whole[row], atol=2e-6)
        assert len(spans) == len(vectors)
        inside = spans[spans[:, 0] >= 0]
        assert len(inside)
        assert (inside[:, 1] <= len(TEXTS[row])).all()
        assert (inside[:, 0] < inside[:, 1]).all()


@pytest.fixture(scope="module")
def model(tiny_model: Path):
    return load_model(tiny_model)


def with_modules(model, *modules):
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(modules=[*model.children(), *modules], device="cpu")


def dense(**settings):
    import torch
    from sentence_transformers.sentence_transformer.modules import Dense

    torch.manual_seed(1)
    return Dense(32, settings.pop("to", 16), activation_function=settings.pop("activation", None), **settings)


@pytest.mark.parametrize(("prompts", "dimensions"), [(Prompts(), None), (Prompts("find: ", "profile: "), 12)])
def test_parts_add_up_to_the_vector(model, prompts: Prompts, dimensions: int | None):
    check(encoder_of(model, prompts=prompts, dimensions=dimensions))


def test_parts_go_through_matrices_biases_and_lengths(model):
    from sentence_transformers.sentence_transformer.modules import Normalize

    for modules in (
        (Normalize(),),
        (dense(bias=False), Normalize()),
        (Normalize(), dense(bias=True)),
        (dense(bias=True, to=32, use_residual=True), dense(bias=True, use_residual=True), Normalize()),
    ):
        check(encoder_of(with_modules(model, *modules)))


def test_a_bias_is_a_part_that_stands_for_no_token(model):
    plain = encoder_of(model).token_parts(TEXTS[:1], "document")
    biased = encoder_of(with_modules(model, dense(bias=True))).token_parts(TEXTS[:1], "document")
    assert len(biased[0].vectors) == len(plain[0].vectors) + 1
    assert biased[0].spans[-1].tolist() == [-1, -1]


def test_a_model_that_does_not_add_up_says_so(model, monkeypatch: pytest.MonkeyPatch):
    import torch

    with monkeypatch.context() as patch:
        patch.setattr(model[1], "pooling_mode", "cls")
        assert encoder_of(model).token_parts(TEXTS, "document") is None
    assert encoder_of(with_modules(model, dense(activation=torch.nn.Tanh()))).token_parts(TEXTS, "document") is None


def test_prompts_and_special_tokens_stand_for_no_characters(model):
    (part,) = encoder_of(model, prompts=Prompts("", "ab: ")).token_parts(["cd"], "document")
    assert part.spans.tolist() == [[-1, -1], [-1, -1], [-1, -1], [-1, -1], [0, 1], [1, 2], [-1, -1]]


def test_normalised_titles_are_another_text(model):
    backend = TransformerBackend(lambda: model, identity="x")
    encoder = DenseEncoder(backend, name="m", titles="queries")
    assert encoder.token_parts(["Bakers, Night Shift"], "query") is None
    assert encoder.token_parts(["Bakers, Night Shift"], "document") is not None


def test_parts_of_a_static_table_add_up(capsys):
    check(DenseEncoder(open_wordllama(), name="w", prompts=Prompts("find: ", "profile: ")), "query")
    check(DenseEncoder(open_wordllama(), name="w"))


def test_parts_of_minilm_add_up(minilm: Path):
    check(encoder_of(load_model(minilm)))
