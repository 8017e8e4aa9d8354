"""Personal data in running text: where it stands and of which type. Finds, and replaces; reads no files.

Everything here is a rule that can be read, so that it is clear what is *not* found: `docs/personal-data.md` lists it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from hrembed.errors import ConfigError
from hrembed.registry import nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Container, Iterable, Iterator, Mapping, Sequence

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


def _any(*patterns: str, flags: int = re.IGNORECASE) -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{pattern})" for pattern in patterns), flags)


# --- e-mail -----------------------------------------------------------------------------------------------------------
_LABEL = r"[^\W_](?:[\w-]{0,61}[^\W_])?"
_HOST = rf"(?:{_LABEL}\.){{1,8}}(?:xn--[a-z0-9-]{{2,59}}|[^\W\d_]{{2,24}})"
_AT = r"[ \t]{0,3}[\[({<][ \t]{0,3}(?:at|ät|arroba|chez|@)[ \t]{0,3}[\])}>][ \t]{0,3}"
_DOT = (
    r"(?:[ \t]{0,3}[\[({<][ \t]{0,3}(?:dot|punkt|point|punto|\.)[ \t]{0,3}[\])}>][ \t]{0,3}"
    r"|[ \t]{1,3}(?:dot|punkt|point|punto)[ \t]{1,3}|\.)"
)
_DOTTED = rf"{_LABEL}(?:{_DOT}{_LABEL}){{0,5}}{_DOT}[^\W\d_]{{2,24}}"
# The sign and what stands behind it come first, and then what stands before: every letter could begin an address.
_AT_HOST = _any(
    rf"(?P<sign>[@\uff20]{_HOST})",
    rf"(?P<bracket>{_AT}{_DOTTED})",
    # `jane.doe @ example.org`, `jane at gmail dot com`; but also `Engineer @ Booking.com`, `team at yahoo.com`.
    rf"(?P<spaced>(?:[ \t](?:@|at)[ \t]{{1,3}}|@[ \t]{{1,3}}|[ \t]@){_DOTTED})",
)
_BEFORE = {
    "sign": re.compile(r"\w[\w.+%'&-]{0,63}$"),
    "bracket": re.compile(rf"\w[\w+'-]{{0,62}}(?:{_DOT}[\w+-]{{1,63}}){{0,5}}$", re.IGNORECASE),
}
_BEFORE["spaced"] = _BEFORE["bracket"]
_LONGEST_LOCAL = 150
_PROVIDER = re.compile(
    r"(?:gmail|googlemail|yahoo|hotmail|outlook|live|msn|icloud|me|aol|gmx|web|mail|proton|protonmail|posteo|orange|free|"
    r"laposte|wanadoo|rediffmail|btinternet|comcast|verizon|fastmail|zoho)\b"
)

# --- links ------------------------------------------------------------------------------------------------------------
_BEHIND_SLASH = r"[^\s<>\"|]*"
_PROFILE_HOSTS = (
    r"linkedin\.com|lnkd\.in|xing\.com|xing\.to|viadeo\.com|github\.com|gitlab\.com|bitbucket\.org|codeberg\.org|x\.com|"
    r"twitter\.com|facebook\.com|fb\.com|fb\.me|m\.me|instagram\.com|threads\.net|tiktok\.com|youtube\.com|youtu\.be|"
    r"vimeo\.com|pinterest\.com|snapchat\.com|reddit\.com|t\.me|wa\.me|stackoverflow\.com|stackexchange\.com|"
    r"behance\.net|dribbble\.com|artstation\.com|deviantart\.com|flickr\.com|500px\.com|soundcloud\.com|medium\.com|"
    r"dev\.to|hashnode\.com|substack\.com|researchgate\.net|academia\.edu|orcid\.org|scholar\.google\.[a-z.]{2,6}|"
    r"publons\.com|kaggle\.com|huggingface\.co|hackerrank\.com|leetcode\.com|codepen\.io|codewars\.com|topcoder\.com|"
    r"npmjs\.com|bit\.ly|tinyurl\.com|goo\.gl|linktr\.ee|about\.me|calendly\.com|wellfound\.com|angel\.co|upwork\.com|"
    r"fiverr\.com|indeed\.com|glassdoor\.com|sites\.google\.com|docs\.google\.com|drive\.google\.com|mastodon\.social|"
    r"keybase\.io|notion\.so|read\.cv|polywork\.com|imdb\.com|vk\.com"
)
_OWN_HOSTS = (
    r"(?:github|gitlab)\.io|(?:wordpress|blogspot|medium|substack|tumblr|wixsite|weebly|myportfolio|squarespace)\.com|"
    r"(?:netlify|vercel|pages)\.(?:app|dev)|carrd\.co|notion\.site|webflow\.io|bsky\.social"
)
# A skill list may hold `Web: ASP.NET, Node.js`.
_NO_SITE = r"(?!(?:asp|ado|vb|ml)\.net\b|[\w.-]+\.(?:js|ts|py)\b)"
_HANDLE_OF = (
    r"linkedin|xing|github|gitlab|twitter|instagram|insta|facebook|tiktok|mastodon|telegram|youtube|medium|kaggle|"
    r"behance|dribbble|threads|bluesky|x"
)
_LINK = _any(
    r"(?<![^\W\d_])(?:https?|ftp)://[^\s<>\"|]+",
    rf"(?<![\w.@-])www\.{_LABEL}(?:\.[\w-]+)+(?:[/?#:]{_BEHIND_SLASH})?",
    rf"(?<![\w@./-])(?:[a-z]{{2,6}}\.)?(?:{_PROFILE_HOSTS})/[@~\w]{_BEHIND_SLASH}",
    rf"(?<![\w@./-])[a-z0-9][a-z0-9-]{{0,62}}\.(?:{_OWN_HOSTS})\b(?:/{_BEHIND_SLASH})?",
)
_LABELLED_LINK = _any(
    r"(?<!\w)(?:(?:personal )?(?:web ?)?(?:site|page)|home ?page|(?:online )?portfolio|blog|site web|url)[ \t]*"
    r"[:\uff1a\u2013-][ \t]*"
    rf"(?P<site>{_NO_SITE}{_HOST}(?:[/?#]{_BEHIND_SLASH})?)",
    rf"(?<!\w)(?:{_HANDLE_OF})[ \t]*[:\uff1a]?[ \t]*(?P<handle>@[\w.-]{{2,}}\w|/?(?:in|pub|profile|u)/[\w%-]+)",
    r"(?<!\w)orcid(?:[ \t]+id)?[ \t]*[:\uff1a]?[ \t]*(?P<orcid>\d{4}-\d{4}-\d{4}-\d{3}[\dX])",
)

# --- phone numbers ----------------------------------------------------------------------------------------------------
_GAP = r"[ \u00a0\u2009\u202f.\-\u2010\u2011\u2013/()]"
# One digit more; the end of a sentence is no gap.
_DIGIT = rf"(?:(?!\. ){_GAP}){{0,3}}\d"
_DAY, _MONTH, _YEAR = r"(?:0?[1-9]|[12]\d|3[01])", r"(?:0?[1-9]|1[0-2])", r"(?:19|20)\d\d"
_TIME = r"[0-2]?\d[.:h][0-5]\d"
_AMOUNT = r"\d+(?:[.,']\d+)*(?:[ ]\d{3}(?![ .-]?\d))?"
_ALONE = r"(?<![\d.\-/+(])", r"(?!\d|[.\-/]\d)"
_NO_PHONE = _any(
    rf"{_ALONE[0]}(?:{_DAY}[./-]{_MONTH}|{_MONTH}[./-]{_DAY})[./-]{_YEAR}{_ALONE[1]}",
    rf"{_ALONE[0]}(?<!\d[ ]){_DAY}(?P<d>[./-]){_MONTH}(?P=d)\d\d{_ALONE[1]}",
    rf"{_ALONE[0]}{_YEAR}(?P<y>[./-]){_MONTH}(?:(?P=y){_DAY})?{_ALONE[1]}",
    rf"{_ALONE[0]}{_MONTH}[./-]{_YEAR}{_ALONE[1]}",
    rf"{_ALONE[0]}{_YEAR}[ ]?(?:[-\u2013\u2014/]|to|bis|until)[ ]?{_YEAR}{_ALONE[1]}",
    rf"{_ALONE[0]}{_TIME}[ ]?[-\u2013][ ]?{_TIME}{_ALONE[1]}",
    rf"[$€£¥₹][ ]?{_AMOUNT}(?:[ ]?[-\u2013][ ]?[$€£¥₹]?[ ]?{_AMOUNT})?",
    rf"(?<![\d+(])(?<!\d{_GAP})\d{{1,3}}(?:[ .,'\u2019\u00a0]\d{{3}})*[ .,'\u2019\u00a0]000(?!\d)",
    r"\+\d{1,3}(?:[ .,]000)+(?!\d)",
    r"(?<!\w)(?:ISBN|ISSN|ISO|IEC|DOI|IBAN|VAT|ORCID)\b[^\w\n]{0,3}(?:[A-Z]{2})?\d[\dX ./:-]*",
)
_EXTENSION = r"(?:[ ]{0,2},?[ ]?(?:ext\.?|extension|x|durchwahl|dw\.?|poste)[ ]?\d{1,5})?"
_FREE, _ENDS = r"(?<![\w.,:#+-])", r"(?!\w|[.,:/-]\d)"
_OWN_SHAPES = _any(
    rf"{_FREE}(?:\+?1[ .-]?)?(?:\([2-9]\d\d\)[ ]?|[2-9]\d\d[ .\-/])[2-9]\d\d[ .-]\d{{4}}{_EXTENSION}{_ENDS}",
    rf"{_FREE}\(?0[1-9](?:{_DIGIT}){{7,10}}{_EXTENSION}{_ENDS}",
    rf"{_FREE}00[ ]?[1-9](?:{_DIGIT}){{7,13}}{_EXTENSION}{_ENDS}",
)
_NINE_BARE_DIGITS = re.compile(r"\d{9}")
_LABELLED_PHONE = _any(
    r"(?:(?<!\w)(?:tel(?:e(?:phone|fon|fono|foon|fone)|éphone|éfono)?|phone|ph|mobile|mobil|mobiltelefon|mob|cell|"
    r"cellular|cell ?phone|handy|handynummer|fax|whats ?app|portable|móvil|celular|gsm|rufnummer|landline|"
    r"contact(?=[ ]?:)|(?:call|text|ring|reach)(?: me)?(?: (?:on|at))?)\b|[☎☏📞📱✆]\ufe0f?|(?<!\w)[TMPHCF](?=[ ]?[:.]))"
    r"\.?(?:[ \t]*(?:number|nummer|num|no|nr|#)(?!\w)\.?)?(?:[ \t]*\([\w ]{1,12}\))?[ \t]*[:.=)\-\u2013]{0,2}[ \t]*"
    rf"(?P<number>\+?\(?\d(?:{_DIGIT}){{5,16}}){_EXTENSION}(?!\w)"
)
_SEVEN_DIGITS = re.compile(r"\d(?:[^\w\n]{0,4}\d){6}")

# --- dates of birth ---------------------------------------------------------------------------------------------------
# Which word the month is does not matter behind such a label, so every language is understood.
_WORD = r"[^\W\d_]{3,12}"
_NUMBERS = r"\d{1,2}[ ]?[./\-][ ]?\d{1,2}[ ]?[./\-][ ]?(?:\d{4}|\d\d)(?!\d)|\d{4}[./\-]\d{1,2}[./\-]\d{1,2}(?!\d)"
_DATE = (
    rf"(?:{_NUMBERS}|\d{{1,2}}[ ]\d{{1,2}}[ ]\d{{4}}(?!\d)|"
    rf"\d{{1,2}}(?:st|nd|rd|th|er|\.)?[ -]{{0,2}}(?:(?:of|de)[ ])?{_WORD}\.?,?[ -]{{1,2}}(?:del?[ ])?"
    r"(?:\d{4}|\u2019?'?\d\d)(?!\d)|"
    rf"{_WORD}\.?[ ]\d{{1,2}}(?:st|nd|rd|th)?,?[ ]{{1,2}}\d{{4}}(?!\d))"
)
_BIRTH_DATE = _any(
    r"(?<!\w)(?:d\.?[ ]?o\.?[ ]?b\b\.?|(?:date|year)(?: (?:and|&) place)? of birth|(?:place and|place/) ?date of birth|"
    r"birth ?dates?|birthday|b-?day|geburtsdatum|geburtstag|geb\.?[ -]?(?:datum|dat\.)|jahrgang|date de naissance|"
    r"fecha de nac(?:imiento|\.)|f\. ?nac\.|data di nascita|data de nascimento|geboortedatum|data urodzenia)"
    r"[^\d\n.;\[\]]{0,30}?\n?[^\w\n;\[\]]{0,10}"
    rf"(?P<strong>{_DATE}|(?:0?[1-9]|1[0-2])[./]{_YEAR}|\d{{8}}(?!\d)|{_YEAR}(?!\d))",
    r"(?<!\w)(?:born|geb(?:oren)?|née?(?:\(e\))?|nacid[oa](?:/a)?|nat[oa](?:/a)?|nascid[oa]|geboren|urodzon[ya])\b\.?"
    r"(?:[ \t]+(?:in|à|en|a|zu)[ \t]+[^\d\n.;\[\]]{2,40}?)?[ \t,:]{1,3}(?:(?:on|am|le|el|il|em|op)[ \t:]+)?(?:the[ ])?"
    rf"(?P<verb>{_DATE})",
)

# --- names ------------------------------------------------------------------------------------------------------------
_MARKUP = r"[ \t>*_#|•·-]*"
_NAME_LABEL = re.compile(
    rf"^{_MARKUP}(?P<label>(?:full |first |last |middle |given |family |candidate |applicant )?name|surname|forenames?|"
    r"candidate|applicant|vor- und nachname|vorname|nachname|nom(?: et prénom)?|prénom|nombre(?: completo)?|apellidos?)"
    r"[ \t]*[*_]*[ \t]*[:\uff1a][ \t]*[*_]*[ \t]*",
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
_CREDENTIALS = re.compile(r"(?:,?[ ](?:[A-Z][A-Za-z.]{1,6}|[A-Z]\.))*[ \t*_]*(?:\r?\n|$)")
_CONTACT_BEHIND = re.compile(r"[ \t*_]*[|•·,\t][^\n]*(?:@|\d(?:[^\w\n]{0,3}\d){5}|https?:|www\.|linkedin|github)", re.I)
_LINE_END = re.compile(r"[ \t*_]*(?:$|\r?\n|[|•·,;(\t]| {2}|/)")
_PARTICLES = frozenset(re.split(" ", "al bin da de del della den der di do dos du el la le ten ter van vom von y zu"))
_HEADINGS = frozenset(re.split(" ", "curriculum vitae resume résumé cv lebenslauf objective profil anonymised"))
_CAMEL = re.compile(r"(?:Mc|Mac|De|Di|La|Le|Van|Fitz|Al|El)(?=[A-Z])")
_LOWER = re.compile(r"(?<![\w@./:+-])[^\W\d_]{2,40}(?![\w@/]|[.:+-]\w)")


class Vocabulary:
    """Words that occur in lower case somewhere: no name is made of them.

    Words of e-mail addresses, links and lines with a name label do not count: `jane.doe@example.org` would make
    `Jane Doe` an ordinary phrase. At most `limit` words are held, so memory has a bound; later ones are dropped.
    """

    def __init__(self, limit: int = 500_000) -> None:
        self._words = set(_HEADINGS)
        self._limit = limit

    def add(self, text: str) -> None:
        """Take the lower-case words of a text."""
        rest = _NAME_LINE.sub(" ", _LINK.sub(" ", text))
        new = {word for word in _LOWER.findall(rest) if word.islower()} - self._words
        for start, _, end, _ in _addresses(text) if new else ():
            new.difference_update(_LOWER.findall(text[start:end].lower()))
        self._words.update(sorted(new)[: max(0, self._limit - len(self._words))])

    def __contains__(self, word: object) -> bool:
        return word in self._words

    def __len__(self) -> int:
        return len(self._words)


class Finder:
    """Finds personal data by rules.

    Args:
        types: Which of `TYPES` to look for.
        regions: Countries whose national phone numbers are known, as two letters.
        vocabulary: Ordinary words in lower case, of which no unlabelled name is made; see `Vocabulary`.
        given_names: First names in lower case. Behind one of them that is no ordinary word, any second word will do.

    Raises:
        ConfigError: A region is unknown.
    """

    def __init__(
        self,
        types: Collection[PersonalType],
        regions: Sequence[str] = ("US", "GB"),
        vocabulary: Container[str] = frozenset(),
        given_names: Container[str] = frozenset(),
    ) -> None:
        self._vocabulary, self._given_names = vocabulary, given_names
        self._regions = [_region(code) for code in regions] if "phone" in types else []
        rules = dict(zip(TYPES, (self._emails, self._phones, _links, _birth_dates, self._names), strict=True))
        self._rules = {type_: rules[type_] for type_ in TYPES if type_ in types}

    def find(self, text: str) -> list[Finding]:
        """Find what is there, sorted, without overlaps.

        Where two overlap, the one that begins first (of two at one place the longer) names the type, and covers
        both: nothing that any rule saw stays behind.
        """
        findings = [Finding(type_, *span) for type_, rule in self._rules.items() for span in rule(text)]
        joined: list[Finding] = []
        for finding in sorted(findings, key=lambda f: (f.start, -f.end)):
            if joined and finding.start < joined[-1].end:
                joined[-1] = replace(joined[-1], end=max(joined[-1].end, finding.end))
            else:
                joined.append(finding)
        return joined

    def _emails(self, text: str) -> Iterator[tuple[int, int]]:
        for start, middle, end, kind in _addresses(text):
            if kind != "spaced" or self._is_address(text[start:middle], text[middle:end]):
                yield start, end

    def _is_address(self, local: str, host: str) -> bool:
        """Decide on words around a free-standing `@` or `at`."""
        sign, name = host.lstrip()[:1], re.split(r"@|[aA][tT]", host, maxsplit=1)[1]
        if not (local + name).islower():
            return "AT" in host and " DOT " in name
        marked = re.search(r"[._\d]| dot ", local) is not None
        if _PROVIDER.match(name.lstrip()):
            return marked or local not in self._vocabulary
        return marked and (sign == "@" or " dot " in name)

    def _phones(self, text: str) -> Iterator[tuple[int, int]]:
        if sum(map(str.isdigit, text)) < 6:
            return
        # Dates, years and amounts become line breaks first: a number may stand right beside them.
        text = _NO_PHONE.sub(lambda match: "\n" * len(match.group()), text)
        # Nine digits in one piece are too often the number of something else.
        yield from (m.span() for m in _OWN_SHAPES.finditer(text) if not _NINE_BARE_DIGITS.fullmatch(m.group()))
        for match in _LABELLED_PHONE.finditer(text):
            yield match.start("number"), match.end()
        if _SEVEN_DIGITS.search(text):
            yield from _library_phones(text, self._regions)

    def _names(self, text: str) -> Iterator[tuple[int, int]]:
        for label in _NAME_LABEL.finditer(text):
            match = _NAME.match(text, label.end())
            if match and (span := self._labelled(text, label.group("label"), match)):
                yield span
        first = _FIRST_LINE.match(text)
        match = _NAME.match(text, first.end()) if first else None
        if match and _heads(text, match.end()) and self._is_name(match.group("words").split(), match.group("titles")):
            yield match.span()

    def _labelled(self, text: str, label: str, match: re.Match[str]) -> tuple[int, int] | None:
        """Where the value of a name label ends: behind its capitalised words, or all words if nothing follows them."""
        words = list(re.finditer(r"\S+", match.group("words")))
        capitals = next((n for n, w in enumerate(words) if not _capitalised(w.group())), len(words))
        if label.lower() in {"candidate", "applicant"}:
            sure = self._is_name([word.group() for word in words[:capitals]], match.group("titles"))
            return (match.start(), match.start("words") + words[capitals - 1].end()) if sure else None
        if capitals:
            return match.start(), match.start("words") + words[capitals - 1].end()
        return match.span() if len(words) <= 4 and _LINE_END.match(text, match.end()) else None

    def _is_name(self, words: list[str], titles: str) -> bool:
        core = [word for word in words if word.lower() not in _PARTICLES]
        if not 2 <= len(core) <= 4 or not all(map(_capitalised, words)) or all(len(w.rstrip(".")) == 1 for w in core):
            return False
        is_given_name = len(core) == 2 and core[0].lower() in self._given_names and not self._is_ordinary(core[0])
        return is_given_name or bool(_PERSON.match(titles)) or not any(map(self._is_ordinary, core))

    def _is_ordinary(self, word: str) -> bool:
        parts = word.lower().rstrip(".").split("-")
        return "-".join(parts) in self._vocabulary or all(part in self._vocabulary for part in parts)


def _addresses(text: str) -> Iterator[tuple[int, int, int, str]]:
    """Where an address may begin, where its host part begins (with the sign), where it ends, and how it is written."""
    for match in _AT_HOST.finditer(text):
        kind = match.lastgroup or ""
        local = _BEFORE[kind].search(text, max(0, match.start() - _LONGEST_LOCAL), match.start())
        if local:
            yield local.start(), match.start(), match.end(), kind


def _region(code: str) -> str:
    from phonenumbers import SUPPORTED_REGIONS

    if code.upper() not in SUPPORTED_REGIONS:
        guess = " (did you mean 'GB'?)" if code.upper() == "UK" else nearest(code.upper(), sorted(SUPPORTED_REGIONS))
        raise ConfigError(f"unknown region '{code}'{guess}", hint="two letters as in ISO 3166, for example US, GB, DE")
    return code.upper()


def _library_phones(text: str, regions: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Numbers that `phonenumbers` accepts: `+` numbers that are possible, national ones that are valid.

    National numbers must also be grouped as usual in their country; otherwise years in a row would be numbers in
    countries with eight digits.
    """
    from phonenumbers import Leniency, PhoneNumberMatcher

    # Without a region only numbers with `+` are seen.
    kinds = [(None, Leniency.POSSIBLE), *((region, Leniency.STRICT_GROUPING) for region in regions)]
    for region, leniency in kinds:
        for match in PhoneNumberMatcher(text, region, leniency=leniency, max_tries=len(text)):
            yield match.start, match.end


