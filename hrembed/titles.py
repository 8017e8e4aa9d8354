"""English job titles in the other grammatical number, and with what stands behind a comma in front.

Only words for people at work change, where one is the head of a title or of a part of it: `Sales Representatives` keeps
its sales. A text without such a head (most skills, every advertisement) comes back as it is.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from pluralizer import Pluralizer

_MOST_WORDS = 20
_MOST_WORDS_BEHIND = 8
_KEPT_WORDS = 100_000

# What follows the heads: `Directors of Photography`, `Cooks (nights)`, `Engineers II`, `Guards - Museum`.
_TAIL = re.compile(
    r"\s(?:at|by|de|except|for|from|in|including|of|on|to|under|with|within|without)\s"
    r"|,?\s*[(\[{|;:!?]"
    r"|\.(?-i:(?<!\b[A-Za-z]\.)(?<!\b[A-Z][a-z]\.)(?<!\b[A-Z][a-z]{2}\.))\s"  # not behind initials, `Sr.` and `Env.`
    r"|\s[-\u2010-\u2015]\s"
    r"|,?\s(?:(?:level|grade|band|class|tier|step)\s(?:\d|[ivx]+\b|[a-e]\b)|(?:[ivx]{1,4}|\d+)(?=\s*(?:$|[,(\[|-])))"
    r"|,\s*(?:all other|except|including|not|other than)\b",
    re.IGNORECASE,
)
_GAP = re.compile(r"\s*,\s*(?:(?:and|or|&)\s+)?|\s+(?:and/or|and|or|&|/)\s+|/", re.IGNORECASE)
_JOINED = re.compile(r"(?:^|\s)(?:and|or|&)\s", re.IGNORECASE)
_LAST_WORD = re.compile(r"(?<![\w.@])([^\W\d_]+)(?:-(?:at|de|in|of)-[\w-]+)?[\s.]*$")
_INITIALISM = re.compile(r"([A-Z]{2,5})(s?)")
_IN_SENTENCES = re.compile(r"\b(?:are|how|is|our|that|the|their|these|your)\b", re.IGNORECASE)

_ENDS_AS_PEOPLE_DO = re.compile(r"\w{2,}(?:er|or|ist|ian|man|woman|person|smith|mason|wright|herd|hand|wife|maid)")
_INITIALISMS = frozenset({"ceo", "cfo", "cio", "cna", "coo", "cto", "dj", "emt", "gp", "lpn", "mp", "pa", "rn", "vp"})
_PEOPLE = frozenset(
    re.findall(
        r"\w+",
        """
        accountant acrobat actress actuary admin advocate agent aide ambassador analyst apprentice architect artisan
        assistant associate asst astronaut athlete attendant attorney auxiliary bailiff barista boatswain boss boy
        butler captain chaplain chauffeur chef chief clerk clown coach colonel companion concierge constable consul
        consultant cook cop copilot corporal correspondent cosmonaut critic dean deputy detective dev diplomat docent
        entrepreneur escort exec executive expert fellow girl governess groom guard guide head herbalist homeopath host
        hostess informant intern jockey judge lady laureate lieutenant lifeguard locum magistrate maid man mason masseur
        masseuse mate mechanic medic merchant mgr missionary monk nanny notary nun nurse official operative orderly
        osteopath paralegal paramedic paraprofessional pedagogue physio pilot poet postdoc president priest principal
        professional provost rabbi recruit referee registrar rep representative resident roadie roustabout scholar scout
        sculptress seamstress secretary sergeant servant sheriff sommelier spy steward stewardess superintendent surgeon
        sysadmin tech trainee trustee umpire undersecretary valet vet vicar volunteer waitress warden woman
        """,
    )
)
# Things and other words with these endings, and people who are served.
_NO_PEOPLE = frozenset(
    re.findall(
        r"\w+",
        """
        abdoman abdomen accelerator actuator adapter after alter alternator amber amplifier another answer auger banner
        bar barrier beaver beer behavior behaviour bestseller bitter boiler border bother brother bulldozer bumper
        burner butter calculator calendar calender canister cantilever capacitor career cellar center chamber changeover
        chapter character charger charter checklist cider cigar cipher civilian clipper cluster collar color colour
        computer conditioner connector consider consumer container converter conveyor cooler copper corner corridor
        counter cover customer cylinder danger daughter decor deer deliver denominator detector differ dinner discover
        disorder door dossier drier dryer either elder elevator encounter enter escalator ester ether ever excavator
        exterior extinguisher factor farther father favor favour feather fever fiber filter finger flavor flavour floor
        flower folder former foster freezer further gather gender generator german ginger glacier gutter hammer harbor
        heater helicopter her higher hoist honor honour horror human humor humour hunger incubator indicator indoor
        inner inter interior investor italian junior kosher labor labour lacquer ladder larger laser later latter
        leather ledger letter lever lighter liner liquor list locator locker lower lumber major manner matter median
        merger metaphor meteor minor mirror mist mother motor neither never newsletter newspaper number odor odour
        offender offer older oman omen order other outdoor outer outrigger over oyster pager paper parlor parlour
        passenger pattern peer pepper per pier pillar plaster poster powder power prefer prior prisoner projector
        pulsator pusher quarter radiator rather reactor recover rectifier refer refrigerator regiman regimen register
        regulator remainder remember reminder repeater resistor respirator riser river roman rotor router rubber rudder
        rumor rumour saucer scanner scooter sector seman semen semiconductor senior sensor separator shelter shoulder
        shower silver sister slipper soccer solar solder speciman specimen staman stamen sticker stopper subscriber
        suffer sugar summer super supper sweater talisman tar taxpayer temper tenor terror theater their thunder tier
        tiger timber timer toner tower tractor trailer transfer transformer transistor trigger twist under upper user
        vapor vapour vector veneer ventilator viewer vinegar visitor voucher wafer waist war water waver weather whether
        whisper winter wiper wonder worldwide wrapper wrist yesterday younger
        """,
    )
)
_NO_PEOPLE_END = re.compile(r"\w*(?:meter|reactor|sensor)")


def singular(title: str) -> str:
    """Put the heads of a title in the singular: `Cooks and Bakers` is `Cook and Baker`.

    Idempotent. A text without a head in the plural comes back as it is.
    """
    return _each_head(title, _singular_word)


def plural(title: str) -> str:
    """Put the heads of a title in the plural: `Line Cook, Nights` is `Line Cooks, Nights`.

    Idempotent. A text without a head in the singular comes back as it is.
    """
    return _each_head(title, _plural_word)


def inverted(title: str) -> str:
    """Bring what stands behind a comma in front of the heads, or what stands in front of a single head behind it.

    `Bakers, Night Shift` is `Night Shift Bakers`, and the other way round. A text with neither comes back as it is, and
    so does one whose order cannot be told: with lists on both sides of the comma, or with something behind the heads
    that does not describe them (`Bakers, Except Head Bakers`).
    """
    direct = without_inversion(title)
    if direct != title:
        return direct
    parts = _parts(title)
    heads = [part for part in parts if part.head is not None]
    front, _, head = title.strip().rpartition(" ")
    if len(heads) != 1 or heads[0] is not parts[-1] or _head_part(title) != title or not front.strip():
        return title
    return f"{_with_capital(head) if front[0].isupper() else head}, {front.strip()}"


def without_inversion(title: str) -> str:
    """Bring what stands behind a comma in front of the heads: `Bakers, Night Shift` is `Night Shift Bakers`.

    Idempotent. A text without such a comma comes back as it is, and so does one whose order cannot be told, as for
    `inverted`.
    """
    parts = _parts(title)
    heads = [part for part in parts if part.head is not None]
    if not heads or heads[-1] is parts[-1] or _head_part(title) != title:
        return title
    first, behind = title[: heads[-1].stop].strip(), title[heads[-1].stop :].strip()
    if not _describes(behind, first):
        return title
    behind = behind.lstrip(", ")
    if first[0].isupper() and behind[0].islower():
        return f"{_with_capital(behind)} {_without_capital(first)}"
    return f"{behind} {first}"


def normal_form(title: str) -> str:
    """Write a title in the singular and without inversion: `Bakers, Night Shift` is `Night Shift Baker`.

    Idempotent.
    """
    return without_inversion(singular(title))


class _Part(NamedTuple):
    """A part of a title between commas, slashes and conjunctions.

    Attributes:
        stop: Where it ends in the title.
        head: Where its head stands; None for a part without one.
    """

    stop: int
    head: slice | None


def _parts(title: str) -> list[_Part]:
    """Parts of a title up to what follows its heads; none of a text that is too long for a title.

    The last head decides which others are heads: those in its number (of `Cashiers and Bakers Supervisor` the
    supervisor alone). A word that a conjunction joins to what is no head is none (`Mixers and Bowls`).
    """
    text = _head_part(title)
    if "\n" in title or len(title.split(maxsplit=_MOST_WORDS)) > _MOST_WORDS or _IN_SENTENCES.search(text):
        return []
    parts: list[_Part] = []
    stop, gap = len(text), ""
    for match in [*reversed(list(_GAP.finditer(text))), None]:
        head = _head_at(text, match.end() if match else 0, stop)
        if gap.strip(" ,/") and parts[0].head is None:
            head = None
        parts.insert(0, _Part(stop, head))
        if match:
            stop, gap = match.start(), match[0]
    heads = [part.head for part in parts if part.head is not None]
    if not heads:
        return parts
    several = _is_plural(text[heads[-1]])
    return [
        part if part.head is None or _is_plural(text[part.head]) is several else part._replace(head=None)
        for part in parts
    ]


def _head_at(text: str, start: int, stop: int) -> slice | None:
    last = _LAST_WORD.search(text, start, stop)
    return slice(*last.span(1)) if last and _is_for_people(last[1]) else None


def _head_part(title: str) -> str:
    tail = _TAIL.search(title)
    return title[: tail.start()] if tail else title


def _describes(behind: str, first: str) -> bool:
    """Whether a text behind the heads is one description of them, which may also stand in front."""
    if not behind.startswith(",") or len(behind.split()) > _MOST_WORDS_BEHIND:
        return False
    *earlier, last = behind.lstrip(", ").split(",")
    joined = _JOINED.search(last) is not None
    if not last.strip() or _JOINED.match(behind.lstrip(", ")) or any(_JOINED.search(each) for each in earlier):
        return False
    if earlier and not joined:
        return False
    return not ((earlier or joined) and _GAP.search(first))


def _each_head(title: str, form: Callable[[str], str]) -> str:
    for part in reversed(_parts(title)):
        if part.head is not None:
            title = title[: part.head.start] + form(title[part.head]) + title[part.head.stop :]
    return title


@lru_cache(_KEPT_WORDS)
def _singular_word(word: str) -> str:
    initialism = _INITIALISM.fullmatch(word)
    return initialism[1] if initialism and initialism[2] else _pluralizer().singular(word)


def _plural_word(word: str) -> str:
    if _is_plural(word):
        return word
    return f"{word}s" if word.lower() in _INITIALISMS else _pluralizer().plural(word)


def _is_plural(word: str) -> bool:
    return _singular_word(word) != word


@lru_cache(_KEPT_WORDS)
def _is_for_people(word: str) -> bool:
    one = _singular_word(word).lower()
    if one in _PEOPLE or one in _INITIALISMS:
        return True
    other = one in _NO_PEOPLE or _NO_PEOPLE_END.fullmatch(one) is not None
    return not other and _ENDS_AS_PEOPLE_DO.fullmatch(one) is not None


def _with_capital(text: str) -> str:
    return text[0].upper() + text[1:]


def _without_capital(text: str) -> str:
    """Start in lower case, unless the first word is an initialism or has a capital further on."""
    return text[0].lower() + text[1:] if text.split()[0][1:].islower() else text


@cache
def _pluralizer() -> Pluralizer:
    from pluralizer import Pluralizer

    words = Pluralizer()  # type: ignore[no-untyped-call]
    for one in ("masseuse", "roadie", "tech"):  # `masseus`, `roady` and `teches` by its rules
        words.add_irregular_rule(one, f"{one}s")
    return words
