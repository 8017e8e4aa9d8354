"""After a training: how much of it is kept, what it gained on tasks that chose nothing, and what it lost elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from hrembed.config.eval import CompareSection, EvalConfig
from hrembed.metrics.verdicts import verdict_words
from hrembed.progress import Silent
from hrembed.records import base as records
from hrembed.reports.estimates import as_json, format_estimate, nulls_to_nan
from hrembed.scoring.comparisons import correct_family, estimates, paired_tests
from hrembed.scoring.measures import measure
from hrembed.scoring.systems import System
from hrembed.scoring.tasks import items_of, open_tasks

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from hrembed.config.finetune import FinetuneConfig
    from hrembed.config.proof import ProofSection
    from hrembed.progress import Advance, Progress
    from hrembed.runs.record import Run
    from hrembed.scoring.measures import Measures
    from hrembed.scoring.tasks import AnyTask
    from hrembed.types import Encoder, Task


class Tasks(NamedTuple):
    """What a proof is measured on.

    Attributes:
        dev: The task that also chose the checkpoint.
        tests: Tasks that chose nothing.
        retention: Tasks outside of hiring.
    """

    dev: Task
    tests: Sequence[AnyTask]
    retention: Sequence[AnyTask]


class Point(NamedTuple):
    """One strength.

    Attributes:
        strength: 0 is the base, 1 the tuned model.
        dev: Score on the dev task, an entry of `metrics.json`.
        retention: Task to its score.
        lost: Task to how much lower the score is than the base's; negative where it rose.
    """

    strength: float
    dev: Mapping[str, Any]
    retention: Mapping[str, Mapping[str, Any]]
    lost: Mapping[str, float]


def open_proof(config: FinetuneConfig, dev: Task, run: Run) -> Tasks:
    """Read the tasks before the training, so that a wrong path is told before hours of work.

    Raises:
        DataError: One is missing or malformed.
    """
    tests = open_tasks(config.proof.tests, run, taken=[dev.name])
    taken = [dev.name, *(task.name for task in tests)]
    return Tasks(dev, tests, open_tasks(config.proof.retention, run, taken=taken))


def sweep(
    config: FinetuneConfig, tasks: Tasks, encoder_at: Callable[[float], Encoder], progress: Progress
) -> list[Point]:
    """Score dev task and retention at every strength of the config, at 0 and at 1; none where the config has none.

    Args:
        config: Strengths, and how intervals are made.
        tasks: What is measured on.
        encoder_at: Gives the model at a strength; only the one given last is used.
        progress: Told what advances.
    """
    settings = as_eval(config)
    points: list[Point] = []
    strengths = sorted({0.0, *config.proof.strengths, 1.0}) if config.proof.strengths else []
    with progress.bar("strengths", len(strengths)) as advance:
        for strength in strengths:
            system = System(f"strength {strength:g}", encoder_at(strength))
            dev = _headline(system, tasks.dev, settings)
            kept = {task.name: _headline(system, task, settings) for task in tasks.retention}
            base = points[0].retention if points else kept
            lost = {name: base[name]["value"] - entry["value"] for name, entry in kept.items()}
            points.append(Point(strength, dev, kept, lost))
            advance(1, system.name)
    return points


def choose_strength(points: Sequence[Point], proof: ProofSection) -> float:
    """Choose what becomes the model.

    The rule of `auto` looks at the mean loss, not at the end of its interval: with a small probe that end lies beyond
    any useful limit even for the base against itself, and nothing would ever be kept. Test tasks have no say. Where
    even the smallest strength loses more, that one is taken: a base model under a new name would be no answer.
    """
    if proof.strength != "auto":
        return float(proof.strength)
    above = [point for point in points if point.strength > 0]
    if not above:
        return 1.0
    within = [point.strength for point in above if all(loss <= proof.max_loss for loss in point.lost.values())]
    return max(within, default=above[0].strength)


def prove(config: FinetuneConfig, tasks: Tasks, base: Encoder, tuned: Encoder, progress: Progress) -> dict[str, Any]:
    """Compare base and tuned model on the test tasks and on the retention tasks, two families of comparisons.

    Returns:
        `tests` and `retention`: rows of paired differences, with both scores; empty without tasks.
    """
    settings, sides = as_eval(config), {"base": base, "tuned": tuned}
    with progress.bar("proof", len(tasks.tests) + len(tasks.retention)) as advance:
        families = (("tests", tasks.tests), ("retention", tasks.retention))
        return {family: compared(side, sides, settings, advance) for family, side in families}


def compared(
    tasks: Sequence[AnyTask], sides: Mapping[str, Encoder], settings: EvalConfig, advance: Advance
) -> list[dict[str, Any]]:
    """Compare the second model with the first on every task, one family of comparisons.

    Args:
        tasks: What is measured on.
        sides: Two models by name; the scores of a row stand under these names.
        settings: Metric, and how intervals are made.
        advance: Told about every task.

    Returns:
        One row per task: the paired difference, second - first, with both scores.
    """
    results, groups = {}, {task.name: _groups(task) for task in tasks}
    for task in tasks:
        systems = [System(name, encoder) for name, encoder in sides.items()]
        results[task.name] = {system.name: measure(system, task, settings, Silent()) for system in systems}
        advance(1, task.name)
    tests = [test for name, found in results.items() for test in paired_tests(name, found, groups[name], settings)]
    return [
        {**nulls_to_nan(records.as_json(row)), **_scores(results[row.task], groups[row.task], settings)}
        for row in correct_family(tests, settings.compare, settings.bootstrap)
    ]


def _scores(results: Mapping[str, Measures], groups: Sequence[str], settings: EvalConfig) -> dict[str, Any]:
    return {
        name: as_json(estimates(found, groups, settings.bootstrap)[found.headline]) for name, found in results.items()
    }


def _headline(system: System, task: AnyTask, settings: EvalConfig) -> dict[str, Any]:
    found = measure(system, task, settings, Silent())
    return as_json(estimates(found, _groups(task), settings.bootstrap)[found.headline])


def _groups(task: AnyTask) -> list[str]:
    return [item.group for item in items_of(task)]


def as_eval(config: FinetuneConfig) -> EvalConfig:
    """Settings under which `eval` would measure the same."""
    compare = CompareSection(pairs="reference", delta=config.delta)
    return EvalConfig(models=(config.model,), metrics=(config.metric,), compare=compare, bootstrap=config.bootstrap)


def points_json(points: Sequence[Point]) -> list[dict[str, Any]]:
    """Write a sweep as it stands in `metrics.json`."""
    return [{**point._asdict(), "lost": dict(point.lost)} for point in points]


def proof_tables(metrics: Mapping[str, Any], delta: float) -> dict[str, list[dict[str, str]]]:
    """What a person reads: tests, what was lost, the strengths."""
    tables = {}
    for title, family in (("Test tasks, base against tuned", "tests"), ("Outside of hiring", "retention")):
        if metrics[family]:
            tables[title] = [comparison_row(entry, delta) for entry in metrics[family]]
    if metrics["strengths"]:
        chosen = metrics["strength"]
        tables[f"How much of the training is kept (chosen: {chosen:g})"] = [
            {
                "strength": f"{point['strength']:g}",
                "dev": format_estimate(point["dev"]),
                **{name: format_estimate(entry) for name, entry in point["retention"].items()},
            }
            for point in metrics["strengths"]
        ]
    return tables


def comparison_row(
    entry: Mapping[str, Any], delta: float, sides: tuple[str, str] = ("base", "tuned")
) -> dict[str, str]:
    """Write a row of `compared` for a table, the scores of both sides under their names."""
    return {
        "task": entry["task"],
        "metric": entry["metric"],
        **{side: format_estimate(entry[side]) for side in sides},
        "difference": format_estimate(entry["difference"], sign=True),
        "p (Holm)": "" if np.isnan(entry["p_holm"]) else f"{entry['p_holm']:.4f}",
        "verdict": verdict_words(entry["verdict"], delta),
    }
