"""Print what hrembed says to its users, each sentence once: errors, hints, notes, notices, and other text.

    python tools/message_tour.py > tests/contract/messages.txt

The list is collected from the source, so that a changed sentence is seen in review; `{...}` stands for what is filled
in. Read it from top to bottom as somebody who has only these words.
"""

from __future__ import annotations

import ast
import re
import sys
from collections import defaultdict
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

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
_ERRORS |= {"CellError", "ChangedError", "RefusalError", "OutputError", "ReaderGoneError", "StoppedError", "RowError"}
_NOTES = {"note", "notes", "warn", "warning", "say", "tell"}
# Lists of words, patterns, and texts that are embedded: nothing that hrembed says.
_NOT_SAID = {
    "audit/answers.py",
    "commands/export/checks.py",
    "data/ats_columns.py",
    "data/common_words.py",
    "data/onet.py",
    "data/stages.py",
    "data/views.py",
    "evaluation/abbreviations.py",
    "models/graph_backend.py",
    "reports/glossary.py",  # docs/glossary.md shows it
    "titles.py",
}
_PATTERN = re.compile(r"\(\?|\\d|\[\^|\]\{|<|^\s*\S+(\s\S{1,4})+$|\|.*\|.*\|")
_TOLD_ELSEWHERE = {"description", "help", "epilog", "title"}  # docs/config.md and `--help` show these


class Sentence(NamedTuple):
    """Something that a user may read.

    Attributes:
        kind: `error`, `hint`, `note`, `notice`, or `text` for a sentence that is put together before it is said.
        file: Where it stands, relative to the package.
        line: Its line.
        text: The words; what is filled in is written as in the source.
    """

    kind: str
    file: str
    line: int
    text: str


@cache
def modules() -> tuple[tuple[str, ast.Module], ...]:
    """Parse every module of the package; with their names relative to it, in order."""
    files = sorted(PACKAGE.rglob("*.py"))
    return tuple((file.relative_to(PACKAGE).as_posix(), ast.parse(file.read_text(encoding="utf-8"))) for file in files)


@cache
def sentences() -> tuple[Sentence, ...]:
    """Collect all sentences of the package, in the order of files and lines."""
    found = [
        Sentence(kind, name, node.lineno, text)
        for name, tree in modules()
        for kind, node, text in spoken(tree)
        if kind != "text" or name not in _NOT_SAID
    ]
    return tuple(sorted(dict.fromkeys(found), key=lambda said: (said.file, said.line, said.kind)))


def spoken(tree: ast.AST) -> Iterator[tuple[str, ast.expr, str]]:
    """Yield each wording of a module with its kind: first what is said where it stands, then sentences kept for later.

    Of the latter, these are strings of four words or more that are neither documentation nor a pattern.
    """
    nodes = [*ast.walk(tree)]
    said = [(kind, node, text) for node in nodes for kind, node, text in _said_by(node)]
    yield from said
    skipped = {id(part) for _, node, _ in said for part in ast.walk(node)}
    for node in nodes:
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            skipped.add(id(node.value))
        elif isinstance(node, ast.keyword) and node.arg in _TOLD_ELSEWHERE:
            skipped |= {id(part) for part in ast.walk(node.value)}
        elif isinstance(node, ast.JoinedStr):
            skipped |= {id(part) for part in node.values if isinstance(part, ast.Constant)}
    for node in nodes:
        if isinstance(node, ast.Constant | ast.JoinedStr) and id(node) not in skipped:
            yield from (("text", part, text) for part, text in _texts(node) if _is_sentence(text))


def _is_sentence(text: str) -> bool:
    return text.count(" ") >= 3 and not _PATTERN.search(text)


def _said_by(node: ast.AST) -> list[tuple[str, ast.expr, str]]:
    if not isinstance(node, ast.Call):
        return []
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    said = []
    if name in _ERRORS and node.args:
        said.append(("error", node.args[0]))
    if name in _NOTES and node.args:
        said.append(("note", node.args[0]))
    said.extend((keyword.arg, keyword.value) for keyword in node.keywords if keyword.arg in {"hint", "notice"})
    return [(kind, part, text) for kind, value in said for part, text in _texts(value)]


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
