"""The part of `hrembed select` that needs no model: facts, constraints, weights, ranking."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np

from hrembed.errors import DataError
from hrembed.selection.benchmark import Shape, like_mine
from hrembed.selection.facts import Facts, Limits, broken_limits, registry_facts, seen_tasks
from hrembed.selection.ranking import borda_points, rank_models
from hrembed.selection.scores import mark_incomparable, mark_suspicious

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hrembed.config.select import ConstraintsSection, FactSection, SelectConfig, WeightsSection
    from hrembed.selection.benchmark import BenchmarkTask
    from hrembed.selection.ranking import Ranking
    from hrembed.selection.scores import ScoreTable
    from hrembed.types import Bools, Floats, Ints, Task

T = TypeVar("T")

_DISCOUNT = 0.1  # share that a score on a task trained on loses; how much such a task flatters, nobody knows


class Catalogue(NamedTuple):
    """Models and what they fulfil.

    Attributes:
        facts: Name to facts, of mteb and of the config.
        broken: Name to the constraints that it breaks.
    """

    facts: Mapping[str, Facts]
    broken: Mapping[str, Sequence[str]]

    @property
    def fitting(self) -> list[Facts]:
        """Models that break nothing."""
        return [facts for name, facts in self.facts.items() if not self.broken[name]]


class Standing(NamedTuple):
    """The ranked models.

    Attributes:
        names: Models, in the order of the rows below.
        tasks: Tasks that count.
        table: All scores, as they were read.
        rows: Position of each model in `table`, shape (M,).
        scores: Scores after what the config says of them, shape (M, T).
        points: What is averaged: the scores, or Borda points.
        weights: Weight of each task, shape (T,), summing to 1.
        ranking: By the weighted mean of `points`.
        trained_on: Model to the tasks it was trained on; None where it does not say.
        suspicious: Scores that fit neither model nor task, shape (M, T).
        incomparable: Scores of a version known to be wrong, shape (M, T).
        left_out: Model that fulfils the constraints and has scores, but is not ranked, to the reason.
    """

    names: tuple[str, ...]
    tasks: tuple[BenchmarkTask, ...]
    table: ScoreTable
    rows: Ints
    scores: Floats
    points: Floats
    weights: Floats
    ranking: Ranking
    trained_on: Mapping[str, frozenset[str] | None]
    suspicious: Bools
    incomparable: Bools
    left_out: Mapping[str, str]


def open_catalogue(config: SelectConfig) -> Catalogue:
    """Read the facts, and hold every model against the constraints."""
    facts = {known.name: known for known in registry_facts()}
    for section in config.facts:
        facts[section.name] = _corrected(facts.get(section.name, Facts(section.name)), section)
    limits = _limits(config.constraints)
    return Catalogue(facts, {name: broken_limits(known, limits) for name, known in facts.items()})


def _corrected(facts: Facts, section: FactSection) -> Facts:
    """Facts of a model after what the config says of it."""
    return replace(
        facts,
        parameters=_stated(section.parameters, facts.parameters),
        memory_mb=_stated(section.memory_mb, facts.memory_mb),
        dimension=_stated(section.dimension, facts.dimension),
        max_tokens=_stated(section.max_tokens, facts.max_tokens),
        licence=_stated(section.licence, facts.licence),
        open_weights=_stated(section.open_weights, facts.open_weights),
        languages=facts.languages if section.languages is None else frozenset(section.languages),
    )


def _stated(given: T | None, known: T | None) -> T | None:
    return known if given is None else given


def _limits(section: ConstraintsSection) -> Limits:
    """Constraints that facts alone decide; the speed of a model has to be measured."""
    return Limits(
        licences=section.licences,
        max_parameters=section.max_parameters,
        max_memory_mb=section.max_memory_mb,
        max_dimension=section.max_dimension,
        min_max_tokens=section.min_max_tokens,
        languages=section.languages,
        open_weights=section.open_weights,
        kinds=section.kinds,
    )


def shape_of(task: Task) -> Shape:
    """What the texts of a task look like, counted as mteb counts its own."""
    relevant = [sum(grade > 0 for grade in task.qrels[query.id].values()) for query in task.queries]
    sides = [float(np.mean([len(text.text) for text in side])) for side in (task.queries, task.documents)]
    return Shape(sides[0], sides[1], float(np.mean(relevant)))


def task_weights(section: WeightsSection, tasks: Sequence[BenchmarkTask], mine: Shape | None) -> Floats:
    """Weigh the tasks as the config says, shape (T,), summing to 1.

    Args:
        section: Scheme and factors.
        tasks: Tasks that count.
        mine: What the texts of the user's task look like; without it `like-mine` weighs types of tasks alike.

    Raises:
        DataError: A factor names a task or type that does not count, or nothing is left.
    """
    kinds = Counter(task.kind for task in tasks)
    names = {task.name for task in tasks}
    for name in section.tasks:
        if name not in names:
            raise DataError(f"`weights.tasks`: '{name}' is not a ranked task; available: {', '.join(names)}")
    for kind in section.types:
        if kind not in kinds:
            raise DataError(
                f"`weights.types`: '{kind}' is not a ranked task type; available: {', '.join(sorted(kinds))}"
            )
    if section.scheme == "like-mine" and mine is not None:
        weights: Floats = like_mine(tasks, mine)
    else:
        alike = section.scheme == "equal"
        weights = np.array([1.0 if alike else 1 / kinds[task.kind] for task in tasks])
    factors = [section.tasks.get(task.name, 1.0) * section.types.get(task.kind, 1.0) for task in tasks]
    weights = weights * np.array(factors)
    if not weights.sum() > 0:
        raise DataError("all task weights are 0", hint="set at least one weight in `weights` above 0")
    return np.asarray(weights / weights.sum())


def rank(
    config: SelectConfig,
    catalogue: Catalogue,
    tasks: Sequence[BenchmarkTask],
    table: ScoreTable,
    mine: Shape | None,
) -> Standing:
    """Rank the models that fulfil the constraints and have scores.

    Raises:
        DataError: None is left.
    """
    weights = task_weights(config.weights, tasks, mine)
    counted = np.flatnonzero(weights)
    suspicious, incomparable = mark_suspicious(table.scores), mark_incomparable(table)
    fitting = {facts.name for facts in catalogue.fitting}
    present = [n for n, model in enumerate(table.models) if model in fitting]
    trained_on = _trained_on(config, [table.models[n] for n in present], table.tasks)
    scores = _adjusted(config, table, suspicious, trained_on)[:, counted]
    reasons = {table.models[n]: _reason(config, scores[n], trained_on[table.models[n]]) for n in present}
    rows = np.array([n for n in present if not reasons[table.models[n]]], dtype=np.int64)
    unknown = [model for model in table.models if model not in catalogue.facts]
    if not len(rows) and len(unknown) == len(table.models):
        raise DataError(
            (f"mteb has no metadata for {', '.join(map(repr, unknown[:5]))}, so `constraints` cannot be checked"),
            hint=(
                f"describe each model under `facts`, for example `facts: [{{name: {unknown[0]}, licence: apache-2.0}}]`"
            ),
        )
    if not len(rows):
        raise DataError(
            "no model meets the constraints and has a score for every ranked task",
            hint="relax `constraints`, list fewer `scores.tasks`, or set `scores.missing: worst`",
        )
    filled = np.where(np.isnan(scores), _lowest(scores), scores)[rows]
    # A missing score earns no points in Borda's count, as in mteb's; in the mean the lowest score stands in for it.
    points = borda_points(scores[rows]) if config.rank_by == "borda" else filled
    ranking = rank_models(
        points,
        weights=weights[counted],
        rng=np.random.default_rng(config.bootstrap.seed),
        confidence=config.bootstrap.confidence,
        resamples=config.bootstrap.resamples,
    )
    return Standing(
        names=tuple(table.models[n] for n in rows),
        tasks=tuple(tasks[int(n)] for n in counted),
        table=table,
        rows=rows,
        scores=filled,
        points=points,
        weights=weights[counted],
        ranking=ranking,
        trained_on=trained_on,
        suspicious=suspicious[np.ix_(rows, counted)],
        incomparable=incomparable[np.ix_(rows, counted)],
        left_out={name: reason for name, reason in reasons.items() if reason},
    )


def _lowest(scores: Floats) -> Floats:
    """Lowest score on each task, shape (T,); 0 where there is none."""
    empty = np.isnan(scores).all(axis=0)
    return np.asarray(np.nanmin(np.where(empty, 0.0, scores), axis=0))


def _trained_on(config: SelectConfig, names: Sequence[str], tasks: Sequence[str]) -> dict[str, frozenset[str] | None]:
    """Tasks that each model was trained on; what the config says of a model comes before what mteb says."""
    given = {
        section.name: frozenset(section.trained_on) & frozenset(tasks)
        for section in config.facts
        if section.trained_on is not None
    }
    known = seen_tasks([name for name in names if name not in given], tasks)
    return {name: given[name] if name in given else known.get(name) for name in names}


def _adjusted(
    config: SelectConfig,
    table: ScoreTable,
    suspicious: Bools,
    trained_on: Mapping[str, frozenset[str] | None],
) -> Floats:
    """Take out or lower the scores that the config does not trust, shape (models, tasks)."""
    scores = table.scores.copy()
    if config.scores.outliers == "drop":
        scores[suspicious] = np.nan
    if config.scores.trained_on == "discount":
        for n, model in enumerate(table.models):
            trained = [task in (trained_on.get(model) or ()) for task in table.tasks]
            scores[n, trained] *= 1 - _DISCOUNT
    return scores


def _reason(config: SelectConfig, scores: Floats, trained_on: frozenset[str] | None) -> str:
    """Why a model is not ranked; empty when it is."""
    missing = int(np.isnan(scores).sum())
    if missing == len(scores):
        return "no score for any ranked task"
    if config.scores.undisclosed == "drop" and trained_on is None:
        return "does not state its training data"
    if config.scores.trained_on == "exclude" and trained_on:
        return f"trained on {len(trained_on)} of the tasks"
    if missing and config.scores.missing == "leave-out":
        return f"no score on {missing} of {len(scores)} tasks"
    return ""
