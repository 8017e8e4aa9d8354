"""What `hrembed eval` says."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from hrembed.metrics.verdicts import Verdict
from hrembed.records.base import CommandRecord, Measured, Number, Record
from hrembed.records.data import Leak, TaskPart
from hrembed.records.manifest import Scoring
from hrembed.records.usage import EndpointUsage

Kind = Literal["retrieval", "reranking", "similarity", "classification", "clustering"]


class TaskFacts(Record):
    """What a task is.

    Attributes:
        kind: What is measured on it.
        items: Queries, pairs or texts that are scored.
        unit: What is resampled: `groups` or `items`.
    """

    kind: Kind
    items: int
    unit: str


class Comparison(Record):
    """A model against another on the headline metric of one task.

    Attributes:
        task: Name of the task.
        model: The candidate.
        reference: The other.
        metric: The headline.
        difference: Candidate minus reference.
        better: Items on which the candidate scored higher; null for a number that is no mean over items.
        worse: Items on which it scored lower.
        p_value: Two-sided, not corrected; null where undefined.
        p_holm: Corrected for its family by Holm.
        detectable: Smallest difference that the comparison would have found, with the power of the config.
        verdict: What may be said.
    """

    task: str
    model: str
    reference: str
    metric: str
    difference: Measured
    better: int | None
    worse: int | None
    p_value: Number
    p_holm: Number
    detectable: Number
    verdict: Verdict


class ModelFacts(Record):
    """Plain numbers of a model on a task; each kind of task has its own.

    Attributes:
        first_relevant: Rank of the first relevant document (`1`, `2-3`, ...) -> number of queries; tasks that rank.
        majority_share: Share of the largest label; classification.
        f1: Macro F1 of the classifier.
        few_shot_f1: Macro F1 with few examples a label.
        undecided: Queries for which all documents score the same, so that chance orders them (tasks that rank); texts
            that share no word with another one (labels, for models that count words).
    """

    first_relevant: dict[str, int] | None = None
    majority_share: Number | None = None
    f1: Number | None = None
    few_shot_f1: Number | None = None
    undecided: int | None = None


class SliceDifference(Record):
    """A model against the first one on one slice.

    Attributes:
        difference: Model minus first model; undefined with too few queries.
        queries: Queries that both define.
        better: Those on which the model scored higher.
        worse: Those on which it scored lower.
        note: Why there is no mean or no interval; empty otherwise.
    """

    difference: Measured
    queries: int
    better: int
    worse: int
    note: str = ""


class SliceRow(Record):
    """A model on one slice of a task.

    Attributes:
        slice: Name of the slice.
        model: Name of the model.
        score: Mean of the headline metric; undefined with too few queries.
        queries: Queries with a defined value.
        note: Why there is no mean or no interval; empty otherwise.
        against_first: How it differs from the first model; null for that one itself.
    """

    slice: str
    model: str
    score: Measured
    queries: int
    note: str = ""
    against_first: SliceDifference | None = None


class Slices(Record):
    """A task, divided by one property of its queries.

    Attributes:
        rows: One for each slice and model.
        slices_left_out: Smaller slices beyond the largest 30.
        queries_left_out: Queries in those.
    """

    rows: tuple[SliceRow, ...]
    slices_left_out: int = 0
    queries_left_out: int = 0


class Moved(Record):
    """What a change of the queries does to a model.

    Attributes:
        changed: Queries that the change alters; everything else is over these, and null without any.
        difference: Headline metric, changed minus plain.
        rank_biased_overlap: Agreement of the two rankings, 0 to 1.
        top_overlap: Share of the first ten documents in common.
    """

    changed: int
    difference: Measured | None = None
    rank_biased_overlap: Number | None = None
    top_overlap: Number | None = None


class EvalRecord(CommandRecord):
    """All numbers of an evaluation.

    Attributes:
        confidence: Level of all intervals.
        delta: Largest difference that does not matter, for the verdicts.
        kinds: Task -> what it is.
        retention: Names of the tasks outside of hiring.
        headlines: Task -> the metric that comparisons of it look at.
        scores: Task -> model -> metric -> score; the first model is the reference, the first metric the headline.
        facts: Task -> model -> further plain numbers.
        differences: Every comparison, those of hiring first.
        families: `tasks` and `retention` -> number of comparisons that were corrected together.
        slices: Task -> property -> its slices.
        robustness: Task -> model -> change -> what it did.
        scorings: Model -> how it compares texts, where that is not the cosine of whole vectors.
        leaks: Model that `finetune` trained -> task -> part of it -> what of it occurs in its training data.
        warnings: What a reader of the scores must know.
    """

    command: ClassVar[str] = "eval"

    confidence: float
    delta: float
    kinds: dict[str, TaskFacts]
    retention: tuple[str, ...]
    headlines: dict[str, str]
    scores: dict[str, dict[str, dict[str, Measured]]]
    facts: dict[str, dict[str, ModelFacts]]
    differences: tuple[Comparison, ...]
    families: dict[str, int]
    slices: dict[str, dict[str, Slices]]
    robustness: dict[str, dict[str, dict[str, Moved]]]
    scorings: dict[str, Scoring] = Field(default_factory=dict)
    leaks: dict[str, dict[str, dict[TaskPart, Leak]]] = Field(default_factory=dict)
    warnings: tuple[str, ...] = ()


class EvalTimings(Record):
    """What differs from run to run, the content of `timings.json`.

    Attributes:
        seconds: Task -> model -> time of its evaluation.
        usage: Model behind an endpoint -> what it was asked for.
    """

    seconds: dict[str, dict[str, float]]
    usage: dict[str, EndpointUsage]
