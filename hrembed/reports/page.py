"""One self-contained HTML page: prose, sortable tables, pictures.

Every text that is put in is escaped by the template engine, so a résumé that holds `<script>` stays text. Nothing is
loaded from anywhere: style and script stand in the page, pictures are part of it.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hrembed.files import write_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from jinja2 import Environment


@dataclass(frozen=True)
class Prose:
    """Paragraphs.

    Attributes:
        title: Heading; empty for none.
        paragraphs: Plain texts.
        kind: `verdict-pass`, `verdict-fail`, `verdict-inconclusive` or empty; decides the colour of the edge.
    """

    title: str
    paragraphs: Sequence[str]
    kind: str = ""


@dataclass(frozen=True)
class Table:
    """Rows of named cells, which the reader can sort.

    Attributes:
        title: Caption.
        rows: Column name to cell; all rows have the columns of the first.
        note: What the columns mean, below the table.
        link: Relative path of the file with the rows behind it; empty for none.
    """

    title: str
    rows: Sequence[Mapping[str, str]]
    note: str = ""
    link: str = ""


@dataclass(frozen=True)
class Picture:
    """A drawing that is put into the page.

    Attributes:
        title: Caption.
        path: An SVG or PNG file of ours, which is read when the page is written.
        alt: What is to be seen, in words.
    """

    title: str
    path: Path
    alt: str

    @property
    def source(self) -> str:
        """The picture as a `data:` address."""
        kind = "svg+xml" if self.path.suffix == ".svg" else "png"
        return f"data:image/{kind};base64,{base64.b64encode(self.path.read_bytes()).decode()}"


def write_page(path: Path, title: str, subtitle: str, parts: Sequence[Prose | Table | Picture], *, footer: str) -> None:
    """Write a page.

    Args:
        path: The HTML file.
        title: Name of the page.
        subtitle: One line below it: run, date, model.
        parts: What stands on it, in order.
        footer: Last line, for example how to make the page again.

    Raises:
        HrembedError: The file cannot be written.
    """
    kinds = [(type(part).__name__.lower(), part) for part in parts]
    template = environment().get_template("page.html.j2")
    write_text(path, template.render(title=title, subtitle=subtitle, parts=kinds, footer=footer) + "\n")


def environment() -> Environment:
    """The template engine: everything is escaped, and a name that is missing is an error."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader("hrembed.reports", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
