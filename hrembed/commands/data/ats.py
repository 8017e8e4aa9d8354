"""`hrembed data import ats`: an export of an applicant-tracking system to pairs, tasks, stimuli and decisions."""

from __future__ import annotations

import csv
import io
import math
import shutil
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hrembed.audit.stimuli import NAME_SLOT
from hrembed.commands.data.ats_report import notices, tables, write_report
from hrembed.config.bias_audit import DecisionsSection, LimitsSection
from hrembed.config.parts import BootstrapSection
from hrembed.data.ats import Source, join, read_ads, read_candidates, table_of
from hrembed.data.ats_columns import ATTRIBUTES, TABLES
from hrembed.data.ats_groups import cases_of, divide, group_ads, group_persons
from hrembed.data.ats_products import (
    Materials,
    clean,
    decision_rows,
    pairs_of,
    stimuli_of,
    task_of,
    template_of,
)
from hrembed.data.inspect import spread
from hrembed.data.layout import Form
from hrembed.data.leaks import MATCHES, PARTS, TrainingTexts
from hrembed.data.locate import locate
from hrembed.data.near_duplicates import Near
from hrembed.data.pairs import PAIRS, write_pairs
from hrembed.data.redact import finder_of
from hrembed.data.split import SIDES
from hrembed.data.stages import STAGES
from hrembed.data.table import REJECTED
from hrembed.data.tasks import write_task
from hrembed.errors import DataError
from hrembed.files import user_path, write_json, write_jsonl, write_text, writing
from hrembed.records.ats import (
    AtsBalance,
    AtsGroups,
    AtsJoin,
    AtsLeft,
    AtsRows,
    AtsSide,
    AtsStatus,
    AtsStimuli,
    DataImportAtsRecord,
)
from hrembed.records.data import TaskSize
from hrembed.runs.record import open_run
from hrembed.scoring.decisions import audit_decisions
from hrembed.types import CommandResult, Text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from hrembed.config.ats import ImportAtsConfig
    from hrembed.data.ats import Ad, Candidate, Joined, TableRead
    from hrembed.data.ats_columns import AtsTable
    from hrembed.data.ats_groups import Case, Postings
    from hrembed.data.ats_products import Cleaned
    from hrembed.progress import Progress
    from hrembed.records.bias_audit import RealDecisions
    from hrembed.records.data import PersonalType, SplitSide
    from hrembed.runs.record import Run
    from hrembed.runs.workspace import Workspace
    from hrembed.types import Pair, Task

DECISIONS = "decisions.csv"
_MARKER = "import.json"
_PHASES = (_READ, _REDACT, _BUILD, _AUDIT) = (
    "read and join the tables",
    "take out personal data",
    "build pairs, tasks and stimuli",
    "audit the decisions, and write",
)
_PRODUCTS = (PAIRS, DECISIONS, "dev", "test", "audit")
_HELD_OUT: tuple[SplitSide, ...] = ("dev", "test")


def run_import_ats(config: ImportAtsConfig, workspace: Workspace) -> CommandResult[DataImportAtsRecord]:
    """Turn an export into training pairs, a task for held-out jobs, stimuli of an audit and rows of decisions.

    The run folder gets `pairs.parquet`, `dev/applications`, `test/applications`, `audit/jobs.jsonl`,
    `audit/resumes.jsonl`, `decisions.csv` and `report.html`; the folder `out`, where one is named, a copy of the
    products.

    Args:
        config: Validated settings.
        workspace: Where runs go, and who receives progress updates.

    Returns:
        Counts of every step, and an audit of the past decisions.

    Raises:
        DataError: A table is missing or malformed, a status is unknown, most applications cannot be joined, too little
            is left for a side, more rows are unusable than the config allows, or `out` holds something else.
    """
    out = None if config.out is None else _checked_folder(config.out)
    seeds = {"import": config.seed}
    with open_run(workspace, "data-import-ats", config.model_dump(mode="json"), seeds=seeds, phases=_PHASES) as run:
        run.phases.begin(_READ)
        export = _read(config, run)
        _write_rejected(run, export)
        people = _group(export, config)
        run.phases.begin(_REDACT)
        texts = _redact(export, people, config, workspace.progress)
        run.phases.begin(_BUILD)
        materials = _materials(people, texts, config)
        products = _build(materials, texts, config, workspace.progress)
        run.phases.begin(_AUDIT)
        attributes, score = _attributes(export, config), _scored(export, people, workspace.progress)
        _write(run, products, people, attributes, config, score=score)
        decisions = _audit(run, attributes, score=score) if attributes else None
        record = _record(config, export, people, texts, materials, products, attributes, decisions)
        run.write_metrics(record)
        notice = run.conclude([*notices(record, out or run.path)])
        write_report(run, config, record)
        if out is not None:
            _copy(run, out)
        _judge(config, export, run)
    return CommandResult(str(run.path), "ok", record, tables(record), notice=notice)


