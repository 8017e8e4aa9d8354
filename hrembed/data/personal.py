"""Personal data in running text: where it stands and of which type. Finds, and replaces; reads no files.

Everything here is a rule that can be read, so that it is clear what is *not* found: `docs/personal-data.md` lists it.
"""

# ruff: noqa: RUF001  (labels in other scripts)
from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import TYPE_CHECKING

from hrembed.data.common_words import MONTHS, PLACES, PRODUCTS
from hrembed.data.views import plain, without_tags
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
_OPEN, _CLOSE = r"\\?[\[({<][ \t]{0,3}", r"[ \t]{0,3}\\?[\])}>]"
_AT = (
    rf"(?:[ \t]{{0,3}}{_OPEN}(?:at|ät|arroba|chez|@){_CLOSE}[ \t]{{0,3}}|[(\[]a[)\]]|_at_|-at-(?=[\w-]{{2,40}}\.[a-z]))"
)
_DOT = (
    rf"(?:[ \t]{{0,3}}{_OPEN}(?:dot|punkt|point|punto|\.){_CLOSE}[ \t]{{0,3}}"
    r"|[ \t]{1,3}(?:dot|punkt|point|punto)[ \t]{1,3}|\.)"
)
_DOTTED = rf"{_LABEL}(?:{_DOT}{_LABEL}){{0,5}}{_DOT}[^\W\d_]{{2,24}}"
# With a space at a dot, or broken over lines; only endings that are no words: `j.doe@post. In 2019`.
_ENDING = r"(?:com|org|net|edu|gov|info|biz|io|de|fr|uk|eu|ch|nl|pl|se|dk|fi|es|ca|au|ru|cn|br|mx|jp|kr|tr|ie|nz|za)"
_BREAK = r"[ \t]{0,3}\r?\n[ \t>]{0,4}"
_LOOSE_DOT = r"(?:[ \t]{0,2}\.[ \t]{0,2})"
_LOOSE_HOST = rf"{_LABEL}(?:{_LOOSE_DOT}{_LABEL}){{0,3}}{_LOOSE_DOT}(?-i:{_ENDING}|{_ENDING.upper()})(?!\w)"
# The sign and what stands behind it come first, and then what stands before: every letter could begin an address.
_AT_HOST = _any(
    rf"(?P<sign>[@\uff20]{{1,2}}(?:{_HOST}|{_LOOSE_HOST}|(?:gmail|googlemail|yahoo|hotmail|outlook|icloud|protonmail)"
    r"(?![\w-]|\.\w)))",
    rf"(?P<broken>[ \t]{{0,2}}@{_BREAK}{_HOST}|@(?:{_LABEL}\.){{0,3}}{_LABEL}"
    rf"(?:\.{_BREAK}|{_BREAK}\.|-?{_BREAK}[\w-]{{1,40}}\.)"
    rf"(?-i:{_ENDING})(?!\w)|{_BREAK}@{_HOST})",
    rf"(?P<bracket>{_AT}{_DOTTED})",
    # `jane.doe @ example.org`, `jane at example.com`; but also `Engineer @ Booking.com`, `team at yahoo.com`.
    rf"(?P<spaced>(?:[ \t]{{1,3}}(?:@|at)[ \t]{{1,3}}|@[ \t]{{1,3}}|[ \t]@)(?:{_LOOSE_HOST}|{_DOTTED}))",
)
_BEFORE = {
    "sign": re.compile(r"\w[\w.+%'&-]{0,63}$"),
    "bracket": re.compile(rf"\w[\w+'-]{{0,62}}(?:{_DOT}[\w+-]{{1,63}}){{0,5}}$", re.IGNORECASE),
}
_BEFORE["spaced"], _BEFORE["broken"] = _BEFORE["bracket"], _BEFORE["sign"]
_EMAIL_LABEL = re.compile(
    r"(?<!\w)(?:(?:e-?mail|courriel|correo)(?:[ ](?:id|address|me|us))?|(?:contact|mail|reach me)(?=[ \t]*[:\uff1a]))"
    r"(?:[ \t]*[:\uff1a=\u2013-]|[ ](?:is|at))?[ \t]+$",
    re.IGNORECASE,
)
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
_OWN_SHAPES = _any(
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
_LABELLED_PHONE = _any(
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
        rest = _NAME_LINE.sub(" ", _LINK.sub(" ", readable))
        new = {word for word in _LOWER.findall(rest) if word.islower()} - self._words
        for start, _, end, _ in _addresses(readable) if new else ():
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
        self._vocabulary, self._given_names = vocabulary, given_names
        self._regions = [_region(code) for code in regions] if "phone" in types else []
        rules = dict(zip(TYPES, (self._emails, self._phones, _links, _birth_dates, self._names), strict=True))
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

    def _emails(self, text: str) -> Iterator[tuple[int, int]]:
        for start, middle, end, kind in _addresses(text):
            if kind == "broken" and not self._is_broken_address(text[start:middle], text[middle:end]):
                continue
            labelled = kind == "spaced" and _EMAIL_LABEL.search(text, max(0, start - 40), start) is not None
            if kind != "spaced" or labelled or self._is_address(text[start:middle], text[middle:end]):
                yield start, end

    def _is_broken_address(self, local: str, host: str) -> bool:
        """Decide on a word and a host in two lines; `Engineer` above `@booking.com` is none."""
        return host.startswith("@") or (
            local.islower() and (re.search(r"[._\d]", local) is not None or local not in self._vocabulary)
        )

    def _is_address(self, local: str, host: str) -> bool:
        """Decide on words around a free-standing `@` or `at`."""
        sign, name = host.lstrip()[:1], re.split(r"@|[aA][tT]", host, maxsplit=1)[1]
        if name.islower() and self._names_a_person(local.lower()):
            return True
        if not (local + name).islower():
            return "AT" in host and " DOT " in name
        marked = re.search(r"[._\d]| dot ", local) is not None
        if _PROVIDER.match(name.lstrip()):
            return marked or local not in self._vocabulary
        return (marked or local not in self._vocabulary) and (sign == "@" or " dot " in name)

    def _names_a_person(self, local: str) -> bool:
        """Whether a word is a first name, or two words with a dot as in addresses: `jane.doe`, not `node.js`."""
        parts = re.split(r"[._]", local)
        if len(parts) == 1:
            return local in self._given_names and local not in self._vocabulary
        is_site = re.fullmatch(rf"{_ENDING}|js|ts|py|ai|app", parts[-1]) is not None
        known = [part in self._vocabulary or part in PRODUCTS for part in parts]
        return all(part.isalpha() for part in parts) and not is_site and not all(known)

    def _phones(self, text: str) -> Iterator[tuple[int, int]]:
        if sum(map(str.isdigit, text)) < 6:
            return
        text, addresses = _numbers_apart(text)
        # Nine digits in one piece are too often the number of something else.
        yield from (m.span() for m in _OWN_SHAPES.finditer(text) if not _NINE_BARE_DIGITS.fullmatch(m.group()))
        yield from _labelled_phones(text)
        for start, end in addresses:
            for beside in (_BEHIND_ADDRESS.match(text, end), _BEFORE_ADDRESS.search(text, max(0, start - 40), start)):
                if beside:
                    yield beside.span("number")
        for match in _BROKEN_PHONE.finditer(text):
            if 10 <= sum(map(str.isdigit, match.group())) <= 13:
                yield match.span()
        if _SEVEN_DIGITS.search(text):
            yield from _library_phones(text, self._regions)

    def _names(self, text: str) -> Iterator[tuple[int, int]]:
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


def _addresses(text: str) -> Iterator[tuple[int, int, int, str]]:
    """Where an address may begin, where its host part begins (with the sign), where it ends, and how it is written."""
    for match in _AT_HOST.finditer(text):
        kind = match.lastgroup or ""
        local = _BEFORE[kind].search(text, max(0, match.start() - _LONGEST_LOCAL), match.start())
        if local:
            yield local.start(), match.start(), match.end(), kind


def _numbers_apart(text: str) -> tuple[str, list[tuple[int, int]]]:
    """Put line breaks in place of what is no phone number and may stand right beside one.

    Returns:
        A text of the same length; and where e-mail addresses stand.
    """
    addresses = []
    for start, middle, end, kind in _addresses(text):
        text = text[:middle] + "\n" * (end - middle) + text[end:]
        if kind != "spaced":
            addresses.append((start, end))
    # Capitals that are glued to a number: `07700900123Email`.
    text = _GLUED.sub("\n", text)
    return _NO_PHONE.sub(lambda match: "\n" * len(match.group()), text), addresses


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
