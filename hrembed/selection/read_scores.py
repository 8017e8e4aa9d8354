"""Leaderboard scores from files: any table, or a local mteb results folder."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any, Literal

from hrembed.data.layout import AS_USUAL
from hrembed.data.rows import format_of, rows_or_raise
from hrembed.errors import DataError
from hrembed.files import instead_of
from hrembed.records.tables import report_table
from hrembed.registry import nearest
from hrembed.selection.scores import ScoreRow
from hrembed.text import decimal

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from pathlib import Path

    from hrembed.data.layout import Form

Unit = Literal["fraction", "percent"]

COLUMNS = ("model", "revision", "task", "split", "subset", "main_score", "mteb_version")
OPTIONAL = "experiment"


def read_scores(path: Path, tasks: Collection[str], unit: Unit = "fraction", form: Form = AS_USUAL) -> list[ScoreRow]:
    """Read the scores of the given tasks from a table, in any format of `read_rows`.

    Args:
        path: The table, with the columns `COLUMNS` and, if there are variants of a model, `experiment`.
        tasks: Names of the tasks to read; other rows are skipped.
        unit: Unit of the scores in the file; percentages become fractions.
        form: Names of its columns, and details of a text file.

    Raises:
        DataError: The file is missing or unreadable, lacks a column, or holds a score that is no number or in the other
            unit.
    """
    if not path.exists():
        raise DataError(f"scores file '{path}' does not exist", hint=instead_of(path))
    if not path.is_file():
        raise DataError(f"'{path}' is not a file")
    rows = _parquet_rows(path, tasks, form) if format_of(path) == ".parquet" else _other_rows(path, tasks, form)
    return in_unit([_row(cells, f"{path}:{number}") for number, cells in rows], unit, str(path))


def _parquet_rows(path: Path, tasks: Collection[str], form: Form) -> Iterator[tuple[int, Mapping[str, object]]]:
    """Yield number and cells of each row of the tasks; a whole leaderboard is filtered before it becomes Python's."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    try:
        theirs = {form.columns.get(name, name): name for name in (*COLUMNS, OPTIONAL)}
        present = [theirs.get(name, name) for name in pq.read_schema(path).names]
        _check_columns(path, present, form)
        wanted = [name for name, ours in theirs.items() if ours in present]
        table = pq.read_table(path, columns=wanted).rename_columns([theirs[name] for name in wanted])
    except (pa.ArrowInvalid, OSError) as err:
        raise DataError(f"'{path}' is not a valid Parquet file: {str(err).splitlines()[0]}") from None
    table = table.append_column("_row", pa.array(range(1, table.num_rows + 1)))
    table = table.filter(pc.is_in(table["task"].cast(pa.string()), pa.array(sorted(tasks), pa.string())))
    for batch in table.to_batches(max_chunksize=20_000):
        for cells in batch.to_pylist():
            yield cells.pop("_row"), cells


def _other_rows(path: Path, tasks: Collection[str], form: Form) -> Iterator[tuple[int, Mapping[str, object]]]:
    """Yield line and cells of each row of the tasks."""
    checked = False
    for row in rows_or_raise(path, tuple(form.columns), form, used={*COLUMNS, OPTIONAL}.__contains__):
        if not checked:
            _check_columns(path, list(row.values), form)
            checked = True
        if row.values.get("task") in tasks:
            yield row.number, row.values


def _check_columns(path: Path, present: Sequence[str], form: Form) -> None:
    missing = [column for column in COLUMNS if column not in present]
    if missing:
        guess = nearest(missing[0], [name for name in present if name not in COLUMNS])
        column = form.columns.get(missing[0], missing[0])
        raise DataError(
            f"'{path}': column '{column}' not found{guess}; available: {', '.join(present) or 'none'}",
            hint=f"required columns: {', '.join(COLUMNS)}",
        )


def _row(cells: Mapping[str, object], place: str) -> ScoreRow:
    text = {name: "" if cells.get(name) is None else str(cells[name]) for name in (*COLUMNS, OPTIONAL)}
    for name in ("model", "task"):
        if not text[name]:
            raise DataError(f"{place}: `{name}` is empty")
    return ScoreRow(
        model=text["model"],
        revision=text["revision"],
        experiment=text[OPTIONAL],
        task=text["task"],
        split=text["split"],
        subset=text["subset"],
        score=_score(text["main_score"], place),
        version=text["mteb_version"],
        place=place,
    )


