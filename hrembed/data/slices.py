"""Large inputs in slices: counted and cut once, then entered anywhere without reading what stands before.

JSONL and CSV are entered at a byte, Parquet at a row group, a data set of the Hub at a row of its local copy. What
cannot be entered in its midst (`.gz`, spreadsheets, UTF-16) is read from its start for every slice.
"""

from __future__ import annotations

import hashlib
import io
from contextlib import contextmanager
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, Protocol

from hrembed.data.cells import Problem, Row
from hrembed.data.columns import Names, track_columns
from hrembed.data.layout import DELIMITERS, encoding_of, is_wide, look_at
from hrembed.data.locate import locate
from hrembed.data.rows import FORMATS, SAMPLE, csv_rows, format_of, is_divided, json_rows, read_rows
from hrembed.errors import DataError, HrembedError, raised_here

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from hrembed.data.layout import Form, Layout
    from hrembed.records.encode import PartKind

_JSON = (".jsonl", ".ndjson")
_BLOCK = 2**22


class Place(NamedTuple):
    """Where a slice of a source begins.

    Attributes:
        first: Place of its first row, from 0.
        offset: Byte of the first row; None where a source is not entered at a byte.
        length: Bytes of all its rows.
        line: Line of the first row.
        after: Id of the row before, in a database.
    """

    first: int
    offset: int | None = None
    length: int | None = None
    line: int | None = None
    after: str | int | None = None


class Span(NamedTuple):
    """Rows of a slice, by the numbers that they had in `rows`.

    Attributes:
        first: Place of the first row, from 0.
        number: Its number.
        behind: Number of the row behind the last; None where there is none.
        before: Id of the row in front of the first; None where there is none.
    """

    first: int
    number: int
    behind: int | None
    before: str | None = None


class Sliced(Protocol):
    """A table that can be entered in its midst.

    Attributes:
        name: What messages and plans call it.
        kind: How it is entered.
    """

    name: str
    kind: PartKind

    def sha256(self) -> str | None:
        """Hash of its bytes; None where there are none to hash."""
        ...

    def rows(self) -> Iterator[Row | Problem]:
        """Stream all rows.

        Raises:
            DataError: It cannot be read, or lacks a column.
        """
        ...

    def places(self, spans: Sequence[Span]) -> list[Place]:
        """Find where slices begin, once `rows` has passed them."""
        ...

    def slice(self, place: Place, span: int) -> Iterator[Row | Problem]:
        """Stream `span` rows from a place.

        Raises:
            DataError: It cannot be read.
        """
        ...


class Wanted(NamedTuple):
    """Which columns are read, and how.

    Attributes:
        columns: Those that must be there.
        form: Details of text files, and given names of columns.
        known_as: Column to other usual names of it.
        used: Whether a column is used, by its name here; the others are reported.
    """

    columns: Sequence[str]
    form: Form
    known_as: Mapping[str, Sequence[str]]
    used: Callable[[str], bool]


def open_files(reference: str, wanted: Wanted) -> list[Sliced]:
    """Open a file, or all tables in a folder and below it, sorted by path.

    Args:
        reference: A path, `shipped:NAME`, or a URL of fsspec (JSONL, CSV and Parquet).
        wanted: Which columns are read.

    Raises:
        DataError: Nothing is there, or it has an unknown ending.
    """
    if "://" in reference:
        return [_sliced(name, file, opener, wanted) for name, file, opener in _remote_files(reference)]
    path = locate(reference)
    if not path.is_dir():
        return [_sliced(str(path), path, path.open, wanted)]
    files = sorted(file for file in path.rglob("*") if file.is_file() and _is_table(file))
    if not files:
        raise DataError(f"'{path}' contains no tables", hint=f"supported: {', '.join(FORMATS)}")
    return [_sliced(str(file), file, file.open, wanted) for file in files]


def _is_table(file: Path) -> bool:
    return format_of(file) in FORMATS and not file.name.startswith((".", "~$"))


