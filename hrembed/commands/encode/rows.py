"""A row of the input as what is embedded and what lies beside its vector."""

from __future__ import annotations

import math
from collections import Counter
from datetime import date, datetime, time
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

from hrembed.config.encode import ENCODE_COLUMNS
from hrembed.config.parts import form_of
from hrembed.data.cells import MARKERS, CellError, Problem, id_cell, text_cell
from hrembed.data.database import is_database, open_database
from hrembed.data.person_names import NamesOf
from hrembed.data.personal import replaced
from hrembed.data.redact import Placeholders, finder_of
from hrembed.data.slices import Wanted, open_files
from hrembed.errors import DataError
from hrembed.text import decimal, text_digest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from hrembed.config.encode import EncodeConfig
    from hrembed.data.cells import Row
    from hrembed.data.slices import Sliced
    from hrembed.records.data import PersonalType
    from hrembed.records.encode import CellType

KNOWN_AS = {"id": ("_id", "candidate_id", "profile_id", "resume_id"), "text": ("profile", "resume", "cv")}
_LARGEST = 2**63
_YES, _NO = {"true", "yes", "y", "t", "1"}, {"false", "no", "n", "f", "0"}


def open_sources(config: EncodeConfig) -> list[Sliced]:
    """Open the parts of the input.

    Raises:
        DataError: It is not there, or cannot be read.
        ConfigError: A package is missing.
    """
    kept = [name for name in config.kept_types if name != "text"]
    given = {name for name in config.columns if name in ENCODE_COLUMNS}
    used = {"id", "text", *given, *kept, *config.name_columns}
    wanted = Wanted(
        tuple(dict.fromkeys(["id", "text", *given, *kept, *config.name_columns])),
        form_of(config),
        KNOWN_AS,
        used.__contains__,
    )
    if is_database(config.input):
        return [open_database(config.input, config.query or "", config.password_env, wanted)]
    if config.input.startswith("hf:"):
        from hrembed.data.hub import open_hub

        return [open_hub(config.input.removeprefix("hf:"), wanted, subset=config.subset, split=config.split)]
    return open_files(config.input, wanted)


class Item(NamedTuple):
    """A row as it is encoded.

    Attributes:
        id: Names it.
        text: What is embedded, before anything is replaced; empty where there is none.
        names: Names of the person whom it is about.
        cells: Kept cells but for the text.
        number: Line or place, for messages.
    """

    id: str
    text: str
    names: tuple[str, ...]
    cells: tuple[Any, ...]
    number: int

    @property
    def text_hash(self) -> bytes:
        """Name of the text; names that are replaced in it count, since they decide what is embedded."""
        return text_digest("\0".join([self.text, *self.names]))


class ItemReader:
    """Turns rows into items.

    Args:
        config: Names of columns.
        types: Kept column -> its type, None where it is still to be recognised; without the text.
    """

    def __init__(self, config: EncodeConfig, types: Mapping[str, CellType | None]) -> None:
        self._titled, self._names, self._types = "title" in config.columns, config.name_columns, dict(types)
        self.lacking = set(self._types)
        self.kinds: dict[str, dict[CellType, int]] = {name: {} for name in self._types}

    def items(self, rows: Iterable[Row | Problem], source: str) -> Iterator[Item]:
        """Read rows.

        Raises:
            DataError: A row cannot be read or used; the message names it.
        """
        for row in rows:
            if isinstance(row, Problem):
                raise DataError(f"{source}:{row}", hint="fix or remove the row; nothing was encoded")
            try:
                yield self._item(row)
            except CellError as err:
                reason = CellError(row.theirs(err.column), err.reason)
                raise DataError(f"{source}:{row.number}: {reason}", hint="fix or remove the row") from None

    def _item(self, row: Row) -> Item:
        id_ = id_cell(_plain_key(row.values), "id")
        if not id_:
            raise CellError("id", "expected an id, got nothing")
        text = _text(row.values, "text")
        if self._titled:
            text = f"{_text(row.values, 'title')} {text}".strip()
        names = tuple(_text(row.values, name) for name in self._names)
        return Item(id_, text, names, tuple(self._cell(row, name) for name in self._types), row.number)

    def _cell(self, row: Row, name: str) -> Any:
        if name in row.values:
            self.lacking.discard(name)
        value, kind = plain_cell(row.values.get(name), name), self._types[name]
        if kind is not None:
            return typed_cell(value, kind, name)
        if value is not None:
            self.kinds[name].setdefault(_kind(value), row.number)
        return value

    def recognised(self, source: str) -> dict[str, CellType]:
        """Give the type of each column, those that were given included.

        Raises:
            DataError: No row has a column, or its rows have values of several kinds.
        """
        if self.lacking:
            raise DataError(f"{source}: no row has a column '{min(self.lacking)}'", hint="correct `keep`")
        return {name: kind or self._one_kind(name, source) for name, kind in self._types.items()}

    def _one_kind(self, name: str, source: str) -> CellType:
        kinds = self.kinds[name]
        if kinds.keys() == {"int64", "double"}:
            return "double"
        if len(kinds) > 1:
            said = " and ".join(f"{kind} (row {number})" for kind, number in kinds.items())
            raise DataError(f"{source}: column '{name}' contains {said}", hint=f"set its type, as `{name}:string`")
        return next(iter(kinds), "string")


