"""Job ads and anonymised profiles of hr-core, composed from one occupation's own sentences.

An ad is made of duties, skill names and the qualification; a profile of achievements and of how its
owner describes skills. The two never share a sentence, and the sentences around them are different in
training, development and test, so that no boilerplate can be learned on one side and used on another.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from random import Random

    from hrembed.records.data import SplitSide


class Skill(NamedTuple):
    """A skill as a taxonomy lists it, and as a person describes it."""

    name: str
    phrase: str


@dataclass(frozen=True)
class Occupation:
    """One occupation of the corpus.

    Attributes:
        id: Key, lower case with hyphens.
        family: Key of its family.
        title: Canonical title.
        neighbour: Id of the closest other occupation, always of the same family.
        titles: Other titles, as people write them.
        skills: What it takes.
        duties: Sentences in the voice of an ad.
        achievements: Sentences in the voice of a candidate.
        qualification: One line of what is usually required.
    """

    id: str
    family: str
    title: str
    neighbour: str
    titles: tuple[str, ...]
    skills: tuple[Skill, ...]
    duties: tuple[str, ...]
    achievements: tuple[str, ...]
    qualification: str


class Frame(NamedTuple):
    """What stands around the sentences of one register; `{…}` slots are filled in."""

    opening: str
    skills: str
    closing: str


AD_FRAMES: dict[SplitSide, tuple[Frame, ...]] = {
    "train": (
        Frame("Vacancy: {title}.", "Required skills: {skills}.", "Applications are read as they arrive."),
        Frame("We are hiring! Role: {title}", "You bring {skills}.", "Sounds like you? Send a few lines."),
        Frame("{title} wanted, immediate start.", "Must have: {skills}.", "Pay by experience."),
        Frame(
            "The post of {title} is to be filled on a permanent basis.",
            "Knowledge of {skills} is expected.",
            "Part-time working is possible in principle.",
        ),
    ),
    "dev": (
        Frame(
            "Job opening - {title}",
            "Skills we look for: {skills}.",
            "Interviews take place within two weeks.",
        ),
        Frame(
            "Our team is growing and needs a {title}.",
            "Ideally you know {skills}.",
            "Questions? Just call us.",
        ),
        Frame("{title} / start asap", "Needed: {skills}.", "Fixed term, extension likely."),
    ),
    "test": (
        Frame(
            "Position: {title}.",
            "Essential criteria: {skills}.",
            "The closing date is at the end of the month.",
        ),
        Frame("Join us as {title}", "It helps if you are at home with {skills}.", "No cover letter needed."),
        Frame("{title}, full time.", "Experience in {skills} a must.", "Shift premium paid."),
        Frame(
            "Applications are invited for the role of {title}.",
            "Candidates demonstrate competence in {skills}.",
            "The post is graded under the collective agreement.",
        ),
    ),
}

PROFILE_FRAMES: dict[SplitSide, tuple[Frame, ...]] = {
    "train": (
        Frame("Candidate profile.", "Also experienced in {skills}.", "Available after one month's notice."),
        Frame("About me: {years} years in the job.", "What I do well: {skills}.", "Looking for a new challenge."),
        Frame("{years} yrs experience.", "Used to {skills}.", "Driving licence."),
    ),
    "dev": (
        Frame("Anonymised CV.", "Further practice: {skills}.", "Can start at short notice."),
        Frame("{years} years of practice so far.", "Comfortable with {skills}.", "Open to shift work."),
    ),
    "test": (
        Frame("Applicant summary.", "Day-to-day work included {skills}.", "Notice period six weeks."),
        Frame(
            "With {years} years behind me, ready for the next step.",
            "Strengths: {skills}.",
            "Happy to relocate.",
        ),
        Frame("Exp: {years} y.", "Familiar: {skills}.", "Refs on request."),
    ),
}


def compose_ad(occupation: Occupation, side: SplitSide, rng: Random) -> str:
    """Write one job ad of two duties, two skill names and sometimes the qualification."""
    frame = rng.choice(AD_FRAMES[side])
    duties = rng.sample(occupation.duties, 2)
    skills = rng.sample(occupation.skills, 2)
    lines = [
        frame.opening.format(title=rng.choice((occupation.title, *occupation.titles))),
        *duties,
        frame.skills.format(skills=_listed([skill.name for skill in skills])),
        *([occupation.qualification] if rng.random() < 0.5 else []),
        frame.closing,
    ]
    return " ".join(lines)


def compose_profile(occupation: Occupation, side: SplitSide, rng: Random, *, header: str = "") -> str:
    """Write one profile of two achievements and two described skills, without title, name or dates.

    Args:
        occupation: Whose sentences are used.
        side: Which side of the corpus it is for.
        rng: Decides register and sentences.
        header: Put on a line of its own in front; the name slot of an audit.
    """
    frame = rng.choice(PROFILE_FRAMES[side])
    skills = rng.sample(occupation.skills, 2)
    lines = [
        frame.opening.format(years=rng.randint(2, 25)),
        *rng.sample(occupation.achievements, 2),
        frame.skills.format(skills=_listed([skill.phrase for skill in skills])),
        frame.closing,
    ]
    return (f"{header}\n" if header else "") + " ".join(lines)


def _listed(items: list[str]) -> str:
    return " and ".join(items)
