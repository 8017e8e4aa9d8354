"""`hrembed demo`: the four commands in a row, ending in one table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from hrembed.commands.bias_audit.run import run_bias_audit
from hrembed.commands.eval.run import run_evaluate
from hrembed.commands.finetune.run import run_finetune
from hrembed.commands.select.run import run_select
from hrembed.config.parts import ModelSection
from hrembed.progress import Silent
from hrembed.reports.estimates import shown
from hrembed.types import StageResult

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hrembed.config.schema import DemoConfig
    from hrembed.progress import Progress


def run_demo(config: DemoConfig, runs_dir: Path, progress: Progress | None = None) -> StageResult:
    """Select, fine-tune, evaluate on the held-out split, and audit the tuned model.

    Each stage opens a run of its own; the demo itself only joins them.

    Args:
        config: Validated settings of all four.
        runs_dir: Folder of all runs.
        progress: Told what advances.

    Returns:
        One table: base against tuned with the paired interval, baselines, verdict, run folders.

    Raises:
        HrembedError: A stage failed.
    """
    progress = progress or Silent()
    progress.note("1 of 4: select")
    selected = run_select(config.select, runs_dir, progress)
    progress.note("2 of 4: finetune")
    tuned = run_finetune(config.finetune, runs_dir, progress)
    tuned_ref = ModelSection(ref=f"run:{Path(tuned.run).name}", max_tokens=config.finetune.train.max_tokens)
    base = config.finetune.model.model_copy(update={"max_tokens": config.finetune.train.max_tokens})
    progress.note("3 of 4: eval on the held-out split")
    evaluated = run_evaluate(config.eval.model_copy(update={"models": (base, tuned_ref)}), runs_dir, progress)
    progress.note("4 of 4: bias-audit of the tuned model")
    audited = run_bias_audit(config.audit.model_copy(update={"model": tuned_ref}), runs_dir, progress)
    stages = {"select": selected, "finetune": tuned, "eval": evaluated, "bias-audit": audited}
    metrics = {name: {"run": stage.run, "status": stage.status} for name, stage in stages.items()}
    tables = {
        "On occupations that were never trained on": _scores(evaluated.metrics, tuned_ref.ref),
        "Bias audit of the tuned model": _audit(audited.metrics),
        "Runs": [{"command": name, "outcome": stage.status, "folder": stage.run} for name, stage in stages.items()],
    }
    return StageResult(str(runs_dir), audited.status, {**metrics, "eval_metrics": evaluated.metrics}, tables)


def _scores(metrics: Mapping[str, Any], tuned: str) -> list[dict[str, str]]:
    """One row per task and model; the run id of the tuned model stands in the table of runs."""
    rows = []
    for task, models in metrics["scores"].items():
        base = next(iter(models))
        differences = {d["model"]: d for d in metrics["differences"] if d["task"] == task and d["reference"] == base}
        for model, scores in models.items():
            metric, score = next(iter(scores.items()))
            found = differences.get(model)
            rows.append(
                {
                    "task": task,
                    "model": "tuned" if model == tuned else model,
                    metric: shown(score),
                    "difference to the base": shown(found["difference"], sign=True) if found else "(the base)",
                    "p (Holm)": f"{found['p_holm']:.4f}" if found else "",
                }
            )
    return rows


def _audit(metrics: Mapping[str, Any]) -> list[dict[str, str]]:
    rows = []
    for attribute, found in metrics["attributes"].items():
        widest = max(found["gaps"], key=lambda gap: abs(gap["value"]))
        lowest = min(
            found["impact_ratios"][str(metrics["headline_cut"])],
            key=lambda c: -1.0 if c["value"] != c["value"] else c["value"],
        )
        rows.append(
            {
                "attribute": attribute,
                "widest score gap (SD)": f"{widest['first']} - {widest['second']} {shown(widest, sign=True)}",
                f"lowest impact ratio, top {metrics['headline_cut']:.0%}": (
                    f"{lowest['first']} / {lowest['second']} {shown(lowest)}"
                ),
                "verdict": f"{found['gap_verdict']} / {found['ratio_verdict']}",
            }
        )
    return rows
