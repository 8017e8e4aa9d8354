"""One page for each run, from the files that it left behind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hrembed.commands.eval.tables import tables_of
from hrembed.config.eval import EvalConfig
from hrembed.errors import DataError
from hrembed.files import json_text
from hrembed.records.cases import TaskCases
from hrembed.records.eval import EvalRecord
from hrembed.reports.estimates import format_estimate, nulls_to_nan
from hrembed.reports.page import Listing, Picture, Prose, Table, write_page

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from hrembed.reports.page import Part
    from hrembed.runs.past import PastRun

_ALT = {
    "scores.png": "Dots with intervals: headline metric of every model on every task; the numbers are in the tables.",
    "training.png": "Two curves over the steps of the training: the loss falls, the score on the dev task changes.",
    "pretraining.png": "Curves over the steps: loss of hidden tokens in training and on texts held out.",
    "strengths.png": "Curves over the strength from base to tuned model: score on the dev task and outside of hiring.",
}
_ROWS = ("per_query.parquet", "per_name.parquet")
_KINDS = {"pass": "verdict-pass", "better": "verdict-pass", "fail": "verdict-fail", "worse": "verdict-fail"}
_EXAMPLES = 10


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
    parts = [_state(run), *_numbers(run, to_run), *_cases(run), *_pictures(run), *_origin(run, to_run)]
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
        reason = run.manifest.error or "it may still be running"
        return Prose("Outcome", [f"The run did not end well: {run.status}.", str(reason)], "verdict-fail")
    kind = _KINDS.get(verdict, "verdict-inconclusive" if verdict else "")
    facts = f"{run.manifest.seconds} seconds, {run.manifest.peak_memory_mb} MB at the peak."
    return Prose("Outcome", [f"Verdict: {verdict}." if verdict else "Ended well.", facts], kind)


def verdict_of(run: PastRun) -> str:
    """What the run itself says came out; empty where it says nothing.

    Raises:
        DataError: `metrics.json` was edited since.
    """
    if run.status != "ok" or not run.holds("metrics.json"):
        return ""
    found = run.json("metrics.json")
    return str(found.get("verdict") or "") if isinstance(found, dict) else ""


def _numbers(run: PastRun, to_run: str) -> Iterator[Part]:
    if not run.holds("metrics.json"):
        return
    metrics = nulls_to_nan(run.json("metrics.json"))
    rows = next((f"{to_run}/{name}" for name in _ROWS if run.holds(name)), "")
    tables = _eval_tables(run) if run.command == "eval" else {}
    for title, table in tables.items():
        yield Table(title, table, link=rows)
    if not tables:
        yield Table("Numbers with their intervals", estimates_in(metrics), link=rows)
    yield Listing("All numbers (metrics.json)", json_text(metrics))


def _eval_tables(run: PastRun) -> Mapping[str, list[dict[str, str]]]:
    run.verified("metrics.json")
    run.verified("config.yaml")
    try:
        return tables_of(run.record(EvalRecord), run.settings(EvalConfig))
    except DataError:  # written by another version of hrembed
        return {}


def estimates_in(metrics: Any, path: str = "") -> list[dict[str, str]]:
    """List every number that has an interval, however deep it lies, under the path that leads to it."""
    if isinstance(metrics, list):
        return [row for n, item in enumerate(metrics) for row in estimates_in(item, f"{path}.{_label(item, n)}")]
    if not isinstance(metrics, dict):
        return []
    ends = metrics.get("interval")
    if isinstance(ends, list) and len(ends) == 2 and isinstance(metrics.get("value"), int | float):
        if np.isnan(metrics["value"]):
            return []
        counted = f"{metrics.get('n', '')} {metrics.get('unit', '')}".strip()
        return [{"number": path.lstrip("."), "value": format_estimate(metrics), "counted": counted}]
    return [row for key, item in metrics.items() for row in estimates_in(item, f"{path}.{key}")]


def _label(item: Any, place: int) -> str:
    """Name of an entry of a list: what it says of itself, else its position."""
    keys = ("name", "task", "slice", "model", "reference", "first", "second")
    said = [item[key] for key in keys if isinstance(item.get(key), str)] if isinstance(item, dict) else []
    return " ".join(said) or str(place)


def _cases(run: PastRun) -> Iterator[Part]:
    """The queries where models fail most, with what they ranked first; texts are those of the task."""
    if not run.holds("cases.json"):
        return
    for task, found in run.records("cases.json", TaskCases).items():
        rows = [
            {
                "model": model,
                "query": case.query,
                "text": case.text,
                "value": f"{case.value:.3f}",
                "ranked first": "; ".join(document.text for document in case.ranked_first),
                "should have been": "; ".join(document.text for document in case.should_have),
            }
            for model, cases in found.worst.items()
            for case in cases[:_EXAMPLES]
        ]
        if rows:
            yield Table(f"Where models fail most: {task}", rows)


def _pictures(run: PastRun) -> Iterator[Part]:
    for name in sorted(run.manifest.outputs):
        if name.endswith((".png", ".svg")) and "/" not in name:
            yield Picture(
                name, run.verified(name), _ALT.get(name, f"Picture {name} of the run; its numbers are above.")
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
