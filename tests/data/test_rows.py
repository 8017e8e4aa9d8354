"""Tables are read a row at a time, and a broken row names itself."""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import sys
import time
import tracemalloc
import zipfile
from datetime import date, datetime
from typing import TYPE_CHECKING

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hrembed.data.cells import CellError, Problem, Row, key_cell, text_cell
from hrembed.data.hub import hub_rows
from hrembed.data.layout import Form
from hrembed.data.locate import locate
from hrembed.data.rows import read_rows, rows_or_raise
from hrembed.errors import ConfigError, DataError
from hrembed.records.tables import collecting
from hypothesis import example, given, settings
from hypothesis import strategies as st

if TYPE_CHECKING:
    from pathlib import Path

    from hrembed.records.tables import TableUse


def put(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def rows(path: Path, wanted=("a", "b"), **form):
    return list(read_rows(path, wanted, Form(**form)))


GOOD = [Row(2, {"a": "1", "b": "x"}), Row(3, {"a": "2", "b": "y"})]


def test_csv_in_its_usual_forms(tmp_path):
    assert rows(put(tmp_path / "t.csv", "a,b\n1,x\n2,y\n")) == GOOD
    assert rows(put(tmp_path / "t.csv", "\ufeffa,b\r\n1,x\r\n2,y")) == GOOD
    assert rows(put(tmp_path / "t.tsv", "a\tb\n1\tx\n2\ty\n")) == GOOD
    assert rows(put(tmp_path / "t.csv", "a;b\n1;x\n2;y\n"), delimiter=";") == GOOD
    assert rows(put(tmp_path / "t.csv.gz", gzip.compress(b"a,b\n1,x\n2,y\n"))) == GOOD


def test_line_numbers_survive_line_breaks_in_cells_and_blank_lines(tmp_path):
    found = rows(put(tmp_path / "t.csv", 'a,b\n1,"x\ny"\n\n2,z\n'))
    assert [(row.number, row.values["b"]) for row in found] == [(2, "x\ny"), (5, "z")]


def test_quotes_may_be_plain_characters(tmp_path):
    (row,) = rows(put(tmp_path / "t.txt", 'a\tb\n1\tthe "boss\n'), quoted=False)
    assert row.values["b"] == 'the "boss'


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("t.csv", b"a,b\n1,x\n2\n", Problem(3, "b", "expected 2 cells as in the header, got 1")),
        ("t.csv", b"a,b\n1,x,y\n", Problem(2, "", "expected 2 cells as in the header, got 3")),
        ("t.csv", b"a,b\n1,caf\xe9\n", (2, "b", "byte 0xE9 is not valid utf-8")),
        ("t.csv", b"a,b\n1,x\x00y\n", (2, "b", "contains a NUL byte; is this a text file")),
        ("t.csv", b'a,b\n1,"x\n2,y\n', (2, "b", "unexpected end of data")),
        ("t.csv", b'b,a,c\n1,"x,2\n5,6,7\n', (2, "a", "unexpected end of data")),
        ("t.csv", b'b,a,c\n"1,""2",x,"y"z\n', (2, "c", "',' expected after")),
        ("t.csv", b'b,a,c\n1,"x\ny","z\n"w\n', (2, "c", "',' expected after")),
        ("t.csv", b"b,a,c\n1,2\n", Problem(2, "c", "expected 3 cells as in the header, got 2")),
        ("t.csv", b"a,b\n1," + b"x" * (2**20 + 1) + b"\n", (2, "b", "field larger than field limit")),
        ("t.csv", b"a,b\nx\r1,y\n", (2, "a", "new-line character seen in unquoted field")),
        ("t.jsonl", b'{"a": 1, "b": 2}\n{"a": 1, "b": \n', (2, "b", "not valid JSON")),
        ("t.jsonl", b'{"a": 1, "b": NaN}\n', (1, "", "NaN is not a valid JSON value")),
        ("t.jsonl", b'{"a": 1, "b": "caf\xe9"}\n', (1, "b", "byte 0xE9 is not valid utf-8")),
        ("t.jsonl", b"[1]\n", (1, "", "expected an object, got list")),
        ("t.jsonl", b"[" * 100_000 + b"\n", (1, "", "not valid JSON")),
        ("t.jsonl", b'{"a": ' * 100_000 + b"\n", (1, "", "not valid JSON")),
        ("t.jsonl", b'{"a": ' + b"9" * 5000 + b"}\n", (1, "", "not valid JSON")),
        ("t.jsonl", b'{"a": -Infinity}\n', (1, "", "-Infinity is not a valid JSON value")),
        ("t.jsonl", b'{"a": "x", "b": "un\nfinished"}\n', (2, "", "not valid JSON")),
        ("t.jsonl", b'{"a": "x\x00y"}\n', (1, "a", "Invalid control character")),
        ("t.jsonl", b'{"a": 1} {"a": 2}\n', (1, "a", "Extra data")),
    ],
)
def test_a_broken_row_names_row_column_and_reason(tmp_path, name, content, problem):
    last = rows(put(tmp_path / name, content))[-1]
    assert isinstance(last, Problem)
    if isinstance(problem, Problem):
        assert last == problem
    else:
        assert (last.number, last.column) == problem[:2]
        assert problem[2] in last.reason


