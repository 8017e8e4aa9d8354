"""The same text as somebody else would have typed it.

No change touches e-mail addresses and links, and none parts a letter from its combining marks. A text that a change
cannot alter comes back as it is.
"""

from __future__ import annotations

import re
import unicodedata
from itertools import groupby
from random import Random
from typing import TYPE_CHECKING, NamedTuple

from hrembed.errors import ConfigError
from hrembed.evaluation.abbreviations import BOTH_WAYS, ONLY_SHORTENED
from hrembed.registry import nearest
from hrembed.titles import inverted, plural, singular

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

_TOKEN = re.compile(r"\S+")
_ADDRESS = re.compile(r"@|://|(?<![\w.])(?i:www\.)|(?<![\w.-])(?:[a-z0-9-]++\.)+[a-z]{2,24}(?![\w.-])")
_JOINERS = "\u200c\u200d"  # zero-width: they tell how the letters beside them are written

# --- typos: L is a letter that may be mistyped, M what belongs to the character in front of it, D a digit.
_WORDS_PER_ERROR = 8
_WORD = re.compile(r"(?<![LMD])(?:LM*+){4,}+(?!D)")
_LETTER = re.compile(r"LM*")
_KEYS = (
    "q:wa w:qeas e:wrsd r:etdf t:ryfg y:tugh u:yihj i:uojk o:ipkl p:ol "
    "a:qwsz s:weadzx d:ersfxc f:rtdgcv g:tyfhvb h:yugjbn j:uihknm k:iojlm l:opk "
    "z:asx x:sdzc c:dfxv v:fgcb b:ghvn n:hjbm m:jkn"
)
_BESIDE = dict(key.split(":") for key in _KEYS.split())  # letter to those on the keys that touch its own

# --- case
_START = re.compile(r"(^[\W_]*|[-\u2010-\u2015/(\[{&+|\"\u201c«])(\w)")

# --- abbreviations
_ALSO_A_WORD = frozenset({"it"})
_SMALL_WORDS = frozenset({"a", "and", "as", "in", "of", "the", "to"})

# --- word order
_MOST_WORDS = 12
_GROUP_OR_WORD = re.compile(r"\([^()]*\)|\[[^\[\]]*\]|\S+")
_MARKS = ",;:!?…\uff0c\u3001\uff1b\uff1a\uff01\uff1f\u3002"
_SENTENCE_GAP = re.compile(
    # Not behind initials, `Sr.` and `Eng.`.
    r"(?<=[.!?…])(?<!\b[A-Za-z]\.)(?<!\b[A-Z][a-z]\.)(?<!\b[A-Z][a-z]{2}\.)\s+(?![a-z])|(?<!\s)\s*\n\s*|(?<=[\u3002\uff01\uff1f])"
)
_COMMA_GAP = re.compile(r"[,;]\s+|[\uff0c\u3001\uff1b]|(?<![.!?…\u3002\uff01\uff1f])[.!?…\u3002\uff01\uff1f]+\s*$")


def perturb(text: str, change: str, seed: int) -> str:
    """Apply one of `CHANGES`: the same text, change and seed give the same result, whatever was changed before.

    Args:
        text: Any text.
        change: Name in `CHANGES`.
        seed: Of all that is drawn.

    Returns:
        The changed text, or the same one where there is nothing to change.

    Raises:
        ConfigError: No such change.
    """
    if change not in CHANGES:
        raise ConfigError(f"unknown change '{change}'{nearest(change, CHANGES)}", hint=f"known: {', '.join(CHANGES)}")
    # JSON can hold half a surrogate pair.
    return CHANGES[change](text, Random(f"{change} {seed} {text}".encode("utf-8", "surrogatepass")))


def typos(text: str, rng: Random) -> str:
    """Make about one typing error per 8 words, each in another word, at least one.

    An error is, each as often: two neighbours swapped, a letter left out, a letter typed twice, or a neighbouring key
    of an English keyboard instead of it. Not touched: the first letter of a word, words of fewer than 4 letters, words
    with digits, and scripts without capital letters (Chinese, Arabic, Hindi ...), which are typed in other ways.
    """
    words = list(_words(text))
    wanted = max(1, round(len(text.split()) / _WORDS_PER_ERROR))
    edits = []
    for letters in rng.sample(words, min(wanted, len(words))):
        typed = _mistyped([text[letter] for letter in letters], rng)
        edits.append((letters[0].start, letters[-1].stop, "".join(typed)))
    return _replaced(text, sorted(edits))


