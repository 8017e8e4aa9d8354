"""One self-contained HTML page: what was asked, the answer, its numbers, pictures, detail, and how to repeat it.

The template engine escapes every text, so a résumé that contains `<script>` stays text. Nothing is loaded from
elsewhere: styles, scripts and pictures are embedded.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal
from urllib.parse import quote

from hrembed.files import write_text
from hrembed.reports.glossary import terms_in

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from jinja2 import Environment
    from markupsafe import Markup

    from hrembed.reports.glossary import Term

Tone = Literal["", "pass", "fail", "inconclusive"]
"""What a colour says; a sign and a word stand beside it."""

TONES: Mapping[str, Tone] = {
    "pass": "pass",
    "better": "pass",
    "accepted": "pass",
    "ok": "pass",
    "fail": "fail",
    "failed": "fail",
    "worse": "fail",
    "rejected": "fail",
    "damaged": "fail",
    "edited": "fail",
    "inconclusive": "inconclusive",
    "cannot tell": "inconclusive",
    "waived": "inconclusive",
    "interrupted": "inconclusive",
    "started": "inconclusive",
}
"""A word in a cell to its tone; other words have none."""


def tone_of(word: str) -> Tone:
    """Tone of an outcome in words; that of its first words counts: `inconclusive; about 900 names are needed`."""
    return TONES.get(word) or TONES.get(word.partition(";")[0].strip(), "")


@dataclass(frozen=True)
class Prose:
    """Paragraphs.

    Attributes:
        title: Heading; empty for none.
        paragraphs: Plain texts; one that begins with two spaces is a command.
        kind: Decides the colour of the edge.
    """

    title: str
    paragraphs: Sequence[str]
    kind: Tone = ""


@dataclass(frozen=True)
class Table:
    """Rows of named cells, which the reader can sort.

    Attributes:
        title: Caption.
        rows: Column name to cell; a column stands where any row has it.
        note: What the columns mean, below the table.
        link: Relative path of the file with the rows behind it; empty for none.
        links: Column to one relative path for each row, to which its cell leads; an empty path leads nowhere.
        filters: Columns by which the reader can choose rows.
        toned: Whether words such as `pass` and `rejected` are outcomes, and have their colour; else they are data.
    """

    title: str
    rows: Sequence[Mapping[str, str]]
    note: str = ""
    link: str = ""
    links: Mapping[str, Sequence[str]] = field(default_factory=dict)
    filters: Sequence[str] = ()
    toned: bool = True

    @property
    def columns(self) -> list[str]:
        """Names of the columns, in the order in which they first come."""
        return list(dict.fromkeys(name for row in self.rows for name in row))

    def choices(self, column: str) -> list[str]:
        """Different cells of a column, in the order of the alphabet."""
        return sorted({row.get(column, "") for row in self.rows} - {""})


@dataclass(frozen=True)
class Picture:
    """A file of ours that is put into the page.

    Attributes:
        title: Caption.
        path: An SVG or PNG file, which is read when the page is written.
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
class Drawing:
    """A chart, drawn for a desktop and for a phone; the reader's screen decides.

    Attributes:
        title: Caption: what it shows.
        wide: An `svg` element of ours.
        narrow: The same for a phone.
        note: How to read it, below.
    """

    title: str
    wide: str
    narrow: str
    note: str = ""


@dataclass(frozen=True)
class Listing:
    """Text as it is, folded away until the reader opens it.

    Attributes:
        title: What is read before it is opened.
        text: Lines.
    """

    title: str
    text: str


Part = Prose | Table | Picture | Drawing | Listing


@dataclass(frozen=True)
class Figure:
    """A number that the answer rests on.

    Attributes:
        label: What it is.
        value: The number with its unit.
        note: Interval, limit, comparison.
        tone: What it means.
        word: The tone in words, such as `better`; empty for the tone's own word.
    """

    label: str
    value: str
    note: str = ""
    tone: Tone = ""
    word: str = ""


@dataclass(frozen=True)
class Section:
    """Detail that is folded away until the reader opens it.

    Attributes:
        title: What is read before it is opened.
        parts: What is inside.
    """

    title: str
    parts: Sequence[Part]


@dataclass(frozen=True)
class Page:
    """What stands on a page, in the order in which it is read.

    Attributes:
        title: Name of the page.
        subtitle: Run, date, version.
        asked: The question, in a sentence.
        answer: Its heading is the answer in a few words, its first paragraph says it in a sentence; what to do next
            stands last.
        figures: Numbers behind the answer.
        lead: The picture or table that shows the answer. With everything above it, this is the summary, which is
            what is printed.
        pictures: What else is to be seen.
        details: Folded away.
        origin: Inputs, settings, files; folded away as well.
        repeat: A command that makes the run again; empty for none.
        footer: Last line.
    """

    title: str
    subtitle: str
    asked: str
    answer: Prose
    figures: Sequence[Figure] = ()
    lead: Sequence[Part] = ()
    pictures: Sequence[Part] = ()
    details: Sequence[Section] = ()
    origin: Sequence[Part] = ()
    repeat: str = ""
    footer: str = ""


def write_page(path: Path, page: Page) -> None:
    """Write a page.

    Raises:
        HrembedError: The file cannot be written.
    """
    words = _Words()
    write_text(path, render("page.html.j2", page=page, explain=words.explain, words=words, kind_of=_kind_of))


def _kind_of(part: Part) -> str:
    return type(part).__name__.lower()


_CODE = re.compile(r"`([^`]+)`")


class _Words:
    """Marks the first time that a page says a term, and remembers which ones it said."""

    def __init__(self) -> None:
        self._said: dict[str, Term] = {}

    def explain(self, text: str) -> Markup:
        """Escape a text, and make a button of each term that was not yet explained; it opens the meaning."""
        from markupsafe import Markup, escape

        parts, place = [], 0
        code = [match.span() for match in _CODE.finditer(text)]
        for start, end, term in terms_in(text):
            if term.name in self._said or any(first <= start < last for first, last in code):
                continue
            self._said[term.name] = term
            button = Markup('<button type="button" class="term" popovertarget="{}">{}</button>')
            parts += [escape(text[place:start]), button.format(term.anchor, text[start:end])]
            place = end
        return _coded(Markup("").join([*parts, escape(text[place:])]))

    def noticed(self, text: str) -> Markup:
        """Escape a text that can hold no buttons, such as the head of a table, and remember its terms."""
        from markupsafe import escape

        self._said |= {term.name: term for _, _, term in terms_in(text) if term.name not in self._said}
        return _coded(escape(text))

    @property
    def said(self) -> list[Term]:
        """Terms that the page said, by name."""
        return sorted(self._said.values(), key=lambda term: term.name.lower())


def _coded(text: Markup) -> Markup:
    """Set what stands between backticks as code; it is escaped already."""
    from markupsafe import Markup

    return Markup(_CODE.sub(r"<code>\1</code>", str(text)))


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
    found.filters["tone"] = tone_of
    return found
