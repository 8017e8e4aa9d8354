"""Estimates and p-values as people read them: in a cell, in a sentence, and all of a record in a list."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from hrembed.records.base import Record
from hrembed.types import Estimate


def format_estimate(estimate: Estimate, *, sign: bool = False) -> str:
    """Write an estimate for a table: `0.712 [0.680, 0.744]`, the value alone where there is no interval.

    Args:
        estimate: Value and interval.
        sign: Write `+` as well, for differences.
    """
    form = "+.3f" if sign else ".3f"
    if np.isnan(estimate.low):
        return f"{estimate.value:{form}}"
    return f"{estimate.value:{form}} [{estimate.low:{form}}, {estimate.high:{form}}]"


def format_p(p_value: float) -> str:
    """Write a p-value for a table: four digits, `< 0.0001` below that, empty where it is undefined."""
    if np.isnan(p_value):
        return ""
    return "< 0.0001" if p_value < 0.0001 else f"{p_value:.4f}"


def p_in_words(p_value: float, name: str = "p") -> str:
    """Write a p-value in a sentence: `p = 0.0312`, `p < 0.0001`, `p undefined`."""
    written = format_p(p_value)
    if not written:
        return f"{name} undefined"
    return f"{name} {written}" if written.startswith("<") else f"{name} = {written}"


def estimate_rows(value: object, path: str = "") -> list[dict[str, str]]:
    """List every estimate of a record that is defined, however deep it lies, under the path that leads to it.

    Args:
        value: A record, or a part of one.
        path: Where it stands.

    Returns:
        Rows with `number` (the path), `value` with its interval, and `counted`: how many of what is behind it.
    """
    if isinstance(value, Estimate):
        if np.isnan(value.value):
            return []
        counted = f"{value.n} {value.unit}".strip()
        return [{"number": path.lstrip("."), "value": format_estimate(value), "counted": counted}]
    if isinstance(value, Record):
        parts = [(name, getattr(value, name)) for name in type(value).model_fields]
    elif isinstance(value, Mapping):
        parts = [(str(key), part) for key, part in value.items()]
    elif isinstance(value, tuple | list):
        parts = [(_label(part, place), part) for place, part in enumerate(value)]
    else:
        return []
    return [row for name, part in parts for row in estimate_rows(part, f"{path}.{name}")]


def _label(item: object, place: int) -> str:
    """Name of an item of a list: what it says of itself, else its position."""
    attributes = (getattr(item, name, None) for name in _NAMES)
    return " ".join(text for text in attributes if isinstance(text, str)) or str(place)


_NAMES = ("name", "task", "slice", "model", "reference", "first", "second")
