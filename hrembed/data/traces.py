"""What exports leave behind in texts: mark-up, entities, characters decoded wrongly, escapes of spreadsheets."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from hrembed.data.cells import MARKERS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from hrembed.records.data import Trace

# Characters of cp1252 between 0x80 and 0x9F; with `Ã` or `Â` in front they are UTF-8 that was decoded as cp1252.
_HIGH = "\x80-\xbf" + bytes(range(0x80, 0xA0)).decode("cp1252", "ignore")
_PATTERNS: Mapping[Trace, re.Pattern[str]] = {
    "markup": re.compile(r"</?[A-Za-z][A-Za-z0-9]*(?:\s[^<>]*)?/?>|<!--"),
    "entities": re.compile(r"&(?:[A-Za-z][A-Za-z0-9]{1,8}|#[0-9]{1,6}|#[xX][0-9A-Fa-f]{1,5});"),
    "mojibake": re.compile(rf"[ÃÂ][{_HIGH}]|â€|â[\x80-\x9f]|ï»¿|\ufffd"),
    "spreadsheet": re.compile(r"_x[0-9A-Fa-f]{4}_|^\s*=[A-Z][A-Z.]*\("),
}


def count_traces(texts: Iterable[str]) -> dict[Trace, int]:
    """Count the texts with each kind of trace.

    Args:
        texts: Distinct texts.
    """
    counts: dict[Trace, int] = {**dict.fromkeys(_PATTERNS, 0), "missing": 0}
    for text in texts:
        for trace, pattern in _PATTERNS.items():
            counts[trace] += pattern.search(text) is not None
        counts["missing"] += text.strip().lower() in MARKERS
    return counts
