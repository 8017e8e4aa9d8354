"""What a fine-tuning leaves for people: numbers, tables, pictures, the model card."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from hrembed.metrics.intervals import sign_flip_p
from hrembed.metrics.verdicts import judge
from hrembed.plots.finetune import draw_pretraining, draw_strengths, draw_training
from hrembed.reports.page import render
from hrembed.stages.layers import draw_choice, layer_tables
from hrembed.stages.proof import proof_tables
from hrembed.stages.scoring import as_json, compare, estimate, groups_of, shown
from hrembed.stages.sources import count

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hrembed.config.training import FinetuneConfig
    from hrembed.runs.record import Run
    from hrembed.stages.sources import Source
    from hrembed.training.preflight import Preflight
    from hrembed.training.trainer import Feed
    from hrembed.training.watch import History
    from hrembed.types import Floats, Task


def dev_metrics(config: FinetuneConfig, base: Floats, tuned: Floats, task: Task, history: History) -> dict[str, Any]:
    """Compare base and tuned model on the dev task, and write down the training."""
    bootstrap, groups = config.bootstrap, groups_of(task)
    before, after = estimate(base, groups, bootstrap), estimate(tuned, groups, bootstrap)
    difference = compare(tuned, base, groups, bootstrap)
    p_value = sign_flip_p(tuned, base, groups, rng=np.random.default_rng(bootstrap.seed))
    alpha = 1 - bootstrap.confidence
    return {
        "verdict": judge(difference.estimate, p_value, alpha=alpha, delta=config.delta),
        "delta": config.delta,
        "p_value": p_value,
        "task": task.name,
        "metric": config.metric,
        "confidence": bootstrap.confidence,
        "base": as_json(before),
        "tuned": as_json(after),
        "difference": as_json(difference.estimate),
        "steps": history.steps,
        "steps_done": len(history.losses),
        "best_step": history.best_step,
        "dev_history": [{"step": step, "score": score} for step, score in history.dev],
        "loss_history": history.losses,
    }


class Branch(NamedTuple):
    """What came of the sources of a branch.

    Attributes:
        number: As in the config.
        folder: Of its checkpoints, in the run folder.
        feed: Its rows and batches.
        history: Its training.
    """

    number: int
    folder: str
    feed: Feed
    history: History


def branches_json(trained: Sequence[Branch]) -> dict[str, Any]:
    """Write down each branch and its dev score; nothing where there is only one."""
    if len(trained) == 1:
        return {}
    rows = [
        {
            "branch": own.number,
            "sources": [int(name.removeprefix("source-")) for name in own.feed.columns],
            "steps": own.history.steps,
            "best_step": own.history.best_step,
            "dev": dict(own.history.dev)[own.history.best_step],
        }
        for own in trained
    ]
    return {"branches": rows}


def sources_json(config: FinetuneConfig, sources: Sequence[Source], feed: Feed) -> list[dict[str, Any]]:
    """Write down what each source gave: rows, batches, and what was found while reading and mining."""
    ends = np.cumsum([len(columns["label"]) for columns in feed.columns.values()])
    places = np.searchsorted(ends, [batch[0] for batch in feed.batches], "right")
    batches = dict(zip(feed.columns, np.bincount(places, minlength=len(ends)).tolist(), strict=True))
    of_branch: dict[int, int] = defaultdict(int)
    for name, own in batches.items():
        of_branch[config.sources[int(name.removeprefix("source-"))].branch] += own
    every = {f"source-{n}": of_branch[own.branch] for n, own in enumerate(config.sources) if own.every_step}
    return [
        {
            "loss": section.loss.name,
            "rows": count(source.rows),
            "batches": (batches | every)[f"source-{n}"],
            **source.facts,
        }
        for n, (section, source) in enumerate(zip(config.sources, sources, strict=True))
    ]


def tables_of(metrics: Mapping[str, Any]) -> dict[str, list[dict[str, str]]]:
    """What is shown when the command ends."""
    dev = {
        "task": metrics["task"],
        "metric": metrics["metric"],
        "base": shown(metrics["base"]),
        "tuned": shown(metrics["tuned"]),
        "difference": shown(metrics["difference"], sign=True),
        "verdict": metrics["verdict"].replace("δ", f"{metrics['delta']:g}"),
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
        credits=run.manifest["attributions"],
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
    return [f"{_inline(row['task'])} {shown(row['difference'], sign=True)}" for row in rows]


def _results(metrics: Mapping[str, Any]) -> list[list[str]]:
    """Cells of the table of results, a task each."""
    dev = {key: metrics[key] for key in ("task", "metric", "base", "tuned", "difference", "verdict")}
    rows = [("dev", dev), *(("test", e) for e in metrics["tests"]), *(("outside", e) for e in metrics["retention"])]
    return [
        [
            _inline(row["task"]),
            kind,
            row["metric"],
            shown(row["base"]),
            shown(row["tuned"]),
            shown(row["difference"], sign=True),
            row["verdict"].replace("δ", format(metrics["delta"], "g")),
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
            "sha256": run.manifest["inputs"][f"source-{number}"]["sha256"],
        }
        for number, (source, found) in enumerate(zip(config.sources, metrics["sources"], strict=True))
    ]


def _inline(text: str) -> str:
    """Keep a user's text from ending a table cell, a code span or a line."""
    return " ".join(text.split()).replace("|", "\\|").replace("`", "'")
