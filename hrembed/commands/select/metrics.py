"""The numbers of `hrembed select`, as they stand in `metrics.json`."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from hrembed.commands.select.leaderboard import task_weights
from hrembed.registry import nearest
from hrembed.selection.licences import licence_class
from hrembed.selection.ranking import (
    borda_points,
    competition_ranks,
    first_shares,
    first_without,
    pareto_front,
)
from hrembed.selection.scores import versions_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hrembed.commands.select.leaderboard import Catalogue, Standing
    from hrembed.config.select import SelectConfig
    from hrembed.selection.benchmark import Shape
    from hrembed.selection.facts import Facts
    from hrembed.selection.scores import ScoreTable
    from hrembed.types import Floats


def registry_json(catalogue: Catalogue) -> dict[str, Any]:
    """How many models there are, and which constraint takes out how many."""
    dropped = Counter(limit for limits in catalogue.broken.values() for limit in limits)
    return {
        "models": len(catalogue.facts),
        "fitting": len(catalogue.fitting),
        "dropped_by": dict(sorted(dropped.items())),
        "licences": dict(Counter(licence_class(facts.licence) for facts in catalogue.fitting)),
    }


def scores_json(table: ScoreTable | None, catalogue: Catalogue) -> dict[str, Any] | None:
    """Say what of the table could be used, so that nobody is dropped in silence."""
    if table is None:
        return None
    complete = [bool(row.all()) for row in np.isfinite(table.scores)]
    fits = {facts.name for facts in catalogue.fitting}
    unknown = [model for model in table.models if model not in catalogue.facts]
    mixed = [model for model, filled in zip(table.models, table.filled, strict=True) if filled]
    return {
        "tasks": list(table.tasks),
        "models": len(table.models),
        "complete": sum(complete),
        "complete_and_fitting": sum(c and m in fits for m, c in zip(table.models, complete, strict=True)),
        "unknown_models": unknown,
        "unknown_for_example": f"'{unknown[0]}'{nearest(unknown[0], catalogue.facts)}" if unknown else None,
        "of_several_revisions": mixed,
        "of_several_versions": [
            model for model, origins in zip(table.models, table.origins, strict=True) if len(versions_of(origins)) > 1
        ],
        "repeated_rows": table.repeated,
        "rows_of_experiments": table.experiments,
        "partly_measured": table.partial,
    }


def leaderboard_json(standing: Standing, catalogue: Catalogue) -> list[dict[str, Any]]:
    """All ranked models, best first."""
    means = standing.scores @ standing.weights
    ranks = competition_ranks(means), competition_ranks(borda_points(standing.scores) @ standing.weights)
    front = pareto_front(np.array([_costs(catalogue.facts[m], q) for m, q in zip(standing.names, means, strict=True)]))
    ranking = standing.ranking
    rows = []
    for place, n in enumerate(int(position) for position in ranking.order):
        fact, origins = catalogue.facts[standing.names[n]], standing.table.origins[standing.rows[n]]
        seen = standing.seen[fact.name]
        rows.append(
            {
                "model": fact.name,
                "mean": float(means[n]),
                "points": float(ranking.means[n]),
                "interval": [float(ranking.low[n]), float(ranking.high[n])],
                "rank_interval": [int(ranking.rank_low[n]), int(ranking.rank_high[n])],
                "mean_rank": int(ranks[0][n]),
                "borda_rank": int(ranks[1][n]),
                "tied_with_first": bool(ranking.tied[n]),
                "separable_from_next": bool(ranking.separable[place]) if place < len(ranking.separable) else None,
                "pareto_front": bool(front[n]),
                **_fact_json(fact),
                "trained_on_these_tasks": None if seen is None else sorted(seen),
                "tasks_of_other_revisions": standing.table.filled[standing.rows[n]],
                "mteb_versions": versions_of(origins),
                "suspicious": [t.name for t, odd in zip(standing.tasks, standing.odd[n], strict=True) if odd],
                "incomparable": [t.name for t, bad in zip(standing.tasks, standing.wrong[n], strict=True) if bad],
            }
        )
    return rows


def _costs(fact: Facts, quality: float) -> list[float]:
    """What the Pareto front is drawn over, lower is better: minus quality, active parameters, memory, dimension."""
    known = (fact.active_parameters or fact.parameters, fact.memory_mb, fact.dimension)
    return [-quality, *(float("nan") if value is None else float(value) for value in known)]


def _fact_json(fact: Facts) -> dict[str, Any]:
    return {
        "parameters": fact.parameters,
        "active_parameters": fact.active_parameters,
        "memory_mb": fact.memory_mb,
        "dimension": fact.dimension,
        "max_tokens": fact.max_tokens,
        "licence": fact.licence,
        "licence_class": licence_class(fact.licence),
        "released": fact.released,
        "revision": fact.revision,
        "instructions": fact.instructions,
        "adapted_from": fact.adapted_from,
        "superseded_by": fact.superseded_by,
    }


def ranking_json(
    config: SelectConfig, standing: Standing, rows: Sequence[dict[str, Any]], mine: Shape | None
) -> dict[str, Any]:
    """What the ranking as a whole can and cannot say."""
    separable = standing.ranking.separable
    return {
        "by": config.rank_by,
        "ranked": len(rows),
        "tied_with_first": [row["model"] for row in rows if row["tied_with_first"]],
        "adjacent_pairs": len(separable),
        "adjacent_pairs_not_separable": int((~separable).sum()),
        "weights": {task.name: float(w) for task, w in zip(standing.tasks, standing.weights, strict=True)},
        "effective_tasks": float(1 / (standing.weights**2).sum()),
        "left_out": dict(standing.left_out),
        "sensitivity": sensitivity(config, standing, mine),
    }


def sensitivity(config: SelectConfig, standing: Standing, mine: Shape | None) -> dict[str, Any]:
    """Which model is first under other weights of the tasks, and without each of them."""
    rng = np.random.default_rng(config.bootstrap.seed)
    shares = first_shares(standing.points, standing.weights, rng=rng)
    first = standing.names[int(standing.ranking.order[0])]
    found: dict[str, Any] = {
        "first_share": {
            standing.names[int(n)]: float(shares[n]) for n in np.argsort(-shares, kind="stable") if shares[n] > 0
        },
        "first_by_scheme": {
            name: standing.names[int(np.argmax(standing.points @ weights))]
            for name, weights in _schemes(config, standing, mine).items()
        },
        "first_without_task": {},
    }
    if len(standing.tasks) > 1:
        without = first_without(standing.points, standing.weights)
        found["first_without_task"] = {
            task.name: standing.names[int(n)]
            for task, n in zip(standing.tasks, without, strict=True)
            if standing.names[int(n)] != first
        }
    return found


def _schemes(config: SelectConfig, standing: Standing, mine: Shape | None) -> dict[str, Floats]:
    """Weights of every scheme that can be had, and of every type of task alone."""
    plain = config.weights.model_copy(update={"tasks": {}, "types": {}})
    schemes = ["equal", "by-type", *(["like-mine"] if mine is not None else [])]
    found = {
        name: task_weights(
            config.model_copy(update={"weights": plain.model_copy(update={"scheme": name})}), standing.tasks, mine
        )
        for name in schemes
    }
    kinds = [task.kind for task in standing.tasks]
    if len(set(kinds)) > 1:
        for kind in sorted(set(kinds)):
            found[f"{kind} only"] = np.array([float(other == kind) for other in kinds])
    return found


def score_columns(standing: Standing) -> dict[str, list[Any]]:
    """Every score that was ranked, with its provenance: the columns of `scores.parquet`."""
    columns: dict[str, list[Any]] = {
        name: []
        for name in ("model", "task", "score", "revision", "mteb_version", "origin", "trained_on", "suspicious")
    }
    place = {task: n for n, task in enumerate(standing.table.tasks)}
    for n, model in enumerate(standing.names):
        seen = standing.seen[model]
        for column, task in enumerate(standing.tasks):
            origin = standing.table.origins[standing.rows[n]][place[task.name]]
            columns["model"].append(model)
            columns["task"].append(task.name)
            columns["score"].append(float(standing.scores[n, column]))
            columns["revision"].append(None if origin is None else origin.revision)
            columns["mteb_version"].append(None if origin is None else origin.version)
            columns["origin"].append(None if origin is None else origin.origin)
            columns["trained_on"].append(None if seen is None else task.name in seen)
            columns["suspicious"].append(bool(standing.odd[n, column]))
    return columns
