"""HTML in the texts of an export, as the text that a reader sees."""

from __future__ import annotations

import html
import re
from typing import Literal

Markup = Literal["none", "html", "escaped"]
"""How a text is written: plainly, in HTML, or in HTML whose tags are escaped (`&lt;p&gt;`)."""

_NAMES = (
    "a|abbr|address|article|b|blockquote|body|br|center|code|dd|div|dl|dt|em|font|footer|h[1-6]|head|header|hr|html|i|"
    "img|li|main|meta|o:p|ol|p|pre|script|section|small|span|strong|style|sub|sup|table|tbody|td|th|thead|title|tr|u|ul"
)
# Names of tags that exist: `List<String>` and `C < 5 years` are text.
_TAG = re.compile(rf"</?(?:{_NAMES})(?:\s[^<>]*)?/?>|<!--|<!doctype", re.IGNORECASE)
_ENTITY = re.compile(r"&(?:[A-Za-z][A-Za-z0-9]{1,8}|#[0-9]{1,6}|#[xX][0-9A-Fa-f]{1,5});")
_TIMES_ESCAPED = 3
_BULLET = re.compile(r"^[ \t]*[*+\-\u2022][ \t]+", re.MULTILINE)
_BLANKS = re.compile(r"[ \t\u00a0\u2007\u202f]+")
_LINES = re.compile(r"\s*\n\s*")


def as_text(text: str) -> tuple[str, Markup]:
    """Write a text of an export as a reader sees it: no tags, no entities, one line for each paragraph or list item.

    Exports escape HTML once more, or several times, where they put it into JSON or CSV: that is undone first. Scripts,
    styles and comments are left out. A text without tags keeps its `<` and `>`.

    Returns:
        The text without blanks around it, and how it was written.
    """
    from inscriptis import get_text
    from inscriptis.css_profiles import CSS_PROFILES
    from inscriptis.model.config import ParserConfig

    source, markup = _unescaped(text)
    if markup == "none":
        return tidy(html.unescape(source) if _ENTITY.search(source) else source), markup
    return tidy(_BULLET.sub("", get_text(source, ParserConfig(css=CSS_PROFILES["strict"])))), markup


def _unescaped(text: str) -> tuple[str, Markup]:
    """Undo escaping until tags can be seen; a text that never has any stays as it is."""
    source = text
    for times in range(_TIMES_ESCAPED + 1):
        if _TAG.search(source):
            return source, "escaped" if times else "html"
        decoded = html.unescape(source)
        if decoded == source:
            break
        source = decoded
    return text, "none"


def tidy(text: str) -> str:
    """Write single blanks and single line breaks, and nothing around the text."""
    return _LINES.sub("\n", _BLANKS.sub(" ", text)).strip()
