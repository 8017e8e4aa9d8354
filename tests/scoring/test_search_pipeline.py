"""Stages of a search: what each reorders, what it leaves alone, and who may embed its queries."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hrembed.config.parts import ModelSection, StagesSection
from hrembed.errors import ModelError
from hrembed.index.conditions import parse_condition
from hrembed.index.open import open_index
from hrembed.index.ranking import Hits
from hrembed.models.cross_encoder import open_cross_encoder
from hrembed.records.index import BridgeUse
from hrembed.runs.workspace import Workspace
from hrembed.scoring.encoders import open_encoder
from hrembed.scoring.search_pipeline import SearchPipeline, by_vector, fuse, open_query_side, reordered
from searching import CANDIDATES, text_index

if TYPE_CHECKING:
    from pathlib import Path

JOB = "Nurse for the ward who dresses wounds."


def hits(*scores: float) -> Hits:
    ids = [f"c{n}" for n in range(len(scores))]
    return Hits(ids, np.array(scores, dtype=np.float32), np.zeros((len(scores), 2), dtype=np.float32))


def test_rows_of_one_list_alone_are_kept_and_what_both_hold_comes_first():
    rows = fuse(by_vector(hits(0.9, 0.8, 0.7)), [("c2", 5.0), ("new", 4.0)], {"new": 0.1})
    assert [row.id for row in rows] == ["c2", "c0", "c1", "new"]
    assert (rows[0].cosine_rank, rows[0].bm25_rank, rows[0].bm25) == (3, 1, 5.0)
    assert (rows[3].cosine_rank, rows[3].bm25_rank, rows[3].cosine) == (None, 2, 0.1)
    assert [row.fused_rank for row in rows] == [1, 2, 3, 4]


def test_equal_sums_are_ordered_by_cosine():
    rows = fuse(by_vector(hits(0.9)), [("new", 4.0)], {"new": 0.95})
    assert [row.id for row in rows] == ["new", "c0"]


def test_a_stage_reorders_the_first_and_leaves_the_rest():
    rows = reordered(by_vector(hits(0.9, 0.8, 0.7, 0.6)), np.array([1.0, 3.0, 3.0]), "cross_encoder")
    assert [row.id for row in rows] == ["c1", "c2", "c0", "c3"]
    assert [row.cross_encoder_rank for row in rows] == [1, 2, 3, None]
    assert [row.cosine_rank for row in rows] == [2, 3, 1, 4]


@pytest.mark.parametrize("backend", ["exact", "lancedb"])
def test_a_list_is_never_short_where_enough_meet_the_conditions(tmp_path: Path, backend: str):
    """Trap 12: a filter after the search leaves fewer than k."""
    if backend == "lancedb":
        pytest.importorskip("lance")
    texts = {f"c{n:03}": f"Nurse {n} for the ward." for n in range(300)}
    index = open_index(text_index(tmp_path / "idx", texts, {"group": [n % 50 for n in range(300)]}, backend=backend))
    side = open_query_side(index, None, Workspace(tmp_path))
    pipeline = SearchPipeline(index, side, StagesSection(depth=5))
    where = [parse_condition("group=7", index.manifest.filters)]
    (found,) = pipeline.rank([JOB], 6, where)
    (exact,) = pipeline.rank([JOB], 6, where, exact=True)
    assert [row.id for row in found] == [row.id for row in exact]
    assert len(found) == 6
    np.testing.assert_allclose([row.cosine for row in found], [row.cosine for row in exact], atol=1e-6)


def test_queries_of_another_model_need_a_bridge(tmp_path: Path):
    """The same dimension, and another prompt: refused, unless a map was fitted for that very model."""
    other = ModelSection(ref="wordllama", query_prompt="find: ")
    identity = open_encoder(other, Workspace(tmp_path)).identity
    bridge = BridgeUse(
        model=other.model_dump(mode="json"), identity=identity, file="bridge.npy", kind="orthogonal", fitted_on=1,
        held_out=1, cosine=1.0, overlap=1.0,
    )  # fmt: skip
    plain = open_index(text_index(tmp_path / "plain"))
    with pytest.raises(ModelError, match="weights, prompts, truncation or titles differ"):
        open_query_side(plain, other, Workspace(tmp_path))
    bridged = open_index(text_index(tmp_path / "bridged", bridges=(bridge,)))
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(256, 256)))[0].astype(np.float32)
    np.save(bridged.folder / bridged.generation.name / "bridge.npy", turn)
    side = open_query_side(bridged, other, Workspace(tmp_path))
    expected = open_encoder(other, Workspace(tmp_path)).vectors([JOB], "query") @ turn
    np.testing.assert_allclose(side.vectors([JOB]), expected, atol=1e-5)
    assert "through a bridge" in SearchPipeline(bridged, side, StagesSection()).in_words[0]


@pytest.fixture(scope="session")
def cross_encoder(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random cross-encoder with the vocabulary of the small model."""
    from transformers import BertConfig, BertForSequenceClassification, BertTokenizerFast

    folder = tmp_path_factory.mktemp("cross")
    tokenizer = BertTokenizerFast.from_pretrained(tiny_model)
    config = BertConfig(
        vocab_size=len(tokenizer), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
        num_labels=1, max_position_embeddings=128,
    )  # fmt: skip
    BertForSequenceClassification(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def test_a_cross_encoder_orders_the_first_candidates(cross_encoder: Path, tmp_path: Path):
    index = open_index(text_index(tmp_path / "idx"))
    reader = open_cross_encoder(f"path:{cross_encoder}")
    stages = StagesSection(cross_encoder=f"path:{cross_encoder}", cross_encoder_depth=3)
    side = open_query_side(index, None, Workspace(tmp_path))
    (rows,) = SearchPipeline(index, side, stages, cross_encoder=reader).rank([JOB], 8)
    first = [row.cross_encoder for row in rows[:3]]
    assert first == sorted(first, reverse=True)
    assert sorted(row.cosine_rank for row in rows[:3]) == [1, 2, 3]
    assert [row.cross_encoder for row in rows[3:]] == [None] * (len(CANDIDATES) - 3)
    expected = reader.scores(JOB, [CANDIDATES[row.id] for row in rows[:3]])
    np.testing.assert_allclose(first, expected, atol=1e-5)


def test_what_is_no_cross_encoder_is_refused(tiny_model: Path, tmp_path: Path):
    with pytest.raises(ModelError, match="is not a cross-encoder"):
        open_cross_encoder(f"path:{tiny_model}")
    with pytest.raises(ModelError, match="is not a cross-encoder"):
        open_cross_encoder("minilm")
    with pytest.raises(ModelError, match=r"contains no `config\.json`"):
        open_cross_encoder(f"path:{tmp_path}")
