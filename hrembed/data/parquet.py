"""Parquet files as streams of rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from hrembed.data.cells import Problem, Row
from hrembed.data.columns import with_names
from hrembed.errors import DataError
from hrembed.files import instead_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hrembed.data.columns import Names

_BATCH = 2_000


def parquet_rows(file: Path, names: Names) -> Iterator[Row | Problem]:
    """Stream the rows of a Parquet file, numbered from 1.

    Raises:
        DataError: The file is missing or broken, or has no such column.
    """
    if not file.is_file():
        raise DataError(f"'{file}' does not exist", hint=instead_of(file))
    with file.open("rb") as stream:
        yield from rows_from(stream, names)


def rows_from(stream: BinaryIO, names: Names, first: int = 0) -> Iterator[Row | Problem]:
    """Stream the rows of an open Parquet file from a place on; row groups before it are not read.

    Args:
        stream: The file.
        names: Columns that are wanted, and what messages call the file.
        first: Place of the first row, from 0; rows are numbered from 1 all the same.

    Raises:
        DataError: The file is broken, or has no such column.
    """
    try:
        table = pq.ParquetFile(stream)
        renamed = names.need(table.schema_arrow.names, names.file)
        at, groups = _groups_from(table, first)
        for batch in table.iter_batches(_BATCH, row_groups=groups):
            before = min(max(first - at, 0), batch.num_rows)
            for row in _rows_of(batch.slice(before), at + before + 1):
                yield with_names(row, renamed) if renamed and isinstance(row, Row) else row
            at += batch.num_rows
    except (pa.ArrowException, OSError) as err:
        raise DataError(f"'{names.file}' is not a valid Parquet file: {err}") from None


def _groups_from(table: Any, first: int) -> tuple[int, list[int]]:
    """Place of the first row that is read, and the row groups that hold what comes from `first` on."""
    at = 0
    for group in range(table.num_row_groups):
        rows = table.metadata.row_group(group).num_rows
        if at + rows > first:
            return at, list(range(group, table.num_row_groups))
        at += rows
    return at, []


def _rows_of(batch: Any, first: int) -> Iterator[Row | Problem]:
    try:
        rows = batch.to_pylist()
    except (ValueError, OverflowError):  # a text that is not UTF-8, a date after the year 9999
        yield from (_row_of(batch, n, first + n) for n in range(batch.num_rows))
    else:
        yield from (Row(number, values) for number, values in enumerate(rows, first))


def _row_of(batch: Any, position: int, number: int) -> Row | Problem:
    """Read a row cell by cell, to find the one that cannot be read."""
    values = {}
    for column in batch.schema.names:
        try:
            values[column] = batch[column][position].as_py()
        except (ValueError, OverflowError) as err:
            return Problem(number, column, f"cannot be read ({type(err).__name__})")
    return Row(number, values)