def _plain_key(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """Ids of a database may be UUIDs."""
    value = values.get("id")
    return {"id": str(value)} if isinstance(value, UUID) else values


def _text(values: Mapping[str, Any], column: str) -> str:
    value = values.get(column)
    if value is None or (isinstance(value, str) and not value.strip()):
        return ""
    return text_cell(values, column)


def plain_cell(value: object, column: str) -> Any:
    """Reduce a cell to what a shard can hold: text, number, truth, or a list of texts; dates become text.

    Raises:
        CellError: It is something else.
    """
    if value is None or isinstance(value, str):  # most cells
        return value
    if isinstance(value, Decimal):
        value = int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, float) and math.isnan(value):
        return None
    if isinstance(value, int) and not -_LARGEST <= value < _LARGEST:
        raise CellError(column, "is a number with more than 64 bits")
    if isinstance(value, bool | int | float):
        return value
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, list | tuple) and all(isinstance(each, str) for each in value):
        return list(value)
    raise CellError(column, f"expected text, a number, true or false, or a list of texts, got {type(value).__name__}")


def _kind(value: Any) -> CellType:
    if isinstance(value, list):
        return "strings"
    kinds: dict[type, CellType] = {bool: "bool", int: "int64", float: "double"}
    return kinds.get(type(value), "string")


def typed_cell(value: Any, kind: CellType, column: str) -> Any:
    """Read a plain cell as a type; markers of missing values are none in columns of numbers and truths.

    Raises:
        CellError: It is none of that type.
    """
    if value is None:
        return None
    if kind == "string" and not isinstance(value, list):
        return str(value).lower() if isinstance(value, bool) else str(value)
    if kind == "strings":
        return value if isinstance(value, list) else [typed_cell(value, "string", column)]
    text = str(value).strip().lower()
    if not text or text in MARKERS:
        return None
    if kind == "bool" and text in _YES | _NO:
        return text in _YES
    number = decimal(text) if kind != "bool" and not isinstance(value, bool | list) else math.nan
    if math.isfinite(number) and (kind == "double" or number == int(number)):
        return number if kind == "double" else int(text) if text.lstrip("+-").isdecimal() else int(number)
    raise CellError(column, f"cannot be read as {kind}")


class Redactor:
    """Replaces personal data in texts, each by itself: what stands in other rows decides nothing.

    `data anonymise` learns the ordinary words of the whole table first. Here a shard depends on its own rows alone, so
    ordinary words are those of the shipped corpus, and a rare word at the top of a text is more often taken for a name.
    """

    def __init__(self, types: Sequence[PersonalType], regions: Sequence[str]) -> None:
        self._finder = finder_of((), types, regions)
        self._placeholders = Placeholders()

    def clean(self, items: Iterable[Item]) -> tuple[list[str], dict[str, int]]:
        """Give the texts of items with placeholders, and how often each type of personal data was replaced."""
        texts, counts = [], Counter[str]()
        for item in items:
            names = [name for name in item.names if name]
            findings = self._finder.find(item.text, NamesOf(names, self._finder.common) if names else None)
            counts.update(finding.type for finding in findings)
            texts.append(replaced(item.text, findings, self._placeholders))
        return texts, dict(sorted(counts.items()))
