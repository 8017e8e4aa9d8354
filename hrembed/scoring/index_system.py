"""The search of an index as it is deployed, as a system that `eval`, `bias-audit` and `gate` measure.

What approximate search, conditions, fusion, re-scoring and redaction do to quality and to groups is then measured by
the statistics that are there for models.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hrembed.config.load import load_config
from hrembed.config.match import MatchConfig
from hrembed.config.parts import ModelSection, ScoreSection
from hrembed.config.starters import config_file
from hrembed.data.personal import cleaned
from hrembed.data.redact import finder_of
from hrembed.errors import ConfigError, DataError, ModelError
from hrembed.files import user_path
from hrembed.index.conditions import parse_conditions
from hrembed.index.open import FILE, open_index
from hrembed.index.sources import row_hashes, schema_of
from hrembed.index.writing import write_manifest, write_rows
from hrembed.models.cache import text_keys
from hrembed.models.cross_encoder import open_cross_encoder
from hrembed.models.refs import parse_ref
from hrembed.records.base import validated
from hrembed.records.index import IndexManifest
from hrembed.registry import nearest
from hrembed.scoring.encoders import name_unused, open_encoder
from hrembed.scoring.search_pipeline import SearchPipeline, open_query_side
from hrembed.scoring.self_retrieval import without_self
from hrembed.shards.shard import arrow_type
from hrembed.types import Ranking

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from hrembed.index.conditions import Condition
    from hrembed.index.open import Index
    from hrembed.models.cross_encoder import CrossEncoder
    from hrembed.records.encode import CellType
    from hrembed.runs.workspace import Workspace
    from hrembed.scoring.search_pipeline import Found, QuerySide
    from hrembed.types import Encoder, Floats, Ints, Side, Similarity, Task

_NOT_FOUND = -1.0  # below every cosine, every sum of reciprocal ranks, and every 1 / rank


class Stimuli(NamedTuple):
    """Columns of documents that are indexed for a measurement, by their text; for conditions.

    Attributes:
        types: Column to its type.
        cells: Text to what each column holds.
    """

    types: Mapping[str, CellType]
    cells: Mapping[str, Mapping[str, Any]]


def open_index_system(
    section: ModelSection, workspace: Workspace, *, cache: Path | None = None, stimuli: Stimuli | None = None
) -> IndexSystem:
    """Open an index with the settings under which it is searched.

    Args:
        section: `ref: index:DIR`, and in `search` the config of `match` that is deployed, where there is one.
        workspace: Where runs are, and who receives progress updates.
        cache: Folder of kept vectors.
        stimuli: Columns of documents that are indexed for a measurement; None gives them none.

    Raises:
        ConfigError: The config of `match` is wrong, or asks for another order of groups.
        DataError: There is no index.
        ModelError: Its model cannot be found.
    """
    ref = parse_ref(section.ref)
    name_unused(section, ref, workspace.progress)
    config = load_config(config_file(section.search), MatchConfig) if section.search else MatchConfig()
    if config.groups.rerank.method != "none":
        raise ConfigError(
            f"'{section.search}': `groups.rerank` needs groups of people, which no task and no stimulus has",
            hint="remove it from the config that is measured",
        )
    index = open_index(user_path(ref.target))
    query_side = open_query_side(index, config.model, workspace, cache=cache)
    scorer = None
    if not config.score.is_plain:
        scorer = open_encoder(query_side.section.model_copy(update={"score": config.score}), workspace, cache=cache)
    cross_encoder = open_cross_encoder(config.stages.cross_encoder) if config.stages.cross_encoder else None
    documents = query_side.encoder
    if query_side.bridge is not None:
        model = validated(ModelSection, index.generation.space.model, f"index '{index.folder}' names no usable model")
        documents = open_encoder(model.model_copy(update={"score": ScoreSection()}), workspace, cache=cache)
    name = section.name or ref.short_name
    return IndexSystem(name, index, config, query_side, documents, scorer, cross_encoder, workspace, stimuli)


@dataclass
class IndexSystem:
    """An index with its model and its settings: an `Encoder` for what asks for scores, a ranker of tasks for the rest.

    Attributes:
        name: For tables.
        index: The index.
        config: How it is searched.
        query_side: Embeds queries.
        documents: Embeds documents that are indexed for a measurement.
        scorer: Scores the first candidates again; None leaves them.
        cross_encoder: Scores the first of those; None leaves them.
        workspace: Where temporary indexes go, and who receives progress updates.
        stimuli: Columns of documents that are indexed for a measurement; None gives them none.
    """

    name: str
    index: Index
    config: MatchConfig
    query_side: QuerySide
    documents: Encoder
    scorer: Encoder | None
    cross_encoder: CrossEncoder | None
    workspace: Workspace
    stimuli: Stimuli | None = None

    @property
    def identity(self) -> str:
        """Hash of all that decides an order; conditions are part of it."""
        conditions = f" where {sorted(self.config.where)}" if self.config.where else ""
        return self._pipeline(self.index).identity + conditions

    @property
    def source(self) -> str:
        """Where the index lies."""
        return str(self.index.folder / FILE)

    def rank(self, task: Task, depth: int) -> Ranking:
        """Rank the rows of the index, which must be the documents of a task, for each of its queries.

        Whatever the search does not return is not ranked: it retrieves `stages.depth` candidates, however deep an
        evaluation looks.

        Raises:
            DataError: The rows are not the documents of the task, or each query has candidates of its own.
        """
        if task.candidates is not None:
            raise DataError(
                f"{task.name} gives each query its own candidates, and an index ranks all of its rows",
                hint="evaluate the index on a retrieval task",
            )
        place = {document.id: n for n, document in enumerate(task.documents) if document.text}
        self._check_rows(task, place)
        pipeline = self._pipeline(self.index)
        wanted = min(depth + bool(task.excluded), self.config.stages.depth)
        ranked = np.full((len(task.queries), max(1, wanted)), -1, dtype=np.int64)
        scores = np.full(ranked.shape, -np.inf, dtype=np.float32)
        found = pipeline.rank([query.text for query in task.queries], wanted, self._conditions(self.index))
        for row, candidates in enumerate(found):
            best = candidates[:wanted]
            ranked[row, : len(best)] = [place[each.id] for each in best]
            scores[row, : len(best)] = self._scores(best)
        return without_self(task, Ranking(ranked, scores), depth)

    def _check_rows(self, task: Task, place: Mapping[str, int]) -> None:
        """See that the index holds the documents of a task, and no others.

        Raises:
            DataError: It does not; the hint has the commands that build such an index.
        """
        model = self.index.generation.space.model.get("ref", "")
        folder = self.workspace.root / "task-index"
        hint = (
            f"encode the corpus of the task and index it: `hrembed encode CORPUS --model {model} --keep text --out "
            f"{folder}-vectors`, then `hrembed index build {folder}-vectors --out {folder}`; `retention` must be empty"
        )
        ids = self.index.ids()
        differing = set(ids) ^ set(place)
        if differing:
            raise DataError(
                f"index '{self.index.folder}' does not hold the documents of {task.name}: {len(differing):,} ids are "
                f"in one of them alone, for example '{min(differing)[:60]}'",
                hint=hint,
            )
        if self.index.generation.space.anonymised:
            return  # what was redacted before it was embedded has another text, and is measured as such
        held = [bytes(row["text_hash"]) for row in self.index.rows(ids, ["text_hash"])]  # type: ignore[arg-type]
        texts = text_keys([task.documents[place[id_]].text for id_ in ids])
        changed = [id_ for id_, own, given in zip(ids, held, texts, strict=True) if own != bytes(given)]
        if changed:
            raise DataError(
                f"index '{self.index.folder}' holds other texts than {task.name} for {len(changed):,} documents, for "
                f"example '{changed[0][:60]}'",
                hint=hint,
            )

    def similarity(self, queries: Sequence[str], documents: Sequence[str], *, instruction: str = "") -> Similarity:
        """Index documents as the rows of the index are, and score each query with each of them.

        A search is asked for every document, so an approximate index compares all of them. Scores are cosines; with
        fusion the sums of reciprocal ranks; where a later stage orders the first ones, 1 / rank.

        Raises:
            ModelError: A text cannot be embedded.
            DataError: A condition names a column that the documents do not have.
        """
        scores = np.full((len(queries), len(documents)), _NOT_FOUND, dtype=np.float32)
        with tempfile.TemporaryDirectory(prefix="hrembed-index-") as folder:
            index = self._indexed(Path(folder), documents)
            pipeline = self._pipeline(index)
            where = self._conditions(index)
            for row, found in enumerate(pipeline.rank(queries, len(documents), where)):
                scores[row, [int(each.id) for each in found]] = self._scores(found)
        return _Scores(scores)

    def vectors(self, texts: Sequence[str], side: Side, *, instruction: str = "") -> Any:
        """Raise, since a search gives an order and no vectors."""
        raise ModelError(
            f"'{self.name}' is a search, which has no vectors of other texts",
            hint=f"use its model for this: `{self.index.generation.space.model.get('ref', '')}`",
        )

    def _scores(self, found: Sequence[Found]) -> Floats:
        """A number for each candidate that falls with its rank."""
        if self.scorer is not None or self.cross_encoder is not None:
            return np.asarray(1 / np.arange(1, len(found) + 1), dtype=np.float32)
        fused = self.config.stages.bm25
        return np.array([each.fused if fused else each.cosine for each in found], dtype=np.float32)

    def _pipeline(self, index: Index) -> SearchPipeline:
        stages = self.config.stages
        return SearchPipeline(index, self.query_side, stages, scorer=self.scorer, cross_encoder=self.cross_encoder)

    def _conditions(self, index: Index) -> tuple[Condition, ...]:
        filters = index.manifest.filters
        for text in self.config.where:
            column = text.partition("=")[0].rstrip("<> ").strip()
            if index is not self.index and column in self.index.manifest.filters and column not in filters:
                raise DataError(
                    f"the texts that are measured have no column '{column}'{nearest(column, filters)}, by which "
                    f"`where: {text}` filters",
                    hint="leave the condition out of the config that is measured",
                )
        return parse_conditions(self.config.where, filters)

    def _indexed(self, folder: Path, documents: Sequence[str]) -> Index:
        """Write a temporary index with the settings of the deployed one; ids are places."""
        import pyarrow as pa

        deployed = self.index.generation
        texts = list(documents)
        if deployed.space.anonymised:
            finder = finder_of(())
            texts = [cleaned(text, finder) for text in texts]
        vectors = self.documents.vectors(texts, "document")
        stimuli = self.stimuli or Stimuli({}, {})
        types: dict[str, CellType] = {**stimuli.types}
        if deployed.text_column is not None:
            types["text"] = "string"
        cells = [{**stimuli.cells.get(given, {}), "text": text} for given, text in zip(documents, texts, strict=True)]
        arrays: dict[str, Any] = {
            "id": pa.array([str(n) for n in range(len(texts))], pa.string()),
            "vector": pa.FixedSizeListArray.from_arrays(
                pa.array(np.ascontiguousarray(vectors).reshape(-1)), vectors.shape[1]
            ),
            "text_hash": pa.array([bytes(key) for key in text_keys(texts)], pa.binary(16)),
        }
        arrays |= {name: pa.array([row.get(name) for row in cells], arrow_type(kind)) for name, kind in types.items()}
        arrays["row_hash"] = pa.array(row_hashes(pa.table(arrays), types), pa.binary(16))
        schema = schema_of(types, vectors.shape[1])
        generation = deployed.model_copy(
            update={
                "rows": len(texts),
                "zero_vectors": int((~vectors.any(axis=1)).sum()),
                "columns": dict(types),
                "filters": {name: deployed.filters[name] for name in types if name in deployed.filters},
                "text_column": "text" if "text" in types else None,
                "recall": (),
                "sources": (),
                "bridges": (),
            }
        )
        rows = pa.table(arrays).select(schema.names)
        partitions = write_rows(folder, generation, rows.to_batches(), schema)
        generation = generation.model_copy(update={"partitions": partitions})
        write_manifest(folder, IndexManifest(current=generation.name, generations=(generation,)))
        return open_index(folder)


@dataclass(frozen=True)
class _Scores:
    """Scores that are all there.

    Attributes:
        matrix: Shape (queries, documents), float32.
    """

    matrix: Floats

    @property
    def shape(self) -> tuple[int, int]:
        """Number of queries, number of documents."""
        return self.matrix.shape[0], self.matrix.shape[1]

    def block(self, queries: slice, documents: slice | Ints) -> Floats:
        """Give a part."""
        return np.asarray(self.matrix[queries][:, documents])
