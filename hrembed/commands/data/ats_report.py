"""What people read of an import: tables, sentences, and the page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hrembed.data.personal import CANNOT_SEE
from hrembed.data.stages import GRADES, reaches
from hrembed.reports.conclusions import found_and_next
from hrembed.reports.decisions import decision_parts, decision_tables
from hrembed.reports.origin import origin_parts, repeat_command, subtitle_of
from hrembed.reports.page import Figure, Page, Prose, Section, Table, tone_of, write_page
from hrembed.text import counted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hrembed.config.ats import ImportAtsConfig
    from hrembed.records.ats import DataImportAtsRecord, Stage
    from hrembed.runs.record import Run

_PAST = (
    "Past decisions carry past bias. Pairs and grades say who was chosen, not who could do the job: a model that is "
    "trained on them learns to choose alike, and a task made of them rewards that. Audit the decisions and the model "
    "before anybody relies on either."
)
_NO_CATEGORIES = (
    "The export says nothing of sex, race or ethnicity, so the past decisions were not audited. Where another table "
    "does, name its columns in `candidates.columns`."
)
_ROWS = "one row for each person in each job; people who applied to several jobs stand in several rows"


def tables(record: DataImportAtsRecord) -> dict[str, list[dict[str, str]]]:
    """What is shown when the command ends; the tables of the decisions are on the page."""
    shown = {
        "What was read": _read_rows(record),
        "How far people came": _stage_rows(record),
        "Sides": _side_rows(record),
        "Left out": _left_rows(record),
    }
    if record.decisions is not None:
        verdict, *_ = decision_tables(record.decisions).items()
        shown |= [verdict]
    return shown


def notices(record: DataImportAtsRecord, place: Path) -> Iterator[str]:
    """Sentences below the tables: what was made, what it may do harm with, and what to do next.

    Args:
        record: What the import says.
        place: Folder with the products.
    """
    test = record.tasks["test/applications"]
    yield (
        f"{record.pairs:,} training pairs, and a task of {test.queries:,} held-out jobs with {test.documents:,} "
        f"résumés, from people who came as far as '{record.positive_stage}' or further; in '{place}'."
    )
    yield _PAST
    yield record.decisions.notes[0] if record.decisions is not None else _NO_CATEGORIES
    yield f"Personal data was taken out by rules, which is no guarantee of anonymity: {CANNOT_SEE}."
    dev = "dev" if "dev/applications" in record.tasks else "test"
    yield "Next, train on the pairs, and measure on the held-out jobs:"
    yield f"  hrembed finetune --set sources.0.path={place}/pairs.parquet --set dev.path={place}/{dev}/applications"
    yield f"  hrembed eval --set tasks.0.path={place}/test/applications --set models.1.ref=run:latest"


def write_report(run: Run, config: ImportAtsConfig, record: DataImportAtsRecord) -> None:
    """Write `report.html`."""
    test, balance = record.tasks["test/applications"], record.balance
    page = Page(
        title="Import of an export",
        subtitle=subtitle_of(run.manifest, run.path.name),
        asked="What can be learnt and measured from this export of jobs, candidates and applications?",
        answer=Prose(
            f"{record.pairs:,} training pairs, and a task of {test.queries:,} held-out jobs with "
            f"{test.documents:,} résumés",
            [
                f"A pair is an ad and a résumé, and means that the person came as far as '{record.positive_stage}', or "
                f"further. Of {balance.decided:,} decided cases {balance.positive:,} did. Jobs without any such "
                f"person, of which nothing is made: {balance.jobs_without_positive:,}.",
                _PAST,
                *found_and_next(run.manifest.conclusion)[1],
            ],
        ),
        figures=[*_figures(record)],
        lead=[Table("How far people came", _stage_rows(record), _STAGE_NOTE, toned=False)],
        details=[*_details(record)],
        origin=[*origin_parts(run.manifest, config.model_dump(mode="json"), ".")],
        repeat=repeat_command("data-import-ats", run.path),
        footer="Written by `hrembed data import ats`.",
    )
    write_page(run.path / "report.html", page)


def _figures(record: DataImportAtsRecord) -> Iterator[Figure]:
    for table, rows in record.tables.items():
        yield Figure(f"{table.capitalize()} that were read", f"{rows.rows:,}", f"{rows.rejected:,} unusable")
    if record.decisions is not None:
        tables = counted(len(record.decisions.gates), "table")
        verdict = record.decisions.verdict
        yield Figure("Past decisions, audited", verdict, f"impact ratios of {tables}, below", tone_of(verdict))


def _details(record: DataImportAtsRecord) -> Iterator[Section]:
    groups = record.groups
    read = Table("What was read", _read_rows(record))
    statuses = Table("Statuses of the export", _status_rows(record), "What is not known was left out.", toned=False)
    yield Section("What was read, and how statuses were understood", [read, statuses])
    together = Prose(
        "What belongs together",
        [
            f"{groups.ads:,} ads are {groups.jobs:,} jobs: ads of nearly the same text under the same title are one. "
            f"They form {groups.job_groups:,} groups whose ads share nearly all words, and no group is divided.",
            f"{groups.candidates:,} candidates are {groups.persons:,} people: rows that agree in name and e-mail "
            f"address, or in their résumé, are one. {groups.persons_with_several_jobs:,} of them applied to several "
            "jobs; each person is on one side only.",
        ],
    )
    yield Section("How the data was divided", [together, Table("Sides", _side_rows(record))])
    yield Section("What was left out", [Table("Left out", _left_rows(record))])
    personal = Table("Personal data that was taken out", _personal_rows(record), f"By rules: {CANNOT_SEE}.")
    yield Section("Personal data", [personal])
    if record.decisions is None:
        yield Section("Past decisions", [Prose("", [_NO_CATEGORIES])])
    else:
        rows = Prose("", [f"`decisions.csv` has {_ROWS}."])
        yield Section("Past decisions, audited", [rows, *decision_parts(record.decisions)])


_STAGE_NOTE = (
    "A case is a person in a job. Whoever withdrew, or is still waiting, was not judged: such cases are in no pair, no "
    "task and no decision. Where the export has a status and a stage, a person who was turned down after an interview "
    "counts as interviewed."
)


def _read_rows(record: DataImportAtsRecord) -> list[dict[str, str]]:
    return [
        {
            "table": table,
            "rows": f"{rows.rows:,}",
            "unusable": f"{rows.rejected:,}",
            "id again": f"{rows.repeated:,}",
            "without text": "" if table == "applications" else f"{rows.empty:,}",
            "HTML": "" if table == "applications" else f"{rows.html + rows.escaped:,}",
        }
        for table, rows in record.tables.items()
    ]


def _stage_rows(record: DataImportAtsRecord) -> list[dict[str, str]]:
    return [
        {
            "stage": stage,
            "cases": f"{number:,}",
            "grade": _grade(stage, record),
            "counts as": _counts_as(stage, record),
        }
        for stage, number in record.balance.stages.items()
    ]


def _grade(stage: Stage, record: DataImportAtsRecord) -> str:
    if stage not in GRADES:
        return ""
    return str(GRADES[stage] if reaches(stage, record.positive_stage) else 0)


def _counts_as(stage: Stage, record: DataImportAtsRecord) -> str:
    if stage not in GRADES:
        return "not judged"
    return "positive" if reaches(stage, record.positive_stage) else "turned down"


def _status_rows(record: DataImportAtsRecord) -> list[dict[str, str]]:
    return [
        {"status": status, "means": of_status.stage or "not known", "applications": f"{of_status.applications:,}"}
        for status, of_status in record.statuses.items()
    ]


def _side_rows(record: DataImportAtsRecord) -> list[dict[str, str]]:
    return [
        {
            "side": side,
            "jobs": f"{of_side.jobs:,}",
            "people": f"{of_side.persons:,}",
            "positive": f"{of_side.positive:,}",
            "turned down": f"{of_side.turned_down:,}",
        }
        for side, of_side in record.sides.items()
    ]


def _left_rows(record: DataImportAtsRecord) -> list[dict[str, str]]:
    join, left, balance = record.join, record.left, record.balance
    numbers = {
        "applications whose job is not there": join.without_job,
        "applications whose candidate is not there": join.without_candidate,
        "applications of an unknown status": sum(join.unknown.values()),
        "second applications to the same job": join.repeated,
        "cases that were withdrawn": balance.stages["withdrawn"],
        "cases that are pending": balance.stages["pending"],
        "decided cases without an ad or a résumé": left.without_text,
        "decided cases whose person is on another side": left.person_elsewhere,
        "pairs with a text of a held-out task": left.leaking,
        "jobs that nobody applied to": join.jobs_without_application,
        "jobs with decisions, none of them positive": balance.jobs_without_positive,
        "candidates without an application": join.candidates_without_application,
    }
    return [{"what": what, "number": f"{number:,}"} for what, number in numbers.items()]


def _personal_rows(record: DataImportAtsRecord) -> list[dict[str, str]]:
    return [{"type": type_, "pieces": f"{number:,}"} for type_, number in record.personal.items()]