def test_the_rows_behind_a_broken_one_are_read(tmp_path):
    found = rows(put(tmp_path / "t.csv", b"a,b\n1,caf\xe9\n2\n3,z\n"))
    assert [type(row).__name__ for row in found] == ["Problem", "Problem", "Row"]
    assert found[-1] == Row(4, {"a": "3", "b": "z"})


@pytest.mark.parametrize("name", ["t.csv", "t.jsonl"])
def test_a_line_of_100_mb_is_named_and_not_held(tmp_path, name):
    before, after = (
        (b"a,b\n1,", b"\n2,y\n") if name == "t.csv" else (b'{"a": "1", "b": "', b'"}\n{"a": "2", "b": "y"}\n')
    )
    with (tmp_path / name).open("wb") as stream:
        stream.write(before)
        for _ in range(100):
            stream.write(b"x" * 1_000_000)
        stream.write(after)
    tracemalloc.start()
    bad, good = rows(tmp_path / name)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (bad.number, bad.column) == (2 if name == "t.csv" else 1, "b")
    assert bad.reason == "line exceeds 4,194,304 bytes"
    assert good.values["b"] == "y"
    assert peak < 40_000_000


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.csv", "c;d\n1;x\n", r"t\.csv:1: column 'a' not found.*available: 'c', 'd'"),
        ("t.csv", "c,d\n1,x\n", r"t\.csv:1: column 'a' not found.*available: 'c', 'd'"),
        ("t.csv", "a,c\n1,x\n", r"t.csv:1: column 'b' not found"),
        ("t.csv", "\n\n", r"t.csv:1: expected column names, found a blank line"),
        ("t.csv", b"a,b,caf\xe9\n1,x,y\n", r"t.csv:1: header, column 3: byte 0xE9 is not valid utf-8"),
        ("t.csv", b"a\0b,c\n", r"t.csv:1: header, column 1: contains a NUL byte"),
        ("t.csv", 'a,"b', r"t.csv:1: cannot read the header: unexpected end of data"),
        ("t.csv", "a,b,a\n1,x,2\n", "column 'a' appears twice in the header"),
        ("t.csv", "", "is empty"),
        ("t.xlsx", "a", r"t.xlsx' is not a valid spreadsheet"),
        ("t.ods", "a", "unsupported file extension '.ods'"),
        ("t.csv.gz", "no gzip", "is not a valid gzip file"),
        ("t.csv.gz", gzip.compress(b"a,b\n1,x\n" * 99, mtime=0)[:-9], "is not a valid gzip file"),
        (
            "t.csv.gz",
            gzip.compress(b"", mtime=0)[:10] + b"\xff" * 20,
            r"is not a valid gzip file: Error -3 while decompressing",
        ),
        ("t.jsonl.gz", "no gzip", "is not a valid gzip file"),
        ("t", "a,b", "unsupported file extension ''"),
        ("t.parquet", "no parquet", "is not a valid Parquet file"),
    ],
)
def test_a_broken_table_is_refused_as_a_whole(tmp_path, name, content, message):
    with pytest.raises(DataError, match=message):
        rows(put(tmp_path / name, content))


