"""`hrembed index switch`: to a new model's vectors and back, and a bridge until they are there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from commanding import commanded, refused
from hrembed.config.parts import ModelSection
from hrembed.data.read import read_records
from hrembed.index.identity import query_map
from hrembed.index.open import open_index, read_manifest
from hrembed.runs.workspace import Workspace
from hrembed.scoring.bridges import mapped
from hrembed.scoring.encoders import open_encoder
from indexes import composed, write_vectors
from places import HR_CORE

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def build(capsys: pytest.CaptureFixture[str], tmp_path: Path, name: str, seed: int, **given: Any) -> Path:
    ids = [f"c{n}" for n in range(60)]
    shards = write_vectors(tmp_path / name, ids, composed(60, 16, seed)[0], **given)
    commanded(capsys, "index", "build", shards, "--out", tmp_path / "idx", runs=tmp_path / "runs")
    return shards


def test_another_model_lies_beside_until_one_switches_and_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    build(capsys, tmp_path, "old", 0)
    code, err = refused(capsys, "index", "switch", tmp_path / "idx", runs=tmp_path / "runs")
    assert (code, "has only generation 'g001'" in err) == (2, True)
    new = build(capsys, tmp_path, "new", 1, identity="b" * 64)
    assert read_manifest(tmp_path / "idx").current == "g001"
    query = composed(60, 16, 1)[0][7:8]
    assert open_index(tmp_path / "idx").search(query, 1)[0].ids != ["c7"]

    said = commanded(capsys, "index", "switch", tmp_path / "idx", runs=tmp_path / "runs")["metrics"]
    assert (said["before"], said["current"]) == ("g001", "g002")
    assert open_index(tmp_path / "idx").search(query, 1)[0].ids == ["c7"]
    assert open_index(tmp_path / "idx").manifest.identity == "b" * 64
    # An update goes to the vectors of its model, whichever are searched.
    commanded(capsys, "index", "switch", tmp_path / "idx", "g001", runs=tmp_path / "runs")
    assert open_index(tmp_path / "idx").manifest.identity == "a" * 64
    said = commanded(capsys, "index", "update", tmp_path / "idx", new, runs=tmp_path / "runs")["metrics"]
    assert (said["generation"], said["unchanged"]) == ("g002", 60)

    said = commanded(
        *(capsys, "index", "switch", tmp_path / "idx", "g002", "--set", "drop=true"), runs=tmp_path / "runs"
    )["metrics"]
    assert said["dropped"]
    assert not (tmp_path / "idx" / "g001").exists()
    code, err = refused(capsys, "index", "switch", tmp_path / "idx", "g001", runs=tmp_path / "runs")
    assert (code, "has no generation 'g001'" in err) == (2, True)


def test_a_bridge_lets_the_queries_of_another_model_search(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The old model keeps half of the numbers of the new one, so a map can find them again."""
    rows = read_records(HR_CORE / "test" / "ad-profile" / "corpus.jsonl", "")
    ids, texts = [row.id for row in rows], [row.text for row in rows]
    workspace = Workspace(tmp_path / "runs")
    old = open_encoder(ModelSection(ref="wordllama", dimensions=128), workspace)
    new = open_encoder(ModelSection(ref="wordllama"), workspace)
    shards = write_vectors(
        *(tmp_path / "v", ids, old.vectors(texts, "document"), {"text": "string"}, {"text": texts}),
        identity=old.identity, model={"ref": "wordllama", "dimensions": 128},
    )  # fmt: skip
    commanded(capsys, "index", "build", shards, "--out", tmp_path / "idx", runs=tmp_path / "runs")
    code, err = refused(
        *(capsys, "index", "switch", tmp_path / "idx", "--bridge", "wordllama"),
        *("--set", "bridge.model.dimensions=128"), runs=tmp_path / "runs",
    )  # fmt: skip
    assert (code, "its queries need no bridge" in err) == (2, True)

    said = commanded(capsys, "index", "switch", tmp_path / "idx", "--bridge", "wordllama", runs=tmp_path / "runs")
    bridge = said["metrics"]["bridge"]
    assert said["metrics"]["current"] == "g001"
    assert bridge["identity"] == new.identity
    assert bridge["fitted_on"] + bridge["held_out"] == len(ids)
    assert bridge["cosine"] > 0.6
    assert bridge["overlap"] > 0.4

    index = open_index(tmp_path / "idx")
    found = query_map(index, new.identity, {"ref": "wordllama"})
    assert found is not None
    assert found.shape == (new.vectors(texts[:1], "query").shape[1], 128)
    queries = mapped(new.vectors(texts[:20], "document"), found)
    first = [hits.ids[0] for hits in index.search(queries, 1)]
    assert np.mean([one == two for one, two in zip(first, ids, strict=False)]) > 0.9


def test_a_bridge_needs_texts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    build(capsys, tmp_path, "old", 0)
    argv = ("index", "switch", tmp_path / "idx", "--bridge", "wordllama")
    code, err = refused(capsys, *argv, runs=tmp_path / "runs")
    assert (code, "keeps no texts to fit a bridge on" in err) == (3, True)
    (tmp_path / "few.jsonl").write_text('{"_id": "c1", "text": "nurse"}\n')
    code, err = refused(capsys, *argv, "--set", f"bridge.texts={tmp_path / 'few.jsonl'}", runs=tmp_path / "runs")
    assert (code, "needs at least 50 documents of the index with their texts, and there are 1" in err) == (3, True)
