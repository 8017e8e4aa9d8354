"""Exact search: all rows, ties by the hash of the id, conditions before the ranking."""

from __future__ import annotations

import hashlib
import json
import shutil
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hrembed.errors import DataError, ModelError
from hrembed.index.conditions import parse_condition
from hrembed.index.open import open_index
from hrembed.models.lexical import Bm25
from indexes import composed, small_index, unit

if TYPE_CHECKING:
    from pathlib import Path

COUNT, DIM = 3000, 48


def _hash(document: str) -> bytes:
    return hashlib.sha256(document.encode()).digest()


@pytest.fixture(scope="module")
def vectors() -> np.ndarray:
    return composed(COUNT, DIM)[0]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, vectors: np.ndarray) -> Path:
    place = tmp_path_factory.mktemp("index") / "idx"
    columns = {
        "country": [["DE", "AT", None][n % 3] for n in range(COUNT)],
        "years": [n % 40 for n in range(COUNT)],
        "languages": [[["de"], ["de", "en"], [], None, ["en"]][n % 5] for n in range(COUNT)],
    }
    types = {"country": "string", "years": "int64", "languages": "strings"}
    small_index(place, [f"c{n}" for n in range(COUNT)], vectors, types, columns)
    return place


def test_search_gives_the_best_by_cosine(folder: Path, vectors: np.ndarray) -> None:
    index = open_index(folder)
    queries = unit(np.random.default_rng(1).normal(size=(7, DIM)))
    scores = queries.astype(np.float64) @ vectors.T.astype(np.float64)
    for query, hits, row in zip(queries, index.search(queries, 25), scores, strict=True):
        best = np.argsort(-row)[:25]
        assert hits.ids == [f"c{n}" for n in best]
        np.testing.assert_allclose(hits.scores, row[best], atol=1e-6)
        np.testing.assert_allclose(hits.vectors @ query, hits.scores, atol=1e-6)


def test_conditions_hold_before_the_ranking_and_all_k_are_given(folder: Path, vectors: np.ndarray) -> None:
    index = open_index(folder)
    where = [parse_condition(text, index.manifest.filters) for text in ("country=DE", "years>=30", "languages=en")]
    rows = [n for n in range(COUNT) if n % 3 == 0 and n % 40 >= 30 and n % 5 in {1, 4}]
    assert index.count(where) == len(rows) > 20
    (hits,) = index.search(vectors[:1], 20, where)
    best = sorted(rows, key=lambda n: -float(vectors[n] @ vectors[0]))[:20]
    assert hits.ids == [f"c{n}" for n in best]


def test_equal_documents_stand_in_the_order_of_the_hash_of_their_id(tmp_path: Path) -> None:
    # 501 is no multiple of any vector register: a matrix product rounds its last columns in another way.
    rows = np.repeat(unit(np.random.default_rng(5).normal(size=(1, 77))), 501, axis=0)
    ids = [f"same-{n}" for n in range(501)]
    (hits,) = small_index(tmp_path / "i", ids, rows).search(unit(np.random.default_rng(6).normal(size=(1, 77))), 9)
    assert hits.ids == sorted(ids, key=_hash)[:9]
    assert len(set(hits.scores.tolist())) == 1


def test_rows_and_vectors_come_in_the_order_asked_for(folder: Path, vectors: np.ndarray) -> None:
    index = open_index(folder)
    assert index.rows(["c9", "c3"], ["id", "years"]) == [{"id": "c9", "years": 9}, {"id": "c3", "years": 3}]
    np.testing.assert_array_equal(index.vectors(["c9", "c3"]), vectors[[9, 3]])
    with pytest.raises(DataError, match="does not hold 1 id, for example 'c-1'"):
        index.rows(["c9", "c-1"], ["id"])


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_query_that_is_not_finite_is_an_error_and_not_an_empty_answer(folder: Path, bad: float) -> None:
    query = np.full((2, DIM), 0.1)
    query[1, 3] = bad
    with pytest.raises(ModelError, match="1 of 2 query vectors contain NaN or infinite values") as err:
        open_index(folder).search(query, 10)
    assert err.value.exit_code == 4


