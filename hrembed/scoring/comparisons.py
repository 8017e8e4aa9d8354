"""Estimates with intervals, and every pair of models compared on the headline of every task."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from hrembed.metrics.intervals import clustered_error, detectable_difference, sign_flip_p
from hrembed.metrics.multiplicity import holm
from hrembed.metrics.probes import bootstrap_p, interval_of
from hrembed.metrics.verdicts import judge
from hrembed.reports.estimates import as_json
from hrembed.scoring.retrieval import compare, estimate, unit_of
from hrembed.types import Estimate

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hrembed.config.eval import EvalConfig
    from hrembed.scoring.measures import Drawn, Measures
    from hrembed.types import Floats


class Comparison(NamedTuple):
    """A model against another, on the headline metric of one task.

    Attributes:
        task: Name of the task.
        model: The candidate.
        reference: The other.
        metric: The headline.
        difference: Candidate minus reference.
        p_value: Two-sided, not corrected.
        error: Standard error of the difference.
        better: Items on which the candidate scored higher; None for a number that is no mean over items.
        worse: Items on which it scored lower.
    """

    task: str
    model: str
    reference: str
    metric: str
    difference: Estimate
    p_value: float
    error: float
    better: int | None = None
    worse: int | None = None


def estimates(found: Measures, groups: Sequence[str], config: EvalConfig) -> dict[str, dict[str, Any]]:
    """Every metric of one model on one task, as it stands in `metrics.json`; undefined items are counted apart."""
    whole = {}
    for metric, values in found.items.items():
        entry = as_json(estimate(values, groups, config.bootstrap))
        whole[metric] = {**entry, "undefined": int(np.isnan(values).sum())}
    for metric, drawn in found.drawn.items():
        whole[metric] = as_json(_drawn(drawn.value, drawn.draws, groups, config))
    return {found.headline: whole[found.headline], **whole}


def _drawn(value: float, draws: Floats, groups: Sequence[str], config: EvalConfig) -> Estimate:
    n = len(set(groups) - {""}) + sum(not group for group in groups)
    low, high = interval_of(draws, n, config.bootstrap.confidence)
    return Estimate(value, low, high, n, unit_of(groups))


def comparisons(
    task: str, found: Mapping[str, Measures], groups: Sequence[str], config: EvalConfig
) -> list[Comparison]:
    """Compare every two models, or all with the first, as the config says.

    Args:
        task: Name of the task.
        found: What each model got, the reference first.
        groups: Group of each item.
        config: Which pairs, and how intervals are made.
    """
    pairs = combinations(found, 2) if config.compare.pairs == "all" else ((next(iter(found)), m) for m in [*found][1:])
    rows = []
    for reference, model in pairs:
        metric = found[model].headline
        if metric in found[model].drawn:
            sides = found[model].drawn[metric], found[reference].drawn[metric]
            rows.append(Comparison(task, model, reference, metric, *_difference(sides, groups, config)))
        else:
            items = found[model].items[metric], found[reference].items[metric]
            rows.append(_by_items(task, (model, reference), metric, items, groups, config))
    return rows


def _difference(sides: tuple[Drawn, Drawn], groups: Sequence[str], config: EvalConfig) -> tuple[Estimate, float, float]:
    draws = sides[0].draws - sides[1].draws
    difference = _drawn(sides[0].value - sides[1].value, draws, groups, config)
    return difference, bootstrap_p(draws, difference.n), float(np.nanstd(draws))


def _by_items(
    task: str,
    names: tuple[str, str],
    metric: str,
    sides: tuple[Floats, Floats],
    groups: Sequence[str],
    config: EvalConfig,
) -> Comparison:
    found = compare(*sides, groups, config.bootstrap)
    p_value = sign_flip_p(*sides, groups, rng=np.random.default_rng(config.bootstrap.seed))
    error, _ = clustered_error(sides[0] - sides[1], groups)
    return Comparison(task, *names, metric, found.estimate, p_value, error, found.better, found.worse)


def family_json(rows: Sequence[Comparison], config: EvalConfig) -> list[dict[str, Any]]:
    """Correct a family of comparisons, and say what each shows, as it stands in `metrics.json`."""
    alpha = 1 - config.bootstrap.confidence
    defined = [row.p_value for row in rows if not np.isnan(row.p_value)]
    corrected = iter(holm(defined))
    return [_row_json(row, corrected, alpha, len(defined), config) for row in rows]


def _row_json(row: Comparison, corrected: Any, alpha: float, tests: int, config: EvalConfig) -> dict[str, Any]:
    p_holm = float("nan") if np.isnan(row.p_value) else next(corrected)
    detectable = detectable_difference(
        row.error, row.difference.n, alpha=alpha / max(1, tests), power=config.compare.power
    )
    return {
        "task": row.task,
        "model": row.model,
        "reference": row.reference,
        "metric": row.metric,
        "difference": as_json(row.difference),
        "better": row.better,
        "worse": row.worse,
        "p_value": row.p_value,
        "p_holm": p_holm,
        "detectable": detectable,
        "verdict": judge(row.difference, p_holm, alpha=alpha, delta=config.compare.delta),
    }
