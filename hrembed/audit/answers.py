"""What people answer when they are asked for a category: nothing, no, or the same thing in several spellings."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

USUAL = "usual"
"""Stands for the usual ways not to answer, in a list of words that count as unknown."""

_TOLD = (
    r"(say|answer|respond|reply|disclose|state|specify|provide|share|tell|report|indicate|reveal|declare|volunteer|"
    r"(self )?(identify|disclose|report|describe|declare))"
)
_WHAT = r"( (this|that|the|my|your|question|information|info|data|answer|response|it|at|time))*"
_REFUSED = (
    r"(prefers?|preferred|chooses?|chose|opts?|opted|elects?|elected|wish|rather|want)( not( to)?| to not)",
    r"(do|does|did) not( (wish|want|care|choose|like|prefer))?( to)?",
    r"(dont|doesnt|didnt)( (wish|want|care|choose|like|prefer))?( to)?",
    r"(decline|declines|declined|declining|refuse|refuses|refused|not willing|unwilling)( to)?",
)
_ENGLISH = re.compile(
    rf"({'|'.join(_REFUSED)}) {_TOLD}{_WHAT}"
    r"|(prefer|prefers|choose|chose|rather) not( to)?"
    r"|(decline|declines|declined|refuse|refuses|refused|refusal)( to)?|(opt|opts|opted) out"
    r"|not (yet )?(specified|stated|disclosed|provided|given|available|applicable|known|reported|recorded|declared|"
    r"answered|indicated|identified|self identified|selected|asked|collected|captured|entered|supplied|shared|sure|"
    r"set|classified|obtained|completed)"
    r"|(data|information|info) not (available|provided|given)|non ?(disclosed|response|specified|declared)"
    r"|un(known|specified|disclosed|stated|declared|reported|answered|identified|defined|sure|available|recorded|"
    r"determined|assigned|classified|k)|none (given|provided|reported|stated)|redacted|(left )?blank|u|dk"
    r"|no (answer|response|reply|data|information|info|selection|value|entry|disclosure)( (given|provided|available))?"
    r"|no( data)? (given|provided|on file)"
    r"|(do not|dont) know|(data |information )?(withheld|withhold)( by)?|confidential|self identification declined"
    r"|missing( (data|value))?|skipped|empty|null|nan|nat|none|nil|na|n a|tbd"
    r"|(please )?(select|choose)( (one|an option))?"
)
_ASKED = re.compile(
    r"\b(i|id|am|is|would|we|eeo|applicants?|candidates?|employee|respondent|voluntarily|currently|sex|gender|race|"
    r"ethnicity|ethnic|origin|age|group|category|status|identity)\b"
)
_ABROAD = """
keine angabe; keine angaben; k a; ohne angabe; nicht angegeben; unbekannt; mochte ich nicht angeben; weiss nicht
mochte ich nicht sagen; mochte nicht antworten; keine antwort; non renseigne; non renseignee; non precise; non precisee
non specifie; inconnu; inconnue; non communique; prefere ne pas repondre; je prefere ne pas repondre; ne sait pas
je ne souhaite pas repondre; ne souhaite pas repondre; prefere ne pas le dire; prefiero no decirlo; prefiero no decir
prefiero no responder; prefiero no contestar; no especificado; no especifica; sin especificar; desconocido; desconocida
no responde; no contesta; s d; sin dato; ns nc
no declarado; sin respuesta; no informado; sin datos; preferisco non rispondere
preferisco non dirlo; non specificato; non dichiarato; sconosciuto; non indicato; nessuna risposta; desconhecido
prefiro nao responder; prefiro nao dizer; prefiro nao informar; nao informado; nao declarado; nao especificado; onbekend
wil ik niet zeggen; zeg ik liever niet; niet opgegeven; niet bekend; geen antwoord; wil niet antwoorden; n v t
nieznane
nieznany; brak danych; brak odpowiedzi; wole nie odpowiadac; odmowa odpowiedzi; okant; vill ej uppge; vill inte uppge
vill inte svara; ej angivet; uppgift saknas; ukendt; onsker ikke at oplyse; ikke oplyst; ukjent; ikke oppgitt
tuntematon; en halua vastata; ei tietoa; neznamo; neuvedeno; nechci odpovedet; bilinmiyor; belirtmek istemiyorum
belirtilmemis; не указано; не указан; неизвестно; предпочитаю не отвечать; не хочу отвечать; невідомо; не вказано
未知; 不详; 不愿透露; 不愿回答; 未填写; 不明; 無回答; 未回答; 回答しない; 答えたくない; 알 수 없음
모름; 무응답; 응답 거부; غير معروف; غير محدد
"""


def _plain(text: str) -> str:
    """Lower case without accents, apostrophes and punctuation, single blanks between words."""
    bare = "".join(c for c in unicodedata.normalize("NFKD", text.casefold()) if not unicodedata.combining(c))
    bare = re.sub(r"['\u2019\u2018\u02bc`\u00b4]", "", bare).replace("\u0142", "l").replace("\u00f8", "o")
    return " ".join(re.sub(r"[\W_]+", " ", bare).split())


_PHRASES = {_plain(phrase) for line in _ABROAD.strip().splitlines() for phrase in line.split(";")}


def is_unknown(cell: str, words: Sequence[str] = (USUAL,)) -> bool:
    """Whether a cell says that a category is not known, or was not told.

    An empty cell does. With `usual` among the words, so do the usual answers of forms and exports ("Prefer not to
    say", "I don't wish to answer", "N/A", "Unknown", "-") in any case, with any apostrophes and in the commonest forms
    of about twenty languages; "Not Hispanic or Latino" and "No" are answers.

    Args:
        cell: What stands in the table.
        words: What counts as unknown; case, accents and punctuation are ignored.
    """
    if not cell.strip():
        return True
    others = [word for word in words if word != USUAL]
    plain = _plain(cell) if others else ""
    if any(plain == _plain(word) and (plain or cell.strip() == word.strip()) for word in others):
        return True
    return USUAL in words and _usual(cell)


@lru_cache(maxsize=10_000)  # a column has few answers and many rows
def _usual(cell: str) -> bool:
    plain = _plain(cell)
    if not plain or _refuses(plain):
        return True
    without = re.sub(r"[(\[{<][^)\]}>]*[)\]}>]", " ", cell)
    parts = [part for part in re.split(r"[/|;,:\u2013\u2014]|\s-\s|\bor\b|\band\b", without.casefold()) if _plain(part)]
    asked = [" ".join(_ASKED.sub(" ", _plain(part)).split()) for part in parts]
    return any(asked) and all(not left or _refuses(_plain(part)) for part, left in zip(parts, asked, strict=True))


def _refuses(plain: str) -> bool:
    asked = " ".join(_ASKED.sub(" ", plain).split())
    return any(text in _PHRASES or _ENGLISH.fullmatch(text) is not None for text in (plain, asked))


def spelling_key(cell: str) -> str:
    """What the spellings of a category share: not case, blanks, forms of Unicode, hyphens and underscores."""
    text = re.sub(r"(?<=\w)[-_\u2010-\u2015](?=\w)", " ", unicodedata.normalize("NFKC", cell)).replace("_", " ")
    return " ".join(text.casefold().split())


# EEO-1 means people who are not Hispanic or Latino by all of its races but that one, whether a form says so or not.
_QUALIFIER = re.compile(
    r"(?<=\w)[,;\s(\[-]+(?:not|non)[\s-]hispanic(?: (?:or|and) latin[oax])?[\s)\]]*$|(?<=\w)[,\s(]+of any race[\s)]*$"
    r"|[\s(]+(?:united states(?: of america)?|usa?)[\s)]*$"
)
_AND_OR = re.compile(r"\s*[/&]\s*| and ")
_SYNONYMS = {
    "m": "male",
    "f": "female",
    "alaskan": "alaska",
    "other pacific": "pacific",
    "2 or more": "two or more",
}
_SYNONYM = re.compile(rf"\b(?:{'|'.join(key for key in _SYNONYMS if len(key) > 1)})\b|^[mf]\.?$")


def category_key(cell: str) -> str:
    """What the spellings of a category share: as `spelling_key`, and how forms write the categories of EEO-1.

    `M` is `Male`, `White (Not Hispanic or Latino)` is `White`, `Hispanic/Latino` is `Hispanic or Latino`.
    """
    key = spelling_key(cell)
    previous = ""
    while key != previous:
        previous, key = key, _QUALIFIER.sub("", key)
    return _SYNONYM.sub(lambda match: _SYNONYMS[match.group().rstrip(".")], _AND_OR.sub(" or ", key))


class Answers(NamedTuple):
    """The answers of all rows to one question.

    Attributes:
        categories: Of each row, in its most frequent spelling; None where it is unknown.
        unknown: What counted as unknown -> people who said so; an empty cell is the empty text.
        spellings: Category -> its other spellings, where it has some.
    """

    categories: tuple[str | None, ...]
    unknown: dict[str, int]
    spellings: dict[str, tuple[str, ...]]


def read_answers(
    cells: Sequence[str],
    persons: Sequence[int],
    words: Sequence[str] = (USUAL,),
    key: Callable[[str], str] = category_key,
) -> Answers:
    """Tell unknown answers from categories, and join the spellings of a category.

    Args:
        cells: The column.
        persons: How many people each row stands for.
        words: As for `is_unknown`.
        key: What the spellings of one answer share.
    """
    refused = {cell for cell in {*cells} if is_unknown(cell, words)}
    keys = {cell: key(cell) for cell in {*cells} - refused}
    unknown: Counter[str] = Counter()
    spellings: dict[str, Counter[str]] = defaultdict(Counter)
    for cell, people in zip(cells, persons, strict=True):
        if cell in refused:
            unknown[cell.strip()] += people
        else:
            spellings[keys[cell]][cell.strip()] += people
    names = {shared: counter.most_common(1)[0][0] for shared, counter in spellings.items()}
    return Answers(
        tuple(None if cell in refused else names[keys[cell]] for cell in cells),
        dict(unknown),
        {
            names[shared]: tuple(spelling for spelling in counter if spelling != names[shared])
            for shared, counter in spellings.items()
            if len(counter) > 1
        },
    )
