"""One model of an eval run that ended, with everything the run says about it; two of them, paired item by item."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hrembed.config.eval import EvalConfig
from hrembed.config.parts import ScoreSection, form_of
from hrembed.data.locate import locate
from hrembed.data.read import is_task, read_task
from hrembed.errors import ConfigError, DataError
from hrembed.files import sha256
from hrembed.metrics.probes import spearman, spearman_draws
from hrembed.records.eval import EvalRecord
from hrembed.records.manifest import Scoring
from hrembed.registry import nearest
from hrembed.runs.past import find_run, finished
from hrembed.scoring.pairs import Drawn, pair
from hrembed.scoring.systems import names_of, sections_of
from hrembed.scoring.tasks import MTEB

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from hrembed.config.parts import BootstrapSection, ModelSection
    from hrembed.records.eval import TaskFacts
    from hrembed.runs.past import PastRun
    from hrembed.scoring.pairs import PairedDraws, PairedItems
    from hrembed.types import Estimate, Floats

_TEXT_COLUMNS = ("task", "model", "query", "group")


class Items(NamedTuple):
    """What a model scored on the items of a task.

    Attributes:
        ids: Id of each item.
        groups: Group of each item.
        values: Metric, or another number of each item, to its values, shape (n,); NaN where undefined.
    """

    ids: tuple[str, ...]
    groups: tuple[str, ...]
    values: Mapping[str, Floats]


@dataclass(frozen=True)
class EvaluatedModel:
    """A model of an eval run.

    Attributes:
        run: The run, which ended well.
        model: Name of the model in it.
        section: How the run opened the model.
        metrics: All numbers of the run.
        config: Settings of the run.
        items: Task to what the model scored on its items, as the run calls the tasks.
        renamed: Task as the run calls it, by the name that it has in another run on the same data.
    """

    run: PastRun
    model: str
    section: ModelSection
    metrics: EvalRecord = field(repr=False)
    config: EvalConfig = field(repr=False)
    items: Mapping[str, Items] = field(repr=False)
    renamed: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def identity(self) -> str:
        """Hash of what decides the model's scores."""
        return str(self.run.manifest.models[self.model].identity)

    def tasks(self) -> list[str]:
        """Tasks on which the model has scores."""
        names = {own: name for name, own in self.renamed.items()}
        scored = [task for task, models in self.metrics.scores.items() if self.model in models]
        return [names.get(task, task) for task in scored if task in names or task not in self.renamed]

    def scores(self, task: str) -> dict[str, Estimate]:
        """Metric to its score, the headline first."""
        return self.metrics.scores[self._own(task)][self.model]

    def headline(self, task: str) -> str:
        """The metric that comparisons of this task look at."""
        return self.metrics.headlines[self._own(task)]

    def items_of(self, task: str) -> Items:
        """What the model scored on the items of a task."""
        return self.items[self._own(task)]

    def data_of(self, task: str) -> str:
        """Hash of the data of a task."""
        return self.run.manifest.inputs[self._own(task)].sha256

    def facts_of(self, task: str) -> TaskFacts:
        """What is measured on a task."""
        return self.metrics.kinds[self._own(task)]

    def named_as(self, other: EvaluatedModel) -> EvaluatedModel:
        """Call tasks as another run does that scored the same items of the same data under other names."""
        renamed: dict[str, str] = {}
        left = self.tasks()
        for task in sorted(other.tasks(), key=lambda task: task not in left):  # the same name first
            same = [own for own in left if self._asks_the_same(own, other, task)]
            own = task if task in same else next(iter(same), None)
            if own is not None:
                left.remove(own)
                renamed |= {} if own == task else {task: own}
        return replace(self, renamed=renamed)

    def _asks_the_same(self, own: str, other: EvaluatedModel, task: str) -> bool:
        return (self.data_of(own), self.facts_of(own), self.items_of(own).ids) == (
            other.data_of(task),
            other.facts_of(task),
            other.items_of(task).ids,
        )

    def _own(self, task: str) -> str:
        return self.renamed.get(task, task)


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


def evaluated_models(run: PastRun) -> list[EvaluatedModel]:
    """Read all models of an eval run in the order of its config, baselines last; every file by its hash.

    Raises:
        DataError: A file was edited, or written by another version.
    """
    config, metrics = run.settings(EvalConfig), run.record(EvalRecord)
    sections = sections_of(config)
    columns = {name: np.asarray(values) for name, values in run.table("per_query").items()}
    return [
        EvaluatedModel(run, name, _with_score(section, run, name), metrics, config, _items_of(name, columns))
        for name, section in zip(names_of(sections), sections, strict=True)
    ]


