"""The model card, and the pictures of a training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hrembed.commands.finetune.layers import draw_choice
from hrembed.metrics.verdicts import verdict_words
from hrembed.plots.finetune import draw_pretraining, draw_strengths, draw_training
from hrembed.reports.estimates import format_estimate
from hrembed.reports.page import render

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hrembed.config.finetune import FinetuneConfig
    from hrembed.runs.record import Run


def draw(run: Run, metrics: Mapping[str, Any]) -> None:
    """Draw the training, the strengths where there are several, and the scores of layers where they were measured."""
    draw_choice(run, metrics)
    dev = [(entry["step"], entry["score"]) for entry in metrics["dev_history"]]
    base, best = metrics["base"]["value"], metrics["best_step"]
    draw_training(run.path / "training.png", metrics["loss_history"], dev, base, best, metrics["metric"])
    if "pretraining" in metrics:
        found = metrics["pretraining"]
        draw_pretraining(run.path / "pretraining.png", found["loss_history"], found["held_out"])
    if metrics["strengths"]:
        name = f"{metrics['task']}, {metrics['metric']} (dev)"
        draw_strengths(run.path / "strengths.png", metrics["strengths"], metrics["strength"], name)


def model_card(config: FinetuneConfig, metrics: Mapping[str, Any], run: Run) -> str:
    """Write the card of the model: how it was made, what was measured, what it must not be taken for."""
    return render(
        "card.md.j2",
        run=run.path.name,
        ref=_inline(config.model.ref),
        sides=config.sides,
        method=_inline(_listed(config.method.model_dump(exclude={"choice"}))),
        train=_listed(config.train.model_dump()),
        pretraining=metrics.get("pretraining"),
        layers=metrics.get("layers"),
        control=_control_rows(metrics),
        metrics=metrics,
        results=_results(metrics),
        sources=_sources(config, metrics, run),
        credits=run.manifest.attributions,
    )


def _listed(settings: Mapping[str, Any]) -> str:
    """Write settings as one line; those of a section carry its name."""
    return ", ".join(
        _listed({f"{key} {inner}": v for inner, v in value.items()}) if isinstance(value, dict) else f"{key} {value}"
        for key, value in settings.items()
    )


def _control_rows(metrics: Mapping[str, Any]) -> list[str]:
    """What the chosen layers gained over a random choice, a task each; empty without such a control."""
    if "control" not in metrics:
        return []
    rows = metrics["control"]["dev"], *metrics["control"]["tests"]
    return [f"{_inline(row['task'])} {format_estimate(row['difference'], sign=True)}" for row in rows]


def _results(metrics: Mapping[str, Any]) -> list[list[str]]:
    """Cells of the table of results, a task each."""
    dev = {key: metrics[key] for key in ("task", "metric", "base", "tuned", "difference", "verdict")}
    rows = [("dev", dev), *(("test", e) for e in metrics["tests"]), *(("outside", e) for e in metrics["retention"])]
    return [
        [
            _inline(row["task"]),
            kind,
            row["metric"],
            format_estimate(row["base"]),
            format_estimate(row["tuned"]),
            format_estimate(row["difference"], sign=True),
            verdict_words(row["verdict"], metrics["delta"]),
        ]
        for kind, row in rows
    ]


def _sources(config: FinetuneConfig, metrics: Mapping[str, Any], run: Run) -> list[dict[str, Any]]:
    """Files with their hashes."""
    return [
        {
            **found,
            "path": _inline(source.path),
            "weight": f"{source.weight:g}",
            "branch": source.branch if len(config.branches) > 1 else None,
            "sha256": run.manifest.inputs[f"source-{number}"].sha256,
        }
        for number, (source, found) in enumerate(zip(config.sources, metrics["sources"], strict=True))
    ]


def _inline(text: str) -> str:
    """Keep a user's text from ending a table cell, a code span or a line."""
    return " ".join(text.split()).replace("|", "\\|").replace("`", "'")
