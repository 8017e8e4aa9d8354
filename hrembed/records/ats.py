"""What `hrembed data import ats` says."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from hrembed.records.base import CommandRecord, Record
from hrembed.records.bias_audit import RealDecisions
from hrembed.records.data import PersonalType, SplitSide, Spread, TaskSize

Reached = Literal["shortlisted", "interview", "offer", "hired"]
Stage = Literal["hired", "offer", "interview", "shortlisted", "rejected", "withdrawn", "pending"]


class AtsRows(Record):
    """What became of the rows of a table.

    Attributes:
        rows: Rows read.
        rejected: Rows that cannot be used; each is in `rejected.jsonl`.
        repeated: Rows whose id stood before, of which the first one counts.
        empty: Rows without any text.
        html: Rows with HTML in a text.
        escaped: Rows with HTML whose tags are escaped.
    """

    rows: int
    rejected: int
    repeated: int
    empty: int
    html: int
    escaped: int


class AtsStatus(Record):
    """A status of applications.

    Attributes:
        stage: What it means; null where nothing says so.
        applications: Rows with it, also those that could not be joined.
    """

    stage: Stage | None
    applications: int


class AtsJoin(Record):
    """How applications were joined with jobs and candidates.

    Attributes:
        joined: Applications with a job, a candidate and a known status.
        without_job: Applications whose job is not there.
        without_candidate: Applications whose candidate is not there.
        unknown: Status that is not known -> its applications, which were left out.
        jobs_without_application: Jobs that no application names.
        candidates_without_application: Candidates whom no application names.
        repeated: Applications of a person who applied to the same job before; the one that came furthest counts.
    """

    joined: int
    without_job: int
    without_candidate: int
    unknown: dict[str, int]
    jobs_without_application: int
    candidates_without_application: int
    repeated: int


class AtsGroups(Record):
    """What belongs together.

    Attributes:
        ads: Rows of jobs.
        jobs: Jobs; ads of nearly the same text and the same title are one.
        job_groups: Groups of jobs whose ads share nearly all words.
        candidates: Rows of candidates.
        persons: People; rows that agree in e-mail address and name, or in their résumé, are one.
        persons_with_several_jobs: People who applied to several jobs.
    """

    ads: int
    jobs: int
    job_groups: int
    candidates: int
    persons: int
    persons_with_several_jobs: int


class AtsBalance(Record):
    """How the decided cases are spread; a case is a person in a job.

    Attributes:
        stages: Stage -> cases, of all.
        decided: Cases that somebody decided.
        positive: Cases that came as far as `positive`, or further.
        positive_per_job: Of jobs with any decided case.
        jobs_without_positive: Jobs with decided cases, none of which is positive; nothing is made of them.
    """

    stages: dict[Stage, int]
    decided: int
    positive: int
    positive_per_job: Spread
    jobs_without_positive: int


class AtsSide(Record):
    """One side of the split.

    Attributes:
        jobs: Jobs with a positive case.
        persons: People who belong to the side.
        positive: Positive cases with job and person on the side, and both texts.
        turned_down: Other decided ones.
    """

    jobs: int
    persons: int
    positive: int
    turned_down: int


class AtsLeft(Record):
    """Decided cases of jobs on a side that no product holds.

    Attributes:
        person_elsewhere: The person belongs to another side.
        without_text: The ad or the résumé is empty.
        leaking: Training pairs that hold a text of a held-out task, by the rules of `hrembed data check`.
    """

    person_elsewhere: int
    without_text: int
    leaking: int


class AtsStimuli(Record):
    """Stimuli of an audit.

    Attributes:
        jobs: Ads.
        resumes: Résumés.
        with_name: Résumés in which a name stood; in the others the slot is on top.
    """

    jobs: int
    resumes: int
    with_name: int


class DataImportAtsRecord(CommandRecord):
    """What `hrembed data import ats` says.

    Attributes:
        positive_stage: The smallest stage that counts as positive.
        tables: Table -> what became of its rows.
        statuses: Status as the table writes it, with the stage behind it where there is one -> what it means.
        join: How applications were joined.
        groups: What belongs together.
        balance: How cases are spread over stages.
        personal: Type of personal data -> pieces taken out of ads and résumés.
        sides: Side -> what is on it.
        left: Cases that no product holds.
        pairs: Training pairs.
        tasks: Folder of each task -> its size.
        stimuli: Stimuli of an audit; null where too little is held out.
        attributes: Columns of categories in the decisions.
        decisions: Audit of the past decisions; null where the export says nothing of sex, race or ethnicity.
    """

    command: ClassVar[str] = "data-import-ats"

    positive_stage: Reached
    tables: dict[Literal["jobs", "candidates", "applications"], AtsRows]
    statuses: dict[str, AtsStatus]
    join: AtsJoin
    groups: AtsGroups
    balance: AtsBalance
    personal: dict[PersonalType, int]
    sides: dict[SplitSide, AtsSide]
    left: AtsLeft
    pairs: int
    tasks: dict[str, TaskSize] = Field(default_factory=dict)
    stimuli: AtsStimuli | None = None
    attributes: tuple[str, ...] = ()
    decisions: RealDecisions | None = None
