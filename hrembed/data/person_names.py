"""Names of people in running text: behind labels and salutations, in the first line, and those that a table holds."""

# ruff: noqa: RUF001  (labels in other scripts)
from __future__ import annotations

import re
import unicodedata
from itertools import takewhile
from typing import TYPE_CHECKING

from hrembed.data.common_words import MONTHS, PLACES, PRODUCTS
from hrembed.data.emails_and_links import LINK, addresses
from hrembed.data.views import plain, without_tags

if TYPE_CHECKING:
    from collections.abc import Collection, Container, Iterable, Iterator, Sequence

_MARKUP = r"[ \t>*_#|•·-]*"
_NAME_LABEL = re.compile(
    rf"^{_MARKUP}(?P<label>(?:(?:full|first|last|middle|given|family|candidate|applicant|employee|legal|preferred|maiden|"
    r"birth|contact|your|candidate's|applicant's|father(?:['\u2019]?s)?|mother(?:['\u2019]?s)?|husband(?:['\u2019]?s)?|"
    r"spouse(?:['\u2019]?s)?|nominee)[ ]?)?names?|name (?:of (?:the )?)?(?:candidate|applicant|employee|father|mother)|"
    r"(?:first|given) (?:and|&) (?:last|family) name|surname|forenames?|nickname|contact person|referee|signed|"
    r"candidate|applicant|vor- (?:und|&) (?:nach|zu)name|vorname|nachname|familienname|geburtsname|zuname|"
    r"nom(?: (?:et|&) prénoms?| complet| de famille)?|prénoms?(?: et nom)?|nombres?(?: completo| y apellidos?)?|"
    r"apellidos?(?: y nombres?)?|nome(?: completo| e cognome| e sobrenome)?|cognome|sobrenome|naam|voornaam|achternaam|"
    r"navn|fornavn|etternavn|efternavn|namn|förnamn|efternamn|nimi|etunimi|sukunimi|imię(?: i nazwisko)?|nazwisko|"
    r"jméno(?: a příjmení)?|příjmení|meno|priezvisko|név|teljes név|nume(?: și prenume)?|prenume|ime(?: i prezime)?|"
    r"ad(?:ı)?(?: soyad(?:ı)?)?|isim|soyad|họ (?:và )?tên|nama(?: lengkap)?|όνομα|ονοματεπώνυμο|επώνυμο|"
    # Other scripts.
    r"имя|фамилия|фио|ф\.и\.о\.|ім['\u2019]я|прізвище|име|שם(?: מלא)?|"
    r"الاسم(?: الكامل)?|اسم|نام|नाम|姓名|名前|氏名|이름|성명|ชื่อ)"
    r"[ \t]*[*_]*[ \t]*(?P<divider>[:\uff1a]|[=|\t]|[\u2013\u2014-](?=[ ]))[ \t|*_]*"
    r"(?:(?<=[:\uff1a])\n(?=[^\n:]+(?:\n|$)))?[ \t|*_]*",
    re.IGNORECASE | re.MULTILINE,
)
# Sentences that introduce a person; the name is what is capitalised behind them.
_INTRODUCTION = re.compile(
    r"(?<!\w)(?:my name is|i am called|ich heiße|ich heisse|mein name ist|je m['\u2019]appelle|me llamo|mi nombre es|"
    r"mi chiamo|meu nome é|chamo-me|nazywam się|mijn naam is|jag heter|jeg heter|jeg hedder|меня зовут)[ ]+",
    re.IGNORECASE,
)
_SIGN_OFF = re.compile(
    r"^[ \t]*(?:(?:kind|best|warm|kindest|with (?:kind|best)) regards|regards|sincerely|"
    r"yours (?:sincerely|faithfully|truly)|sincerely yours|respectfully(?: yours)?|best wishes|thank you|thanks|"
    r"mit (?:freundlichen|besten) grüßen|"
    r"viele grüße|cordialement|bien à vous|saludos(?: cordiales)?|atentamente|cordiali saluti|met vriendelijke groet|"
    r"med vänlig hälsning|z poważaniem)[ \t]*(?:[,.!]?[ \t]*\n[\s*_-]*|,[ \t]+)",
    re.IGNORECASE | re.MULTILINE,
)
_NAME_LINE = re.compile(rf"{_NAME_LABEL.pattern}[^\n]*", _NAME_LABEL.flags)
_TOP = r"(?:curriculum vitae|resume|résumé|cv|lebenslauf|(?:personal|contact) (?:information|details|data))"
_FIRST_LINE = re.compile(
    rf"(?:[\W_]*{_TOP}[^\w\n]*\n)?[\W_]*(?:{_TOP}(?: of)?[ \t]*[:\u2013|-]?[ \t]+)?", re.IGNORECASE
)
_HONORIFIC = r"(?P<titles>(?:(?:mr|mrs|ms|miss|mx|dr|prof|professor|herr|frau|sir|dame)\b\.?[ ]?(?:-?ing\.[ ])?){0,3})"
_PERSON = re.compile(r"(?:mrs?|ms|miss|mx|dr|herr|frau)\b", re.IGNORECASE)
_NAME_WORD = r"[^\W\d_](?:[^\W\d_]|['\u2019-](?=[^\W\d_])){0,39}\.?"
_NAME = re.compile(rf"(?i:{_HONORIFIC})(?P<words>{_NAME_WORD}(?:[ \u00a0]{_NAME_WORD}(?!\w|[ ]?[:\uff1a])){{0,6}})")
_PRONOUNS = (
    r"(?:,?[ ]?[(\[]?(?i:she|he|they|ze|xe|sie|er|elle|il|iel|ella|él|hon|han)"
    r"(?:[ ]?/[ ]?(?i:[a-zéü]{2,6})){1,2}[)\]]?)"
)
_CREDENTIALS = re.compile(rf"(?:,?[ ](?:[A-Z][A-Za-z.]{{1,6}}|[A-Z]\.)(?![\w(])|{_PRONOUNS})*[ \t*_]*(?:\r?\n|$)")
# `Jane Doe | Registered Nurse`, `Jane Doe - Nurse`, `Jane Doe (Nurse)`: a title shares the line.
_TITLE_BEHIND = re.compile(
    rf"{_PRONOUNS}?[ \t*_]*(?:[|\u2022\u00b7\t]|[ ][\u2013\u2014-][ ]|[ ]?\(|[ ]?/[ ])[^\n]{{2,120}}(?:\n|$)"
    rf"|{_PRONOUNS}[ ]*[|,]"
)
_REVERSED = re.compile(
    rf"(?P<last>{_NAME_WORD}(?:[ ]{_NAME_WORD}){{0,2}}),[ ](?P<first>{_NAME_WORD}(?:[ ]{_NAME_WORD}){{0,2}})(?![\w@])"
)
_CONTACT_BEHIND = re.compile(r"[ \t*_]*[|•·,\t][^\n]*(?:@|\d(?:[^\w\n]{0,3}\d){5}|https?:|www\.|linkedin|github)", re.I)
_UNCASED_NAME = re.compile(
    r"[\u0590-\u109f\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]"
    r"[^\n|,;\uff0c\u3001\u060c(/\t]{0,40}"
)
_LINE_END = re.compile(r"[ \t*_]*(?:$|\r?\n|[|•·,;(\t]| {2}|/)")
_PARTICLES = frozenset(re.split(" ", "al bin da de del della den der di do dos du el la le ten ter van vom von y zu"))
# Titles and marks of a generation, which a name column may hold as well.
_NO_PARTS = _PARTICLES | set(re.split(" ", "mr mrs ms miss mx dr prof herr frau jr sr ii iii iv phd md rn none na"))
_HEADINGS = frozenset(re.split(" ", "curriculum vitae resume résumé cv lebenslauf objective profil anonymised"))
_CAMEL = re.compile(r"(?:Mc|Mac|De|Di|La|Le|Van|Fitz|Al|El)(?=[A-Z])")
_LOWER = re.compile(r"(?<![\w@./:+-])[^\W\d_]{2,40}(?![\w@/]|[.:+-]\w)")


