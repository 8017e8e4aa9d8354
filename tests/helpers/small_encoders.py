"""A small encoder, for tests of training from random weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hrembed.training.masked_lm import MaskedRecipe, tokenise
from hrembed.training.scratch import Shape, build_encoder
from hrembed.training.vocabulary import train_tokenizer

if TYPE_CHECKING:
    from hrembed.training.masked_lm import Corpus
    from sentence_transformers import SentenceTransformer


SHAPE = Shape(layers=2, width=24, heads=2, feed_forward=48, dropout=0.1)
RECIPE = MaskedRecipe(4, 8, 5e-3, 0.15, 0.1, 0.0, "float32", 5, 13)


def small(texts: list[str], *, max_tokens: int = 32) -> tuple[SentenceTransformer, Corpus]:
    tokenizer = train_tokenizer(texts, size=400, max_tokens=max_tokens)
    corpus = tokenise(tokenizer, texts, max_tokens=max_tokens, seed=13)
    return build_encoder(tokenizer, SHAPE, max_tokens=max_tokens, seed=13), corpus
