"""After a training: how much of it is kept, what it gained on tasks that chose nothing, and what it lost elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from hrembed.config.eval import CompareSection, EvalConfig
from hrembed.progress import Silent
from hrembed.records.finetune import StrengthPoint, TunedComparison
from hrembed.scoring.comparisons import correct_family, estimates, paired_tests
from hrembed.scoring.measures import measure
from hrembed.scoring.systems import System
from hrembed.scoring.tasks import items_of, open_tasks

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hrembed.config.finetune import FinetuneConfig
    from hrembed.config.proof import ProofSection
    from hrembed.progress import Advance, Progress
    from hrembed.records.eval import Comparison
    from hrembed.runs.record import Run
    from hrembed.scoring.measures import Measures
    from hrembed.scoring.tasks import AnyTask
    from hrembed.types import Encoder, Estimate, Task


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


class Proof(NamedTuple):
    """Tuned model against base, two families of comparisons.

    Attributes:
        tests: On each test task.
        retention: On each task outside of hiring.
    """

    tests: tuple[TunedComparison, ...]
    retention: tuple[TunedComparison, ...]


class Compared(NamedTuple):
    """Two models on one task.

    Attributes:
        comparison: The second against the first.
        first: Score of the first.
        second: Score of the second.
    """

    comparison: Comparison
    first: Estimate
    second: Estimate


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
) -> list[StrengthPoint]:
    """Score dev task and retention at every strength of the config, at 0 and at 1; none where the config has none.

    Args:
        config: Strengths, and how intervals are made.
        tasks: What is measured on.
        encoder_at: Gives the model at a strength; only the one given last is used.
        progress: Receives progress updates.
    """
    settings = as_eval(config)
    points: list[StrengthPoint] = []
    strengths = sorted({0.0, *config.proof.strengths, 1.0}) if config.proof.strengths else []
    with progress.bar("strengths", len(strengths)) as advance:
        for strength in strengths:
            system = System(f"strength {strength:g}", encoder_at(strength))
            dev = _headline(system, tasks.dev, settings)
            retention = {task.name: _headline(system, task, settings) for task in tasks.retention}
            base = points[0].retention if points else retention
            lost = {name: base[name].value - score.value for name, score in retention.items()}
            points.append(StrengthPoint(strength=strength, dev=dev, retention=retention, lost=lost))
            advance(1, system.name)
    return points


def choose_strength(points: Sequence[StrengthPoint], proof: ProofSection) -> float:
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


def prove(config: FinetuneConfig, tasks: Tasks, base: Encoder, tuned: Encoder, progress: Progress) -> Proof:
    """Compare base and tuned model on the test tasks and on the retention tasks, two families of comparisons."""
    settings, models = as_eval(config), (System("base", base), System("tuned", tuned))

    def compare_family(family: Sequence[AnyTask], advance: Advance) -> tuple[TunedComparison, ...]:
        rows = compare_on(family, *models, settings, advance)
        return tuple(TunedComparison(**dict(row.comparison), base=row.first, tuned=row.second) for row in rows)

    with progress.bar("proof", len(tasks.tests) + len(tasks.retention)) as advance:
        return Proof(compare_family(tasks.tests, advance), compare_family(tasks.retention, advance))


def compare_on(
    tasks: Sequence[AnyTask], first: System, second: System, settings: EvalConfig, advance: Advance
) -> list[Compared]:
    """Compare two models on every task, one family of comparisons.

    Args:
        tasks: What is measured on.
        first: The reference.
        second: The candidate.
        settings: Metric, and how intervals are made.
        advance: Receives progress updates.

    Returns:
        One row per task: the paired difference, second - first, with both scores.
    """
    measures: dict[str, dict[str, Measures]] = {}
    groups = {task.name: _groups(task) for task in tasks}
    for task in tasks:
        measures[task.name] = {model.name: measure(model, task, settings, Silent()) for model in (first, second)}
        advance(1, task.name)
    tests = [test for name, both in measures.items() for test in paired_tests(name, both, groups[name], settings)]
    return [
        Compared(
            comparison,
            *(
                estimates(measured, groups[comparison.task], settings.bootstrap)[measured.headline]
                for measured in measures[comparison.task].values()
            ),
        )
        for comparison in correct_family(tests, settings.compare, settings.bootstrap)
    ]


def _headline(system: System, task: AnyTask, settings: EvalConfig) -> Estimate:
    measures = measure(system, task, settings, Silent())
    return estimates(measures, _groups(task), settings.bootstrap)[measures.headline]


def _groups(task: AnyTask) -> list[str]:
    return [item.group for item in items_of(task)]


def as_eval(config: FinetuneConfig) -> EvalConfig:
    """Settings under which `eval` would measure the same."""
    compare = CompareSection(pairs="reference", delta=config.delta)
    return EvalConfig(models=(config.model,), metrics=(config.metric,), compare=compare, bootstrap=config.bootstrap)
