"""Markdown tables for job summaries; text from users is escaped."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def markdown_table(rows: Sequence[Mapping[str, str]]) -> str:
    """Write rows as a table with every column of any row; an empty text without rows.

    Args:
        rows: Column name to cell.
    """
    columns = list(dict.fromkeys(key for row in rows for key in row))
    if not columns:
        return ""
    lines = [columns, ["---"] * len(columns), *([row.get(column, "") for column in columns] for row in rows)]
    head, rule, *body = lines
    shown = [[inline(cell) for cell in head], rule, *([inline(cell) for cell in cells] for cells in body)]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in shown)


def inline(text: str) -> str:
    """Escape markup, and keep the text on one line."""
    return re.sub(r"([\\`*_\[\]<>|#&~])", r"\\\1", " ".join(text.split()))
