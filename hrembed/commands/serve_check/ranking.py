"""A task, ranked through the server and by the model itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hrembed.metrics.agreement import top_overlap
from hrembed.models.dense import DenseEncoder, DenseSimilarity
from hrembed.records.serve_check import ServedRanking
from hrembed.scoring.retrieval import compare, estimate, groups_of, rank_similarity, score_ranking, texts_to_rank
from hrembed.scoring.varied_texts import row_cosines

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from hrembed.commands.serve_check.model import Served
    from hrembed.commands.serve_check.server import Server
    from hrembed.config.parts import ModelSection
    from hrembed.config.serve_check import ServeCheckConfig
    from hrembed.progress import Progress
    from hrembed.types import Backend, Floats, Side, Task

METRIC = "ndcg@10"
_DEPTH = 10


class _Through:
    """A `Backend` that asks the server, for one side or both; the other side is the model's own."""

    def __init__(self, server: Server, served: Served, side: Side | None, batch_size: int) -> None:
        self._server, self._served, self._side = server, served, side
        self.identity = self.source = server.url
        self.batch_size = batch_size

    def embed(self, texts: Sequence[str], side: Side, prompt: str) -> Floats:
        if self._side in (None, side):
            return self._server.vectors(texts, prompt)
        return self._served.whole.embed(texts, side, prompt)


def rank_through(
    config: ServeCheckConfig,
    section: ModelSection,
    task: Task,
    served: Served,
    server: Server,
    *,
    at_once: int,
    cache: Path,
    progress: Progress,
) -> ServedRanking:
    """Rank a task twice and compare.

    Args:
        config: Settings.
        section: The model's.
        task: What is ranked.
        served: The model.
        server: The server.
        at_once: Texts that the server takes in one request.
        cache: Folder of kept vectors, for the model's own.
        progress: Receives progress updates.

    Raises:
        ModelError: The server stops answering, or its vectors are of another dimension.
    """
    size = min(at_once, section.batch_size)
    backend = _Through(server, served, config.side, size)

    def encoder(backend: Backend, name: str, cache: Path | None) -> DenseEncoder:
        return DenseEncoder(
            backend,
            name=name,
            prompts=served.prompts,
            titles=served.titles,
            dimensions=served.dimensions,
            cache=cache,
            progress=progress,
        )

    encoders = encoder(served.whole, section.ref, cache), encoder(backend, f"openai:{server.name}", None)
    queries, documents = [query.text for query in task.queries], texts_to_rank(task)
    similarities = [_dense(each, queries, documents, task.instruction) for each in encoders]
    rankings = [rank_similarity(similarity, task, depth=_DEPTH) for similarity in similarities]
    mine, theirs = (score_ranking(task, ranking, [METRIC])[METRIC] for ranking in rankings)
    parts = [(similarities[0].queries, similarities[1].queries)] * (config.side != "document")
    parts += [(similarities[0].documents, similarities[1].documents)] * (config.side != "query")
    texts = (queries if config.side != "document" else []) + (documents if config.side != "query" else [])
    groups, bootstrap = groups_of(task), config.bootstrap
    shared = top_overlap(rankings[0].documents, rankings[1].documents, _DEPTH)
    return ServedRanking(
        task=task.name,
        metric=METRIC,
        model=estimate(mine, groups, bootstrap),
        server=estimate(theirs, groups, bootstrap),
        difference=compare(theirs, mine, groups, bootstrap).estimate,
        same_top_10=float(np.nanmean(shared)),
        lowest_cosine=min(float(row_cosines(*part).min()) for part in parts),
        texts=len(set(texts)),
    )


def _dense(encoder: DenseEncoder, queries: list[str], documents: list[str], instruction: str) -> DenseSimilarity:
    return DenseSimilarity(
        encoder.vectors(queries, "query", instruction=instruction),
        encoder.vectors(documents, "document", instruction=instruction),
    )
