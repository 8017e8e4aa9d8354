"""Tables as streams of rows: CSV, JSONL, Parquet or a spreadsheet, each row read once and forgotten.

Delimiter, title rows, byte-order marks and other usual names of columns are recognised, and what was recognised is
reported. A broken row is not the end of a table: it comes as a `Problem` that names row, column and reason, and the
reader goes on with the next row. Whoever reads decides what that means.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import json
import re
import zlib
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal

from hrembed.data.cells import _ZERO, MAX_CELL, Problem, Row
from hrembed.data.columns import Header, Names, track_columns
from hrembed.data.layout import AS_USUAL, DELIMITERS, encoding_of, is_wide, look_at
from hrembed.errors import ConfigError, DataError
from hrembed.files import instead_of
from hrembed.records.tables import report_table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from hrembed.data.layout import Form, Layout


MAX_LINE = 4 * 2**20
_JSON = {".jsonl", ".ndjson"}
_SHEETS = {".xlsx", ".xlsm"}
FORMATS = (*sorted(DELIMITERS), *sorted(_JSON), ".parquet", *sorted(_SHEETS))


def format_of(file: Path) -> str:
    """Ending of a table's name, in lower case and without `.gz`."""
    return Path(file.name.lower().removesuffix(".gz")).suffix


def read_rows(
    file: Path, wanted: Sequence[str], form: Form = AS_USUAL, known_as: Mapping[str, Sequence[str]] = {}
) -> Iterator[Row | Problem]:
    """Stream the rows of a file; the ending of its name decides the format (`.gz` in addition is fine).

    Args:
        file: `.csv`, `.tsv`, `.txt`, `.jsonl`, `.ndjson`, `.parquet` or `.xlsx` (its first sheet).
        wanted: Columns that must be there; in JSONL each row is asked, in the others the header.
        form: Details of the file.
        known_as: Column to other usual names of it, which are taken where the column is not there.

    Raises:
        DataError: The file is missing, of an unknown kind, or has no such column.
        ConfigError: The encoding is unknown.
    """
    kind = format_of(file)
    if file.is_dir():
        raise DataError(f"'{file}' is a folder, not a file")
    names = Names(str(file), wanted, form.columns, known_as)
    if kind == ".parquet":
        from hrembed.data.parquet import parquet_rows

        yield from parquet_rows(file, names)
    elif kind in _SHEETS:
        from hrembed.data.sheet import sheet_rows

        yield from sheet_rows(file, names)
    elif kind in _JSON:
        with _opened(file) as stream:
            encoding = encoding_of(stream.read(4), form)
        with _opened(file) as stream:
            for row in json_rows(stream, replace(form, encoding=encoding), str(file)):
                yield row if isinstance(row, Problem) else names.renamed(row)
    elif kind in DELIMITERS:
        with _opened(file) as stream:
            layout = look_at(stream.read(SAMPLE), str(file), form, names)
        with _opened(file) as stream:
            yield from csv_rows(stream, str(file), names, form, layout)
        report_table(file, notes=layout.notes)
    else:
        known = ", ".join(FORMATS)
        raise DataError(
            f"'{file}': unsupported file extension '{kind}'", hint=f"supported: {known}, and text formats with .gz"
        )
    report_table(file, notes=names.notes)


SAMPLE = 2**16


def find_table(folder: Path, stem: str) -> Path | None:
    """The table of this name in a folder, whatever its format: `corpus.jsonl`, `corpus.parquet`, `corpus.tsv.gz`.

    Raises:
        DataError: It is there in two formats.
    """
    endings = [*FORMATS, *(f"{ending}.gz" for ending in (*DELIMITERS, *_JSON))]
    present = [file for ending in endings if (file := folder / f"{stem}{ending}").exists()]
    usual = [file for file in present if file.name == f"{stem}.jsonl"]
    if len(present) > 1 and not usual:
        raise DataError(
            f"'{folder}' contains {' and '.join(f'`{file.name}`' for file in present)}", hint="remove one of them"
        )
    if len(present) > 1:
        others = ", ".join(file.name for file in present if file not in usual)
        report_table(usual[0], notes=[f"used instead of {others} in the same folder"])
    return next(iter([*usual, *present]), None)


def table_in(folder: Path, stem: str) -> Path:
    """The table of this name in a folder, in any format; `<stem>.jsonl`, which then is not there, where it has none."""
    return find_table(folder, stem) or folder / f"{stem}.jsonl"


