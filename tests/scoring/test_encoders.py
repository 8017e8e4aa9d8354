"""Encoders: one shared suite, and what makes two of them the same."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from commanding import commanded
from hrembed.config.parts import ModelSection
from hrembed.errors import ModelError
from hrembed.models.dense import DenseEncoder
from hrembed.models.lexical import Bm25
from hrembed.models.transformer import TransformerBackend, load_model
from hrembed.progress import Silent
from hrembed.runs.workspace import Workspace
from hrembed.scoring.encoders import open_encoder

if TYPE_CHECKING:
    from hrembed.types import Encoder

QUERIES = ["nurse for the ward", "car mechanic", "nurse for the ward"]
DOCUMENTS = ["dresses wounds on the ward", "repairs the engines of a car", "bakes bread", "zzz"]


@pytest.fixture(params=["bm25", "tfidf", "tiny", "wordllama"])
def encoder(request: pytest.FixtureRequest, tiny_model: Path, tmp_path: Path) -> Encoder:
    if request.param == "wordllama":
        pytest.importorskip("wordllama", reason="the package of the table is not installed")
    ref = f"path:{tiny_model}" if request.param == "tiny" else request.param
    return open_encoder(ModelSection(ref=ref), Workspace(tmp_path))


def whole(encoder: Encoder, queries: list[str], documents: list[str]) -> np.ndarray:
    return encoder.similarity(queries, documents).block(slice(None), slice(None))


def test_a_block_is_a_part_of_the_whole(encoder: Encoder):
    similarity = encoder.similarity(QUERIES, DOCUMENTS)
    assert similarity.shape == (3, 4)
    part = similarity.block(slice(1, 3), np.array([3, 0]))
    assert part == pytest.approx(whole(encoder, QUERIES, DOCUMENTS)[1:3][:, [3, 0]], abs=1e-6)


def test_bm25_scores_are_those_of_its_library():
    import bm25s

    documents = [f"{text} ward ward {n}" for n, text in enumerate(DOCUMENTS)]
    queries = ["nurse ward ward cleans", "repairs engines 1"]
    index = bm25s.BM25()
    index.index(bm25s.tokenize(documents, show_progress=False), show_progress=False)
    words = bm25s.tokenize(queries, return_ids=False, show_progress=False)
    expected = [index.get_scores([word for word in row if word in index.vocab_dict]) for row in words]
    assert whole(Bm25(), queries, documents) == pytest.approx(np.stack(expected), abs=1e-6)


def test_every_encoder_scores_each_query_against_each_document(encoder: Encoder):
    scores = whole(encoder, QUERIES, DOCUMENTS)
    assert scores.shape == (3, 4)
    assert np.isfinite(scores).all()
    assert scores[0] == pytest.approx(scores[2])  # equal texts, equal scores
    assert scores == pytest.approx(whole(encoder, QUERIES, DOCUMENTS))
    turned = whole(encoder, QUERIES[::-1], DOCUMENTS[::-1])
    assert scores == pytest.approx(turned[::-1, ::-1], abs=1e-5)
    assert encoder.name
    assert encoder.identity


def test_a_lexical_query_without_known_words_scores_zero(tmp_path: Path):
    for ref in ("bm25", "tfidf"):
        scores = whole(open_encoder(ModelSection(ref=ref), Workspace(tmp_path)), ["qqq"], DOCUMENTS)
        assert (scores == 0).all()


def test_vectors_are_unit_rows_in_the_order_of_the_texts(tiny_model: Path, tmp_path: Path):
    encoder = open_encoder(ModelSection(ref=f"path:{tiny_model}", batch_size=2), Workspace(tmp_path))
    vectors = encoder.vectors(DOCUMENTS, "document")
    assert vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(4), abs=1e-5)
    model = load_model(tiny_model)
    for text, vector in zip(DOCUMENTS, vectors, strict=True):
        alone = model.encode(text, normalize_embeddings=True)
        assert vector == pytest.approx(alone, abs=1e-5)


@pytest.mark.parametrize(("sides", "documents_too"), [("queries", False), ("both", True)])
def test_titles_are_normalised_on_the_sides_that_are_named(tiny_model: Path, tmp_path: Path, sides, documents_too):
    plain, titles = (
        open_encoder(
            ModelSection(ref=f"path:{tiny_model}", normalise_titles=each), Workspace(tmp_path), cache=tmp_path / "cache"
        )
        for each in (None, sides)
    )
    given, normal = ["bakers, night shift", "kneads dough"], ["night shift baker", "kneads dough"]
    for _ in range(2):  # computed, and out of the cache
        assert titles.vectors(given, "query") == pytest.approx(plain.vectors(normal, "query"))
        same = plain.vectors(normal if documents_too else given, "document")
        assert titles.vectors(given, "document") == pytest.approx(same)
    assert titles.identity != plain.identity
    assert (plain.use.normalised_titles, titles.use.normalised_titles) == ("none", sides)


def test_titles_of_static_vectors_are_normalised_as_well(tmp_path: Path):
    pytest.importorskip("wordllama", reason="the package of the table is not installed")
    encoder = open_encoder(ModelSection(ref="wordllama", normalise_titles="both"), Workspace(tmp_path))
    assert encoder.vectors(["night bakers"], "document") == pytest.approx(encoder.vectors(["night baker"], "document"))


def test_prompts_change_the_side_that_they_are_for(tiny_model: Path, tmp_path: Path):
    plain, prompted = (
        open_encoder(ModelSection(ref=f"path:{tiny_model}", query_prompt=prompt), Workspace(tmp_path))
        for prompt in ("", "query: ")
    )
    assert np.abs(plain.vectors(QUERIES, "query") - prompted.vectors(QUERIES, "query")).max() > 1e-3
    assert plain.vectors(QUERIES, "document") == pytest.approx(prompted.vectors(QUERIES, "document"))


def identity(folder: Path, place: Path, **settings: object) -> str:
    return open_encoder(ModelSection(ref=f"path:{folder}", **settings), Workspace(place)).identity


def test_the_identity_is_that_of_weights_and_settings_not_of_the_name(tiny_model: Path, tmp_path: Path):
    base = identity(tiny_model, tmp_path)
    copy = tmp_path / "copy"
    shutil.copytree(tiny_model, copy)
    assert identity(copy, tmp_path) == base
    assert identity(copy, tmp_path, query_prompt="query: ") != base
    assert identity(copy, tmp_path, max_tokens=16) != base
    load_model(copy).half().save_pretrained(str(copy), create_model_card=False)
    assert identity(copy, tmp_path) != base


def hub(place: Path, model: Path) -> dict[str, str]:
    """Lay a model out as the Hub's cache does, and return the environment that finds it without a network."""
    repo = place / "hub" / "models--someone--tiny"
    (repo / "refs").mkdir(parents=True)
    (repo / "refs" / "main").write_text("0123abcd" * 5, encoding="utf-8")
    shutil.copytree(model, repo / "snapshots" / ("0123abcd" * 5))
    return {**os.environ, "HF_HOME": str(place), "HF_HUB_OFFLINE": "1"}


