"""One page for each run, from the files that it left behind."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hrembed.commands.eval.conclusion import conclusion_of as eval_conclusion
from hrembed.commands.eval.tables import tables_of as eval_tables
from hrembed.commands.finetune.conclusion import conclusion_of as finetune_conclusion
from hrembed.commands.gate.conclusion import conclusion_of as gate_conclusion
from hrembed.commands.gate.tables import tables_of as gate_tables
from hrembed.config.eval import EvalConfig
from hrembed.data.personal import CANNOT_SEE
from hrembed.errors import DataError
from hrembed.files import json_text
from hrembed.records.base import as_json
from hrembed.records.cases import TaskCases
from hrembed.records.commands import RECORDS, record_of
from hrembed.records.eval import EvalRecord
from hrembed.records.finetune import FinetuneRecord
from hrembed.records.gate import GateRecord
from hrembed.reports.estimates import estimate_rows
from hrembed.reports.page import Listing, Picture, Prose, Table, write_page

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from hrembed.records.base import CommandRecord
    from hrembed.records.cases import RankedDocument, RelevantDocument
    from hrembed.reports.page import Part
    from hrembed.runs.past import PastRun

_ALT = {
    "scores.png": "Dots with intervals: headline metric of every model on every task; the numbers are in the tables.",
    "training.png": "Two curves over the steps of the training: the loss falls, the score on the dev task changes.",
    "pretraining.png": "Curves over the steps: loss of hidden tokens in training and on texts held out.",
    "strengths.png": "Curves over the strength from base to tuned model: score on the dev task and outside of hiring.",
}
_CAPTIONS = {
    "scores.png": "Scores with their intervals",
    "training.png": "Training",
    "pretraining.png": "Training from random weights",
    "strengths.png": "What a part of the training keeps and loses",
}
_ROWS = ("per_query.parquet", "per_name.parquet")
_KINDS = {"pass": "verdict-pass", "better": "verdict-pass", "fail": "verdict-fail", "worse": "verdict-fail"}
_EXAMPLES = 10
_NO_TEXTS = (
    "Only ids are shown: texts may contain personal data. `show_text: true` of `hrembed eval` shows redacted text."
)


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
    parts = [_state(run), *_pictures(run), *_numbers(run, to_run), *_cases(run), *_origin(run, to_run)]
    if run.holds("config.yaml"):
        parts.append(Listing("Settings", json_text(run.json("config.yaml"))))
    again = f"hrembed {run.command} {run.path.name}/config.yaml"
    write_page(path, run.name, _subtitle(run), parts, footer=f"Written by `hrembed runs report`. Repeat with: {again}")


def _subtitle(run: PastRun) -> str:
    manifest = run.manifest
    version = manifest.versions.get("hrembed", "unknown")
    return f"{manifest.started or 'unknown date'}, status {run.status}, hrembed {version}"


def _state(run: PastRun) -> Prose:
    verdict = verdict_of(run)
    if run.status != "ok":
        reason = run.manifest.error or ("its manifest cannot be read" if run.damaged else "it may still be running")
        return Prose("Outcome", [f"The run did not finish successfully: {run.status}.", str(reason)], "verdict-fail")
    kind = _KINDS.get(verdict, "verdict-inconclusive" if verdict else "")
    facts = f"{run.manifest.seconds} seconds, {run.manifest.peak_memory_mb} MB at the peak."
    said = [f"Verdict: {verdict}." if verdict else "Ended well.", *_conclusion(run)]
    return Prose("Outcome", [*said, facts], kind)


def _conclusion(run: PastRun) -> list[str]:
    """What the command said at its end; nothing of commands that say none."""
    record, _ = read_numbers(run)
    if isinstance(record, EvalRecord):
        return eval_conclusion(record, run.settings(EvalConfig))
    if isinstance(record, FinetuneRecord):
        return finetune_conclusion(record, run.path.name)
    return gate_conclusion(record) if isinstance(record, GateRecord) else []


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


def _numbers(run: PastRun, to_run: str) -> Iterator[Part]:
    record, unreadable = read_numbers(run)
    if unreadable:
        yield Prose("Numbers", [unreadable])
    if record is None:
        return
    rows = next((f"{to_run}/{name}" for name in _ROWS if run.holds(name)), "")
    if isinstance(record, EvalRecord):
        for title, table in eval_tables(record, run.settings(EvalConfig)).items():
            yield Table(title, table, link=rows)
    elif isinstance(record, GateRecord):
        for title, table in gate_tables(record).items():
            yield Table(title, table, link=rows)
    else:
        yield Table("Numbers with their intervals", estimate_rows(record), link=rows)
    yield Listing("All numbers (metrics.json)", json_text(as_json(record), sort_keys=False))


def _cases(run: PastRun) -> Iterator[Part]:
    """The queries where models fail most, with what they ranked first: ids, and texts where they were redacted."""
    if not run.holds("cases.json"):
        return
    for task, found in run.records("cases.json", TaskCases).items():
        rows = [
            {
                "model": model,
                "query": case.query,
                **({"text": case.text or ""} if found.redacted else {}),
                "value": f"{case.value:.3f}",
                "ranked first": _listed(case.ranked_first, with_text=found.redacted),
                "should have been": _listed(case.should_have, with_text=found.redacted),
            }
            for model, cases in found.worst.items()
            for case in cases[:_EXAMPLES]
        ]
        if rows:
            note = f"Texts were redacted: {CANNOT_SEE}." if found.redacted else _NO_TEXTS
            yield Table(f"Where models fail most: {task}", rows, note=note)


def _listed(documents: Sequence[RankedDocument | RelevantDocument], *, with_text: bool) -> str:
    if with_text:
        return "; ".join(f"{document.id}: {document.text}" for document in documents)
    return ", ".join(document.id for document in documents)


def _pictures(run: PastRun) -> Iterator[Part]:
    for name in sorted(run.manifest.outputs):
        if name.endswith((".png", ".svg")) and "/" not in name:
            yield Picture(
                _CAPTIONS.get(name, name),
                run.verified(name),
                _ALT.get(name, f"Picture {name} of the run; its numbers are below."),
            )


def _origin(run: PastRun, to_run: str) -> Iterator[Part]:
    manifest = run.manifest
    inputs = [{"name": name, "path": entry.path, "SHA-256": entry.sha256} for name, entry in manifest.inputs.items()]
    models = [
        {"name": name, "source": entry.source, "identity": entry.identity} for name, entry in manifest.models.items()
    ]
    outputs = [{"file": name, "SHA-256": digest} for name, digest in manifest.outputs.items()]
    for title, rows in (("Inputs", inputs), ("Models", models)):
        if rows:
            yield Table(title, rows)
    if outputs:
        yield Table("Files", outputs, links={"file": [f"{to_run}/{row['file']}" for row in outputs]})
    if manifest.attributions:
        yield Prose("Credits", [f"{credit.attribution} {credit.url}" for credit in manifest.attributions])
    facts = manifest.model_dump(mode="json", include={"versions", "machine", "seeds", "working_directory_git"})
    yield Listing("Versions, machine, seeds", json_text(facts))