def layout_of(file: Path, form: Form) -> Layout:
    """What is recognised of a text file by its start, whichever columns are wanted.

    Raises:
        DataError: The file is missing or cannot be read.
    """
    with _opened(file) as stream:
        return look_at(stream.read(SAMPLE), str(file), form, Names(str(file), (), {}, {}))


def header_of(file: Path, form: Form) -> list[str]:
    """All names in the header of a delimited file by their position, the empty ones and repeated ones as well.

    Raises:
        DataError: The file is missing or cannot be read, or has no header.
        ConfigError: The encoding is unknown, or the delimiter cannot be one.
    """
    layout = layout_of(file, form)
    with _opened(file) as stream:
        return _begin(stream, str(file), form, layout)[1]


@contextmanager
def _opened(file: Path) -> Iterator[BinaryIO]:
    try:
        with gzip.open(file) if file.suffix.lower() == ".gz" else file.open("rb") as stream:
            yield _with_newlines(stream)  # type: ignore[arg-type]
    except FileNotFoundError:
        raise DataError(f"'{file}' does not exist", hint=instead_of(file)) from None
    except (gzip.BadGzipFile, EOFError, zlib.error) as err:
        raise DataError(f"'{file}' is not a valid gzip file: {err}") from None
    except OSError as err:
        raise DataError(f"'{file}' cannot be read: {err.strerror}") from None


def _with_newlines(stream: BinaryIO) -> BinaryIO:
    """Give a stream whose lines end with a newline, also where they end with a carriage return, as in old Mac files."""
    start = stream.read(SAMPLE)
    stream.seek(0)
    return stream if is_divided(start) else io.BufferedReader(_Newlines(stream))


def is_divided(start: bytes) -> bool:
    """Whether the lines of a text end with a newline, as its first bytes show."""
    return b"\n" in start or b"\r" not in start


