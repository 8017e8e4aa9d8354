"""One page for each run, from the files that it left behind."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from hrembed.commands.data.check_page import page_of as check_page
from hrembed.commands.eval.page import case_sections
from hrembed.commands.eval.page import page_of as eval_page
from hrembed.commands.finetune.page import page_of as finetune_page
from hrembed.commands.gate.page import page_of as gate_page
from hrembed.config.eval import EvalConfig
from hrembed.errors import DataError
from hrembed.files import json_text
from hrembed.records.base import as_json, typed, validated
from hrembed.records.cases import TaskCases
from hrembed.records.commands import RECORDS, record_of
from hrembed.records.data import DataCheckRecord
from hrembed.records.eval import EvalRecord
from hrembed.records.finetune import FinetuneRecord
from hrembed.records.gate import GateRecord, GateTimings
from hrembed.records.recipe import RecipeRecord
from hrembed.reports.conclusions import found_and_next
from hrembed.reports.estimates import estimate_rows
from hrembed.reports.origin import origin_parts, repeat_command, subtitle_of
from hrembed.reports.page import Listing, Page, Picture, Prose, Section, Table, tone_of, write_page

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hrembed.records.base import CommandRecord
    from hrembed.reports.page import Part
    from hrembed.runs.past import PastRun
    from hrembed.types import Estimate

_HEADLINE = 120  # letters of a sentence that can lead a page
_ROWS = ("per_query.parquet", "per_name.parquet")


def write_run_page(run: PastRun, path: Path, to_run: str) -> None:
    """Write the page of a run.

    Args:
        run: Any run, also one that failed.
        path: The HTML file.
        to_run: Relative path from the page to the run folder.

    Raises:
        DataError: A file that the run wrote was edited since.
        HrembedError: The page cannot be written.
    """
    settings = run.json("config.yaml") if run.holds("config.yaml") else None
    page = replace(
        _page(run, to_run),
        subtitle=subtitle_of(run.manifest.model_copy(update={"command": run.command}), run.path.name),
        origin=[*origin_parts(run.manifest, settings, to_run)],
        repeat=repeat_command(run.command, run.path) if settings is not None else "",
        footer="Written by `hrembed runs report`.",
    )
    write_page(path, page)


def _page(run: PastRun, to_run: str) -> Page:
    """Say what the run found, as its command says it; where nothing can be said, why."""
    if run.status != "ok":
        return _unfinished(run)
    record, unreadable = read_numbers(run)
    rows = next((f"{to_run}/{name}" for name in _ROWS if run.holds(name)), "")
    if isinstance(record, EvalRecord):
        cases = run.records("cases.json", TaskCases) if run.holds("cases.json") else {}
        page = eval_page(record, run.settings(EvalConfig), cases, rows)
    elif isinstance(record, FinetuneRecord):
        page = finetune_page(record, run.path.name, _base_of(run))
    elif isinstance(record, GateRecord):
        page = gate_page(record, _times(run))
    elif isinstance(record, DataCheckRecord):
        page = check_page(record, run.manifest.conclusion)
    elif isinstance(record, RecipeRecord):
        page = _recipe(record)
    else:
        page = _plain(run, record, unreadable, rows)
    if record is None:
        return page
    numbers = Listing("metrics.json", json_text(as_json(record), sort_keys=False))
    return replace(page, details=[*page.details, Section("All numbers, as other programs read them", [numbers])])


def _unfinished(run: PastRun) -> Page:
    reason = run.manifest.error or ("its manifest cannot be read" if run.damaged else "it may still be running")
    again = ["Next, see what it left, or remove it:", f"  hrembed runs show {run.name}", "  hrembed runs prune"]
    return Page(
        title=_title(run),
        subtitle="",
        asked=f"What did this run of `hrembed {typed(run.command)}` find?",
        answer=Prose(f"The run did not finish successfully: {run.status}", [str(reason), *again], tone_of(run.status)),
    )


def _recipe(record: RecipeRecord) -> Page:
    """The page of a recipe: its steps, each of which has a page of its own."""
    steps = [
        {
            "step": step.name,
            "run": step.run,
            "counts": ", ".join(f"{name.replace('_', ' ')} {number:,}" for name, number in step.counts.items()),
            "verdict": step.verdict,
        }
        for step in record.steps
    ]
    model = [f"The model is {record.model}."] if record.model else []
    return Page(
        title="Recipe",
        subtitle="",
        asked=f"What did the steps of the recipe {record.recipe} make?",
        answer=Prose(f"All {len(steps)} steps ended well", model),
        lead=[Table("Steps", steps)],
    )


def _plain(run: PastRun, record: CommandRecord | None, unreadable: str, rows: str) -> Page:
    """The page of a command that has none of its own: its numbers, and the pictures that it drew."""
    verdict = str(getattr(record, "verdict", ""))
    numbers = estimate_rows(record) if record is not None else []
    cases = _cases(run)
    found, following = found_and_next(run.manifest.conclusion)
    if unreadable:
        found = [unreadable]
    elif not found and not numbers:
        found = ["It wrote no numbers with intervals; what it wrote is listed below."]
    headline = f"Verdict: {verdict}" if verdict else "The run ended well"
    if not verdict and found and len(found[0]) <= _HEADLINE:
        headline, *found = found
    return Page(
        title=_title(run),
        subtitle="",
        asked=f"What did this run of `hrembed {typed(run.command)}` find?",
        answer=Prose(headline, [*found, *following], tone_of(verdict)),
        pictures=[*_pictures(run)],
        details=[
            *([Section("Numbers with their intervals", [Table("Numbers", numbers, link=rows)])] if numbers else []),
            *cases,
        ],
    )


def _title(run: PastRun) -> str:
    words = run.command.replace("-", " ")
    return words[:1].upper() + words[1:]


def _base_of(run: PastRun) -> str:
    """How the config of a training refers to the base model; empty in what a person wrote by hand."""
    model = run.json("config.yaml").get("model", {}) if run.holds("config.yaml") else {}
    return str(model.get("name") or model.get("ref") or "the base model")


def _times(run: PastRun) -> dict[str, Estimate]:
    """Times that a gate judged, which differ from run to run and stand in a file of their own."""
    if not run.holds("timings.json"):
        return {}
    failure = f"'{run.path / 'timings.json'}' does not have the format of this version of hrembed"
    return validated(GateTimings, run.json("timings.json"), failure).latency


def verdict_of(run: PastRun) -> str:
    """What the run itself says came out; empty where it says nothing, or in the form of another version.

    Raises:
        DataError: `metrics.json` was edited since.
    """
    if run.status != "ok":
        return ""
    record, _ = read_numbers(run)
    return str(getattr(record, "verdict", ""))


def read_numbers(run: PastRun) -> tuple[CommandRecord | None, str]:
    """Read what a run said.

    Returns:
        The record, None where there is none; and why it cannot be read, for example another version's form.

    Raises:
        DataError: `metrics.json` was edited since.
    """
    if not run.holds("metrics.json") or run.command not in RECORDS:
        return None, ""
    run.verified("metrics.json")
    try:
        return run.record(record_of(run.command)), ""
    except DataError as err:
        return None, f"{err}; {err.hint}" if err.hint else str(err)


def _cases(run: PastRun) -> Iterator[Section]:
    """The queries where models fail most, of an evaluation whose numbers cannot be read."""
    if run.holds("cases.json"):
        for task, found in run.records("cases.json", TaskCases).items():
            yield from case_sections(task, found)


def _pictures(run: PastRun) -> Iterator[Part]:
    for name in sorted(run.manifest.outputs):
        if name.endswith((".png", ".svg")) and "/" not in name:
            yield Picture(name, run.verified(name), f"Picture {name} of the run; its numbers are below.")
