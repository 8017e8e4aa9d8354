"""One model of an eval run that ended, with everything the run says about it; two of them, paired item by item."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from hrembed.config.parts import ModelSection
from hrembed.data.locate import locate
from hrembed.data.read import read_task
from hrembed.errors import ConfigError, DataError
from hrembed.files import sha256
from hrembed.metrics.intervals import clustered_error, paired_difference
from hrembed.metrics.probes import interval_of, spearman, spearman_draws
from hrembed.models.refs import parse_ref
from hrembed.records.eval import EvalRecord
from hrembed.registry import nearest
from hrembed.runs.past import find_run, finished
from hrembed.scoring.retrieval import unit_of
from hrembed.scoring.systems import unique
from hrembed.scoring.tasks import MTEB
from hrembed.types import Estimate

if TYPE_CHECKING:
    from pathlib import Path

    from hrembed.config.parts import BootstrapSection
    from hrembed.runs.past import PastRun
    from hrembed.types import Floats


@dataclass(frozen=True)
class EvaluatedModel:
    """A model of an eval run.

    Attributes:
        run: The run, which ended well.
        model: Name of the model in it.
        section: How the run opened the model.
        metrics: All numbers of the run.
        config: Content of `config.yaml`.
        rows: Columns of `per_query.parquet`, only the rows of this model: name to array.
    """

    run: PastRun
    model: str
    section: ModelSection
    metrics: EvalRecord = field(repr=False)
    config: dict[str, Any] = field(repr=False)
    rows: dict[str, Any] = field(repr=False)

    @property
    def identity(self) -> str:
        """Hash of what decides the model's scores."""
        return str(self.run.manifest.models[self.model].identity)

    def tasks(self) -> list[str]:
        """Tasks on which the model has scores."""
        return [task for task, models in self.metrics.scores.items() if self.model in models]

    def scores(self, task: str) -> dict[str, Estimate]:
        """Metric to its score, the headline first."""
        return self.metrics.scores[task][self.model]

    def headline(self, task: str) -> str:
        """The metric that comparisons of this task look at."""
        return self.metrics.headlines[task]

    def of_task(self, task: str) -> dict[str, Any]:
        """Columns of one task."""
        chosen = self.rows["task"] == task
        return {name: values[chosen] for name, values in self.rows.items()}


class Paired(NamedTuple):
    """A difference of two models on the same items.

    Attributes:
        estimate: With the interval of the config.
        corrected: With the interval widened for a number of checks.
        error: Standard error.
    """

    estimate: Estimate
    corrected: Estimate
    error: float


def sections_of(run: PastRun) -> dict[str, ModelSection]:
    """Models of an eval run by the names that they have in it, in the order of its config, baselines last."""
    config = run.json("config.yaml")
    sections = [ModelSection.model_validate(entry) for entry in config["models"]]
    sections += [ModelSection(ref=name) for name in config["baselines"]]
    names = unique(parse_ref(section.ref).short_name for section in sections)
    return dict(zip(names, sections, strict=True))


def open_evaluated_model(root: Path, reference: str, model: str | None, *, last: bool) -> EvaluatedModel:
    """Read one model of an eval run, every file by its hash.

    Args:
        root: Folder of all runs.
        reference: The eval run.
        model: Name of the model; None takes the last or first of `models`.
        last: Which one None takes.

    Raises:
        DataError: The run is not there, not whole, or a file was edited.
        ConfigError: It has no model of that name.
    """
    run = finished(find_run(root, reference, "eval"))
    config, metrics = run.json("config.yaml"), run.record(EvalRecord)
    by_name = sections_of(run)
    names = list(by_name)
    chosen = model or (names[len(config["models"]) - 1] if last else names[0])
    if chosen not in names:
        raise ConfigError(
            f"eval run '{run.path.name}' has no model '{chosen}'{nearest(chosen, names)}",
            hint=f"its models: {', '.join(names)}",
        )
    rows = {name: np.asarray(values) for name, values in run.table("per_query").items()}
    mine = rows["model"] == chosen
    own = {name: values[mine] for name, values in rows.items()}
    return EvaluatedModel(run, chosen, by_name[chosen], metrics, config, own)