def _score(text: str, place: str) -> float:
    """Read a score; NaN where there is none."""
    if not text:
        return math.nan
    score = decimal(text)
    if math.isnan(score) and text.lower() != "nan":
        raise DataError(f"{place}: `main_score` must be a number, got '{text}'")
    if math.isinf(score):
        raise DataError(f"{place}: `main_score` is infinite")
    return score


def in_unit(rows: Sequence[ScoreRow], unit: Unit, source: str) -> list[ScoreRow]:
    """Convert scores to fractions, and refuse those that cannot be in the given unit.

    Raises:
        DataError: A fraction beyond 1, a percentage beyond 100, or percentages that all lie below 1.
    """
    scale = 100.0 if unit == "percent" else 1.0
    beyond = [row for row in rows if abs(row.score) > scale]
    if beyond:
        first = beyond[0]
        count = f"{len(beyond)} of {len(rows)} scores"
        hint = "if the scores are percentages, set `scores.unit: percent`" if unit == "fraction" else ""
        raise DataError(
            (
                f"'{source}': {count} exceed {scale:g}; the first is {first.score:g} ({first.model} on "
                f"{first.task}, {first.place})"
            ),
            hint=hint,
        )
    if unit == "percent" and rows and all(abs(row.score) <= 1 for row in rows if not math.isnan(row.score)):
        raise DataError(
            f"'{source}': no score exceeds 1, so the scores are fractions, not percentages", hint="remove `scores.unit`"
        )
    return [row._replace(score=row.score / scale) for row in rows] if scale != 1 else list(rows)


def read_results_dir(folder: Path, tasks: Collection[str]) -> list[ScoreRow]:
    """Read scores from the layout that mteb writes: `MODEL/REVISION/TASK.json`, optionally below `results`.

    Variants, in `MODEL/REVISION/experiments/NAME/`, are read as experiments; so is `MODEL/TASK.json`, which mteb wrote
    before 1.12, as a model without a revision. Files of the oldest form, which name no main score, are left out and
    counted in the report.

    Raises:
        DataError: Missing, or a file that is no task result.
    """
    if not folder.is_dir():
        raise DataError(f"results folder '{folder}' does not exist", hint=instead_of(folder))
    root = folder / "results" if (folder / "results").is_dir() else folder
    files = [(file, "") for pattern in ("*/*.json", "*/*/*.json") for file in sorted(root.glob(pattern))]
    files += [(file, file.parent.name) for file in sorted(root.glob("*/*/experiments/*/*.json"))]
    rows: list[ScoreRow] = []
    old: list[Path] = []
    for file, experiment in files:
        if file.name != "model_meta.json" and file.stem in tasks:
            read = _task_rows(file, file.relative_to(root).parts, experiment)
            rows += read or ()
            old += [file] if read is None else []
    if old:
        several = "files are" if len(old) > 1 else "file is"
        first = old[0].relative_to(folder)
        report_table(
            folder,
            notes=[f"{len(old):,} {several} in mteb's oldest format, without a main score, and skipped ({first})"],
        )
    if not rows:
        reason = f"all {len(old)} use mteb's oldest format" if old else "there is none at `MODEL/REVISION/TASK.json`"
        raise DataError(
            f"results folder '{folder}' has no readable result of {', '.join(sorted(tasks)[:3])}: {reason}",
            hint="expected the layout of mteb: `MODEL/REVISION/TASK.json`, or `MODEL/TASK.json` before mteb 1.12",
        )
    return in_unit(rows, "fraction", str(folder))


def _task_rows(file: Path, parts: Sequence[str], experiment: str) -> list[ScoreRow] | None:
    """Scores of a file; None where it is of the oldest form, which does not say which score is the main one."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        if "scores" not in content and ("mteb_dataset_name" in content or "dataset_version" in content):
            return None
        model, revision = parts[0].replace("__", "/", 1), parts[1] if len(parts) > 2 else ""
        return list(result_rows(content, model, revision, experiment, f"{file}:1"))
    except (ValueError, KeyError, TypeError, AttributeError) as err:
        raise DataError(f"'{file}' is not a valid mteb task result: {type(err).__name__} {err}") from None


def result_rows(
    content: Mapping[str, Any], model: str, revision: str, experiment: str, place: str
) -> Iterator[ScoreRow]:
    """Yield the scores in a task result, which is JSON of mteb: a row for each split and subset."""
    version = content.get("mteb_version") or ""
    for split, results in content["scores"].items():
        for result in results:
            score = result["main_score"]
            yield ScoreRow(
                model=model,
                revision=revision,
                experiment=experiment,
                task=content["task_name"],
                split=split,
                subset=result.get("hf_subset", "default"),
                score=math.nan if score is None else float(score),
                version=str(version),
                place=place,
            )