class Vocabulary:
    """Words that occur in lower case somewhere: no name is made of them.

    Words of e-mail addresses, links and lines with a name label do not count: `jane.doe@example.org` would make
    `Jane Doe` an ordinary phrase. At most `limit` words are held, so memory has a bound; later ones are dropped.

    Args:
        words: Words that are known from the start, in lower case.
        limit: Largest number of words.
    """

    def __init__(self, words: Collection[str] = (), limit: int = 500_000) -> None:
        self._words = {*_HEADINGS, *words}
        self._limit = limit

    def add(self, text: str) -> None:
        """Take the lower-case words of a text."""
        view = plain(text)
        readable = (without_tags(view) or view).text
        rest = _NAME_LINE.sub(" ", LINK.sub(" ", readable))
        new = {word for word in _LOWER.findall(rest) if word.islower()} - self._words
        for start, _, end, _ in addresses(readable) if new else ():
            new.difference_update(_LOWER.findall(readable[start:end].lower()))
        self._words.update(sorted(new)[: max(0, self._limit - len(self._words))])

    def so_far(self) -> frozenset[str]:
        """All words that are known now."""
        return frozenset(self._words)

    def __contains__(self, word: object) -> bool:
        return word in self._words

    def __len__(self) -> int:
        return len(self._words)