def case(text: str, rng: Random) -> str:
    """Write all in lower case, all in capitals, or every word with a capital in front of small letters.

    One of those that differ from the text is drawn. Not touched: anything but case.
    """
    forms = [_each_token(text, form) for form in (str.lower, str.upper, _title)]
    return rng.choice([form for form in forms if form != text] or [text])


def abbreviations(text: str, rng: Random) -> str:
    """Shorten every long form of the tables in `abbreviations`; in a text without any, write the short forms out.

    Nothing is drawn, and verbs are not told from nouns. Not touched: parts of words, short forms that may mean several
    things, clipped words in capitals (`ENV`), `it` and `It`, and initialisms behind a number or `per` (`20/hr`).
    """
    edits = [(*match.span(), _shortened(match[0], short)) for match, short in _matches(text, _LONG)]
    if not edits:
        others = re.findall(r"[^\W\d_]{4,}", _SHORT.pattern.sub(" ", text))
        edits = [(*match.span(), _written_out(match, long, others)) for match, long in _matches(text, _SHORT)]
    return _replaced(text, edits)


def word_order(text: str, rng: Random) -> str:
    """Shuffle up to 12 words; of a longer text the sentences, or the parts between commas where it is one sentence.

    At least one moves. What stands in brackets is one word. Not touched: the words themselves, signs that stand alone
    (`-`, `/`, `&`) and punctuation between words or parts, which stay in their places.
    """
    spans = _word_spans(text) if len(text.split()) <= _MOST_WORDS else []
    for gap in (_SENTENCE_GAP, _COMMA_GAP):
        spans = spans if len(spans) > 1 else _between(text, gap)
    moved = _shuffled([text[span] for span in spans], rng)
    return _replaced(text, [(span.start, span.stop, part) for span, part in zip(spans, moved, strict=True)])


CHANGES: dict[str, Callable[[str, Random], str]] = {
    "typos": typos,
    "case": case,
    "abbreviations": abbreviations,
    "word-order": word_order,
    # Nothing is drawn; other texts than job titles stay.
    "singular": lambda text, _: singular(text),
    "plural": lambda text, _: plural(text),
    "inverted": lambda text, _: inverted(text),
}
GROUPS: dict[str, tuple[str, ...]] = {"number": ("singular", "plural", "inverted")}
"""Names for several changes at once."""


def _replaced(text: str, edits: Sequence[tuple[int, int, str]]) -> str:
    parts, at = [], 0
    for start, stop, new in edits:
        parts += [text[at:start], new]
        at = stop
    return "".join([*parts, text[at:]])


def _class(character: str) -> str:
    category = unicodedata.category(character)
    if category in {"Lu", "Ll", "Lt"}:
        return "L"
    if category[0] == "M" or character in _JOINERS:
        return "M"
    return "D" if category[0] == "N" or character == "_" else " "


# --- typos ------------------------------------------------------------------------------------------------------------
def _words(text: str) -> Iterator[list[slice]]:
    """Where the letters stand, for each word that may get an error."""
    for token in _TOKEN.finditer(text):
        if not _ADDRESS.search(token[0]):
            classes = "".join(map(_class, token[0]))
            for word in _WORD.finditer(classes):
                letters = _LETTER.finditer(classes, *word.span())
                yield [slice(token.start() + letter.start(), token.start() + letter.end()) for letter in letters]


def _mistyped(letters: list[str], rng: Random) -> list[str]:
    later = range(1, len(letters))
    places: dict[str, Sequence[int]] = {
        "swap": [n for n in later[:-1] if letters[n] != letters[n + 1]],
        "drop": later,
        "double": later,
        "key": [n for n in later if letters[n].lower() in _BESIDE],
    }
    error = rng.choice([name for name, where in places.items() if where])
    n = rng.choice(places[error])
    before, letter, behind = letters[:n], letters[n], letters[n + 1 :]
    if error == "swap":
        return [*before, behind[0], letter, *behind[1:]]
    if error == "drop":
        return [*before, *behind]
    if error == "double":
        return [*before, letter, letter, *behind]
    key = rng.choice(_BESIDE[letter.lower()])
    return [*before, key.upper() if letter.isupper() else key, *behind]


# --- case -------------------------------------------------------------------------------------------------------------
def _each_token(text: str, form: Callable[[str], str]) -> str:
    return _TOKEN.sub(lambda token: token[0] if _ADDRESS.search(token[0]) else form(token[0]), text)


def _title(token: str) -> str:
    return _capitalised(token.lower())


