"""`hrembed data anonymise`: personal data out, typed placeholders in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hrembed.data.layout import AS_USUAL, Form
from hrembed.data.locate import locate
from hrembed.data.pairs import KNOWN_AS, pairs_file
from hrembed.data.personal import CANNOT_SEE, Finder
from hrembed.data.redact import (
    Placeholders,
    Reader,
    findings_sink,
    given_names,
    numbers_in_use,
    ordinary_words,
    redact,
    survey,
)
from hrembed.data.redact import scan as scan_file
from hrembed.files import json_text, writing
from hrembed.records.data import DataAnonymiseRecord
from hrembed.runs.record import open_run
from hrembed.text import counted
from hrembed.types import CommandResult

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from hrembed.config.data import DataAnonymiseConfig, PersonalSection
    from hrembed.progress import Advance, Progress
    from hrembed.records.data import PersonalCounts
    from hrembed.runs.workspace import Workspace

FINDINGS = "findings.parquet"
# What the run itself writes; a source of that name is written with a prefix.
_TAKEN = {"log.txt", FINDINGS}
_ROWS_PER_UPDATE = 500
_LISTED = 8
_PHASES = (_SURVEY, _REPLACE) = ("learn which words are ordinary", "replace personal data")


def run_anonymise(config: DataAnonymiseConfig, workspace: Workspace) -> CommandResult[DataAnonymiseRecord]:
    """Write a table again with placeholders in place of personal data.

    Rows without any stay as they are. `findings.parquet` lists where something stood, never what.

    Args:
        config: Validated settings.
        workspace: Where runs go, and who receives progress updates.

    Returns:
        Counts of each type; the cleaned table is in the run folder under its own name.

    Raises:
        HrembedError: The table, a row of it or a setting is not usable.
    """
    with open_run(workspace, "data-anonymise", config.model_dump(mode="json"), seeds={}, phases=_PHASES) as run:
        run.phases.begin(_SURVEY)
        source = pairs_file(locate(config.source))
        run.add_input("source", source)
        form = Form(config.delimiter, encoding=config.encoding)
        finder, rows, unread = _survey(source, config.fields, config.personal_data, form, config.name_columns)
        placeholders = Placeholders(numbers_in_use(source) if config.keep_map else None)
        target = run.path / (f"cleaned-{source.name}" if source.name in _TAKEN else source.name)
        run.phases.begin(_REPLACE)
        with findings_sink(run.path / FINDINGS) as add, workspace.progress.bar("Replacing", rows) as advance:
            update = _every_few_rows(advance)
            reader = Reader(finder, config.fields, add, update, config.name_columns, cells=True)
            counts = redact(source, target, reader, placeholders, form)
        record = DataAnonymiseRecord(
            file=target.name,
            fields=config.fields,
            rows=counts.rows,
            rows_with_any=counts.rows_with_any,
            findings=counts.findings,
            types=counts.types,
        )
        if config.keep_map:
            _write_map(run.path / "map.json", placeholders.originals)
            workspace.progress.note(
                f"{run.path / 'map.json'} maps the placeholders back to the original text: it contains "
                "personal data, so store it separately"
            )
        run.write_metrics(record)
        found = (
            f"{counted(record.findings, 'piece')} of personal data replaced in {counted(record.rows_with_any, 'row')}"
        )
        notice = run.conclude([f"{found} of {record.rows:,}; the cleaned table is {target}.", *_limits(config, unread)])
    tables = {f"Personal data in {target.name}": table(record)}
    return CommandResult(str(run.path), "ok", record, tables, notice=notice)


def _limits(config: DataAnonymiseConfig, unread: Sequence[str]) -> list[str]:
    """Say what the cleaned table may still hold."""
    sentences = [f"This does not guarantee anonymity: {CANNOT_SEE}."]
    if unread:
        listed = ", ".join(f"'{name}'" for name in unread[:_LISTED])
        further = f" and {len(unread) - _LISTED:,} more" if len(unread) > _LISTED else ""
        sentences.append(f"Left unchanged because `fields` does not list them: {listed}{further}.")
    if "name" in config.personal_data.types and not config.name_columns:
        sentences.append(
            "If a column contains the person's name, set `name_columns` to replace it in running text as well."
        )
    return sentences


def scan(
    path: Path,
    fields: Sequence[str],
    section: PersonalSection,
    findings: Path,
    progress: Progress,
    name_columns: Sequence[str] = (),
    form: Form = AS_USUAL,
) -> PersonalCounts:
    """Count the personal data of a table, and list where it stands, never what it is.

    Args:
        path: The table; texts of pairs may have their other usual names, and be lists.
        fields: Columns to look at, where the table has them.
        section: What counts as personal data.
        findings: Parquet file for row, column, type, start and end of each finding.
        progress: Receives progress updates.
        name_columns: Columns with names, which are looked for in the fields.
        form: Details of the table.

    Raises:
        DataError: A row cannot be read, the file is empty, has none of the columns, or lacks a name column.
        ConfigError: A region or the encoding is unknown.
    """
    finder, rows, _ = _survey(path, fields, section, form, name_columns, KNOWN_AS)
    with findings_sink(findings) as add, progress.bar("Searching for personal data", rows) as advance:
        reader = Reader(finder, fields, add, _every_few_rows(advance), name_columns, lists=True)
        return scan_file(path, reader, form, KNOWN_AS)


def _survey(
    path: Path,
    fields: Sequence[str],
    section: PersonalSection,
    form: Form,
    name_columns: Sequence[str],
    known_as: Mapping[str, Sequence[str]] = {},
) -> tuple[Finder, int, tuple[str, ...]]:
    """Read a table once: make a finder that knows its ordinary words, count its rows, and list columns not read.

    Raises:
        DataError: A row cannot be read, the file is empty, or has none of the columns.
        ConfigError: A region or the encoding is unknown.
    """
    if "name" not in section.types:
        return Finder(section.types, section.regions), *survey(
            path, fields, lambda text: None, form, name_columns, known_as
        )
    vocabulary = ordinary_words()
    finder = Finder(section.types, section.regions, vocabulary, given_names(), vocabulary.so_far())
    return finder, *survey(path, fields, vocabulary.add, form, name_columns, known_as)


def table(counts: PersonalCounts) -> list[dict[str, str]]:
    """Write counts and the first rows of each type, for people."""
    return [
        {
            "type": type_,
            "count": f"{of_type.count:,}",
            "rows": f"{of_type.rows:,} of {counts.rows:,}",
            "first rows": ", ".join(map(str, of_type.first_rows)),
        }
        for type_, of_type in counts.types.items()
    ]


def _every_few_rows(advance: Advance) -> Callable[[], None]:
    """Update a bar only every few hundred rows: drawing it costs more than a row."""
    rows = 0

    def count() -> None:
        nonlocal rows
        rows += 1
        if rows % _ROWS_PER_UPDATE == 0:
            advance(_ROWS_PER_UPDATE, "")

    return count


def _write_map(path: Path, originals: Mapping[str, str]) -> None:
    """Write the map, which nobody but its owner may read at any moment."""
    with writing(path) as part:
        part.touch(mode=0o600, exist_ok=False)
        part.write_text(json_text(dict(originals)) + "\n", encoding="utf-8")
