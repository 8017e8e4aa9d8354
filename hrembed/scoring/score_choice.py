"""How a system scores, where the config leaves that to a dev task: whole vectors or windows, and a lexical part."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hrembed.config.parts import ScoreSection
from hrembed.errors import DataError, ModelError
from hrembed.models.dense import DenseEncoder, DenseSimilarity
from hrembed.models.refs import parse_ref
from hrembed.models.windows import WeightedSum, WindowSimilarity
from hrembed.records.manifest import Scoring, ScoringChoice, ScoringTrial
from hrembed.scoring.encoders import check_windows, open_encoder
from hrembed.scoring.index_system import open_index_system
from hrembed.scoring.retrieval import rank_similarity, score_ranking, texts_to_rank
from hrembed.scoring.tasks import items_of, open_tasks
from hrembed.text import normalise
from hrembed.types import Task

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from hrembed.config.parts import ModelSection, TaskSection
    from hrembed.progress import Progress
    from hrembed.runs.record import Run
    from hrembed.scoring.tasks import AnyTask
    from hrembed.types import Encoder, Floats, Ints, Ranking, Side, Similarity, Text

WINDOWS: tuple[tuple[int, ...], ...] = ((), (2,), (3,), (4,), (5,), (3, 4), (2, 3, 4))
"""What `windows: auto` tries, the simplest first."""
WEIGHTS = tuple(n / 10 for n in range(11))
"""What `lexical: auto` tries."""
_MOST_QUERIES = 500  # of the dev task, evenly spread: each is scored in dozens of ways
_QUERIES_AT_ONCE = 64


class Settled(NamedTuple):
    """A model whose scoring is known.

    Attributes:
        section: As in the config, with numbers in place of `auto`.
        choice: How these were chosen; None where the config says them.
    """

    section: ModelSection
    choice: ScoringChoice | None = None

    def open(self, run: Run, *, cache: Path | None, memory_mb: int = 1024) -> Encoder:
        """Open it as `open_encoder` does, or the search of an index."""
        if parse_ref(self.section.ref).is_index:
            return open_index_system(self.section, run, cache=cache)
        return open_encoder(self.section, run, cache=cache, memory_mb=memory_mb, choice=self.choice)


def settle_score(
    section: ModelSection, run: Run, tested: Sequence[AnyTask], *, cache: Path | None = None, memory_mb: int = 1024
) -> Settled:
    """Choose on its dev task what a model leaves open about its scoring.

    The way with the highest mean is taken; of equal ones the simplest.

    Args:
        section: The model.
        run: Records the dev task.
        tested: Tasks whose scores are reported: none of their queries may have had a part in the choice.
        cache: As in `open_encoder`.
        memory_mb: As in `open_encoder`.

    Raises:
        DataError: The dev task ranks no documents, has no relevant one, or holds a query of a tested task.
        ModelError: The model has no windows of tokens, or cannot be opened.
    """
    score = section.score
    if not score.is_open or score.dev is None:
        return Settled(section)
    task = _dev_task(score.dev, run, tested)
    encoder = open_encoder(section.model_copy(update={"score": ScoreSection()}), run, cache=cache, memory_mb=memory_mb)
    if not isinstance(encoder, DenseEncoder):
        raise ModelError(f"'{section.ref}' has no embeddings")  # the config lets none through
    if score.windows:
        check_windows(section, encoder.use)
    choice = try_ways(encoder, task, score, run.progress)
    best = max(choice.tried, key=lambda trial: trial.mean)  # the first of equal ones
    chosen = ScoreSection.of(
        Scoring(windows=best.windows, side=score.side, lexical=best.lexical, lexical_kind=score.lexical_kind)
    )
    run.progress.note(
        f"{encoder.name}: {score.metric} on {task.name} is highest ({best.mean:.3f}) with `windows: "
        f"{list(best.windows)}`, `lexical: {best.lexical:g}`"
    )
    return Settled(section.model_copy(update={"score": chosen}), choice)


def _dev_task(section: TaskSection, run: Run, tested: Sequence[AnyTask]) -> Task:
    """Read the dev task, of which nothing may be reported."""
    (task, *others) = open_tasks([section], run, taken=[task.name for task in tested])
    if others or not isinstance(task, Task):
        raise DataError(
            f"'{section.path}' is not a single ranking task, so `score` cannot be chosen on it",
            hint="set `score.dev` to a folder with `corpus.jsonl`, `queries.jsonl` and `qrels/`",
        )
    asked = {normalise(query.text) for query in task.queries}
    for other in tested:
        shared = sum(normalise(item.text) in asked for item in items_of(other)) if isinstance(other, Task) else 0
        if shared:
            raise DataError(
                (
                    f"{shared:,} of {len(items_of(other)):,} queries of {other.name} also occur in {task.name}, on "
                    "which `score` would be chosen, so its scores would be biased"
                ),
                hint="choose `score` on another task (`score.dev`), or remove these queries from one of the two",
            )
    return replace(task, queries=_spread(task.queries))


def _spread(queries: tuple[Text, ...]) -> tuple[Text, ...]:
    places = np.linspace(0, len(queries) - 1, min(len(queries), _MOST_QUERIES)).astype(int)
    return tuple(queries[place] for place in places)


@dataclass(frozen=True)
class _Held:
    """Scores of a part of the queries."""

    scores: Floats

    @property
    def shape(self) -> tuple[int, int]:
        return self.scores.shape[0], self.scores.shape[1]

    def block(self, queries: slice, documents: slice | Ints) -> Floats:
        return self.scores[queries][:, documents]


def try_ways(encoder: DenseEncoder, task: Task, score: ScoreSection, progress: Progress) -> ScoringChoice:
    """Try every combination of windows and weights that a section leaves open.

    Args:
        encoder: Gives vectors; its own scoring has no part in it.
        task: The dev task.
        score: What is open, and the metric.
        progress: Receives progress updates.

    Raises:
        DataError: No query of the task has a relevant document.
        ModelError: A text cannot be embedded.
    """
    every_windows = WINDOWS if score.windows == "auto" else (score.windows,)
    weights = WEIGHTS if score.lexical == "auto" else (score.lexical,)
    cosines = [_cosine(encoder, task, windows, score.side) for windows in every_windows]
    queries = [query.text for query in task.queries]
    lexical = encoder.lexical_similarity(queries, texts_to_rank(task), score.lexical_kind) if any(weights) else None
    values: list[list[Floats]] = [[] for _ in product(every_windows, weights)]
    with progress.bar(f"{encoder.name}: ways to score", len(queries)) as advance:
        for left in range(0, len(queries), _QUERIES_AT_ONCE):
            rows = slice(left, left + _QUERIES_AT_ONCE)
            part = replace(task, queries=task.queries[rows])
            for kept, ranking in zip(values, _rankings(cosines, lexical, weights, rows, part), strict=True):
                kept.append(score_ranking(part, ranking, [score.metric])[score.metric])
            advance(len(part.queries), "")
    means = [np.concatenate(kept) for kept in values]
    defined = int((~np.isnan(means[0])).sum())
    if not defined:
        raise DataError(f"no query of {task.name} has a relevant document, so `score` cannot be chosen on it")
    tried = tuple(
        ScoringTrial(windows=windows, lexical=weight, mean=float(np.nanmean(of_queries)))
        for (windows, weight), of_queries in zip(product(every_windows, weights), means, strict=True)
    )
    return ScoringChoice(task=task.name, metric=score.metric, queries=defined, tried=tried)


def _cosine(encoder: DenseEncoder, task: Task, windows: tuple[int, ...], side: Side) -> Similarity:
    texts: dict[Side, list[str]] = {"query": [query.text for query in task.queries], "document": texts_to_rank(task)}
    other: Side = "document" if side == "query" else "query"
    vectors = encoder.vectors(texts[other], other, instruction=task.instruction)
    if windows:
        of_windows = encoder.windows(texts[side], side, windows, instruction=task.instruction)
        return WindowSimilarity(of_windows, vectors, of_documents=side == "document")
    own = encoder.vectors(texts[side], side, instruction=task.instruction)
    return DenseSimilarity(own, vectors) if side == "query" else DenseSimilarity(vectors, own)


def _rankings(
    cosines: Sequence[Similarity], lexical: Similarity | None, weights: Sequence[float], rows: slice, part: Task
) -> Iterator[Ranking]:
    """Rank a part of the queries in every way; each cosine is computed once."""
    everything = slice(None)
    words = None if lexical is None else _Held(lexical.block(rows, everything))
    for similarity in cosines:
        cosine = _Held(similarity.block(rows, everything))
        for weight in weights:
            yield rank_similarity(cosine if words is None else WeightedSum(cosine, words, weight), part)
