"""The comparison as a page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hrembed.commands.compare.tables import DECISION
from hrembed.reports.page import Picture, Prose, Table, write_page

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from hrembed.commands.compare.tables import Tables
    from hrembed.reports.page import Part

_NOTE = (
    "Accuracy with its interval. * extrapolated from a curve fitted to smaller sizes, or from times of fewer texts. "
    "Energy is time by an assumed power, arithmetic an estimate from the architecture; prices are those of the config."
)


def write_report(folder: Path, tables: Tables, words: Sequence[str]) -> None:
    """Write `report.html` of a comparison.

    Raises:
        HrembedError: The file cannot be written.
    """
    parts: list[Part] = [Prose("Trade-offs", words or ["There is nothing to compare."])]
    for title, rows in tables.items():
        parts.append(Table(title, rows, note=_NOTE if title == DECISION else "", link="decision.json"))
    if (folder / "growth.svg").is_file():
        alt = "Curves of search time over the number of documents, one a model; the numbers are in the table Growth."
        parts.append(Picture("Growth of a search", folder / "growth.svg", alt))
    write_page(
        folder / "report.html",
        "Comparison",
        f"run compare/{folder.name}",
        parts,
        footer=f"Repeat with: hrembed compare --config {folder.name}/config.yaml",
    )
