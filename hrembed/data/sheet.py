"""Spreadsheets (`.xlsx`) as streams of rows; they need the extra `hrembed[xlsx]`."""

from __future__ import annotations

import zipfile
from datetime import date, datetime
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

from hrembed.data.columns import Header
from hrembed.data.layout import header_row
from hrembed.errors import DataError
from hrembed.files import instead_of
from hrembed.records.tables import report_table

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hrembed.data.cells import Problem, Row
    from hrembed.data.columns import Names

_TITLE_ROWS = 20


def sheet_rows(file: Path, names: Names) -> Iterator[Row | Problem]:
    """Stream the rows of the first sheet that has the wanted columns, or else of the first, as texts.

    Formulas count as their last value.

    Raises:
        DataError: openpyxl is not installed; the file is missing or broken, or has no such column.
    """
    if not file.is_file():
        raise DataError(f"'{file}' does not exist", hint=instead_of(file))
    try:
        import openpyxl
    except ImportError:
        raise DataError(
            f"'{file}': reading spreadsheets requires the package openpyxl",
            hint="`pip install 'hrembed[xlsx]'`, or save the sheet as CSV in UTF-8",
        ) from None
    from openpyxl.utils.exceptions import InvalidFileException

    try:
        book = openpyxl.load_workbook(file, read_only=True, data_only=True)
    except (InvalidFileException, zipfile.BadZipFile, KeyError, ValueError, OSError, EOFError) as err:
        raise DataError(f"'{file}' is not a valid spreadsheet: {err}") from None
    try:
        sheets = book.worksheets
        if not sheets:
            raise DataError(f"'{file}' has no sheet with data")
        sheet = next((sheet for sheet in sheets if names.wanted and _fits(sheet, names)), sheets[0])
        if len(sheets) > 1:
            report_table(file, notes=[f"reading only the sheet '{sheet.title}' of {len(sheets)}"])
        yield from _below_header(file, _numbered(sheet), names)
    finally:
        book.close()


def _numbered(sheet: Any) -> Iterator[tuple[int, list[str]]]:
    return enumerate(([_text(cell) for cell in cells] for cells in sheet.iter_rows(values_only=True)), 1)


def _fits(sheet: Any, names: Names) -> bool:
    """Whether one of the first rows of a sheet is a header with the wanted columns."""
    return any(names.fit([cell.strip() for cell in cells]) for _, cells in islice(_numbered(sheet), _TITLE_ROWS + 1))


def _below_header(file: Path, numbered: Iterator[tuple[int, list[str]]], names: Names) -> Iterator[Row | Problem]:
    start = list(islice(numbered, _TITLE_ROWS + 1))
    fitting = (n for n, (_, cells) in enumerate(start) if names.wanted and names.fit(cells))
    place = next(fitting, header_row([cells for _, cells in start]))
    if not start:
        return
    if place:
        report_table(file, notes=[f"skipped {place} row{'s' if place > 1 else ''} above the header"])
    number, cells = start[place]
    header = Header(f"{file}:{number}", [cell.strip() for cell in cells], names)
    for row_number, row in chain(start[place + 1 :], numbered):
        if any(row):  # some programs leave out the empty cells at the end of a row
            yield header.row(row_number, row + [""] * (len(cells) - len(row)))
    names.notes += header.notes()


def _text(cell: object) -> str:
    """Write a cell as a CSV export would: whole numbers without a point, dates in ISO form."""
    if cell is None:
        return ""
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    if isinstance(cell, datetime) and (cell.hour, cell.minute, cell.second) == (0, 0, 0):
        return cell.date().isoformat()
    return cell.isoformat() if isinstance(cell, datetime | date) else str(cell)