def _remote_files(reference: str) -> list[tuple[str, Path, Callable[[str], Any]]]:
    """Name, path and opener of each file; the path serves for its ending alone."""
    from fsspec.core import url_to_fs

    with _asking(reference):
        system, root = url_to_fs(reference)
        found = sorted(system.find(root)) if system.isdir(root) else [root]
    if found == [root]:
        return [(reference, Path(PurePosixPath(root).name), _opener(system, root))]
    files = [name for name in found if _is_table(Path(name))]
    if not files:
        raise DataError(f"'{reference}' contains no tables", hint=f"supported: {', '.join(FORMATS)}")
    base = reference.rstrip("/")
    return [(f"{base}/{name[len(root) :].lstrip('/')}", Path(name), _opener(system, name)) for name in files]


def _opener(system: Any, name: str) -> Callable[[str], Any]:
    """Open a file of a store as one of a disk is: its own stream cannot read a part of a line."""
    return lambda mode: io.BufferedReader(system.open(name, mode), _BLOCK)


@contextmanager
def _asking(reference: str) -> Iterator[None]:
    """Turn what a store may raise into one message."""
    try:
        yield
    except HrembedError:
        raise
    except FileNotFoundError:
        raise DataError(f"'{reference}' does not exist") from None
    except Exception as err:  # each store has errors of its own
        if raised_here(err):
            raise
        raise DataError(
            f"'{reference}' cannot be read: {type(err).__name__}: {str(err)[:200]}",
            hint="check the address and the keys of the store",
        ) from None


def _sliced(name: str, path: Path, opener: Callable[[str], Any], wanted: Wanted) -> Sliced:
    kind = format_of(path)
    if kind not in FORMATS:
        raise DataError(f"'{name}': unsupported file extension '{kind}'", hint=f"supported: {', '.join(FORMATS)}")
    if kind == ".parquet":
        return ParquetTable(name, opener, wanted)
    with _asking(name), opener("rb") as stream:
        start = stream.read(SAMPLE)
    form = wanted.form
    zipped = path.suffix.lower() == ".gz"
    if not zipped and kind in (*_JSON, *DELIMITERS) and is_divided(start) and not is_wide(encoding_of(start, form)):
        return TextTable(name, kind, opener, start, wanted)
    if not path.exists():
        raise DataError(f"'{name}': only plain JSONL, CSV and Parquet are read from a store", hint="unpack it first")
    return WholeTable(path, wanted)


class _Bytes:
    """A file of which the bytes can be hashed."""

    def __init__(self, name: str, opener: Callable[[str], Any]) -> None:
        self.name, self._opener = name, opener

    @contextmanager
    def _opened(self) -> Iterator[BinaryIO]:
        with _asking(self.name), self._opener("rb") as stream:
            yield stream

    def sha256(self) -> str | None:
        """Hash its bytes."""
        digest = hashlib.sha256()
        with self._opened() as stream:
            while block := stream.read(_BLOCK):
                digest.update(block)
        return digest.hexdigest()


class TextTable(_Bytes):
    """JSONL or delimited text whose bytes tell its lines."""

    def __init__(self, name: str, ending: str, opener: Callable[[str], Any], start: bytes, wanted: Wanted) -> None:
        super().__init__(name, opener)
        self.kind: PartKind = "jsonl" if ending in _JSON else "csv"
        self._wanted, self._start = wanted, start
        self._head: bytes | None = None

    def _layout(self) -> Layout:
        return look_at(self._start, self.name, self._wanted.form, self._names())

    def _names(self) -> Names:
        return Names(self.name, self._wanted.columns, self._wanted.form.columns, self._wanted.known_as)

    def rows(self) -> Iterator[Row | Problem]:
        """Stream all rows."""
        names = self._names()
        with self._opened() as stream:
            yield from track_columns(self._parsed(stream, names), Path(self.name), self._wanted.used)

    def _parsed(self, stream: BinaryIO, names: Names) -> Iterator[Row | Problem]:
        if self.kind == "csv":
            yield from csv_rows(stream, self.name, names, self._wanted.form, self._layout())
            return
        for row in json_rows(stream, self._wanted.form, self.name):
            yield row if isinstance(row, Problem) else names.renamed(row)

    def places(self, spans: Sequence[Span]) -> list[Place]:
        """Turn numbers of lines into bytes, in one pass over the lines."""
        wanted = {number for span in spans for number in (span.number, span.behind) if number is not None}
        offsets, at = dict[int | None, int](), 0
        with self._opened() as stream:
            for number, raw in enumerate(stream, start=1):
                if number in wanted:
                    offsets[number] = at
                at += len(raw)
        offsets[None] = at
        return [
            Place(span.first, offsets[span.number], offsets[span.behind] - offsets[span.number], span.number)
            for span in spans
        ]

    def slice(self, place: Place, span: int) -> Iterator[Row | Problem]:
        """Stream rows from a place."""
        if place.offset is None or place.length is None or place.line is None:
            raise DataError(f"'{self.name}': the plan does not say where a shard begins", hint="remove the folder")
        with self._opened() as stream:
            head = self._header(stream) if self.kind == "csv" else b""
            stream.seek(place.offset)
            part = io.BytesIO(head + stream.read(place.length))
        above = place.line - 1 - head.count(b"\n")
        for row in islice(self._parsed(part, self._names()), span):
            yield _renumbered(row, row.number + above)

    def _header(self, stream: BinaryIO) -> bytes:
        """Bytes up to the first row: title lines and the header."""
        if self._head is None:
            first = next(csv_rows(stream, self.name, self._names(), self._wanted.form, self._layout()))
            stream.seek(0)
            self._head = b"".join(islice(stream, first.number - 1))
        return self._head


