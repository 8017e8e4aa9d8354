"""The numbers of `hrembed select`, as its record holds them."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from hrembed.commands.select.leaderboard import task_weights
from hrembed.config.select import WeightsSection
from hrembed.records.select import FittingModel, RankedModel, RankingSummary, RegistryCounts, ScoresSummary, Sensitivity
from hrembed.registry import nearest
from hrembed.selection.facts import NO_LIMIT
from hrembed.selection.licences import licence_class
from hrembed.selection.ranking import (
    borda_points,
    competition_ranks,
    first_shares,
    first_without,
    pareto_front,
)
from hrembed.selection.scores import versions_of
from hrembed.types import Estimate

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hrembed.commands.select.leaderboard import Catalogue, Standing
    from hrembed.config.select import Scheme, SelectConfig
    from hrembed.selection.benchmark import Shape
    from hrembed.selection.facts import Facts
    from hrembed.selection.scores import ScoreTable
    from hrembed.types import Floats


def count_registry(catalogue: Catalogue) -> RegistryCounts:
    """Count the models, and how many each constraint takes out."""
    dropped = Counter(limit for limits in catalogue.broken.values() for limit in limits)
    return RegistryCounts(
        models=len(catalogue.facts),
        fitting=len(catalogue.fitting),
        dropped_by=dict(sorted(dropped.items())),
        licences=dict(Counter(licence_class(facts.licence) for facts in catalogue.fitting)),
    )


def fitting_models(catalogue: Catalogue) -> tuple[FittingModel, ...]:
    """List the models that fulfil every constraint, the newest first: without scores nobody knows which is better."""
    newest_first = sorted(catalogue.fitting, key=lambda facts: facts.released or "", reverse=True)
    return tuple(
        FittingModel(
            model=facts.name,
            parameters=facts.parameters,
            memory_mb=facts.memory_mb,
            dimension=facts.dimension,
            max_tokens=None if facts.max_tokens == NO_LIMIT else facts.max_tokens,
            licence=facts.licence,
            released=facts.released,
            superseded_by=facts.superseded_by,
        )
        for facts in newest_first
    )


def summarise_scores(table: ScoreTable, catalogue: Catalogue) -> ScoresSummary:
    """Say what of the table could be used, so that no model is dropped in silence."""
    complete = [bool(row.all()) for row in np.isfinite(table.scores)]
    fits = {facts.name for facts in catalogue.fitting}
    unknown = [model for model in table.models if model not in catalogue.facts]
    return ScoresSummary(
        tasks=table.tasks,
        models=len(table.models),
        complete=sum(complete),
        complete_and_fitting=sum(c and m in fits for m, c in zip(table.models, complete, strict=True)),
        unknown_models=tuple(unknown),
        unknown_for_example=f"'{unknown[0]}'{nearest(unknown[0], catalogue.facts)}" if unknown else None,
        of_several_revisions=tuple(model for model, filled in zip(table.models, table.filled, strict=True) if filled),
        of_several_versions=tuple(
            model for model, origins in zip(table.models, table.origins, strict=True) if len(versions_of(origins)) > 1
        ),
        repeated_rows=table.repeated,
        rows_of_experiments=table.experiments,
        partly_measured=table.partial,
    )


def ranked_models(standing: Standing, catalogue: Catalogue) -> tuple[RankedModel, ...]:
    """All ranked models with their facts, best first."""
    means = standing.scores @ standing.weights
    ranks = competition_ranks(means), competition_ranks(borda_points(standing.scores) @ standing.weights)
    front = pareto_front(np.array([_costs(catalogue.facts[m], q) for m, q in zip(standing.names, means, strict=True)]))
    ranking = standing.ranking
    rows = []
    for place, n in enumerate(int(position) for position in ranking.order):
        facts, origins = catalogue.facts[standing.names[n]], standing.table.origins[standing.rows[n]]
        trained_on = standing.trained_on[facts.name]
        points = Estimate(
            float(ranking.means[n]), float(ranking.low[n]), float(ranking.high[n]), len(standing.tasks), "tasks"
        )
        rows.append(
            RankedModel(
                model=facts.name,
                mean=float(means[n]),
                points=points,
                rank_interval=(int(ranking.rank_low[n]), int(ranking.rank_high[n])),
                mean_rank=int(ranks[0][n]),
                borda_rank=int(ranks[1][n]),
                tied_with_first=bool(ranking.tied[n]),
                separable_from_next=bool(ranking.separable[place]) if place < len(ranking.separable) else None,
                pareto_front=bool(front[n]),
                parameters=facts.parameters,
                active_parameters=facts.active_parameters,
                memory_mb=facts.memory_mb,
                dimension=facts.dimension,
                max_tokens=facts.max_tokens,
                licence=facts.licence,
                licence_class=licence_class(facts.licence),
                released=facts.released,
                revision=facts.revision,
                instructions=facts.instructions,
                adapted_from=facts.adapted_from,
                superseded_by=facts.superseded_by,
                trained_on_these_tasks=None if trained_on is None else tuple(sorted(trained_on)),
                tasks_of_other_revisions=standing.table.filled[standing.rows[n]],
                mteb_versions=tuple(versions_of(origins)),
                suspicious=tuple(t.name for t, odd in zip(standing.tasks, standing.suspicious[n], strict=True) if odd),
                incomparable=tuple(
                    t.name for t, wrong in zip(standing.tasks, standing.incomparable[n], strict=True) if wrong
                ),
            )
        )
    return tuple(rows)


def _costs(facts: Facts, quality: float) -> list[float]:
    """What the Pareto front is drawn over, lower is better: minus quality, active parameters, memory, dimension."""
    known = (facts.active_parameters or facts.parameters, facts.memory_mb, facts.dimension)
    return [-quality, *(float("nan") if value is None else float(value) for value in known)]


def leaderboard_columns(rows: Sequence[RankedModel]) -> dict[str, list[str | float | bool | None]]:
    """Columns of `leaderboard.parquet`: a line for each model, lists as text, so that a column has one type."""
    columns: dict[str, list[str | float | bool | None]] = {}
    for row in rows:
        for name, value in row:
            cells = {name: value}
            if isinstance(value, Estimate):
                cells = {name: value.value, "interval": (value.low, value.high)}
            for column, cell in cells.items():
                text = ", ".join(map(str, cell)) if isinstance(cell, tuple) else cell
                columns.setdefault(column, []).append(text)
    return columns


def summarise_ranking(
    config: SelectConfig, standing: Standing, rows: Sequence[RankedModel], mine: Shape | None
) -> RankingSummary:
    """Say what the ranking as a whole can and cannot tell."""
    separable = standing.ranking.separable
    return RankingSummary(
        by=config.rank_by,
        ranked=len(rows),
        tied_with_first=tuple(row.model for row in rows if row.tied_with_first),
        adjacent_pairs=len(separable),
        adjacent_pairs_not_separable=int((~separable).sum()),
        weights={task.name: float(w) for task, w in zip(standing.tasks, standing.weights, strict=True)},
        effective_tasks=float(1 / (standing.weights**2).sum()),
        left_out=dict(standing.left_out),
        sensitivity=sensitivity(config, standing, mine),
    )


def sensitivity(config: SelectConfig, standing: Standing, mine: Shape | None) -> Sensitivity:
    """Say which model is first under other weights of the tasks, and without each of them."""
    rng = np.random.default_rng(config.bootstrap.seed)
    shares = first_shares(standing.points, standing.weights, rng=rng)
    first = standing.names[int(standing.ranking.order[0])]
    without = first_without(standing.points, standing.weights) if len(standing.tasks) > 1 else ()
    return Sensitivity(
        first_share={
            standing.names[int(n)]: float(shares[n]) for n in np.argsort(-shares, kind="stable") if shares[n] > 0
        },
        first_by_scheme={
            name: standing.names[int(np.argmax(standing.points @ weights))]
            for name, weights in _schemes(standing, mine).items()
        },
        first_without_task={
            task.name: standing.names[int(n)]
            for task, n in zip(standing.tasks, without, strict=False)
            if standing.names[int(n)] != first
        },
    )


def _schemes(standing: Standing, mine: Shape | None) -> Mapping[str, Floats]:
    """Weights of every scheme that can be had, and of every type of task alone."""
    schemes: list[Scheme] = ["equal", "by-type"] if mine is None else ["equal", "by-type", "like-mine"]
    weights: dict[str, Floats] = {
        scheme: task_weights(WeightsSection(scheme=scheme), standing.tasks, mine) for scheme in schemes
    }
    kinds = [task.kind for task in standing.tasks]
    if len(set(kinds)) > 1:
        for kind in sorted(set(kinds)):
            weights[f"{kind} only"] = np.array([float(other == kind) for other in kinds])
    return weights


def score_columns(standing: Standing) -> dict[str, list[str | float | bool | None]]:
    """Columns of `scores.parquet`: every score that was ranked, with its provenance."""
    columns: dict[str, list[str | float | bool | None]] = {
        name: []
        for name in ("model", "task", "score", "revision", "mteb_version", "origin", "trained_on", "suspicious")
    }
    place = {task: n for n, task in enumerate(standing.table.tasks)}
    for n, model in enumerate(standing.names):
        trained_on = standing.trained_on[model]
        for column, task in enumerate(standing.tasks):
            origin = standing.table.origins[standing.rows[n]][place[task.name]]
            columns["model"].append(model)
            columns["task"].append(task.name)
            columns["score"].append(float(standing.scores[n, column]))
            columns["revision"].append(None if origin is None else origin.revision)
            columns["mteb_version"].append(None if origin is None else origin.version)
            columns["origin"].append(None if origin is None else origin.origin)
            columns["trained_on"].append(None if trained_on is None else task.name in trained_on)
            columns["suspicious"].append(bool(standing.suspicious[n, column]))
    return columns
