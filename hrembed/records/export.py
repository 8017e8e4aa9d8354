"""What `hrembed export` says."""

from __future__ import annotations

from typing import ClassVar, Literal

from hrembed.records.base import CommandRecord, Measured, Number, Record

ExportFormat = Literal["legacy", "openvino", "openvino-int8", "onnx", "onnx-int8"]


class ExactExport(Record):
    """An export that gives the vectors of its source.

    Attributes:
        mb: Size of the folder, MB.
        difference: Largest difference of two vectors in any place.
    """

    mb: float
    difference: float


class Cosines(Record):
    """How close the vectors of an export are to those of its source.

    Attributes:
        mean: Mean cosine; null where a vector is undefined.
        lowest: Lowest cosine; null as well.
        vectors: Vectors that were compared.
    """

    mean: Number
    lowest: Number
    vectors: int


class RankingComparison(Record):
    """How an export ranks a task.

    Attributes:
        task: Name of the task.
        metric: What is measured.
        source: Score of the source.
        export: Score of the export.
        difference: Export minus source.
        same_top_10: Mean share of the first ten documents in common.
    """

    task: str
    metric: str
    source: Measured
    export: Measured
    difference: Measured
    same_top_10: Number


class QuantisedExport(Record):
    """An int8 export, whose vectors are near those of its source.

    Attributes:
        mb: Size of the folder, MB.
        cosine: How close the vectors are.
        lowest_cosine_alone_to_batch: Lowest cosine of a text embedded alone to the same text in a batch.
        ranking: How it ranks.
        kept: Whether it is within the limits of the config; otherwise its folder was removed.
    """

    mb: float
    cosine: Cosines
    lowest_cosine_alone_to_batch: Number
    ranking: RankingComparison
    kept: bool


class ExportRecord(CommandRecord):
    """What `hrembed export` says.

    Attributes:
        formats: Format -> its size, and how it compares with its source.
    """

    command: ClassVar[str] = "export"

    formats: dict[ExportFormat, ExactExport | QuantisedExport]


class Speed(Record):
    """How fast a model embeds on this machine; `timings.json` holds one for torch and for each format with a graph.

    Attributes:
        seconds_per_1000_texts: Median of the repeats.
        share_of_reference: The same by that of torch.
    """

    seconds_per_1000_texts: float
    share_of_reference: float