class NamesOf:
    """Finds the names of one person, and their parts, wherever they stand in a text.

    A part is found in lower case only where it is no common word: `Rose` of `Rose Marsh` is found, `a rose` is not. A
    whole name of several words is found in any case. Letters without their accents will do, and initials beside a
    part belong to it.

    Args:
        values: Names as a table holds them: `Jane Doe`, `Doe, Jane M.`, `王小明`.
        common: Words in lower case that are no names by themselves; None takes every part for one.
    """

    def __init__(self, values: Iterable[str], common: Container[str] | None = None) -> None:
        wholes, parts, initials = set[str](), set[str](), set[str]()
        for value in values:
            words = [word for word in re.findall(r"[^\W\d_]+(?:['\u2019-][^\W\d_]+)*", plain(value).text)]
            named = [word for word in words if word.lower() not in _NO_PARTS]
            if len(words) > 1:
                wholes.add(r"\W{1,3}".join(map(_any_accent, words)))
            for word in (part for name in named for part in {name, *re.split(r"[-\u2019']", name)} if len(part) > 1):
                parts.update(map(_any_accent, {word, word[0].upper() + word[1:], word.title(), word.upper()}))
                if common is not None and len(word) > 2 and word.lower() not in common:
                    parts.add(_any_accent(word.lower()))
            if words and not named:
                parts.update(map(_any_accent, {value.strip(), value.strip().title(), value.strip().upper()}))
            initials.update(word[0].upper() for word in named if word[0].upper() != word[0].lower())
        part = "|".join(sorted(parts, key=lambda part: (-len(part), part)))
        whole = "|".join(sorted(wholes, key=lambda whole: (-len(whole), whole)))
        initial = f"[{''.join(sorted(initials))}]" if initials else "(?!)"
        pieces = [rf"(?<![^\W_])(?i:{whole})(?![^\W_])"] if whole else []
        if part:
            # Scripts without spaces have no word boundary.
            initials_before = rf"(?:(?<![^\W_])(?:{initial}(?:\.[ \u00a0]?|[ \u00a0])){{1,3}})?"
            beside = rf"(?:[ \u00a0,.'\u2019-]{{1,2}}(?:(?:{part})(?![^\W_])|{initial}(?:\.|(?![^\W_]))))"
            pieces.append(
                rf"{initials_before}(?:(?<![^\W_])|(?<=[\u3040-\u9fff\uac00-\ud7af]))"
                rf"(?:{part})(?:(?![^\W_])|(?=[\u3040-\u9fff\uac00-\ud7af])){beside}{{0,4}}"
            )
        self._pattern = re.compile("|".join(pieces) or "(?!)")

    def spans(self, text: str) -> Iterator[tuple[int, int]]:
        """Where a name or a part of one stands."""
        yield from (match.span() for match in self._pattern.finditer(text))


def _any_accent(word: str) -> str:
    """Match a word with and without its accents, in whatever normal form."""
    letters = []
    for letter in unicodedata.normalize("NFC", word):
        base = unicodedata.normalize("NFD", letter)
        forms = {letter, base, base[0]}
        letters.append(
            re.escape(letter) if len(base) == 1 else f"(?:{'|'.join(map(re.escape, sorted(forms, reverse=True)))})"
        )
    return "".join(letters)


