"""`hrembed runs`: what lies in the folder of runs, one run, the difference of two, pages of all."""

from __future__ import annotations

import os
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Any

from hrembed.commands.runs.index import index_page, run_row
from hrembed.commands.runs.pages import read_numbers, write_run_page
from hrembed.errors import DataError
from hrembed.progress import Silent
from hrembed.records.base import as_json
from hrembed.records.runs import RunDifferences, RunList, RunPage, RunPages
from hrembed.reports.estimates import estimate_rows
from hrembed.reports.page import write_page
from hrembed.runs.model_registry import read_registry
from hrembed.runs.past import find_run, past_runs
from hrembed.text import counted
from hrembed.types import CommandResult

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from hrembed.progress import Progress
    from hrembed.records.manifest import Manifest
    from hrembed.records.registry import RegisteredModel
    from hrembed.records.runs import RunRow
    from hrembed.runs.past import PastRun

PAGES = "reports"
_SILENT = Silent()
_DIGITS = 12  # of a hash: enough to compare by eye, and a line holds it
_LONGEST_VERDICT = 40


def list_runs(runs_dir: Path, command: str | None) -> CommandResult[RunList]:
    """List all runs, oldest first.

    Args:
        runs_dir: Folder of all runs.
        command: Only runs of this command.
    """
    registry = read_registry(runs_dir)
    rows = tuple(run_row(run, registry) for run in past_runs(runs_dir, command))
    decided = any(row.registry for row in rows)
    tables = {"Runs": [_short(row) | ({"registry": row.registry} if decided else {}) for row in rows]}
    return CommandResult(str(runs_dir), counted(len(rows), "run"), RunList(runs=rows), tables)


def _short(row: RunRow) -> dict[str, str]:
    """Show what fits into a line; when a run started is in its id, and its models are in `runs show`."""
    verdict = shorten(row.verdict, _LONGEST_VERDICT, placeholder=" ...")
    return {"run": row.run, "status": row.status, "seconds": row.seconds, "verdict": verdict}


def show_run(runs_dir: Path, reference: str, progress: Progress = _SILENT) -> CommandResult[Manifest]:
    """Show the state, the files read and every number of a run.

    Args:
        runs_dir: Folder of all runs.
        reference: Any name of the run.
        progress: Told which newer runs did not end well, where `latest` is named.

    Raises:
        DataError: There is no such run, or its numbers were edited.
    """
    run = find_run(runs_dir, reference, progress=progress)
    record, unreadable = read_numbers(run)
    numbers = estimate_rows(record) if record else [{"number": unreadable}] if unreadable else []
    inputs = [
        {"input": name, "path": entry.path, "sha256": entry.sha256[:_DIGITS]}
        for name, entry in run.manifest.inputs.items()
    ]
    registry = read_registry(runs_dir)
    tables = {
        "Run": [run_row(run, registry).model_dump()],
        "Registry": _registry_rows(registry.of(run.path.name)) if run.command == "finetune" else [],
        "Inputs": inputs,
        "Numbers": numbers,
    }
    if run.manifest.error:
        tables["Error"] = [{"error": run.manifest.error}]
    return CommandResult(str(run.path), run.status, run.manifest, {k: rows for k, rows in tables.items() if rows})


def _registry_rows(entry: RegisteredModel | None) -> list[dict[str, str]]:
    """What the gate decided on a model, then what people did, oldest first."""
    if entry is None:
        return []
    gate = {
        "decision": "gate",
        "time": entry.registered,
        "by": f"gate/{entry.gate}",
        "why": f"against {entry.previous}" if entry.previous else "",
    }
    people = [{"decision": made.action, "time": made.time, "by": made.by, "why": made.why} for made in entry.decisions]
    return [*([gate] if entry.gate else []), *people]


def diff_runs(runs_dir: Path, first: str, second: str, progress: Progress = _SILENT) -> CommandResult[RunDifferences]:
    """Say in what two runs differ: settings, data, models, versions, numbers.

    Args:
        runs_dir: Folder of all runs.
        first: Any name of a run.
        second: Another.
        progress: Told which newer runs did not end well, where `latest` is named.

    Raises:
        DataError: There is no such run, or a file was edited.
    """
    runs = [find_run(runs_dir, reference, progress=progress) for reference in (first, second)]
    manifests = [as_json(run.manifest) for run in runs]
    tables = {}
    for title, sides in (
        ("Settings", [_json(run, "config.yaml") for run in runs]),
        ("Data", [manifest["inputs"] for manifest in manifests]),
        ("Models", [manifest["models"] for manifest in manifests]),
        ("Versions", [manifest["versions"] for manifest in manifests]),
        ("Seeds", [manifest["seeds"] for manifest in manifests]),
    ):
        rows = _changed(dict(_leaves(sides[0])), dict(_leaves(sides[1])), runs)
        if rows:
            tables[title] = rows
    numbers = [{row["number"]: row["value"] for row in estimate_rows(read_numbers(run)[0])} for run in runs]
    changed = _changed(numbers[0], numbers[1], runs)
    if changed:
        tables["Numbers"] = changed
    status = "different" if tables else "no difference"
    return CommandResult(" and ".join(run.name for run in runs), status, RunDifferences(differences=tables), tables)


def _json(run: PastRun, name: str) -> Any:
    return run.json(name) if run.holds(name) else {}


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Every value that is no section, under its dotted key."""
    if isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _leaves(item, f"{path}.{key}" if path else str(key))
    else:
        text = "null" if value is None else str(value)
        yield path, text[:_DIGITS] if path.endswith("sha256") else text


def _changed(first: Mapping[str, str], second: Mapping[str, str], runs: Sequence[PastRun]) -> list[dict[str, str]]:
    names = [run.name for run in runs]
    if names[0] == names[1]:
        return []
    return [
        {"what": key, names[0]: first.get(key, "-"), names[1]: second.get(key, "-")}
        for key in dict.fromkeys([*first, *second])
        if first.get(key) != second.get(key)
    ]


def report_runs(runs_dir: Path, references: Sequence[str], progress: Progress = _SILENT) -> CommandResult[RunPages]:
    """Write a page for each run, and the index of all; a run that wrote a page itself is linked as it is.

    Args:
        runs_dir: Folder of all runs; the pages lie in `reports` inside it, beside no run folder's own files.
        references: Runs whose page is written; none for all.
        progress: Told which newer runs did not end well, where `latest` is named.

    Raises:
        DataError: A run that was named is not there, or was edited.
    """
    runs, registry = past_runs(runs_dir), read_registry(runs_dir)
    named = [find_run(runs_dir, reference, progress=progress) for reference in references]
    folder = runs_dir / PAGES
    pages, failed = {}, []
    for run in named or runs:
        try:
            pages[run.path] = _page_of(run, folder)
        except DataError as err:
            if named:
                raise
            failed.append(str(err))
    written = tuple(RunPage(run=run.name, page=str(pages[run.path])) for run in runs if run.path in pages)
    index = folder / "index.html"
    write_page(index, index_page(runs, registry, {path: _seen(page, folder) for path, page in pages.items()}, failed))
    tables = {"Pages": [page.model_dump() for page in written]}
    return CommandResult(str(index), "ok", RunPages(pages=written, index=str(index)), tables)


def _page_of(run: PastRun, folder: Path) -> Path:
    if run.holds("report.html"):
        return run.verified("report.html")
    path = folder / f"{run.command}--{run.path.name}.html"
    write_run_page(run, path, Path(os.path.relpath(run.path, folder)).as_posix())
    return path


def _seen(page: Path, folder: Path) -> str:
    return Path(os.path.relpath(page, folder)).as_posix()
