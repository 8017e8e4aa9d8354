"""The index above some hundred thousand rows: a table of LanceDB with scalar-quantised vectors (IVF_SQ).

The engine names candidates; which of them are best is computed here from their vectors, so its two scales of distance
(with and without refinement) never reach anybody. pylance is LanceDB's engine and format without its client: it alone
can rewrite a file because of a single deleted row, and one engine on a folder cannot contradict another.
"""

from __future__ import annotations

from functools import cached_property, partial
from math import ceil
from typing import TYPE_CHECKING, Any

import numpy as np

from hrembed.index.conditions import as_sql, quoted, text_literal
from hrembed.index.lance_table import TABLE, open_table
from hrembed.index.lexical import FOLDER, open_words
from hrembed.index.ranking import Block, checked_queries, id_key, rank_blocks, ranked
from hrembed.index.rows import missing_rows, no_texts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from hrembed.files import Cell
    from hrembed.index.conditions import Condition
    from hrembed.index.lexical import Words
    from hrembed.index.ranking import Hits
    from hrembed.records.index import Generation, IndexManifest
    from hrembed.types import Floats

_IDS_AT_ONCE = 1000  # of a condition
_ROWS_AT_ONCE = 16_384
_IN_PARALLEL = {"query_parallelism": -1}  # partitions on all processors; the default is one after the other
_MOST = 0.4  # of the rows: where more meet the conditions, these are looked at after the search
_SPARE = 1.4  # times the candidates that should then be left