class _Export(NamedTuple):
    """The three tables.

    Attributes:
        ads: Id -> job.
        candidates: Id -> candidate.
        joined: Applications.
        read: Table -> what became of its rows.
        sources: Table -> how it was read.
    """

    ads: dict[str, Ad]
    candidates: dict[str, Candidate]
    joined: Joined
    read: dict[AtsTable, TableRead]
    sources: dict[AtsTable, Source]


def _read(config: ImportAtsConfig, run: Run) -> _Export:
    sources: dict[AtsTable, Source] = {table: _source(config, table, run) for table in TABLES}
    ads, of_jobs = read_ads(sources["jobs"])
    candidates, of_candidates = read_candidates(sources["candidates"])
    leave_out = config.unknown_status == "leave-out"
    joined = join(sources["applications"], ads, candidates, config.stages, leave_out=leave_out)
    read: dict[AtsTable, TableRead] = {"jobs": of_jobs, "candidates": of_candidates, "applications": joined.read}
    return _Export(ads, candidates, joined, read, sources)


def _source(config: ImportAtsConfig, table: AtsTable, run: Run) -> Source:
    section = getattr(config, table)
    file = locate(section.path) if section.path is not None else table_of(_folder(config, table), table)
    run.add_input(table, file)
    attributes = () if table == "jobs" else config.attributes
    named = {ours: theirs for ours, theirs in section.columns.items() if theirs is not None}
    form = Form(section.delimiter, encoding=section.encoding, columns=named)
    return Source(table, file, form, section.name_columns, attributes, section.columns.keys() - named.keys())


def _folder(config: ImportAtsConfig, table: AtsTable) -> Path:
    folder = locate(config.source)
    if not folder.is_dir():
        raise DataError(
            f"'{config.source}' is a file; an export is a folder with `jobs`, `candidates` and `applications`",
            hint=(
                f"specify the three tables: `--jobs FILE --candidates FILE --applications FILE` (`{table}` is missing)"
            ),
        )
    return folder


def _write_rejected(run: Run, export: _Export) -> None:
    """List the rows that cannot be used, with table, row, column and reason, never with their text."""
    rows = [{"table": table, **vars(problem)} for table, read in export.read.items() for problem in read.rejected]
    if rows:
        write_jsonl(run.path / REJECTED, rows)


def _judge(config: ImportAtsConfig, export: _Export, run: Run) -> None:
    """Refuse an export with too many bad rows, after everything is safe that could be made of the others."""
    number = sum(len(read.rejected) for read in export.read.values())
    if number > config.max_rejected:
        table, first = next((table, read.rejected[0]) for table, read in export.read.items() if read.rejected)
        several = f" ({number:,} rows were rejected)" if number > 1 else ""
        raise DataError(
            f"{export.sources[table].file}:{first}{several}",
            hint=(
                f"all rejected rows are listed in '{run.path / REJECTED}'; the results are in '{run.path}'; to "
                f"accept this, pass `--set max_rejected={number}`"
            ),
        )


class _People(NamedTuple):
    """What belongs together, under the ids that the products have.

    Attributes:
        postings: Which ads are one job, by the ids of the table.
        job_of: Ad, by the id of the table -> job.
        group_of: Job -> group of jobs.
        family_of: Group -> department.
        person_of: Candidate, by the id of the table -> person.
        cases: What became of every person in every job.
    """

    postings: Postings
    job_of: dict[str, str]
    group_of: dict[str, str]
    family_of: dict[str, str]
    person_of: dict[str, str]
    cases: list[Case]


def _group(export: _Export, config: ImportAtsConfig) -> _People:
    ads = [*export.ads.values()]
    postings = group_ads(ads, Near(config.near.min_words, config.near.max_changed))
    job_ids = _job_ids(ads)
    job_of = {ad.id: job_ids[postings.job_of[ad.id]] for ad in ads}
    group_of = {job_ids[ad.id]: job_ids[postings.group_of[ad.id]] for ad in ads}
    family_of: dict[str, str] = {}
    for ad in ads:
        group = group_of[job_ids[ad.id]]
        family_of[group] = family_of.get(group, "") or ad.department
    first_row = group_persons([*export.candidates.values()])
    # An id of a candidate may be an address: people are called by the row in which they stand first.
    person_of = {key: f"resume-{export.candidates[first].number}" for key, first in first_row.items()}
    cases = cases_of(export.joined.applications, job_of, person_of)
    if not any(case.decided for case in cases):
        raise DataError(
            f"{export.sources['applications'].file}: no application states whether the person was selected",
            hint="check that the column `status` is the right one, and that `stages` covers its values",
        )
    return _People(postings, job_of, group_of, family_of, person_of, cases)


