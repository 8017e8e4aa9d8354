"""Shards, plans and manifests, without a model."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hrembed.errors import DataError
from hrembed.records.encode import EncodePlan, EncodeSettings, InputPart, ShardFooter, ShardPlan
from hrembed.shards.folder import open_folder
from hrembed.shards.plan import PLAN, finish, finished_shards, read_plan, text_keys, write_record
from hrembed.shards.reading import open_shards
from hrembed.shards.shard import (
    ShardRows,
    parse_shard,
    restored,
    row_line,
    rows_hash,
    shard_name,
    stored,
    vectors_hash,
    write_shard,
)
from hrembed.text import text_digest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from hrembed.records.encode import VectorType
    from hrembed.shards.folder import Folder
    from hrembed.shards.plan import Receipt

DIM, ROWS = 16, 6
TYPES: dict[str, Any] = {"country": "string", "years": "int64", "permit": "bool", "skills": "strings"}


def unit(rows: int = ROWS, seed: int = 0) -> Any:
    vectors = np.random.default_rng(seed).standard_normal((rows, DIM)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def write_one(folder: Folder, number: int, dtype: VectorType = "float32", vectors: Any = None) -> ShardPlan:
    """Write a shard of six rows, and say how it would be planned."""
    numbers, scale = stored(unit(seed=number) if vectors is None else vectors, dtype)
    ids = [f"c{number}-{n}" for n in range(ROWS)]
    hashes = [text_digest(f"text {number} {n}") for n in range(ROWS)]
    kept = {
        "country": ["DE", "AT", None, "DE", "", "CH"],
        "years": [1, 2, 3, None, 5, 6],
        "permit": [True, False, None, True, True, False],
        "skills": [["a", "b"], [], None, ["ü"], ["a"], ["b"]],
    }
    cells = list(zip(*kept.values(), strict=True))
    footer = ShardFooter(
        identity="model", side="document", prompt_hash="p", dim=DIM, dtype=dtype, number=number,
        input_hash=rows_hash(ids, hashes, cells), rows=ROWS, vectors_hash=vectors_hash(numbers, scale),
        zero_vectors=0, truncated_texts=1, empty_texts=0, replaced={"email": 2},
    )  # fmt: skip
    write_shard(folder, ShardRows(ids, hashes, numbers, scale, kept, TYPES), footer)
    return ShardPlan(number=number, part=0, first=number * ROWS, span=ROWS, input_hash=footer.input_hash)


def plan_of(shards: list[ShardPlan], dtype: VectorType = "float32") -> EncodePlan:
    settings = EncodeSettings(
        identity="model", side="document", prompt_hash="p", dtype=dtype, rows_per_shard=ROWS, columns=TYPES
    )
    rows = sum(shard.rows for shard in shards)
    return EncodePlan(
        reading={}, settings=settings, model={"ref": "x"}, input="in.jsonl",
        parts=(InputPart(name="in.jsonl", kind="jsonl", rows=rows, sha256="0"),),
        shards=tuple(shards), rows=rows, empty_texts=0,
    )  # fmt: skip


def written(path: Path, dtype: VectorType = "float32", shards: int = 3) -> tuple[Folder, EncodePlan]:
    folder = open_folder(path)
    plan = plan_of([write_one(folder, n, dtype) for n in range(shards)], dtype)
    write_record(folder, PLAN, plan)
    return folder, plan


@pytest.mark.parametrize(("dtype", "most"), [("float32", 0.0), ("float16", 1e-3), ("int8", 1e-2)])
def test_a_folder_gives_back_what_was_written(tmp_path: Path, dtype: VectorType, most: float):
    folder, plan = written(tmp_path, dtype)
    receipts = finished_shards(folder, plan)
    assert sorted(receipts) == [0, 1, 2]
    manifest = finish(folder, plan, receipts, None)
    shards = open_shards(tmp_path)
    assert shards.manifest == manifest
    assert (manifest.rows, manifest.dim, manifest.distinct_texts) == (18, DIM, 18)
    assert (manifest.truncated_texts, manifest.replaced) == (3, {"email": 6})
    assert shards.ids()[:7] == ["c0-0", "c0-1", "c0-2", "c0-3", "c0-4", "c0-5", "c1-0"]
    expected = np.concatenate([unit(seed=n) for n in range(3)])
    assert np.abs(shards.vectors() - expected).max() <= most
    np.testing.assert_allclose(np.linalg.norm(shards.vectors(), axis=1), 1, atol=1e-6)
    np.testing.assert_array_equal(shards.vectors(memory_mb=0), shards.vectors())
    assert shards.table(["years", "skills"]).to_pylist()[3] == {"years": None, "skills": ["ü"]}
    batches = list(shards.batches())
    assert [batch.num_rows for batch in batches] == [ROWS] * 3
    assert batches[0].schema.names == ["id", "vector", "text_hash", *TYPES]
    assert str(batches[0].schema.field("vector").type) == f"fixed_size_list<item: float>[{DIM}]"


def test_equal_rows_give_equal_bytes(tmp_path: Path):
    for name in ("a", "b"):
        write_one(open_folder(tmp_path / name), 0)
    assert (tmp_path / "a" / shard_name(0)).read_bytes() == (tmp_path / "b" / shard_name(0)).read_bytes()


def swap(folder: Path) -> None:
    first, second = (folder / shard_name(n) for n in (0, 1))
    content = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(content)


def rewrite(folder: Path, column: str, cell: object) -> None:
    """Edit one cell of a shard, and leave its footer as it is."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = folder / shard_name(1)
    table = pq.read_table(path)
    cells = table.column(column).to_pylist()
    cells[2] = cell
    at = table.column_names.index(column)
    field = table.schema.field(column)
    pq.write_table(table.set_column(at, field, pa.array(cells, field.type)), path)


