"""What the tables of several `index` commands show."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hrembed.files import files_below, user_path
from hrembed.memory import MB

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from hrembed.records.index import Generation, Recall


def index_folder(reference: str) -> Path:
    """Folder of an index, as the user wrote it."""
    return user_path(reference)


def size_of(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(file.stat().st_size for file in files_below(folder))


def in_mb(size: int) -> str:
    """Write a size."""
    return f"{size / MB:,.1f} MB"


def recall_rows(recall: Sequence[Recall]) -> list[dict[str, str]]:
    """Recall as rows of a table."""
    return [
        {
            "filter": each.where or "none",
            "matching": f"{each.matching:,}",
            "queries": f"{each.queries:,}",
            f"recall@{each.k}": f"{each.mean:.3f}",
            "lowest": f"{each.least:.2f}",
            "short": f"{each.short:,}",
        }
        for each in recall
    ]


def below(recall: Sequence[Recall], least: float | None) -> list[str]:
    """Say which measurements are lower than they should be; queries that got too few documents always are."""
    wrong = []
    for each in recall:
        where = f"with `{each.where}`" if each.where else "without a filter"
        if least is not None and each.mean < least:
            wrong.append(f"recall@{each.k} {where} is {each.mean:.3f} (limit {least:g})")
        if each.short:
            wrong.append(f"{each.short:,} of {each.queries:,} queries {where} got fewer than {each.k} documents")
    return wrong


def how_searched(generation: Generation) -> str:
    """How a generation is searched, in words."""
    if not generation.partitions:
        return "all rows compared"
    probed = (
        f"{generation.probes:,} of {generation.partitions:,}" if generation.probes else f"all {generation.partitions:,}"
    )
    return f"{probed} partitions, refined {generation.refine} times; with a filter all"
