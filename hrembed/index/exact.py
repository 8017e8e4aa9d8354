"""The index below some hundred thousand rows: all vectors in one file, mapped into memory and compared one by one."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from hrembed.index.conditions import mask
from hrembed.index.lexical import FOLDER, open_words
from hrembed.index.ranking import Block, checked_queries, id_key, rank_blocks
from hrembed.index.rows import missing_rows, no_texts, unreadable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from hrembed.files import Cell
    from hrembed.index.conditions import Condition
    from hrembed.index.lexical import Words
    from hrembed.index.ranking import Hits
    from hrembed.records.index import Generation, IndexManifest
    from hrembed.types import Bools, Floats, Ints

VECTORS, ROWS = "vectors.npy", "rows.parquet"
_ROWS_AT_ONCE = 65_536


def write_exact(folder: Path, table: Any, vectors: Floats) -> None:
    """Write documents in the order of the hashes of their ids.

    Args:
        folder: A new folder.
        table: Arrow table with `id`, the hashes and the kept columns.
        vectors: Unit rows, shape (n, dim), in the order of the table.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    ids = table["id"].to_pylist()
    order = np.array(sorted(range(len(ids)), key=lambda row: id_key(ids[row])), dtype=np.int64)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ROWS).open("wb") as stream:
        pq.write_table(table.take(pa.array(order)), stream, compression="zstd")
    shape = (len(order), vectors.shape[1])
    mapped = np.lib.format.open_memmap(folder / VECTORS, mode="w+", dtype=np.float32, shape=shape)
    for start in range(0, len(order), _ROWS_AT_ONCE):
        mapped[start : start + _ROWS_AT_ONCE] = vectors[order[start : start + _ROWS_AT_ONCE]]
    mapped.flush()


class ExactIndex:
    """Documents of one generation, all of which are compared.

    Args:
        folder: The index.
        manifest: What `index.json` says.
        generation: Which of its generations is searched.

    Raises:
        DataError: Its files are damaged, or were replaced at this moment.
    """

    def __init__(self, folder: Path, manifest: IndexManifest, generation: Generation) -> None:
        self.folder = folder
        self.manifest = manifest
        self.generation = generation
        self._rows = folder / generation.folder
        # Both are opened at once: a writer removes the folder, and what is open stays as it is.
        self._table, self._vectors = _opened(self._rows)

    @cached_property
    def _ids(self) -> list[str]:
        ids: list[str] = self._table["id"].to_pylist()
        return ids

    @cached_property
    def _row_of(self) -> dict[str, int]:
        return {document: row for row, document in enumerate(self._ids)}

    @cached_property
    def _words(self) -> Words:
        return open_words(self._rows / FOLDER)

    def search(self, queries: Floats, k: int, where: Sequence[Condition] = ()) -> list[Hits]:
        """Find the k documents of highest cosine that meet all conditions; here the same as `exact`.

        Raises:
            ModelError: A query has other dimensions, or is not finite.
        """
        return self.exact(queries, k, where)

    def exact(self, queries: Floats, k: int, where: Sequence[Condition] = ()) -> list[Hits]:
        """Compare all documents that meet all conditions, as a matrix product.

        Raises:
            ModelError: A query has other dimensions, or is not finite.
        """
        rows = checked_queries(queries, self.generation.space.dim)
        return rank_blocks(rows, k, self.blocks(where))

    def blocks(self, where: Sequence[Condition] = ()) -> Iterator[Block]:
        """Ids and vectors of all documents that meet all conditions, some at a time."""
        rows = np.flatnonzero(self._mask(where)) if where else None
        count = len(self._ids) if rows is None else len(rows)
        for start in range(0, count, _ROWS_AT_ONCE):
            part = slice(start, min(start + _ROWS_AT_ONCE, count))
            if rows is None:
                yield Block(self._ids[part], self._vectors[part])
            else:
                yield Block([self._ids[row] for row in rows[part].tolist()], self._vectors[rows[part]])

    def rows(self, ids: Sequence[str], columns: Sequence[str]) -> list[Mapping[str, Cell]]:
        """Kept columns of some documents, in the order asked for.

        Raises:
            DataError: An id is not in the index.
        """
        found: list[Mapping[str, Cell]] = self._table.select(list(columns)).take(self._places(ids)).to_pylist()
        return found

    def vectors(self, ids: Sequence[str]) -> Floats:
        """Vectors of some documents, shape (n, dim), in the order asked for.

        Raises:
            DataError: An id is not in the index.
        """
        return np.asarray(self._vectors[self._places(ids)])

    def lexical(self, text: str, k: int, where: Sequence[Condition] = ()) -> list[tuple[str, float]]:
        """Find the k documents of highest BM25 score that share a word with a text and meet all conditions.

        Raises:
            DataError: The texts are not in the index.
        """
        if not self.generation.lexical:
            raise no_texts(self.folder)
        scored = self._words.ranked(text)
        if not where:
            return scored[:k]
        met = self._mask(where)
        return [(document, score) for document, score in scored if met[self._row_of[document]]][:k]

    def count(self, where: Sequence[Condition] = ()) -> int:
        """Count the documents that meet all conditions."""
        return int(self._mask(where).sum()) if where else len(self._ids)

    def ids(self, where: Sequence[Condition] = ()) -> list[str]:
        """Ids of the documents that meet all conditions, in the order of their hashes."""
        return [self._ids[row] for row in np.flatnonzero(self._mask(where)).tolist()] if where else list(self._ids)

    def columns(self, names: Sequence[str]) -> Any:
        """Columns of all rows as an Arrow table: `id`, `text_hash`, `row_hash` or kept ones."""
        return self._table.select(list(names))

    def batches(self, schema: Any) -> Iterator[Any]:
        """All rows with their vectors, as record batches of a schema."""
        import pyarrow as pa

        for start in range(0, len(self._ids), _ROWS_AT_ONCE):
            part = self._table.slice(start, _ROWS_AT_ONCE)
            numbers = pa.array(self._vectors[start : start + _ROWS_AT_ONCE].reshape(-1))
            vector = pa.FixedSizeListArray.from_arrays(numbers, self.generation.space.dim)
            yield from (
                part.append_column("vector", vector).select(schema.names).cast(schema).combine_chunks().to_batches()
            )

    def _mask(self, where: Sequence[Condition]) -> Bools:
        met: Bools = mask(where, self._table)
        return met

    def _places(self, ids: Sequence[str]) -> Ints:
        missing = [each for each in ids if each not in self._row_of]
        if missing:
            raise missing_rows(self.folder, missing)
        return np.array([self._row_of[each] for each in ids], dtype=np.int64)


def _opened(place: Path) -> tuple[Any, Floats]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with (place / ROWS).open("rb") as stream:
            table = pq.read_table(stream)
        return table, np.asarray(np.load(place / VECTORS, mmap_mode="r", allow_pickle=False))
    except (OSError, ValueError, pa.ArrowException) as err:
        raise unreadable(place, err) from None
