"""`hrembed index build` and `stats`: from vectors to an index whose recall is known."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from commanding import commanded, refused
from hrembed.index.open import open_index, read_manifest
from indexes import composed, write_vectors

if TYPE_CHECKING:
    from pathlib import Path

TYPES = {"country": "string", "years": "int64", "text": "string"}


def columns(count: int) -> dict[str, list[Any]]:
    return {
        "country": [["DE", "AT", "CH"][n % 3] for n in range(count)],
        "years": [n % 40 for n in range(count)],
        "text": [f"profile of candidate {n}" for n in range(count)],
    }


def vectors_of(folder: Path, count: int, **given: Any) -> Path:
    ids = [f"c{n}" for n in range(count)]
    return write_vectors(folder, ids, composed(count, 16)[0], TYPES, columns(count), **given)


def test_a_small_index_compares_all_rows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shards = vectors_of(tmp_path / "vectors", 2500)
    said = commanded(capsys, "index", "build", shards, "--out", tmp_path / "idx", runs=tmp_path / "runs")
    built = said["metrics"]["generation"]
    assert built["backend"] == "exact"
    assert built["filters"] == {"country": "text", "years": "whole number"}
    assert built["rows"] == 2500
    assert built["lexical"]
    assert said["metrics"]["current"]
    assert open_index(tmp_path / "idx").lexical("candidate 77", 1)[0][0] == "c77"
    stats = commanded(capsys, "index", "stats", tmp_path / "idx", runs=tmp_path / "runs")["metrics"]
    assert [each["rows"] for each in stats["generations"]] == [2500]


def test_a_large_index_is_measured_with_and_without_filters(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shards = vectors_of(tmp_path / "vectors", 6000)
    said = commanded(
        *(capsys, "index", "build", shards, "--out", tmp_path / "idx", "--set", "exact_up_to=5000"),
        *("--set", "recall.count=20", "--set", "recall.filtered=10"),
        runs=tmp_path / "runs",
    )
    built = said["metrics"]["generation"]
    assert (built["backend"], built["partitions"]) == ("lancedb", 1)
    recall = built["recall"]
    assert next(each["where"] for each in recall) == ""
    assert {each["where"].partition("=")[0].rstrip(">") for each in recall[1:]} == {"country", "years"}
    assert [each["queries"] for each in recall] == [20] + [10] * (len(recall) - 1)
    assert all(each["mean"] >= 0.99 and each["short"] == 0 for each in recall)
    assert read_manifest(tmp_path / "idx").generation.recall[0].mean == recall[0]["mean"]
    stats = commanded(capsys, "index", "stats", tmp_path / "idx", "--recall", runs=tmp_path / "runs")["metrics"]
    assert stats["generations"][0]["unindexed"] == 0
    assert set(stats["generations"][0]["indexed_filters"]) == {"country", "years"}
    assert len(stats["recall"]) == len(recall)


def test_recall_below_the_limit_ends_with_exit_code_5(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The red that the measurement exists for: one probe, as an engine left to itself takes few."""
    monkeypatch.setattr("hrembed.index.lance.LanceIndex._probes", lambda self, where: 1)
    monkeypatch.setattr("hrembed.index.lance_table._ROWS_PER_PARTITION", 100)
    shards = vectors_of(tmp_path / "vectors", 6000)
    argv = ("index", "build", shards, "--out", tmp_path / "idx", "--set", "backend=lancedb", "--set", "recall.count=50")
    code, err = refused(capsys, *argv, runs=tmp_path / "runs")
    assert code == 5
    assert "recall@10 without a filter is 0." in err
    assert "(limit 0.99)" in err
    assert read_manifest(tmp_path / "idx").generation.recall[0].mean < 0.99


