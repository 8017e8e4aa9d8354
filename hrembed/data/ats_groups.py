"""What belongs together in an export: postings of one job, rows of one person, and the sides of a split."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, NamedTuple

from hrembed.data.near_duplicates import near_matches
from hrembed.data.split import SIDES, assign_groups
from hrembed.data.stages import GRADES, reaches
from hrembed.text import normalise
from hrembed.types import Pair

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Mapping, Sequence

    from hrembed.data.ats import Ad, Application, Candidate
    from hrembed.data.near_duplicates import Near
    from hrembed.records.ats import Stage
    from hrembed.records.data import SplitSide

_SAME_RESUME = 20  # words; shorter texts may be alike by chance


class _Sets:
    """Disjoint sets; the first member, in the order in which all were named, stands for its set."""

    def __init__(self, members: Iterable[str]) -> None:
        self._above = {member: member for member in members}
        self._order = {member: n for n, member in enumerate(self._above)}

    def first(self, member: str) -> str:
        while self._above[member] != member:
            self._above[member] = self._above[self._above[member]]
            member = self._above[member]
        return member

    def unite(self, one: str, other: str) -> None:
        first, second = sorted((self.first(one), self.first(other)), key=self._order.__getitem__)
        self._above[second] = first

    def unite_equal(self, keys: Iterable[tuple[str, Hashable]]) -> None:
        """Unite members that have a key in common."""
        seen: dict[Hashable, str] = {}
        for member, key in keys:
            self.unite(seen.setdefault(key, member), member)


class Postings(NamedTuple):
    """Which ads are one job, and which jobs must not be divided.

    Attributes:
        job_of: Ad -> the first ad of the same job: nearly the same text under the same title.
        group_of: Ad -> the first ad whose text is nearly the same, whatever its title; jobs of one group are never
            on two sides, and never each other's negatives.
    """

    job_of: Mapping[str, str]
    group_of: Mapping[str, str]


def group_ads(ads: Sequence[Ad], near: Near) -> Postings:
    """Find the postings of one job, and ads that share nearly all of their words.

    Args:
        ads: All ads.
        near: What counts as nearly the same.
    """
    jobs, groups = _Sets(ad.id for ad in ads), _Sets(ad.id for ad in ads)
    texts = {ad.id: normalise(f"{ad.title}\n{ad.text}") for ad in ads}
    titles = {ad.id: normalise(ad.title) for ad in ads}
    distinct: dict[str, list[str]] = defaultdict(list)
    for ad in ads:
        if texts[ad.id]:
            distinct[texts[ad.id]].append(ad.id)
    alike = [(same[0], other) for same in distinct.values() for other in same[1:]]
    keys = [*distinct]
    alike += [
        (one, other)
        for first, second in near_matches(keys, keys, near, lambda steps, what: None)
        for one in distinct[keys[first]]
        for other in distinct[keys[second]]
    ]
    for one, other in alike:
        groups.unite(one, other)
        if titles[one] == titles[other]:
            jobs.unite(one, other)
    return Postings({ad.id: jobs.first(ad.id) for ad in ads}, {ad.id: groups.first(ad.id) for ad in ads})


def group_persons(candidates: Sequence[Candidate]) -> dict[str, str]:
    """Find rows of one person: candidate -> the first row of the same person.

    Rows are one person's where e-mail address and name agree, or where the résumés are the same text. A telephone
    number is not asked: households share it. Nor is the address alone: agencies send many people under one.
    """
    persons = _Sets(candidate.id for candidate in candidates)
    persons.unite_equal(
        (candidate.id, (candidate.email, " ".join(sorted(normalise(" ".join(candidate.names)).split()))))
        for candidate in candidates
        if candidate.email
    )
    persons.unite_equal(
        (candidate.id, words)
        for candidate in candidates
        if len((words := normalise(candidate.text)).split()) >= _SAME_RESUME
    )
    return {candidate.id: persons.first(candidate.id) for candidate in candidates}


class Case(NamedTuple):
    """What became of one person in one job.

    Attributes:
        job: Id of the job.
        person: Id of the person.
        stage: The furthest one, where a person applied several times.
        score: What the table says.
        categories: Attribute -> what the table says of the person.
    """

    job: str
    person: str
    stage: Stage
    score: str
    categories: Mapping[str, str]

    @property
    def decided(self) -> bool:
        """Whether somebody judged the person: neither withdrawn nor still pending."""
        return self.stage in GRADES


def cases_of(
    applications: Iterable[Application], job_of: Mapping[str, str], person_of: Mapping[str, str]
) -> list[Case]:
    """Make one case of all applications of a person to a job; the one that came furthest counts."""
    cases: dict[tuple[str, str], Case] = {}
    for made in applications:
        job, person = job_of[made.job], person_of[made.candidate]
        case = Case(job, person, made.stage, made.score, made.categories)
        before = cases.get((job, person))
        if before is None or _rank(case.stage) > _rank(before.stage):
            cases[job, person] = case
    return [*cases.values()]


def _rank(stage: Stage) -> tuple[int, bool]:
    return GRADES.get(stage, -1), stage == "hired"


class Sides(NamedTuple):
    """Which jobs and which people are on which side.

    Attributes:
        of_group: Group of jobs -> its side; only groups with a positive case.
        of_person: Person -> side; only of decided cases of these groups.
    """

    of_group: Mapping[str, SplitSide]
    of_person: Mapping[str, SplitSide]


def divide(
    cases: Sequence[Case],
    group_of: Mapping[str, str],
    family_of: Mapping[str, str],
    positive: Stage,
    *,
    dev: float,
    test: float,
    seed: int,
) -> Sides:
    """Divide jobs by group, so that departments keep their share; then give each person one side.

    A person belongs where most of their positive cases are, then where most of their decisions are, then to the side
    that is held out longest. What they have on other sides is left out by whoever uses the sides.

    Args:
        cases: All of them.
        group_of: Job -> group.
        family_of: Group -> department.
        positive: The smallest stage that counts as positive.
        dev: Share of the groups.
        test: Share of the groups.
        seed: Of the draw.
    """
    positives = [case for case in cases if reaches(case.stage, positive)]
    as_pairs = [
        Pair(case.job, case.person, group_of[case.job], family=family_of[group_of[case.job]]) for case in positives
    ]
    of_group = assign_groups(as_pairs, dev=dev, test=test, seed=seed)
    votes: dict[str, Counter[SplitSide]] = defaultdict(Counter)
    many = len(cases) + 1
    for case in cases:
        side = of_group.get(group_of[case.job])
        if side is not None and case.decided:
            votes[case.person][side] += many if reaches(case.stage, positive) else 1
    of_person = {
        person: max(counts, key=lambda side: (counts[side], SIDES.index(side))) for person, counts in votes.items()
    }
    return Sides(of_group, of_person)
