"""`hrembed compare`: the models of eval runs side by side, on accuracy, fairness, latency, computation, cost, size."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from hrembed.commands.compare.costs import measure_in_subprocess
from hrembed.commands.compare.page import write_report
from hrembed.commands.compare.tables import tables_of, trade_offs
from hrembed.config.compare import AlternativeSection
from hrembed.errors import ConfigError, DataError
from hrembed.files import write_json
from hrembed.metrics.verdicts import judge
from hrembed.models.refs import parse_ref
from hrembed.plots.compare import draw_growth
from hrembed.registry import nearest
from hrembed.reports.estimates import as_json
from hrembed.runs.past import find_run, finished
from hrembed.runs.record import open_run
from hrembed.scoring.past_audits import check_same_stimuli, gap_growths, read_audit
from hrembed.scoring.past_evals import check_same_data, open_evaluated_model, paired, sections_of, texts_of
from hrembed.types import CommandResult

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from hrembed.config.compare import CompareConfig
    from hrembed.runs.past import PastRun
    from hrembed.runs.workspace import Workspace
    from hrembed.scoring.past_evals import EvaluatedModel


@dataclass(frozen=True)
class Alternative:
    """A column of the table.

    Attributes:
        side: The model in its eval run.
        label: Head of the column, unique.
        prices: What it costs beside the machine.
    """

    side: EvaluatedModel
    label: str
    prices: AlternativeSection


def run_compare(config: CompareConfig, workspace: Workspace) -> CommandResult[Any]:
    """Compare the models of eval runs; returns the decision table, differences, growth, trade-offs in words.

    Raises:
        HrembedError: The runs cannot be compared, or a model cannot be measured.
    """
    runs = [finished(find_run(workspace.root, reference)) for reference in config.runs]
    config = config.model_copy(update={"runs": tuple(run.name for run in runs)})
    seeds = {"bootstrap": config.bootstrap.seed}
    with open_run(workspace, "compare", config.model_dump(mode="json"), seeds=seeds) as run:
        found = open_alternatives(config, workspace.root, runs)
        for each in runs:
            run.add_input(each.name, each.path / "manifest.json")
        for alternative in found:
            run.add_model(alternative.label, alternative.side.identity, alternative.side.section.ref)
        metrics = _metrics(config, workspace.root, runs, found)
        costs = _measured(config, found, workspace)
        run.write_metrics(metrics)
        run.write_timings(costs)
        if costs:
            draw_growth(run.path / "growth.svg", {label: entry["growth"] for label, entry in costs.items()})
        prices = {alternative.label: alternative.prices for alternative in found}
        tables = tables_of(config, metrics, costs, prices)
        words = trade_offs(metrics, costs, tables)
        write_json(run.path / "decision.json", {"tables": tables, "trade_offs": words})
        write_report(run.path, tables, words)
    shown = {**tables, "Trade-offs": [{"from what was measured": text} for text in words]}
    return CommandResult(str(run.path), "ok", {**metrics, "costs": costs}, shown)


def _metrics(
    config: CompareConfig, runs_dir: Path, runs: Sequence[PastRun], found: Sequence[Alternative]
) -> dict[str, Any]:
    return {
        "reference": found[0].label,
        "delta": config.delta,
        "models": {a.label: {"run": a.side.run.name, "model": a.side.model} for a in found},
        "accuracy": {a.label: _accuracy(a.side) for a in found},
        "differences": _differences(config, found),
        "fairness": _fairness(config, runs, found),
        "training": {a.label: _training(a.side, runs_dir) for a in found},
    }


def open_alternatives(config: CompareConfig, runs_dir: Path, runs: Sequence[PastRun]) -> list[Alternative]:
    """Read every model of the eval runs, the reference first.

    Raises:
        ConfigError: There is no eval run among them, no other model, or no reference of that name.
    """
    found: list[Alternative] = []
    for run in runs:
        if run.command not in {"eval", "bias-audit"}:
            raise ConfigError(
                f"'{run.name}' is no eval run", hint="name eval runs, and bias-audit runs of their models"
            )
        if run.command == "eval":
            for model in sections_of(run):
                side = open_evaluated_model(runs_dir, str(run.path), model, last=False)
                found.append(_alternative(config, side, [other.label for other in found]))
    names = [alternative.side.model for alternative in found]
    if len(found) < 2:
        raise ConfigError("a comparison needs two models or more", hint="name eval runs with several models")
    wanted = config.reference or names[0]
    if wanted not in names:
        raise ConfigError(
            f"no model is called '{wanted}'{nearest(wanted, names)}", hint=f"there are {', '.join(names)}"
        )
    first = found[names.index(wanted)]
    return [first, *(alternative for alternative in found if alternative is not first)]


def _alternative(config: CompareConfig, side: EvaluatedModel, taken: Sequence[str]) -> Alternative:
    fits = [entry for entry in config.prices.alternatives if fnmatchcase(side.model, entry.model)]
    prices = fits[0] if fits else AlternativeSection(model=side.model)
    label = prices.label or side.model
    if label in taken:
        label = f"{label} ({side.run.path.name})"
    return Alternative(side, label, prices)


def _accuracy(side: EvaluatedModel) -> dict[str, Any]:
    """Headline of each task with its interval."""
    headlines = {task: side.headline(task) for task in side.tasks()}
    return {task: {"metric": metric, **as_json(side.scores(task)[metric])} for task, metric in headlines.items()}


def _differences(config: CompareConfig, found: Sequence[Alternative]) -> list[dict[str, Any]]:
    """Every model against the reference on every task that both have; intervals are corrected for their number."""
    reference = found[0]
    pairs = [(a, task) for a in found[1:] for task in a.side.tasks() if task in reference.side.tasks()]
    rows = []
    for alternative, task in pairs:
        check_same_data(alternative.side, reference.side, task)
        metric = alternative.side.headline(task)
        pair = paired(alternative.side, reference.side, task, metric, config.bootstrap, checks=len(pairs))
        excludes = pair.corrected.low > 0 or pair.corrected.high < 0
        verdict = judge(
            pair.corrected, 0.0 if excludes else 1.0, alpha=1 - config.bootstrap.confidence, delta=config.delta
        )
        rows.append(
            {
                "task": task,
                "metric": metric,
                "model": alternative.label,
                "reference": reference.label,
                "difference": as_json(pair.estimate),
                "corrected": as_json(pair.corrected),
                "verdict": verdict,
                "retention": task in alternative.side.metrics.retention,
            }
        )
    return rows


def _fairness(config: CompareConfig, runs: Sequence[PastRun], found: Sequence[Alternative]) -> dict[str, Any]:
    """Verdict of each model that was audited, and how its gaps differ from those of the reference."""
    audits = {}
    for run in runs:
        if run.command == "bias-audit":
            known = {model["identity"] for model in run.manifest["models"].values()}
            labels = [a.label for a in found if a.side.identity in known]
            if not labels:
                raise DataError(f"audit '{run.name}' is of none of the models that are compared")
            audits.update({label: read_audit(run) for label in labels})
    rows: dict[str, Any] = {}
    for label, audit in audits.items():
        rows[label] = {"verdict": audit.record.verdict, "growth": []}
        base = audits.get(found[0].label)
        if base is not None and label != found[0].label:
            check_same_stimuli(audit, base)
            rows[label]["growth"] = [
                {"attribute": growth.attribute, "groups": list(growth.groups), "gap": list(growth.gap),
                 "growth": as_json(growth.estimate)}
                for growth in gap_growths(audit, base, None, config.bootstrap)
            ]  # fmt: skip
    return rows


def _training(side: EvaluatedModel, runs_dir: Path) -> dict[str, Any] | None:
    """What the finetune run of a model took; None for a model that was not made here."""
    ref = parse_ref(side.section.ref)
    if not ref.is_run:
        return None
    run = find_run(runs_dir, ref.target, "finetune")
    found = run.json("metrics.json")
    keys = ("pairs", "steps", "parameters")
    took = {"seconds": run.manifest["seconds"], "peak_memory_mb": run.manifest["peak_memory_mb"]}
    return {"run": run.name, **took, **{key: found[key] for key in keys if key in found}}


def _measured(config: CompareConfig, found: Sequence[Alternative], workspace: Workspace) -> dict[str, dict[str, Any]]:
    """Measure every model that can be opened here; rankings made elsewhere have no cost."""
    if config.load is None:
        return {}
    able = [a for a in found if not parse_ref(a.side.section.ref).is_rankings]
    queries, documents = texts_of(found[0].side)
    costs = {}
    with workspace.progress.bar("measuring", len(able)) as advance:
        for alternative in able:
            section = alternative.side.section
            costs[alternative.label] = measure_in_subprocess(section, workspace.root, queries, documents, config.load)
            advance(1, alternative.label)
    return costs