class LanceIndex:
    """Documents of one generation in a table of LanceDB.

    Args:
        folder: The index.
        manifest: What `index.json` says.
        generation: Which of its generations is searched.
    """

    def __init__(self, folder: Path, manifest: IndexManifest, generation: Generation) -> None:
        self.folder = folder
        self.manifest = manifest
        self.generation = generation
        self.table = open_table(folder / generation.folder / TABLE)
        self._counts: dict[str | None, int] = {}  # by condition, in the version that is open

    @cached_property
    def _words(self) -> Words:
        return open_words(self.folder / self.generation.folder / FOLDER)

    def search(self, queries: Floats, k: int, where: Sequence[Condition] = ()) -> list[Hits]:
        """Find the k documents of highest cosine that meet all conditions.

        Rows that meet the conditions are counted first: few are all compared. Otherwise candidates come from every
        partition, since an engine that stops at k candidates misses the best under conditions that depend on the
        subject; only without a condition, and above the size that the build was told, from as many as it measured.

        Raises:
            ModelError: A query has other dimensions, or is not finite.
        """
        rows = checked_queries(queries, self.generation.space.dim)
        matching = self.count(where)
        few = matching <= self.generation.count_first if where else matching <= k * self.generation.refine
        if few or not self.generation.partitions:
            return self._compared(rows, k, where)
        return [self._nearest(query, k, where, matching) for query in rows]

    def _scan(self, **asked: Any) -> Any:
        return self._again(lambda table: table.scanner(**asked).to_table())

    def _again(self, ask: Callable[[Any], Any]) -> Any:
        """Ask the table, and once more where a writer has removed the version that was open."""
        try:
            return ask(self.table)
        except OSError:
            self.table = open_table(self.folder / self.generation.folder / TABLE)
            self._counts.clear()
            return ask(self.table)

    def _nearest(self, query: Floats, k: int, where: Sequence[Condition], matching: int) -> Hits:
        wanted = k * self.generation.refine
        found = self._candidates(query, wanted, where, matching)
        vectors = _matrix(found["vector"], self.generation.space.dim)
        hits = ranked(found["id"].to_pylist(), vectors, query, k)
        if self._undecided(hits, vectors @ query, min(k, matching), wanted):
            return self._compared(query[None], k, where)[0]
        return hits

    def _candidates(self, query: Floats, wanted: int, where: Sequence[Condition], matching: int) -> Any:
        """The rows that the engine puts first, `wanted` of them or all that match; sometimes more.

        Looking every row up in a list of most rows costs a quarter of a query. There, more neighbours are found first,
        and those are kept that match: where enough are left, they are the ones that the list would have given.
        """
        asked: dict[str, Any] = {"column": "vector", "q": query, "nprobes": self._probes(where), **_IN_PARALLEL}
        scan = partial(self._scan, columns=["id", "vector", "_distance"], filter=self._sql(where))
        share = matching / self.generation.rows
        if where and share > _MOST:
            found = scan(nearest=asked | {"k": ceil(_SPARE * wanted / share)}, prefilter=False)
            if len(found) >= wanted:
                return found
        return scan(nearest=asked | {"k": wanted}, prefilter=True)

    def _probes(self, where: Sequence[Condition]) -> int:
        """Partitions that are read: all of them under a condition, whose best rows may lie in any."""
        partitions = self.generation.partitions
        return partitions if where else self.generation.probes or partitions

    def _undecided(self, hits: Hits, scores: Floats, expected: int, wanted: int) -> bool:
        """Whether documents that are no candidate may belong to the best.

        The engine never finds a zero vector, whose cosine is 0 to all; and among more equal documents than there are
        candidates, it does not choose by the hash of the id.
        """
        if len(hits.ids) < expected:
            return True
        if self.generation.zero_vectors and hits.scores[-1] <= 0:
            return True
        return len(scores) >= wanted and bool(scores.min() >= hits.scores[-1] - 1e-6)

    def exact(self, queries: Floats, k: int, where: Sequence[Condition] = ()) -> list[Hits]:
        """Compare all documents that meet all conditions, as a matrix product.

        Raises:
            ModelError: A query has other dimensions, or is not finite.
        """
        return self._compared(checked_queries(queries, self.generation.space.dim), k, where)

    def _compared(self, rows: Floats, k: int, where: Sequence[Condition]) -> list[Hits]:
        """Compare unit rows with all documents; dividing them by their length once more would move the last digit."""
        return rank_blocks(rows, k, self.blocks(where))

    def blocks(self, where: Sequence[Condition] = ()) -> Iterator[Block]:
        """Ids and vectors of all documents that meet all conditions, some at a time."""
        scanner = self.table.scanner(columns=["id", "vector"], filter=self._sql(where), batch_size=_ROWS_AT_ONCE)
        for batch in scanner.to_batches():
            yield Block(_Ids(batch["id"]), _matrix(batch["vector"], self.generation.space.dim))

    def rows(self, ids: Sequence[str], columns: Sequence[str]) -> list[Mapping[str, Cell]]:
        """Kept columns of some documents, in the order asked for.

        Raises:
            DataError: An id is not in the index.
        """
        found: dict[str, Mapping[str, Cell]] = {}
        wanted = list(dict.fromkeys(["id", *columns]))
        for table in self._of(ids, wanted):
            found |= {row["id"]: {name: row[name] for name in columns} for row in table.to_pylist()}
        return [found[each] for each in self._present(ids, found)]

    def vectors(self, ids: Sequence[str]) -> Floats:
        """Vectors of some documents, shape (n, dim), in the order asked for.

        Raises:
            DataError: An id is not in the index.
        """
        dim = self.generation.space.dim
        found: dict[str, Floats] = {}
        for table in self._of(ids, ["id", "vector"]):
            found |= dict(zip(table["id"].to_pylist(), _matrix(table["vector"], dim), strict=True))
        return np.array([found[each] for each in self._present(ids, found)], dtype=np.float32).reshape(-1, dim)

    def lexical(self, text: str, k: int, where: Sequence[Condition] = ()) -> list[tuple[str, float]]:
        """Find the k documents of highest BM25 score that share a word with a text and meet all conditions.

        Raises:
            DataError: The texts are not in the index.
        """
        if not self.generation.lexical:
            raise no_texts(self.folder)
        scored = self._words.ranked(text)
        kept: list[tuple[str, float]] = []
        for start in range(0, len(scored), _IDS_AT_ONCE):
            part = scored[start : start + _IDS_AT_ONCE]
            if where:
                met = {
                    each
                    for table in self._of([each for each, _ in part], ["id"], where)
                    for each in table["id"].to_pylist()
                }
                part = [row for row in part if row[0] in met]
            kept += part
            if len(kept) >= k:
                break
        return kept[:k]

    def count(self, where: Sequence[Condition] = ()) -> int:
        """Count the documents that meet all conditions, once: counting a range takes half as long as a search."""
        sql = self._sql(where)
        if sql not in self._counts:
            self._counts[sql] = int(self._again(lambda table: table.count_rows(sql)))
        return self._counts[sql]

    def ids(self, where: Sequence[Condition] = ()) -> list[str]:
        """Ids of the documents that meet all conditions, in the order of their hashes."""
        return sorted(self._scan(columns=["id"], filter=self._sql(where))["id"].to_pylist(), key=id_key)

    def columns(self, names: Sequence[str]) -> Any:
        """Columns of all rows as an Arrow table: `id`, `text_hash`, `row_hash` or kept ones."""
        return self.table.to_table(columns=list(names))

    def batches(self, schema: Any) -> Iterator[Any]:
        """All rows with their vectors, as record batches of a schema."""
        yield from self.table.scanner(columns=schema.names, batch_size=_ROWS_AT_ONCE).to_batches()

    def plan(self, where: Sequence[Condition]) -> str:
        """How the engine would find rows that meet conditions, in its words."""
        plan: str = self.table.scanner(columns=["id"], filter=self._sql(where)).explain_plan(verbose=True)
        return plan

    def _of(self, ids: Sequence[str], columns: Sequence[str], where: Sequence[Condition] = ()) -> Iterator[Any]:
        for start in range(0, len(ids), _IDS_AT_ONCE):
            literals = ", ".join(text_literal(each) for each in ids[start : start + _IDS_AT_ONCE])
            condition = f"{quoted('id')} IN ({literals})"
            if where:
                condition += f" AND {self._sql(where)}"
            yield self._scan(columns=list(columns), filter=condition)

    def _present(self, ids: Sequence[str], found: Mapping[str, object]) -> Sequence[str]:
        missing = [each for each in ids if each not in found]
        if missing:
            raise missing_rows(self.folder, missing)
        return ids

    def _sql(self, where: Sequence[Condition]) -> str | None:
        return as_sql(where, self.generation.filters) if where else None


class _Ids:
    """Ids of a batch, read where they are asked for."""

    def __init__(self, column: Any) -> None:
        self._column = column

    def __getitem__(self, row: int) -> str:
        text: str = self._column[row].as_py()
        return text


def _matrix(column: Any, dim: int) -> Floats:
    whole = column.combine_chunks() if hasattr(column, "combine_chunks") else column
    return np.asarray(whole.flatten().to_numpy(zero_copy_only=False), dtype=np.float32).reshape(-1, dim)