class _Newlines(io.RawIOBase):
    """A stream in which every carriage return is a newline."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        raw = self._stream.read(len(buffer)).replace(b"\r", b"\n")
        buffer[: len(raw)] = raw
        return len(raw)


def csv_rows(
    stream: BinaryIO, name: str, names: Names, form: Form, layout: Layout | None = None
) -> Iterator[Row | Problem]:
    """Stream the rows of delimited text; `name` is what messages call it. Rows of empty cells only are skipped.

    Raises:
        DataError: No header, a column that stands twice in it, or one that is wanted and missing.
        ConfigError: The encoding is unknown, or the delimiter is a quote or a line break.
    """
    lines, columns, reader, where = _begin(stream, name, form, layout)
    delimiter = _delimiter(name, form, layout)
    header = Header(where, columns, names)
    while True:
        first = lines.begin_row()
        try:
            cells = next(reader)
        except StopIteration:
            break
        except csv.Error as err:
            yield Problem(first, _column_reached(lines.row, columns, delimiter, quoted=form.quoted), str(err))
            continue
        if any(cells):
            yield _checked(first, lines.row, cells, header, lines.encoding)
    names.notes += header.notes()


def _delimiter(name: str, form: Form, layout: Layout | None) -> str:
    return form.delimiter or (layout.delimiter if layout else DELIMITERS[format_of(Path(name))])


def _begin(
    stream: BinaryIO, name: str, form: Form, layout: Layout | None
) -> tuple[_Lines, list[str], Iterator[list[str]], str]:
    """Read up to the header: give the lines below it, its cells, who reads the rows, and where it stands."""
    delimiter = _delimiter(name, form, layout)
    check_delimiter(delimiter)
    lines = _Lines(stream, layout.encoding if layout else form.encoding, name)
    quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if form.quoted else csv.QUOTE_NONE
    csv.field_size_limit(MAX_CELL)
    for _ in range(layout.skipped if layout else 0):
        next(lines)
    where = f"{name}:{lines.begin_row()}"
    reader = csv.reader(lines, delimiter=delimiter, quoting=quoting, strict=True)
    return lines, _header(reader, where, name, lines.encoding), reader, where


def check_delimiter(delimiter: str) -> None:
    """Refuse what cannot be a delimiter.

    Raises:
        ConfigError: A quote or a line break.
    """
    if delimiter in '"\r\n':
        raise ConfigError(f"invalid delimiter {delimiter!r}", hint="for example ',', ';' or a tab")


_TOO_LONG = f"line exceeds {MAX_LINE:,} bytes"


class _Lines:
    """Decoded lines of a stream, and all that was read of the present row; an over-long line is an error."""

    def __init__(self, stream: BinaryIO, encoding: str, name: str) -> None:
        stream, self.encoding = _by_line(stream, encoding, name)
        self._raw = _raw_lines(stream)
        self._number = 0
        self.row = ""

    def begin_row(self) -> int:
        """Forget the last row; give the number of the next line."""
        self.row = ""
        return self._number + 1

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        self._number, raw, whole = next(self._raw)
        text = raw.decode(self.encoding, "surrogateescape")
        if self._number == 1:
            text = text.removeprefix("\ufeff")
        self.row += text
        if not whole:
            raise csv.Error(_TOO_LONG)
        return text


class _Narrowed:
    """A stream of UTF-16 or UTF-32, read line by line as UTF-8."""

    def __init__(self, stream: BinaryIO, encoding: str, name: str) -> None:
        self._stream, self._decoder = stream, codecs.getincrementaldecoder(encoding)()
        self._name, self._encoding = name, encoding
        self._text = ""
        self._ended = False

    def readline(self, limit: int) -> bytes:
        """Return the next line, or its first `limit` characters."""
        while "\n" not in self._text and len(self._text) < limit and not self._ended:
            raw = self._stream.read(2**16)
            self._ended = not raw
            try:
                self._text += self._decoder.decode(raw, final=self._ended)
            except UnicodeError as err:
                raise DataError(f"'{self._name}' is not valid {self._encoding}: {err}", hint="set `encoding`") from None
        end = min(self._text.find("\n") + 1 or len(self._text), limit)
        line, self._text = self._text[:end], self._text[end:]
        return line.encode("utf-8", "surrogatepass")


def _by_line(stream: BinaryIO, encoding: str, name: str) -> tuple[Any, str]:
    """Give a stream whose lines can be told by their bytes, and its encoding."""
    if is_wide(encoding):
        return _Narrowed(stream, encoding, name), "utf-8"
    return stream, _ascii_based(encoding)


def _raw_lines(stream: Any) -> Iterator[tuple[int, bytes, bool]]:
    """Yield number, bytes, and whether the line was short enough to be held whole."""
    number = 0
    while raw := stream.readline(MAX_LINE):
        number += 1
        whole = len(raw) < MAX_LINE or raw.endswith(b"\n")
        yield number, raw, whole
        while not whole:
            rest = stream.readline(MAX_LINE)
            whole = not rest or rest.endswith(b"\n")


_ASCII = bytes(range(128))


def _ascii_based(encoding: str) -> str:
    try:
        name = codecs.lookup(encoding).name
        keeps_ascii = _ASCII.decode(name, "surrogateescape") == _ASCII.decode()
    except UnicodeError:
        keeps_ascii = False
    except (LookupError, ValueError):
        raise ConfigError(f"unknown encoding {encoding!r}", hint="for example utf-8, cp1252, latin-1") from None
    if not keeps_ascii:
        raise ConfigError(
            f"encoding '{encoding}' is not supported for reading line by line", hint="convert the file to UTF-8 first"
        )
    return name


def _header(reader: Iterator[list[str]], where: str, name: str, encoding: str) -> list[str]:
    try:
        header = [cell.strip() for cell in next(reader)]
    except StopIteration:
        raise DataError(f"{name} is empty") from None
    except csv.Error as err:
        raise DataError(f"{where}: cannot read the header: {err}") from None
    for n, column in enumerate(header, start=1):
        reason = _spoiled(column, encoding)
        if reason:
            raise DataError(f"{where}: header, column {n}: {reason}")
    return header


def _checked(number: int, text: str, cells: list[str], header: Header, encoding: str) -> Row | Problem:
    if _spoiled(text, encoding):  # one look at the row is faster than one at each cell
        for column, cell in zip(header.cells, cells, strict=False):
            reason = _spoiled(cell, encoding)
            if reason:
                return Problem(number, column, reason)
    return header.row(number, cells)


_UNDECODED = re.compile(r"[\udc80-\udcff]")


def _spoiled(cell: str, encoding: str) -> str:
    if "\0" in cell:
        return _ZERO
    undecoded = None if cell.isascii() else _UNDECODED.search(cell)
    return _not_decoded(ord(undecoded.group()) - 0xDC00, encoding) if undecoded else ""


def _not_decoded(byte: int, encoding: str) -> str:
    return (
        f"byte 0x{byte:02X} is not valid {encoding}; save the file as UTF-8, or set `encoding` (often "
        "cp1252) where supported"
    )


def _column_reached(row: str, header: Sequence[str], delimiter: str, *, quoted: bool) -> str:
    """Column behind the last whole cell of a row that goes wrong."""
    mark = re.escape(delimiter)
    plain = rf"[^{mark}\r\n]*"
    cell = re.compile(rf'(?:"[^"]*(?:""[^"]*)*"|(?!"){plain}){mark}' if quoted else plain + mark)
    done = n = 0
    while n < len(header) - 1 and (match := cell.match(row, done)):
        done, n = match.end(), n + 1
    return header[n]


def json_rows(stream: BinaryIO, form: Form = AS_USUAL, name: str = "") -> Iterator[Row | Problem]:
    """Stream one JSON object a line; blank lines are skipped."""
    lines, encoding = _by_line(stream, form.encoding, name)
    for number, raw, whole in _raw_lines(lines):
        if raw.isspace():
            continue
        yield _parsed(number, raw, encoding) if whole else Problem(number, _last_key(raw), _TOO_LONG)


def _parsed(number: int, raw: bytes, encoding: str) -> Row | Problem:
    try:
        text = raw.decode(encoding)
        row = _JSON_DECODER.decode(text.removeprefix("\ufeff") if number == 1 else text)
    except UnicodeDecodeError as err:
        return Problem(number, _last_key(raw[: err.start]), _not_decoded(raw[err.start], encoding))
    except json.JSONDecodeError as err:
        return Problem(number, _last_key(raw[: err.pos]), f"not valid JSON: {err.msg}")
    except (ValueError, RecursionError) as err:
        return Problem(number, "", f"not valid JSON: {err}")
    if not isinstance(row, dict):
        return Problem(number, "", f"expected an object, got {type(row).__name__}")
    return Row(number, row)


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is not a valid JSON value")


_JSON_DECODER = json.JSONDecoder(parse_constant=_refuse)


def _last_key(before: bytes) -> str:
    """Key whose value was being read where the text stops."""
    keys = re.findall(rb'"([^"\\]{1,80})"\s*:', before[:65_536])
    return keys[-1].decode("utf-8", "replace") if keys else ""


def read_jsonl(file: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Yield (line number from 1, object) of a JSONL file, and stop at the first broken line.

    Raises:
        DataError: Missing, empty, or a line that is no JSON object in UTF-8.
    """
    for row in rows_or_raise(file, ()):
        yield row.number, row.values