@pytest.mark.parametrize("mark", [";", "|", "\t"])
def test_another_delimiter_is_recognised_and_named(tmp_path, mark):
    notes: dict[str, TableUse] = {}
    with collecting(notes, lambda text: None):
        file = put(tmp_path / "t.csv", f"a{mark}b\n1{mark}x,y\n")
        assert rows(file) == [Row(2, {"a": "1", "b": "x,y"})]
    (note,) = notes[file.as_posix()].notes
    assert note.startswith("detected delimiter")


def test_no_delimiter_is_guessed_where_none_would_help(tmp_path):
    for content in ('"a,b"\n"1,x"\n', "ab\n1\n", "a;b\n"):
        with pytest.raises(DataError, match="not found"):
            rows(put(tmp_path / "t.csv", content), ("a", "b", "c"))


@pytest.mark.parametrize(
    "content",
    [
        "sep=;\na;b\n1;x\n2;y\n",
        "Report of May 2026\n\na,b\n1,x\n2,y\n",
        "Report of May 2026,,\n,,\na,b,\n1,x,\n2,y,\n,,\n",
        "a;b;;\n1;x;;\n2;y;;\n;;;\n",
        "\ufeffsep=\t\r\na\tb\r\n1\tx\r\n2\ty\r\n",
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-32"])
def test_exports_of_spreadsheets_are_read_as_they_are(tmp_path, content, encoding):
    content = content if encoding == "utf-8" else content.removeprefix("\ufeff")
    for name, pack in (("t.csv", bytes), ("t.csv.gz", gzip.compress)):
        found = rows(put(tmp_path / name, pack(content.encode(encoding))))
        assert [row.values for row in found] == [row.values for row in GOOD]
        first = next(n for n, line in enumerate(content.splitlines(), 1) if line.startswith("1"))
        assert found[0].number == first


def test_a_filled_column_without_a_name_is_named_as_unused(tmp_path):
    tables: dict[str, TableUse] = {}
    with collecting(tables, lambda text: None):
        file = put(tmp_path / "t.csv", "a,,b\n1,,x\n2,kept?,y\n")
        assert [row.values for row in rows(file)] == [row.values for row in GOOD]
    assert tables[file.as_posix()].notes == ("column 2 has no name and is ignored (first value in row 3)",)


def test_columns_of_what_ships_are_not_called_unused(tmp_path):
    """Nobody declared them; a copy of the file is somebody's own."""
    ships = locate("shipped:names/us-census-2020.csv")
    own = put(tmp_path / "names.csv", ships.read_bytes())
    said: list[str] = []
    with collecting({}, said.append):
        for file in (ships, own):
            assert len(list(rows_or_raise(file, ("name",), used=("name",).__contains__))) > 100
    (line,) = said
    assert line.startswith(f"{own.as_posix()}: not used: columns 'gender', 'race'")


def test_a_repeated_column_that_nobody_wants_is_named_and_left_out(tmp_path):
    tables: dict[str, TableUse] = {}
    with collecting(tables, lambda text: None):
        file = put(tmp_path / "t.csv", "a,notes,b,notes\n1,p,x,q\n2,,y,\n")
        assert [row.values for row in rows(file)] == [row.values for row in GOOD]
    assert tables[file.as_posix()].notes == ("column 'notes' appears twice in the header and is ignored",)
    with pytest.raises(DataError, match="column 'a' appears twice"):
        rows(put(tmp_path / "u.csv", "a,a,b\n1,2,x\n"))
    with pytest.raises(DataError, match="column 'notes' appears twice in the header"):
        rows(file, columns={"c": "notes"})


@pytest.mark.parametrize("content", ["a,b\r1,x\r2,y\r", "a,b\r1,x\r2,y"])
def test_lines_may_end_as_in_old_mac_files(tmp_path, content):
    assert rows(put(tmp_path / "t.csv", content)) == GOOD
    assert rows(put(tmp_path / "t.csv.gz", gzip.compress(content.encode()))) == GOOD
    assert rows(put(tmp_path / "t.jsonl", '{"a": "1", "b": "x"}\r{"a": "2", "b": "y"}\r'))[1].values == GOOD[1].values


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16_is_known_without_its_mark(tmp_path, encoding):
    assert rows(put(tmp_path / "t.csv", "a,b\n1,x\n2,y\n".encode(encoding))) == GOOD
    assert rows(put(tmp_path / "t.jsonl", '{"a": "1", "b": "x"}\n'.encode(encoding)))[0].values == GOOD[0].values


def test_wide_encodings_keep_what_is_no_line_break(tmp_path):
    file = put(tmp_path / "t.jsonl", '{"a": "1", "b": "x\u2028y"}\n'.encode("utf-16"))
    assert rows(file) == [Row(1, {"a": "1", "b": "x\u2028y"})]
    file = put(tmp_path / "t.csv", "a,b\n1,x\u2028y\n".encode("utf-16-le"))
    assert rows(file, encoding="utf-16-le") == [Row(2, {"a": "1", "b": "x\u2028y"})]
    with pytest.raises(DataError, match="is not valid utf-16"):
        rows(put(tmp_path / "t.csv", "a,b\n1,x\n".encode("utf-16")[:-1]))


def test_a_spreadsheet_is_read_like_its_export(tmp_path):
    book = openpyxl.Workbook()
    for cells in (
        ["Report"],
        [],
        ["a", None, "b"],
        [1, None, "x"],
        [None, None, None],
        [2.0, None, date(2026, 5, 1)],
    ):
        book.active.append(cells)
    book.save(tmp_path / "t.xlsx")
    assert rows(tmp_path / "t.xlsx") == [Row(4, {"a": "1", "b": "x"}), Row(6, {"a": "2", "b": "2026-05-01"})]
    with pytest.raises(DataError, match=r"t.xlsx:3: column 'c' not found; available: 'a', 'b'"):
        rows(tmp_path / "t.xlsx", ("a", "c"))


def test_the_sheet_with_the_wanted_columns_is_read_and_short_rows_are_filled(tmp_path):
    book = openpyxl.Workbook()
    book.active.append(["Read me first"])
    sheet = book.create_sheet("Data")
    for cells in (["a", "b", "c"], [1, "x", "z"], [2, "y"]):
        sheet.append(cells)
    book.save(tmp_path / "t.xlsx")
    # Programs that stream a sheet do not say how wide it is, and openpyxl then gives rows as long as they are.
    with zipfile.ZipFile(tmp_path / "t.xlsx") as packed, zipfile.ZipFile(tmp_path / "u.xlsx", "w") as other:
        for name in packed.namelist():
            other.writestr(name, re.sub(rb"<dimension [^>]*>", b"", packed.read(name)))
    tables: dict[str, TableUse] = {}
    with collecting(tables, lambda text: None):
        found = [row.values for row in rows(tmp_path / "u.xlsx", ("a", "c"))]
    assert found == [{"a": "1", "b": "x", "c": "z"}, {"a": "2", "b": "y", "c": ""}]
    (use,) = tables.values()
    assert "reading only the sheet 'Data' of 2" in use.notes


def test_without_openpyxl_the_message_names_the_extra(tmp_path, monkeypatch):
    put(tmp_path / "t.xlsx", "")
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    with pytest.raises(DataError, match="reading spreadsheets requires the package openpyxl") as caught:
        rows(tmp_path / "t.xlsx")
    assert "hrembed[xlsx]" in caught.value.hint


def test_a_cell_may_be_as_long_as_a_mebibyte(tmp_path):
    """Python's own limit is an eighth of that."""
    (row,) = rows(put(tmp_path / "t.csv", "a,b\n1," + "x" * 2**20 + "\n"))
    assert len(text_cell(row.values, "b")) == 2**20


def test_a_misspelt_column_is_guessed_and_what_is_there_is_listed(tmp_path):
    with pytest.raises(
        DataError, match=r"column 'anchor' not found \(did you mean 'anchr'\?\); available: 'anchr', 'b'"
    ):
        rows(put(tmp_path / "t.csv", "anchr,b\n1,x\n"), ("anchor",))


@pytest.mark.parametrize("mark", ['"', "\n", "\r"])
def test_not_everything_is_a_delimiter(tmp_path, mark):
    with pytest.raises(ConfigError, match="invalid delimiter"):
        rows(put(tmp_path / "t.csv", "a,b\n1,x\n"), delimiter=mark)


@pytest.mark.parametrize("name", ["t", "t.csv", "t.jsonl", "t.parquet"])
def test_a_folder_and_a_file_that_is_not_there_are_told_apart(tmp_path, name):
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / name).mkdir()
    with pytest.raises(DataError, match=r"is a folder, not a file"):
        rows(tmp_path / "d" / name)
    if name != "t":
        with pytest.raises(DataError, match=r"does not exist"):
            rows(tmp_path / name)


def test_jsonl_in_its_usual_forms(tmp_path):
    good = [Row(1, {"a": "1", "b": "x"}), Row(3, {"a": "2", "b": "ü"})]
    text = '{"a": "1", "b": "x"}\n\n{"a": "2", "b": "ü"}'
    assert rows(put(tmp_path / "t.jsonl", text)) == good
    assert rows(put(tmp_path / "t.ndjson", "\ufeff" + text.replace("\n", "\r\n"))) == good
    assert rows(put(tmp_path / "t.jsonl.gz", gzip.compress(text.encode()))) == good
    assert rows(put(tmp_path / "t.jsonl", text.encode("cp1252")), encoding="cp1252") == good


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_one_byte_of_another_encoding_costs_one_row(tmp_path, kind):
    line = "{n},café" if kind == "csv" else '{{"a": "{n}", "b": "café"}}'
    lines = [line.format(n=n).encode("cp1252" if n == 2 else "utf-8") for n in range(1, 4)]
    found = rows(put(tmp_path / f"t.{kind}", b"\n".join([b"a,b", *lines] if kind == "csv" else lines)))
    first, bad, last = found
    assert (first.values["b"], last.values["b"]) == ("café", "café")
    assert (bad.number, bad.column) == (3 if kind == "csv" else 2, "b")
    assert bad.reason.startswith("byte 0xE9 is not valid utf-8; save the file as UTF-8")


def test_a_long_line_inside_quotes_takes_no_other_row_with_it(tmp_path, monkeypatch):
    """A cell left open where the line is cut must not swallow what follows."""
    monkeypatch.setattr("hrembed.data.rows.MAX_LINE", 64)
    text = 'a,b,c\n1,"' + "x" * 40 + '","' + "y" * 60 + '"\n2,"z",w\n3,"4\n5",6\n7,"' + "\n" + "x" * 80 + '",8\n9,8,7\n'
    found = rows(put(tmp_path / "t.csv", text))
    assert [(row.number, type(row).__name__) for row in found] == [
        (2, "Problem"), (3, "Row"), (4, "Row"), (6, "Problem"), (8, "Row"),
    ]  # fmt: skip
    assert [row.column for row in found if isinstance(row, Problem)] == ["c", "b"]
    assert found[-1].values == {"a": "9", "b": "8", "c": "7"}


def test_a_long_line_goes_by_its_length_alone(tmp_path, monkeypatch):
    monkeypatch.setattr("hrembed.data.rows.MAX_LINE", 32)
    lines = ['{"a": "%s"}' % ("x" * n) for n in (22, 23, 24, 3)]  # 31, 32, 33 bytes without the line break
    found = rows(put(tmp_path / "t.jsonl", "\n".join(lines)))
    assert [type(row).__name__ for row in found] == ["Row", "Problem", "Problem", "Row"]
    assert [row.number for row in found] == [1, 2, 3, 4]
    with pytest.raises(DataError, match=r"t.csv:1: cannot read the header: line exceeds"):
        rows(put(tmp_path / "t.csv", "a,b" + ",c" * 40 + "\n1,2\n"))


def test_encodings_are_checked_and_used(tmp_path):
    file = put(tmp_path / "t.csv", "a,b\n1,café\n".encode("cp1252"))
    assert rows(file, encoding="cp1252")[0].values["b"] == "café"
    for unknown in ("utf-9", "", "hex", "rot13", "a\0b"):
        with pytest.raises(ConfigError, match="unknown encoding"):
            rows(file, encoding=unknown)
    for other in ("utf-7", "cp500", "undefined", "idna"):
        with pytest.raises(ConfigError, match="is not supported for reading line by line"):
            rows(file, encoding=other)
    for kept in ("utf-8-sig", "latin-1", "shift_jis", "gb18030"):
        assert rows(put(tmp_path / "t.csv", "a,b\n1,x\n"), encoding=kept) == GOOD[:1]


def test_parquet_counts_its_rows(tmp_path):
    pq.write_table(pa.table({"a": ["1", "2"], "b": ["x", "y"]}), tmp_path / "t.parquet")
    assert [row.number for row in rows(tmp_path / "t.parquet")] == [1, 2]
    with pytest.raises(DataError, match="column 'c' not found"):
        rows(tmp_path / "t.parquet", wanted=("c",))


def test_parquet_numbers_go_on_behind_a_batch(tmp_path):
    pq.write_table(pa.table({"a": [str(n) for n in range(4500)], "b": ["x"] * 4500}), tmp_path / "t.parquet")
    assert [row.number for row in rows(tmp_path / "t.parquet")] == list(range(1, 4501))
    assert rows(tmp_path / "t.parquet")[-1].values["a"] == "4499"


def test_a_cell_of_parquet_that_is_no_text_costs_one_row(tmp_path):
    """Arrow does not look whether a text is UTF-8 when it writes; nor does Python know dates after 9999."""
    offsets = pa.py_buffer(b"".join(n.to_bytes(4, "little") for n in (0, 1, 5, 6)))
    spoiled = pa.Array.from_buffers(pa.string(), 3, [None, offsets, pa.py_buffer(b"xcaf\xe9y")])
    pq.write_table(pa.table({"a": ["1", "2", "3"], "b": spoiled}), tmp_path / "t.parquet")
    assert rows(tmp_path / "t.parquet") == [
        Row(1, {"a": "1", "b": "x"}), Problem(2, "b", "cannot be read (UnicodeDecodeError)"),
        Row(3, {"a": "3", "b": "y"}),
    ]  # fmt: skip
    dates = pa.array([0, 2**40], pa.timestamp("s"))
    pq.write_table(pa.table({"a": ["1", "2"], "b": dates}), tmp_path / "t.parquet")
    good, bad = rows(tmp_path / "t.parquet")
    assert good.values["b"] == datetime(1970, 1, 1)  # noqa: DTZ001
    assert (bad.number, bad.column) == (2, "b")


def test_parquet_cut_short_or_with_a_column_twice_is_refused(tmp_path):
    pq.write_table(pa.table({"a": ["1"], "b": ["x"]}), tmp_path / "t.parquet")
    whole = (tmp_path / "t.parquet").read_bytes()
    with pytest.raises(DataError, match="is not a valid Parquet file"):
        rows(put(tmp_path / "t.parquet", whole[:-20]))
    pq.write_table(pa.table([["1"], ["2"], ["x"]], names=["a", "a", "b"]), tmp_path / "t.parquet")
    with pytest.raises(DataError, match=r"t.parquet: column 'a' appears twice in the header"):
        rows(tmp_path / "t.parquet")


CELL = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0\r"), max_size=12)
QUICK = settings(max_examples=100)


@QUICK
@given(st.lists(st.tuples(CELL, CELL), max_size=6))
@example([('"', '""'), ("\n", ","), ("", ""), (" ", "\ufeff")])
def test_what_python_writes_as_csv_is_read_again(tmp_path, cells):
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([("a", "b"), *cells])
    found = rows(put(tmp_path / "t.csv", text.getvalue()))
    assert [(row.values["a"], row.values["b"]) for row in found] == [both for both in cells if any(both)]


@QUICK
@given(st.binary(max_size=60) | st.text('a,b"{}[]:\n\r1\0é\\', max_size=40).map(str.encode), st.booleans())
@example(b"\0\1\0\1\0\0\0", False)
def test_no_bytes_end_in_anything_but_rows_and_problems(tmp_path, content, quoted):
    for name, start in (("t.csv", b"a,b\n"), ("t.jsonl", b""), ("t.jsonl.gz", b"")):
        file = put(tmp_path / name, start + content)
        found, refused = [], ""
        try:
            found = rows(file, quoted=quoted)
        except DataError as err:
            refused = str(err)
        # What is no gzip is refused, and what looks like UTF-16 and breaks off within a character.
        assert not refused or name.endswith(".gz") or f"'{file}' is not valid utf-16" in refused
        numbers = [row.number for row in found]
        assert numbers == sorted(set(numbers))
        assert all(isinstance(row, Row | Problem) for row in found)


def test_a_dataset_is_streamed_through_the_library(tmp_path):
    folder = tmp_path / "set"
    folder.mkdir()
    (folder / "train.jsonl").write_text(json.dumps({"a": "1", "b": "x"}) + "\n", encoding="utf-8")
    found = list(hub_rows(str(folder), ("a", "b"), subset=None, split="train"))
    assert found == [Row(1, {"a": "1", "b": "x"})]
    with pytest.raises(DataError, match="column 'c' not found"):
        list(hub_rows(str(folder), ("c",), subset=None, split="train"))
    with pytest.raises(DataError, match=r"cannot read dataset .*: Bad split: test"):
        list(hub_rows(str(folder), ("a",), subset=None, split="test"))
    with pytest.raises(DataError, match=r"cannot read dataset .*: BuilderConfig 'other' not found"):
        list(hub_rows(str(folder), ("a",), subset="other", split="train"))


@pytest.mark.parametrize("content", ["", '{"a": "1"}\n{"a": \n', None])
def test_a_broken_dataset_gives_one_message(tmp_path, content):
    folder = tmp_path / "set"
    folder.mkdir()
    if content is not None:
        put(folder / "train.jsonl", content)
    with pytest.raises(DataError, match=r"cannot read dataset 'hf:.*set'"):
        list(hub_rows(str(folder), ("a",), subset=None, split="train"))


def test_a_hub_that_cannot_be_reached_is_not_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr("huggingface_hub.hf_api.ENDPOINT", "http://127.0.0.1:9", raising=False)
    started = time.monotonic()
    with pytest.raises(DataError, match=r"cannot read dataset 'hf:some/set': .*refused") as caught:
        list(hub_rows("some/set@main", ("a",), subset=None, split="train"))
    assert "check the network connection" in caught.value.hint
    assert time.monotonic() - started < 10
    with pytest.raises(DataError, match=r"cannot read dataset 'hf:no name!': Repo id must"):
        list(hub_rows("no name!", ("a",), subset=None, split="train"))


@pytest.mark.parametrize("value", [None, "", "  ", 5, ["x"], b"x", "x\0y", "\ud800", "x" * (2**20 + 1)])
def test_a_text_must_be_one(value):
    with pytest.raises(CellError):
        text_cell({"a": value}, "a")
    with pytest.raises(CellError, match="missing"):
        text_cell({}, "a")


def test_an_id_is_a_text_or_a_whole_number():
    assert [key_cell({"a": value}, "a") for value in (None, "", " x ", 7)] == ["", "", "x", "7"]
    for value in (True, 1.5, float("inf"), ["x"], {}, b"x"):
        with pytest.raises(CellError, match="expected text or an integer, got"):
            key_cell({"a": value}, "a")
    with pytest.raises(CellError, match="contains an unpaired surrogate"):
        key_cell({"a": "\udfff"}, "a")