def test_queries_of_ones_own_measure_recall(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shards = vectors_of(tmp_path / "vectors", 3000)
    ads = write_vectors(tmp_path / "ads", ["a1", "a2"], composed(2, 16, seed=9)[0], side="query")
    argv = ("index", "build", shards, "--out", tmp_path / "idx", "--set", "backend=lancedb")
    said = commanded(capsys, *argv, "--set", f"recall.queries={ads}", runs=tmp_path / "runs")
    assert said["metrics"]["generation"]["recall_queries"] == f"2 queries of {ads}"
    other = write_vectors(tmp_path / "o", ["a1"], composed(1, 16)[0], side="query", identity="b" * 64)
    assert refused(capsys, *argv, "--set", f"recall.queries={other}", runs=tmp_path / "runs")[0] == 4
    code, err = refused(capsys, *argv, "--set", f"recall.queries={shards}", runs=tmp_path / "runs")
    assert (code, "holds vectors of documents" in err) == (3, True)


@pytest.mark.parametrize(
    ("given", "code", "said"),
    [
        ({"side": "query"}, 3, "holds vectors of queries"),
        ({"types": {"applicant_age": "int64"}, "columns": {"applicant_age": [1, 2]}}, 2, "says something about age"),
        ({"types": {"a.b": "string"}, "columns": {"a.b": ["x", "y"]}}, 2, "contains a quote, a dot or a backslash"),
        ({"ids": ["c1", "c1"]}, 3, "id 'c1' stands twice"),
        ({"vectors": np.array([[1, 0], [np.nan, 1]])}, 3, "the vector of 'c2'"),
        ({"vectors": np.array([[1, 0], [np.inf, 1]])}, 3, "is not finite"),
        ({"ids": [], "vectors": np.zeros((0, 2))}, 3, "holds no rows"),
    ],
)
@pytest.mark.parametrize("backend", ["exact", "lancedb"])
def test_vectors_that_cannot_be_indexed_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], given: dict[str, Any], code: int, said: str, backend: str
) -> None:
    shards = write_vectors(tmp_path / "v", **{"ids": ["c1", "c2"], "vectors": np.eye(2)} | given)
    argv = ("index", "build", shards, "--out", tmp_path / "idx", "--set", f"backend={backend}")
    found, err = refused(capsys, *argv, runs=tmp_path / "runs")
    assert found == code
    assert said in err
    assert not (tmp_path / "idx" / "index.json").exists()


def test_filters_are_named_and_a_protected_column_is_never_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    types, cells = {"country": "string", "gender": "string"}, {"country": ["DE", "AT"], "gender": ["x", "y"]}
    shards = write_vectors(tmp_path / "v", ["c1", "c2"], np.eye(2), types, cells)
    argv = ("index", "build", shards, "--out", tmp_path / "idx")
    commanded(capsys, *argv, "--set", "filters=[country]", runs=tmp_path / "runs")
    assert list(read_manifest(tmp_path / "idx").columns) == ["country"]
    code, err = refused(capsys, *argv, "--set", "filters=[contry]", runs=tmp_path / "runs")
    assert (code, "did you mean 'country'" in err) == (2, True)


def test_zero_vectors_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shards = write_vectors(tmp_path / "v", ["c1", "c2"], np.array([[1.0, 0], [0, 0]]))
    said = commanded(capsys, "index", "build", shards, "--out", tmp_path / "idx", runs=tmp_path / "runs")
    assert said["metrics"]["generation"]["zero_vectors"] == 1


def test_a_folder_without_a_manifest_is_no_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "v").mkdir()
    code, err = refused(capsys, "index", "build", tmp_path / "v", "--out", tmp_path / "i", runs=tmp_path / "runs")
    assert (code, "contains no vectors" in err) == (3, True)


def test_int8_is_refined_from_the_stored_vectors_and_gives_their_exact_order(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What LanceDB's codes say alone is another order; what we compute from the vectors is that of all rows."""
    shards = vectors_of(tmp_path / "v", 6000, dtype="int8")
    argv = ("index", "build", shards, "--out", tmp_path / "idx", "--set", "backend=lancedb")
    commanded(capsys, *argv, runs=tmp_path / "runs")
    index = open_index(tmp_path / "idx")
    queries = composed(40, 16, seed=4)[0]
    exact = [hits.ids for hits in index.exact(queries, 10)]
    assert [hits.ids for hits in index.search(queries, 10)] == exact
    raw = [
        index.table.scanner(columns=["id", "_distance"], nearest={"column": "vector", "q": query, "k": 10})
        .to_table()["id"]
        .to_pylist()
        for query in queries
    ]
    assert sum(one != two for one, two in zip(raw, exact, strict=True)) > 10