def rows_or_raise(
    file: Path,
    wanted: Sequence[str],
    form: Form = AS_USUAL,
    known_as: Mapping[str, Sequence[str]] = {},
    used: Callable[[str], bool] | None = None,
) -> Iterator[Row]:
    """Read a table of which every row is needed.

    Args:
        file: As in `read_rows`.
        wanted: As there.
        form: As there.
        known_as: As there.
        used: Whether a column is used; the others are reported. None reports nothing.

    Raises:
        DataError: As `read_rows`; the file is empty; or any row is broken.
    """
    empty = True
    rows = read_rows(file, wanted, form, known_as)
    for row in track_columns(rows, file, used) if used else rows:
        if isinstance(row, Problem):
            raise DataError(f"{file}:{row}")
        empty = False
        yield row
    if empty:
        raise DataError(f"{file} is empty")


def text_lines(file: Path, form: Form = AS_USUAL) -> Iterator[tuple[int, str]]:
    """Yield number and text of every line that is not blank.

    Raises:
        DataError: Missing, or not text in the encoding of `form` (a byte-order mark outweighs it).
        ConfigError: The encoding is unknown.
    """
    if file.is_dir():
        raise DataError(f"'{file}' is a folder, not a file")
    with _opened(file) as stream:
        encoding = encoding_of(stream.read(4), form)
    with _opened(file) as stream:
        lines, encoding = _by_line(stream, encoding, str(file))
        for number, raw, whole in _raw_lines(lines):
            if not whole:
                raise DataError(f"{file}:{number}: {_TOO_LONG}")
            try:
                text = raw.decode(encoding)
            except UnicodeDecodeError as err:
                raise DataError(f"{file}:{number}: {_not_decoded(raw[err.start], encoding)}") from None
            text = text.removeprefix("\ufeff") if number == 1 else text
            if text.strip():
                yield number, text.rstrip("\r\n")
