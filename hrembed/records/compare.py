"""What `hrembed compare` says."""

from __future__ import annotations

from typing import ClassVar, Literal

from hrembed.metrics.gating import Outcome
from hrembed.records.base import CommandRecord, Measured, Number, Record
from hrembed.records.eval import Comparison
from hrembed.records.finetune import ParameterCounts


class ComparedModel(Record):
    """Where the scores of a model come from.

    Attributes:
        run: The eval run.
        model: Name of the model in it.
        scoring: How it compares texts; empty for the cosine of whole vectors.
    """

    run: str
    model: str
    scoring: str = ""


class HeadlineScore(Record):
    """A model on a task.

    Attributes:
        metric: The headline of the task.
        score: Its mean.
    """

    metric: str
    score: Measured


class AlternativeDifference(Comparison):
    """A model against the reference on the headline metric of one task.

    Attributes:
        corrected: The difference with an interval that is wide enough for all comparisons of its family together.
        retention: Whether the task is outside of hiring.
    """

    corrected: Measured
    retention: bool


class GapGrowth(Record):
    """How much wider the gap of two groups of names is than with the reference.

    Attributes:
        attribute: Column of the names.
        groups: The two groups.
        gap: Absolute gap with the model, and with the reference.
        growth: The first minus the second.
    """

    attribute: str
    groups: tuple[str, str]
    gap: tuple[Number, Number]
    growth: Measured


class AuditSummary(Record):
    """What an audit of a model found.

    Attributes:
        verdict: Verdict of the audit; `ok` where nothing was judged.
        growth: Every gap against the reference; empty without an audit of the reference, and for that one itself.
    """

    verdict: Outcome | Literal["ok"]
    growth: tuple[GapGrowth, ...]


class TrainingEffort(Record):
    """What the fine-tuning of a model took.

    Attributes:
        run: The finetune run.
        seconds: Its duration.
        peak_memory_mb: Largest resident memory of the process, MB.
        pairs: Training pairs.
        steps: Planned steps.
        parameters: Of the model in training.
    """

    run: str
    seconds: float
    peak_memory_mb: float
    pairs: int
    steps: int
    parameters: ParameterCounts


class CompareRecord(CommandRecord):
    """Accuracy, fairness and training of all alternatives; a model is called by its label.

    Attributes:
        reference: Label of the model that the others are compared with.
        delta: Largest difference that does not matter.
        models: Label -> where its scores come from, the reference first.
        accuracy: Label -> task -> headline.
        differences: Every model against the reference on every task that both have.
        fairness: Label -> its audit; only models that were audited.
        training: Label -> what its training took; null for a model that was not made here.
    """

    command: ClassVar[str] = "compare"

    reference: str
    delta: float
    models: dict[str, ComparedModel]
    accuracy: dict[str, dict[str, HeadlineScore]]
    differences: tuple[AlternativeDifference, ...]
    fairness: dict[str, AuditSummary]
    training: dict[str, TrainingEffort | None]


class EmbeddingTimes(Record):
    """How long documents take in batches.

    Attributes:
        sizes: Numbers of documents.
        seconds: Time of each.
    """

    sizes: tuple[int, ...]
    seconds: tuple[float, ...]


class SizeCost(Record):
    """What a number of documents takes.

    Attributes:
        documents: The number.
        search_ms: Median milliseconds of a search among them.
        search_measured: False where it is extrapolated.
        index_mb: Size of the index, MB.
        embed_seconds: Time to embed them, or to index them.
        embed_measured: False where it is extrapolated.
    """

    documents: int
    search_ms: float
    search_measured: bool
    index_mb: float
    embed_seconds: float
    embed_measured: bool


class ModelCost(Record):
    """What a model takes on this machine, measured in a process of its own; `timings.json` holds one for each label.

    Attributes:
        dimensions: Numbers of a vector; null for a model without vectors.
        load_seconds: Until the first vector.
        query_ms: Milliseconds of each query, one at a time.
        document_ms: The same for documents; null where a document alone is never embedded.
        texts_per_second: Documents, in batches.
        peak_memory_mb: Largest resident memory of the process before indexes are built, MB.
        embedding: What the speed is read from; null for a model without vectors.
        growth: Each number of documents.
        search_exponent: Search time grows with size to the power of this.
        query_tokens: Mean tokens of a query; null where no tokenizer is here.
        document_tokens: Mean tokens of a document.
        document_flops: Estimated floating-point operations for a document; null where the architecture does not say.
        model_bytes: Size of the weights; null for a model that does not lie on this machine.
        load: Processes that wanted a processor in the last minute, for each one there is; null where nobody counts.
    """

    dimensions: int | None
    load_seconds: float
    query_ms: tuple[float, ...]
    document_ms: tuple[float, ...] | None
    texts_per_second: float
    peak_memory_mb: float
    embedding: EmbeddingTimes | None
    growth: tuple[SizeCost, ...]
    search_exponent: float
    query_tokens: float | None = None
    document_tokens: float | None = None
    document_flops: float | None = None
    model_bytes: int | None = None
    load: float | None = None


class Decision(Record):
    """What people read, the content of `decision.json`.

    Attributes:
        tables: Title -> rows of named cells.
        trade_offs: The same in sentences.
    """

    tables: dict[str, tuple[dict[str, str], ...]]
    trade_offs: tuple[str, ...]
