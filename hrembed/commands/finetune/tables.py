"""What a fine-tuning leaves for people: numbers, tables, pictures, the model card."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hrembed.commands.finetune.layers import layer_tables
from hrembed.commands.finetune.proof import proof_tables
from hrembed.metrics.verdicts import verdict_words
from hrembed.reports.estimates import format_estimate

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hrembed.training.preflight import Preflight


def tables_of(metrics: Mapping[str, Any]) -> dict[str, list[dict[str, str]]]:
    """What is shown when the command ends."""
    dev = {
        "task": metrics["task"],
        "metric": metrics["metric"],
        "base": format_estimate(metrics["base"]),
        "tuned": format_estimate(metrics["tuned"]),
        "difference": format_estimate(metrics["difference"], sign=True),
        "verdict": verdict_words(metrics["verdict"], metrics["delta"]),
        "kept step": f"{metrics['best_step']} of {metrics['steps']}",
    }
    tables = {}
    if "branches" in metrics:
        dev["kept step"] = f"the mean of {len(metrics['branches'])} branches"
        tables["Branches"] = _branches(metrics)
    if "pretraining" in metrics:
        tables["Masked language modelling, from random weights"] = [_pretraining(metrics["pretraining"])]
    proof = proof_tables(metrics, metrics["delta"])
    return {**tables, "Dev task, base against tuned": [dev], **proof, **layer_tables(metrics)}


def _branches(metrics: Mapping[str, Any]) -> list[dict[str, str]]:
    """Dev score of each branch, and of their mean, which may be kept in part only."""
    rows = [
        {
            "branch": str(own["branch"]),
            "sources": ", ".join(map(str, own["sources"])),
            "kept step": f"{own['best_step']} of {own['steps']}",
            f"dev {metrics['metric']}": f"{own['dev']:.3f}",
        }
        for own in metrics["branches"]
    ]
    mean = {"branch": f"mean, strength {metrics['strength']:g}", "sources": "", "kept step": ""}
    return [*rows, {**mean, f"dev {metrics['metric']}": f"{metrics['tuned']['value']:.3f}"}]


def _pretraining(found: Mapping[str, Any]) -> dict[str, str]:
    losses = [found["held_out"][n]["loss"] for n in (0, -1)]
    return {
        "texts": f"{found['texts']:,}",
        "held out": f"{found['texts_held_out']:,}",
        "vocabulary": f"{found['vocabulary']:,}",
        "unknown tokens": f"{found['unknown_share']:.2%}",
        "loss held out": f"{losses[0]:.2f} to {losses[1]:.2f}",
        "perplexity": f"{found['perplexity']['before']:,.0f} to {found['perplexity']['after']:,.1f}",
    }


def preflight_tables(found: Preflight) -> dict[str, list[dict[str, str]]]:
    """What `--dry-run` shows."""
    facts, probe = found.facts, found.facts["probe"]
    parameters, seconds = facts["parameters"], probe["seconds_per_batch"]
    rows = {
        "parameters trained": f"{parameters['trainable']:,} of {parameters['all']:,}",
        "steps": f"{facts['steps']:,} of {facts['rows_per_batch']:.1f} rows on average",
        "seconds per batch": f"{seconds['float32']:.2f} in float32, {seconds['bfloat16']:.2f} in bfloat16",
        "training without dev scores": f"about {probe['training_seconds'] / 60:.1f} minutes",
        "memory at its peak": f"{probe['peak_memory_mb']:,} MB",
        "disk": f"up to {facts['disk_mb']:,} MB",
        "loss before training": f"{probe['loss']:.3f}",
    }
    if "pretraining" in facts:
        rows |= _ahead(facts["pretraining"])
    for column, cut in facts["cut"].items():
        rows[f"texts cut in `{column}`"] = f"{cut['texts']:.1%}, with {cut['tokens']:.1%} of the tokens"
    tables = {"Before the training": [{"what": key, "found": value} for key, value in rows.items()]}
    if found.warnings:
        tables["Warnings"] = [{"warning": warning} for warning in found.warnings]
    return tables


def _ahead(found: Mapping[str, Any]) -> dict[str, str]:
    seconds = found["seconds_per_batch"]
    return {
        "texts for masked language modelling": f"{found['texts']:,}, and {found['texts_held_out']:,} held out",
        "vocabulary": f"{found['vocabulary']:,} tokens, {found['unknown_share']:.2%} of the texts unknown",
        "its steps": f"{found['steps']:,}",
        "seconds per step there": f"{seconds['float32']:.2f} in float32, {seconds['bfloat16']:.2f} in bfloat16",
        "masked language modelling": f"about {found['training_seconds'] / 60:.1f} minutes",
    }
