"""What a person reads of a fine-tuning, and of its dry run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hrembed.metrics.verdicts import verdict_words
from hrembed.reports.estimates import format_estimate, format_p

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hrembed.records.finetune import (
        FinetuneRecord,
        PreflightRecord,
        Pretraining,
        PretrainingEstimate,
        TunedComparison,
    )

    Row = dict[str, str]

DETAILS = ("Branches", "How much of the training is kept")
"""Tables for whoever wants to look closer, by how their titles begin."""


def finetune_tables(record: FinetuneRecord) -> dict[str, list[Row]]:
    """What is shown when the command ends."""
    tables = {
        "Branches": _branches(record),
        "Masked language modelling, from random weights": _pretraining(record.pretraining),
        "Dev task, base against tuned": [_dev(record)],
        "Test tasks, base against tuned": _tuned(record.tests, record.delta),
        "Outside of hiring": _tuned(record.retention, record.delta),
        f"How much of the training is kept (chosen: {record.strength:g})": _strengths(record),
        "Warnings": [{"warning": warning} for warning in record.warnings],
    }
    return {title: rows for title, rows in tables.items() if rows}


def _dev(record: FinetuneRecord) -> Row:
    step = f"{record.best_step} of {record.steps}"
    return {
        "task": record.task,
        "metric": record.metric,
        "base": format_estimate(record.base),
        "tuned": format_estimate(record.tuned),
        "difference": format_estimate(record.difference, sign=True),
        "verdict": verdict_words(record.verdict, record.delta),
        "kept step": f"the mean of {len(record.branches)} branches" if record.branches else step,
    }


def _branches(record: FinetuneRecord) -> list[Row]:
    """Dev score of each branch, and of their mean, which may be kept in part only; nothing for a single one."""
    if not record.branches:
        return []
    column = f"dev {record.metric}"
    rows = [
        {
            "branch": str(branch.branch),
            "sources": ", ".join(str(source + 1) for source in branch.sources),
            "kept step": f"{branch.best_step} of {branch.steps}",
            column: f"{branch.dev:.3f}",
        }
        for branch in record.branches
    ]
    mean = {"branch": f"mean, strength {record.strength:g}", "sources": "", "kept step": ""}
    return [*rows, {**mean, column: f"{record.tuned.value:.3f}"}]


def _pretraining(pretraining: Pretraining | None) -> list[Row]:
    if pretraining is None:
        return []
    first, last = pretraining.held_out[0].loss, pretraining.held_out[-1].loss
    return [
        {
            "texts": f"{pretraining.texts:,}",
            "held out": f"{pretraining.texts_held_out:,}",
            "vocabulary": f"{pretraining.vocabulary:,}",
            "unknown tokens": f"{pretraining.unknown_share:.2%}",
            "loss held out": f"{first:.2f} to {last:.2f}",
            "perplexity": f"{pretraining.perplexity.before:,.0f} to {pretraining.perplexity.after:,.1f}",
        }
    ]


def _tuned(comparisons: Sequence[TunedComparison], delta: float) -> list[Row]:
    return [
        {
            "task": row.task,
            "metric": row.metric,
            "base": format_estimate(row.base),
            "tuned": format_estimate(row.tuned),
            "difference": format_estimate(row.difference, sign=True),
            "p (Holm)": format_p(row.p_holm),
            "verdict": verdict_words(row.verdict, delta),
        }
        for row in comparisons
    ]


def _strengths(record: FinetuneRecord) -> list[Row]:
    return [
        {
            "strength": f"{point.strength:g}",
            "dev": format_estimate(point.dev),
            **{task: format_estimate(score) for task, score in point.retention.items()},
        }
        for point in record.strengths
    ]


def preflight_tables(record: PreflightRecord) -> dict[str, list[Row]]:
    """What `--dry-run` shows."""
    parameters, probe = record.parameters, record.probe
    rows = {
        "parameters trained": f"{parameters.trainable:,} of {parameters.all:,}",
        "steps": f"{record.steps:,} of {record.rows_per_batch:.1f} rows on average",
    }
    if probe is not None:
        seconds = probe.seconds_per_batch
        rows |= {
            "seconds per batch": ", ".join(f"{took:.2f} in {name}" for name, took in seconds.items()),
            "training without dev scores": f"about {probe.training_seconds / 60:.1f} minutes",
            "memory at its peak": f"{probe.peak_memory_mb:,} MB",
        }
    rows["disk"] = f"up to {record.disk_mb:,} MB"
    if probe is not None:
        rows["loss before training"] = f"{probe.loss:.3f}"
    if record.pretraining is not None:
        rows |= _pretraining_estimate(record.pretraining)
    for column, cut in record.cut.items():
        rows[f"texts cut in `{column}`"] = f"{cut.texts:.1%}, with {cut.tokens:.1%} of the tokens"
    tables = {
        "Before the training": [{"what": key, "found": value} for key, value in rows.items()],
        "Warnings": [{"warning": warning} for warning in record.warnings],
    }
    return {title: rows for title, rows in tables.items() if rows}


def _pretraining_estimate(estimate: PretrainingEstimate) -> Row:
    seconds = estimate.seconds_per_batch
    return {
        "texts for masked language modelling": f"{estimate.texts:,}, and {estimate.texts_held_out:,} held out",
        "vocabulary": f"{estimate.vocabulary:,} tokens, {estimate.unknown_share:.2%} of the texts unknown",
        "its steps": f"{estimate.steps:,}",
        "seconds per step there": ", ".join(f"{took:.2f} in {name}" for name, took in seconds.items()),
        "masked language modelling": f"about {estimate.training_seconds / 60:.1f} minutes",
    }
