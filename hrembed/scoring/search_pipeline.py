"""What ranks candidates for a job: index, cosine, fusion with words, the scorer of `eval`, a cross-encoder.

`match` shows its rows; `eval`, `bias-audit` and `gate` measure the same object as the search that is deployed. Each
stage reorders the first candidates of the one before, and none of them throws a number away: a row keeps every score
and rank that made its place.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hrembed.config.parts import ModelSection, ScoreSection
from hrembed.errors import DataError
from hrembed.index.identity import query_map
from hrembed.index.ranking import cosines, id_key
from hrembed.metrics.fusion import RANK_CONSTANT, reciprocal_rank_fusion
from hrembed.models.dense import unit_rows
from hrembed.records.base import validated
from hrembed.scoring.encoders import open_encoder

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from hrembed.config.parts import StagesSection
    from hrembed.index.conditions import Condition
    from hrembed.index.open import Index
    from hrembed.index.ranking import Hits
    from hrembed.models.cross_encoder import CrossEncoder
    from hrembed.runs.workspace import Workspace
    from hrembed.types import Encoder, Floats

_JOBS_AT_ONCE = 256


@dataclass(frozen=True)
class Found:
    """A candidate with every score and rank that made its place; None where a stage did not see it.

    Attributes:
        id: Its id in the index.
        cosine: Cosine to the job, recomputed from the vectors.
        cosine_rank: Place among those that the vectors found, from 1; None where only the words found it.
        bm25: BM25 score of the kept text; None without fusion, or where no word is shared.
        bm25_rank: Place by it.
        fused: Sum of reciprocal ranks.
        fused_rank: Place by it.
        rescored: Score by windows, or with the lexical part.
        rescored_rank: Place by it.
        cross_encoder: Score of the cross-encoder.
        cross_encoder_rank: Place by it.
    """

    id: str
    cosine: float
    cosine_rank: int | None = None
    bm25: float | None = None
    bm25_rank: int | None = None
    fused: float | None = None
    fused_rank: int | None = None
    rescored: float | None = None
    rescored_rank: int | None = None
    cross_encoder: float | None = None
    cross_encoder_rank: int | None = None


class QuerySide(NamedTuple):
    """What embeds jobs for an index.

    Attributes:
        section: The model, without its scoring.
        encoder: The model.
        bridge: Map from its vectors to those of the index, shape (dim, dim of the index); None for the same model.
    """

    section: ModelSection
    encoder: Encoder
    bridge: Floats | None

    def vectors(self, texts: Sequence[str]) -> Floats:
        """Embed jobs as unit rows in the space of the index.

        Raises:
            ModelError: A job cannot be embedded, or its vector is not finite.
            DataError: The model knows no word of a job, so that its cosine is 0 to every candidate.
        """
        rows: Floats = self.encoder.vectors(texts, "query")
        if self.bridge is not None:
            rows = unit_rows(rows @ self.bridge)
        empty = np.flatnonzero(~rows.any(axis=1))
        if len(empty):
            raise DataError(
                f"'{self.section.ref}' knows no word of job {int(empty[0]) + 1} of {len(texts)}, so every candidate "
                "would score 0",
                hint="describe the job in words of the model's language",
            )
        return rows


def open_query_side(
    index: Index, given: ModelSection | None, workspace: Workspace, *, cache: Path | None = None
) -> QuerySide:
    """Open the model that jobs are embedded with, and see that its vectors can be compared with those of the index.

    Args:
        index: The index, which names its model.
        given: Another place of that model, or a model that a bridge leads from; None for the model that it names.
        workspace: Where runs are, and who receives progress updates.
        cache: Folder of kept vectors.

    Raises:
        ModelError: The model cannot be found, or is another one: other weights, prompts, truncation or dimensions.
        DataError: The index names a model with settings that this version does not know.
    """
    space = index.generation.space
    section = given or validated(ModelSection, space.model, f"index '{index.folder}' names a model that is not usable")
    section = section.model_copy(update={"score": ScoreSection()})
    encoder = open_encoder(section, workspace, cache=cache)
    return QuerySide(section, encoder, query_map(index, encoder.identity, section.model_dump(mode="json")))


class SearchPipeline:
    """All stages of a search, with settings that do not change.

    Args:
        index: Candidates.
        query_side: Embeds jobs.
        stages: Settings of the stages.
        scorer: Scores the first candidates again, as `eval` does; None leaves their order.
        cross_encoder: Scores the first of those; None leaves their order.
    """

    def __init__(
        self,
        index: Index,
        query_side: QuerySide,
        stages: StagesSection,
        *,
        scorer: Encoder | None = None,
        cross_encoder: CrossEncoder | None = None,
    ) -> None:
        self.index, self.query_side, self._stages = index, query_side, stages
        self._scorer, self._cross_encoder = scorer, cross_encoder
        if (scorer or cross_encoder) and index.generation.text_column is None:
            raise DataError(
                f"index '{index.folder}' holds no texts, so candidates cannot be scored again by their texts",
                hint="keep them (`encode` with `--keep text`, then `index build`), or remove `score` and "
                "`stages.cross_encoder`",
            )

    @property
    def identity(self) -> str:
        """Hash of all that decides an order: model, rows of the index, and stages."""
        generation = self.index.generation
        decides = (
            self.query_side.encoder.identity,
            generation.space.identity,
            [source.manifest_sha256 for source in generation.sources],
            (generation.backend, generation.version, generation.partitions, generation.probes, generation.refine),
            self._stages.model_dump(mode="json"),
            self._scorer.identity if self._scorer else None,
            self._cross_encoder.identity if self._cross_encoder else None,
        )
        return hashlib.sha256(repr(decides).encode()).hexdigest()

    @property
    def in_words(self) -> tuple[str, ...]:
        """Say what makes the order, one stage after the other."""
        stages, generation = self._stages, self.index.generation
        words = [f"cosine of {self.query_side.encoder.name}, {stages.depth} candidates ({generation.backend} index)"]
        if self.query_side.bridge is not None:
            words[0] += " through a bridge"
        if stages.bm25:
            words.append(f"reciprocal ranks with BM25 (k = {RANK_CONSTANT}, {stages.depth} of each list)")
        if self._scorer is not None:
            words.append(f"the first {stages.rescore} scored again by {_scoring_words(self._scorer)}")
        if self._cross_encoder is not None:
            words.append(f"the first {stages.cross_encoder_depth} by cross-encoder {self._cross_encoder.name}")
        return tuple(words)

    def rank(
        self, texts: Sequence[str], k: int, where: Sequence[Condition] = (), *, exact: bool = False
    ) -> Iterator[list[Found]]:
        """Rank candidates for each job.

        Args:
            texts: Jobs.
            k: Candidates in a list, at least; all that were retrieved are given.
            where: Conditions on the candidates, all of which must hold.
            exact: Compare all candidates in products of matrices, which for many jobs at once costs less than the
                approximate search of each.

        Yields:
            For each job, candidates by rank; at least k where so many meet the conditions.

        Raises:
            DataError: A job has no word that the model knows; texts are needed and were not kept.
            ModelError: A text cannot be embedded or scored.
        """
        depth = max(k, self._stages.depth)
        for start in range(0, len(texts), _JOBS_AT_ONCE):
            part = texts[start : start + _JOBS_AT_ONCE]
            queries = self.query_side.vectors(part)
            search = self.index.exact if exact else self.index.search
            for text, query, hits in zip(part, queries, search(queries, depth, where), strict=True):
                yield self._staged(text, query, hits, depth, where)

    def _staged(self, text: str, query: Floats, hits: Hits, depth: int, where: Sequence[Condition]) -> list[Found]:
        rows = by_vector(hits)
        if self._stages.bm25:
            words = self.index.lexical(text, depth, where)
            missing = [id_ for id_, _ in words if id_ not in set(hits.ids)]
            others = cosines(self.index.vectors(missing), query) if missing else np.zeros(0)
            rows = fuse(rows, words, dict(zip(missing, others.tolist(), strict=True)))
        if self._scorer is not None:
            first = rows[: self._stages.rescore]
            block = self._scorer.similarity([text], self.texts([row.id for row in first]))
            scores = block.block(slice(0, 1), slice(0, len(first)))[0]
            rows = reordered(rows, scores, "rescored")
        if self._cross_encoder is not None:
            first = rows[: self._stages.cross_encoder_depth]
            scores = self._cross_encoder.scores(text, self.texts([row.id for row in first]))
            rows = reordered(rows, scores, "cross_encoder")
        return rows

    def texts(self, ids: Sequence[str]) -> list[str]:
        """Kept texts of candidates.

        Raises:
            DataError: The index holds none.
        """
        column = self.index.generation.text_column
        if column is None:
            raise DataError(
                f"index '{self.index.folder}' holds no texts",
                hint="keep them: `encode` with `--keep text`, then `index build`",
            )
        return [str(row[column] or "") for row in self.index.rows(ids, [column])]


def by_vector(hits: Hits) -> list[Found]:
    """Make rows of what the vectors found."""
    return [
        Found(id_, float(score), rank) for rank, (id_, score) in enumerate(zip(hits.ids, hits.scores, strict=True), 1)
    ]


def fuse(rows: Sequence[Found], words: Sequence[tuple[str, float]], cosine_of: dict[str, float]) -> list[Found]:
    """Join the list of the vectors with that of the words by reciprocal ranks.

    Args:
        rows: What the vectors found, by rank.
        words: Ids with BM25 scores, by rank.
        cosine_of: Cosine of those that only the words found.

    Returns:
        All of both lists, the highest sum first; equal sums by cosine, then by the hash of the id.
    """
    fused = reciprocal_rank_fusion([[row.id for row in rows], [id_ for id_, _ in words]])
    known = {row.id: row for row in rows} | {id_: Found(id_, cosine) for id_, cosine in cosine_of.items()}
    scored = {id_: (score, rank) for rank, (id_, score) in enumerate(words, 1)}
    order = sorted(fused, key=lambda id_: (-fused[id_], -known[id_].cosine, id_key(id_)))
    return [
        replace(
            known[id_],
            bm25=scored[id_][0] if id_ in scored else None,
            bm25_rank=scored[id_][1] if id_ in scored else None,
            fused=fused[id_],
            fused_rank=rank,
        )
        for rank, id_ in enumerate(order, 1)
    ]


def reordered(rows: Sequence[Found], scores: Floats, stage: str) -> list[Found]:
    """Order the first candidates by new scores; equal ones keep their order, and so do those behind them.

    Args:
        rows: Candidates by rank.
        scores: Of the first of them, shape (n,).
        stage: Field that keeps the score; `<stage>_rank` keeps the rank.
    """
    order = np.argsort(-np.asarray(scores), kind="stable")
    first = [
        replace(rows[place], **{stage: float(scores[place]), f"{stage}_rank": rank})
        for rank, place in enumerate(order.tolist(), 1)
    ]
    return [*first, *rows[len(first) :]]


def _scoring_words(scorer: Encoder) -> str:
    scoring = getattr(scorer, "scoring", None)
    return scoring.in_words if scoring else scorer.name
