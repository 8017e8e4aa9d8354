"""`hrembed index forget`: found everywhere before, nowhere after, and never back."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from commanding import commanded, refused
from hrembed.index.erase import is_unfinished, traces
from hrembed.index.lance_table import delete_ids
from hrembed.index.open import open_index
from hrembed.models.cache import Shelf, count_keys, text_keys
from hrembed.shards.erasing import rows_with, traces_in
from hrembed.shards.folder import open_folder
from hrembed.shards.plan import finished_shards, read_plan
from hrembed.shards.reading import open_shards
from indexes import composed, small_index, write_vectors

if TYPE_CHECKING:
    from pathlib import Path

PERSON = "erika-mustermann-4711"
WORD = "Quastenflosserzucht"  # stands in no other text
BACKENDS = pytest.mark.parametrize("backend", ["exact", "lancedb"])
TYPES = {"country": "string", "text": "string"}
DIM = 16


def probe() -> np.ndarray:
    """A vector that nobody else has: four entries of 0.5, of unit length."""
    row = np.zeros(DIM, dtype=np.float32)
    row[[1, 5, 9, 13]] = 0.5
    return row


def vectors_of(place: Path, count: int, **given: Any) -> Path:
    ids = [f"c{n}" for n in range(count)]
    ids[count // 2] = PERSON
    rows = composed(count, DIM)[0]
    rows[count // 2] = probe()
    texts = [f"profile {each}" for each in ids]
    texts[count // 2] = f"experience in {WORD}"
    cells = {"country": ["DE", "AT"] * (count // 2) + ["DE"] * (count % 2), "text": texts}
    return write_vectors(place, ids, rows, TYPES, cells, **given)


def everything(tmp_path: Path, capsys: pytest.CaptureFixture[str], backend: str, count: int = 2600) -> Path:
    """An index with a delta, cached vectors and kept results, all of which hold the person."""
    base = vectors_of(tmp_path / "v1", count)
    argv = ("index", "build", base, "--out", tmp_path / "idx", "--set", f"backend={backend}")
    commanded(capsys, *argv, "--set", "recall.count=3", "--set", "recall.filtered=2", runs=tmp_path / "runs")
    # A later delta says that the person is gone from the table: their id stands in its list.
    delta = write_vectors(
        tmp_path / "v2", ["new"], composed(1, DIM, 3)[0], TYPES, {"country": ["CH"], "text": ["x"]}, base=base
    )
    commanded(capsys, "index", "update", tmp_path / "idx", delta, runs=tmp_path / "runs")
    cache = tmp_path / "runs" / ".cache" / "vectors"
    keys = text_keys([f"experience in {WORD}", "profile c1"])
    Shelf(cache, "model", "document", "").add(keys, composed(2, 8, 4)[0])
    kept = tmp_path / "runs" / "match" / "20260101T000000Z-00000000"
    kept.mkdir(parents=True)
    found = {"candidates": [{"rank": 1, "id": PERSON}, {"rank": 2, "id": "c1"}]}
    (kept / "metrics.json").write_text(json.dumps(found))
    (kept / "ranking.csv").write_text(f"job,id\nj1,{PERSON}\nj1,c1\n")
    (kept / "page.html").write_text(f"<li>{PERSON}</li>")
    (kept / "manifest.json").write_text(json.dumps({"command": "match", "status": "ok", "outputs": {"page.html": "0"}}))
    return cache


def holding(tmp_path: Path, cache: Path) -> dict[str, int]:
    """Where the person is found, by decoding what lies on the disk."""
    match = [file.read_text() for file in (tmp_path / "runs" / "match").rglob("*.*") if file.name != "manifest.json"]
    return {
        "index": traces(tmp_path / "idx" / "g001", [PERSON]),
        "vectors": traces_in(open_shards(tmp_path / "v1"), [PERSON]),
        "cache": count_keys(cache, text_keys([f"experience in {WORD}"])),
        "results": sum(PERSON in each for each in match),
    }


def raw_bytes(place: Path) -> int:
    """Files that hold the probe's numbers, its id or its word as they are."""
    sought = (probe().tobytes(), PERSON.encode(), WORD.encode(), WORD.lower().encode())
    files = [file.read_bytes() for file in place.rglob("*") if file.is_file()]
    return sum(any(each in content for each in sought) for content in files)


