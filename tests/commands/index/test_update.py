"""`hrembed index update`: rows come, change and go; the forgotten stay away; one writer at a time."""

from __future__ import annotations

import json
import multiprocessing
import subprocess
import sys
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from commanding import commanded, refused
from hrembed.errors import HrembedError
from hrembed.index.conditions import parse_conditions
from hrembed.index.lance_table import unindexed_rows, upsert
from hrembed.index.lock import locked
from hrembed.index.open import open_index
from hrembed.index.sources import schema_of
from indexes import batches, composed, small_index, write_vectors

if TYPE_CHECKING:
    from pathlib import Path

TYPES = {"country": "string", "text": "string"}
BACKENDS = pytest.mark.parametrize("backend", ["exact", "lancedb"])


def folder(place: Path, ids: list[str], seed: int = 0, country: str = "DE", **given: Any) -> Path:
    cells = {"country": [country] * len(ids), "text": [f"profile of {each} {seed}" for each in ids]}
    return write_vectors(place, ids, composed(len(ids), 16, seed)[0], TYPES, cells, **given)


def build(capsys: pytest.CaptureFixture[str], tmp_path: Path, backend: str, count: int = 3000) -> Path:
    shards = folder(tmp_path / "v1", [f"c{n}" for n in range(count)])
    argv = ("index", "build", shards, "--out", tmp_path / "idx", "--set", f"backend={backend}")
    commanded(capsys, *argv, "--set", "recall.count=5", "--set", "recall.filtered=2", runs=tmp_path / "runs")
    return shards


@BACKENDS
def test_a_delta_adds_changes_and_removes(tmp_path: Path, capsys: pytest.CaptureFixture[str], backend: str) -> None:
    base = build(capsys, tmp_path, backend)
    delta = folder(tmp_path / "v2", ["c5", "new"], 7, "AT", base=base, removed=["c9", "c10"])
    said = commanded(capsys, "index", "update", tmp_path / "idx", delta, runs=tmp_path / "runs")["metrics"]
    counted = {name: said[name] for name in ("added", "changed", "removed", "unchanged", "rows", "unindexed")}
    assert counted == {"added": 1, "changed": 1, "removed": 2, "unchanged": 0, "rows": 2999, "unindexed": 0}
    index = open_index(tmp_path / "idx")
    assert index.count() == len(index.ids()) == len(set(index.ids())) == index.generation.rows == 2999
    assert {"c9", "c10"}.isdisjoint(index.ids())
    vectors = composed(2, 16, 7)[0]
    np.testing.assert_array_equal(index.vectors(["c5", "new"]), vectors)
    where = parse_conditions(["country=AT"], index.manifest.filters)
    assert [set(hits.ids) for hits in index.search(vectors, 5, where)] == [{"c5", "new"}] * 2
    assert index.search(vectors[1:], 1)[0].ids == ["new"]
    assert index.lexical("profile of new 7", 1)[0][0] == "new"
    assert "c9" not in dict(index.lexical("c9", 5))


@BACKENDS
def test_a_whole_folder_adds_and_with_replace_also_removes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], backend: str
) -> None:
    build(capsys, tmp_path, backend, 2500)
    whole = folder(tmp_path / "v2", [f"c{n}" for n in range(100, 2600)])
    argv = ("index", "update", tmp_path / "idx", whole)
    said = commanded(capsys, *argv, runs=tmp_path / "runs")["metrics"]
    assert (said["added"], said["removed"], said["unchanged"]) == (100, 0, 2400)
    said = commanded(capsys, *argv, "--set", "replace=true", runs=tmp_path / "runs")["metrics"]
    assert (said["added"], said["removed"], said["rows"]) == (0, 100, 2500)


@BACKENDS
def test_the_same_folder_again_changes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], backend: str
) -> None:
    shards = build(capsys, tmp_path, backend)
    said = commanded(capsys, "index", "update", tmp_path / "idx", shards, runs=tmp_path / "runs")["metrics"]
    assert (said["added"], said["changed"], said["removed"], said["unchanged"]) == (0, 0, 0, 3000)


def test_rows_that_were_only_added_are_in_no_index(tmp_path: Path) -> None:
    """The red of trap 14: what LanceDB alone leaves behind after an upsert."""
    index = small_index(tmp_path / "i", [f"c{n}" for n in range(3000)], composed(3000, 16)[0], backend="lancedb")
    rows = batches(["new"], composed(1, 16, 5)[0], {}, {})
    upsert(index.table, rows.to_batches(), schema_of({}, 16))
    assert unindexed_rows(index.table) == {"id": 1, "vector": 1}


