"""Conditions on the columns of documents: data with a type, never a piece of a query language."""

from __future__ import annotations

import csv
import re
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from hrembed.errors import ConfigError
from hrembed.registry import nearest
from hrembed.text import printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hrembed.records.index import FilterType

Operator = Literal["=", ">=", "<=", ">", "<"]
Value = str | int | float | bool

_FORM = re.compile(r"(?P<column>[^=<>]*)(?P<operator>>=|<=|=|>|<)(?P<value>.*)", re.DOTALL)
_EXAMPLE = "write it as `country=DE,AT`, `years>=3` or `permit=true`"
_LONGEST = 200  # characters of a value, and values of a condition
_WHOLE = 2**53  # beyond it a whole number has no exact place among float64, and two backends could differ


class Condition(NamedTuple):
    """What a column of a document must hold; a document without a value never meets one.

    Attributes:
        column: Name of the column.
        operator: `=` asks for one of the values; the others compare numbers with the only one.
        values: One or more, of the type of the column.
    """

    column: str
    operator: Operator
    values: tuple[Value, ...]

    def __str__(self) -> str:
        """Write it as it is typed."""
        return f"{self.column}{self.operator}{','.join(_typed(value) for value in self.values)}"


def parse_condition(text: str, filters: Mapping[str, FilterType]) -> Condition:
    """Read one condition as it is typed: `seniority=senior`, `country=DE,AT`, `years>=3`, `permit=true`.

    A value with a comma stands in double quotes: `city="Frankfurt, Main",Berlin`.

    Args:
        text: What was typed.
        filters: Columns that may be named, and what they hold.

    Raises:
        ConfigError: It has another form, names no filter, or compares with a value that the column cannot hold.
    """
    match = _FORM.fullmatch(text)
    if match is None or not match["column"].strip():
        raise ConfigError(f"condition '{_shown(text)}' has no column and operator", hint=_EXAMPLE)
    column, operator, given = match["column"].strip(), match["operator"], match["value"].strip()
    if column not in filters:
        known = ", ".join(filters) or "none; build the index with filter columns"
        raise ConfigError(
            f"condition '{_shown(text)}': the index has no filter '{_shown(column)}'{nearest(column, filters)}",
            hint=f"filters of this index: {known}",
        )
    kind = filters[column]
    if operator != "=" and kind not in {"number", "whole number"}:
        raise ConfigError(
            f"condition '{_shown(text)}': `{operator}` compares numbers, but '{column}' holds {_HOLDS[kind]}",
            hint=f"use `{column}=VALUE`",
        )
    values = _split(given, text)
    if operator != "=" and len(values) != 1:
        raise ConfigError(f"condition '{_shown(text)}': `{operator}` compares with one number", hint=_EXAMPLE)
    read = tuple(_read(value, kind, column, text) for value in values)
    return Condition(column, operator, read)  # type: ignore[arg-type]


def parse_conditions(texts: Sequence[str], filters: Mapping[str, FilterType]) -> tuple[Condition, ...]:
    """Read several conditions, all of which must hold.

    Raises:
        ConfigError: As `parse_condition`.
    """
    return tuple(parse_condition(text, filters) for text in texts)


_HOLDS: Mapping[FilterType, str] = {
    "text": "text",
    "texts": "lists of texts",
    "number": "numbers",
    "whole number": "whole numbers",
    "yes or no": "true or false",
}
_YES_NO: Mapping[str, bool] = {"true": True, "yes": True, "false": False, "no": False}


def _split(given: str, text: str) -> list[str]:
    if printable(given) != given or set(given) & {"\n", "\t"}:
        raise ConfigError(f"condition '{_shown(text)}' contains control characters", hint=_EXAMPLE)
    try:
        rows = list(csv.reader([given], skipinitialspace=True, strict=True))
    except csv.Error as err:
        raise ConfigError(
            f"condition '{_shown(text)}': {err}", hint='a value with a comma stands in quotes: `city="Frankfurt, Main"`'
        ) from None
    values = [value.strip() for value in (rows[0] if rows else [])]
    if len(rows) > 1 or not values or not all(values):
        raise ConfigError(f"condition '{_shown(text)}' has an empty value", hint=_EXAMPLE)
    if len(values) > _LONGEST or any(len(value) > _LONGEST for value in values):
        raise ConfigError(
            f"condition '{_shown(text)}' is too long: at most {_LONGEST} values of {_LONGEST} characters are allowed"
        )
    return values


def _read(value: str, kind: FilterType, column: str, text: str) -> Value:
    wrong = ConfigError(
        f"condition '{_shown(text)}': '{column}' holds {_HOLDS[kind]}, and '{_shown(value)}' is none", hint=_EXAMPLE
    )
    if kind in {"text", "texts"}:
        return value
    if kind == "yes or no":
        if value.lower() not in _YES_NO:
            raise wrong
        return _YES_NO[value.lower()]
    if kind == "whole number":
        if not re.fullmatch(r"[+-]?\d{1,18}", value, re.ASCII):
            raise wrong
        return int(value)
    if not re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?", value, re.ASCII) or abs(float(value)) > _WHOLE:
        raise wrong
    return float(value)


