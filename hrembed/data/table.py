"""A table of the user's own to training pairs, one row at a time, with nothing lost that can be used."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from hrembed.data.cells import CellError, Problem
from hrembed.data.pairs import NEGATIVE, PAIRS, pair_of, pair_sink
from hrembed.data.repeats import Repeats
from hrembed.files import filter_parquet, writing

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from types import TracebackType

    from hrembed.data.cells import Row
    from hrembed.data.pairs import PairColumn
    from hrembed.progress import Advance
    from hrembed.types import Bools, Pair

REJECTED = "rejected.jsonl"
_ID_COLUMNS: tuple[PairColumn, ...] = ("anchor_id", "positive_id")
_ROWS_PER_UPDATE = 1000


@dataclass(frozen=True)
class Imported:
    """What became of the rows of a table.

    Attributes:
        rows: Rows read.
        pairs: Pairs written.
        repeated: Rows left out because the same pair of the same group stood there before.
        rejected: Rows that could not be used; each is in `rejected.jsonl`.
        first: The first of them, None when there is none.
    """

    rows: int
    pairs: int
    repeated: int
    rejected: int
    first: Problem | None


def import_table(
    rows: Iterable[Row | Problem],
    columns: Mapping[PairColumn, str | None],
    kind: str,
    folder: Path,
    advance: Advance,
) -> Imported:
    """Write the pairs of a table to `pairs.parquet`, and what could not be used to `rejected.jsonl`.

    A row is rejected when a text is missing or blank, when it could not be read, or when its id stood for
    another text before; it is left out when the same pair stood there before. Memory does not grow with the table.

    Args:
        rows: What was read.
        columns: Column of pairs to the column of the table that holds it; None where none does.
        kind: Of pairs without one.
        folder: Where the files go.
        advance: Receives progress updates.
    """
    with TemporaryDirectory(dir=folder, prefix="unchecked-") as place, _Rejects(folder / REJECTED) as rejects:
        work = Path(place)
        ids, texts = _spool(work / "ids"), _spool(work / "pairs")
        read = written = 0
        with pair_sink(work / PAIRS, negatives=bool(columns.get(NEGATIVE))) as add:
            for row in rows:
                read += 1
                pair = _usable(row, columns, kind, rejects)
                if pair is not None:
                    add(pair)
                    _spool_keys(pair, ids, texts, written, row.number)
                    written += 1
                if read % _ROWS_PER_UPDATE == 0:
                    advance(_ROWS_PER_UPDATE, "")
        keep, repeated = _select(ids, texts, written, columns, rejects)
        filter_parquet(work / PAIRS, folder / PAIRS, keep)
    return Imported(read, int(keep.sum()), repeated, rejects.count, rejects.first)


def _spool(folder: Path) -> Repeats:
    folder.mkdir()
    return Repeats(folder)


class _Rejects:
    """The file of rejected rows; it is only there when there are some."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.count = 0
        self.first: Problem | None = None

    def __enter__(self) -> _Rejects:
        self._writing = writing(self._path)
        self._stream = self._writing.__enter__().open("w", encoding="utf-8")
        return self

    def add(self, problem: Problem) -> None:
        self.count += 1
        if self.first is None or problem.number < self.first.number:
            self.first = problem
        self._stream.write(json.dumps(vars(problem), ensure_ascii=False) + "\n")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stream.close()
        self._writing.__exit__(kind, error, traceback)
        if not self.count:
            self._path.unlink(missing_ok=True)


def _usable(row: Row | Problem, columns: Mapping[PairColumn, str | None], kind: str, rejects: _Rejects) -> Pair | None:
    """Make a pair of a row, or write down why not; complaints name the columns of the user's table."""
    if isinstance(row, Problem):
        rejects.add(row)
        return None
    values: dict[str, Any] = {
        name: row.values[column] for name, column in columns.items() if column and column in row.values
    }
    values["kind"] = values.get("kind") or kind
    try:
        return pair_of(values)
    except CellError as err:
        theirs = next((column for name, column in columns.items() if name == err.column and column), err.column)
        rejects.add(Problem(row.number, theirs, err.reason))
        return None


def _spool_keys(pair: Pair, ids: Repeats, texts: Repeats, position: int, number: int) -> None:
    """Put aside what tells whether a pair, or one of its ids, comes again."""
    texts.add("\0".join((pair.anchor, pair.positive, pair.group, pair.kind)), "", position, number)
    for side, (key, text) in enumerate(((pair.anchor_id, pair.anchor), (pair.positive_id, pair.positive))):
        if key:
            ids.add(key, text, 2 * position + side, number)


def _select(
    ids: Repeats, texts: Repeats, written: int, columns: Mapping[PairColumn, str | None], rejects: _Rejects
) -> tuple[Bools, int]:
    """Say which pairs stay, shape (written,): not those seen before, and not those whose id belongs to another text.

    Returns:
        Which stay, and how many were seen before.
    """
    keep = np.ones(written, dtype=bool)
    for repeat in ids.found():
        position, side = divmod(repeat.position, 2)
        if not repeat.same and keep[position]:
            keep[position] = False
            reason = f"its id stands for another text in row {repeat.first_number}"
            rejects.add(Problem(repeat.number, columns[_ID_COLUMNS[side]] or "", reason))
    repeated = 0
    for repeat in texts.found(among=keep.copy()):
        repeated += 1
        keep[repeat.position] = False
    return keep, repeated
