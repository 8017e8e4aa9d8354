"""`hrembed eval`: models on retrieval tasks, with baselines, intervals and paired comparisons."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from hrembed.config.schema import ModelSection
from hrembed.metrics.fairness import holm
from hrembed.metrics.intervals import sign_flip_p
from hrembed.progress import Silent
from hrembed.runs.record import open_run
from hrembed.stages.encoders import open_encoder, pinned
from hrembed.stages.scoring import as_json, compare, estimate, groups_of, open_task, score_task, shown
from hrembed.types import StageResult

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from hrembed.config.schema import BootstrapSection, EvalConfig
    from hrembed.metrics.intervals import Difference
    from hrembed.progress import Progress
    from hrembed.types import Encoder, Estimate, Floats, Task

Scores = dict[str, dict[str, "Floats"]]  # model -> metric -> value per query


class Comparison(NamedTuple):
    """A model against the reference, on the headline metric of one task."""

    task: str
    model: str
    reference: str
    difference: Difference
    p_value: float


def run_evaluate(config: EvalConfig, runs_dir: Path, progress: Progress | None = None) -> StageResult:
    """Score every model on every task.

    The first model is the reference of all comparisons; baselines are compared with it as well.

    Args:
        config: Validated settings.
        runs_dir: Folder of all runs.
        progress: Told what advances.

    Returns:
        Tables of scores and differences; the numbers are in `metrics.json`, those of each query in
        `per_query.parquet`.

    Raises:
        HrembedError: Data or models are not usable.
    """
    progress = progress or Silent()
    config = config.model_copy(update={"models": tuple(pinned(section, runs_dir) for section in config.models)})
    seeds = {"bootstrap": config.bootstrap.seed}
    with open_run(runs_dir, "eval", config.model_dump(mode="json"), seeds=seeds) as run:
        tasks = [open_task(section, run) for section in config.tasks]
        sections = [*config.models, *(ModelSection(ref=name) for name in config.baselines)]
        encoders = _named([open_encoder(section, runs_dir, progress) for section in sections])
        for name, encoder in encoders.items():
            run.add_model(name, encoder.identity, encoder.source)
        scores = {task.name: _score_all(encoders, task, config.metrics) for task in tasks}
        estimates = {task.name: _estimates(scores[task.name], task, config.bootstrap) for task in tasks}
        comparisons = [c for task in tasks for c in _compare(scores[task.name], task, config)]
        adjusted = holm([comparison.p_value for comparison in comparisons])
        metrics = _as_metrics(estimates, comparisons, adjusted, config)
        run.write_table("per_query", _rows(scores, tasks))
        run.write_metrics(metrics)
    tables = {**_score_tables(estimates), **_difference_table(comparisons, adjusted, config.metrics[0])}
    return StageResult(str(run.path), "ok", metrics, tables)


def _named(encoders: Sequence[Encoder]) -> dict[str, Encoder]:
    """Give every model a name of its own; the same one twice gets a number."""
    counts = Counter(encoder.name for encoder in encoders)
    seen: Counter[str] = Counter()
    found: dict[str, Encoder] = {}
    for encoder in encoders:
        seen[encoder.name] += 1
        many = counts[encoder.name] > 1
        found[f"{encoder.name}#{seen[encoder.name]}" if many else encoder.name] = encoder
    return found


def _score_all(encoders: Mapping[str, Encoder], task: Task, metrics: Sequence[str]) -> Scores:
    return {name: score_task(encoder, task, metrics) for name, encoder in encoders.items()}


def _estimates(scores: Scores, task: Task, bootstrap: BootstrapSection) -> dict[str, dict[str, Estimate]]:
    return {
        model: {metric: estimate(values, task, bootstrap) for metric, values in by_metric.items()}
        for model, by_metric in scores.items()
    }


def _compare(scores: Scores, task: Task, config: EvalConfig) -> list[Comparison]:
    headline, (reference, *others) = config.metrics[0], scores
    found = []
    for model in others:
        sides = scores[model][headline], scores[reference][headline]
        difference = compare(*sides, task, config.bootstrap)
        p_value = sign_flip_p(*sides, groups_of(task), rng=np.random.default_rng(config.bootstrap.seed))
        found.append(Comparison(task.name, model, reference, difference, p_value))
    return found


def _as_metrics(
    estimates: Mapping[str, Mapping[str, Mapping[str, Estimate]]],
    comparisons: Sequence[Comparison],
    adjusted: Sequence[float],
    config: EvalConfig,
) -> dict[str, Any]:
    scores = {
        task: {model: {metric: as_json(value) for metric, value in row.items()} for model, row in models.items()}
        for task, models in estimates.items()
    }
    differences = [
        {
            "task": c.task,
            "model": c.model,
            "reference": c.reference,
            "metric": config.metrics[0],
            "difference": as_json(c.difference.estimate),
            "better": c.difference.better,
            "worse": c.difference.worse,
            "p_value": c.p_value,
            "p_holm": p_holm,
        }
        for c, p_holm in zip(comparisons, adjusted, strict=True)
    ]
    return {"confidence": config.bootstrap.confidence, "scores": scores, "differences": differences}


def _rows(scores: Mapping[str, Scores], tasks: Sequence[Task]) -> dict[str, list[Any]]:
    columns: dict[str, list[Any]] = {"task": [], "model": [], "query": [], "group": []}
    for task in tasks:
        for model, by_metric in scores[task.name].items():
            columns["task"] += [task.name] * len(task.queries)
            columns["model"] += [model] * len(task.queries)
            columns["query"] += [query.id for query in task.queries]
            columns["group"] += groups_of(task)
            for metric, values in by_metric.items():
                columns.setdefault(metric, []).extend(float(value) for value in values)
    return columns


def _score_tables(
    estimates: Mapping[str, Mapping[str, Mapping[str, Estimate]]],
) -> dict[str, list[dict[str, str]]]:
    return {
        f"{task}": [
            {"model": model, **{m: shown(as_json(value)) for m, value in row.items()}} for model, row in models.items()
        ]
        for task, models in estimates.items()
    }


def _difference_table(
    comparisons: Sequence[Comparison], adjusted: Sequence[float], metric: str
) -> dict[str, list[dict[str, str]]]:
    rows = [
        {
            "task": c.task,
            "model": f"{c.model} - {c.reference}",
            f"difference in {metric}": shown(as_json(c.difference.estimate), sign=True),
            "better / worse": f"{c.difference.better} / {c.difference.worse}",
            "p (Holm)": f"{p:.4f}",
        }
        for c, p in zip(comparisons, adjusted, strict=True)
    ]
    return {"Paired differences": rows} if rows else {}
