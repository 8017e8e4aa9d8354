"""Jobs, candidates and applications as an applicant-tracking system exports them: read, and joined by their ids."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from hrembed.data.ats_columns import KNOWN_AS, NAME_COLUMNS, NEEDED, TEXT_COLUMNS
from hrembed.data.cells import MARKERS, CellError, Problem, id_cell, listed
from hrembed.data.columns import track_columns
from hrembed.data.markup import as_text
from hrembed.data.rows import find_table, read_rows
from hrembed.data.stages import furthest, stage_of
from hrembed.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from pathlib import Path

    from hrembed.data.ats_columns import AtsTable
    from hrembed.data.cells import Row
    from hrembed.data.layout import Form
    from hrembed.data.markup import Markup
    from hrembed.records.ats import Stage

_SHOWN_STATUSES = 8


class Ad(NamedTuple):
    """A row of jobs.

    Attributes:
        id: As the table has it.
        number: Its row.
        title: Without markup.
        text: All other texts of the ad, without markup.
        department: What the job belongs to; empty where that is unknown.
        names: People whom the row names: a recruiter, a hiring manager.
    """

    id: str
    number: int
    title: str
    text: str
    department: str
    names: tuple[str, ...]


class Candidate(NamedTuple):
    """A row of candidates.

    Attributes:
        id: As the table has it.
        number: Its row.
        text: The résumé, without markup; empty where there is none.
        names: The name, in as many cells as the table has for it.
        email: In lower case; empty where there is none.
        categories: Attribute -> what the row says; only attributes that the table has.
    """

    id: str
    number: int
    text: str
    names: tuple[str, ...]
    email: str
    categories: Mapping[str, str]


class Application(NamedTuple):
    """A row of applications, whose job and candidate exist.

    Attributes:
        job: Id of the job.
        candidate: Id of the candidate.
        stage: How far it came.
        score: What the table says; empty where it says nothing.
        categories: As in `Candidate`; what the application says of the person outweighs the candidate's row.
    """

    job: str
    candidate: str
    stage: Stage
    score: str
    categories: Mapping[str, str]


@dataclass
class TableRead:
    """What became of the rows of a table.

    Attributes:
        rows: Rows read.
        rejected: Rows that cannot be used.
        repeated: Rows whose id stood before; the first one counts.
        empty: Rows without any text.
        markup: How the texts were written -> rows with any text written so.
        columns: Names here of the columns that are there.
    """

    rows: int = 0
    rejected: list[Problem] = field(default_factory=list)
    repeated: int = 0
    empty: int = 0
    markup: Counter[Markup] = field(default_factory=Counter)
    columns: set[str] = field(default_factory=set)


class Source(NamedTuple):
    """A table of the export, and how it is read.

    Attributes:
        table: Which of the three.
        file: Where it lies.
        form: Details of the file.
        name_columns: Further columns with names of people, as the file calls them.
        attributes: Names here of columns with categories of people.
        left_out: Names here of columns that are not read although they would be recognised.
    """

    table: AtsTable
    file: Path
    form: Form
    name_columns: Sequence[str] = ()
    attributes: Sequence[str] = ()
    left_out: Collection[str] = ()


def read_ads(source: Source) -> tuple[dict[str, Ad], TableRead]:
    """Read jobs: id -> ad. An ad may have no text.

    Raises:
        DataError: The table is missing or empty, or has no column for the id, or none for any text.
    """
    ads: dict[str, Ad] = {}
    read = TableRead()
    for row, key in _rows_by_id(source, "id", read, ads):
        title, text = _joined(row, ("title",), read), _joined(row, TEXT_COLUMNS["jobs"][1:], read)
        read.empty += not (title or text)
        ads[key] = Ad(key, row.number, title, text, _one_line(row, "department"), _names(row, source))
    return ads, read


def read_candidates(source: Source) -> tuple[dict[str, Candidate], TableRead]:
    """Read candidates: id -> candidate.

    Raises:
        DataError: As `read_ads`, or a column of names is missing.
    """
    candidates: dict[str, Candidate] = {}
    read = TableRead()
    for row, key in _rows_by_id(source, "id", read, candidates):
        text = _joined(row, TEXT_COLUMNS["candidates"], read)
        read.empty += not text
        email = _one_line(row, "email").lower()
        candidates[key] = Candidate(key, row.number, text, _names(row, source), email, _categories(row, source))
    return candidates, read


@dataclass
class Joined:
    """Applications that have a job and a candidate, and what became of the others.

    Attributes:
        applications: In the order of the table.
        read: What became of the rows.
        statuses: Status as the table writes it, with the stage behind it where there is one -> stage it means, rows.
        without_job: Rows whose job is not among the jobs.
        without_candidate: Rows whose job is there and whose candidate is not.
        unknown: Cell of a status or a stage of which nothing says what it means -> rows, which are left out.
    """

    applications: list[Application] = field(default_factory=list)
    read: TableRead = field(default_factory=TableRead)
    statuses: dict[str, tuple[Stage | None, int]] = field(default_factory=dict)
    without_job: int = 0
    without_candidate: int = 0
    unknown: Counter[str] = field(default_factory=Counter)


def join(
    source: Source,
    jobs: Collection[str],
    candidates: Mapping[str, Candidate],
    stages: Mapping[str, Stage],
    *,
    leave_out: bool,
) -> Joined:
    """Read applications, and join them with jobs and candidates by id.

    Args:
        source: The table of applications.
        jobs: Ids that are there.
        candidates: Id -> candidate.
        stages: Status -> stage, beside those that are recognised.
        leave_out: Whether applications of an unknown status are left out; otherwise they are an error.

    Raises:
        DataError: The table is missing, empty or has no such column; a status is unknown; or most applications name a
            job or a candidate that is not there.
    """
    joined = Joined()
    for row in _rows(source, joined.read):
        try:
            job, candidate = id_cell(row.values, "job"), id_cell(row.values, "candidate")
            status, reached = _one_line(row, "status"), _one_line(row, "stage")
            score = _one_line(row, "score")
        except CellError as err:
            joined.read.rejected.append(Problem(row.number, row.theirs(err.column), err.reason))
            continue
        stage, puzzle = _stage(status, reached, stages)
        if stage is None:
            joined.unknown[puzzle] += 1
        shown = " / ".join(part for part in (status, reached) if part) or "(empty)"
        joined.statuses[shown] = (stage, joined.statuses.get(shown, (stage, 0))[1] + 1)
        if job not in jobs:
            joined.without_job += 1
        elif candidate not in candidates:
            joined.without_candidate += 1
        elif stage is not None:
            categories = {**candidates[candidate].categories, **_known(_categories(row, source))}
            joined.applications.append(Application(job, candidate, stage, score, categories))
    _check_join(source, joined)
    if not leave_out:
        _check_statuses(source, joined)
    return joined


def _stage(status: str, reached: str, given: Mapping[str, Stage]) -> tuple[Stage | None, str]:
    """Stage of an application; None, and the cell that is not understood, where one that matters is not."""
    outcome = stage_of(status, given) if status else "pending"
    if outcome in {None, "withdrawn", "hired"} or not reached:
        return outcome, status
    last = stage_of(reached, given)
    return (None, reached) if outcome is None or last is None else (furthest(outcome, last), "")


def _known(categories: Mapping[str, str]) -> dict[str, str]:
    return {attribute: said for attribute, said in categories.items() if said}


def _check_join(source: Source, joined: Joined) -> None:
    rows = joined.read.rows - len(joined.read.rejected)
    lost: Sequence[tuple[int, AtsTable, str]] = (
        (joined.without_job, "jobs", "job"),
        (joined.without_candidate, "candidates", "candidate"),
    )
    for number, table, column in lost:
        if 2 * number > rows:
            raise DataError(
                (f"{source.file}: {number:,} of {rows:,} applications refer to a {column} that is not in the {table}"),
                hint=(
                    f"check that the ids match, or map the columns: `--set 'applications.columns={{{column}: "
                    f"NAME}}'`, `--set '{table}.columns={{id: NAME}}'`"
                ),
            )


def _check_statuses(source: Source, joined: Joined) -> None:
    """Refuse statuses of which nothing says what they mean: a guess would make a rejection or a hire of them."""
    if not joined.unknown:
        return
    most = sorted(joined.unknown, key=lambda status: (-joined.unknown[status], status))
    shown = ", ".join(f"'{status}' ({joined.unknown[status]:,})" for status in most[:_SHOWN_STATUSES])
    further = f" and {len(most) - _SHOWN_STATUSES:,} more" if len(most) > _SHOWN_STATUSES else ""
    raise DataError(
        f"{source.file}: unknown stage of applications with these statuses: {shown}{further}",
        hint=(
            f"map them: `--set 'stages={{\"{most[0]}\": pending}}'` with hired, offer, interview, "
            "shortlisted, rejected, withdrawn or pending; or ignore them with `--set "
            "unknown_status=leave-out`"
        ),
    )


def _rows_by_id(source: Source, column: str, read: TableRead, known: Mapping[str, object]) -> Iterator[tuple[Row, str]]:
    """Yield rows with an id that did not come before."""
    for row in _rows(source, read):
        try:
            key = id_cell(row.values, column)
            if not key:
                raise CellError(column, "is empty")
            _check_texts(row, source)
        except CellError as err:
            read.rejected.append(Problem(row.number, row.theirs(err.column), err.reason))
            continue
        if key in known:
            read.repeated += 1
            continue
        yield row, key


def _rows(source: Source, read: TableRead) -> Iterator[Row]:
    """Yield rows that could be read.

    Raises:
        DataError: The table is empty, or a column that is needed is missing.
    """
    known_as = {ours: names for ours, names in KNOWN_AS[source.table].items() if ours not in source.left_out}
    used = {*known_as, *source.attributes, *source.name_columns}.difference(source.left_out)
    rows = read_rows(source.file, NEEDED[source.table], source.form, known_as)
    for row in track_columns(rows, source.file, lambda column: column in used):
        read.rows += 1
        if isinstance(row, Problem):
            read.rejected.append(row)
            continue
        if source.left_out:
            kept = {column: value for column, value in row.values.items() if column not in source.left_out}
            row = replace(row, values=kept)
        if not read.columns:
            _check_columns(source, row)
        read.columns.update(row.values)
        yield row
    if not read.rows:
        raise DataError(f"{source.file} is empty")


def _check_columns(source: Source, row: Row) -> None:
    """Refuse a table without any text, or without a column of names that the settings name."""
    there = listed(row.theirs(column) for column in row.values)
    texts = TEXT_COLUMNS[source.table]
    if texts and not any(column in row.values for column in texts):
        raise DataError(
            f"{source.file}: no text column found; available: {there}",
            hint=f"map the column: `--set '{source.table}.columns={{text: NAME}}'`",
        )
    theirs = {row.theirs(column) for column in row.values}
    missing = [column for column in source.name_columns if column not in theirs]
    if missing:
        raise DataError(
            f"{source.file}: column '{missing[0]}' in `{source.table}.name_columns` not found; available: {there}",
            hint=f"set `{source.table}.name_columns`",
        )


def _check_texts(row: Row, source: Source) -> None:
    for column in (*TEXT_COLUMNS[source.table], *NAME_COLUMNS[source.table], "department", "email", *source.attributes):
        _cell(row.values, column)


def _joined(row: Row, columns: Sequence[str], read: TableRead) -> str:
    """Join the texts of some columns, each without markup; how they were written is counted once for a row."""
    parts, markups = [], set[Any]()
    for column in columns:
        text, markup = as_text(_cell(row.values, column))
        if text:
            parts.append(text)
            markups.add(markup)
    read.markup.update(markups)
    return "\n".join(parts)


def _names(row: Row, source: Source) -> tuple[str, ...]:
    """Names of people in a row, in the recognised and the named columns."""
    ours = {row.theirs(column): column for column in row.values}
    columns = dict.fromkeys(
        (*NAME_COLUMNS[source.table], *(ours[column] for column in source.name_columns if column in ours))
    )
    return tuple(name for column in columns if (name := _one_line(row, column)))


def _categories(row: Row, source: Source) -> dict[str, str]:
    return {attribute: _one_line(row, attribute) for attribute in source.attributes if attribute in row.values}


def _one_line(row: Row, column: str) -> str:
    return re.sub(r"\s+", " ", _cell(row.values, column)).strip()


def _cell(values: Mapping[str, Any], column: str) -> str:
    """Text of a cell; a list of texts has a line for each, and a marker of a missing value is none.

    Raises:
        CellError: Something else, such as a section of JSON.
    """
    value = values.get(column)
    items = value if isinstance(value, list) else [value]
    if not all(item is None or isinstance(item, str | int | float) for item in items):
        raise CellError(column, "expected text, or a list of texts")
    texts = ["" if item is None else str(item) for item in items]
    return "\n".join(text for text in texts if text.strip().lower() not in MARKERS)


def table_of(folder: Path, table: AtsTable) -> Path:
    """Give the table of this name in the folder of an export.

    Raises:
        DataError: It is not there, or there in two formats.
    """
    found = find_table(folder, table)
    if found is None:
        raise DataError(
            f"'{folder}' does not contain the table `{table}` (for example `{table}.csv`)",
            hint=f"specify the file: `--{table} FILE`",
        )
    return found
