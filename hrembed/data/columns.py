"""Which column of a file is which: by its own name, by the settings, or by another usual name of it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from hrembed.data.cells import Problem, Row, require_columns
from hrembed.data.locate import is_shipped
from hrembed.errors import DataError
from hrembed.records.tables import report_table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path


def plain(name: str) -> str:
    """Write a column's name as its other spellings are compared: `Corpus ID` and `corpus-id` as `corpus_id`."""
    return re.sub(r"[\s_-]+", "_", name.strip().lower())


class Names:
    """Names of the columns of one file.

    Args:
        file: What messages call the file.
        wanted: Columns that must be there.
        given: Name here -> name in the file, as the settings say.
        known_as: Column to other usual names of it, which are taken where the column is not there.

    Attributes:
        notes: Columns that were taken under another usual name.
    """

    def __init__(
        self, file: str, wanted: Sequence[str], given: Mapping[str, str], known_as: Mapping[str, Sequence[str]]
    ) -> None:
        self.file, self.wanted, self._given, self._known_as = file, wanted, given, known_as
        self.notes: list[str] = []
        self._seen: dict[tuple[str, ...], dict[str, str]] = {}

    def of(self, present: Sequence[str]) -> dict[str, str]:
        """Name here -> name in the file, of the columns whose names differ."""
        names = {ours: theirs for ours, theirs in self._given.items() if theirs != ours}
        taken = {*self._given.values(), *self._given}
        spelled = {plain(column): column for column in reversed(present) if column not in taken}
        for ours, others in self._known_as.items():
            if ours in self._given or ours in present:
                continue
            theirs = next((spelled[name] for name in map(plain, (ours, *others)) if name in spelled), None)
            if theirs is not None and theirs not in names.values():
                names[ours] = theirs
        return names

    def fit(self, present: Sequence[str]) -> bool:
        """Whether a header has all wanted columns."""
        names = self.of(present)
        return all(names.get(column, column) in present for column in self.wanted)

    def needs(self, column: str) -> bool:
        """Whether a column of the file is wanted, by its own name, by the settings, or by another usual name."""
        spellings = {plain(name) for ours, others in self._known_as.items() for name in (ours, *others)}
        return column in {*self.wanted, *self._given.values()} or plain(column) in spellings

    def need(self, present: Sequence[str], where: str) -> dict[str, str]:
        """Give the names that differ, as `of`.

        Raises:
            DataError: A wanted column is not present, or one stands twice.
        """
        names = self.of(present)
        given = [theirs for ours, theirs in self._given.items() if ours in self.wanted or theirs != ours]
        wanted = [names.get(column, column) for column in self.wanted]
        require_columns(where, present, [*wanted, *given], self._hint(present, names))
        self._note(names)
        return names

    def _hint(self, present: Sequence[str], names: Mapping[str, str]) -> str:
        """Say how another column is named as the one that is missing, where a command reads such names."""
        missing = next((column for column in self.wanted if names.get(column, column) not in present), "")
        if not missing or missing in self._given or not self._known_as:
            return ""
        if missing in {"anchor", "positive"}:
            return (
                f"map the column: `hrembed data import table {self.file} --set columns.{missing}=NAME` writes "
                "pairs that every command can read"
            )
        return f"map the column under `columns`, next to `path`: `columns: {{{missing}: NAME}}`"

    def renamed(self, row: Row) -> Row:
        """Give a row its names here; rows of JSON have each its own columns, and are not refused for a missing one."""
        keys = tuple(row.values)
        if keys not in self._seen:
            self._seen[keys] = {
                ours: theirs for ours, theirs in self.of(keys).items() if theirs in row.values or ours in self._given
            }
            self._note(self._seen[keys])
        names = self._seen[keys]
        return with_names(row, names) if names else row

    def _note(self, names: Mapping[str, str]) -> None:
        recognised = [f"'{theirs}' as `{ours}`" for ours, theirs in names.items() if ours not in self._given]
        new = [name for name in recognised if not any(name in note for note in self.notes)]
        if new:
            self.notes.append(f"reading {', '.join(new)}")


def with_names(row: Row, names: Mapping[str, str]) -> Row:
    """Give columns of a row their names here: `names` says name here -> name in the file."""
    theirs = set(names.values())
    values = {column: value for column, value in row.values.items() if column not in theirs and column not in names}
    values.update({ours: row.values[column] for ours, column in names.items() if column in row.values})
    shadowed = tuple(ours for ours in names if ours in row.values and ours not in theirs)
    return Row(row.number, values, dict(names), shadowed)


class Header:
    """The header of a table; makes rows of cells.

    Args:
        where: File and line of the header, for messages.
        cells: Names of the columns; nothing where a spreadsheet has an empty column.
        names: Which of them are wanted, and under which names.

    Raises:
        DataError: A column that is wanted is missing, or one stands twice.
    """

    def __init__(self, where: str, cells: Sequence[str], names: Names) -> None:
        self.cells = cells
        named = [name for name in cells if name]
        # What is wanted must be one column; another name may stand twice, and neither column is used.
        self._repeated = {name for name in named if named.count(name) > 1 and not names.needs(name)}
        self._columns = [(n, name) for n, name in enumerate(cells) if name and name not in self._repeated]
        self._last = max((n for n, _ in self._columns), default=-1)
        if not named:
            raise DataError(f"{where}: expected column names, found a blank line")
        self._names = names.need([name for _, name in self._columns], where)
        self._unnamed: dict[int, int] = {}

    def row(self, number: int, cells: Sequence[Any]) -> Row | Problem:
        """Make a row; cells beyond the last column may be there as long as they are empty."""
        beyond = [n for n in range(len(self.cells), len(cells)) if cells[n]]
        if len(cells) <= self._last or beyond:
            column = self.cells[len(cells)] if len(cells) < len(self.cells) else ""
            return Problem(number, column, f"expected {len(self.cells)} cells as in the header, got {len(cells)}")
        if "" in self.cells:
            for n, cell in enumerate(cells[: len(self.cells)]):
                if cell and not self.cells[n]:
                    self._unnamed.setdefault(n, number)
        row = Row(number, {name: cells[n] for n, name in self._columns})
        return with_names(row, self._names) if self._names else row

    def notes(self) -> list[str]:
        """What stands in columns without a name, or with that of another."""
        repeated = dict.fromkeys(name for name in self.cells if name in self._repeated)
        return [f"column '{name}' appears twice in the header and is ignored" for name in repeated] + [
            f"column {n + 1} has no name and is ignored (first value in row {number})"
            for n, number in sorted(self._unnamed.items())
        ]


def track_columns(rows: Iterable[Row | Problem], file: Path, used: Callable[[str], bool]) -> Iterator[Row | Problem]:
    """Pass rows on, and report at the end which columns of the file were used.

    Of a file that ships none is called unused: nobody declared them, and nobody could mend it.

    Args:
        rows: What was read.
        file: Where.
        used: Whether a column is used, by its name here.
    """
    seen: set[tuple[str, ...]] = set()
    uses: dict[str, bool] = {}
    for row in rows:
        if isinstance(row, Row):
            keys = tuple(row.values)
            if keys not in seen:
                seen.add(keys)
                for column in keys:
                    uses[row.theirs(column)] = used(column)
                uses.update(dict.fromkeys(row.shadowed, False))
        yield row
    report_table(
        file,
        used=[column for column, is_used in uses.items() if is_used],
        unused=[] if is_shipped(file) else [column for column, is_used in uses.items() if not is_used],
    )
