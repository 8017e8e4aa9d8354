"""What an export holds: its columns as they are recognised, and what nobody but the user can say."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hrembed.data.ats_columns import ATTRIBUTES, NEEDED, TABLES, TEXT_COLUMNS, recognise
from hrembed.data.cells import Row
from hrembed.data.rows import read_rows
from hrembed.data.stages import stage_of
from hrembed.errors import DataError
from hrembed.files import exists
from hrembed.registry import nearest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from hrembed.data.ats_columns import AtsTable
    from hrembed.records.ats import Stage


@dataclass(frozen=True)
class ExportTable:
    """A table of an export, and how its columns are read.

    Attributes:
        name: Which of the three.
        file: Where it lies.
        header: Its columns.
        columns: Name here -> name in the file; None for one that is recognised and shall not be read.
    """

    name: AtsTable
    file: Path
    header: Sequence[str]
    columns: Mapping[str, str | None]

    @property
    def unused(self) -> list[str]:
        """Columns that no name here stands for."""
        return [column for column in self.header if column not in self.columns.values()]

    @property
    def missing(self) -> list[str]:
        """Names here that the import cannot do without; of the texts, one is enough."""
        read = {ours for ours, theirs in self.columns.items() if theirs is not None}
        needed = [ours for ours in NEEDED[self.name] if ours not in read]
        texts = TEXT_COLUMNS[self.name]
        return needed if not texts or read.intersection(texts) else [*needed, texts[0]]


@dataclass(frozen=True)
class Export:
    """Jobs, candidates and applications.

    Attributes:
        tables: In this order.
        stages: Status of which nothing says how far such an application came -> what the settings say of it.
    """

    tables: Sequence[ExportTable]
    stages: Mapping[str, Stage] = field(default_factory=dict)

    @property
    def attributes(self) -> list[str]:
        """Categories of people in the tables, for the legal tables of an audit."""
        return [name for name in ATTRIBUTES if any(table.columns.get(name) for table in self.tables)]


def look_at_table(name: AtsTable, file: Path, given: Mapping[str, str] = {}) -> ExportTable:
    """Read the header of a table, and recognise its columns.

    Args:
        name: What it holds.
        file: Where it lies.
        given: Name here -> name in the file, which come first.

    Raises:
        DataError: There is no such file, it holds no row, or it has no such column as was given.
    """
    if not exists(file):
        raise DataError(f"'{file}' does not exist", hint=f"specify the file with the {name} of the export")
    row = next((row for row in read_rows(file, ()) if isinstance(row, Row)), None)
    if row is None:
        raise DataError(f"'{file}' contains no readable rows", hint="export it again, including its header")
    header = [str(column) for column in row.values]
    for theirs in given.values():
        if theirs not in header:
            raise DataError(
                f"'{file}': column '{theirs}' not found{nearest(theirs, header)}",
                hint=f"available columns: {', '.join(header)}",
            )
    return ExportTable(name, file, header, {**recognise(name, header), **given})


def look_at_export(tables: Sequence[ExportTable]) -> Export:
    """Read the statuses of the applications.

    Unknown ones count as pending, which is not judged, until the user says more.

    Raises:
        DataError: A column that is needed was not recognised.
    """
    for table in tables:
        if table.missing:
            raise DataError(
                (
                    f"{table.file}: no column recognised as {', '.join((f'`{name}`' for name in table.missing))} "
                    f"(columns: {', '.join(table.header)})"
                ),
                hint=f"specify the column: --column {table.name}.{table.missing[0]}=NAME",
            )
    applications = next(table for table in tables if table.name == TABLES[-1])
    column = applications.columns["status"]
    said = (row.values.get(str(column)) for row in read_rows(applications.file, ()) if isinstance(row, Row))
    statuses = dict.fromkeys(str(status).strip() for status in said if status is not None)
    return Export(tables, {status: "pending" for status in statuses if status and stage_of(status) is None})


def path_in(folder: Path, file: Path) -> str:
    """A path as a config in the folder names it: relative where the file lies inside, else from the root."""
    inside, whole = os.path.abspath(folder), os.path.abspath(file)  # noqa: PTH100 - `resolve` would follow links
    return os.path.relpath(whole, inside).replace(os.sep, "/") if whole.startswith(f"{inside}{os.sep}") else whole
