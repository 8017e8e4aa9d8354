"""`hrembed demo`: the four commands in a row, ending in one table."""

from __future__ import annotations

from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING

from hrembed.commands.bias_audit.run import run_bias_audit
from hrembed.commands.bias_audit.tables import lowest_ratio
from hrembed.commands.eval.run import run_evaluate
from hrembed.commands.finetune.run import run_finetune
from hrembed.commands.select.run import run_select
from hrembed.config.parts import ModelSection
from hrembed.records.demo import DemoRecord, RunOutcome
from hrembed.reports.estimates import format_estimate, format_p
from hrembed.runs.past import read_run
from hrembed.types import CommandResult

if TYPE_CHECKING:
    from hrembed.config.schema import DemoConfig
    from hrembed.progress import Phases
    from hrembed.records.bias_audit import BiasAuditRecord
    from hrembed.records.eval import EvalRecord
    from hrembed.runs.workspace import Workspace

_PHASES = (_SELECT, _TUNE, _EVALUATE, _AUDIT) = (
    "select",
    "finetune",
    "eval on the held-out split",
    "bias-audit of the tuned model",
)
_TUNED = "tuned"  # its name in tables and pages; the run id stands in the table of runs


def run_demo(config: DemoConfig, workspace: Workspace) -> CommandResult[DemoRecord]:
    """Select, fine-tune, evaluate on the held-out split, and audit the tuned model.

    Each command opens a run of its own; the demo itself only joins them.

    Args:
        config: Validated settings of all four.
        workspace: Where runs go, and who receives progress updates.

    Returns:
        One table: base against tuned with the paired interval, baselines, verdict, run folders.

    Raises:
        HrembedError: A command failed.
    """
    with workspace.progress.phases(*_PHASES) as phases:
        return _go_through(config, workspace, phases)


def _go_through(config: DemoConfig, workspace: Workspace, phases: Phases) -> CommandResult[DemoRecord]:
    phases.begin(_SELECT)
    selected = run_select(config.select, workspace)
    phases.begin(_TUNE)
    tuned = run_finetune(config.finetune, workspace)
    limit = config.finetune.train.max_tokens
    tuned_ref = ModelSection(ref=f"run:{Path(tuned.run).name}", name=_TUNED, max_tokens=limit)
    base = config.finetune.model.model_copy(update={"max_tokens": limit})
    phases.begin(_EVALUATE)
    evaluated = run_evaluate(config.eval.model_copy(update={"models": (base, tuned_ref)}), workspace)
    phases.begin(_AUDIT)
    audited = run_bias_audit(config.audit.model_copy(update={"model": tuned_ref}), workspace)
    results: dict[str, CommandResult[object]] = {
        "select": selected,
        "finetune": tuned,
        "eval": evaluated,
        "bias-audit": audited,
    }
    runs = {name: RunOutcome(run=result.run, status=result.status) for name, result in results.items()}
    tables = {
        "On occupations not seen in training": _scores(evaluated.metrics),
        "Bias audit of the tuned model": _audit(audited.metrics),
        "Runs": [{"command": name, "outcome": run.status, "folder": run.run} for name, run in runs.items()],
    }
    record = DemoRecord(runs=runs, eval_metrics=evaluated.metrics)
    notice = "\n".join(
        [
            *_found(evaluated.run),
            *_found(audited.run),
            "Next, look at the pages of these runs, and make a project of your own data:",
            f"  hrembed runs report --runs-dir {workspace.root}",
            "  hrembed init",
        ]
    )
    return CommandResult(str(workspace.root), audited.status, record, tables, notice=notice)


def _found(folder: str) -> list[str]:
    """What a run found, without what it says comes next."""
    run = read_run(Path(folder))
    return [*takewhile(lambda line: not line.startswith("Next"), run.manifest.conclusion)] if run else []


def _scores(record: EvalRecord) -> list[dict[str, str]]:
    """One row per task and model."""
    rows = []
    for task, models in record.scores.items():
        base = next(iter(models))
        differences = {row.model: row for row in record.differences if row.task == task and row.reference == base}
        for model, scores in models.items():
            metric, score = next(iter(scores.items()))
            against_base = differences.get(model)
            rows.append(
                {
                    "task": task,
                    "model": model,
                    metric: format_estimate(score),
                    "difference to the base": (
                        format_estimate(against_base.difference, sign=True) if against_base else "(the base)"
                    ),
                    "p (Holm)": format_p(against_base.p_holm) if against_base else "",
                }
            )
    return rows


def _audit(record: BiasAuditRecord) -> list[dict[str, str]]:
    """The widest gap and the lowest impact ratio of each attribute."""
    rows = []
    for attribute, groups in record.attributes.items():
        widest = max(groups.gaps, key=lambda gap: abs(gap.effect.value))
        lowest = lowest_ratio(groups.impact_ratios[f"{record.headline_cut:g}"])
        rows.append(
            {
                "attribute": attribute,
                "widest score gap (SD)": (
                    f"{widest.first} - {widest.second} {format_estimate(widest.effect, sign=True)}"
                ),
                f"lowest impact ratio, top {record.headline_cut:.0%}": (
                    f"{lowest.first} / {lowest.second} {format_estimate(lowest.effect)}"
                ),
                "verdict": f"{groups.gap_verdict} / {groups.ratio_verdict}",
            }
        )
    return rows
