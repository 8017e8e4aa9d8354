"""`hrembed eval`: models on tasks, with baselines, intervals, paired comparisons, and what lies behind them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from hrembed.commands.eval.conclusion import conclusion_of
from hrembed.commands.eval.details import details, draw, work_behind, write_details
from hrembed.commands.eval.tables import DETAILS, tables_of
from hrembed.errors import DataError
from hrembed.models.dense import DenseEncoder
from hrembed.models.lexical import Bm25
from hrembed.records.eval import EvalRecord, EvalTimings, TaskFacts
from hrembed.runs.record import open_run
from hrembed.scoring.comparisons import correct_family, estimates, paired_tests
from hrembed.scoring.encoders import pinned, usage_of, use_of
from hrembed.scoring.leaks import leak_warnings, model_leaks
from hrembed.scoring.measures import measure
from hrembed.scoring.retrieval import groups_of, unit_of
from hrembed.scoring.systems import open_systems
from hrembed.scoring.tasks import items_of, kind_of, open_tasks, texts_in
from hrembed.text import counted
from hrembed.types import CommandResult, LabelTask, Task

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hrembed.commands.eval.details import Details
    from hrembed.config.eval import EvalConfig
    from hrembed.progress import Progress
    from hrembed.records.manifest import Scoring
    from hrembed.records.usage import EndpointUsage
    from hrembed.runs.record import Run
    from hrembed.runs.workspace import Workspace
    from hrembed.scoring.leaks import Leaks
    from hrembed.scoring.measures import Measures
    from hrembed.scoring.systems import System
    from hrembed.scoring.tasks import AnyTask

    Results = dict[str, dict[str, Measures]]  # task -> model -> measures

_PHASES = (_READ, _SCORE, _LOOK, _COMPARE) = ("read tasks and models", "score", "look behind the scores", "compare")
_LEXICAL = 50  # times as fast as a model, about
_UNDECIDED = 0.5  # share of the queries from which a model is named that cannot tell documents apart


def run_evaluate(config: EvalConfig, workspace: Workspace) -> CommandResult[EvalRecord]:
    """Score every model on every task.

    The first model is the reference; baselines take part like models. Tasks of hiring and tasks of retention are two
    families of comparisons, each corrected for itself.

    Args:
        config: Validated settings.
        workspace: Where runs go, and who receives progress updates.

    Returns:
        Tables of scores and differences; the numbers are in `metrics.json`, those of each item in `per_query.parquet`.

    Raises:
        HrembedError: Data or models are not usable.
    """
    config = config.model_copy(update={"models": tuple(pinned(section, workspace) for section in config.models)})
    seeds = {"bootstrap": config.bootstrap.seed, "robustness": config.robustness.seed}
    with open_run(workspace, "eval", config.model_dump(mode="json"), seeds=seeds, phases=_PHASES) as run:
        run.phases.begin(_READ)
        tasks = open_tasks(config.tasks, run)
        retention = open_tasks(config.retention, run, taken=[task.name for task in tasks])
        systems = open_systems(config, [*tasks, *retention], run)
        run.phases.expect(
            {
                _SCORE: sum(_work(system, task) for task in (*tasks, *retention) for system in systems),
                _LOOK: work_behind(systems, [*tasks, *retention], config),
            }
        )
        run.phases.begin(_SCORE)
        results, seconds = _measure_all(systems, [*tasks, *retention], config, workspace.progress)
        run.phases.begin(_LOOK)
        behind = details(systems, tasks, results, config, workspace.progress)
        run.phases.begin(_COMPARE)
        leaks, leaking = _leaks(systems, [*tasks, *retention], config, run)
        warnings = [
            *_task_warnings([*tasks, *retention]),
            *leaking,
            *_undecided_warnings([*tasks, *retention], results),
            *_whole_vector_warnings([*tasks, *retention], systems),
        ]
        for warning in warnings:
            run.warn(warning)
        record = _record(results, tasks, retention, behind, config, leaks, warnings, _scorings(systems))
        run.write_table("per_query", _columns(results, [*tasks, *retention]))
        write_details(run, [*tasks, *retention], results, behind, seconds)
        run.write_timings(EvalTimings(seconds=seconds, usage=_usage(systems, workspace.progress)))
        run.write_metrics(record)
        draw(run, record)
        notice = run.conclude(conclusion_of(record, config))
    return CommandResult(str(run.path), "ok", record, tables_of(record, config), notice=notice, details=DETAILS)


def _measure_all(
    systems: Sequence[System], tasks: Sequence[AnyTask], config: EvalConfig, progress: Progress
) -> tuple[Results, dict[str, dict[str, float]]]:
    """Measure each model on each task, and how many seconds it took.

    Raises:
        DataError: A task needs vectors, and no model has any.
    """
    for task in tasks:
        if not any(_takes_part(system, task) for system in systems):
            raise DataError(
                f"{task.name} requires an embedding model, but none is configured",
                hint="add an embedding model; tfidf works as a lexical baseline",
            )
    results: Results = {task.name: {} for task in tasks}
    seconds: dict[str, dict[str, float]] = {task.name: {} for task in tasks}
    total = sum(_work(system, task) for task in tasks for system in systems)
    with progress.bar("texts", total) as advance:
        for task in tasks:
            for system in systems:
                if _takes_part(system, task):
                    started = time.perf_counter()
                    results[task.name][system.name] = measure(system, task, config, progress)
                    seconds[task.name][system.name] = round(time.perf_counter() - started, 3)
                advance(_work(system, task), f"{system.name} on {task.name}")
    return results, seconds


def _work(system: System, task: AnyTask) -> int:
    """Texts to embed, by which the time to come is estimated; counting words takes hardly any."""
    if not _takes_part(system, task) or system.encoder is None:
        return 0
    return texts_in(task) if isinstance(system.encoder, DenseEncoder) else max(1, texts_in(task) // _LEXICAL)


def _takes_part(system: System, task: AnyTask) -> bool:
    """Whether a model can be scored on a task; BM25 has no vectors."""
    bm25 = isinstance(system.encoder, Bm25)
    return not (bm25 and kind_of(task) in {"classification", "clustering"})


def _leaks(
    systems: Sequence[System], tasks: Sequence[AnyTask], config: EvalConfig, run: Run
) -> tuple[dict[str, Leaks], list[str]]:
    """Compare the tasks with the training data of models that `finetune` trained, and say what occurs there."""
    leaks: dict[str, Leaks] = {}
    warnings = []
    for section, system in zip(config.models, systems, strict=False):  # baselines follow, which are not trained
        of_model, missing = model_leaks(section.ref, run.root, tasks, run.progress)
        warnings += [f"{system.name}: {each}" for each in missing]
        if of_model:
            leaks[system.name] = of_model
            warnings += leak_warnings(of_model, system.name)
    return leaks, warnings


def _task_warnings(tasks: Sequence[AnyTask]) -> list[str]:
    return [warning for task in tasks for warning in task.warnings]


def _undecided_warnings(tasks: Sequence[AnyTask], results: Results) -> list[str]:
    """Name models that give all documents of many queries the same score, whose order is then chance."""
    warnings = []
    for task in tasks:
        for model, measures in results[task.name].items():
            undecided, queries = measures.facts.undecided or 0, len(items_of(task))
            if undecided < _UNDECIDED * queries:
                continue
            if isinstance(task, LabelTask):
                warnings.append(
                    f"{task.name}: {model} finds no word of {undecided:,} of {queries:,} texts in any other text, "
                    "so it cannot predict their labels; this is common for languages that do not separate words "
                    "with spaces"
                )
            else:
                warnings.append(
                    f"{task.name}: {model} gives all documents the same score for {undecided:,} of {queries:,} "
                    "queries, so their order is arbitrary. Lexical baselines do this when texts share no words "
                    "with the query, or do not separate words with spaces"
                )
    return warnings


def _scorings(systems: Sequence[System]) -> dict[str, Scoring]:
    """Models that score by more than the cosine of whole vectors."""
    found = {system.name: use_of(system.encoder) for system in systems}
    return {name: use.scoring for name, use in found.items() if use is not None and use.scoring is not None}


def _whole_vector_warnings(tasks: Sequence[AnyTask], systems: Sequence[System]) -> list[str]:
    """Name tasks that are not ranked, on which a scoring changes nothing."""
    return [
        f"{task.name}: {name} is measured by whole vectors; its `score` is for tasks that rank documents"
        for task in tasks
        if not isinstance(task, Task)
        for name in _scorings(systems)
    ]


def _record(
    results: Results,
    tasks: Sequence[AnyTask],
    retention: Sequence[AnyTask],
    behind: Details,
    config: EvalConfig,
    leaks: dict[str, Leaks],
    warnings: Sequence[str],
    scorings: dict[str, Scoring],
) -> EvalRecord:
    every = [*tasks, *retention]
    families = {
        name: [test for task in side for test in paired_tests(task.name, results[task.name], groups_of(task), config)]
        for name, side in (("tasks", tasks), ("retention", retention))
    }
    return EvalRecord(
        confidence=config.bootstrap.confidence,
        delta=config.compare.delta,
        kinds={
            task.name: TaskFacts(kind=kind_of(task), items=len(items_of(task)), unit=unit_of(groups_of(task)))
            for task in every
        },
        retention=tuple(task.name for task in retention),
        headlines={task.name: next(iter(results[task.name].values())).headline for task in every},
        scores={
            task.name: {
                model: estimates(measures, groups_of(task), config.bootstrap)
                for model, measures in results[task.name].items()
            }
            for task in every
        },
        facts={task.name: {model: measures.facts for model, measures in results[task.name].items()} for task in every},
        differences=tuple(
            comparison
            for tests in families.values()
            for comparison in correct_family(tests, config.compare, config.bootstrap)
        ),
        families={name: len(tests) for name, tests in families.items()},
        slices=behind.slices,
        robustness=behind.robustness,
        scorings=scorings,
        leaks=leaks,
        warnings=tuple(warnings),
    )


def _usage(systems: Sequence[System], progress: Progress) -> dict[str, EndpointUsage]:
    """Gather what endpoints counted, and note it."""
    usages = {}
    for system in systems:
        usage = usage_of(system.encoder)
        if usage is not None:
            cost = "" if usage.cost is None else f", cost {usage.cost:.4f}"
            progress.note(f"{system.name}: {counted(usage.requests, 'request')}, {usage.tokens} tokens{cost}")
            usages[system.name] = usage
    return usages


def _columns(results: Results, tasks: Sequence[AnyTask]) -> dict[str, list[str] | list[float]]:
    """One row for each task, model and item; a metric that a task does not have is undefined there."""
    every = [measures for task in tasks for measures in results[task.name].values()]
    names = dict.fromkeys(name for measures in every for name in (*measures.items, *measures.columns))
    texts: dict[str, list[str]] = {name: [] for name in ("task", "model", "query", "group")}
    numbers: dict[str, list[float]] = {name: [] for name in names}
    for task in tasks:
        items = items_of(task)
        for model, measures in results[task.name].items():
            texts["task"] += [task.name] * len(items)
            texts["model"] += [model] * len(items)
            texts["query"] += [item.id for item in items]
            texts["group"] += [item.group for item in items]
            values = {**measures.items, **measures.columns}
            for name, column in numbers.items():
                column += values[name].tolist() if name in values else [float("nan")] * len(items)
    return {**texts, **numbers}