def test_a_model_of_the_hub_is_found_in_its_cache_and_the_commit_recorded(
    tiny_model: Path, task: Path, tmp_path: Path, monkeypatch, capsys
):
    place = Path(hub(tmp_path, tiny_model)["HF_HOME"]) / "hub"
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(place))  # read from HF_HOME when it is imported
    said = commanded(
        capsys, "eval", "--set", "models=[{ref: hf:someone/tiny}]", "--set", "baselines=[]",
        "--set", f"tasks=[{{path: {task}}}]", "--set", "retention=[]", "--set", "robustness.changes=[]",
        runs=tmp_path / "runs",
    )  # fmt: skip
    manifest = json.loads((Path(said["run"]) / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["models"]["hf:someone/tiny"]["source"].endswith("0123abcd" * 5)
    assert manifest["models"]["hf:someone/tiny"]["identity"] == identity(tiny_model, tmp_path)


def test_a_model_that_the_hub_does_not_give_is_named(tiny_model: Path, tmp_path: Path):
    command = [
        sys.executable, "-m", "hrembed", "eval", "--runs-dir", str(tmp_path / "runs"),
        "--set", "models.0.ref=hf:someone/tiny@v9",
    ]  # fmt: skip
    done = subprocess.run(command, env=hub(tmp_path, tiny_model), capture_output=True, text=True, check=False)
    assert done.returncode == 4
    assert "cannot download 'someone/tiny' from the Hugging Face Hub" in done.stderr
    assert "Traceback" not in done.stderr


def test_vectors_that_are_not_numbers_are_refused(tiny_model: Path, tmp_path: Path):
    import torch

    model = load_model(tiny_model)
    with torch.no_grad():
        model[0].model.encoder.layer[0].output.dense.weight.fill_(float("nan"))
    encoder = DenseEncoder(TransformerBackend(lambda: model, identity="x"), name="broken")
    with pytest.raises(ModelError, match="model 'broken' returned NaN or infinite values for 4 of 4 texts"):
        encoder.vectors(DOCUMENTS, "document")


class Notes(Silent):
    """Keeps what is noted."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"ref": "bm25", "query_prompt": "find ", "max_tokens": 64}, "`max_tokens`, `query_prompt`"),
        ({"ref": "tfidf", "trust_remote_code": True}, "`trust_remote_code`"),
        ({"ref": "openai:some", "pooling": "cls", "endpoint": {"base_url": "http://localhost:1/v1"}}, "`pooling`"),
        ({"ref": "bm25", "batch_size": 32}, ""),
    ],
)
def test_settings_of_other_kinds_of_models_are_named(tmp_path: Path, settings: dict[str, Any], named: str):
    progress = Notes()
    open_encoder(ModelSection.model_validate(settings), Workspace(tmp_path, progress))
    assert progress.notes == ([f"warning: '{settings['ref']}' does not use {named}, which other kinds of models have"]
                              if named else [])  # fmt: skip
