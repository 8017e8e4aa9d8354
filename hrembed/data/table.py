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
    from collections.abc import Callable, Iterable, Mapping

    from hrembed.data.cells import Row
    from hrembed.types import Bools, Pair

REJECTED = "rejected.jsonl"
_IDS = (("anchor_id", "anchor"), ("positive_id", "positive"))
_STEP = 1000


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
    columns: Mapping[str, str | None],
    kind: str,
    folder: Path,
    advance: Callable[[int, str], None],
) -> Imported:
    """Write the pairs of a table to `pairs.parquet`, and what could not be used to `rejected.jsonl`.

    A row is rejected when a text is missing or blank, when it could not be read, or when its id stood for
    another text before; it is left out when the same pair stood there before. Memory does not grow with the table.

    Args:
        rows: What was read.
        columns: Field of `Pair` to column of the table.
        kind: Of pairs without one.
        folder: Where the files go.
        advance: Told about every thousand rows.
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
                    _remember(pair, ids, texts, written, row.number)
                    written += 1
                if read % _STEP == 0:
                    advance(_STEP, "")
        keep, repeated = _kept(ids, texts, written, columns, rejects)
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

    def __exit__(self, *error: Any) -> None:
        self._stream.close()
        self._writing.__exit__(*error)
        if not self.count:
            self._path.unlink(missing_ok=True)


def _usable(row: Row | Problem, columns: Mapping[str, str | None], kind: str, rejects: _Rejects) -> Pair | None:
    """Make a pair of a row, or write down why not; complaints name the columns of the user's table."""
    if isinstance(row, Problem):
        rejects.add(row)
        return None
    values = {name: row.values[column] for name, column in columns.items() if column and column in row.values}
    values["kind"] = values.get("kind") or kind
    try:
        return pair_of(values)
    except CellError as err:
        rejects.add(Problem(row.number, columns[err.column] or err.column, err.reason))
        return None


def _remember(pair: Pair, ids: Repeats, texts: Repeats, position: int, number: int) -> None:
    texts.add("\0".join((pair.anchor, pair.positive, pair.group, pair.kind)), "", position, number)
    for n, (key, text) in enumerate(_IDS):
        if getattr(pair, key):
            ids.add(getattr(pair, key), getattr(pair, text), 2 * position + n, number)


def _kept(
    ids: Repeats, texts: Repeats, written: int, columns: Mapping[str, str | None], rejects: _Rejects
) -> tuple[Bools, int]:
    """Say which pairs stay: not those seen before, and not those whose id belongs to another text."""
    keep = np.ones(written, dtype=bool)
    for repeat in ids.found():
        position, side = divmod(repeat.position, 2)
        if not repeat.same and keep[position]:
            keep[position] = False
            reason = f"its id stands for another text in row {repeat.first_number}"
            rejects.add(Problem(repeat.number, columns[_IDS[side][0]] or "", reason))
    repeated = 0
    for repeat in texts.found(among=keep.copy()):
        repeated += 1
        keep[repeat.position] = False
    return keep, repeated
