"""The reference of all settings, generated from the schemas: `python -m hrembed.config.docs docs/config.md`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from hrembed.config.schema import SCHEMAS
from hrembed.files import write_text

_HEAD = """# Settings

Generated from `hrembed/config/schema.py` by `make docs`. Every key may also be given as `--set key.path=value`;
lists are addressed by position (`--set models.0.ref=bm25`). `demo` holds the settings of the other four below `select`,
`finetune`, `eval` and `audit`; `decision` those of two trainings below `tuned` and `scratch`, and `eval` and `compare`.
"""


def reference() -> str:
    """Write the settings of every command as Markdown."""
    parts = [_HEAD]
    for command, schema in SCHEMAS.items():
        if command not in {"demo", "decision"}:
            rows = "\n".join(_rows(schema, schema()))
            head = "| key | type | default | meaning |\n|---|---|---|---|"
            words = command.replace("-", " ") if command.startswith("data-") else command
            parts.append(f"## `hrembed {words}`\n\n{head}\n{rows}\n")
    return "\n".join(parts)


def _rows(schema: type[BaseModel], defaults: BaseModel | None, prefix: str = "") -> list[str]:
    """One row per key; a section's defaults are those of the place where it stands."""
    found = []
    for name, field in schema.model_fields.items():
        inner, key = _models(field.annotation), f"{prefix}{name}"
        value = getattr(defaults, name) if defaults is not None else _own_default(field)
        if field.description:
            found.append(f"| `{key}` | {_type(field)} | {_shown(value)} | {field.description} |")
        many = isinstance(value, tuple) and bool(inner)
        for model in inner:
            if len(inner) > 1:
                found.append(f"| `{key}`: {_own_name(model)} | | | {(model.__doc__ or '').splitlines()[0]} |")
            item = next(iter(value), None) if many else value
            below = item if isinstance(item, model) else None
            found += _rows(model, below, f"{key}.{'0.' if many else ''}")
    return found


def _own_name(model: type[BaseModel]) -> str:
    """Value of `name` that chooses this variant."""
    return f"`name: {model.model_fields['name'].annotation.__args__[0]}`"  # type: ignore[union-attr]


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for inner in getattr(annotation, "__args__", ()) for model in _models(inner)]


def _type(field: FieldInfo) -> str:
    """Write the type as a user thinks of it, with its bounds."""
    text = str(field.annotation).replace("typing.", "")
    if get_origin(field.annotation) is Union:  # what `|` makes where a Literal is among the types
        members = get_args(field.annotation)
        text = " | ".join(m.__name__ if type(m) is type else str(m).replace("typing.", "") for m in members)
        text = text.replace("NoneType", "None")
    if isinstance(field.annotation, type):
        text = field.annotation.__name__
    if "Section" in text:
        return "list of sections" if "tuple" in text else "section"
    bounds = [
        f"{sign} {getattr(rule, attribute)}"
        for rule in field.metadata
        for attribute, sign in _BOUNDS.items()
        if hasattr(rule, attribute)
    ]
    shown = text.replace(" | None", " or null").replace("tuple[", "list of ").replace(", ...]", "")
    shown = shown.replace("Literal[", "one of ").replace("']", "'").replace("|", "or")
    return " ".join([shown.replace("|", "or"), *bounds])


_BOUNDS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}


def _own_default(field: FieldInfo) -> Any:
    return field.get_default(call_default_factory=True, validated_data={})


def _shown(value: Any) -> str:
    if value is PydanticUndefined:
        return "required"
    if isinstance(value, BaseModel) or (isinstance(value, tuple) and any(isinstance(v, BaseModel) for v in value)):
        return "see below"
    return f"`{json.dumps(value, ensure_ascii=False)}`"


if __name__ == "__main__":
    write_text(Path(sys.argv[1]), reference())