class NameRules:
    """Finds names that nobody told of beforehand.

    Args:
        vocabulary: Ordinary words in lower case, of which no unlabelled name is made.
        given_names: First names in lower case. Behind one of them that is no ordinary word, any second word will do.
    """

    def __init__(self, vocabulary: Container[str], given_names: Container[str]) -> None:
        self._vocabulary, self._given_names = vocabulary, given_names

    def spans(self, text: str) -> Iterator[tuple[int, int]]:
        """Where names stand."""
        for label in _NAME_LABEL.finditer(text):
            uncased = _UNCASED_NAME.match(text, label.end())
            match = _NAME.match(text, label.end())
            if uncased and label.group("divider") in ":\uff1a":
                yield uncased.span()
            elif match and (span := self._labelled(text, label, match)):
                yield span
        for introduction in _INTRODUCTION.finditer(text):
            match = _NAME.match(text, introduction.end())
            if match and (words := _capitalised_words(match)):
                yield match.start(), match.start("words") + words[-1].end()
        for sign_off in _SIGN_OFF.finditer(text):
            match = _NAME.match(text, sign_off.end())
            if match and _LINE_END.match(text, match.end()) and self._is_name(match.group("words").split(), ""):
                yield match.span()
        yield from self._on_top(text)

    def _on_top(self, text: str) -> Iterator[tuple[int, int]]:
        """Find the name in the first line: alone, with ways of contact, with a title, with the last name first."""
        first = _FIRST_LINE.match(text)
        if first is None:
            return
        last_first = _REVERSED.match(text, first.end())
        if last_first and _heads(text, last_first.end()) and self._is_reversed(last_first):
            yield last_first.span()
        match = _NAME.match(text, first.end())
        if match and _heads(text, match.end()) and self._is_name(match.group("words").split(), match.group("titles")):
            yield match.span()

    def _is_reversed(self, match: re.Match[str]) -> bool:
        """Decide on `Doe, Jane M.`; `Leeds, England` and `Austin, TX` are places."""
        last, first = match.group("last").split(), match.group("first").split()
        code = first[0].rstrip(".")
        if match.group("first").lower() in PLACES or (code.isupper() and len(code) in (2, 3)):
            return False
        core = [word for word in (*last, *first) if word.lower() not in _PARTICLES and len(word.rstrip(".")) > 1]
        if len(core) < 2 or not all(map(_capitalised, [*last, *first])) or _is_no_person(core):
            return False
        return first[0].lower() in self._given_names or not any(map(self._is_ordinary, core))

    def _labelled(self, text: str, label: re.Match[str], match: re.Match[str]) -> tuple[int, int] | None:
        """Where the value of a name label ends: behind its capitalised words, or all words if nothing follows them."""
        words = list(re.finditer(r"\S+", match.group("words")))
        capitals = len(_capitalised_words(match))
        last_first = _REVERSED.match(text, match.start())
        if last_first and len(last_first.group("last").split()) <= 2 and _LINE_END.match(text, last_first.end()):
            surnames = [word for word in last_first.group("last").split() if word not in _PARTICLES]
            if len(surnames) == 1 and all(map(_capitalised, last_first.group("first").split())):
                return last_first.span()
        if (
            label.group("label").lower() in {"candidate", "applicant", "signed"}
            or label.group("divider") not in ":\uff1a"
        ):
            sure = self._is_name([word.group() for word in words[:capitals]], match.group("titles"))
            return (match.start(), match.start("words") + words[capitals - 1].end()) if sure else None
        if capitals:
            return match.start(), match.start("words") + words[capitals - 1].end()
        return match.span() if len(words) <= 4 and _LINE_END.match(text, match.end()) else None

    def _is_name(self, words: list[str], titles: str) -> bool:
        core = [word for word in words if word.lower() not in _PARTICLES]
        if not 2 <= len(core) <= 4 or not all(map(_capitalised, words)) or all(len(w.rstrip(".")) == 1 for w in core):
            return False
        if _is_no_person(core):
            return False
        is_given_name = len(core) == 2 and core[0].lower() in self._given_names and not self._is_ordinary(core[0])
        return is_given_name or bool(_PERSON.match(titles)) or not any(map(self._is_ordinary, core))

    def _is_ordinary(self, word: str) -> bool:
        parts = word.lower().rstrip(".").split("-")
        return "-".join(parts) in self._vocabulary or all(part in self._vocabulary for part in parts)


def _capitalised(word: str) -> bool:
    """Whether a word is written like a part of a name: `Jane`, `MILLER`, `O'Brien`, `McKay`, `J.`, `van`."""
    plain = _CAMEL.sub("", word.rstrip("."), count=1)
    return word in _PARTICLES or plain.istitle() or (plain.isupper() and len(plain) != 0)


def _is_no_person(words: Sequence[str]) -> bool:
    """Whether words are months, or one of them is a product."""
    lower = [word.lower().rstrip(".") for word in words]
    return all(word in MONTHS for word in lower) or any(word in PRODUCTS for word in lower)


def _capitalised_words(match: re.Match[str]) -> list[re.Match[str]]:
    """Take the capitalised words that a name begins with; particles between them count."""
    words = list(re.finditer(r"\S+", match.group("words")))
    return list(takewhile(lambda word: _capitalised(word.group()), words))


def _heads(text: str, end: int) -> bool:
    """Whether a name that ends here has the line for itself, or shares it with ways of contact, and text follows.

    A text of a single line is a title or a skill, whatever its words are.
    """
    line = _CREDENTIALS.match(text, end)
    if line:
        return bool(text[line.end() :].strip())
    title = _TITLE_BEHIND.match(text, end)
    return _CONTACT_BEHIND.match(text, end) is not None or bool(title and text[title.end() :].strip())