def _job_ids(ads: Sequence[Ad]) -> dict[str, str]:
    """Ids of jobs without blanks, which TREC's and BEIR's files cannot hold."""
    ids: dict[str, str] = {}
    taken: set[str] = set()
    for ad in ads:
        plain = "job-" + "_".join(ad.id.split())
        ids[ad.id] = plain if plain not in taken else f"{plain}-{ad.number}"
        taken.add(ids[ad.id])
    return ids


class _Texts(NamedTuple):
    """Texts without personal data.

    Attributes:
        jobs: Job -> its ad, with the group.
        resumes: Person -> résumé.
        cleaned: Person -> the same with a template.
        found: Type of personal data -> pieces.
    """

    jobs: dict[str, Text]
    resumes: dict[str, Text]
    cleaned: dict[str, Cleaned]
    found: Counter[PersonalType]


def _redact(export: _Export, people: _People, config: ImportAtsConfig, progress: Progress) -> _Texts:
    """Take personal data out of ads and résumés; of several rows of a person the longest résumé is used."""
    longest: dict[str, Candidate] = {}
    names: dict[str, dict[str, None]] = defaultdict(dict)
    for candidate in export.candidates.values():
        person = people.person_of[candidate.id]
        names[person].update(dict.fromkeys(candidate.names))
        if person not in longest or len(candidate.text) > len(longest[person].text):
            longest[person] = candidate
    section = config.personal_data
    ads = {
        job: ad
        for ad in export.ads.values()
        for job in [people.job_of[ad.id]]
        if people.postings.job_of[ad.id] == ad.id
    }
    resumes = {person: candidate.text for person, candidate in longest.items() if candidate.text}
    finder = finder_of([*(ad.text for ad in ads.values()), *resumes.values()], section.types, section.regions)
    found: Counter[PersonalType] = Counter()
    jobs, cleaned = {}, {}
    with progress.bar("removing personal data", len(ads) + len(resumes)) as advance:
        for job, ad in ads.items():
            of_ad = clean(ad.text, ad.names, finder)
            found += of_ad.findings
            text = "\n".join(part for part in (ad.title, of_ad.text) if part)
            if text:
                jobs[job] = Text(job, text, people.group_of[job])
            advance(1, "")
        for person, text in resumes.items():
            cleaned[person] = clean(text, [*names[person]], finder, NAME_SLOT)
            found += cleaned[person].findings
            advance(1, "")
    texts = {person: Text(person, of_person.text) for person, of_person in cleaned.items() if of_person.text}
    return _Texts(jobs, texts, cleaned, found)


def _materials(people: _People, texts: _Texts, config: ImportAtsConfig) -> Materials:
    usable = [case for case in people.cases if case.job in texts.jobs and case.person in texts.resumes]
    sides = divide(
        usable,
        people.group_of,
        people.family_of,
        config.positive,
        dev=config.dev,
        test=config.test,
        seed=config.seed,
    )
    return Materials(people.cases, sides, texts.jobs, texts.resumes, people.family_of, config.positive)


class _Products(NamedTuple):
    """What is written.

    Attributes:
        pairs: Of the training side.
        leaking: Pairs that were left out, since they hold a text of a held-out task.
        tasks: Folder -> task.
        jobs: Stimuli of an audit: ads.
        resumes: Stimuli of an audit: templates; too few are none.
    """

    pairs: list[Pair]
    leaking: int
    tasks: dict[str, Task]
    jobs: list[dict[str, str]]
    resumes: list[dict[str, str]]


def _build(materials: Materials, texts: _Texts, config: ImportAtsConfig, progress: Progress) -> _Products:
    tasks: dict[str, Task] = {}
    for side in _HELD_OUT:
        task = task_of(materials, side)
        if task.queries:
            tasks[f"{side}/applications"] = task
        elif getattr(config, side):
            _refuse_empty(side, materials)
    pairs = pairs_of(materials, config.negatives, config.seed)
    near = Near(config.near.min_words, config.near.max_changed)
    shown = TrainingTexts(pairs, MATCHES, near)
    with progress.bar("searching for shared texts", len(shown)) as advance:
        leaks = shown.leaks([*tasks.values()], advance)
    leaking = {row for of_task in leaks for part in PARTS for row in of_task.rows[part]}
    kept = [pair for n, pair in enumerate(pairs) if n not in leaking]
    if not kept:
        _refuse_leaking(pairs) if pairs else _refuse_empty("train", materials)
    test = tasks["test/applications"]
    templates = {person: template_of(cleaned, NAME_SLOT) for person, cleaned in texts.cleaned.items()}
    stimuli = stimuli_of(test, templates, config.audit.jobs, config.audit.resumes, config.seed)
    enough = len(stimuli.resumes) > 1
    return _Products(kept, len(leaking), tasks, stimuli.jobs if enough else [], stimuli.resumes if enough else [])


