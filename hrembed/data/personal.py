"""Personal data in running text: where it stands and of which type. Finds, and replaces; reads no files.

Everything here is a rule that can be read, so that it is clear what is *not* found: `docs/personal-data.md` lists it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from hrembed.data.emails_and_links import EmailRules, any_of, links
from hrembed.data.person_names import NameRules
from hrembed.data.phone_numbers import YEAR, PhoneRules
from hrembed.data.views import plain, without_tags

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Container, Iterable, Iterator, Mapping, Sequence

    from hrembed.data.person_names import NamesOf
    from hrembed.records.data import PersonalType

CANNOT_SEE = (
    "rules find most e-mail addresses, phone numbers, links and labelled dates of birth, but no name inside a "
    "sentence, no postal address and nothing that identifies a person indirectly; read a sample (docs/personal-data.md)"
)
"""What is said wherever a result is shown."""

TYPES: tuple[PersonalType, ...] = ("email", "phone", "link", "birth-date", "name")
TAGS: Mapping[PersonalType, str] = {type_: type_.upper().replace("-", "_") for type_ in TYPES}
"""Type to the word of its placeholder."""


@dataclass(frozen=True)
class Finding:
    """A piece of personal data.

    Attributes:
        type: What it is.
        start: Index of its first character.
        end: Index behind its last one.
    """

    type: PersonalType
    start: int
    end: int


# Which word the month is does not matter behind such a label, so every language is understood.
_WORD = r"[^\W\d_]{3,12}"
_NUMBERS = r"\d{1,2}[ ]?[./\-][ ]?\d{1,2}[ ]?[./\-][ ]?(?:\d{4}|\d\d)(?!\d)|\d{4}[./\-]\d{1,2}[./\-]\d{1,2}(?!\d)"
_DATE = (
    rf"(?:{_NUMBERS}|\d{{1,2}}[ ]\d{{1,2}}[ ]\d{{4}}(?!\d)|"
    rf"\d{{1,2}}(?:st|nd|rd|th|er|\.)?[ -]{{0,2}}(?:(?:of|de)[ ])?{_WORD}\.?,?[ -]{{1,2}}(?:del?[ ])?"
    r"(?:\d{4}|\u2019?'?\d\d)(?!\d)|"
    rf"{_WORD}\.?[ ]\d{{1,2}}(?:st|nd|rd|th)?,?[ ]{{1,2}}\d{{4}}(?!\d))"
)
_BIRTH_DATE = any_of(
    r"(?<!\w)(?:d\.?[ ]?o\.?[ ]?b\b\.?|(?:date|year)(?: (?:and|&) place)? of birth|(?:place and|place/) ?date of birth|"
    r"birth ?dates?|birthday|b-?day|geburtsdatum|geburtstag|geb\.?[ -]?(?:datum|dat\.)|jahrgang|date de naissance|"
    r"fecha de nac(?:imiento|\.)|f\. ?nac\.|data di nascita|data de nascimento|geboortedatum|data urodzenia)"
    r"[^\d\n.;\[\]]{0,30}?\n?[^\w\n;\[\]]{0,10}"
    rf"(?P<strong>{_DATE}|(?:0?[1-9]|1[0-2])[./]{YEAR}|\d{{8}}(?!\d)|{YEAR}(?!\d))",
    r"(?<!\w)(?:born|geb(?:oren)?|née?(?:\(e\))?|nacid[oa](?:/a)?|nat[oa](?:/a)?|nascid[oa]|geboren|urodzon[ya])\b\.?"
    r"(?:[ \t]+(?:in|à|en|a|zu)[ \t]+[^\d\n.;\[\]]{2,40}?)?[ \t,:]{1,3}(?:(?:on|am|le|el|il|em|op)[ \t:]+)?(?:the[ ])?"
    rf"(?P<verb>{_DATE})",
)


class Finder:
    """Finds personal data by rules.

    Args:
        types: Which of `TYPES` to look for.
        regions: Countries whose national phone numbers are known, as two letters.
        vocabulary: Ordinary words in lower case, of which no unlabelled name is made; see `Vocabulary`.
        given_names: First names in lower case. Behind one of them that is no ordinary word, any second word will do.
        common: Ordinary words that are not learned from the texts themselves, where names may stand in lower case;
            see `NamesOf`.

    Raises:
        ConfigError: A region is unknown.
    """

    def __init__(
        self,
        types: Collection[PersonalType],
        regions: Sequence[str] = ("US", "GB"),
        vocabulary: Container[str] = frozenset(),
        given_names: Container[str] = frozenset(),
        common: Container[str] | None = None,
    ) -> None:
        self.common = common
        rules: dict[PersonalType, Callable[[str], Iterator[tuple[int, int]]]] = {
            "email": EmailRules(vocabulary, given_names).spans,
            "phone": PhoneRules(regions if "phone" in types else ()).spans,
            "link": links,
            "birth-date": _birth_dates,
            "name": NameRules(vocabulary, given_names).spans,
        }
        self._rules = {type_: rules[type_] for type_ in TYPES if type_ in types}

    def find(self, text: str, names: NamesOf | None = None) -> list[Finding]:
        """Find what is there, sorted, without overlaps.

        Args:
            text: Where to look.
            names: Names of the person whom the text is about, where they are known; they and their parts are found
                wherever they stand.

        Where two overlap, the one that begins first (of two at one place the longer) names the type, and covers
        both: nothing that any rule saw stays behind.
        """
        view = plain(text)
        readable = without_tags(view)
        views = [view] if readable is None else [view, readable]
        findings = [
            Finding(type_, *each.span(start, end))
            for each in views
            for type_, rule in self._rules.items()
            for start, end in rule(each.text)
        ]
        if names is not None:
            findings += [Finding("name", *each.span(*span)) for each in views for span in names.spans(each.text)]
        joined: list[Finding] = []
        for finding in sorted(findings, key=lambda f: (f.start, -f.end)):
            if joined and finding.start < joined[-1].end:
                joined[-1] = replace(joined[-1], end=max(joined[-1].end, finding.end))
            else:
                joined.append(finding)
        return joined


def _birth_dates(text: str) -> Iterator[tuple[int, int]]:
    yield from (match.span(match.lastgroup or 0) for match in _BIRTH_DATE.finditer(text))


def replaced(spelled: Sequence[str], findings: Iterable[Finding], placeholder: Callable[[Finding, str], str]) -> str:
    """Put a placeholder where each finding stands.

    Args:
        spelled: The text; or, where characters are escaped in a file, how each of its characters is written there.
        findings: Sorted and without overlaps.
        placeholder: Given the finding and what stood there, says what stands there now.
    """
    parts, at = [], 0
    for finding in findings:
        parts += [*spelled[at : finding.start], placeholder(finding, "".join(spelled[finding.start : finding.end]))]
        at = finding.end
    return "".join([*parts, *spelled[at:]])


def cleaned(text: str, finder: Finder) -> str:
    """Put plain placeholders (`[EMAIL]`) in place of all that is found."""
    return replaced(text, finder.find(text), lambda finding, _: f"[{TAGS[finding.type]}]")
