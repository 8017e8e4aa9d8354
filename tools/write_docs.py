"""Write the documents that are generated from the code: `python tools/write_docs.py`.

`docs/config.md` is the reference of all settings, `docs/schema/` holds a JSON Schema for each config and each record,
`docs/ci/` the workflows, `docs/glossary.md` the words of results.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Union, get_args, get_origin

from hrembed.commands.init.project import WHEEL, ci_text
from hrembed.commands.schema import names, schema_text
from hrembed.config.recipe import InputSection, RecipeConfig
from hrembed.config.schema import SCHEMAS
from hrembed.files import write_text
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from site_pages import glossary

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hrembed.commands.init.project import Ci
    from pydantic.fields import FieldInfo

DOCS = Path(__file__).resolve().parents[1] / "docs"
_HEAD = """# Settings

Generated from `hrembed/config/` by `make docs`. Every key may also be given as `--set key.path=value`; items of a \
list are addressed by position (`--set models.0.ref=bm25`). The settings of all commands may stand in one \
`hrembed.yaml` of the folder where they are started: `eval` reads its section `eval`, `bias-audit` reads `audit`, \
`data split` reads `split` below `data`. Where a run is meant, `run:COMMAND/ID/FILE` names what lies in its folder; \
ID may be `latest` or the start of an id, which the config of the new run then holds in full. A section that stands \
in several places is described once, in the [last part](#shared-sections); where its defaults differ, the row that \
names it says so.
"""
_TABLE = "| key | type | default | meaning |\n|---|---|---|---|"
# Settings that stand side by side wherever a table is read share a row.
_OF_TABLES = {
    "columns": "Name of a column here: its name in the file, as `{anchor: title}`; usual other names are recognised.",
    "delimiter": "Delimiter of text files; null recognises it.",
    "encoding": "Their encoding; UTF-16 is recognised.",
}
_CI: Mapping[Ci, str] = {"github": "github-actions.yml", "gitlab": "gitlab-ci.yml"}
# Commands whose settings share a table.
_TOGETHER = (
    ("data-import-onet", "data-import-esco"),
    ("data-split", "data-inspect", "data-check", "data-anonymise", "data-restore"),
    ("index-build", "index-update", "index-stats", "index-forget", "index-switch"),
)
_FEW = 2  # a section of so few keys is written out wherever it stands
_LONGEST = 440  # of a row that several keys share
_BOUNDS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}


def reference() -> str:
    """Write the settings of every command as Markdown."""
    parts = [_HEAD]
    shared = _shared()
    for command in SCHEMAS:
        together = next((commands for commands in _TOGETHER if command in commands), (command,))
        if command != together[0]:
            continue  # stands beside the first of them
        rows_of = {name: _rows(SCHEMAS[name], SCHEMAS[name](), shared) for name in together}
        words = [name.replace("-", " ") if name.startswith(("data-", "index-")) else name for name in together]
        titles = ", ".join(f"`hrembed {each}`" for each in words)
        parts.append(f"## {titles}\n{_TABLE}\n" + "\n".join(_joined(rows_of)) + "\n")
    parts.append(f"## `hrembed finetune --recipe`\n{_TABLE}\n" + "\n".join(_recipe_rows(shared)) + "\n")
    parts.append("## Shared sections\n")
    for section in shared:
        if section not in SCHEMAS.values():
            keys = "\n".join(_rows(section, None, shared))
            parts.append(f"### {_title(section)}\n{_TABLE}\n{keys}\n")
    return "\n".join(parts)


def _recipe_rows(shared: list[type[BaseModel]]) -> list[str]:
    """Rows of a recipe; inputs have names of their own."""
    rows = [row for row in _rows(RecipeConfig, None, shared) if not row.startswith("| `inputs.")]
    steps = {row.split("`")[1]: row for row in rows}
    together = [
        ("name",),
        ("inputs",),
        ("steps",),
        ("steps.name", "steps.run"),
        ("steps.config",),
        ("steps.set", "steps.files"),
    ]
    merged = [row for names in together for row in _together([steps[name] for name in names])]
    return [*merged, *_together(_rows(InputSection, None, shared, "inputs.NAME."))]


def _joined(rows_of: Mapping[str, list[str]]) -> list[str]:
    """Rows of several commands in one table; a row that not all of them have says which do."""
    if len(rows_of) == 1:
        return [row for rows in rows_of.values() for row in rows]
    rows = dict.fromkeys(row for rows in rows_of.values() for row in rows)
    having = {row: [name.rpartition("-")[2] for name, own in rows_of.items() if row in own] for row in rows}
    return [
        row
        if len(names) == len(rows_of)
        else f"{row.removesuffix(' |')} ({', '.join(f'`{each}`' for each in names)}) |"
        for row, names in having.items()
    ]


def _shared() -> list[type[BaseModel]]:
    """Sections that stand in several places, and the configs of commands that stand inside others."""
    places: Counter[type[BaseModel]] = Counter()
    seen: set[type[BaseModel]] = set()

    def count(section: type[BaseModel]) -> None:
        if section in seen:
            return
        seen.add(section)
        for field in section.model_fields.values():
            for inner in _sections(field.annotation):
                places[inner] += 1
                count(inner)

    for schema in SCHEMAS.values():
        count(schema)
    return [
        section
        for section in places
        if section in SCHEMAS.values() or (places[section] > 1 and len(section.model_fields) > _FEW)
    ]


def _title(section: type[BaseModel]) -> str:
    """`ModelSection` -> `model`."""
    return section.__name__.removesuffix("Section").lower()


def _link(section: type[BaseModel]) -> str:
    command = next((name for name, schema in SCHEMAS.items() if schema is section), None)
    return f"[{_title(section)}](#{_title(section)})" if command is None else f"[{command}](#hrembed-{command})"


def _rows(
    section: type[BaseModel],
    defaults: BaseModel | None,
    shared: list[type[BaseModel]],
    prefix: str = "",
    leave_out: frozenset[str] = frozenset(),
) -> list[str]:
    """One row per key; the defaults are those of the place where the section stands."""
    rows = []
    for name, field in section.model_fields.items():
        if name in leave_out:
            continue
        inner, key = _sections(field.annotation), f"{prefix}{name}"
        value = getattr(defaults, name) if defaults is not None else _default(field)
        many = isinstance(value, tuple) and bool(inner)
        item = next(iter(value), None) if many else value
        if len(inner) == 1 and inner[0] in shared:
            kind = f"list of {_link(inner[0])}" if many else _link(inner[0])
            rows.append(f"| `{key}` | {kind} | {_differing(value)} | {field.description or _first_line(inner[0])} |")
            continue
        beside = [other for other in _OF_TABLES if other in section.model_fields and not inner]
        if name in beside and len(beside) > 1 and isinstance(value, dict | str | None):
            if name == beside[0]:
                keys = ", ".join(f"`{prefix}{other}`" for other in beside)
                kinds = ", ".join(_type(section.model_fields[other]) for other in beside)
                cells = ", ".join(_cell(_default(section.model_fields[other])) for other in beside)
                rows.append(f"| {keys} | {kinds} | {cells} | {' '.join(_OF_TABLES[other] for other in beside)} |")
        elif field.description:
            rows.append(f"| `{key}` | {_type(field)} | {_cell(value)} | {field.description} |")
        below = f"{key}.{'0.' if many else ''}"
        if len(inner) > 1:
            rows += _variants(inner, item, shared, key, below)
        elif inner:
            rows += _together(_rows(inner[0], item if isinstance(item, inner[0]) else None, shared, below))
    return _once(rows)


def _together(rows: list[str]) -> list[str]:
    """Let the keys of a short section share a row."""
    cells = [row.strip("| ").split(" | ") for row in rows]
    if len(rows) < 2 or len({*map(len, cells), 4}) > 1:
        return rows
    keys, kinds, defaults, meanings = zip(*cells, strict=True)
    row = f"| {', '.join(keys)} | {', '.join(kinds)} | {', '.join(defaults)} | {' '.join(meanings)} |"
    return [row] if len(row) <= _LONGEST else rows


def _once(rows: list[str]) -> list[str]:
    """Let keys that follow each other and differ in nothing but their names share a row."""
    merged: list[str] = []
    for row in rows:
        key, _, rest = row.removeprefix("| ").partition(" | ")
        if merged and merged[-1].endswith(f" | {rest}") and merged[-1].removesuffix(f" | {rest}").count(" | ") == 0:
            merged[-1] = f"{merged[-1].removesuffix(f' | {rest}')}, {key} | {rest}"
        else:
            merged.append(row)
    return merged


def _variants(
    variants: list[type[BaseModel]], chosen: object, shared: list[type[BaseModel]], key: str, below: str
) -> list[str]:
    """Rows of sections of which `name` chooses one; what all have in common comes first."""
    base = next(iter(variants[0].__mro__[1:2]))
    common = [name for name in getattr(base, "model_fields", {}) if name != "name"]
    rows = _rows(base, None, shared, below) if common else []
    for variant in variants:
        value = variant.model_fields["name"].annotation.__args__[0]  # type: ignore[union-attr]
        own = variant.model_fields["name"].description or ""
        rows.append(f"| `{key}`: `name: {value}` | | | {_first_line(variant)} {own} |".replace("  ", " "))
        section = chosen if isinstance(chosen, variant) else None
        rows += _rows(variant, section, shared, below, frozenset({"name", *common}))
    return rows


def _first_line(section: type[BaseModel]) -> str:
    return (section.__doc__ or "").splitlines()[0]


def _sections(annotation: Any) -> list[type[BaseModel]]:
    """Sections that a type holds, for example in a list or beside null."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return list(dict.fromkeys(section for inner in get_args(annotation) for section in _sections(inner)))


def _type(field: FieldInfo) -> str:
    """Write the type as a user thinks of it, with its bounds."""
    text = str(field.annotation).replace("typing.", "")
    if get_origin(field.annotation) is Union:  # what `|` makes where a Literal is among the types
        members = get_args(field.annotation)
        text = " | ".join(m.__name__ if type(m) is type else str(m).replace("typing.", "") for m in members)
        text = text.replace("NoneType", "None")
    if isinstance(field.annotation, type):
        text = field.annotation.__name__
    if _sections(field.annotation):
        return "list of sections" if "tuple" in text else "section"
    bounds = [
        f"{sign} {getattr(rule, attribute)}"
        for rule in field.metadata
        for attribute, sign in _BOUNDS.items()
        if hasattr(rule, attribute)
    ]
    text = text.replace(" | None", " or null").replace("tuple[", "list of ").replace(", ...]", "")
    text = text.replace("Literal[", "one of ").replace("']", "'").replace("|", "or")
    return " ".join([text, *bounds])


def _default(field: FieldInfo) -> Any:
    return field.get_default(call_default_factory=True, validated_data={})


def _cell(value: Any) -> str:
    if value is PydanticUndefined:
        return "required"
    if isinstance(value, BaseModel) or (isinstance(value, tuple) and any(isinstance(v, BaseModel) for v in value)):
        return "see below"
    return f"`{json.dumps(value, ensure_ascii=False)}`"


def _differing(value: Any) -> str:
    """Default of a shared section: only the keys that differ from its own defaults."""
    if value is PydanticUndefined:
        return "required"
    if value is None or value == ():
        return f"`{json.dumps(value)}`"
    items = value if isinstance(value, tuple) else (value,)
    plain = [item.model_dump(mode="json", exclude_unset=True) for item in items]
    if not any(plain):
        return ""
    text = json.dumps(plain if isinstance(value, tuple) else plain[0], ensure_ascii=False)
    return f"`{text}`" if len(text) < 100 else "see the config that ships"


def ci_files() -> dict[str, str]:
    """Write the workflows for CI systems, as `hrembed init --preset ci` does."""
    return {name: ci_text(ci, "ci", "minilm", WHEEL) for ci, name in _CI.items()}


if __name__ == "__main__":
    write_text(DOCS / "config.md", reference())
    write_text(DOCS / "glossary.md", glossary())
    for name, text in ci_files().items():
        write_text(DOCS / "ci" / name, text)
    for file in (DOCS / "schema").glob("*.json"):
        file.unlink()
    for name in names():
        write_text(DOCS / "schema" / f"{name}.config.json", schema_text(name) + "\n")
    for name in names(metrics=True):
        write_text(DOCS / "schema" / f"{name}.metrics.json", schema_text(name, metrics=True) + "\n")
