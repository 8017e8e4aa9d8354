"""Small model folders of several kinds."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path


def static_folder(folder: Path, words: tuple[str, ...] = ("[UNK]", "nurse", "cook", "ward")) -> Path:
    """A model2vec folder with a vector for each word."""
    from safetensors.numpy import save_file
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace

    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = Tokenizer(WordLevel({word: n for n, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.save(str(folder / "tokenizer.json"))
    table = np.random.default_rng(0).normal(size=(len(words), 8)).astype(np.float32)
    save_file({"embeddings": table}, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps({"model_type": "model2vec", "max_length": 64}), encoding="utf-8")
    return folder


def with_adapter(base: Path, folder: Path) -> Path:
    """A Sentence Transformers folder with an adapter on the weights of another folder."""
    import torch
    from peft import LoraConfig
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(base), device="cpu")
    torch.manual_seed(3)
    model.add_adapter(
        LoraConfig(task_type="FEATURE_EXTRACTION", r=2, target_modules=["query"], init_lora_weights=False)
    )
    model.save_pretrained(str(folder), create_model_card=False)
    return folder
