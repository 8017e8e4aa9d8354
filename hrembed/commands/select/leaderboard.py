"""The part of `hrembed select` that needs no model: facts, constraints, scores, ranking."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hrembed.data.locate import locate
from hrembed.errors import DataError
from hrembed.models.refs import CATALOGUE
from hrembed.selection.benchmark import BenchmarkTask, Shape, benchmark_tasks, like_mine, named_tasks
from hrembed.selection.facts import Facts, Limits, broken_limits, registry_facts, seen_tasks
from hrembed.selection.ranking import borda_points, rank_models
from hrembed.selection.read_scores import read_eval_run, read_results_dir, read_scores
from hrembed.selection.refresh import refreshed_scores
from hrembed.selection.scores import incomparable, suspicious, tabulate

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hrembed.config.select import SelectConfig
    from hrembed.runs.record import Run
    from hrembed.selection.ranking import Ranking
    from hrembed.selection.scores import ScoreRow, ScoreTable
    from hrembed.types import Bools, Floats, Ints, Task


class Catalogue(NamedTuple):
    """Models and what they fulfil.

    Attributes:
        facts: Name to facts, of mteb and of the config.
        broken: Name to the constraints that it breaks.
        own: Names that only the config knows.
    """

    facts: Mapping[str, Facts]
    broken: Mapping[str, Sequence[str]]
    own: frozenset[str]

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
        seen: Model to the tasks it was trained on; None where it does not say.
        odd: Scores that fit neither model nor task, shape (M, T).
        wrong: Scores of a version known to be wrong, shape (M, T).
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
    seen: Mapping[str, frozenset[str] | None]
    odd: Bools
    wrong: Bools
    left_out: Mapping[str, str]


def open_catalogue(config: SelectConfig) -> Catalogue:
    """Read the facts, and hold every model against the constraints."""
    facts = {found.name: found for found in registry_facts()}
    own = set()
    for section in config.facts:
        given = {name: value for name, value in section.model_dump().items() if value is not None}
        for name in ("languages", "trained_on"):
            if name in given:
                given[name] = frozenset(given[name])
        if section.name not in facts:
            own.add(section.name)
        facts[section.name] = replace(facts.get(section.name, Facts(section.name)), **given)
    asked = config.constraints.model_dump()
    asked.pop("max_ms_per_text")
    limits = Limits(**asked)
    return Catalogue(facts, {name: broken_limits(found, limits) for name, found in facts.items()}, frozenset(own))


def shape_of(task: Task) -> Shape:
    """What the texts of a task look like, counted as mteb counts its own."""
    relevant = [sum(grade > 0 for grade in task.qrels[query.id].values()) for query in task.queries]
    sides = [float(np.mean([len(text.text) for text in side])) for side in (task.queries, task.documents)]
    return Shape(sides[0], sides[1], float(np.mean(relevant)))


def open_scores(config: SelectConfig, run: Run) -> tuple[tuple[BenchmarkTask, ...], ScoreTable] | None:
    """Read the scores of all sources; None where there is none.

    Raises:
        DataError: A source is not usable.
    """
    scores = config.scores
    named = [run_folder(run.root, name) for name in scores.runs]
    file = None if scores.path or scores.results_dir or named else refreshed_scores()
    if not (scores.path or scores.results_dir or named or file):
        return None
    tasks = named_tasks(scores.tasks, scores.benchmark) if scores.tasks else []
    tasks = tasks or benchmark_tasks(scores.benchmark, scores.task_types)
    rows: list[ScoreRow] = []
    wanted = {task.name for task in tasks}
    for folder in named:
        run.add_input(folder.name, folder / "metrics.json")
        rows += read_eval_run(folder, CATALOGUE)
    own = sorted({row.task for row in rows} - wanted)
    only_own = named and not (scores.path or scores.results_dir or scores.tasks)
    tasks = [*([] if only_own else tasks), *(BenchmarkTask(name, "own") for name in own)]
    source = scores.path or scores.results_dir
    if source:
        path = locate(source)
        run.add_input("scores", path)
        rows += read_scores(path, wanted, scores.unit) if scores.path else read_results_dir(path, wanted)
    elif file is not None:
        run.add_input("scores", file)
        rows += read_scores(file, wanted)
    tasks = sorted(tasks, key=lambda task: task.name)
    origin = source or (str(file) if file else ", ".join(scores.runs))
    return tuple(tasks), tabulate(rows, tasks, origin)


def run_folder(runs_dir: Path, name: str) -> Path:
    """Find an eval run by its id, by `latest`, or by its folder.

    Raises:
        DataError: There is none.
    """
    root = runs_dir / "eval"
    present = sorted(file.parent.name for file in root.glob("*/metrics.json"))
    if name == "latest" and present:
        return root / present[-1]
    if name in present:
        return root / name
    if Path(name).is_dir():
        return Path(name)
    raise DataError(f"there is no finished eval run '{name}' in '{root}'", hint="run `hrembed eval` first")


def task_weights(config: SelectConfig, tasks: Sequence[BenchmarkTask], mine: Shape | None) -> Floats:
    """Weigh the tasks as the config says, shape (T,), summing to 1.

    Raises:
        DataError: A factor names a task or type that does not count, or nothing is left.
    """
    section = config.weights
    kinds = Counter(task.kind for task in tasks)
    names = {task.name for task in tasks}
    for name in section.tasks:
        if name not in names:
            raise DataError(f"`weights.tasks` names '{name}', which does not count; those that do: {', '.join(names)}")
    for kind in section.types:
        if kind not in kinds:
            raise DataError(f"`weights.types` names '{kind}'; the types that count are {', '.join(sorted(kinds))}")
    if section.scheme == "like-mine" and mine is not None:
        weights: Floats = like_mine(tasks, mine)
    else:
        alike = section.scheme == "equal"
        weights = np.array([1.0 if alike else 1 / kinds[task.kind] for task in tasks])
    factors = [section.tasks.get(task.name, 1.0) * section.types.get(task.kind, 1.0) for task in tasks]
    weights = weights * np.array(factors)
    if not weights.sum() > 0:
        raise DataError("every task has the weight 0", hint="give at least one a weight in `weights`")
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
    weights = task_weights(config, tasks, mine)
    columns = np.flatnonzero(weights)
    odd, wrong = suspicious(table.scores), incomparable(table)
    fits = {facts.name for facts in catalogue.fitting}
    present = [n for n, model in enumerate(table.models) if model in fits]
    seen = _seen(config, catalogue, [table.models[n] for n in present], table.tasks)
    scores = _adjusted(config, table, odd, wrong, seen)[:, columns]
    reasons = {table.models[n]: _reason(config, scores[n], seen[table.models[n]]) for n in present}
    rows = np.array([n for n in present if not reasons[table.models[n]]], dtype=np.int64)
    if not len(rows):
        raise DataError(
            "no model fulfils the constraints and has a score on every task that counts",
            hint="loosen `constraints`, name fewer `scores.tasks`, or set `scores.missing: worst`",
        )
    filled = np.where(np.isnan(scores), _lowest(scores), scores)[rows]
    # A missing score earns no points in Borda's count, as in mteb's; in the mean the lowest score stands in for it.
    points = borda_points(scores[rows]) if config.rank_by == "borda" else filled
    ranking = rank_models(
        points,
        weights=weights[columns],
        rng=np.random.default_rng(config.bootstrap.seed),
        confidence=config.bootstrap.confidence,
        resamples=config.bootstrap.resamples,
    )
    marks = odd[np.ix_(rows, columns)], wrong[np.ix_(rows, columns)]
    used, names = tuple(tasks[int(n)] for n in columns), tuple(table.models[n] for n in rows)
    left_out = {name: reason for name, reason in reasons.items() if reason}
    return Standing(names, used, table, rows, filled, points, weights[columns], ranking, seen, *marks, left_out)


def _lowest(scores: Floats) -> Floats:
    """Lowest score on each task, shape (T,); 0 where there is none."""
    empty = np.isnan(scores).all(axis=0)
    return np.asarray(np.nanmin(np.where(empty, 0.0, scores), axis=0))


def _seen(
    config: SelectConfig, catalogue: Catalogue, names: Sequence[str], tasks: Sequence[str]
) -> dict[str, frozenset[str] | None]:
    """What each model was trained on; what the config says of one comes before what mteb says."""
    given = {section.name: section.trained_on for section in config.facts}
    known = seen_tasks([name for name in names if given.get(name) is None], tasks)
    return {
        name: known.get(name) if given.get(name) is None else frozenset(given[name] or ()) & frozenset(tasks)
        for name in names
    }


def _adjusted(
    config: SelectConfig,
    table: ScoreTable,
    odd: Bools,
    wrong: Bools,
    seen: Mapping[str, frozenset[str] | None],
) -> Floats:
    """Take out or lower the scores that the config does not trust, shape (models, tasks)."""
    scores = table.scores.copy()
    if config.scores.outliers == "drop":
        scores[odd] = np.nan
    if config.scores.incomparable == "drop":
        scores[wrong] = np.nan
    if config.scores.trained_on == "discount":
        for n, model in enumerate(table.models):
            trained = [task in (seen.get(model) or ()) for task in table.tasks]
            scores[n, trained] *= 1 - config.scores.discount
    return scores


def _reason(config: SelectConfig, scores: Floats, seen: frozenset[str] | None) -> str:
    """Say why a model is not ranked, or give an empty text."""
    missing = int(np.isnan(scores).sum())
    if missing == len(scores):
        return "no score that counts"
    if config.scores.undisclosed == "drop" and seen is None:
        return "does not say what it was trained on"
    if config.scores.trained_on == "exclude" and seen:
        return f"trained on {len(seen)} of the tasks"
    if missing and config.scores.missing == "leave-out":
        return f"no score on {missing} of {len(scores)} tasks"
    return ""