def test_the_score_of_a_pair_stays_the_same_when_rows_come(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """LanceDB's own distance of one pair has two scales, and changes when a row is added."""
    base = build(capsys, tmp_path, "lancedb")
    query = composed(1, 16, 11)[0]
    before = open_index(tmp_path / "idx")
    wanted = {"column": "vector", "q": query[0], "k": 5}
    raw = [
        before.table.scanner(columns=["_distance"], nearest={**wanted, **refine}).to_table()["_distance"][0].as_py()
        for refine in ({}, {"refine_factor": 5})
    ]
    assert raw[0] > 1.5 * raw[1]
    first = dict(zip(before.search(query, 5)[0].ids, before.search(query, 5)[0].scores.tolist(), strict=True))
    delta = folder(tmp_path / "v2", ["new"], 7, base=base)
    commanded(capsys, "index", "update", tmp_path / "idx", delta, runs=tmp_path / "runs")
    hits = open_index(tmp_path / "idx").search(query, 5)[0]
    second = dict(zip(hits.ids, hits.scores.tolist(), strict=True))
    assert {each: second[each] for each in first if each in second} == {k: v for k, v in first.items() if k in second}
    assert first.keys() & second.keys()
    vectors = open_index(tmp_path / "idx").vectors(hits.ids)
    np.testing.assert_allclose(hits.scores, vectors @ query[0], atol=1e-6)


@pytest.mark.parametrize(
    ("given", "code", "said"),
    [
        ({"identity": "b" * 64}, 4, "identity bbbbbbbbbbbb"),
        ({"side": "query"}, 3, "holds vectors of queries"),
    ],
)
def test_vectors_of_another_model_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], given: dict[str, Any], code: int, said: str
) -> None:
    """The dimensions agree: LanceDB itself would take them."""
    build(capsys, tmp_path, "exact", 50)
    other = folder(tmp_path / "v2", ["new"], **given)
    found, err = refused(capsys, "index", "update", tmp_path / "idx", other, runs=tmp_path / "runs")
    assert (found, said in err) == (code, True)
    if code == 4:
        assert "identity aaaaaaaaaaaa" in err
        assert "encode with the model of the index (--set model.ref=wordllama)" in err


def test_a_delta_is_no_start_and_no_replacement(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base = build(capsys, tmp_path, "exact", 50)
    delta = folder(tmp_path / "v2", ["new"], base=base)
    code, err = refused(capsys, "index", "build", delta, "--out", tmp_path / "x", runs=tmp_path / "runs")
    assert (code, "holds only what changed since" in err) == (3, True)
    argv = ("index", "update", tmp_path / "idx", delta, "--set", "replace=true")
    code, err = refused(capsys, *argv, runs=tmp_path / "runs")
    assert (code, "cannot replace all rows" in err) == (3, True)


def test_an_index_that_is_none_is_refused_without_a_trace(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, err = refused(capsys, "index", "update", tmp_path, tmp_path / "v", runs=tmp_path / "runs")
    assert (code, "is not an index" in err) == (3, True)
    assert not (tmp_path / ".lock").exists()


def test_a_second_writer_is_refused_with_the_holder_and_its_age(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shards = build(capsys, tmp_path, "exact", 50)
    holds = (
        "import sys, time; from pathlib import Path; from hrembed.index.lock import locked\n"
        "with locked(Path(sys.argv[1]), 'index forget'):\n    print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", holds, str(tmp_path / "idx")], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        code, err = refused(capsys, "index", "update", tmp_path / "idx", shards, runs=tmp_path / "runs")
        assert code == 1
        assert f"`index forget`, process {holder.pid} on " in err
        assert " seconds" in err
        holder.kill()
    # A killed holder keeps nobody out.
    commanded(capsys, "index", "update", tmp_path / "idx", shards, runs=tmp_path / "runs")


def _update(place: Path, number: int) -> None:
    """Merge two new ids, one of which everybody merges, under the lock that every command takes.

    Without it, three processes of four merges each gave a shared id twice, and no error.
    """
    with locked(place, "index update", wait=300):
        rows = batches(["shared", f"own-{number}"], composed(2, 16, number)[0], {}, {})
        upsert(open_index(place).table, rows.to_batches(), schema_of({}, 16))


@pytest.mark.long
def test_thirty_parallel_updates_give_distinct_ids(tmp_path: Path) -> None:
    small_index(tmp_path / "i", ["other"], composed(1, 16)[0], backend="lancedb")
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        pool.starmap(_update, [(tmp_path / "i", number) for number in range(30)])
    counts = Counter(open_index(tmp_path / "i").ids())
    assert len(counts) == 32
    assert set(counts.values()) == {1}


def test_the_lock_waits_as_long_as_it_is_told(tmp_path: Path) -> None:
    started = time.monotonic()
    with locked(tmp_path, "index build"):
        assert json.loads((tmp_path / ".holder.json").read_text())["command"] == "index build"
        with pytest.raises(HrembedError, match="`index build`, process"), locked(tmp_path, "index update", wait=0.3):
            pass
    assert time.monotonic() - started > 0.3
    assert not (tmp_path / ".holder.json").exists()
