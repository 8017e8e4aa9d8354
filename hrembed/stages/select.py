"""`hrembed select`: from the leaderboard to the model that fits, measured on the user's own task."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from hrembed.data.locate import locate
from hrembed.errors import DataError
from hrembed.progress import Silent
from hrembed.runs.record import open_run
from hrembed.selection.facts import Limits, broken_limits, licence_class, registry_facts
from hrembed.selection.ranking import rank_models
from hrembed.selection.scores import read_parquet, read_results_dir, tasks_of
from hrembed.stages.encoders import open_encoder, pinned
from hrembed.stages.scoring import as_json, compare, estimate, groups_of, open_task, score_task, shown
from hrembed.types import StageResult

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from hrembed.config.schema import SelectConfig
    from hrembed.metrics.intervals import Difference
    from hrembed.progress import Progress
    from hrembed.runs.record import Run
    from hrembed.selection.facts import Facts
    from hrembed.selection.ranking import Ranking
    from hrembed.selection.scores import ScoreTable
    from hrembed.types import Estimate, Floats


class Probed(NamedTuple):
    """A model measured here.

    Attributes:
        name: Name for tables.
        values: Metric of each query, shape (Q,).
        estimate: Their mean.
        difference: Against the best one; None for the best itself.
        texts_per_second: Texts scored per second on this machine.
    """

    name: str
    values: Floats
    estimate: Estimate
    difference: Difference | None
    texts_per_second: float


def run_select(config: SelectConfig, runs_dir: Path, progress: Progress | None = None) -> StageResult:
    """Filter models by facts, rank them by leaderboard scores where there are some, and probe those at hand.

    Args:
        config: Validated settings.
        runs_dir: Folder of all runs.
        progress: Told what advances.

    Returns:
        Shortlist, probe and pick. Timings are in `timings.json`, all other numbers in `metrics.json`.

    Raises:
        HrembedError: Scores or task are not usable.
    """
    progress = progress or Silent()
    probe = config.probe.model_copy(update={"models": tuple(pinned(m, runs_dir) for m in config.probe.models)})
    config = config.model_copy(update={"probe": probe})
    seeds = {"bootstrap": config.bootstrap.seed}
    with open_run(runs_dir, "select", config.model_dump(mode="json"), seeds=seeds) as run:
        progress.note("reading model facts from the installed mteb")
        facts = registry_facts()
        broken = {fact.name: broken_limits(fact, _limits(config)) for fact in facts}
        fitting = [fact for fact in facts if not broken[fact.name]]
        table = _open_scores(config, run)
        leaderboard = _leaderboard(config, table, fitting) if table is not None else []
        probed = _probe(config, runs_dir, run, progress)
        metrics = {
            "registry": {"models": len(facts), "fitting": len(fitting), "dropped_by": _dropped(broken)},
            "scores": _score_facts(table, facts, fitting),
            "leaderboard": leaderboard,
            "probe": [_probe_json(row) for row in probed],
            "pick": _pick(probed),
        }
        run.write_table("probe_per_query", {row.name: [float(v) for v in row.values] for row in probed})
        run.write_timings({row.name: {"texts_per_second": row.texts_per_second} for row in probed})
        run.write_metrics(metrics)
    return StageResult(str(run.path), "ok", metrics, _tables(config, leaderboard, fitting, probed))


def _limits(config: SelectConfig) -> Limits:
    return Limits(**config.constraints.model_dump())


def _dropped(broken: Mapping[str, Sequence[str]]) -> dict[str, int]:
    return dict(sorted(Counter(limit for limits in broken.values() for limit in limits).items()))


def _open_scores(config: SelectConfig, run: Run) -> ScoreTable | None:
    scores = config.scores
    reference = scores.path or scores.results_dir
    if reference is None:
        return None
    path = locate(reference)
    run.add_input("scores", path)
    tasks = list(scores.tasks) or tasks_of(scores.benchmark, scores.task_types)
    return read_parquet(path, tasks) if scores.path else read_results_dir(path, tasks)


def _score_facts(table: ScoreTable | None, facts: Sequence[Facts], fitting: Sequence[Facts]) -> dict[str, Any] | None:
    """Say what of the table could be used, so that nobody is dropped in silence."""
    if table is None:
        return None
    complete = [bool(row.all()) for row in np.isfinite(table.scores)]
    known, fits = {fact.name for fact in facts}, {fact.name for fact in fitting}
    return {
        "tasks": list(table.tasks),
        "models": len(table.models),
        "complete": sum(complete),
        "complete_but_not_in_registry": sum(c and m not in known for m, c in zip(table.models, complete, strict=True)),
        "complete_and_fitting": sum(c and m in fits for m, c in zip(table.models, complete, strict=True)),
    }


def _leaderboard(config: SelectConfig, table: ScoreTable, fitting: Sequence[Facts]) -> list[dict[str, Any]]:
    by_name = {fact.name: fact for fact in fitting}
    keep = [n for n, model in enumerate(table.models) if model in by_name and np.isfinite(table.scores[n]).all()]
    if not keep:
        raise DataError("no model fulfils the constraints and has a score on every task", hint="loosen `constraints`")
    bootstrap = config.bootstrap
    ranking = rank_models(
        table.scores[keep],
        rng=np.random.default_rng(bootstrap.seed),
        confidence=bootstrap.confidence,
        resamples=bootstrap.resamples,
    )
    rows = [
        {
            **_leaderboard_row(by_name[table.models[keep[n]]], ranking, int(n), table.tasks),
            "tasks_of_other_revisions": table.filled[keep[n]],
        }
        for n in ranking.order
    ]
    return rows[: config.shortlist]


def _leaderboard_row(fact: Facts, ranking: Ranking, n: int, tasks: Sequence[str]) -> dict[str, Any]:
    seen = None if fact.trained_on is None else sorted(fact.trained_on & set(tasks))
    return {
        "model": fact.name,
        "mean": float(ranking.means[n]),
        "rank_interval": [int(ranking.rank_low[n]), int(ranking.rank_high[n])],
        "tied_with_first": bool(ranking.tied[n]),
        "parameters": fact.parameters,
        "dimension": fact.dimension,
        "max_tokens": fact.max_tokens,
        "licence": fact.licence,
        "trained_on_these_tasks": seen,
    }


def _probe(config: SelectConfig, runs_dir: Path, run: Run, progress: Progress) -> list[Probed]:
    """Measure the models at hand, best first."""
    task = open_task(config.probe.task, run)
    texts = len(task.queries) + len(task.documents)
    measured: dict[str, tuple[Floats, float]] = {}
    for section in config.probe.models:
        encoder = open_encoder(section, runs_dir, progress)
        run.add_model(encoder.name, encoder.identity, encoder.source)
        started = time.perf_counter()
        values = score_task(encoder, task, [config.probe.metric])[config.probe.metric]
        measured[encoder.name] = values, texts / (time.perf_counter() - started)
    best = max(measured, key=lambda name: float(np.nanmean(measured[name][0])))
    found = []
    for name, (values, speed) in measured.items():
        difference = None if name == best else compare(values, measured[best][0], groups_of(task), config.bootstrap)
        found.append(Probed(name, values, estimate(values, groups_of(task), config.bootstrap), difference, speed))
    return sorted(found, key=lambda row: -row.estimate.value)


def _probe_json(row: Probed) -> dict[str, Any]:
    difference = None if row.difference is None else as_json(row.difference.estimate)
    return {"model": row.name, "score": as_json(row.estimate), "difference_to_best": difference}


def _pick(probed: Sequence[Probed]) -> dict[str, Any]:
    """Pick the best probed model, and name those that it cannot be told from."""
    tied = [row.name for row in probed[1:] if row.difference is not None and not row.difference.estimate.high < 0]
    return {"model": probed[0].name, "cannot_be_told_from": tied}


def _tables(
    config: SelectConfig,
    leaderboard: Sequence[Mapping[str, Any]],
    fitting: Sequence[Facts],
    probed: Sequence[Probed],
) -> dict[str, list[dict[str, str]]]:
    tables = {}
    if leaderboard:
        tables[f"Leaderboard, {len(leaderboard)} best of those that fulfil the constraints"] = [
            {
                "model": row["model"],
                "mean": f"{row['mean']:.3f}",
                "rank": "{} to {}".format(*row["rank_interval"]),
                "tied with first": "yes" if row["tied_with_first"] else "no",
                "parameters": f"{(row['parameters'] or 0) / 1e6:,.0f} M",
                "licence": row["licence"] or "unknown",
                "trained on": _seen(row["trained_on_these_tasks"]),
                "from other revisions": str(row["tasks_of_other_revisions"]),
            }
            for row in leaderboard
        ]
    else:
        tables["Constraints (no leaderboard scores given: set `scores.path`)"] = [
            {"models that fulfil them": str(len(fitting)), "by licence": _licences(fitting)}
        ]
    tables[f"Measured here: {config.probe.metric}"] = [
        {
            "model": row.name,
            "score": shown(as_json(row.estimate)),
            "to the best": "best" if row.difference is None else shown(as_json(row.difference.estimate), sign=True),
            "texts/s": f"{row.texts_per_second:,.0f}",
        }
        for row in probed
    ]
    return tables


def _seen(tasks: Sequence[str] | None) -> str:
    if tasks is None:
        return "not disclosed"
    return f"{len(tasks)} of these tasks" if tasks else "none of these"


def _licences(fitting: Sequence[Facts]) -> str:
    counts = Counter(licence_class(fact.licence) for fact in fitting)
    return ", ".join(f"{name} {count}" for name, count in counts.most_common())