def check_same_data(candidate: EvaluatedModel, baseline: EvaluatedModel, task: str) -> None:
    """Refuse two models whose scores on a task do not come from the same data.

    Raises:
        DataError: The task is missing on one side, or its content, items or depth differ.
    """
    sides = candidate, baseline
    for side in sides:
        if task not in side.tasks():
            raise DataError(
                f"run '{side.run.name}' has no scores of '{side.model}' on '{task}'",
                hint="evaluate both models on the same tasks, best in one `hrembed eval`",
            )
    hashes = [side.run.manifest.inputs[task].sha256 for side in sides]
    if hashes[0] != hashes[1]:
        raise DataError(
            f"'{task}' is not the same data in both runs: {hashes[0][:12]} in '{sides[0].run.name}', {hashes[1][:12]} "
            f"in '{sides[1].run.name}'",
            hint="evaluate the baseline again on the data of today",
        )
    items = [side.of_task(task)["query"].tolist() for side in sides]
    if items[0] != items[1] or candidate.metrics.kinds[task] != baseline.metrics.kinds[task]:
        raise DataError(f"the two runs scored other items of '{task}'", hint="check `split` and `kind` in both configs")
    depths = [side.config["search"]["depth"] for side in sides]
    if depths[0] != depths[1]:
        raise DataError(f"'{task}' was ranked to other depths: {depths[0]} and {depths[1]} (`search.depth`)")


def paired(
    candidate: EvaluatedModel,
    baseline: EvaluatedModel,
    task: str,
    metric: str,
    bootstrap: BootstrapSection,
    *,
    checks: int = 1,
) -> Paired:
    """Estimate candidate minus baseline on the items of a task.

    Args:
        candidate: One model.
        baseline: Another, on the same data.
        task: Name of the task.
        metric: Name of the metric.
        bootstrap: How intervals are made.
        checks: The corrected interval has the level 1 - (1 - confidence) / checks.

    Raises:
        ConfigError: The metric has no value per item.
    """
    sides = candidate.of_task(task), baseline.of_task(task)
    groups = sides[0]["group"].tolist()
    levels = bootstrap.confidence, 1 - (1 - bootstrap.confidence) / checks
    if metric == "spearman" and "rated" in sides[0]:
        return _by_draws(sides, groups, bootstrap, levels)
    if metric not in sides[0] or metric not in sides[1] or metric not in candidate.scores(task):
        raise ConfigError(
            f"'{metric}' has no value for each item of '{task}' in both runs, so there is nothing to pair",
            hint=f"metrics of that task: {', '.join(candidate.scores(task))}",
        )
    values = [side[metric].astype(np.float64) for side in sides]
    plain, corrected = (_difference(values[0], values[1], groups, bootstrap, level) for level in levels)
    error, _ = clustered_error(values[0] - values[1], groups)
    return Paired(plain, corrected, error)


def _difference(
    candidate: Floats, baseline: Floats, groups: list[str], bootstrap: BootstrapSection, level: float
) -> Estimate:
    rng = np.random.default_rng(bootstrap.seed)
    found = paired_difference(
        candidate,
        baseline,
        groups,
        rng=rng,
        confidence=level,
        resamples=bootstrap.resamples,
        unit=unit_of(groups),
    )
    return found.estimate


def _by_draws(
    sides: tuple[dict[str, Any], dict[str, Any]],
    groups: list[str],
    bootstrap: BootstrapSection,
    levels: tuple[float, float],
) -> Paired:
    """The same for a rank correlation, which is no mean over items."""
    values, draws = [], []
    for side in sides:
        rng = np.random.default_rng(bootstrap.seed)
        values.append(spearman(side["similarity"], side["rated"]))
        draws.append(spearman_draws(side["similarity"], side["rated"], groups, rng=rng, resamples=bootstrap.resamples))
    moved = draws[0] - draws[1]
    n = len(set(groups) - {""}) + sum(not group for group in groups)
    plain, corrected = (
        Estimate(values[0] - values[1], *interval_of(moved, n, level), n, unit_of(groups)) for level in levels
    )
    return Paired(plain, corrected, float(np.nanstd(moved)))


def texts_of(side: EvaluatedModel) -> tuple[list[str], list[str]]:
    """Queries and documents of the first retrieval task whose files are still those of the run.

    Raises:
        DataError: There is none.
    """
    for section in side.config["tasks"]:
        if not section["path"].startswith(MTEB) and (locate(section["path"]) / "queries.jsonl").is_file():
            folder = locate(section["path"])
            if any(sha256(folder) == entry.sha256 for entry in side.run.manifest.inputs.values()):
                task = read_task(folder, section["split"])
                return [query.text for query in task.queries], [document.text for document in task.documents]
    raise DataError(
        f"no retrieval task of run '{side.run.name}' is here as it was, so there are no texts to time",
        hint="put the task back, or set what is timed to null",
    )
