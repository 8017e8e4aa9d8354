"""The index of all runs: newest first, chosen by command, status and verdict, with the history of each metric."""

from __future__ import annotations

from math import isnan
from textwrap import shorten
from typing import TYPE_CHECKING, NamedTuple

from hrembed.commands.runs.pages import read_numbers, verdict_of
from hrembed.errors import DataError
from hrembed.plots.runs import Measurement, history_chart
from hrembed.plots.svg import NARROW, WIDE
from hrembed.records.bias_audit import BiasAuditRecord
from hrembed.records.eval import EvalRecord
from hrembed.records.finetune import FinetuneRecord
from hrembed.records.runs import RunRow
from hrembed.reports.page import Drawing, Figure, Page, Prose, Section, Table, tone_of
from hrembed.text import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from hrembed.records.registry import Registry
    from hrembed.reports.page import Part
    from hrembed.runs.past import PastRun


_LONGEST_VERDICT = 60  # a cell holds a verdict, not a sentence; the page of the run has all of it


class _Measured(NamedTuple):
    """A number of a run.

    Attributes:
        history: What it is a number of.
        measurement: Who has it, and when.
    """

    history: str
    measurement: Measurement


def run_row(run: PastRun, registry: Registry) -> RunRow:
    """Write a run as a row of the list."""
    seconds = run.manifest.seconds
    trained = run.command == "finetune" and run.status == "ok"
    return RunRow(
        run=run.name,
        status=run.status,
        started=run.manifest.started,
        seconds="" if isnan(seconds) else str(seconds),
        verdict=_verdict(run),
        models=", ".join(run.manifest.models),
        registry=registry.status_of(run.path.name) if trained else "",
    )


def _verdict(run: PastRun) -> str:
    """The verdict; an edited file does not hide the other runs."""
    try:
        return verdict_of(run)
    except DataError:
        return "edited"


def index_page(runs: Sequence[PastRun], registry: Registry, pages: Mapping[Path, str], failed: Sequence[str]) -> Page:
    """Make the page of all runs.

    Args:
        runs: Oldest first.
        registry: What was decided on their models.
        pages: Folder of a run to the relative path of its page.
        failed: Why pages could not be written.
    """
    newest = list(reversed(runs))
    rows = [run_row(run, registry) for run in newest]
    cells = [
        {
            "command": run.command,
            **row.model_dump(),
            "started": row.started[:16].replace("T", " "),
            "seconds": row.seconds and f"{float(row.seconds):,.0f}",
            "verdict": shorten(row.verdict, _LONGEST_VERDICT, placeholder=" ..."),
        }
        for run, row in zip(newest, rows, strict=True)
    ]
    table = Table(
        "All runs, newest first",
        cells,
        "Click a column header to sort, or use Tab and Enter.",
        links={"run": [pages.get(run.path, "") for run in newest]},
        filters=("command", "status", "verdict"),
    )
    histories = [*_histories(runs)]
    repeated = [drawing for drawing, count in histories if count > 1]
    others = [drawing for drawing, _ in histories if drawing not in repeated[:1]]
    not_written: list[Part] = [Prose("Not written", failed, "fail")] if failed else []
    return Page(
        title="Runs",
        subtitle=counted(len(runs), "run"),
        asked="What was run here, and what came out?",
        answer=_answer(rows, registry),
        figures=[*_figures(rows)],
        lead=[*not_written, table],
        pictures=repeated[:1],
        details=[Section(f"History: {drawing.title}", [drawing]) for drawing in others],
        footer="Written by `hrembed runs report`.",
    )


def _answer(rows: Sequence[RunRow], registry: Registry) -> Prose:
    if not rows:
        return Prose("No run yet", ["Next, start with an example:", "  hrembed demo"])
    accepted = registry.accepted()
    in_use = f"The model in use is run:{accepted.model}." if accepted is not None else "No model was accepted yet."
    gates = [row for row in rows if row.run.startswith("gate/") and row.verdict]
    if not gates:
        words = ["No gate was run yet, so nothing says whether a model may go live.", in_use]
        return Prose(f"The newest run is {rows[0].run}", words)
    newest = gates[0]
    words = [f"It is {newest.run}, of {newest.started[:10]}; its page names the model and every check.", in_use]
    return Prose(f"The newest gate says: {newest.verdict}", words, tone_of(newest.verdict))


def _figures(rows: Sequence[RunRow]) -> Iterator[Figure]:
    for status in dict.fromkeys(row.status for row in rows):
        count = sum(row.status == status for row in rows)
        words = {"ok": "Runs that ended well", "started": "Runs that have not ended"}.get(status, f"Runs: {status}")
        yield Figure(words, str(count), "", tone_of(status), status)


def _histories(runs: Sequence[PastRun]) -> Iterator[tuple[Drawing, int]]:
    """Yield a chart for each metric, with the number of runs that measured it, those of most runs first."""
    found: dict[str, list[Measurement]] = {}
    for run in runs:
        for history, measurement in _measured(run):
            found.setdefault(history, []).append(measurement)
    counts = {name: len({each.run for each in measured}) for name, measured in found.items()}
    for history in sorted(found, key=lambda name: -counts[name]):
        chart = history_chart(found[history], history)
        last = found[history][-1]
        alt = f"{len(found[history])} values; the newest is {last.value:.3f} of {last.name} in {last.run}."
        note = "From the oldest run to the newest."
        yield Drawing(history, chart.svg(WIDE, alt), chart.svg(NARROW, alt), note), counts[history]


def _measured(run: PastRun) -> Iterator[_Measured]:
    """Yield the numbers of a run whose history is worth seeing; nothing of one that failed or was edited."""
    if run.status != "ok" or run.command not in {"eval", "finetune", "bias-audit"}:
        return
    try:
        record, _ = read_numbers(run)
    except DataError:
        return
    day = run.manifest.started[:10]
    if isinstance(record, EvalRecord):
        for task, models in record.scores.items():
            metric = record.headlines[task]
            for model, scores in models.items():
                score = scores[metric]
                point = Measurement(run.path.name, day, _trained(model), score.value, score.low, score.high)
                yield _Measured(f"{metric} on {task} (eval)", point)
    elif isinstance(record, FinetuneRecord):
        tuned = Measurement(run.path.name, day, "tuned", record.tuned.value, record.tuned.low, record.tuned.high)
        yield _Measured(f"{record.metric} on {record.task} (dev task of finetune)", tuned)
    elif isinstance(record, BiasAuditRecord):
        for attribute, groups in record.attributes.items():
            widest = max(groups.gaps, key=lambda gap: abs(gap.effect.value), default=None)
            if widest is not None:
                value = abs(widest.effect.value)
                point = Measurement(run.path.name, day, attribute, value, float("nan"), float("nan"))
                yield _Measured("largest score gap of two groups, SD (bias-audit)", point)


def _trained(model: str) -> str:
    """Models that were trained here are one series, since each has an id of its own."""
    return "trained here (run:...)" if model.startswith("run:") else model