def _renumbered(row: Row | Problem, number: int) -> Row | Problem:
    if isinstance(row, Problem):
        return Problem(number, row.column, row.reason)
    return Row(number, row.values, row.names, row.shadowed)


class ParquetTable(_Bytes):
    """A Parquet file."""

    kind: PartKind = "parquet"

    def __init__(self, name: str, opener: Callable[[str], Any], wanted: Wanted) -> None:
        super().__init__(name, opener)
        self._wanted = wanted

    def rows(self) -> Iterator[Row | Problem]:
        """Stream all rows."""
        yield from track_columns(self._from(0), Path(self.name), self._wanted.used)

    def _from(self, first: int) -> Iterator[Row | Problem]:
        from hrembed.data.parquet import rows_from

        names = Names(self.name, self._wanted.columns, self._wanted.form.columns, self._wanted.known_as)
        with self._opened() as stream:
            yield from rows_from(stream, names, first)

    def places(self, spans: Sequence[Span]) -> list[Place]:
        """Say where slices begin."""
        return [Place(span.first) for span in spans]

    def slice(self, place: Place, span: int) -> Iterator[Row | Problem]:
        """Stream rows from a place."""
        return islice(self._from(place.first), span)


class WholeTable:
    """A file that is read from its start for each slice."""

    kind: PartKind = "whole"

    def __init__(self, path: Path, wanted: Wanted) -> None:
        self.name = str(path)
        self._path, self._wanted = path, wanted

    def sha256(self) -> str | None:
        """Hash its bytes."""
        return _Bytes(self.name, self._path.open).sha256()

    def rows(self) -> Iterator[Row | Problem]:
        """Stream all rows."""
        yield from track_columns(self._read(), self._path, self._wanted.used)

    def _read(self) -> Iterator[Row | Problem]:
        return read_rows(self._path, self._wanted.columns, self._wanted.form, self._wanted.known_as)

    def places(self, spans: Sequence[Span]) -> list[Place]:
        """Say where slices begin."""
        return [Place(span.first) for span in spans]

    def slice(self, place: Place, span: int) -> Iterator[Row | Problem]:
        """Stream rows from a place."""
        return islice(self._read(), place.first, place.first + span)


class Numbered:
    """Rows that come from a library, numbered from 1, as a source of slices.

    Args:
        name: What messages call it.
        kind: How it is entered.
        read: Gives the rows from a place on.
        used: Whether a column is used, by its name here.
    """

    def __init__(
        self,
        name: str,
        kind: PartKind,
        read: Callable[[Place], Iterable[Row | Problem]],
        used: Callable[[str], bool],
    ) -> None:
        self.name, self.kind = name, kind
        self._read, self._used = read, used

    def sha256(self) -> str | None:
        """Hash its bytes."""
        return None

    def rows(self) -> Iterator[Row | Problem]:
        """Stream all rows."""
        yield from track_columns(self._read(Place(0)), Path(self.name), self._used)

    def places(self, spans: Sequence[Span]) -> list[Place]:
        """Say where slices begin."""
        return [Place(span.first) for span in spans]

    def slice(self, place: Place, span: int) -> Iterator[Row | Problem]:
        """Stream rows from a place."""
        return islice(self._read(place), span)
