"""One row of a table, its cells, and what can be wrong with them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hrembed.errors import DataError
from hrembed.registry import nearest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


MAX_CELL = 2**20
_NOTHING = ("n/a", "na", "nan", "null", "none", "nil", "-", "--", "\u2013", "\u2014", "?", "<na>")
_CELL_ERRORS = ("#name?", "#n/a", "#na", "#ref!", "#value!", "#div/0!", "#null!", "#num!")
MARKERS = frozenset((*_NOTHING, *_CELL_ERRORS))
"""What exports of spreadsheets, pandas and databases write where there is nothing, in lower case."""


@dataclass(frozen=True)
class Row:
    """A row that could be read.

    Attributes:
        number: Line where it starts, from 1; in Parquet and Hub datasets the position of the row, from 1.
        values: Column to value.
        names: Column here -> its name in the file, where that differs.
        shadowed: Columns of the file that lost their name to another, which the settings put in their place.
    """

    number: int
    values: Mapping[str, Any]
    names: Mapping[str, str] = field(default_factory=dict, compare=False)
    shadowed: tuple[str, ...] = field(default=(), compare=False)

    def theirs(self, column: str) -> str:
        """Name of a column in the file."""
        return self.names.get(column, column)


@dataclass(frozen=True)
class Problem:
    """A row that could not be read or used.

    Attributes:
        number: As in `Row`.
        column: Where it went wrong; empty when the whole row is meant.
        reason: What is wrong, without the text itself.
    """

    number: int
    column: str
    reason: str

    def __str__(self) -> str:
        return (
            f"{self.number}: column '{self.column}': {self.reason}" if self.column else f"{self.number}: {self.reason}"
        )


class CellError(Exception):
    """A value that cannot be used; caught by whoever reads rows, never by the user."""

    def __init__(self, column: str, reason: str) -> None:
        super().__init__(f"column '{column}': {reason}")
        self.column, self.reason = column, reason


def require_columns(where: str, present: Sequence[str], wanted: Sequence[str], hint: str = "") -> None:
    """Say which column is missing.

    Args:
        where: File, and line of the header where there is one.
        present: Columns of the file.
        wanted: Columns that must be there.
        hint: What to do next.

    Raises:
        DataError: A wanted column is not present, or a column stands twice.
    """
    twice = [column for n, column in enumerate(present) if column in present[:n]]
    if twice:
        raise DataError(f"{where}: column '{twice[0]}' appears twice in the header")
    missing = [column for column in wanted if column not in present]
    if missing:
        raise DataError(
            (f"{where}: column '{missing[0]}' not found{nearest(missing[0], present)}; available: {listed(present)}"),
            hint=hint,
        )


def listed(columns: Iterable[str]) -> str:
    """Write names of columns for a message."""
    return ", ".join(map(repr, columns))[:300] or "none"


_ZERO = "contains a NUL byte; is this a text file?"


def text_cell(values: Mapping[str, Any], column: str) -> str:
    """Return a text that must be there.

    Raises:
        CellError: Missing, not a text, blank, too long, or not encodable (half of a surrogate pair).
    """
    value = values.get(column)
    if not isinstance(value, str) or not value or value.isspace():
        if column not in values:
            raise CellError(column, f"missing; the row has {listed(values)}")
        found = "a blank one" if isinstance(value, str) else "nothing" if value is None else type(value).__name__
        raise CellError(column, f"expected non-empty text, got {found}")
    return _sound(value, column)


def key_cell(values: Mapping[str, Any], column: str) -> str:
    """Return an id or a label: a text or a whole number (`1.0` is one); empty where there is none.

    Raises:
        CellError: Something else.
    """
    value = values.get(column)
    if value is None:
        return ""
    if isinstance(value, str):
        return _sound(value.strip(), column)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise CellError(column, f"expected text or an integer, got {type(value).__name__}")
    return str(value)


def id_cell(values: Mapping[str, Any], column: str) -> str:
    """Return an id, a group or a family as `key_cell` does; a marker of a missing value, such as `nan`, is none."""
    key = key_cell(values, column)
    return "" if key.lower() in MARKERS else key


def _sound(value: str, column: str) -> str:
    if len(value) > MAX_CELL:
        raise CellError(column, f"is longer than {MAX_CELL:,} characters")
    if "\0" in value:
        raise CellError(column, _ZERO)
    if not value.isascii() and re.search(r"[\ud800-\udfff]", value):
        raise CellError(column, "contains an unpaired surrogate")
    return value
