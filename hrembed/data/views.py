"""A text as a reader sees it: without markup, escapes and invisible characters, and with the way back to its places."""

from __future__ import annotations

import html
import re
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    _Instead = Callable[[re.Match[str]], str | None]

# Characters that URLs, e-mail in quoted-printable and program text write by their number.
_CODES = "40|2[BDEbde]|5[Ff]"
_ESCAPES = re.compile(
    r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[a-zA-Z][a-zA-Z0-9]{1,30});"
    rf"|(?:%|=|\\x|\\u00)(?P<code>{_CODES})"
    r"|(?P<hidden>[\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufe0f\ufeff])"
    r"|(?P<other>[^\x00-\x7f])"
)
_TAG = re.compile(r"<!--[^<>]{0,300}-->|</?(?P<tag>[a-zA-Z][a-zA-Z0-9]{0,15})(?:[\s/][^<>]{0,1000})?>")
_INLINE = frozenset(re.split(" ", "a abbr b bdi bdo em font i mark nobr small span strong sub sup u wbr"))
_CELL = frozenset({"td", "th"})


@dataclass(frozen=True)
class View:
    """A text to search in, each of whose characters stands for a piece of the original.

    Attributes:
        text: What is searched.
        starts: Where the piece of each character begins in the original.
        ends: Where it ends.
    """

    text: str
    starts: Sequence[int]
    ends: Sequence[int]

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Find the place in the original of a piece of this view."""
        return self.starts[start], self.ends[end - 1]


def plain(text: str) -> View:
    """Decode escapes, leave out invisible characters, and write digits and signs of all scripts in ASCII."""
    if text.isascii() and not any(sign in text for sign in "&%=\\"):
        return View(text, range(len(text)), range(1, len(text) + 1))
    return _replaced(View(text, range(len(text)), range(1, len(text) + 1)), _ESCAPES, _decoded)


def without_tags(view: View) -> View | None:
    """Leave out HTML tags: a block ends a line, a cell of a table is divided by a tab; None where there are no tags."""
    return _replaced(view, _TAG, _instead_of_tag) if "<" in view.text and _TAG.search(view.text) else None


def _replaced(view: View, pattern: re.Pattern[str], instead: _Instead) -> View:
    parts: list[str] = []
    starts: list[int] = []
    ends: list[int] = []

    def take(start: int, end: int) -> None:
        parts.append(view.text[start:end])
        starts.extend(view.starts[start:end])
        ends.extend(view.ends[start:end])

    at = 0
    for match in pattern.finditer(view.text):
        new = instead(match)
        if new is None:
            continue
        take(at, match.start())
        parts.append(new)
        begin, end = view.span(*match.span())
        starts.extend([begin] * len(new))
        ends.extend([end] * len(new))
        at = match.end()
    take(at, len(view.text))
    return View("".join(parts), starts, ends)


def _decoded(match: re.Match[str]) -> str | None:
    """What an escape or a character stands for; None where it stays."""
    if match.group("hidden"):
        return ""
    if match.group("code"):
        return chr(int(match.group("code"), 16))
    other = match.group("other")
    if other is None:
        decoded = html.unescape(match.group())
        return decoded if len(decoded) == 1 else None
    if other.isdecimal():
        return str(unicodedata.decimal(other))
    wide = unicodedata.normalize("NFKC", other)
    return wide if len(wide) == 1 and wide.isascii() and wide != " " else None


def _instead_of_tag(match: re.Match[str]) -> str:
    tag = (match.group("tag") or "").lower()
    if not tag or tag in _INLINE:
        return ""
    return "\t" if tag in _CELL else "\n"
