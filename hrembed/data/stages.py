"""How far an application came: the statuses of applicant-tracking systems, and the grades made of them."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

from hrembed.text import normalise

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hrembed.records.ats import Stage

STAGES: tuple[Stage, ...] = ("hired", "offer", "interview", "shortlisted", "rejected", "withdrawn", "pending")
GRADES: Mapping[Stage, int] = {"hired": 3, "offer": 3, "interview": 2, "shortlisted": 1, "rejected": 0}
"""Stage to relevance. A person who withdrew, or of whom nothing is decided, was not judged, and has no grade."""

_LADDER: tuple[Stage, ...] = ("shortlisted", "interview", "offer", "hired")

_STATUSES: Mapping[Stage, str] = {
    "hired": """
        hired; hire; onboarding; onboarded; offer accepted; accepted offer; accepted; placed; joined; employed; started
        offer signed; contract signed; ready for hire; ready to hire
        eingestellt; zusage; zugesagt; angenommen; vertrag unterschrieben; embauche; embauchee; recrute; recrutee
        contratado; contratada; aangenomen; assunto; assunta; anstalld; ansat; zatrudniony; zatrudniona
    """,
    "offer": """
        offer; offered; offer extended; offer sent; offer made; offer received; offer pending; offer stage; job offer
        verbal offer; make offer; offer declined; declined offer; offer rejected; rejected offer
        angebot abgelehnt; background check; reference check; references; pre employment
        angebot; angebot erstellt; angebot gesendet; vertragsangebot; offre; offre envoyee; oferta; oferta enviada
        aanbod; aanbieding; offerta; proposta; erbjudande; oferta pracy
    """,
    "interview": """
        assessment; assessment center; case study; take home test; take home; technical test; coding test; work sample
        trial day; onsite; on site; final round; vorstellungsgesprach; vorstellungsgespraech; bewerbungsgesprach
        bewerbungsgespraech; gesprach; gespraech; erstgesprach; zweitgesprach; kennenlerngesprach; telefoninterview
        videointerview; probearbeiten; probetag; entretien; entretien telephonique; entrevista; colloquio; gesprek
        sollicitatiegesprek; intervju; samtale; rozmowa kwalifikacyjna
    """,
    "shortlisted": """
        shortlisted; shortlist; short list; short listed; screened in; passed screening; screening passed; phone screen
        phone screening; recruiter screen; recruiter call; recruiter phone screen; moved forward; advanced
        hiring manager review; submitted to hiring manager; pre selected; preselected; invited
        invited to interview; vorausgewahlt; vorauswahl; eingeladen; engere auswahl; in der engeren auswahl
        preselectionne; preselectionnee; preselection; preseleccionado; preseleccionada; preseleccion; voorselectie
        uitgenodigd; preselezionato; preselezionata; pre selecionado; pre selecionada
    """,
    "rejected": """
        rejected; reject; rejection; not selected; not hired; unsuccessful; disqualified; disqualify; regretted
        turned down; not a fit; no hire; not qualified; unqualified; underqualified; not moving forward; not proceeding
        screened out; not shortlisted; rejected by employer; rejected by us; we rejected them; employer rejected
        rejected by company; not considered; hired another candidate
        abgelehnt; absage; absage erteilt; absage durch unternehmen; absage durch uns; nicht geeignet; refuse; refusee
        rejete; rejetee; non retenu; non retenue; refus; rechazado; rechazada; descartado; descartada; afgewezen
        rifiutato; rifiutata; scartato; scartata; rejeitado; rejeitada; reprovado; reprovada; avslag; odrzucony
        odrzucona
    """,
    "withdrawn": """
        withdrawn; withdrew; withdraw; withdrawal; candidate withdrew; candidate withdrawn; withdrawn by candidate
        withdrawn by applicant; withdrawn application; applicant withdrew; self withdrew; candidate declined
        declined by candidate; rejected by candidate
        they rejected us; no show; not interested; candidate not interested; unresponsive
        zuruckgezogen; zurueckgezogen; bewerbung zuruckgezogen; bewerbung zurueckgezogen; absage durch bewerber
        absage durch bewerberin; absage durch kandidat; absage bewerber; retire; retiree
        candidature retiree; desiste; desistement; retirado; retirada; renuncia; teruggetrokken; ritirato; ritirata
        desistiu; desistencia
    """,
    "pending": """
        new; applied; active; open; received; application received; in progress; in process; under review; in review
        review; reviewing; reviewed; application review; submitted; application submitted; lead; prospect; sourced
        pending; on hold; hold; to be reviewed; new applicant; new application; inbox; unassigned; screening; screen
        in screening; considering; under consideration; neu; eingegangen; in bearbeitung; in prufung; in pruefung
        sichtung; in sichtung; beworben; offen; laufend; nouveau; nouvelle; en cours; recu; recue; a traiter; nuevo
        nueva; recibido; recibida; en proceso; en revision; nieuw; in behandeling; nuovo; nuova; in corso; novo; nova
        em andamento; ny; nowy
    """,
}
_INTERVIEW = re.compile(
    r"(?:(?:\d+(?:st|nd|rd|th)?|first|second|third|fourth|final|initial|phone|telephone|video|virtual|zoom|on|onsite|"
    r"site|technical|panel|team|hiring|manager|hr|recruiter|face|to|in|person|round|stage|step) )*"
    r"interview(?:s|ing|ed)?(?: (?:\d+|one|two|three|round|stage|scheduled|completed|done|invited|hr|phone|onsite))*"
)
_DIVIDERS = re.compile(r"\s[-\u2013\u2014]\s|[:(/|\u2013\u2014]")
_OF_THE_CANDIDATE = re.compile(r"\b(?:withdr\w*|candidate|applicant|declin\w*|interested|bewerber\w*|kandidat\w*)\b")


def _key(status: str) -> str:
    """Words in lower case without accents; a number in front (`090 Hired`) is left out."""
    bare = unicodedata.normalize("NFKD", normalise(status))
    return re.sub(r"^\d{2,4} (?=\D)", "", "".join(c for c in bare if not unicodedata.combining(c)))


_STAGE_OF: Mapping[str, Stage] = {
    _key(status): stage
    for stage, statuses in _STATUSES.items()
    for line in statuses.strip().splitlines()
    for status in line.split(";")
}


def stage_of(status: str, given: Mapping[str, Stage] = {}) -> Stage | None:
    """Say which stage a status means; None where that is not known.

    A status with a reason behind it (`Rejected - underqualified`) is read by what stands in front, unless the reason
    speaks of the candidate: `Rejected - candidate withdrew` may be no rejection, and is not known.

    Args:
        status: As the table has it, in any case; English and the commonest words of other languages.
        given: Further statuses, in any case; they come first.
    """
    own = {_key(name): stage for name, stage in given.items()}
    whole = _key(status)
    known = own.get(whole) or _known(whole)
    if known is not None or not whole:
        return known
    first, *rest = [_key(part) for part in _DIVIDERS.split(status) if _key(part)] or [""]
    stages = [own.get(part) or _known(part) for part in (first, *rest)]
    if "withdrawn" in stages:
        return "withdrawn"
    return None if any(_OF_THE_CANDIDATE.search(part) for part in rest) else stages[0]


def _known(key: str) -> Stage | None:
    return _STAGE_OF.get(key) or ("interview" if _INTERVIEW.fullmatch(key) else None)


def furthest(outcome: Stage, reached: Stage | None) -> Stage:
    """Join what became of an application with the last stage that it was in, where a table says both.

    Who was rejected after an interview had been interviewed: the grade says how far a person came. A withdrawal stays
    one, since it is not known what would have become of the person.
    """
    if outcome == "withdrawn" or reached is None or reached not in _LADDER:
        return "withdrawn" if reached == "withdrawn" and outcome == "pending" else outcome
    if outcome in _LADDER:
        return max(outcome, reached, key=_LADDER.index)
    return reached


def reaches(stage: Stage, asked: Stage) -> bool:
    """Whether an application came as far as was asked, or further."""
    return stage in _LADDER and _LADDER.index(stage) >= _LADDER.index(asked)
