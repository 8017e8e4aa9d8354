"""Parquet files as streams of rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from hrembed.data.cells import Problem, Row
from hrembed.data.columns import with_names
from hrembed.errors import DataError

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
        raise DataError(f"'{file}' does not exist")
    try:
        table = pq.ParquetFile(file)
        renamed = names.need(table.schema_arrow.names, str(file))
        first = 1
        for batch in table.iter_batches(_BATCH):
            for row in _rows_of(batch, first):
                yield with_names(row, renamed) if renamed and isinstance(row, Row) else row
            first += batch.num_rows
    except (pa.ArrowException, OSError) as err:
        raise DataError(f"'{file}' is not a valid Parquet file: {err}") from None


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
