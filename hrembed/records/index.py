"""What an index says of itself (`index.json`), and what the `index` commands say of what they did."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from hrembed.records.base import SCHEMA, CommandRecord, Number, Record
from hrembed.records.encode import CellType, VectorType
from hrembed.records.manifest import ModelUse

Backend = Literal["exact", "lancedb"]
FilterType = Literal["text", "texts", "whole number", "number", "yes or no"]


class VectorSpace(Record):
    """Whose vectors an index holds: what a query must be embedded by.

    Attributes:
        model: The `model` section that the documents were encoded with, `run:latest` as the id of its run.
        identity: Hash of everything that decides its vectors: weights, both prompts, truncation, titles.
        side: Documents; queries are embedded when they are asked.
        use: Prompts, pooling and titles, as the model was used; null where that is not known.
        dim: Numbers of a vector.
        dtype: How the shards store a number; the index computes in float32.
        anonymised: Whether the texts were redacted before they were encoded.
    """

    model: dict[str, Any]
    identity: str
    side: Literal["document"] = "document"
    use: ModelUse | None = None
    dim: int
    dtype: VectorType = "float32"
    anonymised: bool = False


class ShardSource(Record):
    """A folder of shards that an index was made of; whoever is forgotten goes out of it as well.

    Attributes:
        folder: Where it lay, as it was given.
        manifest_sha256: Hash of its `manifest.json` when it was read.
        rows: Its rows.
        removed: Ids that it lists as removed, where it is a delta.
    """

    folder: str
    manifest_sha256: str
    rows: int
    removed: int = 0


class Recall(Record):
    """How many of the best documents the index finds, against comparing all of them.

    Attributes:
        where: Conditions on the documents, as they are typed; empty for none.
        matching: Documents that meet them.
        queries: Queries behind the mean.
        k: How many best documents were asked for.
        mean: Mean share of the exact best k that was found.
        least: Lowest share of a single query.
        short: Queries that got fewer documents than k although so many match.
    """

    where: str
    matching: int
    queries: int
    k: int
    mean: Number
    least: Number
    short: int


class BridgeUse(Record):
    """A linear map that lets the queries of another model search the vectors of this generation.

    Attributes:
        model: The `model` section of that model.
        identity: Its identity.
        file: The map, shape (its dimensions, dimensions of the index), below the folder of the generation.
        kind: `orthogonal` or `low rank`.
        fitted_on: Documents that both models embedded to fit it.
        held_out: Documents that it was judged on.
        cosine: Mean cosine of a mapped vector of a held-out document to the stored one.
        overlap: Mean share of the ten nearest documents of a held-out vector that its mapped form finds, too.
    """

    model: dict[str, Any]
    identity: str
    file: str
    kind: Literal["orthogonal", "low rank"]
    fitted_on: int
    held_out: int
    cosine: Number
    overlap: Number


class Generation(Record):
    """The vectors of one model, searchable; an index may hold several, of which one is searched.

    Attributes:
        name: Folder inside the index.
        version: Folder inside that one; it rises whenever rows change.
        made: Time of the build, UTC.
        changed: Time of the last update, UTC.
        space: Whose vectors.
        backend: `exact` compares all rows; `lancedb` searches a quantised index and refines from the vectors.
        rows: Documents.
        zero_vectors: Documents whose vector is zero, since the model knew no word of them: their cosine is 0 to all.
        columns: Kept columns that can be shown: name to type, as in the shards.
        filters: Columns that conditions may name, and what they hold.
        text_column: Name of the column that holds the text; null where texts were not kept.
        lexical: Whether words can be searched (BM25).
        partitions: Partitions of the vector index; 0 for `exact`.
        probes: Partitions that are searched without a filter; null for all of them. With a filter it is always all.
        refine: Candidates per result whose cosine is computed from the vectors.
        count_first: Up to so many rows that match a filter are all compared.
        recall: Measured at build time, first without a condition.
        recall_queries: What was asked to measure it.
        sources: Folders of shards, in the order in which they were read.
        bridges: Other models whose queries may search it.
        versions: Version of hrembed, and of what wrote the index.
    """

    name: str
    version: int
    made: str
    changed: str
    space: VectorSpace
    backend: Backend
    rows: int
    zero_vectors: int
    columns: dict[str, CellType]
    filters: dict[str, FilterType]
    text_column: str | None
    lexical: bool
    partitions: int
    probes: int | None
    refine: int
    count_first: int
    recall: tuple[Recall, ...] = ()
    recall_queries: str = ""
    sources: tuple[ShardSource, ...] = ()
    bridges: tuple[BridgeUse, ...] = ()
    versions: dict[str, str] = Field(default_factory=dict)

    @property
    def folder(self) -> str:
        """Folder of the rows, inside the index."""
        return f"{self.name}/v{self.version:06d}"


class IndexManifest(Record):
    """The content of `index.json`.

    Attributes:
        schema_number: Number of the shape; `schema` in JSON.
        current: Name of the generation that is searched.
        generations: All of them, the oldest first.
    """

    schema_number: Literal[1] = Field(default=SCHEMA, alias="schema")
    current: str
    generations: tuple[Generation, ...]

    @property
    def generation(self) -> Generation:
        """The generation that is searched."""
        return self.of(self.current)

    def of(self, name: str) -> Generation:
        """The generation of a name.

        Raises:
            KeyError: There is none.
        """
        for generation in self.generations:
            if generation.name == name:
                return generation
        raise KeyError(name)

    @property
    def space(self) -> VectorSpace:
        """Whose vectors are searched."""
        return self.generation.space

    @property
    def identity(self) -> str:
        """Identity of the model whose vectors are searched."""
        return self.space.identity

    @property
    def model(self) -> dict[str, Any]:
        """The `model` section that queries are embedded with."""
        return self.space.model

    @property
    def dim(self) -> int:
        """Numbers of a vector."""
        return self.space.dim

    @property
    def rows(self) -> int:
        """Documents that are searched."""
        return self.generation.rows

    @property
    def filters(self) -> dict[str, FilterType]:
        """Columns that conditions may name."""
        return self.generation.filters

    @property
    def columns(self) -> dict[str, CellType]:
        """Columns that can be shown."""
        return self.generation.columns


class IndexBuildRecord(CommandRecord):
    """What `hrembed index build` says.

    Attributes:
        index: Folder of the index.
        generation: What was built.
        current: Whether it is searched from now on; beside an older one it waits for `index switch`.
        kept_out: Rows of people who were forgotten.
        bytes: Size on disk.
        verdict: Whether recall is as high as it was asked to be, in words.
    """

    command: ClassVar[str] = "index-build"

    index: str
    generation: Generation
    current: bool
    kept_out: int
    bytes: int
    verdict: str


class IndexUpdateRecord(CommandRecord):
    """What `hrembed index update` says.

    Attributes:
        index: Folder of the index.
        generation: Name of the generation that was changed.
        added: New rows.
        changed: Rows whose text or kept cells are others now.
        removed: Rows that went.
        unchanged: Rows that stayed as they were.
        kept_out: Rows of people who were forgotten: their tombstone wins.
        rows: Rows of the generation now.
        unindexed: Rows that an index of it does not hold: always 0 after an update.
        bytes: Size on disk.
    """

    command: ClassVar[str] = "index-update"

    index: str
    generation: str
    added: int
    changed: int
    removed: int
    unchanged: int
    kept_out: int
    rows: int
    unindexed: int
    bytes: int


class GenerationStats(Record):
    """A generation as it lies on the disk.

    Attributes:
        generation: What `index.json` says.
        rows: Rows that are there.
        unindexed: Rows that an index of it does not hold.
        indexed_filters: Filters that are answered by an index of their own.
        bytes: Size on disk.
    """

    generation: Generation
    rows: int
    unindexed: int
    indexed_filters: tuple[str, ...]
    bytes: int


class IndexStatsRecord(CommandRecord):
    """What `hrembed index stats` says.

    Attributes:
        index: Folder of the index.
        current: Name of the generation that is searched.
        generations: All of them.
        forgotten: Documents that were forgotten.
        unfinished: Whether an erasure was begun and not finished.
        recall: Measured now; empty where it was not asked for.
        recall_queries: What was asked then.
        verdict: What a reader must know, in words.
    """

    command: ClassVar[str] = "index-stats"

    index: str
    current: str
    generations: tuple[GenerationStats, ...]
    forgotten: int
    unfinished: bool
    recall: tuple[Recall, ...]
    recall_queries: str
    verdict: str


class Erased(Record):
    """What was erased in one place.

    Attributes:
        place: Where: a generation, a folder of vectors, a cache, the kept results.
        before: Traces found before: rows, cached vectors, lists; that they are found shows that the search sees.
        after: Traces found afterwards; 0 everywhere, or the command fails.
        files: Path below the place to SHA-256 of each file that was rewritten.
    """

    place: str
    before: int
    after: int
    files: dict[str, str]


class IndexForgetRecord(CommandRecord):
    """Receipt of `hrembed index forget`; no id and no text stands in it.

    Attributes:
        index: Folder of the index.
        asked: Ids that were given.
        known: How many of them were found anywhere.
        tombstones: Documents that are kept out of the index from now on, all together.
        id_hashes: Salted hashes of the ids that were given, as they stand in `tombstones.json`.
        places: What was erased where.
        time: When it was done, UTC.
        not_seen: What the search for traces cannot see, in words.
    """

    command: ClassVar[str] = "index-forget"

    index: str
    asked: int
    known: int
    tombstones: int
    id_hashes: tuple[str, ...]
    places: tuple[Erased, ...]
    time: str
    not_seen: str


class IndexSwitchRecord(CommandRecord):
    """What `hrembed index switch` says.

    Attributes:
        index: Folder of the index.
        before: Generation that was searched before.
        current: Generation that is searched now.
        dropped: Whether the one before was removed.
        bridge: The map that was fitted; null where the generation was switched.
    """

    command: ClassVar[str] = "index-switch"

    index: str
    before: str
    current: str
    dropped: bool
    bridge: BridgeUse | None
