"""Benchmarks run seldom: what they import of hrembed must still be there when they do."""

from __future__ import annotations

import ast
import importlib
from importlib.util import find_spec
from pathlib import Path

import pytest

BENCHMARKS = sorted((Path(__file__).parents[2] / "benchmarks").glob("*.py"))


def missing(source: str) -> list[str]:
    """Names that a script imports from hrembed, anywhere in it, and that are not there."""
    imports = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ImportFrom)]
    return [
        f"{node.module}.{alias.name}"
        for node in imports
        if (node.module or "").partition(".")[0] == "hrembed"
        for alias in node.names
        if not is_there(str(node.module), alias.name)
    ]


def is_there(module: str, name: str) -> bool:
    """Whether a module has a name, or a package a module."""
    found = importlib.import_module(module)
    return hasattr(found, name) or (hasattr(found, "__path__") and find_spec(f"{module}.{name}") is not None)


@pytest.mark.parametrize("file", BENCHMARKS, ids=lambda file: file.stem)
def test_what_a_benchmark_imports_is_there(file: Path) -> None:
    assert missing(file.read_text(encoding="utf-8")) == []


def test_a_name_that_has_left_is_seen() -> None:
    assert missing("from hrembed.commands.finetune.run import recipe_of") == ["hrembed.commands.finetune.run.recipe_of"]
