"""Settings of the `hrembed index` commands."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from hrembed.config.parts import ModelSection
from hrembed.config.section import Section

_INDEX = Field(default="index", min_length=1, description="Folder of the index.")
_WAIT = Field(default=0, ge=0, le=86_400, description="Seconds to wait while another process writes; 0 fails at once.")


class RecallSection(Section):
    """How recall is measured against comparing all rows."""

    queries: str | None = Field(
        default=None,
        description="Folder written by `encode --side query` with the model of the index; null asks documents of the "
        "index for their neighbours.",
    )
    count: int = Field(default=200, ge=1, le=10_000, description="Queries without a filter.")
    filtered: int = Field(default=50, ge=1, le=10_000, description="Queries for each filter value that is tried.")
    k: int = Field(default=10, ge=1, le=100, description="Best documents per query that should be found.")
    least: float | None = Field(
        default=0.99, ge=0, le=1, description="Lowest mean recall, with and without filters; below it exit code 5."
    )


class IndexBuildConfig(Section):
    """`hrembed index build`: vectors to an index, or to one more generation of it."""

    shards: str = Field(
        default="vectors", min_length=1, description="Folder or URL written by `encode`; a delta only for `update`."
    )
    out: str = _INDEX
    filters: tuple[str, ...] | None = Field(
        default=None, description="Columns that conditions may name; null takes all kept columns but the text."
    )
    backend: Literal["auto", "exact", "lancedb"] = Field(
        default="auto", description="`exact` compares all rows, `lancedb` searches a quantised index; auto by size."
    )
    exact_up_to: int = Field(default=200_000, ge=0, description="Most rows of the `exact` backend under `auto`.")
    count_first: int = Field(default=2000, ge=0, description="Up to so many rows that match a filter are all compared.")
    refine: int = Field(
        default=5, ge=1, le=100, description="Candidates per result whose cosine is computed from the vectors."
    )
    all_partitions_up_to: int = Field(
        default=2_000_000,
        ge=0,
        description="With more rows, a search without a filter reads only as many partitions as keep `recall.least`.",
    )
    lexical: bool = Field(default=True, description="Also index the words (BM25), where the texts were kept.")
    recall: RecallSection = RecallSection()
    seed: int = Field(default=13, ge=0, description="Seed of what is drawn.")
    wait: float = _WAIT


class IndexUpdateConfig(Section):
    """`hrembed index update`: new, changed and removed rows of a folder of vectors."""

    index: str = _INDEX
    shards: str = Field(
        default="vectors", min_length=1, description="Folder or URL written by `encode`; a delta only for `update`."
    )
    replace: bool = Field(default=False, description="Also remove rows that a whole folder does not have.")
    wait: float = _WAIT


class IndexStatsConfig(Section):
    """`hrembed index stats`: what is in an index."""

    index: str = _INDEX
    measure: bool = Field(default=False, description="Measure recall again (`--recall`).")
    recall: RecallSection = RecallSection()
    seed: int = Field(default=13, ge=0, description="Seed of what is drawn.")


class IndexForgetConfig(Section):
    """`hrembed index forget`: erase people from an index and from what it was made of."""

    index: str = _INDEX
    ids: tuple[str, ...] = Field(default=(), description="Ids to forget; the run keeps only their hashes.")
    file: str | None = Field(default=None, description="File with more ids, one per line.")
    unknown: Literal["refuse", "keep_out"] = Field(
        default="refuse", description="What happens with an id that nobody knows: nothing at all, or a tombstone."
    )
    also: tuple[str, ...] = Field(
        default=(), description="Further folders of vectors to erase from, beside those that the index was made of."
    )
    caches: tuple[str, ...] | None = Field(
        default=None, description="Folders of cached vectors; null is that of the runs folder."
    )
    wait: float = _WAIT


class BridgeFitSection(Section):
    """A linear map for the queries of another model, until its documents are encoded."""

    model: ModelSection = Field(default=ModelSection(), description="Model whose queries are to be mapped.")
    texts: str | None = Field(
        default=None,
        description="Table with `id` and `text` of documents of the index; null takes the texts that the index keeps.",
    )
    count: int = Field(default=5000, ge=50, description="Most documents that are embedded to fit and to judge it.")


class IndexSwitchConfig(Section):
    """`hrembed index switch`: search another generation, or let another model's queries search this one."""

    index: str = _INDEX
    to: str | None = Field(
        default=None, description="Generation to search; null is the other one of two, or the newest of several."
    )
    drop: bool = Field(default=False, description="Remove the generation that was searched before.")
    bridge: BridgeFitSection | None = Field(
        default=None, description="Fit a map for another model's queries instead of switching (`--bridge MODEL`)."
    )
    seed: int = Field(default=13, ge=0, description="Seed of what is drawn.")
    wait: float = _WAIT
