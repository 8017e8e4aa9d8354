"""One self-contained HTML page: prose, sortable tables, pictures.

The template engine escapes every text, so a résumé that contains `<script>` stays text. Nothing is loaded from
elsewhere: styles, scripts and pictures are embedded.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import quote

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
        rows: Column name to cell; a column stands where any row has it.
        note: What the columns mean, below the table.
        link: Relative path of the file with the rows behind it; empty for none.
        links: Column to one relative path for each row, to which its cell leads; an empty path leads nowhere.
    """

    title: str
    rows: Sequence[Mapping[str, str]]
    note: str = ""
    link: str = ""
    links: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def columns(self) -> list[str]:
        """Names of the columns, in the order in which they first come."""
        return list(dict.fromkeys(name for row in self.rows for name in row))


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


@dataclass(frozen=True)
class Listing:
    """Text as it is, folded away until the reader opens it.

    Attributes:
        title: What is read before it is opened.
        text: Lines.
    """

    title: str
    text: str


Part = Prose | Table | Picture | Listing


def write_page(path: Path, title: str, subtitle: str, parts: Sequence[Part], *, footer: str) -> None:
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
    write_text(path, render("page.html.j2", title=title, subtitle=subtitle, parts=kinds, footer=footer))


def address(path: str) -> str:
    """Write a relative path as a link that leads to that file and nowhere else, whatever its name is."""
    return quote(path if path.startswith(("./", "../")) else f"./{path}", safe="/#")


def render(template: str, **values: object) -> str:
    """Fill in one of the templates; it ends with a line's end."""
    return environment().get_template(template).render(**values).rstrip("\n") + "\n"


def environment() -> Environment:
    """The template engine: everything in HTML is escaped, and a name that is missing is an error."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    found = Environment(
        loader=PackageLoader("hrembed.reports", "templates"),
        autoescape=lambda name: name is None or ".html" in name,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters["address"] = address
    return found