def _refuse_empty(side: SplitSide, materials: Materials) -> None:
    positive = sum(map(materials.is_positive, materials.cases))
    jobs = len(materials.sides.of_group)
    raise DataError(
        (
            f"'{side}' would be empty: {positive:,} people reached '{materials.positive}' in {jobs:,} "
            "groups of jobs, with an ad and a résumé"
        ),
        hint=("use an earlier stage (`--set positive=shortlisted`), change `dev` and `test`, or export more jobs"),
    )


def _refuse_leaking(pairs: Sequence[Pair]) -> None:
    raise DataError(
        (
            f"each of the {len(pairs):,} training pairs contains a text that is identical or nearly "
            "identical to one of a held-out task"
        ),
        hint="if the ads or résumés share a template, lower `near.max_changed`",
    )


def _attributes(export: _Export, config: ImportAtsConfig) -> tuple[str, ...]:
    """Categories of people that the export has.

    Raises:
        DataError: One that the settings name, beside the usual ones, is in neither table.
    """
    there = export.read["candidates"].columns | export.read["applications"].columns
    missing = [attribute for attribute in config.attributes if attribute not in there]
    named = [attribute for attribute in missing if attribute not in ATTRIBUTES]
    if named:
        raise DataError(
            f"column '{named[0]}' in `attributes` not found in the candidates or the applications",
            hint=f"map the column: `--set 'candidates.columns={{{named[0]}: NAME}}'`",
        )
    return tuple(attribute for attribute in config.attributes if attribute not in missing)


def _scored(export: _Export, people: _People, progress: Progress) -> bool:
    """Whether the export has scores that an audit can use: a number in every decided case."""
    if "score" not in export.read["applications"].columns:
        return False
    without = sum(not _is_number(case.score) for case in people.cases if case.decided)
    if without:
        progress.note(f"omitting scores from the decisions: {without:,} decided applications have none")
    return not without


def _is_number(cell: str) -> bool:
    try:
        return math.isfinite(float(cell))
    except ValueError:
        return False


def _write(
    run: Run, products: _Products, people: _People, attributes: Sequence[str], config: ImportAtsConfig, *, score: bool
) -> None:
    write_pairs(run.path / PAIRS, products.pairs)
    for folder, task in products.tasks.items():
        write_task(run.path / folder, folder.partition("/")[0], task)
    if products.resumes:
        write_jsonl(run.path / "audit" / "jobs.jsonl", products.jobs)
        write_jsonl(run.path / "audit" / "resumes.jsonl", products.resumes)
    if attributes:
        rows = decision_rows(people.cases, attributes, config.positive, score=score)
        write_text(run.path / DECISIONS, _csv(rows))


def _csv(rows: Sequence[Mapping[str, str]]) -> str:
    stream = io.StringIO()
    writer = csv.DictWriter(stream, [*rows[0]], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue()


def _audit(run: Run, attributes: tuple[str, ...], *, score: bool) -> RealDecisions:
    """Audit the past decisions as `hrembed bias-audit` would with its own limits."""
    section = DecisionsSection(
        path=str(run.path / DECISIONS),
        attributes=attributes,
        job="job",
        score="score" if score else None,
    )
    return audit_decisions(section, LimitsSection().impact_ratio, BootstrapSection().confidence)


def _checked_folder(out: str) -> Path:
    """Give the folder for the copy; it must be new, empty, or hold an earlier import.

    Raises:
        DataError: It holds something else.
    """
    folder = user_path(out)
    if folder.exists() and not folder.is_dir():
        raise DataError(f"`out`: '{folder}' is a file, not a folder")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / _MARKER).is_file():
        raise DataError(
            f"`out`: '{folder}' contains other files, which would be replaced",
            hint="use an empty or new folder, for example `--out data/ats`",
        )
    return folder


