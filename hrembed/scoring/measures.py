"""What one model gets on one task: a number for each query, pair or text, or draws of a number for all of them."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hrembed.errors import DataError
from hrembed.evaluation.probes import classify, cluster, pair_similarities
from hrembed.evaluation.search import graded
from hrembed.metrics.probes import spearman, spearman_draws
from hrembed.metrics.ranking import first_relevant_rank
from hrembed.models.lexical import TfIdf
from hrembed.records.eval import ModelFacts
from hrembed.scoring.pairs import Drawn
from hrembed.scoring.retrieval import groups_of, score_ranking
from hrembed.types import LabelTask, PairTask

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hrembed.config.eval import EvalConfig
    from hrembed.progress import Progress
    from hrembed.scoring.systems import System
    from hrembed.scoring.tasks import AnyTask
    from hrembed.types import Encoder, Floats, Ranking, Task

_FIRST_RANKS = (1, 3, 10, 100)


class Measures(NamedTuple):
    """Results of one model on one task; the first metric is the headline.

    Attributes:
        items: Metric to one value per item, shape (n,).
        drawn: Metric to a number that is no mean over items.
        headline: Name of the metric that comparisons look at.
        facts: Further plain numbers, which have no interval.
        ranking: Documents by rank, where there are any.
        columns: Further values per item that are no metrics.
    """

    items: Mapping[str, Floats]
    drawn: Mapping[str, Drawn]
    headline: str
    facts: ModelFacts = ModelFacts()
    ranking: Ranking | None = None
    columns: Mapping[str, Floats] = MappingProxyType({})

    def scores_of(self, metric: str) -> Floats | Drawn:
        """A value per item, or a number that is no mean over items."""
        return self.drawn[metric] if metric in self.drawn else self.items[metric]


def measure(system: System, task: AnyTask, config: EvalConfig, progress: Progress) -> Measures:
    """Run a model on a task.

    Raises:
        DataError: Rankings that were made elsewhere do not fit the task.
        ModelError: A text cannot be embedded.
    """
    if not isinstance(task, PairTask | LabelTask):
        return _ranked(system, task, config, progress)
    if system.encoder is None:
        raise DataError(f"'{system.name}' contains rankings, which cannot be used for {task.name}")
    if isinstance(task, PairTask):
        return _similar(system.encoder, task, config)
    return (_classified if task.goal == "classification" else _clustered)(system.encoder, task, config)


def _ranked(system: System, task: Task, config: EvalConfig, progress: Progress) -> Measures:
    ranking = system.rank(task, config, progress)
    values = score_ranking(task, ranking, config.metrics)
    facts = ModelFacts(first_relevant=first_ranks(task, ranking), undecided=_undecided(ranking))
    return Measures(values, {}, config.metrics[0], facts, ranking)


def _undecided(ranking: Ranking) -> int:
    """Count queries with two ranked documents or more whose scores are all the same."""
    ranked = ranking.documents >= 0
    highest = np.where(ranked, ranking.scores, -np.inf).max(axis=1, initial=-np.inf)
    lowest = np.where(ranked, ranking.scores, np.inf).min(axis=1, initial=np.inf)
    return int(((ranked.sum(axis=1) > 1) & (highest == lowest)).sum())


def first_ranks(task: Task, ranking: Ranking) -> dict[str, int]:
    """Count queries by the rank of their first relevant document."""
    ranked = graded(task, ranking)
    rank = first_relevant_rank(ranked)[(ranked.ideal > 0).any(axis=1)]
    counts, above = {}, 0
    for bound in _FIRST_RANKS:
        label = f"{above + 1}" if bound == above + 1 else f"{above + 1}-{bound}"
        counts[label] = int(((rank > above) & (rank <= bound)).sum())
        above = bound
    return {**counts, "later or not found": int((rank > above).sum())}


def _similar(encoder: Encoder, task: PairTask, config: EvalConfig) -> Measures:
    similarity = pair_similarities(encoder, task)
    rng, resamples = np.random.default_rng(config.bootstrap.seed), config.bootstrap.resamples
    draws = spearman_draws(similarity, task.scores, groups_of(task), rng=rng, resamples=resamples)
    drawn = {"spearman": Drawn(spearman(similarity, task.scores), draws)}
    return Measures({}, drawn, "spearman", columns={"similarity": similarity, "rated": task.scores})


def _classified(encoder: Encoder, task: LabelTask, config: EvalConfig) -> Measures:
    probe = classify(encoder, task, seed=config.bootstrap.seed)
    facts = ModelFacts(
        majority_share=probe.majority,
        f1=probe.full_f1,
        few_shot_f1=probe.few_shot_f1,
        undecided=_without_shared_words(encoder, task),
    )
    return Measures({"accuracy": probe.full, "few-shot-accuracy": probe.few_shot}, {}, "accuracy", facts)


def _clustered(encoder: Encoder, task: LabelTask, config: EvalConfig) -> Measures:
    """Compare models by neighbours; the v-measure of resampled texts is too high, so it has no honest interval."""
    clustered = cluster(encoder, task, seed=config.bootstrap.seed)
    drawn = {"v-measure": Drawn(clustered.v_measure, np.full(1, np.nan))}
    facts = ModelFacts(undecided=_without_shared_words(encoder, task))
    return Measures({"neighbours": clustered.neighbours}, drawn, "neighbours", facts)


def _without_shared_words(encoder: Encoder, task: LabelTask) -> int | None:
    """Count scored texts of which no word stands in any other text; None for a model that does not count words."""
    if not isinstance(encoder, TfIdf):
        return None
    holds = encoder.vectors([text.text for text in task.texts], "query") > 0
    common = np.asarray(holds.sum(axis=0)).ravel() > 1
    alone = np.asarray(holds.astype(np.int64) @ common.astype(np.int64)).ravel() == 0
    return int(alone.sum() if task.train is None else alone[~task.train].sum())
