"""Tables of LanceDB: made in small files, indexed on every filter, and purged so that a deleted row is gone."""

from __future__ import annotations

import os
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from hrembed.errors import DataError, ModelError
from hrembed.index.conditions import quoted, text_literal
from hrembed.models.machine import threads
from hrembed.version import version_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from hrembed.records.index import FilterType

TABLE = "rows.lance"
ROWS_PER_FILE = 50_000
"""So that rewriting the file of one deleted row writes some 75 MB of 384 numbers each, and not the whole table."""
_ROWS_PER_PARTITION = 8192
_LEAST = 2000
"""Rows below which vectors have no index: all are compared anyway."""
_IDS_AT_ONCE = 1000
_SCALAR: Mapping[FilterType, str] = {
    "text": "BITMAP",
    "texts": "LABEL_LIST",
    "yes or no": "BITMAP",
    "whole number": "BTREE",
    "number": "BTREE",
}


def lance() -> Any:
    """Import the engine.

    Raises:
        ModelError: It is not installed.
    """
    if not version_of("pylance"):
        raise ModelError(
            "an index of this size needs LanceDB, which is not installed", hint='`pip install "hrembed[index]"`'
        )
    # Read when the engine is imported. Left alone, it keeps two processors for reading files, of two all but one.
    os.environ.setdefault("LANCE_LOG", "error")
    os.environ.setdefault("LANCE_CPU_THREADS", str(threads()))
    import lance as engine

    return engine


def open_table(place: Path) -> Any:
    """Open a table.

    Raises:
        DataError: It is missing or damaged.
        ModelError: The engine is not installed.
    """
    engine = lance()
    try:
        return engine.dataset(str(place))
    except (OSError, ValueError) as err:
        raise DataError(
            f"'{place}' is not a whole table: {str(err).splitlines()[0][:120]}", hint="build the index again"
        ) from None


def create_table(place: Path, batches: Iterable[Any], schema: Any, filters: Mapping[str, FilterType]) -> Any:
    """Write rows as a new table and index it.

    Args:
        place: Where it will lie.
        batches: Record batches of the schema, read once.
        schema: `id`, `vector`, hashes and kept columns.
        filters: Columns that get an index of their own.
    """
    import pyarrow as pa

    engine = lance()
    place.parent.mkdir(parents=True, exist_ok=True)
    with _reading(batches) as watched:
        reader = pa.RecordBatchReader.from_batches(schema, watched)
        table = engine.write_dataset(reader, str(place), mode="overwrite", max_rows_per_file=ROWS_PER_FILE)
    index_columns(table, filters)
    index_vectors(table)
    return table


def index_columns(table: Any, filters: Mapping[str, FilterType]) -> None:
    """Index the ids and every filter."""
    table.create_scalar_index("id", "BTREE", name="id")
    for name, kind in filters.items():
        table.create_scalar_index(name, _SCALAR[kind], name=f"filter {name}")


def index_vectors(table: Any) -> None:
    """Quantise the vectors and divide them into partitions, where there are enough of them."""
    rows = table.count_rows()
    if rows >= _LEAST:
        partitions = max(1, round(rows / _ROWS_PER_PARTITION))
        table.create_index("vector", "IVF_SQ", name="vector", metric="cosine", num_partitions=partitions, replace=True)


def partitions_of(table: Any) -> int:
    """Partitions of the vector index; 0 where there is none."""
    if "vector" not in {index.name for index in table.describe_indices()}:
        return 0
    return max(len(part["partitions"]) for part in table.stats.index_stats("vector")["indices"])


def unindexed_rows(table: Any) -> dict[str, int]:
    """Rows that an index does not hold yet, for each index."""
    names = [index.name for index in table.describe_indices()]
    return {name: int(table.stats.index_stats(name)["num_unindexed_rows"]) for name in names}


def upsert(table: Any, batches: Iterable[Any], schema: Any) -> None:
    """Add rows, and put them in place of those with the same id."""
    import pyarrow as pa

    with _reading(batches) as watched:
        reader = pa.RecordBatchReader.from_batches(schema, watched)
        table.merge_insert("id").when_matched_update_all().when_not_matched_insert_all().execute(reader)


@contextmanager
def _reading(batches: Iterable[Any]) -> Iterator[Iterator[Any]]:
    """Give batches to the engine, which turns what is raised while they are read into an error of its own."""
    raised: list[BaseException] = []

    def watched() -> Iterator[Any]:
        try:
            yield from batches
        except BaseException as err:
            raised.append(err)
            raise

    try:
        yield watched()
    except BaseException:
        if raised:
            raise raised[0] from None
        raise


def delete_ids(table: Any, ids: Sequence[str]) -> None:
    """Mark rows as deleted; `purge` removes them."""
    for start in range(0, len(ids), _IDS_AT_ONCE):
        literals = ", ".join(text_literal(each) for each in ids[start : start + _IDS_AT_ONCE])
        table.delete(f"{quoted('id')} IN ({literals})")


def purge(table: Any) -> None:
    """Bring new rows into all indices, and leave nothing of deleted rows and of earlier versions on the disk.

    Files in which a single row was deleted are rewritten: by default, the engine keeps a file until a tenth of its
    rows is deleted. Files that a killed writer left are removed as well; the caller holds the lock of the index.
    """
    table.optimize.compact_files(
        target_rows_per_fragment=ROWS_PER_FILE, materialize_deletions=True, materialize_deletions_threshold=0.0
    )
    table.optimize.optimize_indices(num_indices_to_merge=_ALL)
    if not partitions_of(table):
        index_vectors(table)
    table.cleanup_old_versions(timedelta(0), delete_unverified=True)


_ALL = 1000
"""More pieces than an index ever has: it becomes one piece again."""
