"""Print what hrembed says to its users, each sentence once: errors, hints, notes, notices.

    python tools/message_tour.py > tests/contract/messages.txt

The list is collected from the source, so that a changed sentence is seen in review; `{...}` stands for what is filled
in. Read it from top to bottom as somebody who has only these words.
"""

from __future__ import annotations

import ast
import sys
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

PACKAGE = Path(__file__).resolve().parent.parent / "hrembed"
_ERRORS = {
    "ConfigError",
    "DataError",
    "HrembedError",
    "InconclusiveError",
    "ModelError",
    "ThresholdError",
    "ValueError",
}
_ERRORS |= {"CellError", "OutputError", "ReaderGoneError", "StoppedError", "RowError"}
_NOTES = {"note", "notes", "warn", "warning", "say", "tell"}


class Sentence(NamedTuple):
    """Something that a user may read.

    Attributes:
        kind: `error`, `hint`, `note` or `notice`.
        file: Where it stands, relative to the package.
        line: Its line.
        text: The words; what is filled in is written as in the source.
    """

    kind: str
    file: str
    line: int
    text: str


def sentences() -> list[Sentence]:
    """Collect all sentences of the package, in the order of files and lines."""
    found = [
        Sentence(kind, file.relative_to(PACKAGE).as_posix(), line, text)
        for file in sorted(PACKAGE.rglob("*.py"))
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        for kind, line, text in _said_by(node)
    ]
    return sorted(dict.fromkeys(found), key=lambda said: (said.file, said.line, said.kind))


def _said_by(node: ast.AST) -> list[tuple[str, int, str]]:
    if not isinstance(node, ast.Call):
        return []
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    said = []
    if name in _ERRORS and node.args:
        said.append(("error", node.args[0]))
    if name in _NOTES and node.args:
        said.append(("note", node.args[0]))
    said.extend((keyword.arg, keyword.value) for keyword in node.keywords if keyword.arg in {"hint", "notice"})
    return [(kind, part.lineno, text) for kind, value in said for part, text in _texts(value)]


def _texts(value: ast.expr) -> list[tuple[ast.expr, str]]:
    """Every wording of an expression: both ends of a condition, and text that is filled in."""
    if isinstance(value, ast.Constant):
        return [(value, value.value)] if isinstance(value.value, str) and value.value.strip() else []
    if isinstance(value, ast.JoinedStr):
        parts = [
            str(part.value) if isinstance(part, ast.Constant) else "{" + ast.unparse(part.value) + "}"
            for part in value.values
            if isinstance(part, ast.Constant | ast.FormattedValue)
        ]
        return [(value, "".join(parts))] if "".join(parts).strip() else []
    if isinstance(value, ast.IfExp):
        return [*_texts(value.body), *_texts(value.orelse)]
    if isinstance(value, ast.BinOp) and isinstance(value.op, ast.Add):
        return [*_texts(value.left), *_texts(value.right)]
    return []


def tour() -> str:
    """The list as text: files with their sentences, no line numbers, so that only a changed sentence changes it."""
    by_file: dict[str, list[str]] = defaultdict(list)
    for said in sentences():
        row = f"  {said.kind}: {said.text!r}"
        if row not in by_file[said.file]:
            by_file[said.file].append(row)
    return "".join(f"{file}\n" + "".join(f"{row}\n" for row in rows) + "\n" for file, rows in by_file.items())


if __name__ == "__main__":
    sys.stdout.write(tour())