@BACKENDS
def test_a_person_is_found_before_and_nowhere_after(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], backend: str
) -> None:
    cache = everything(tmp_path, capsys, backend)
    before = holding(tmp_path, cache)
    assert all(before.values()), before
    assert raw_bytes(tmp_path / "idx") > 0
    index = open_index(tmp_path / "idx")
    assert index.search(probe()[None], 1)[0].ids == [PERSON]
    assert index.lexical(WORD, 1)[0][0] == PERSON

    said = commanded(capsys, "index", "forget", tmp_path / "idx", PERSON, runs=tmp_path / "runs")

    assert holding(tmp_path, cache) == dict.fromkeys(before, 0)
    assert raw_bytes(tmp_path / "idx") == 0
    index = open_index(tmp_path / "idx")
    assert index.count() == 2600
    assert PERSON not in index.search(probe()[None], 2600)[0].ids
    assert index.lexical(WORD, 5) == []
    if backend == "lancedb":
        assert len(index.table.versions()) == 1
    receipt = said["metrics"]
    assert (receipt["asked"], receipt["known"], receipt["tombstones"]) == (1, 1, 1)
    assert all(place["before"] > 0 and place["after"] == 0 for place in receipt["places"] if "v2" not in place["place"])
    # No file of the run, nor the tombstones, holds the id or the word.
    assert raw_bytes(tmp_path / "runs" / "index-forget") == 0
    tombstones = (tmp_path / "idx" / "tombstones.json").read_text()
    assert PERSON not in tombstones
    assert receipt["id_hashes"][0] in tombstones
    assert not is_unfinished(tmp_path / "idx")
    # What others kept is still there.
    assert count_keys(cache, text_keys(["profile c1"])) == 1
    assert "c1" in (tmp_path / "runs/match/20260101T000000Z-00000000/ranking.csv").read_text()


@BACKENDS
def test_a_forgotten_person_does_not_come_back_with_an_old_export(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], backend: str
) -> None:
    everything(tmp_path, capsys, backend)
    old = vectors_of(tmp_path / "old", 2600)
    commanded(capsys, "index", "forget", tmp_path / "idx", PERSON, runs=tmp_path / "runs")
    said = commanded(capsys, "index", "update", tmp_path / "idx", old, runs=tmp_path / "runs")["metrics"]
    assert (said["added"], said["kept_out"]) == (0, 1)
    argv = ("index", "build", old, "--out", tmp_path / "idx", "--set", f"backend={backend}")
    built = commanded(capsys, *argv, runs=tmp_path / "runs")["metrics"]
    assert (built["kept_out"], built["generation"]["rows"]) == (1, 2599)
    for name in ("g001", "g002"):
        assert PERSON not in open_index(tmp_path / "idx", name).ids()


STEPS = [
    "hrembed.commands.index.forget.forget_results",
    "hrembed.commands.index.forget.forget_keys",
    "hrembed.commands.index.forget.apply",
    "hrembed.index.changes.purge",
    "hrembed.index.changes.rewrite_texts",
    "hrembed.commands.index.forget.write_manifest",
    "hrembed.commands.index.forget.erase_rows",
    "hrembed.shards.erasing._written",
    "hrembed.shards.erasing._counted",
    "hrembed.commands.index.forget.finish",
]


@pytest.mark.parametrize("step", STEPS)
@BACKENDS
def test_after_a_kill_in_its_midst_the_same_command_finishes_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, backend: str, step: str
) -> None:
    cache = everything(tmp_path, capsys, backend, 2100)

    class Killed(BaseException):
        pass

    def killed(*given: object, **named: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(step, killed)
        try:
            commanded(capsys, "index", "forget", tmp_path / "idx", PERSON, runs=tmp_path / "runs")
        except Killed:
            code, err = refused(capsys, "index", "stats", tmp_path / "idx", runs=tmp_path / "runs")
            assert (code, "an erasure was begun and not finished" in err) == (5, True)
        else:
            assert backend == "exact"  # which has no table to purge
            return
    commanded(capsys, "index", "forget", tmp_path / "idx", PERSON, runs=tmp_path / "runs")
    assert not any(holding(tmp_path, cache).values())
    assert raw_bytes(tmp_path / "idx") == 0
    commanded(capsys, "index", "stats", tmp_path / "idx", runs=tmp_path / "runs")


@BACKENDS
def test_after_sigkill_the_same_command_finishes_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], backend: str
) -> None:
    cache = everything(tmp_path, capsys, backend, 2100)
    argv = ["index", "forget", str(tmp_path / "idx"), PERSON, "--runs-dir", str(tmp_path / "runs")]
    with subprocess.Popen([sys.executable, "-m", "hrembed", *argv], stderr=subprocess.DEVNULL) as process:
        while not is_unfinished(tmp_path / "idx") and process.poll() is None:
            time.sleep(0.001)
        process.kill()
    assert is_unfinished(tmp_path / "idx")
    commanded(capsys, *argv[:4], runs=tmp_path / "runs")
    assert not any(holding(tmp_path, cache).values())
    assert raw_bytes(tmp_path / "idx") == 0
    assert open_index(tmp_path / "idx").count() == 2100


def test_what_a_killed_forget_was_writing_in_a_kept_result_goes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    everything(tmp_path, capsys, "exact")
    (kept,) = (tmp_path / "runs" / "match").iterdir()
    (kept / "metrics.json.part").write_text(f'["{PERSON}"]', encoding="utf-8")
    commanded(capsys, "index", "forget", str(tmp_path / "idx"), PERSON, runs=tmp_path / "runs")
    assert not list(kept.glob("*.part"))
    assert PERSON not in "".join(file.read_text(encoding="utf-8") for file in kept.glob("*.json"))


