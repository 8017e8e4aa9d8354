"""An encoder with random weights."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Shape:
    """Sizes of an encoder; `width` is a multiple of `heads`."""

    layers: int
    width: int
    heads: int
    feed_forward: int
    dropout: float


def build_encoder(tokenizer: Any, shape: Shape, *, max_tokens: int, seed: int) -> Any:
    """Build a BERT-like encoder with mean pooling and vectors of length 1.

    Args:
        tokenizer: A `BertTokenizerFast`; its vocabulary gives the first layer.
        shape: Sizes.
        max_tokens: Longest input: places beyond it would never be trained, so there are none.
        seed: Of the weights.

    Returns:
        A `SentenceTransformer`.

    Source:
        Devlin et al. (2019), arXiv:1810.04805; sizes of the default: BERT-mini of Turc et al. (2019), arXiv:1908.08962.
    """
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules import Transformer
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling
    from transformers import BertConfig, BertModel, set_seed

    sizes = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=shape.width,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        intermediate_size=shape.feed_forward,
        hidden_dropout_prob=shape.dropout,
        attention_probs_dropout_prob=shape.dropout,
        max_position_embeddings=max_tokens,
        pad_token_id=tokenizer.pad_token_id,
    )
    set_seed(seed)
    # The module reads a folder and nothing else.
    with tempfile.TemporaryDirectory() as folder:
        _write(BertModel(sizes), folder)
        tokenizer.save_pretrained(folder)
        body = Transformer(folder, max_seq_length=max_tokens, model_kwargs={"dtype": "float32"})
    return SentenceTransformer(modules=[body, Pooling(shape.width, pooling_mode="mean"), Normalize()])


def _write(network: Any, folder: str) -> None:
    """Write the files of a model: of several processes, only the first one's `save_pretrained` writes anything."""
    from safetensors.torch import save_file

    network.config.save_pretrained(folder)
    save_file(network.state_dict(), f"{folder}/model.safetensors", metadata={"format": "pt"})