def _typed(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return '"' + value.replace('"', '""') + '"' if set(value) & set(',"') else value
    return f"{value:g}" if isinstance(value, float) and value == int(value) else str(value)


def _shown(text: str) -> str:
    line = " ".join(text.split())
    return printable(line if len(line) <= 60 else line[:57] + "...")


def filter_type(arrow: str) -> FilterType | None:
    """What a kept column holds, by its type in the shards; None where no condition can be put on it."""
    return _FILTERS.get(arrow)


_FILTERS: Mapping[str, FilterType] = {
    "string": "text",
    "strings": "texts",
    "bool": "yes or no",
    "int64": "whole number",
    "double": "number",
}


def mask(conditions: Sequence[Condition], table: Any) -> Any:
    """Rows of an Arrow table that meet all conditions, as a NumPy array of shape (rows,)."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    compare = {">=": pc.greater_equal, "<=": pc.less_equal, ">": pc.greater, "<": pc.less}
    kept = np.ones(table.num_rows, dtype=bool)
    for column, operator, values in conditions:
        held = table[column]
        if operator == "=" and pa.types.is_list(held.type):
            met = _holds_any(held, values)
        elif operator == "=":
            met = pc.is_in(held, value_set=pa.array(values, type=held.type))
        else:
            met = compare[operator](held, values[0])
        kept &= pc.fill_null(met, False).to_numpy(zero_copy_only=False)
    return kept


def _holds_any(lists: Any, values: Sequence[Value]) -> Any:
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    met = np.zeros(len(lists), dtype=bool)
    wanted = pc.is_in(pc.list_flatten(lists), value_set=pa.array(values, type=pa.string()))
    met[pc.list_parent_indices(lists).to_numpy()[pc.fill_null(wanted, False).to_numpy(zero_copy_only=False)]] = True
    return pa.array(met)


def as_sql(conditions: Sequence[Condition], filters: Mapping[str, FilterType]) -> str:
    """Write conditions for LanceDB: names are quoted, values are literals that we write from typed data."""
    return " AND ".join(_sql(condition, filters[condition.column] == "texts") for condition in conditions)


def _sql(condition: Condition, of_lists: bool) -> str:
    name = quoted(condition.column)
    literals = [_literal(value) for value in condition.values]
    if condition.operator != "=":
        return f"{name} {condition.operator} {literals[0]}"
    if of_lists:
        return f"array_has_any({name}, [{', '.join(literals)}])"
    return f"{name} = {literals[0]}" if len(literals) == 1 else f"{name} IN ({', '.join(literals)})"


def quoted(column: str) -> str:
    """Write the name of a column for LanceDB."""
    return "`" + column.replace("`", "``") + "`"


def _literal(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return text_literal(value) if isinstance(value, str) else repr(value)


def text_literal(text: str) -> str:
    """Write a text as a literal of SQL, in which a quote stands twice and nothing else has a meaning."""
    return "'" + text.replace("'", "''") + "'"


# Words of names of columns, and what they say about a person that no search may filter by.
_PROTECTED: Mapping[str, tuple[str, ...]] = {
    "sex or gender": ("sex", "sexes", "gender", "geschlecht", "pronoun", "pronouns", "transgender"),
    "age": (
        "age",
        "ages",
        "alter",
        "birth",
        "birthday",
        "birthdate",
        "birthyear",
        "born",
        "dob",
        "yob",
        "geburtsdatum",
    ),
    "race or ethnic origin": ("race", "racial", "ethnicity", "ethnic", "ethnicities", "colour", "skin", "caste"),
    "nationality": ("nationality", "nationalities", "citizenship", "birthplace", "staatsangehoerigkeit"),
    "religion": ("religion", "religions", "religious", "faith", "denomination", "konfession", "belief"),
    "disability": ("disability", "disabilities", "disabled", "handicap", "handicapped", "impairment"),
    "marital state": ("marital", "married", "spouse", "familienstand", "pregnancy", "pregnant"),
    "sexual orientation": ("sexual", "sexuality", "lgbt", "lgbtq"),
}
_JOINED = ("dateofbirth", "yearofbirth", "placeofbirth", "maritalstatus", "familystatus", "countryofbirth", "agegroup")


def protected(column: str) -> str | None:
    """What protected attribute the name of a column speaks of; None for none."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", column)
    words = re.findall(r"[a-z]+", spaced.lower())
    joined = "".join(words)
    for what, names in _PROTECTED.items():
        if any(word in names for word in words):
            return what
    return "age, nationality or marital state" if any(part in joined for part in _JOINED) else None