def _links(text: str) -> Iterator[tuple[int, int]]:
    for match in _LINK.finditer(text):
        yield match.start(), match.start() + len(_without_tail(match.group()))
    for match in _LABELLED_LINK.finditer(text):
        group = match.lastgroup or ""
        yield match.start(group), match.start(group) + len(_without_tail(match.group(group)))


def _without_tail(link: str) -> str:
    """Leave out the punctuation of the sentence around a link; a bracket stays when it was opened inside."""
    closing = {close: link.count(close) - link.count(open_) for open_, close in ("()", "[]", "{}")}
    end = len(link)
    while link[end - 1] in ".,;:!?'\u2019\u201d»*_" or closing.get(link[end - 1], 0) > 0:
        end -= 1
        if link[end] in closing:
            closing[link[end]] -= 1
    return link[:end]


def _birth_dates(text: str) -> Iterator[tuple[int, int]]:
    yield from (match.span(match.lastgroup or 0) for match in _BIRTH_DATE.finditer(text))


def _capitalised(word: str) -> bool:
    """Whether a word is written like a part of a name: `Jane`, `MILLER`, `O'Brien`, `McKay`, `J.`, `van`."""
    plain = _CAMEL.sub("", word.rstrip("."), count=1)
    return word in _PARTICLES or plain.istitle() or (plain.isupper() and len(plain) != 0)


def _heads(text: str, end: int) -> bool:
    """Whether a name that ends here has the line for itself, or shares it with ways of contact, and text follows.

    A text of a single line is a title or a skill, whatever its words are.
    """
    line = _CREDENTIALS.match(text, end)
    if line:
        return bool(text[line.end() :].strip())
    return _CONTACT_BEHIND.match(text, end) is not None


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