def _capitalised(token: str) -> str:
    return _START.sub(lambda start: start[1] + start[2].title(), token)


# --- abbreviations ----------------------------------------------------------------------------------------------------
class _Forms(NamedTuple):
    """What to look for, one group for each form, and what to write instead, by group."""

    pattern: re.Pattern[str]
    instead: tuple[str, ...]


def _forms(table: Mapping[str, str], pattern: Callable[[str], str]) -> _Forms:
    """Of two forms that begin alike, the longer one is looked for first; others than the letter's are not tried."""
    ordered = sorted(table, key=lambda form: (form[0].lower(), -len(form), form))
    letters = [
        f"(?=[{first}{first.upper()}])(?:{'|'.join(f'({pattern(form)})' for form in same)})"
        for first, same in groupby(ordered, key=lambda form: form[0].lower())
    ]
    return _Forms(re.compile(rf"(?<!\w)(?:{'|'.join(letters)})(?!\w)"), tuple(table[form] for form in ordered))


def _long_pattern(form: str) -> str:
    words = ["(?:and|&)" if word == "and" else re.escape(word) for word in re.split("[ -]", form)]
    gap = "[ \u00a0-]"
    return f"(?i:{gap.join(words)})".replace("'", "['\u2019]")


def _short_pattern(form: str) -> str:
    if form.islower():
        # A full stop belongs to it, but behind small letters it may end the sentence.
        return rf"{form[0].upper()}{form[1:]}\.?|{form}(?:\.(?= [a-z]))?"
    spellings = {form, form.upper(), form.lower()} - _ALSO_A_WORD
    return rf"(?<!\d)(?<!\d[\s/-])(?<!per )(?:{'|'.join(map(re.escape, sorted(spellings)))})"


_LONG = _forms({**BOTH_WAYS, **ONLY_SHORTENED}, _long_pattern)
_SHORT = _forms({short: long for long, short in BOTH_WAYS.items()}, _short_pattern)


def _matches(text: str, forms: _Forms) -> Iterator[tuple[re.Match[str], str]]:
    """Each form that is found, with what to write instead."""
    # An underscore stands in no form, and a form does not begin or end beside one.
    hidden = _TOKEN.sub(lambda token: "_" * len(token[0]) if _ADDRESS.search(token[0]) else token[0], text)
    for match in forms.pattern.finditer(hidden):
        start, stop = match.span()
        # A combining mark is no word character for `re`.
        if "M" not in map(_class, text[max(0, start - 1) : start] + text[stop : stop + 1]):
            yield match, forms.instead[(match.lastindex or 0) - 1]


def _shortened(long: str, short: str) -> str:
    if long.isupper():
        return short.upper()
    return short[0].upper() + short[1:] if long[0].isupper() else short


def _written_out(match: re.Match[str], long: str, words: Sequence[str]) -> str:
    """Small behind small letters, all capitals among capitals; an initialism does not say, so its neighbours do."""
    if words and all(map(str.isupper, words)):
        return long.upper()
    if match[0].islower():
        return long
    clipped = BOTH_WAYS[long].islower()
    if clipped or not words or sum(word[0].isupper() for word in words) * 2 > len(words):
        return " ".join(word if word in _SMALL_WORDS else _capitalised(word) for word in long.split())
    before = match.string[max(0, match.start() - 3) : match.start()].rstrip(" ")
    return long if before and before[-1] not in ".!?:\n" else long[0].upper() + long[1:]


# --- word order -------------------------------------------------------------------------------------------------------
def _word_spans(text: str) -> list[slice]:
    spans, end = [], len(text.rstrip())
    for match in _GROUP_OR_WORD.finditer(text):
        word = match[0] if _ADDRESS.search(match[0]) else match[0].rstrip(_MARKS + "." * (match.end() == end))
        if any(map(str.isalnum, word)):
            spans.append(slice(match.start(), match.start() + len(word)))
    return spans


def _between(text: str, gap: re.Pattern[str]) -> list[slice]:
    start = len(text) - len(text.lstrip())
    spans = []
    for match in [*gap.finditer(text), None]:
        stop = match.start() if match else len(text)
        if any(map(str.isalnum, text[start:stop])):
            spans.append(slice(start, stop))
        start = match.end() if match else stop
    return spans


def _shuffled(parts: list[str], rng: Random) -> list[str]:
    moved = rng.sample(parts, len(parts))
    if moved == parts and len(set(parts)) > 1:
        other = next(n for n, part in enumerate(parts) if part != parts[0])
        moved[0], moved[other] = moved[other], moved[0]
    return moved
