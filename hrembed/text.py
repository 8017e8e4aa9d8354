"""How texts are compared and shown: the same words are the same text, and a control character is a visible one."""

from __future__ import annotations

import hashlib
import re
import unicodedata

# `+` and `#` stay: C, C++ and C# are three skills.
_GAP = re.compile(r"(?:[^\w+#]|_)+")
_ASCII_GAPS = {code: " " for code in range(128) if not chr(code).isalnum() and chr(code) not in "+#"}


def normalise(text: str) -> str:
    """Reduce a text to its words: lower case, single spaces, no punctuation.

    Compatibility forms of a character count as the character (Unicode NFKC), and case is folded, so `ß` equals `ss`.
    The result is empty for a text without letters and digits.
    """
    if text.isascii():  # the same, five times as fast
        return " ".join(text.lower().translate(_ASCII_GAPS).split())
    return _GAP.sub(" ", unicodedata.normalize("NFKC", text).casefold()).strip()


def text_digest(text: str) -> bytes:
    """Name a text by 16 bytes of BLAKE2: vectors are kept and compared under this name, not under the text itself."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


# What closes a sentence, with what may stand behind it before the next begins; a line or a bullet begins one as well.
_END = re.compile(
    r"""[.!?\u2026]+["'\u201d\u2019)\]]*(?=\s+["'\u201c\u2018(\[]?[^\W_a-z])|[\u3002\uff01\uff1f]|\s*\n\s*|\s+(?=[\u2022\u25aa*\u2023]\s)"""
)
_SHORTENED = re.compile(
    r"(?:^|[\s(])(?:e\.g|i\.e|z\.B|u\.a|d\.h|Dr|Mr|Mrs|Ms|Prof|St|No|Nr|vs|approx|ca|incl|[^\W\d_a-z])\.$"
)


def _is_shortened(text: str, stop: int) -> bool:
    """Whether a full stop ends an abbreviation."""
    return text[stop] == "." and _SHORTENED.search(text[max(0, stop - 12) : stop + 1]) is not None


def sentences(text: str) -> list[tuple[int, int]]:
    """Find the sentences of a text: where each begins, and where it ends.

    A sentence ends in a full stop, question or exclamation mark before what may begin another one (a capital, a digit,
    a letter without case), at the end of a line, and before a bullet. Usual abbreviations and initials end none.

    Returns:
        Places of the sentences without the spaces around them, in order; empty for a text of spaces alone.
    """
    cuts = [0, *(match.end() for match in _END.finditer(text) if not _is_shortened(text, match.start()))]
    found = []
    for start, end in zip(cuts, [*cuts[1:], len(text)], strict=True):
        piece = text[start:end]
        stripped = piece.strip()
        if stripped:
            first = start + piece.index(stripped)
            found.append((first, first + len(stripped)))
    return found


# Controls but tab and newline, halves of surrogate pairs, ends of lines that are no newline, and what turns the
# direction of writing: a terminal would obey them, or not be able to show them.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def decimal(text: str) -> float:
    """Read a number; NaN for anything else.

    A decimal comma is read where it can be no mark of thousands: `0,75` and `12,5`, but not `1,234`.
    """
    try:
        return float(text)
    except ValueError:
        pass
    whole, _, part = text.strip().partition(",")
    digits = whole.lstrip("+-")
    if not (digits.isdecimal() and part.isdecimal()) or (len(part) == 3 and digits[0] != "0" and len(digits) <= 3):
        return float("nan")
    return float(f"{whole}.{part}")


def is_text(text: str) -> bool:
    """Whether a text can be written as UTF-8: bytes that are not, in names of files for example, come as surrogates."""
    return not any("\ud800" <= letter <= "\udfff" for letter in text)


def printable(text: str) -> str:
    r"""Show control characters as text: an escape sequence in a file or a name reads `\x1b[31m` and colours nothing."""
    return _UNPRINTABLE.sub(lambda match: _escaped(ord(match[0])), text)


def printable_json(text: str) -> str:
    r"""Write control characters in JSON text as `\u009b`; the JSON means the same."""
    return _UNPRINTABLE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def _escaped(code: int) -> str:
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def counted(number: int, noun: str, plural: str = "") -> str:
    """Write a number with a noun: `1 row`, `2,000 rows`, `2 queries`.

    Args:
        number: How many.
        noun: Of one.
        plural: Of several; by the rules of most nouns where it is empty.
    """
    if number == 1:
        return f"{number:,} {noun}"
    regular = f"{noun[:-1]}ies" if noun.endswith("y") and noun[-2] not in "aeiou" else f"{noun}s"
    return f"{number:,} {plural or regular}"
