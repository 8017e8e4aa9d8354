"""Tables as streams of rows: CSV, JSONL or Parquet, each row read once and forgotten.

A broken row is not the end of a table: it comes as a `Problem` that names row, column and reason, and the
reader goes on with the next row. Whoever reads decides what that means.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import json
import re
import zlib
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal

from hrembed.data.cells import _ZERO, MAX_CELL, Problem, Row, require_columns
from hrembed.errors import ConfigError, DataError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

MAX_LINE = 4 * 2**20
DELIMITERS = {".csv": ",", ".tsv": "\t", ".txt": "\t"}
_JSON = {".jsonl", ".ndjson"}


@dataclass(frozen=True)
class Form:
    """How a text file is to be read.

    Attributes:
        delimiter: Between cells; None goes by the ending of the name (`.csv` comma, `.tsv` and `.txt` tab).
        quoted: Whether double quotes group a cell; otherwise they are plain characters.
        encoding: Any encoding that keeps ASCII as it is.
    """

    delimiter: str | None = None
    quoted: bool = True
    encoding: str = "utf-8"


def read_rows(file: Path, wanted: Sequence[str], form: Form = Form()) -> Iterator[Row | Problem]:
    """Stream the rows of a file; the ending of its name decides the format (`.gz` in addition is fine).

    Args:
        file: `.csv`, `.tsv`, `.txt`, `.jsonl`, `.ndjson` or `.parquet`.
        wanted: Columns that must be there; in JSONL each row is asked, in the others the header.
        form: Details of text files.

    Raises:
        DataError: The file is missing, of an unknown kind, or has no such column.
        ConfigError: The encoding is unknown.
    """
    kind = Path(file.name.removesuffix(".gz")).suffix.lower()
    if file.is_dir():
        raise DataError(f"'{file}' is a folder, not a file")
    if kind == ".parquet":
        from hrembed.data.parquet import parquet_rows

        yield from parquet_rows(file, wanted)
    elif kind in _JSON:
        with _opened(file) as stream:
            yield from json_rows(stream, form)
    elif kind in DELIMITERS:
        with _opened(file) as stream:
            yield from csv_rows(stream, str(file), wanted, form)
    else:
        known = ", ".join(sorted({*DELIMITERS, *_JSON, ".parquet"}))
        raise DataError(
            f"'{file}': the ending '{kind}' says no known format", hint=f"known: {known}, or these with .gz"
        )


@contextmanager
def _opened(file: Path) -> Iterator[BinaryIO]:
    try:
        with gzip.open(file) if file.suffix == ".gz" else file.open("rb") as stream:
            yield stream  # type: ignore[misc]
    except FileNotFoundError:
        raise DataError(f"'{file}' does not exist") from None
    except (gzip.BadGzipFile, EOFError, zlib.error) as err:
        raise DataError(f"'{file}' is not a whole gzip file: {err}") from None
    except OSError as err:
        raise DataError(f"'{file}' cannot be read: {err.strerror}") from None


def csv_rows(stream: BinaryIO, name: str, wanted: Sequence[str], form: Form) -> Iterator[Row | Problem]:
    """Stream the rows of delimited text; `name` is what messages call it.

    Raises:
        DataError: No header, a column that stands twice in it, or one that is wanted and missing.
        ConfigError: The encoding is unknown, or the delimiter is a quote or a line break.
    """
    delimiter = form.delimiter or DELIMITERS[Path(name.removesuffix(".gz")).suffix.lower()]
    if delimiter in '"\r\n':
        raise ConfigError(f"{delimiter!r} cannot stand between cells", hint="for example ',', ';' or a tab")
    lines = _Lines(stream, form.encoding)
    quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if form.quoted else csv.QUOTE_NONE
    csv.field_size_limit(MAX_CELL)
    reader = csv.reader(lines, delimiter=delimiter, quoting=quoting, strict=True)
    header = _header(reader, name, form.encoding)
    require_columns(name, header, wanted, delimiter)
    while True:
        first = lines.begin_row()
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as err:
            yield Problem(first, _column_reached(lines.row, header, delimiter, quoted=form.quoted), str(err))
            continue
        if cells:
            yield _checked(first, lines.row, cells, header, form.encoding)


_TOO_LONG = f"the line is longer than {MAX_LINE:,} bytes"


class _Lines:
    """Decoded lines of a stream, and all that was read of the present row; an over-long line is an error."""

    def __init__(self, stream: BinaryIO, encoding: str) -> None:
        self._raw = _raw_lines(stream)
        self._encoding = _ascii_based(encoding)
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
        text = raw.decode(self._encoding, "surrogateescape")
        if self._number == 1:
            text = text.removeprefix("\ufeff")
        self.row += text
        if not whole:
            raise csv.Error(_TOO_LONG)
        return text


def _raw_lines(stream: BinaryIO) -> Iterator[tuple[int, bytes, bool]]:
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
        raise ConfigError(f"encoding '{encoding}' cannot be read line by line", hint="save the file as UTF-8 first")
    return name


def _header(reader: Iterator[list[str]], name: str, encoding: str) -> list[str]:
    try:
        header = [cell.strip() for cell in next(reader)]
    except StopIteration:
        raise DataError(f"{name} is empty") from None
    except csv.Error as err:
        raise DataError(f"{name}:1: the header cannot be read: {err}") from None
    if not header:
        raise DataError(f"{name}:1: the line is blank, the names of the columns must be there")
    for n, column in enumerate(header, start=1):
        reason = _spoiled(column, encoding)
        if reason:
            raise DataError(f"{name}:1: column {n} of the header: {reason}")
    return header


def _checked(number: int, text: str, cells: list[str], header: Sequence[str], encoding: str) -> Row | Problem:
    if len(cells) != len(header):
        column = header[len(cells)] if len(cells) < len(header) else ""
        return Problem(number, column, f"the row has {len(cells)} cells, the header {len(header)}")
    if _spoiled(text, encoding):  # one look at the row is faster than one at each cell
        for column, cell in zip(header, cells, strict=True):
            reason = _spoiled(cell, encoding)
            if reason:
                return Problem(number, column, reason)
    return Row(number, dict(zip(header, cells, strict=True)))


_UNDECODED = re.compile(r"[\udc80-\udcff]")


def _spoiled(cell: str, encoding: str) -> str:
    if "\0" in cell:
        return _ZERO
    undecoded = None if cell.isascii() else _UNDECODED.search(cell)
    return _not_decoded(ord(undecoded.group()) - 0xDC00, encoding) if undecoded else ""


def _not_decoded(byte: int, encoding: str) -> str:
    return f"byte 0x{byte:02X} is not {encoding}; set `encoding` (often cp1252) if the whole file is in another one"


def _column_reached(row: str, header: Sequence[str], delimiter: str, *, quoted: bool) -> str:
    """Column behind the last whole cell of a row that goes wrong."""
    mark = re.escape(delimiter)
    plain = rf"[^{mark}\r\n]*"
    cell = re.compile(rf'(?:"[^"]*(?:""[^"]*)*"|(?!"){plain}){mark}' if quoted else plain + mark)
    done = n = 0
    while n < len(header) - 1 and (match := cell.match(row, done)):
        done, n = match.end(), n + 1
    return header[n]


def json_rows(stream: BinaryIO, form: Form = Form()) -> Iterator[Row | Problem]:
    """Stream one JSON object a line; blank lines are skipped."""
    encoding = _ascii_based(form.encoding)
    for number, raw, whole in _raw_lines(stream):
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
        return Problem(number, "", f"expected an object, found {type(row).__name__}")
    return Row(number, row)


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is not a value")


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


def rows_or_raise(file: Path, wanted: Sequence[str]) -> Iterator[Row]:
    """Read a table of which every row is needed.

    Raises:
        DataError: As `read_rows`; the file is empty; or any row is broken.
    """
    empty = True
    for row in read_rows(file, wanted):
        if isinstance(row, Problem):
            raise DataError(f"{file}:{row}")
        empty = False
        yield row
    if empty:
        raise DataError(f"{file} is empty")
