"""What lies behind the numbers of an evaluation: slices, robustness, worst cases, rankings, results for mteb."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hrembed.data.personal import CANNOT_SEE, cleaned
from hrembed.data.redact import finder_of
from hrembed.errors import DataError
from hrembed.evaluation.cases import redacted, texts_of, without_texts, won_lost, worst_cases
from hrembed.evaluation.perturb import perturb
from hrembed.evaluation.slices import SHARED_WORDS, SliceSettings, score_slices, slice_labels
from hrembed.evaluation.task_result import SplitScores, write_task_results
from hrembed.evaluation.trec import write_run
from hrembed.files import file_name
from hrembed.metrics.agreement import rank_biased_overlap, top_overlap
from hrembed.models.dense import DenseEncoder
from hrembed.plots.eval import scores_chart
from hrembed.plots.svg import write_svg
from hrembed.records.base import write_record
from hrembed.records.cases import TaskCases
from hrembed.records.eval import Moved, Slices
from hrembed.scoring.retrieval import compare, groups_of, score_ranking, unit_of
from hrembed.scoring.systems import run_file
from hrembed.scoring.tasks import items_of
from hrembed.types import Task

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hrembed.config.eval import EvalConfig
    from hrembed.progress import Progress
    from hrembed.records.eval import EvalRecord
    from hrembed.runs.record import Run
    from hrembed.scoring.measures import Measures
    from hrembed.scoring.systems import System
    from hrembed.scoring.tasks import AnyTask
    from hrembed.types import Bools, Floats, Ranking

    Results = Mapping[str, Mapping[str, Measures]]

_TOP = 10


class Details(NamedTuple):
    """Parts of the record, and texts that stand in files of their own.

    Attributes:
        slices: Task -> what divides -> its slices.
        robustness: Task -> model -> change -> how far metric and ranking move.
        cases: Task -> worst queries of each model, and won and lost ones of each model against the first.
    """

    slices: dict[str, dict[str, Slices]]
    robustness: dict[str, dict[str, dict[str, Moved]]]
    cases: dict[str, TaskCases]


def details(
    systems: Sequence[System], tasks: Sequence[AnyTask], results: Results, config: EvalConfig, progress: Progress
) -> Details:
    """Work out everything beyond the scores, for tasks that rank documents.

    Raises:
        DataError: A slice is asked for that no query has.
        ModelError: A changed query cannot be embedded.
    """
    ranked = [task for task in tasks if isinstance(task, Task)]
    return Details(
        _slices(tasks, results, config, progress),
        _moves(ranked, systems, results, config, progress) if config.robustness.changes else {},
        _shown({task.name: _cases(task, results[task.name], config) for task in ranked}, config, progress)
        if config.worst
        else {},
    )


def work_behind(systems: Sequence[System], tasks: Sequence[AnyTask], config: EvalConfig) -> int:
    """Texts to embed: each changed query by each model."""
    queries = sum(len(task.queries) for task in tasks if isinstance(task, Task))
    return queries * len(config.robustness.changes) * sum(isinstance(s.encoder, DenseEncoder) for s in systems)


def _moves(
    tasks: Sequence[Task], systems: Sequence[System], results: Results, config: EvalConfig, progress: Progress
) -> dict[str, dict[str, dict[str, Moved]]]:
    with progress.bar("changed queries", sum(len(task.queries) for task in tasks)) as advance:
        moves = {}
        for task in tasks:
            moves[task.name] = _robustness(task, systems, results[task.name], config, progress)
            advance(len(task.queries), task.name)
        return moves


def _slices(
    tasks: Sequence[AnyTask], results: Results, config: EvalConfig, progress: Progress
) -> dict[str, dict[str, Slices]]:
    """Divide every task by what its items say; a field that no task has is noted."""
    slices: dict[str, dict[str, Slices]] = {}
    # A model that only finds the words of a query again must not pass for one that understands it: always shown.
    for by in dict.fromkeys([*config.slices.by, SHARED_WORDS]):
        absent = None
        for task in tasks:
            if by == SHARED_WORDS and not isinstance(task, Task):
                continue
            try:
                labels = slice_labels(_as_queries(task), by)
            except DataError as err:
                absent = err
                continue
            if any(label is not None for label in labels) and results[task.name]:
                least = 1 if by == SHARED_WORDS else config.slices.min_queries
                slices.setdefault(task.name, {})[by] = _slices_of(task, labels, results[task.name], config, least)
        if absent is not None and not any(by in divided for divided in slices.values()):
            progress.note(str(absent))
    return slices


def _as_queries(task: AnyTask) -> Task:
    return task if isinstance(task, Task) else Task(task.name, items_of(task), (), {})


def _slices_of(
    task: AnyTask, labels: Sequence[str | None], measures: Mapping[str, Measures], config: EvalConfig, least: int
) -> Slices:
    values = {model: next(iter(m.items.values())) for model, m in measures.items() if m.items}
    if not values:
        return Slices(rows=())
    groups, bootstrap = groups_of(task), config.bootstrap
    settings = SliceSettings(least, bootstrap.seed, unit_of(groups), bootstrap.confidence, bootstrap.resamples)
    return score_slices(values, labels, groups, settings)


def _robustness(
    task: Task,
    systems: Sequence[System],
    measures: Mapping[str, Measures],
    config: EvalConfig,
    progress: Progress,
) -> dict[str, dict[str, Moved]]:
    encoding = [system for system in systems if system.encoder is not None]
    moved: dict[str, dict[str, Moved]] = {system.name: {} for system in encoding}
    for change in config.robustness.changes:
        texts = [perturb(query.text, change, config.robustness.seed) for query in task.queries]
        changed = np.array([new != query.text for new, query in zip(texts, task.queries, strict=True)])
        queries = tuple(replace(query, text=new) for query, new in zip(task.queries, texts, strict=True))
        for system in encoding:
            if not changed.any():  # `plural` in a task without titles, say
                moved[system.name][change] = Moved(changed=0)
                continue
            ranking = system.rank(replace(task, queries=queries), config, progress)
            moved[system.name][change] = _moved(task, measures[system.name], ranking, changed, config)
    return moved


def _moved(task: Task, plain: Measures, ranking: Ranking, changed: Bools, config: EvalConfig) -> Moved:
    """Compare the queries that were changed with themselves."""
    headline = plain.headline
    new = score_ranking(task, ranking, [headline])[headline]
    groups = [group for group, moved in zip(groups_of(task), changed, strict=True) if moved]
    if plain.ranking is None:
        return Moved(changed=0)
    before, after = plain.ranking.documents[changed], ranking.documents[changed]
    return Moved(
        changed=len(groups),
        difference=compare(new[changed], plain.items[headline][changed], groups, config.bootstrap).estimate,
        rank_biased_overlap=float(rank_biased_overlap(before, after).mean()),
        top_overlap=float(top_overlap(before, after, min(_TOP, before.shape[1])).mean()),
    )


def _cases(task: Task, measures: Mapping[str, Measures], config: EvalConfig) -> TaskCases:
    values = {model: each.items[each.headline] for model, each in measures.items()}
    rankings = {model: each.ranking for model, each in measures.items() if each.ranking is not None}
    first, *others = rankings
    return TaskCases(
        worst={
            model: tuple(worst_cases(task, ranking, values[model], n=config.worst))
            for model, ranking in rankings.items()
        },
        won_and_lost={
            f"{model} against {first}": won_lost(
                task, values[model], values[first], rankings[model], rankings[first], n=config.worst
            )
            for model in others
        },
    )


def _shown(cases: dict[str, TaskCases], config: EvalConfig, progress: Progress) -> dict[str, TaskCases]:
    """Leave ids alone, or, where texts are asked for, redact them."""
    if not config.show_text:
        return {task: without_texts(of_task) for task, of_task in cases.items()}
    finder = finder_of(text for of_task in cases.values() for text in texts_of(of_task))
    progress.note(f"cases.json contains redacted text: {CANNOT_SEE}")
    return {task: redacted(of_task, lambda text: cleaned(text, finder)) for task, of_task in cases.items()}


def write_details(
    run: Run, tasks: Sequence[AnyTask], results: Results, behind: Details, seconds: Mapping[str, Mapping[str, float]]
) -> None:
    """Write `cases.json`, TREC runs below `trec/`, and results as mteb keeps them below `mteb/`.

    Raises:
        HrembedError: A file cannot be written.
    """
    if behind.cases:
        write_record(run.path / "cases.json", behind.cases)
    for task in tasks:
        for model, measures in results[task.name].items():
            if isinstance(task, Task) and measures.ranking is not None:
                place = run.path / "trec" / file_name(model) / run_file(task.name)
                write_run(place, task, measures.ranking, file_name(model))
    names = _mteb_names(tasks, run)
    for model in dict.fromkeys(model for models in results.values() for model in models):
        rows = [
            _split_scores(task, names[task.name], results[task.name][model], run, seconds[task.name][model])
            for task in tasks
            if model in results[task.name]
        ]
        write_task_results(run.path / "mteb", model, file_name(run.manifest.models[model].identity), rows)


def draw(run: Run, record: EvalRecord) -> None:
    """Draw every model on every task into `scores.svg`.

    Raises:
        HrembedError: The file cannot be written.
    """
    alt = "Dots with intervals: headline metric of every model on every task."
    write_svg(run.path / "scores.svg", scores_chart(record), alt)


def _mteb_names(tasks: Sequence[AnyTask], run: Run) -> dict[str, str]:
    """Name of each task without its split, which mteb keeps inside; other data under the same name get their hash.

    Two files of one folder, `jobs/titles.jsonl` and `jobs/skills.jsonl`, would else be two splits of a task `jobs`.
    """
    names = {task.name: file_name(task.name.partition("/")[0]) for task in tasks}
    hashes = {name: run.manifest.inputs[name].sha256 for name in names}
    shared = {base for base in names.values() if len({hashes[name] for name in names if names[name] == base}) > 1}
    return {name: f"{base}-{hashes[name][:8]}" if base in shared else base for name, base in names.items()}


def _split_scores(task: AnyTask, name: str, measures: Measures, run: Run, seconds: float) -> SplitScores:
    split = task.name.partition("/")[2]
    means = {metric: _mean(values) for metric, values in measures.items.items()}
    return SplitScores(
        task=name,
        split=split or "test",
        data_hash=run.manifest.inputs[task.name].sha256,
        scores={**means, **{metric: drawn.value for metric, drawn in measures.drawn.items()}},
        main="v-measure" if "v-measure" in measures.drawn else measures.headline,  # mteb's own main score
        seconds=seconds,
    )


def _mean(values: Floats) -> float:
    return float("nan") if np.isnan(values).all() else float(np.nanmean(values))
