"""E-mail addresses and links in running text, by rules that can be read (`docs/personal-data.md` lists them)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from hrembed.data.common_words import PRODUCTS

if TYPE_CHECKING:
    from collections.abc import Container, Iterator


def any_of(*patterns: str) -> re.Pattern[str]:
    """Match any of some patterns, in upper and lower case."""
    return re.compile("|".join(f"(?:{pattern})" for pattern in patterns), re.IGNORECASE)


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
_AT_HOST = any_of(
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
LINK = any_of(
    r"(?<![^\W\d_])(?:https?|ftp)://[^\s<>\"|]+",
    rf"(?<![\w.@-])www\.{_LABEL}(?:\.[\w-]+)+(?:[/?#:]{_BEHIND_SLASH})?",
    rf"(?<![\w@./-])(?:[a-z]{{2,6}}\.)?(?:{_PROFILE_HOSTS})/[@~\w]{_BEHIND_SLASH}",
    rf"(?<![\w@./-])[a-z0-9][a-z0-9-]{{0,62}}\.(?:{_OWN_HOSTS})\b(?:/{_BEHIND_SLASH})?",
)
_LABELLED_LINK = any_of(
    r"(?<!\w)(?:(?:personal )?(?:web ?)?(?:site|page)|home ?page|(?:online )?portfolio|blog|site web|url)[ \t]*"
    r"[:\uff1a\u2013-][ \t]*"
    rf"(?P<site>{_NO_SITE}{_HOST}(?:[/?#]{_BEHIND_SLASH})?)",
    rf"(?<!\w)(?:{_HANDLE_OF})[ \t]*[:\uff1a]?[ \t]*(?P<handle>@[\w.-]{{2,}}\w|/?(?:in|pub|profile|u)/[\w%-]+)",
    r"(?<!\w)orcid(?:[ \t]+id)?[ \t]*[:\uff1a]?[ \t]*(?P<orcid>\d{4}-\d{4}-\d{4}-\d{3}[\dX])",
)


class EmailRules:
    """Finds e-mail addresses, also where they are spelled out or broken over lines.

    Args:
        vocabulary: Ordinary words in lower case.
        given_names: First names in lower case.
    """

    def __init__(self, vocabulary: Container[str], given_names: Container[str]) -> None:
        self._vocabulary, self._given_names = vocabulary, given_names

    def spans(self, text: str) -> Iterator[tuple[int, int]]:
        """Where addresses stand."""
        for start, middle, end, kind in addresses(text):
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


def addresses(text: str) -> Iterator[tuple[int, int, int, str]]:
    """Where an address may begin, where its host part begins (with the sign), where it ends, and how it is written."""
    for match in _AT_HOST.finditer(text):
        kind = match.lastgroup or ""
        local = _BEFORE[kind].search(text, max(0, match.start() - _LONGEST_LOCAL), match.start())
        if local:
            yield local.start(), match.start(), match.end(), kind


def links(text: str) -> Iterator[tuple[int, int]]:
    """Where links stand, and handles behind the name of a service."""
    for match in LINK.finditer(text):
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
