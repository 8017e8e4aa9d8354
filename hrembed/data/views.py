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
_HIDDEN = re.compile(r"[\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufe0f\ufeff]")
_ESCAPES = re.compile(
    r"&(?:amp;){0,3}(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[a-zA-Z][a-zA-Z0-9]{1,30});"
    rf"|(?:%|=|\\x|\\u00)(?P<code>{_CODES})"
    rf"|(?P<hidden>{_HIDDEN.pattern})"
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
    if match.group("other"):
        return _in_ascii(match.group("other"))
    name = match.group().replace("&amp;", "&").removeprefix("&").replace("amp;", "") or "amp;"
    decoded = html.unescape(f"&{name}")
    if len(decoded) != 1:
        return None
    return "" if _HIDDEN.match(decoded) else _in_ascii(decoded) or decoded


def _in_ascii(character: str) -> str | None:
    """The ASCII character that means the same; None where there is none."""
    if character.isdecimal():
        return str(unicodedata.decimal(character))
    wide = unicodedata.normalize("NFKC", character)
    return wide if len(wide) == 1 and wide.isascii() else None


def _instead_of_tag(match: re.Match[str]) -> str:
    tag = (match.group("tag") or "").lower()
    if not tag or tag in _INLINE:
        return ""
    return "\t" if tag in _CELL else "\n"