def _copy(run: Run, out: Path) -> None:
    """Put a copy of the products where configs can name them; those of the last import go."""
    for product in _PRODUCTS:
        made, target = run.path / product, out / product
        if made.exists():
            with writing(target) as part:
                shutil.copytree(made, part) if made.is_dir() else shutil.copyfile(made, part)
        elif target.is_dir():
            shutil.rmtree(target)
        else:
            target.unlink(missing_ok=True)
    write_json(out / _MARKER, {"run": run.path.as_posix(), "started": run.manifest.started})


def _record(
    config: ImportAtsConfig,
    export: _Export,
    people: _People,
    texts: _Texts,
    materials: Materials,
    products: _Products,
    attributes: tuple[str, ...],
    decisions: RealDecisions | None,
) -> DataImportAtsRecord:
    return DataImportAtsRecord(
        positive_stage=config.positive,
        tables={table: _rows_record(read) for table, read in export.read.items()},
        statuses={
            status: AtsStatus(stage=stage, applications=number)
            for status, (stage, number) in sorted(export.joined.statuses.items())
        },
        join=_join_record(export, people),
        groups=_groups_record(export, people),
        balance=_balance(materials),
        personal={type_: texts.found[type_] for type_ in config.personal_data.types},
        sides={side: _side(materials, side) for side in SIDES},
        left=_left(materials, products),
        pairs=len(products.pairs),
        tasks={folder: _size(task) for folder, task in products.tasks.items()},
        stimuli=_stimuli(products, texts) if products.resumes else None,
        attributes=attributes,
        decisions=decisions,
    )


def _rows_record(read: TableRead) -> AtsRows:
    return AtsRows(
        rows=read.rows,
        rejected=len(read.rejected),
        repeated=read.repeated,
        empty=read.empty,
        html=read.markup["html"],
        escaped=read.markup["escaped"],
    )


def _join_record(export: _Export, people: _People) -> AtsJoin:
    joined = export.joined
    return AtsJoin(
        joined=len(joined.applications),
        without_job=joined.without_job,
        without_candidate=joined.without_candidate,
        unknown=dict(joined.unknown),
        jobs_without_application=len(export.ads.keys() - {made.job for made in joined.applications}),
        candidates_without_application=len(export.candidates.keys() - {made.candidate for made in joined.applications}),
        repeated=len(joined.applications) - len(people.cases),
    )


def _groups_record(export: _Export, people: _People) -> AtsGroups:
    jobs_of = Counter(case.person for case in people.cases)
    return AtsGroups(
        ads=len(export.ads),
        jobs=len({*people.job_of.values()}),
        job_groups=len({*people.group_of.values()}),
        candidates=len(export.candidates),
        persons=len({*people.person_of.values()}),
        persons_with_several_jobs=sum(number > 1 for number in jobs_of.values()),
    )


def _balance(materials: Materials) -> AtsBalance:
    stages = Counter(case.stage for case in materials.cases)
    decided = [case for case in materials.cases if case.decided]
    positive = Counter(dict.fromkeys((case.job for case in decided), 0))
    positive.update(case.job for case in decided if materials.is_positive(case))
    return AtsBalance(
        stages={stage: stages[stage] for stage in STAGES},
        decided=len(decided),
        positive=positive.total(),
        positive_per_job=spread(np.array([*positive.values()])),
        jobs_without_positive=sum(not number for number in positive.values()),
    )


def _side(materials: Materials, side: SplitSide) -> AtsSide:
    cases = materials.on(side)
    positive = [case for case in cases if materials.is_positive(case)]
    return AtsSide(
        jobs=len({case.job for case in positive}),
        persons=len({case.person for case in cases}),
        positive=len(positive),
        turned_down=len(cases) - len(positive),
    )


def _left(materials: Materials, products: _Products) -> AtsLeft:
    without_text = elsewhere = 0
    for case in materials.cases:
        job = materials.jobs.get(case.job)
        side = materials.sides.of_group.get(job.group) if job is not None else None
        if not case.decided or (job is not None and side is None):
            continue
        if job is None or case.person not in materials.resumes:
            without_text += 1
        elif materials.sides.of_person[case.person] != side:
            elsewhere += 1
    return AtsLeft(person_elsewhere=elsewhere, without_text=without_text, leaking=products.leaking)


def _size(task: Task) -> TaskSize:
    judgements = sum(map(len, task.qrels.values()))
    return TaskSize(queries=len(task.queries), documents=len(task.documents), judgements=judgements)


def _stimuli(products: _Products, texts: _Texts) -> AtsStimuli:
    named = sum(texts.cleaned[row["_id"]].named for row in products.resumes)
    return AtsStimuli(jobs=len(products.jobs), resumes=len(products.resumes), with_name=named)
