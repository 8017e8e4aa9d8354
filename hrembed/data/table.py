"""A table of the user's own to training pairs, one row at a time, with nothing lost that can be used."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np

from hrembed.data.cells import CellError, Problem
from hrembed.data.pairs import COLUMNS, NEGATIVE, PAIRS, MissingTextError, is_pair_column, pair_sink, pairs_of
from hrembed.data.repeats import Repeats
from hrembed.files import filter_parquet, writing

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
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
        repeated: Pairs left out because the same pair of the same group stood there before.
        missing: Rows left out because a text only marks that there is none, such as `N/A`.
        rejected: Rows that could not be used; each is in `rejected.jsonl`.
        first: The first of them, None when there is none.
    """

    rows: int
    pairs: int
    repeated: int
    missing: int
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
        columns: Column of pairs to the column of the table that holds it; None leaves it out. Rows already have the
            names of pairs.
        kind: Of pairs without one.
        folder: Where the files go.
        advance: Receives progress updates.
    """
    with TemporaryDirectory(dir=folder, prefix="unchecked-") as place, _Rejects(folder / REJECTED) as rejects:
        work = Path(place)
        ids, texts = _spool(work / "ids"), _spool(work / "pairs")
        read = written = missing = 0
        has_negatives = False
        with pair_sink(work / PAIRS, negatives=bool(columns.get(NEGATIVE))) as add:
            for row in rows:
                read += 1
                try:
                    pairs = _usable(row, columns, kind, rejects)
                except MissingTextError:
                    missing += 1
                    continue
                for pair in pairs:
                    has_negatives = has_negatives or bool(pair.negatives)
                    add(pair)
                    _spool_keys(pair, ids, texts, written, row.number)
                    written += 1
                if read % _ROWS_PER_UPDATE == 0:
                    advance(_ROWS_PER_UPDATE, "")
        keep, repeated = _select(ids, texts, written, columns, rejects)
        filter_parquet(work / PAIRS, folder / PAIRS, keep, () if has_negatives else (NEGATIVE,))
    return Imported(read, int(keep.sum()), repeated, missing, rejects.count, rejects.first)


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


def _usable(
    row: Row | Problem, columns: Mapping[PairColumn, str | None], kind: str, rejects: _Rejects
) -> Sequence[Pair]:
    """Make pairs of a row, or write down why not; complaints name the columns of the user's table.

    Raises:
        MissingTextError: A text marks that there is none.
    """
    if isinstance(row, Problem):
        rejects.add(row)
        return ()
    left_out = {name for name, column in columns.items() if column is None}
    values = {
        name: value for name, value in row.values.items() if not (is_pair_column(name) and _column(name) in left_out)
    }
    try:
        pairs = pairs_of(values)
    except MissingTextError:
        raise
    except CellError as err:
        rejects.add(Problem(row.number, row.theirs(err.column), err.reason))
        return ()
    return pairs if values.get("kind") else [replace(pair, kind=kind) for pair in pairs]


def _column(name: str) -> str:
    """The column of pairs that a name belongs to: `negative_1` is one of `negative`."""
    return name if name in COLUMNS else NEGATIVE


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
            reason = f"its id is already used for a different text in row {repeat.first_number}"
            rejects.add(Problem(repeat.number, columns[_ID_COLUMNS[side]] or "", reason))
    repeated = 0
    for repeat in texts.found(among=keep.copy()):
        repeated += 1
        keep[repeat.position] = False
    return keep, repeated
