"""What is made of an export: résumés without personal data, pairs, tasks, stimuli of an audit, rows of decisions."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from random import Random
from typing import TYPE_CHECKING, NamedTuple

from hrembed.data.markup import tidy
from hrembed.data.person_names import NamesOf
from hrembed.data.personal import TAGS, replaced
from hrembed.data.stages import GRADES, reaches
from hrembed.types import Pair, Task

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from hrembed.data.ats_groups import Case, Sides
    from hrembed.data.personal import Finder, Finding
    from hrembed.records.ats import Stage
    from hrembed.records.data import PersonalType, SplitSide
    from hrembed.types import Text

KIND = "application"
_TITLE = r"(?:\b(?:Mr|Mrs|Ms|Miss|Mx|Herr|Frau|Mme|Mlle|Sr|Sra|Mevr|Dhr)\b\.?[ \t]*)*"
_PRONOUNS = r"(?:[ \t]*[(\[](?:she|he|they|her|him|them|sie|er|elle|il|ella|él)\b[^()\[\]\n]{0,20}[)\]])?"


class Cleaned(NamedTuple):
    """A text without the personal data that was found.

    Attributes:
        text: With typed placeholders.
        template: With a slot where a name stood.
        named: Whether a name stood anywhere.
        findings: Type -> pieces.
    """

    text: str
    template: str
    named: bool
    findings: Counter[PersonalType]


def clean(text: str, names: Sequence[str], finder: Finder, slot: str = "[NAME]") -> Cleaned:
    """Put placeholders in place of personal data, and a slot where a name stood.

    A title or pronouns beside a name go with it: `Ms Jane Doe (she/her)` says as much as the name does.

    Args:
        text: Without markup.
        names: Names of the person whom the text is about, and of others whom its row names.
        finder: Finds personal data.
        slot: What stands for a name in the template.
    """
    findings = finder.find(text, NamesOf(names, finder.common) if names else None)
    name_tag = f"[{TAGS['name']}]"

    def tagged(finding: Finding, _: str) -> str:
        return f"[{TAGS[finding.type]}]"

    cleaned = _bare(replaced(text, findings, tagged), name_tag)
    return Cleaned(
        cleaned,
        cleaned.replace(name_tag, slot),
        name_tag in cleaned,
        Counter(finding.type for finding in findings),
    )


def _bare(text: str, tag: str) -> str:
    """Write one placeholder for the parts of a name in a row, without title and pronouns."""
    name = re.escape(tag)
    return tidy(re.sub(rf"{_TITLE}{name}(?:[ ,]+{name})*{_PRONOUNS}", tag, text))


def template_of(cleaned: Cleaned, slot: str) -> str:
    """The template of a résumé, with the slot on top where no name stood in it."""
    return cleaned.template if slot in cleaned.template else f"{slot}\n{cleaned.template}"


class Materials(NamedTuple):
    """What pairs and tasks are made of.

    Attributes:
        cases: All of them.
        sides: Of jobs and people.
        jobs: Job -> text of its ad, with its group; only jobs with a text.
        resumes: Person -> text of the résumé; only people with one.
        family_of: Group of jobs -> department.
        positive: The smallest stage that counts as positive.
    """

    cases: Sequence[Case]
    sides: Sides
    jobs: Mapping[str, Text]
    resumes: Mapping[str, Text]
    family_of: Mapping[str, str]
    positive: Stage

    def on(self, side: SplitSide) -> list[Case]:
        """Decided cases whose job and person are on a side, and have texts."""
        return [
            case
            for case in self.cases
            if case.decided
            and case.job in self.jobs
            and case.person in self.resumes
            and self.sides.of_group.get(self.jobs[case.job].group) == side == self.sides.of_person.get(case.person)
        ]

    def is_positive(self, case: Case) -> bool:
        """Whether a case came far enough."""
        return reaches(case.stage, self.positive)


def pairs_of(materials: Materials, negatives: int, seed: int) -> list[Pair]:
    """Pair each ad of the training side with the résumés of everybody who came far enough.

    Args:
        materials: What there is.
        negatives: Most people turned down for the same job who are given as hard negatives; 0 for none.
        seed: Of the choice of these.
    """
    cases = materials.on("train")
    down: dict[str, list[str]] = defaultdict(list)
    for case in cases:
        if not materials.is_positive(case):
            down[case.job].append(materials.resumes[case.person].text)
    pairs = []
    for case in filter(materials.is_positive, cases):
        job, resume = materials.jobs[case.job], materials.resumes[case.person]
        others = down[case.job]
        drawn = Random(f"{seed} {job.id} {resume.id}").sample(others, min(negatives, len(others)))
        family = materials.family_of[job.group]
        pairs.append(Pair(job.text, resume.text, job.group, KIND, job.id, resume.id, family, tuple(drawn)))
    return pairs


def task_of(materials: Materials, side: SplitSide) -> Task:
    """Make a retrieval task of a held-out side: ads search, the résumés of all its people are found.

    The grade is that of the stage; 0 for whoever was turned down, or did not come far enough. Ads that nobody of the
    side came far enough for are no queries.
    """
    cases = materials.on(side)
    asked = dict.fromkeys(case.job for case in cases if materials.is_positive(case))
    people = dict.fromkeys(case.person for case in cases)
    qrels: dict[str, dict[str, int]] = {materials.jobs[job].id: {} for job in asked}
    for case in cases:
        if case.job in asked:
            grade = GRADES[case.stage] if materials.is_positive(case) else 0
            qrels[materials.jobs[case.job].id][materials.resumes[case.person].id] = grade
    return Task(
        name=f"applications/{side}",
        queries=tuple(materials.jobs[job] for job in asked),
        documents=tuple(materials.resumes[person] for person in people),
        qrels=qrels,
    )


class Stimuli(NamedTuple):
    """Rows of `jobs.jsonl` and `resumes.jsonl`, as an audit reads them."""

    jobs: list[dict[str, str]]
    resumes: list[dict[str, str]]


def stimuli_of(task: Task, templates: Mapping[str, str], jobs: int, resumes: int, seed: int) -> Stimuli:
    """Draw ads and résumés of a task for an audit.

    Half of the résumés are of people who came far enough for a drawn ad, as far as there are any; the others may be
    anybody's. `occupation` joins an ad with a résumé that came far enough for it.

    Args:
        task: A held-out task.
        templates: Résumé -> its template.
        jobs: Most ads.
        resumes: Most résumés.
        seed: Of the draw.
    """
    rng = Random(f"stimuli {seed}")
    asked = rng.sample(task.queries, min(jobs, len(task.queries)))
    fitting: dict[str, str] = {}
    for query in asked:
        for document, grade in task.qrels[query.id].items():
            if grade:
                fitting.setdefault(document, query.id)
    chosen = _taking_turns(fitting, min(resumes // 2, len(fitting)))
    others = [document.id for document in task.documents if document.id not in chosen]
    chosen += rng.sample(others, min(resumes - len(chosen), len(others)))
    occupation = {document: job for document, job in fitting.items() if document in chosen}
    return Stimuli(
        [{"_id": job.id, "text": job.text, "occupation": job.id} for job in asked],
        [{"_id": key, "text": templates[key], "occupation": occupation.get(key, "")} for key in chosen],
    )


def _taking_turns(job_of: Mapping[str, str], number: int) -> list[str]:
    """Take documents, one for each job in turn."""
    of_job: dict[str, list[str]] = defaultdict(list)
    for document, job in job_of.items():
        of_job[job].append(document)
    turns = sorted((turn, n, document) for n, some in enumerate(of_job.values()) for turn, document in enumerate(some))
    return [document for _, _, document in turns[:number]]


def decision_rows(
    cases: Iterable[Case], attributes: Sequence[str], positive: Stage, *, score: bool
) -> list[dict[str, str]]:
    """Rows for the tables of the law: one for each person and job, only where somebody decided.

    No name, no address and no id of a person is among them.
    """
    return [
        {
            "job": case.job,
            **{attribute: case.categories.get(attribute, "") for attribute in attributes},
            "selected": "yes" if reaches(case.stage, positive) else "no",
            "stage": case.stage,
            **({"score": case.score} if score else {}),
        }
        for case in cases
        if case.decided
    ]