def test_what_the_engine_alone_deletes_is_still_found(tmp_path: Path) -> None:
    """The red of traps 15 and 16: a delete, and a clean-up that keeps files in which little was deleted."""
    from datetime import timedelta

    rows = composed(3000, DIM)[0]
    rows[7] = probe()
    ids = [f"c{n}" for n in range(3000)]
    ids[7] = PERSON
    index = small_index(tmp_path / "i", ids, rows, backend="lancedb")
    place = tmp_path / "i" / "g001"
    before = traces(place, [PERSON])
    delete_ids(index.table, [PERSON])
    assert PERSON not in index.ids()
    assert traces(place, [PERSON]) >= before
    index.table.optimize.compact_files()
    index.table.optimize.optimize_indices()
    index.table.cleanup_old_versions(timedelta(0), delete_unverified=True)
    assert traces(place, [PERSON]) > 0


def test_nobody_says_forgotten_where_the_delete_does_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    everything(tmp_path, capsys, "lancedb")
    monkeypatch.setattr("hrembed.index.changes.delete_ids", lambda table, ids: None)
    code, err = refused(capsys, "index", "forget", tmp_path / "idx", PERSON, runs=tmp_path / "runs")
    assert code == 1
    assert "traces are left in 'generation g001'" in err
    assert is_unfinished(tmp_path / "idx")


def test_nobody_says_forgotten_where_the_search_for_traces_is_blind(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    everything(tmp_path, capsys, "exact")
    monkeypatch.setattr("hrembed.commands.index.forget.traces", lambda place, ids: 0)
    code, err = refused(capsys, "index", "forget", tmp_path / "idx", PERSON, runs=tmp_path / "runs")
    assert (code, "the search for traces is blind" in err) == (1, True)


def test_the_vectors_stay_a_whole_folder_that_encode_takes_for_finished(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    everything(tmp_path, capsys, "exact")
    commanded(capsys, "index", "forget", tmp_path / "idx", PERSON, runs=tmp_path / "runs")
    shards = open_shards(tmp_path / "v1")
    assert shards.manifest.rows == len(shards.ids()) == 2599
    assert not rows_with(shards, [PERSON])
    folder = open_folder(tmp_path / "v1")
    plan = read_plan(folder)
    assert plan is not None
    assert len(finished_shards(folder, plan)) == len(plan.shards) == 3
    delta = open_shards(tmp_path / "v2")
    assert delta.manifest.base is not None
    assert delta.manifest.base.sha256 == shards.sha256
    sources = open_index(tmp_path / "idx").generation.sources
    assert [source.manifest_sha256 for source in sources] == [shards.sha256, delta.sha256]


def test_evaluations_on_the_index_that_name_the_person_are_listed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    everything(tmp_path, capsys, "exact")
    kept = tmp_path / "runs" / "eval" / "20260101T000000Z-00000000"
    kept.mkdir(parents=True)
    (kept / "manifest.json").write_text(json.dumps({"command": "eval", "status": "ok"}))
    (kept / "config.yaml").write_text('{"models": [{"ref": "index:idx"}]}')
    (kept / "rankings.csv").write_text(f"query,document\nq1,{PERSON}\n")
    commanded(capsys, "index", "forget", tmp_path / "idx", PERSON, runs=tmp_path / "runs")
    log = next((tmp_path / "runs" / "index-forget").glob("*/log.txt")).read_text()
    assert "1 run of an evaluation or audit on the index still name them: eval/20260101T000000Z-00000000" in log
    assert PERSON not in log


def test_an_id_that_nobody_knows_erases_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cache = everything(tmp_path, capsys, "exact")
    argv = ("index", "forget", tmp_path / "idx", PERSON, "erika-mustermann-4712")
    code, err = refused(capsys, *argv, runs=tmp_path / "runs")
    assert (code, "1 id of 2 stands in no generation" in err) == (3, True)
    assert all(holding(tmp_path, cache).values())
    assert not is_unfinished(tmp_path / "idx")
    said = commanded(capsys, *argv, "--set", "unknown=keep_out", runs=tmp_path / "runs")["metrics"]
    assert (said["asked"], said["known"], said["tombstones"]) == (2, 1, 2)


def test_ids_come_from_a_file_too_and_none_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    everything(tmp_path, capsys, "exact")
    code, err = refused(capsys, "index", "forget", tmp_path / "idx", runs=tmp_path / "runs")
    assert (code, "no id is given" in err) == (2, True)
    (tmp_path / "ids.txt").write_text(f"{PERSON}\nc1\n\n")
    argv = ("index", "forget", tmp_path / "idx", "--set", f"file={tmp_path / 'ids.txt'}")
    assert commanded(capsys, *argv, runs=tmp_path / "runs")["metrics"]["known"] == 2
    assert open_index(tmp_path / "idx").count() == 2599


def test_a_temporary_file_of_a_killed_writer_goes_as_well(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    everything(tmp_path, capsys, "lancedb")
    data = tmp_path / "idx" / "g001" / "v000001" / "rows.lance" / "data"
    (data / "1111000011110000.lance").write_bytes(b"LANC" + probe().tobytes() * 100)
    commanded(capsys, "index", "forget", tmp_path / "idx", PERSON, runs=tmp_path / "runs")
    assert not (data / "1111000011110000.lance").exists()
