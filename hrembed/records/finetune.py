"""What `hrembed finetune` says, and what its dry run says."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from hrembed.metrics.verdicts import Verdict
from hrembed.records.base import CommandRecord, Measured, Number, Record
from hrembed.records.data import Leak, TaskPart
from hrembed.records.eval import Comparison

Precision = Literal["float32", "bfloat16"]


class ParameterCounts(Record):
    """Parameters of a model.

    Attributes:
        trainable: Those that the method trains.
        all: All of them.
    """

    trainable: int
    all: int


class ScoreRange(Record):
    """Range of the scores of a source.

    Attributes:
        low: The smallest.
        high: The largest.
    """

    low: float
    high: float


class MiningFacts(Record):
    """What was found while hard negatives were mined.

    Attributes:
        count: Negatives asked for, for each row.
        anchors: Distinct anchors, by kind of pair.
        relevant: Candidates that were dropped because they are relevant to the anchor.
        margin: Candidates that were dropped because they are not far enough below the positive.
        rows_repeating: Rows with fewer negatives than asked for, which are repeated.
        rows_without: Rows without any, which are left out.
        positive_cosine: Mean cosine of anchors and positives; null without any.
        negative_cosine: Mean cosine of anchors and negatives; null without any.
    """

    count: int
    anchors: int
    relevant: int
    margin: int
    rows_repeating: int
    rows_without: int
    positive_cosine: Number
    negative_cosine: Number


class SourceFacts(Record):
    """What was found in the rows of a source; each kind has its own facts, and null for the others.

    Attributes:
        kind: What the rows are.
        negatives: Negatives that each row of the file gives; pairs with negatives.
        negatives_unused: Negatives of the file beyond these.
        labels: Label -> number of its texts; labelled texts.
        scores: Range of the scores; scored pairs.
        names: Names that are swapped; swapped names.
        resumes: Résumés in which they are.
    """

    kind: Literal["pairs", "labelled texts", "scored pairs", "swapped names"]
    negatives: int | None = None
    negatives_unused: int | None = None
    labels: dict[str, int] | None = None
    scores: ScoreRange | None = None
    names: int | None = None
    resumes: int | None = None


class SourceRecord(SourceFacts):
    """A source of training data.

    Attributes:
        loss: Name of its loss.
        rows: Rows that are trained on.
        batches: Planned batches in which they are.
        mined: How hard negatives were found; null where none were mined.
    """

    loss: str
    rows: int
    batches: int
    mined: MiningFacts | None


class TunedComparison(Comparison):
    """The tuned model against its base on one task.

    Attributes:
        base: Score of the base.
        tuned: Score of the tuned model.
    """

    base: Measured
    tuned: Measured


class StrengthPoint(Record):
    """Scores where a part of the training is kept.

    Attributes:
        strength: The part: 0 is the base, 1 the tuned model.
        dev: Score on the dev task.
        retention: Retention task -> score.
        lost: Retention task -> how much lower the score is than the base's; negative where it rose.
    """

    strength: float
    dev: Measured
    retention: dict[str, Measured]
    lost: dict[str, Number]


class Branch(Record):
    """A training whose weights were averaged with those of others.

    Attributes:
        branch: Its number in the config.
        sources: Positions of its sources in the config.
        steps: Planned steps.
        best_step: Step of the weights that were averaged.
        dev: Dev score there.
    """

    branch: int
    sources: tuple[int, ...]
    steps: int
    best_step: int
    dev: Number


class DevScore(Record):
    """Mean score of a checkpoint on the dev task.

    Attributes:
        step: Steps done; 0 is before the training.
        score: The mean.
    """

    step: int
    score: Number


class StepLoss(Record):
    """A loss of masked language modelling.

    Attributes:
        step: Steps done; 0 is before the training.
        loss: Mean cross-entropy of a hidden token, in nats.
    """

    step: int
    loss: float


class Perplexity(Record):
    """Perplexity of the tokens of texts that were held out.

    Attributes:
        before: Before the training.
        after: After it.
    """

    before: float
    after: float


class CorpusFacts(Record):
    """What a model from random weights reads.

    Attributes:
        texts: Distinct texts that are trained on.
        texts_held_out: Texts that are only measured on.
        vocabulary: Tokens of the tokenizer.
        unknown_share: Share of the tokens of all texts that it does not know.
    """

    texts: int
    texts_held_out: int
    vocabulary: int
    unknown_share: float


class Pretraining(CorpusFacts):
    """Masked language modelling from random weights.

    Attributes:
        steps: Steps done.
        loss_history: At most 200 means of neighbouring steps, each with its last step.
        held_out: Loss on the texts held out.
        perplexity: The same before and after.
    """

    steps: int
    loss_history: tuple[StepLoss, ...]
    held_out: tuple[StepLoss, ...]
    perplexity: Perplexity


class PretrainingEstimate(CorpusFacts):
    """What masked language modelling will take.

    Attributes:
        steps: Planned steps.
        seconds_per_batch: Number format -> seconds.
        training_seconds: Seconds of all steps.
    """

    steps: int
    seconds_per_batch: dict[Precision, float]
    training_seconds: float


class FinetuneRecord(CommandRecord):
    """All numbers of a fine-tuning.

    Attributes:
        verdict: What may be said of tuned against base on the dev task.
        delta: Largest difference that does not matter, for all verdicts.
        confidence: Level of all intervals.
        task: Name of the dev task.
        metric: Dev metric, which chose the checkpoint.
        base: Score of the base on the dev task.
        tuned: Score of the final model.
        difference: Tuned minus base.
        p_value: Two-sided, of this one comparison.
        tests: Tuned against base on each test task; p-values are corrected for their number.
        retention: The same on each task outside of hiring, a family of its own.
        strength: How much of the training is kept: 0 is the base, 1 the tuned model.
        strengths: Scores at each strength; empty where none was asked for.
        branches: Trainings whose weights were averaged; empty for a single one.
        pretraining: Of a model from random weights; null otherwise.
        parameters: Of the model in training.
        pairs: Rows of all sources with batches of their own.
        sources: Each source, in the order of the config.
        steps: Planned steps.
        steps_done: Steps before the training ended, early or not.
        best_step: Step of the kept weights.
        dev_history: Dev score at each evaluation; step 0 is before the training.
        loss_history: Loss of each step.
        step_sources: Position in `sources` of what each step was trained on; empty where a step holds several.
        leaks: Task -> part of it -> what of it occurs in the training rows.
        warnings: What a reader of the scores must know.
    """

    command: ClassVar[str] = "finetune"

    verdict: Verdict
    delta: float
    confidence: float
    task: str
    metric: str
    base: Measured
    tuned: Measured
    difference: Measured
    p_value: Number
    tests: tuple[TunedComparison, ...]
    retention: tuple[TunedComparison, ...]
    strength: float
    strengths: tuple[StrengthPoint, ...]
    branches: tuple[Branch, ...]
    pretraining: Pretraining | None
    parameters: ParameterCounts
    pairs: int
    sources: tuple[SourceRecord, ...]
    steps: int
    steps_done: int
    best_step: int
    dev_history: tuple[DevScore, ...]
    loss_history: tuple[float, ...]
    step_sources: tuple[int, ...] = ()
    leaks: dict[str, dict[TaskPart, Leak]] = Field(default_factory=dict)
    warnings: tuple[str, ...] = ()


class Truncation(Record):
    """What is cut off the texts of a column.

    Attributes:
        limit: Longest input in tokens.
        texts: Share of the texts that are longer.
        tokens: Share of all their tokens that is cut off.
    """

    limit: int
    texts: float
    tokens: float


class Probe(Record):
    """What a few steps showed whose gradients were thrown away.

    Attributes:
        seconds_per_batch: Number format -> median seconds of a batch.
        training_seconds: Seconds of the whole training, without dev scores.
        peak_memory_mb: Most memory of the process so far.
        loss: Mean loss before training.
        ranking_loss: The same over batches that have negatives; null without any.
    """

    seconds_per_batch: dict[Precision, float]
    training_seconds: float
    peak_memory_mb: int
    loss: Number
    ranking_loss: Number


class Preflight(Record):
    """What a training will take, and what looks wrong with it.

    Attributes:
        parameters: Of the model in training.
        steps: Planned steps.
        rows_per_batch: Mean over all batches.
        disk_mb: Most that the run will write.
        cut: Column of texts -> what is cut off; empty for a model without a limit.
        probe: What a few steps showed; null where none were run.
        warnings: One sentence each; empty when nothing looks wrong.
    """

    parameters: ParameterCounts
    steps: int
    rows_per_batch: float
    disk_mb: int
    cut: dict[str, Truncation]
    probe: Probe | None
    warnings: tuple[str, ...]


class PreflightRecord(Preflight, CommandRecord):
    """All that a dry run says.

    Attributes:
        pretraining: What masked language modelling will take; null for a model that has weights.
        sources: Each source, in the order of the config.
    """

    command: ClassVar[str] = "finetune-preflight"

    pretraining: PretrainingEstimate | None
    sources: tuple[SourceRecord, ...]
