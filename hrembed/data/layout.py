"""How a text file is laid out: its encoding, its delimiter, and where its header stands."""

from __future__ import annotations

import codecs
import csv
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from hrembed.data.cells import MAX_CELL

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hrembed.data.columns import Names

DELIMITERS = {".csv": ",", ".tsv": "\t", ".txt": "\t"}
_OTHERS = (",", ";", "\t", "|")
_SPOKEN = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
_TITLE_ROWS = 20
_LINE = re.compile(r"[^\n]*\n|[^\n]+")
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_SEPARATOR = re.compile(r"""\s*"?sep=(.)"?\s*""", re.IGNORECASE)


@dataclass(frozen=True)
class Form:
    """How a text file is to be read.

    Attributes:
        delimiter: Between cells; None recognises it: what is usual for the ending (`.csv` comma, `.tsv` and `.txt`
            tab), or another one that divides the header where the usual one does not.
        quoted: Whether double quotes group a cell; otherwise they are plain characters.
        encoding: Any encoding that keeps ASCII as it is, or UTF-16 or UTF-32; the first bytes of these outweigh it.
        columns: Name of a column here -> its name in the file.
    """

    delimiter: str | None = None
    quoted: bool = True
    encoding: str = "utf-8"
    columns: Mapping[str, str] = field(default_factory=dict)


AS_USUAL = Form()


class Layout(NamedTuple):
    """What was recognised of a delimited text.

    Attributes:
        delimiter: Between cells.
        encoding: Of the text.
        skipped: Lines above the header.
        notes: What of it is unusual.
    """

    delimiter: str
    encoding: str
    skipped: int
    notes: tuple[str, ...]


def is_wide(encoding: str) -> bool:
    """Whether an encoding has characters of two or four bytes throughout, so that bytes do not tell lines."""
    try:
        return codecs.lookup(encoding).name.startswith(("utf-16", "utf-32"))
    except (LookupError, ValueError):
        return False


_NO_MARK = (("utf-16-le", re.compile(rb"[^\0]\0[^\0]\0")), ("utf-16-be", re.compile(rb"\0[^\0]\0[^\0]")))


def encoding_of(start: bytes, form: Form) -> str:
    """Encoding of a text: what its byte-order mark says, or else the settings.

    Without a mark, every second byte zero is UTF-16 as well; no other text holds any.
    """
    marked = (name for mark, name in _MARKS if start.startswith(mark))
    return next(marked, next((name for name, zeros in _NO_MARK if zeros.match(start)), form.encoding))


def look_at(sample: bytes, name: str, form: Form, names: Names) -> Layout:
    """Recognise the layout of delimited text by its start.

    Args:
        sample: The first bytes.
        name: Path of the file; its ending says which delimiter is usual.
        form: What is known about it.
        names: Columns that are looked for; a header that has them is the right one.
    """
    encoding = encoding_of(sample, form)
    try:
        text = sample.decode(encoding, "replace").removeprefix("\ufeff")
    except (LookupError, ValueError):
        text = ""  # whoever reads the rows says what is wrong with the encoding
    lines = _LINE.findall(text)
    usual = DELIMITERS.get(Path(name.lower().removesuffix(".gz")).suffix, ",")
    declared = _SEPARATOR.fullmatch(lines[0].rstrip("\r\n")) if lines else None
    above = 1 if declared else 0
    if form.delimiter or declared:
        candidates = [form.delimiter or (declared[1] if declared else usual)]
    else:
        candidates = [usual, *(mark for mark in _OTHERS if mark != usual)]
    tables = {mark: _parsed(lines[above:], mark, quoted=form.quoted) for mark in candidates if mark not in '"\r\n'}
    delimiter, skipped = _header_place(tables, names) if tables else (candidates[0], 0)
    notes = []
    if encoding != form.encoding:
        notes.append(f"encoding {encoding.upper()}, detected from the first bytes")
    if delimiter != (form.delimiter or usual):
        notes.append(f"detected delimiter: {_SPOKEN.get(delimiter, repr(delimiter))}")
    if skipped:
        notes.append(f"skipped {skipped} line{'s' if skipped > 1 else ''} above the header")
    return Layout(delimiter, encoding, above + skipped, tuple(notes))


def _parsed(lines: Sequence[str], delimiter: str, *, quoted: bool) -> list[tuple[int, list[str]]]:
    """Rows at the start of a text, each with the number of lines above it."""
    quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE
    csv.field_size_limit(MAX_CELL)
    reader = csv.reader(lines, delimiter=delimiter, quoting=quoting)
    rows: list[tuple[int, list[str]]] = []
    above = 0
    try:
        for cells in reader:
            rows.append((above, [cell.strip() for cell in cells]))
            above = reader.line_num
            if len(rows) > _TITLE_ROWS + 1:
                break
    except csv.Error:
        pass
    return rows


def _header_place(tables: Mapping[str, list[tuple[int, list[str]]]], names: Names) -> tuple[str, int]:
    """Delimiter, and lines above the header: a row with the wanted columns, or else the first that has two cells."""
    for row in range(_TITLE_ROWS + 1):
        for delimiter, rows in tables.items():
            if names.wanted and row < len(rows) and names.fit(rows[row][1]):
                return delimiter, rows[row][0]
    places = {delimiter: header_row([cells for _, cells in rows]) for delimiter, rows in tables.items()}
    usual = next(iter(tables))
    widths = {mark: len(rows[places[mark]][1]) if rows else 0 for mark, rows in tables.items()}
    best = (
        usual if widths[usual] > 1 else max(tables, key=lambda mark: (_even(tables[mark], places[mark]), mark == usual))
    )
    rows = tables[best]
    return best, rows[places[best]][0] if rows else 0


def header_row(rows: Sequence[Sequence[str]]) -> int:
    """Position of the first row that is no title: titles fill one cell, where the rows below them fill more."""
    filled = [sum(bool(cell) for cell in cells) for cells in rows]
    first = next((n for n, count in enumerate(filled) if count), 0)
    if not filled or filled[first] > 1:
        return first
    wide = next((n for n, count in enumerate(filled) if count > 1), first)
    # A single column under its name is a table as well; one wide row alone is a sentence with a delimiter in it.
    return wide if filled[wide : wide + 2] and all(count > 1 for count in filled[wide : wide + 2]) and wide else first


def _even(rows: Sequence[tuple[int, Sequence[str]]], place: int) -> int:
    """Number of columns where the header and the row below it have equally many, else 1."""
    widths = [len(cells) for _, cells in rows[place : place + 2]]
    return widths[0] if widths and len(set(widths)) == 1 else 1
