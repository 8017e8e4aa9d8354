"""A hint names only what is there: settings of the command, options, commands."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from hrembed.cli.app import app
from hrembed.config.schema import SCHEMAS
from pydantic import BaseModel

from message_tour import modules, sentences

if TYPE_CHECKING:
    from message_tour import Sentence

# Folder below `commands` -> schemas whose settings its hints may name.
SHARED = {
    "data/imports.py": ["data-import-onet", "data-import-esco", "data-import-table"],
    "decision.py": ["decision"],
    "demo.py": ["demo"],
}


@cache
def settings(schema: str) -> frozenset[str]:
    """Every dotted key of a config, and every end of it: `train.epochs`, `epochs`."""
    return frozenset(".".join(parts[n:]) for parts in _keys(SCHEMAS[schema]) for n in range(len(parts)))


def _keys(model: type[BaseModel], depth: int = 0) -> list[tuple[str, ...]]:
    found = []
    for name, field in model.model_fields.items():
        found.append((name,))
        if depth < 8:
            found += [(name, *rest) for inner in _models(field.annotation) for rest in _keys(inner, depth + 1)]
    return found


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for inner in getattr(annotation, "__args__", ()) for model in _models(inner)]


@cache
def commands() -> dict[str, set[str]]:
    """Words of every command -> its options."""
    found: dict[str, set[str]] = {}

    def add(command: Any, words: str) -> None:
        found[words] = {option for part in command.params for option in part.opts if option.startswith("--")}
        for name, inner in getattr(command, "commands", {}).items():
            add(inner, f"{words} {name}".strip())

    add(typer.main.get_command(app), "")
    return found


def schemas_of(file: str) -> list[str]:
    """Commands that may show a sentence: its own below `commands`, any for what several share."""
    if not file.startswith("commands/"):
        return list(SCHEMAS)
    inside = file.removeprefix("commands/")
    if inside in SHARED:
        return SHARED[inside]
    folder, _, rest = inside.partition("/")
    name = folder.replace("_", "-")
    if name == "data":
        return (
            [f"data-{Path(rest).stem}"]
            if f"data-{Path(rest).stem}" in SCHEMAS
            else [s for s in SCHEMAS if s[:4] == "data"]
        )
    return [name] if name in SCHEMAS else list(SCHEMAS)


def test_a_hint_names_settings_of_its_command():
    hints = [said for said in sentences() if said.kind == "hint"]
    assert len(hints) > 100
    assert {said: unknown for said in hints if (unknown := unknown_settings(said))} == {}


def unknown_settings(said: Sentence) -> list[str]:
    text = re.sub(r"\{[^{}]*\}", "", said.text)
    keys = re.findall(r"--set ([a-z_.0-9]+)=", text)
    keys += [
        key for key in re.findall(r"(?<![\w`])`([a-z_]+(?:\.[a-z_]+)+)(?:: [^`]*)?`", text) if not key.endswith(FILES)
    ]
    keys += [key for key in re.findall(r"(?:set|raise|lower|remove|increase|relax|use) `([a-z_]+)(?:: [^`]*)?`", text)]
    return [key for key in keys if not any(key in settings(schema) for schema in schemas_of(said.file))]


def test_a_command_in_a_hint_is_quoted_so_that_a_terminal_does_not_break_it():
    names = {"install", *(name.split()[0] for name in commands() if name)}
    for said in sentences():
        outside = re.sub(r"`[^`]*`", "", said.text)
        if said.kind == "hint":
            assert not [word for word in re.findall(r"\b(?:hrembed|pip) ([a-z-]+)", outside) if word in names], said


FILES = (".json", ".yaml", ".txt", ".safetensors", ".tsv", ".jsonl", ".parquet", ".md")


def every_text() -> list[tuple[str, str]]:
    """Every text of the package that names a command: file and text."""
    found = []
    for file, tree in modules():
        for node in ast.walk(tree):
            if isinstance(node, ast.JoinedStr):
                text = "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                text = node.value
            else:
                continue
            if re.search(r"\bhrembed [a-z]", text):
                found.append((file, text))
    return found


def test_a_command_that_is_named_exists_with_its_options():
    texts = every_text()
    assert len(texts) > 100
    for file, text in texts:
        check_commands(file, text)


def check_commands(file: str, text: str) -> None:
    for call in re.findall(r"(?:`|: |^|run )hrembed ([a-z][^`\n;()]*)", text):
        words = call.split()
        name = max((n for n in range(4) if " ".join(words[:n]) in commands()), default=0)
        assert name, (file, call)
        start = " ".join(words[:name])
        # A word that is filled in may be the command of a group: then any of the group has the option.
        below = [name for name in commands() if "{}" in words and name.startswith(f"{start} ")]
        known = set().union(*(commands()[name] for name in [start, *below]))
        options = {word.partition("=")[0] for word in words if word.startswith("--")}
        assert options <= known, (file, call)
