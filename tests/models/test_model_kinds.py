"""Kinds of model folders: what is loaded equals what was saved, computed by its parts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hrembed.errors import ModelError
from hrembed.models.static import is_model2vec
from hrembed.models.transformer import load_model

if TYPE_CHECKING:
    from pathlib import Path

TEXTS = ["nurse for the ward", "repairs engines of cars", "bread"]
WORDS = ["[UNK]", "nurse", "ward", "for", "the", "engines"]
TABLE = np.random.default_rng(3).normal(size=(len(WORDS), 32)).astype(np.float32)


def parts(folder: Path, seed: int | None = None, max_tokens: int = 64) -> list[Any]:
    """The modules of a model; with a seed, of one with other weights."""
    import torch
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(folder), device="cpu")
    model.max_seq_length = max_tokens
    if seed is not None:
        torch.manual_seed(seed)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter += 0.1 * torch.randn_like(parameter)
    return list(model.children())


def save(modules: list[Any], folder: Path, **settings: Any) -> Path:
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(modules=modules, device="cpu", **settings)
    model.save_pretrained(str(folder), create_model_card=False)
    return folder


def plain(modules: list[Any], texts: list[str] = TEXTS) -> Any:
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(modules=modules, device="cpu").encode(texts)


def static() -> Any:
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace

    tokenizer = Tokenizer(WordLevel({word: n for n, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    return StaticEmbedding(tokenizer, embedding_weights=TABLE)


def routed(query: list[Any], document: list[Any]) -> Any:
    from sentence_transformers.sentence_transformer.modules import Router

    return Router.for_query_document(query_modules=query, document_modules=document)


def test_a_router_embeds_queries_and_documents_each_their_way(tiny_model: Path, tmp_path: Path):
    query, document = parts(tiny_model), parts(tiny_model, seed=1)
    model = load_model(save([routed(query, document)], tmp_path))
    assert model.encode_query(TEXTS) == pytest.approx(plain(query), abs=1e-6)
    assert model.encode_document(TEXTS) == pytest.approx(plain(document), abs=1e-6)
    assert np.abs(plain(query) - plain(document)).max() > 0.1


def test_a_router_may_look_queries_up_and_compute_documents(tiny_model: Path, tmp_path: Path):
    document = parts(tiny_model)
    model = load_model(save([routed([static()], document)], tmp_path))
    assert model.encode_query(["nurse ward"])[0] == pytest.approx((TABLE[1] + TABLE[2]) / 2, abs=1e-6)
    assert model.encode_document(TEXTS) == pytest.approx(plain(document), abs=1e-6)


def test_max_tokens_holds_for_both_routes(tiny_model: Path, tmp_path: Path):
    folder = save([routed(parts(tiny_model), parts(tiny_model, seed=1))], tmp_path)
    model = load_model(folder, max_tokens=6)
    for encode in (model.encode_query, model.encode_document):
        # [CLS], four characters, [SEP]
        assert encode("nurs engine") == pytest.approx(encode("nurs ward"), abs=1e-6)
        assert np.abs(encode("nurs engine") - encode("nu engine")).max() > 1e-3


def test_max_tokens_makes_no_route_longer(tiny_model: Path, tmp_path: Path):
    short, long = parts(tiny_model, max_tokens=32), parts(tiny_model, seed=1, max_tokens=64)
    model = load_model(save([routed(short, long)], tmp_path), max_tokens=48)
    assert [model[0].sub_modules[side][0].max_seq_length for side in ("query", "document")] == [32, 48]


def test_a_saved_truncation_keeps_the_first_dimensions(tiny_model: Path, tmp_path: Path):
    modules = parts(tiny_model)
    model = load_model(save(modules, tmp_path, truncate_dim=8))
    whole = plain(modules)
    assert whole.shape == (3, 32)
    assert model.encode(TEXTS) == pytest.approx(whole[:, :8], abs=1e-6)
    # Truncated first, then of unit length.
    units = whole[:, :8] / np.linalg.norm(whole[:, :8], axis=1, keepdims=True)
    assert model.encode_query(TEXTS, normalize_embeddings=True) == pytest.approx(units, abs=1e-6)
    assert model.get_embedding_dimension() == 8


def test_saved_prompts_are_put_in_front_unless_another_is_given(tiny_model: Path, tmp_path: Path):
    modules = parts(tiny_model)
    model = load_model(save(modules, tmp_path, prompts={"query": "query: ", "document": "passage: "}))
    without = plain(modules)
    for encode, prompt in ((model.encode_query, "query: "), (model.encode_document, "passage: ")):
        expected = plain(modules, [prompt + text for text in TEXTS])
        assert np.abs(expected - without).max() > 1e-3
        # None is how the encoder says that the config gives no prompt.
        assert encode(TEXTS, prompt=None) == pytest.approx(expected, abs=1e-6)
        assert encode(TEXTS, prompt="job: ") == pytest.approx(plain(modules, [f"job: {text}" for text in TEXTS]))


def test_a_plain_checkpoint_gets_the_mean_of_its_token_vectors(tiny_model: Path):
    import torch
    from transformers import AutoModel, AutoTokenizer

    folder = tiny_model.parent / "plain"
    assert not (folder / "modules.json").exists()
    tokens = AutoTokenizer.from_pretrained(str(folder))(TEXTS, padding=True, return_tensors="pt")
    with torch.no_grad():
        states = AutoModel.from_pretrained(str(folder)).eval()(**tokens).last_hidden_state.numpy()
    expected = [states[n][mask.numpy() == 1].mean(axis=0) for n, mask in enumerate(tokens["attention_mask"])]
    model = load_model(folder)
    assert model.encode(TEXTS) == pytest.approx(np.array(expected), abs=1e-5)
    assert model.max_seq_length == 128  # what its positions allow


def test_a_static_module_gives_means_of_rows(tmp_path: Path):
    from sentence_transformers.sentence_transformer.modules import Normalize

    folder = save([static(), Normalize()], tmp_path)
    assert not is_model2vec(folder)
    # Sentence Transformers keeps the unknown token, as model2vec does not.
    expected = np.stack([TABLE[1] + TABLE[2], TABLE[1] + TABLE[0]])
    found = load_model(folder).encode(["nurse ward", "nurse zzz", ""])
    assert found[:2] == pytest.approx(expected / np.linalg.norm(expected, axis=1, keepdims=True), abs=1e-6)
    assert (found[2] == 0).all()


def test_max_tokens_is_refused_where_a_static_module_cannot_follow(tmp_path: Path):
    with pytest.raises(ModelError, match="max_tokens"):
        load_model(save([static()], tmp_path), max_tokens=4)
