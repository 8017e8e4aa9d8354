"""What all records have in common: frozen fields, estimates with their intervals, undefined numbers as null."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, TypeVar

import numpy as np
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    ValidationError,
    WithJsonSchema,
)

from hrembed.errors import DataError
from hrembed.files import json_text, write_text
from hrembed.types import Estimate

if TYPE_CHECKING:
    from pathlib import Path

SCHEMA: Literal[1] = 1
"""Number of the shape of all records; it rises when a field is renamed, moved or removed."""


def _nan_for_null(value: object) -> object:
    return np.nan if value is None else value


def _null_for_nan(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _read_estimate(value: object) -> Estimate:
    if isinstance(value, Estimate):
        return value
    if not isinstance(value, Mapping) or set(value) != {"value", "interval", "n", "unit", "undefined"}:
        raise ValueError("an estimate must have the keys value, interval, n, unit and undefined")
    point, low, high = (float("nan") if v is None else float(v) for v in (value["value"], *value["interval"]))
    return Estimate(point, low, high, int(value["n"]), str(value["unit"]), int(value["undefined"]))


def _write_estimate(estimate: Estimate) -> dict[str, object]:
    return {
        "value": _null_for_nan(estimate.value),
        "interval": [_null_for_nan(estimate.low), _null_for_nan(estimate.high)],
        "n": estimate.n,
        "unit": estimate.unit,
        "undefined": estimate.undefined,
    }


_ESTIMATE_SCHEMA = {
    "type": "object",
    "title": "Estimate",
    "description": "A number with its interval; null where it is undefined.",
    "required": ["value", "interval", "n", "unit", "undefined"],
    "additionalProperties": False,
    "properties": {
        "value": {"type": ["number", "null"]},
        "interval": {"type": "array", "items": {"type": ["number", "null"]}, "minItems": 2, "maxItems": 2},
        "n": {"type": "integer", "description": "Independent units behind the number."},
        "unit": {"type": "string", "description": "What was counted."},
        "undefined": {"type": "integer", "description": "Items that have no value and are left out."},
    },
}

Number = Annotated[
    float,
    BeforeValidator(_nan_for_null),
    PlainSerializer(_null_for_nan, return_type=float | None),
    WithJsonSchema({"type": ["number", "null"]}),
]
"""A number without an interval of its own (a p-value, a share); NaN in memory and null in JSON where undefined."""

Measured = Annotated[
    Estimate,
    PlainValidator(_read_estimate),
    PlainSerializer(_write_estimate, return_type=dict[str, object]),
    WithJsonSchema(_ESTIMATE_SCHEMA),
]
"""An `Estimate` as a field of a record."""


class Record(BaseModel):
    """A part of what a command says: fields cannot change, and unknown ones are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, arbitrary_types_allowed=True)


class CommandRecord(Record):
    """All that a command says, the content of `metrics.json`.

    Attributes:
        command: Name of the command, and of the folder of its runs.
        schema_number: Number of the shape; `schema` in JSON.
    """

    command: ClassVar[str]
    schema_number: Literal[1] = Field(default=SCHEMA, alias="schema")


R = TypeVar("R", bound=CommandRecord)
M = TypeVar("M", bound=BaseModel)


def as_json(record: Record | Mapping[str, Record]) -> dict[str, object]:
    """Write a record, or several by name, as plain JSON values: fields in their order, undefined numbers as null."""
    if isinstance(record, Record):
        return record.model_dump(mode="json", by_alias=True)
    return {name: as_json(each) for name, each in record.items()}


def write_record(path: Path, record: Record | Mapping[str, Record]) -> None:
    """Write a record, or several by name, into a JSON file.

    Raises:
        HrembedError: The file cannot be written.
    """
    write_text(path, json_text(as_json(record), sort_keys=False) + "\n")


_OPTION = {"compare", "encode", "match", "serve-check"}  # their argument is something else


def typed(command: str) -> str:
    """A command as it is typed: `data-import-onet` is `data import onet`."""
    if command == "recipe":
        return "finetune --recipe"
    return command.replace("-", " ") if command.startswith(("data-", "index-")) else command


def command_line(command: str) -> str:
    """Words that run a command with a config: `data-import-onet` is `data import onet --config CONFIG`."""
    option = command in _OPTION or command.startswith(("data-", "index-"))
    return f"{typed(command)} --config CONFIG" if option else f"{typed(command)} CONFIG"


def read_record(kind: type[R], text: str, where: str) -> R:
    """Read what a run wrote.

    Args:
        kind: Record of the command that wrote it.
        text: Content of `metrics.json`.
        where: Name of the file, for messages.

    Raises:
        DataError: It was written by a version of hrembed whose records have another shape, or is damaged.
    """
    try:
        content = json.loads(text)
    except (json.JSONDecodeError, RecursionError):
        raise DataError(f"'{where}' is not valid JSON", hint="repeat the run") from None
    number = content.get("schema") if isinstance(content, dict) else None
    if number != SCHEMA:
        written = "before records had a schema number" if number is None else f"with schema {number}"
        raise DataError(
            f"'{where}' was written {written}; this version of hrembed reads schema {SCHEMA}",
            hint=f"repeat the run with its `config.yaml`: hrembed {command_line(kind.command)}",
        )
    return validated(kind, content, f"'{where}' does not have the format of `{kind.command}`")


def validated(kind: type[M], content: object, failure: str) -> M:
    """Turn plain JSON values into what they should be.

    Args:
        kind: A record, or settings.
        content: What was read.
        failure: Begins the message when it is something else.

    Raises:
        DataError: It is; the message names the first field that does not fit.
    """
    try:
        return kind.model_validate(content)
    except ValidationError as err:
        first = err.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise DataError(f"{failure}: {place}: {first['msg']}") from err
