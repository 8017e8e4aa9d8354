"""What a fine-tuning leaves for people: numbers, tables, pictures, the model card."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hrembed.metrics.intervals import sign_flip_p
from hrembed.metrics.verdicts import judge
from hrembed.plots.finetune import draw_strengths, draw_training
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


def sources_json(config: FinetuneConfig, sources: Sequence[Source], feed: Feed) -> list[dict[str, Any]]:
    """Write down what each source gave: rows, batches, and what was found while reading and mining."""
    ends = np.cumsum([len(columns["label"]) for columns in feed.columns.values()])
    batches = np.bincount(np.searchsorted(ends, [batch[0] for batch in feed.batches], "right"), minlength=len(ends))
    return [
        {"loss": section.loss.name, "rows": count(source.rows), "batches": int(number), **source.facts}
        for section, source, number in zip(config.sources, sources, batches, strict=True)
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
    return {"Dev task, base against tuned": [dev], **proof_tables(metrics, metrics["delta"])}


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
    for column, cut in facts["cut"].items():
        rows[f"texts cut in `{column}`"] = f"{cut['texts']:.1%}, with {cut['tokens']:.1%} of the tokens"
    tables = {"Before the training": [{"what": key, "found": value} for key, value in rows.items()]}
    if found.warnings:
        tables["Warnings"] = [{"warning": warning} for warning in found.warnings]
    return tables


def draw(run: Run, metrics: Mapping[str, Any]) -> None:
    """Draw the training, and the strengths where there are several."""
    dev = [(entry["step"], entry["score"]) for entry in metrics["dev_history"]]
    draw_training(run.path / "training.png", metrics["loss_history"], dev, metrics["best_step"], metrics["metric"])
    if metrics["strengths"]:
        name = f"{metrics['task']}, {metrics['metric']} (dev)"
        draw_strengths(run.path / "strengths.png", metrics["strengths"], metrics["strength"], name)


def model_card(config: FinetuneConfig, metrics: Mapping[str, Any], run: Run) -> str:
    """Write the card of the model: how it was made, what was measured, what it must not be taken for."""
    method = ", ".join(f"{key} {value}" for key, value in config.method.model_dump().items())
    train = ", ".join(f"{key} {value}" for key, value in config.train.model_dump().items())
    return f"""---
library_name: sentence-transformers
pipeline_tag: sentence-similarity
tags: [sentence-transformers, hrembed]
---
# Fine-tuned from `{_inline(config.model.ref)}`

Made by `hrembed finetune`, run `{run.path.name}`.

* Method: {_inline(method)}; trained sides: {config.sides}
* Trained parameters: {metrics["parameters"]["trainable"]:,} of {metrics["parameters"]["all"]:,}
* Training: {train}
* Kept: step {metrics["best_step"]} of {metrics["steps"]}, at strength {metrics["strength"]:g} (0 is the base)

```python
from sentence_transformers import SentenceTransformer

model = SentenceTransformer("this folder")
similarity = model.similarity(model.encode_query(["..."]), model.encode_document(["..."]))
```

## Results

| task | what it is | metric | base | tuned | difference | verdict |
|---|---|---|---|---|---|---|
{_results(metrics)}

The dev task also chose the checkpoint, so its numbers flatter the tuned model a little; those of the test tasks do not.

{_LIMITS}
## Training data

{_data(config, metrics, run)}"""


_LIMITS = """## Limits

Measured on the tasks above and on nothing else: other languages, branches and kinds of text may behave differently.
Whether the model treats groups of people alike is measured by `hrembed bias-audit`, not here. A score is no decision
about a person.
"""


def _results(metrics: Mapping[str, Any]) -> str:
    dev = {key: metrics[key] for key in ("task", "metric", "base", "tuned", "difference", "verdict")}
    rows = [("dev", dev), *(("test", e) for e in metrics["tests"]), *(("outside", e) for e in metrics["retention"])]
    return "\n".join(
        f"| {_inline(row['task'])} | {kind} | {row['metric']} | {shown(row['base'])} | {shown(row['tuned'])} "
        f"| {shown(row['difference'], sign=True)} | {row['verdict'].replace('δ', format(metrics['delta'], 'g'))} |"
        for kind, row in rows
    )


def _data(config: FinetuneConfig, metrics: Mapping[str, Any], run: Run) -> str:
    """Files with their hashes, and whom their licences ask to name, in their words."""
    lines = [
        f"* `{_inline(source.path)}`, {found['rows']:,} {found['kind']} with the loss `{found['loss']}`, weight "
        f"{source.weight:g}; SHA-256 `{run.manifest['inputs'][f'source-{number}']['sha256']}`"
        for number, (source, found) in enumerate(zip(config.sources, metrics["sources"], strict=True))
    ]
    lines += [f"* {credit['attribution']} <{credit['url']}>" for credit in run.manifest["attributions"]]
    return "\n".join(lines) + "\n"


def _inline(text: str) -> str:
    """Keep a user's text from ending a table cell, a code span or a line."""
    return " ".join(text.split()).replace("|", "\\|").replace("`", "'")