def _with_score(section: ModelSection, run: PastRun, name: str) -> ModelSection:
    """Put what the run chose in place of `auto`, so that nothing is chosen anew."""
    if not section.score.is_open:
        return section
    return section.model_copy(update={"score": ScoreSection.of(run.manifest.models[name].scoring or Scoring())})


def _items_of(model: str, columns: Mapping[str, Floats]) -> dict[str, Items]:
    """Rows of one model of `per_query.parquet`, by task."""
    items = {}
    for task in dict.fromkeys(columns["task"][columns["model"] == model].tolist()):
        rows = (columns["model"] == model) & (columns["task"] == task)
        values = {
            name: column[rows].astype(np.float64) for name, column in columns.items() if name not in _TEXT_COLUMNS
        }
        items[task] = Items(tuple(columns["query"][rows].tolist()), tuple(columns["group"][rows].tolist()), values)
    return items


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
    models = evaluated_models(run)
    if model is None:
        return models[len(models[0].config.models) - 1 if last else 0]
    by_name = {each.model: each for each in models}
    if model not in by_name:
        raise ConfigError(
            f"eval run '{run.path.name}' has no model '{model}'{nearest(model, list(by_name))}",
            hint=f"available models: {', '.join(by_name)}",
        )
    return by_name[model]


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
                hint="evaluate both models on the same tasks, preferably in one `hrembed eval`",
            )
    hashes = [side.data_of(task) for side in sides]
    if hashes[0] != hashes[1]:
        raise DataError(
            (
                f"the data of '{task}' differs between the runs: {hashes[0][:12]} in '{sides[0].run.name}', "
                f"{hashes[1][:12]} in '{sides[1].run.name}'"
            ),
            hint="evaluate the baseline again on the current data",
        )
    ids = [side.items_of(task).ids for side in sides]
    if ids[0] != ids[1] or candidate.facts_of(task) != baseline.facts_of(task):
        raise DataError(
            f"the two runs scored different items of '{task}'", hint="check `split` and `kind` in both configs"
        )
    depths = [side.config.search.depth for side in sides]
    if depths[0] != depths[1]:
        raise DataError(f"'{task}' was ranked to different depths: {depths[0]} and {depths[1]} (`search.depth`)")


def pair_models(
    candidate: EvaluatedModel, baseline: EvaluatedModel, task: str, metric: str, bootstrap: BootstrapSection
) -> PairedItems | PairedDraws:
    """Pair two models on the items of a task.

    Args:
        candidate: One model.
        baseline: Another, on the same data.
        task: Name of the task.
        metric: Name of the metric.
        bootstrap: How intervals are made.

    Raises:
        ConfigError: The metric has no value per item.
    """
    items = [side.items_of(task) for side in (candidate, baseline)]
    if metric == "spearman" and "rated" in items[0].values:
        drawn = [_rank_correlation(each, bootstrap) for each in items]
        return pair(drawn[0], drawn[1], items[0].groups, bootstrap)
    if any(metric not in each.values for each in items) or metric not in candidate.scores(task):
        raise ConfigError(
            (
                f"metric '{metric}' has no value per item of '{task}' in both runs, so a paired comparison is "
                "not possible"
            ),
            hint=f"available metrics: {', '.join(candidate.scores(task))}",
        )
    return pair(items[0].values[metric], items[1].values[metric], items[0].groups, bootstrap)


def _rank_correlation(items: Items, bootstrap: BootstrapSection) -> Drawn:
    similarity, rated = items.values["similarity"], items.values["rated"]
    rng = np.random.default_rng(bootstrap.seed)
    draws = spearman_draws(similarity, rated, items.groups, rng=rng, resamples=bootstrap.resamples)
    return Drawn(spearman(similarity, rated), draws)


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
    models = pair_models(candidate, baseline, task, metric, bootstrap)
    corrected = models.difference(1 - (1 - bootstrap.confidence) / checks)
    return Paired(models.difference(), corrected, models.error())


def texts_of(side: EvaluatedModel) -> tuple[list[str], list[str]]:
    """Queries and documents of the first retrieval task whose files are still those of the run.

    Raises:
        DataError: There is none.
    """
    for section in side.config.tasks:
        if not section.path.startswith(MTEB) and is_task(locate(section.path)):
            folder = locate(section.path)
            if any(sha256(folder) == entry.sha256 for entry in side.run.manifest.inputs.values()):
                task = read_task(folder, section.split, form_of(section))
                return [query.text for query in task.queries], [document.text for document in task.documents]
    raise DataError(
        (
            f"the data of all retrieval tasks in run '{side.run.name}' is missing or has changed, so "
            "latency cannot be measured"
        ),
        hint="restore the files of a task, or set the latency limits to null",
    )