def cut(folder: Path, to: int | None = None) -> None:
    path = folder / shard_name(1)
    path.write_bytes(path.read_bytes()[: to if to is not None else path.stat().st_size // 2])


# What happened to a folder, and which of its three shards are still done.
DAMAGE: dict[str, tuple[Callable[[Path], object], list[int]]] = {
    "cut off": (cut, [0, 2]),
    "empty": (lambda folder: cut(folder, 0), [0, 2]),
    "gone": (lambda folder: (folder / shard_name(1)).unlink(), [0, 2]),
    "swapped": (swap, [2]),
    "other id": (lambda folder: rewrite(folder, "id", "c9"), [0, 2]),
    "other cell": (lambda folder: rewrite(folder, "years", 7), [0, 2]),
    "other text": (lambda folder: rewrite(folder, "text_hash", bytes(16)), [0, 2]),
    "other vector": (lambda folder: rewrite(folder, "vector", unit(1, 9)[0]), [0, 2]),
    "another file": (lambda folder: (folder / shard_name(1)).write_text("{}"), [0, 2]),
    "nothing": (lambda folder: None, [0, 1, 2]),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_a_shard_is_done_when_it_holds_what_was_planned(tmp_path: Path, what: str):
    folder, plan = written(tmp_path)
    damage, left = DAMAGE[what]
    damage(tmp_path)
    assert sorted(finished_shards(folder, plan)) == left


def test_shards_of_another_plan_are_not_done(tmp_path: Path):
    folder, plan = written(tmp_path)
    for change in ({"identity": "other"}, {"side": "query"}, {"prompt_hash": "q"}, {"dtype": "int8"}):
        other = plan.model_copy(update={"settings": plan.settings.model_copy(update=change)})
        assert finished_shards(folder, other) == {}


def test_a_folder_without_a_manifest_is_incomplete(tmp_path: Path):
    with pytest.raises(DataError, match=r"contains no vectors of `encode`"):
        open_shards(tmp_path / "none")
    folder, plan = written(tmp_path)
    with pytest.raises(DataError, match=r"is incomplete: it has a plan and no manifest") as caught:
        open_shards(tmp_path)
    assert "finished shards are kept" in caught.value.hint
    receipts = finished_shards(folder, plan)
    with pytest.raises(DataError, match=r"shard 1 is missing \(1 in total\)"):
        finish(folder, plan, {n: receipts[n] for n in (0, 2)}, None)


def test_a_changed_shard_is_not_read(tmp_path: Path):
    folder, plan = written(tmp_path)
    finish(folder, plan, finished_shards(folder, plan), None)
    rewrite(tmp_path, "id", "c9")
    with pytest.raises(DataError, match=r"shard-000001.parquet' has changed since it was written"):
        open_shards(tmp_path).ids()
    (tmp_path / shard_name(1)).unlink()
    with pytest.raises(DataError, match=r"shard-000001.parquet' is missing"):
        open_shards(tmp_path).vectors()


def test_shards_beyond_the_plan_are_removed(tmp_path: Path):
    folder, plan = written(tmp_path)
    fewer = plan_of(list(plan.shards[:2]))
    finish(folder, fewer, finished_shards(folder, fewer), None)
    assert sorted(file.name for file in tmp_path.glob("shard-*")) == [shard_name(0), shard_name(1)]
    assert open_shards(tmp_path).manifest.rows == 12


def test_an_unknown_column_is_named(tmp_path: Path):
    folder, plan = written(tmp_path)
    finish(folder, plan, finished_shards(folder, plan), None)
    with pytest.raises(DataError, match=r"has no column 'text'; it has 'id', 'text_hash', 'country'"):
        open_shards(tmp_path).table(["text"])


def test_plans_are_read_back_and_a_damaged_one_is_refused(tmp_path: Path):
    folder, plan = written(tmp_path)
    assert read_plan(folder) == plan
    (tmp_path / PLAN).write_text("{", encoding="utf-8")
    with pytest.raises(DataError, match=r"plan.json' is not valid JSON"):
        read_plan(folder)
    assert read_plan(open_folder(tmp_path / "none")) is None


def test_zero_rows_stay_zero_in_every_type():
    vectors = unit()
    vectors[2] = 0
    for dtype in ("float32", "float16", "int8"):
        assert not restored(*stored(vectors, dtype))[2].any()


def test_a_whole_number_is_the_same_cell_as_its_decimal_form():
    assert row_line("a", b"", [1, True, None]) == row_line("a", b"", [1.0, True, None])
    assert row_line("a", b"", [1]) != row_line("a", b"", [True])
    assert row_line("a", b"", ["b"]) != row_line("a", b"", [["b"]])


def test_one_writer_at_a_time(tmp_path: Path):
    from hrembed.errors import HrembedError

    with open_folder(tmp_path).locked(), pytest.raises(HrembedError, match="another run is writing to"):
        open_folder(tmp_path).locked().__enter__()
    with open_folder(tmp_path).locked():
        pass
    (tmp_path / "file").write_text("x")
    with pytest.raises(DataError, match="is a file, not a folder"):
        open_folder(tmp_path / "file").locked().__enter__()


def test_another_store_holds_the_same_bytes(tmp_path: Path):
    import fsspec

    written(tmp_path)
    folder, plan = written("memory://shards-test/run")  # type: ignore[arg-type]
    assert finished_shards(folder, plan).keys() == {0, 1, 2}
    finish(folder, plan, finished_shards(folder, plan), None)
    shards = open_shards("memory://shards-test/run")
    assert len(shards.ids()) == 18
    assert folder.read(shard_name(1)) == (tmp_path / shard_name(1)).read_bytes()
    folder.remove(shard_name(1))
    assert shard_name(1) not in folder.names()
    with pytest.raises(DataError, match=r"shard-000001.parquet' is missing"):
        shards.ids()
    fsspec.filesystem("memory").rm("/shards-test", recursive=True)


def test_a_url_of_the_disk_is_a_folder_of_the_disk(tmp_path: Path):
    folder, plan = written(f"file://{tmp_path}/run")  # type: ignore[arg-type]
    finish(folder, plan, finished_shards(folder, plan), None)
    assert (tmp_path / "run" / shard_name(2)).is_file()
    assert open_shards(tmp_path / "run").ids() == open_shards(f"file://{tmp_path}/run").ids()


def test_an_unknown_store_is_named():
    with pytest.raises(DataError, match=r"'nowhere://x' cannot be opened: Protocol not known: nowhere"):
        open_folder("nowhere://x")


@pytest.mark.parametrize(("dtype", "most"), [("float32", 1350), ("float16", 670), ("int8", 460)])
def test_a_row_of_384_random_numbers_takes_so_many_bytes(tmp_path: Path, dtype: VectorType, most: int):
    vectors = np.random.default_rng(0).standard_normal((1000, 384)).astype(np.float32)
    numbers, scale = stored(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), dtype)
    ids, hashes = [str(n) for n in range(1000)], [text_digest(str(n)) for n in range(1000)]
    footer = ShardFooter(
        identity="m", side="document", prompt_hash="", dim=384, dtype=dtype, number=0, input_hash="", rows=1000,
        vectors_hash="", zero_vectors=0, truncated_texts=0, empty_texts=0,
    )  # fmt: skip
    entry = write_shard(open_folder(tmp_path), ShardRows(ids, hashes, numbers, scale, {}, {}), footer)
    assert entry.bytes / 1000 < most


def test_text_keys_are_those_of_the_texts(tmp_path: Path):
    folder, plan = written(tmp_path, shards=1)
    receipt: Receipt = finished_shards(folder, plan)[0]
    table, _ = parse_shard(folder.read(shard_name(0)), "x")
    assert receipt.text_keys == text_keys(table)
    assert receipt.text_keys[:8] == text_digest("text 0 0")[:8]
    assert json.loads(folder.read(PLAN))["rows"] == ROWS
