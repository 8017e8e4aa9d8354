"""Small encoders: one to train from random weights, one of single characters to fine-tune."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hrembed.training.masked_lm import MaskedRecipe, tokenise
from hrembed.training.scratch import Shape, build_encoder
from hrembed.training.vocabulary import train_tokenizer

if TYPE_CHECKING:
    from pathlib import Path

    from hrembed.training.masked_lm import Corpus
    from sentence_transformers import SentenceTransformer


SHAPE = Shape(layers=2, width=24, heads=2, feed_forward=48, dropout=0.1)
RECIPE = MaskedRecipe(4, 8, 5e-3, 0.15, 0.1, 0.0, "float32", 5, 13)


def small(texts: list[str], *, max_tokens: int = 32) -> tuple[SentenceTransformer, Corpus]:
    tokenizer = train_tokenizer(texts, size=400, max_tokens=max_tokens)
    corpus = tokenise(tokenizer, texts, max_tokens=max_tokens, seed=13)
    return build_encoder(tokenizer, SHAPE, max_tokens=max_tokens, seed=13), corpus


def save_tiny_model(folder: Path, *, layers: int = 4) -> Path:
    """Write a random BERT with a vocabulary of single characters, and return the folder of the model."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
    from transformers import BertConfig, BertModel, BertTokenizerFast

    characters = [chr(code) for code in range(ord("a"), ord("z") + 1)] + list("0123456789{},.-")
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *characters, *[f"##{c}" for c in characters]]
    config = BertConfig(
        vocab_size=len(tokens),
        hidden_size=32,
        num_hidden_layers=layers,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=128,
    )
    import torch

    torch.manual_seed(0)
    BertModel(config).save_pretrained(folder / "plain")
    BertTokenizerFast(vocab={token: n for n, token in enumerate(tokens)}).save_pretrained(folder / "plain")
    body = Transformer(str(folder / "plain"), max_seq_length=64)
    model = SentenceTransformer(modules=[body, Pooling(32, pooling_mode="mean")], device="cpu")
    model.save_pretrained(str(folder / "model"), create_model_card=False)
    return folder / "model"
