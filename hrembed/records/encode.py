"""What `encode` says, and the files that lie beside its shards: the plan before, the manifest after."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from hrembed.records.base import CommandRecord, Number, Record
from hrembed.records.manifest import ModelUse
from hrembed.types import Side

VectorType = Literal["float32", "float16", "int8"]
CellType = Literal["string", "int64", "double", "bool", "strings"]
"""Type of a kept column, as Arrow calls it; `strings` is a list of strings."""
PartKind = Literal["jsonl", "csv", "parquet", "whole", "hub", "database"]
"""How a part of the input is entered: at a byte, at a row, from its start, or by the id of the row before."""


class EncodeSettings(Record):
    """All that decides the bytes of a shard, beside the rows in it; shards of other settings are no part of a folder.

    Attributes:
        identity: Hash of everything that decides the vectors: weights, prompts, truncation.
        side: Which side the texts stand on.
        prompt_hash: SHA-256 of what was put in front of each text.
        dtype: How a number of a vector is stored.
        rows_per_shard: Most rows of a shard, and so of what is embedded together.
        columns: Kept column -> its type, in the order of the shard; `text` is the embedded text.
        redaction: Types of personal data that were replaced before embedding; empty when texts were left as they are.
        regions: Countries whose national phone numbers were known then.
        name_columns: Columns whose names were replaced in the texts of their rows.
    """

    identity: str
    side: Side
    prompt_hash: str
    dtype: VectorType
    rows_per_shard: int
    columns: dict[str, CellType]
    redaction: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
    name_columns: tuple[str, ...] = ()


class InputPart(Record):
    """One file, data set or query of the input.

    Attributes:
        name: Path below the input, or the input itself.
        kind: How it is entered.
        rows: How many it has.
        sha256: Hash of its bytes; null where there are none to hash (a database).
    """

    name: str
    kind: PartKind
    rows: int
    sha256: str | None


class ShardPlan(Record):
    """Which rows a shard holds; nothing outside of them decides its bytes.

    Attributes:
        number: Place of the shard, from 0.
        part: Place of the part in the plan.
        first: Place of its first row within the part, from 0.
        span: Rows of the part that it covers.
        picked: Places within these rows that it holds; null for all of them.
        input_hash: SHA-256 of the ids, text hashes and kept cells of the rows that it holds.
        offset: Byte at which the first row begins; null where a part is not entered at a byte.
        length: Bytes of the rows.
        line: Line of the first row.
        after: Id of the row before, in a database; null for the first row, and elsewhere.
    """

    number: int
    part: int
    first: int
    span: int
    picked: tuple[int, ...] | None = None
    input_hash: str
    offset: int | None = None
    length: int | None = None
    line: int | None = None
    after: str | int | None = None

    @property
    def rows(self) -> int:
        """How many rows the shard holds."""
        return self.span if self.picked is None else len(self.picked)


class BaseShards(Record):
    """The folder that holds what an incremental folder leaves out.

    Attributes:
        folder: Where it was.
        sha256: Hash of its manifest.
    """

    folder: str
    sha256: str


class EncodePlan(CommandRecord):
    """`plan.json`: written before anything is embedded.

    Attributes:
        reading: Settings with which the input is read: columns, query, kept columns.
        settings: What decides the bytes of a shard.
        model: The `model` section of the config.
        input: Where the rows are read: a path, a data set, a database without its password.
        parts: Parts of the input, in their order.
        shards: What each shard holds.
        rows: Rows of all shards.
        empty_texts: How many of them have no text.
        base: Folder whose rows are left out; null when all rows are encoded.
        unchanged: Rows that the base holds as they are.
        changed: Rows of which the base holds another text or other kept cells.
        removed_ids: Ids of the base that the input no longer has.
    """

    command: ClassVar[str] = "encode"

    reading: dict[str, Any]
    settings: EncodeSettings
    model: dict[str, Any]
    input: str
    parts: tuple[InputPart, ...]
    shards: tuple[ShardPlan, ...]
    rows: int
    empty_texts: int
    base: BaseShards | None = None
    unchanged: int = 0
    changed: int = 0
    removed_ids: tuple[str, ...] = ()


class ShardFooter(Record):
    """What stands in the metadata of each shard, so that a shard without its folder still says what it is.

    Attributes:
        schema_number: Shape of the metadata.
        identity: As in the settings.
        side: As there.
        prompt_hash: As there.
        dim: Numbers of a vector.
        dtype: As in the settings.
        normalised: Vectors have length 1, but for those of zeros.
        number: Place of the shard.
        input_hash: As in the plan.
        rows: Rows in it.
        vectors_hash: SHA-256 of the stored numbers of all vectors (and of the scales of int8).
        zero_vectors: Rows whose vector is zero: no token of the text is known to a static model.
        truncated_texts: Texts longer than the model takes; null where that is not known.
        empty_texts: Rows without text.
        replaced: Type of personal data -> how often it was replaced.
    """

    schema_number: Literal[1] = Field(default=1, alias="schema")
    identity: str
    side: Side
    prompt_hash: str
    dim: int
    dtype: VectorType
    normalised: Literal[True] = True
    number: int
    input_hash: str
    rows: int
    vectors_hash: str
    zero_vectors: int
    truncated_texts: int | None
    empty_texts: int
    replaced: dict[str, int] = Field(default_factory=dict)


class ShardEntry(Record):
    """A finished shard.

    Attributes:
        name: Name of the file.
        rows: Rows in it.
        sha256: Hash of the file.
        bytes: Size of the file.
    """

    name: str
    rows: int
    sha256: str
    bytes: int


class EncodeManifest(CommandRecord):
    """`manifest.json` of a folder of shards: written last, so that a folder without it is not finished.

    Attributes:
        status: Always `complete`.
        version: Version of hrembed.
        model: The `model` section of the config, with the id of a run in place of `latest`: it opens the other side.
        use: Prompts and pooling, as the config or else the model says.
        identity: Hash of everything that decides the vectors: weights, both prompts, truncation, titles.
        side: Which side the texts stand on.
        prompt_hash: SHA-256 of what was put in front of each text.
        dim: Numbers of a vector.
        dtype: How a number is stored.
        normalised: Vectors have length 1, but for those of zeros.
        rows: Rows of all shards.
        distinct_texts: Different texts among them.
        zero_vectors: Rows that no search finds, since their vector is zero.
        truncated_texts: Texts longer than the model takes; null where that is not known.
        empty_texts: Rows without text.
        columns: Kept column -> its type.
        text_column: Name of the column that holds the texts: `text`, or null where they were not kept.
        anonymised: Whether personal data was replaced before embedding.
        replaced: Type of personal data -> how often it was replaced.
        base: Folder whose rows are left out; null when these are all rows.
        removed_ids: Ids of the base that are gone.
        shards: The shards, in their order.
    """

    command: ClassVar[str] = "encode"

    status: Literal["complete"] = "complete"
    version: str
    model: dict[str, Any]
    use: ModelUse | None
    identity: str
    side: Side
    prompt_hash: str
    dim: int
    dtype: VectorType
    normalised: Literal[True] = True
    rows: int
    distinct_texts: int
    zero_vectors: int
    truncated_texts: int | None
    empty_texts: int
    columns: dict[str, CellType]
    text_column: str | None
    anonymised: bool
    replaced: dict[str, int]
    base: BaseShards | None
    removed_ids: tuple[str, ...]
    shards: tuple[ShardEntry, ...]


class EncodeRecord(CommandRecord):
    """What `encode` says.

    Attributes:
        out: Folder of the shards.
        rows: Rows of all shards.
        distinct_texts: Different texts among them.
        dim: Numbers of a vector.
        dtype: How a number is stored.
        bytes: Size of all shards.
        shards: How many there are.
        reused: How many of them lay there finished.
        zero_vectors: Rows that no search finds, since their vector is zero.
        truncated_texts: Texts longer than the model takes; null where that is not known.
        empty_texts: Rows without text.
        anonymised: Whether personal data was replaced before embedding.
        replaced: Type of personal data -> how often it was replaced.
        unchanged: Rows that the base holds as they are; 0 without a base.
        changed: Rows of which the base holds another text or other kept cells.
        removed: Ids of the base that are gone.
        content: SHA-256 over the hashes of all shards: equal folders have equal ones.
    """

    command: ClassVar[str] = "encode"

    out: str
    rows: int
    distinct_texts: int
    dim: int
    dtype: VectorType
    bytes: int
    shards: int
    reused: int
    zero_vectors: int
    truncated_texts: int | None
    empty_texts: int
    anonymised: bool
    replaced: dict[str, int]
    unchanged: int
    changed: int
    removed: int
    content: str


class EncodeTimings(Record):
    """How long it took; `timings.json`.

    Attributes:
        engine: What ran the workers.
        workers: How many there were.
        planning_seconds: Reading, hashing and cutting the input.
        encoding_seconds: From the start of the workers to the last shard.
        texts_per_second: Rows that were embedded now, by those seconds; null when there were none.
    """

    engine: Literal["local", "ray"]
    workers: int
    planning_seconds: float
    encoding_seconds: float
    texts_per_second: float | None


class EncodeDryRunRecord(CommandRecord):
    """What `encode --dry-run` says.

    Attributes:
        rows: Rows that would be encoded.
        shards: Files that would be written.
        empty_texts: Rows without text.
        sample: Rows that were encoded to measure.
        dim: Numbers of a vector.
        bytes: Expected size of all shards.
    """

    command: ClassVar[str] = "encode-dry-run"

    rows: int
    shards: int
    empty_texts: int
    sample: int
    dim: int
    bytes: int


class EncodeEstimate(Record):
    """How long it would take; `timings.json` of a dry run.

    Attributes:
        texts_per_second: Of one worker, measured on the sample.
        workers: How many there would be.
        hours: Expected time of all of them, planning included; workers are taken not to slow each other down.
    """

    texts_per_second: float
    workers: int
    hours: float


class EncodeVerifyRecord(CommandRecord):
    """What `encode --verify` says.

    Attributes:
        folder: What was checked.
        rows: Rows whose ids, cells and vectors are those of the plan.
        shards: Files whose hashes are those of the manifest.
        sample: Rows that were encoded again.
        lowest_cosine: Lowest cosine of a stored vector to the new one; null where nothing was encoded.
        largest_difference: Largest difference of two such vectors in any place; null as well.
    """

    command: ClassVar[str] = "encode-verify"

    folder: str
    rows: int
    shards: int
    sample: int
    lowest_cosine: Number
    largest_difference: Number
