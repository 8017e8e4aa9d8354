"""Phone numbers in running text: shapes and labels of our own, and what the library `phonenumbers` accepts."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from hrembed.data.emails_and_links import addresses, any_of
from hrembed.errors import ConfigError
from hrembed.registry import nearest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_GAP = r"[ \u00a0\u2009\u202f.\-\u2010\u2011\u2013/()]"
# One digit more; the end of a sentence is no gap.
_DIGIT = rf"(?:(?!\. ){_GAP}){{0,3}}\d"
_DAY, _MONTH, YEAR = r"(?:0?[1-9]|[12]\d|3[01])", r"(?:0?[1-9]|1[0-2])", r"(?:19|20)\d\d"
_TIME = r"[0-2]?\d[.:h][0-5]\d"
_AMOUNT = r"\d+(?:[.,']\d+)*(?:[ ]\d{3}(?![ .-]?\d))?"
_ALONE = r"(?<![\d.\-/+(])", r"(?!\d|[.\-/]\d)"
_NO_PHONE = any_of(
    rf"{_ALONE[0]}(?:{_DAY}[./-]{_MONTH}|{_MONTH}[./-]{_DAY})[./-]{YEAR}{_ALONE[1]}",
    rf"{_ALONE[0]}(?<!\d[ ]){_DAY}(?P<d>[./-]){_MONTH}(?P=d)\d\d{_ALONE[1]}",
    rf"{_ALONE[0]}{YEAR}(?P<y>[./-]){_MONTH}(?:(?P=y){_DAY})?{_ALONE[1]}",
    rf"{_ALONE[0]}{_MONTH}[./-]{YEAR}{_ALONE[1]}",
    rf"{_ALONE[0]}{YEAR}[ ]?(?:[-\u2013\u2014/]|to|bis|until)[ ]?{YEAR}{_ALONE[1]}",
    rf"{_ALONE[0]}{_TIME}[ ]?[-\u2013][ ]?{_TIME}{_ALONE[1]}",
    rf"[$€£¥₹][ ]?{_AMOUNT}(?:[ ]?[-\u2013][ ]?[$€£¥₹]?[ ]?{_AMOUNT})?",
    rf"(?<![\d+(])(?<!\d{_GAP})\d{{1,3}}(?:[ .,'\u2019\u00a0]\d{{3}})*[ .,'\u2019\u00a0]000(?!\d)",
    r"\+\d{1,3}(?:[ .,]000)+(?!\d)",
    r"(?<!\w)(?:order|bestell|auftrags?|rechnungs?|ticket|invoice|serial|part|model|sku|"
    r"tracking|purchase order|po|asset|"
    r"item|article|artikel|batch|lot|patent|bug|issue|build)[- ]?(?:numbers?|nummer|num|no|nos|nr|id|code|ref|#)?"
    r"[ .:#-]{0,3}\d[\d-]{4,}",
    r"(?<!\w)(?:reference|ref|case|policy|account|acct|contract|licen[cs]e|permit|registration|reg|roll|employee|staff|"
    r"personnel|student|member(?:ship)?|customer|claim|project|certificate|cert|nmc|pin|enrol?lment|matrikel|kunden|"
    r"vertrags)[. -]{0,2}(?:numbers?|nummer|num|no|nos|nr|id|code|#)[ .:#-]{0,3}\d[\d-]{4,}",
    r"(?<!\w)(?:ISBN|ISSN|ISO|IEC|DOI|IBAN|VAT|ORCID)\b[^\w\n]{0,3}(?:[A-Z]{2})?\d[\dX ./:-]*",
)
_EXTENSION = r"(?:[ ]{0,2},?[ ]?(?:ext\.?|extension|x|durchwahl|dw\.?|poste)[ ]?\d{1,5})?"
_FREE, _ENDS = r"(?<![\w.,:#+-])", r"(?!\w|[.,:/-]\d)"
_OWN_SHAPES = any_of(
    rf"{_FREE}(?:\+?1[ .-]?)?(?:\([2-9]\d\d\)[ ]?|[2-9]\d\d[ .\-/])[2-9]\d\d[ .-]\d{{4}}{_EXTENSION}{_ENDS}",
    # As sample numbers are written, whose area or exchange does not exist: `(555) 123-4567`, `123-456-7890`.
    rf"{_FREE}(?:\+?1[ .-]?)?(?:\(\d{{3}}\)[ ]?\d{{3}}[ .-]|\d{{3}}(?P<mark>[.-])\d{{3}}(?P=mark))"
    rf"\d{{4}}{_EXTENSION}{_ENDS}",
    rf"{_FREE}\(?0[1-9](?:{_DIGIT}){{7,10}}{_EXTENSION}{_ENDS}",
    rf"{_FREE}00[ ]?[1-9](?:{_DIGIT}){{7,13}}{_EXTENSION}{_ENDS}",
)
_NINE_BARE_DIGITS = re.compile(r"\d{9}")
# What may stand between a label and its number: `Telefon komórkowy:`, `phone number is`.
_QUALIFIER = (
    r"(?:numbers?|info|information|details?|नंबर|नम्बर|नं|nummer|numer|numero|número|numéro|num|nos?|nr|n°|nº|№|номер|#|"
    r"is|ist|est|es|are|at|on|me|us|him|her|"
    r"home|work|office|mobile?|cell|phone|tel|private?|privat|primary|main|personal|day|evening|komórkowy|kom|móvil|fixe|"
    r"portable|mobil|i)(?!\w)\.?"
)
_NO_NUMBER_OF_A_PHONE = (
    r"(?!order|ticket|case|invoice|id\b|ids\b|ref|model|serial|imei|part|account|licen|contract|policy|claim|regist|"
    r"version|users?\b|users|sales|revenue|budget|units|calls|downloads|since|from|until)"
)
_PHONE_WORDS = (
    r"telefonnummern?|telefonnr|telefontjänst|telefoonnummer|telefoon|telefonszám|telefonní číslo|telefon|telefono|"
    r"teléfono|telefone|telephone|téléphone|telefón|telefonas|telefonu|telefona|telefoni?|fono|kontaktnummer|kontaktnr|kontakttelefon|telepon|telemóvel|telem|teleph|tél|telf|teléf|tlf|"
    r"tlfnr|tel|phone|ph|mobile ?phone|mobile|mobil|mobiel|mobilnummer|mobilnr|mobiltelefon|mobtel|mob|cell ?phone|"
    r"cellular|cellulare|cell|cel|celular|handynummer|handy|natel|fax|faks|whats ?app|viber|portable|móvil|"
    r"movil|gsm|rufnummer|landline|festnetz|puhelinnumero|puhelin|puh|matkapuhelin|gsm-nummer|komórka|komórkowy|handphone|"
    r"(?:hp|wa|signal|kom|cep)(?=[ ]?:)|"
    r"telefone celular|no\. hp|sími|điện thoại|đt|sđt|helpline number|hotline|"
    r"телефону?|телефона|тел|мобильный|мобилен|моб|мобільний|сотовый|сот|тэл|"
    r"τηλέφωνο|τηλ|κινητό|κιν|טלפון|נייד|هاتف|الهاتف|جوال|الجوال|موبايل|محمول|تليفون|تلفن|موبایل|همراه|فون|موبائل|"
    r"फ़ोन|फोन|मोबाइल|दूरभाष|โทรศัพท์|โทร|มือถือ"
)
# Scripts without spaces: `联系电话：`, `携帯電話番号`.
_PHONE_WORDS_UNSPACED = (
    r"电话号码|電話號碼|電話番号|电话|電話|手机(?:号码?)?|联系方式|聯絡方式|聯絡電話|手機|移动电话|携帯|"
    r"휴대전화|휴대폰|핸드폰|전화번호|전화|연락처"
)
_CONTACT = (
    r"(?:contacts?|kontakt|contacto|contatto|contato|контакты?)(?=[ \t]*(?:[:\uff1a=(\u2013-]|no\b|nos\b|numb|"
    r"num\b|nr\b|#|phone|tel|mob|cell|info|details?\b|line\b|"
    r"(?:me|us|at|on|is)\b|"
    r"\+?\(?\d(?:[ .()-]{0,2}\d){8}))"
)
_OTHER_NUMBER = (
    r"(?:alternat(?:e|ive)|alt|emergency|residence|resi?|office|home|work|cont|personal|direct)[ .]{1,2}"
    r"(?:nos?|num|numbers?|nr|tel|ph|phone)|número de (?:contacto|contato)"
)
_LABELLED_PHONE = any_of(
    rf"(?:(?<!\w)(?:{_PHONE_WORDS}|{_CONTACT}|{_OTHER_NUMBER}|(?:call|text|ring|reach(?: out)?)(?: to)?(?: me|"
    rf" us)?(?: (?:on|at))?)(?![^\W\d_])"
    rf"|(?:{_PHONE_WORDS_UNSPACED})|[☎☏📞📱✆]\ufe0f?|(?<!\w)[TMPHCFRW](?=[ ]?[:.]))"
    rf"\.?(?:[ \t]*/?[ \t]*{_QUALIFIER}){{0,4}}(?:[ \t]*\([^\W\d][^()\n]{{0,20}}\))?"
    rf"(?:(?:[ \t]+{_NO_NUMBER_OF_A_PHONE}[^\W\d_]{{2,14}}){{1,2}}[ \t]*[:\uff1a])?"
    r"[ \t]*[:\uff1a.=)\-\u2013*_|]{0,4}[ \t]*(?:(?<=[:\uff1a])\r?\n[ \t]*|\t[ \t]*)?"
    rf"(?P<number>\+?\(?\d(?:{_DIGIT}){{5,16}}){_EXTENSION}(?!\d|_|(?-i:[a-z]))"
)
_FOLLOWING_NUMBER = re.compile(
    rf"[ \t]*(?:[,/;|&]|or\b|and\b)[ \t]*(?P<number>\+?\(?\d(?:{_DIGIT}){{6,14}})(?!\w)", re.IGNORECASE
)
# Beside an e-mail address a number of usual length is one to call, whatever country it is of.
_BEHIND_ADDRESS = re.compile(
    rf"(?:[ \t]*[,;:|\u2022\u00b7/][ \t]*|[ \t]{{0,3}})(?P<number>\+?\(?\d(?:{_DIGIT}){{8,13}})(?!\w)"
)
_BEFORE_ADDRESS = re.compile(
    rf"(?<![\w.+#/-])(?P<number>\+?\(?\d(?:{_DIGIT}){{8,13}})(?:[ \t]*[,;|\u2022\u00b7/][ \t]*|[ \t]{{1,3}})$"
)
_GLUED = re.compile(r"(?<=\d{4})(?!Ext)[A-Z](?=[a-z]{2})|(?<=[^\W\d_]{2})[^\W\d_](?=\+\d{2})")
# A number with `+` that a line break divides; together not more digits than a number has.
_BROKEN_PHONE = re.compile(
    rf"(?<![\w+])\+\d(?:{_GAP}{{0,2}}\d){{1,8}}-?[ \t]*\r?\n[ \t]*\d(?:{_GAP}{{0,2}}\d){{2,9}}(?!\w)"
)
_SEVEN_DIGITS = re.compile(r"\d(?:[^\w\n]{0,4}\d){6}")


class PhoneRules:
    """Finds phone numbers.

    Args:
        regions: Countries whose national numbers are known, as two letters.

    Raises:
        ConfigError: A region is unknown.
    """

    def __init__(self, regions: Sequence[str]) -> None:
        self._regions = [_region(code) for code in regions]

    def spans(self, text: str) -> Iterator[tuple[int, int]]:
        """Where numbers stand."""
        if sum(map(str.isdigit, text)) < 6:
            return
        text, beside_them = _numbers_apart(text)
        # Nine digits in one piece are too often the number of something else.
        yield from (m.span() for m in _OWN_SHAPES.finditer(text) if not _NINE_BARE_DIGITS.fullmatch(m.group()))
        yield from _labelled_phones(text)
        for start, end in beside_them:
            for beside in (_BEHIND_ADDRESS.match(text, end), _BEFORE_ADDRESS.search(text, max(0, start - 40), start)):
                if beside:
                    yield beside.span("number")
        for match in _BROKEN_PHONE.finditer(text):
            if 10 <= sum(map(str.isdigit, match.group())) <= 13:
                yield match.span()
        if _SEVEN_DIGITS.search(text):
            yield from _library_phones(text, self._regions)


def _numbers_apart(text: str) -> tuple[str, list[tuple[int, int]]]:
    """Put line breaks in place of what is no phone number and may stand right beside one.

    Returns:
        A text of the same length; and where e-mail addresses stand.
    """
    found = []
    for start, middle, end, kind in addresses(text):
        text = text[:middle] + "\n" * (end - middle) + text[end:]
        if kind != "spaced":
            found.append((start, end))
    # Capitals that are glued to a number: `07700900123Email`.
    text = _GLUED.sub("\n", text)
    return _NO_PHONE.sub(lambda match: "\n" * len(match.group()), text), found


def _labelled_phones(text: str) -> Iterator[tuple[int, int]]:
    for match in _LABELLED_PHONE.finditer(text):
        yield match.start("number"), match.end()
        following = _FOLLOWING_NUMBER.match(text, match.end())
        while following:
            yield following.span("number")
            following = _FOLLOWING_NUMBER.match(text, following.end())


def _region(code: str) -> str:
    from phonenumbers import SUPPORTED_REGIONS

    if code.upper() not in SUPPORTED_REGIONS:
        guess = " (did you mean 'GB'?)" if code.upper() == "UK" else nearest(code.upper(), sorted(SUPPORTED_REGIONS))
        raise ConfigError(
            f"unknown region '{code}'{guess}", hint="use a two-letter ISO 3166 code, for example US, GB or DE"
        )
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
