"""Slices of large inputs: wherever one is entered, it gives the rows that a reading from the start gives."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hrembed.data.database import has_password, is_database, open_database
from hrembed.data.hub import open_hub
from hrembed.data.layout import Form
from hrembed.data.slices import Place, Span, Wanted, open_files
from hrembed.errors import ConfigError, DataError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from hrembed.data.slices import Sliced

ROWS = [
    {"id": f"c{n}", "text": f'text {n}, "quoted"' + ("\nsecond line; ü" if n % 3 == 0 else ""), "years": n}
    for n in range(23)
]


def wanted(**columns: str) -> Wanted:
    return Wanted(("id", "text"), Form(columns=columns), {"id": ("_id",)}, lambda column: column != "years")


def quoted(row: dict[str, Any], mark: str) -> str:
    text = row["text"].replace('"', '""')
    return mark.join([row["id"], f'"{text}"', str(row["years"])])


def csv_text(mark: str = ",", title: str = "") -> str:
    return title + f"id{mark}text{mark}years\n" + "\n".join(quoted(row, mark) for row in ROWS) + "\n"


def write_jsonl(path: Path) -> Path:
    file = path / "rows.jsonl"
    file.write_text("\n\n".join(json.dumps(row, ensure_ascii=False) for row in ROWS), encoding="utf-8-sig")
    return file


def write_text(name: str, text: str, encoding: str = "utf-8") -> Callable[[Path], Path]:
    def write(path: Path) -> Path:
        (path / name).write_bytes(text.encode(encoding))
        return path / name

    return write


def write_gz(path: Path) -> Path:
    with gzip.open(path / "rows.csv.gz", "wt", encoding="utf-8") as stream:
        stream.write(csv_text())
    return path / "rows.csv.gz"


def write_parquet(path: Path) -> Path:
    pq.write_table(pa.Table.from_pylist(ROWS), path / "rows.parquet", row_group_size=7)
    return path / "rows.parquet"


def write_sheet(path: Path) -> Path:
    from openpyxl import Workbook

    book = Workbook()
    for row in [list(ROWS[0]), *[list(row.values()) for row in ROWS]]:
        book.active.append(row)
    book.save(path / "rows.xlsx")
    return path / "rows.xlsx"


# Name: how it is written, and how it is entered.
FILES: dict[str, tuple[Callable[[Path], Path], str]] = {
    "jsonl with a mark and blank lines": (write_jsonl, "jsonl"),
    "csv": (write_text("rows.csv", csv_text()), "csv"),
    "csv with a title, semicolons and CRLF": (
        write_text("rows.csv", csv_text(";", "Export of November\n").replace("\n", "\r\n")),
        "csv",
    ),
    "tsv in cp1252 that says so": (write_text("rows.tsv", csv_text("\t"), "cp1252"), "csv"),
    "utf-16": (write_text("rows.csv", csv_text(), "utf-16"), "whole"),
    "old Mac": (write_text("rows.csv", csv_text().replace("\nsecond", " second").replace("\n", "\r")), "whole"),
    "gz": (write_gz, "whole"),
    "parquet": (write_parquet, "parquet"),
    "spreadsheet": (write_sheet, "whole"),
}


def check(source: Sliced, size: int) -> list[Any]:
    """Compare slices of a size with a reading from the start."""
    rows = list(source.rows())
    starts = range(0, len(rows), size)
    spans = [
        Span(
            n,
            rows[n].number,  # type: ignore[union-attr]
            rows[n + size].number if n + size < len(rows) else None,
            str(rows[n - 1].values["id"]) if n else None,  # type: ignore[union-attr]
        )
        for n in starts
    ]
    places = source.places(spans)
    sliced = [list(source.slice(place, size)) for place in places]
    assert [row for part in sliced for row in part] == rows
    assert [len(part) for part in sliced] == [min(size, len(rows) - n) for n in starts]
    return rows


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("size", [1, 4, 23, 50])
def test_slices_are_the_rows(tmp_path: Path, name: str, size: int):
    write, kind = FILES[name]
    given = wanted()
    if "cp1252" in name:
        given = given._replace(form=Form(encoding="cp1252"))
    (source,) = open_files(str(write(tmp_path)), given)
    assert source.kind == kind
    rows = check(source, size)
    assert len(rows) == len(ROWS)
    if kind != "whole":
        spaced = [row.values["text"].replace("\r\n", "\n") for row in rows]
        assert spaced == [row["text"] for row in ROWS]
    assert len(source.sha256() or "") == 64


def test_a_slice_reads_its_own_bytes_alone(tmp_path: Path):
    file = write_jsonl(tmp_path)
    (source,) = open_files(str(file), wanted())
    rows = list(source.rows())
    (place,) = source.places([Span(5, rows[5].number, rows[8].number)])
    content = file.read_bytes()
    assert place.offset is not None
    assert place.length is not None
    part = content[place.offset : place.offset + place.length].decode()
    assert [json.loads(line)["id"] for line in part.split("\n") if line] == ["c5", "c6", "c7"]
    file.write_bytes(b"x" * place.offset + content[place.offset : place.offset + place.length] + b"broken")
    assert list(source.slice(place, 3)) == rows[5:8]


def test_a_folder_is_all_its_tables_by_name(tmp_path: Path):
    (tmp_path / "b").mkdir()
    write_parquet(tmp_path / "b")
    write_jsonl(tmp_path)
    (tmp_path / "notes.md").write_text("no table")
    sources = open_files(str(tmp_path), wanted())
    assert [source.name for source in sources] == [str(tmp_path / "b/rows.parquet"), str(tmp_path / "rows.jsonl")]
    with pytest.raises(DataError, match=r"unsupported file extension '\.md'"):
        open_files(str(tmp_path / "notes.md"), wanted())


def test_a_store_is_read_as_a_disk_is(tmp_path: Path):
    import fsspec

    memory = fsspec.filesystem("memory")
    for name, (write, _) in FILES.items():
        if name in {"csv", "parquet", "jsonl with a mark and blank lines", "gz"}:
            file = write(tmp_path)
            memory.pipe_file(f"/slices/{file.name}", file.read_bytes())
    for name in ("rows.jsonl", "rows.csv", "rows.parquet"):
        (source,) = open_files(f"memory://slices/{name}", wanted())
        (local,) = open_files(str(tmp_path / name), wanted())
        assert check(source, 4) == list(local.rows())
        assert source.sha256() == local.sha256()
    with pytest.raises(DataError, match="only plain JSONL, CSV and Parquet are read from a store"):
        open_files("memory://slices/rows.csv.gz", wanted())
    memory.rm("/slices/rows.csv.gz")
    names = [source.name for source in open_files("memory://slices", wanted())]
    assert names == [f"memory://slices/rows.{ending}" for ending in ("csv", "jsonl", "parquet")]
    with pytest.raises(DataError, match="does not exist"):
        list(open_files("memory://slices/none.jsonl", wanted())[0].rows())
    memory.rm("/slices", recursive=True)


def test_a_data_set_of_the_hub_is_entered_by_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "set").mkdir()
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    write_parquet(tmp_path / "set")
    source = open_hub(str(tmp_path / "set"), wanted(), subset=None, split="train")
    assert [row.values["id"] for row in check(source, 5)] == [row["id"] for row in ROWS]
    with pytest.raises(DataError, match=r"cannot read dataset 'hf:.*set'"):
        list(open_hub(str(tmp_path / "set"), wanted(), subset=None, split="nope").rows())


def test_a_query_is_entered_behind_an_id(tmp_path: Path):
    import sqlite3

    with sqlite3.connect(tmp_path / "x.db") as connection:
        connection.execute("CREATE TABLE profiles (id TEXT, text TEXT, years INTEGER)")
        connection.executemany("INSERT INTO profiles VALUES (:id, :text, :years)", ROWS[::-1])
    connection.close()
    url = f"sqlite:///{tmp_path / 'x.db'}"
    source = open_database(url, "SELECT * FROM profiles WHERE years >= 2;", "NONE", wanted())
    rows = check(source, 4)
    assert [row.values["id"] for row in rows] == sorted(row["id"] for row in ROWS if row["years"] >= 2)
    assert [row.number for row in rows] == list(range(1, 22))
    assert source.sha256() is None
    renamed = open_database(
        url, "SELECT id AS who, text AS profile FROM profiles", "NONE", wanted(id="who", text="profile")
    )
    assert check(renamed, 9)[0].values["text"] == ROWS[0]["text"]
    # Behind an id that is gone, the next ones follow.
    assert next(iter(source.slice(Place(3, after="c19x"), 1))).values["id"] == "c2"
    for query, said in (
        ("SELECT id, text FROM nowhere", "no such table: nowhere"),
        ("DELETE FROM profiles", "syntax error"),
        ("SELECT id, text FROM profiles; DROP TABLE profiles", "failed"),
        ("SELECT NULL AS id, text FROM profiles", "row 1 has no id"),
        ("SELECT 'a' AS id, text FROM profiles", "rows 1 and 2 have the same id"),
        ("SELECT id FROM profiles", "column 'text' not found"),
    ):
        with pytest.raises(DataError, match=said):
            list(open_database(url, query, "NONE", wanted()).rows())
    assert len(list(source.rows())) == 21


def test_addresses_of_databases_are_told_from_stores():
    assert is_database("sqlite:///x.db")
    assert is_database("postgresql+psycopg://me@db/x")
    assert not is_database("s3://bucket/x.parquet")
    assert not is_database("postgresql.csv")
    assert has_password("postgresql://me:secret@db/x")
    assert has_password("postgresql://db/x?user=me&password=secret")
    assert not has_password("postgresql://me@db:5432/x")
    with pytest.raises(ConfigError, match="the driver of the database is not installed"):
        open_database("oracle://me@db/x", "SELECT 1", "NONE", wanted())
    with pytest.raises(ConfigError, match="the URL of the database cannot be used"):
        open_database("sqlite:nonsense", "SELECT 1", "NONE", wanted())