def test_a_query_of_other_dimensions_is_refused(folder: Path) -> None:
    with pytest.raises(ModelError, match="query vectors have 47 dimensions, and the index has 48"):
        open_index(folder).search(np.ones((1, 47)), 10)


def test_words_are_scored_as_by_the_encoder_bm25(tmp_path: Path) -> None:
    texts = ["nurse on the ward, nurse", "welder of pipes", "Pflegekraft für die Station", "", "nurse and welder", None]
    ids = [f"c{n}" for n in range(len(texts))]
    vectors = unit(np.random.default_rng(0).normal(size=(len(texts), 8)))
    columns = {"text": texts, "years": [1, 2, 3, 4, 5, 6]}
    index = small_index(tmp_path / "i", ids, vectors, {"text": "string", "years": "int64"}, columns)
    query = "nurse nurse welder"
    kept = [text or "" for text in texts]
    scores = Bm25().similarity([query], kept).block(slice(0, 1), slice(0, len(kept)))[0]
    found = index.lexical(query, 10)
    assert [document for document, _ in found] == [f"c{n}" for n in np.argsort(-scores, kind="stable") if scores[n]]
    np.testing.assert_allclose([score for _, score in found], np.sort(scores)[::-1][: len(found)], rtol=1e-6)
    assert index.lexical(query, 10, [parse_condition("years>=2", index.manifest.filters)])[0][0] == "c4"
    assert index.lexical("für", 10)[0][0] == "c2"
    assert index.lexical("fu\u0308r", 10)[0][0] == "c2"
    assert index.lexical("unknown words", 10) == []


def test_without_texts_words_cannot_be_searched(folder: Path) -> None:
    with pytest.raises(DataError, match="holds no texts") as err:
        open_index(folder).lexical("nurse", 5)
    assert "--keep text" in err.value.hint


def test_what_is_no_index_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"is not an index: it has no `index\.json`"):
        open_index(tmp_path)
    (tmp_path / "index.json").write_text("{")
    with pytest.raises(DataError, match="cannot be read"):
        open_index(tmp_path)
    (tmp_path / "index.json").write_text(json.dumps({"schema": 99}))
    with pytest.raises(DataError, match="has schema 99"):
        open_index(tmp_path)


def test_an_index_whose_rows_are_gone_is_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "index.json").write_bytes((folder / "index.json").read_bytes())
    with pytest.raises(DataError, match="lacks the folder 'g001/v000001'"):
        open_index(tmp_path)


def test_an_open_index_is_read_on_while_a_writer_replaces_it(tmp_path: Path, vectors: np.ndarray) -> None:
    index = small_index(tmp_path / "i", [f"c{n}" for n in range(COUNT)], vectors)
    shutil.rmtree(tmp_path / "i" / "g001")
    assert index.search(vectors[:1], 1)[0].ids == ["c0"]


@pytest.mark.parametrize("name", ["rows.parquet", "vectors.npy"])
def test_damaged_files_are_refused(tmp_path: Path, name: str) -> None:
    small_index(tmp_path / "i", ["c1", "c2"], np.eye(2))
    (tmp_path / "i" / "g001" / "v000001" / name).write_bytes(b"cut off")
    with pytest.raises(DataError, match="cannot be read") as err:
        open_index(tmp_path / "i")
    assert "build the index again" in err.value.hint


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_vector_that_is_not_finite_any_more_is_an_error_and_not_passed_over(tmp_path: Path, bad: float) -> None:
    index = small_index(tmp_path / "i", ["c1", "c2", "c3"], np.eye(3))
    file = tmp_path / "i" / "g001" / "v000001" / "vectors.npy"
    rows = np.load(file)
    rows[1, 1] = bad
    np.save(file, rows)
    with pytest.raises(DataError, match="vectors of the index contain NaN or infinite values"):
        open_index(index.folder).search(np.ones((1, 3)), 1)
