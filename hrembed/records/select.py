"""What `hrembed select` says."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import JsonValue

from hrembed.records.base import CommandRecord, Measured, Record
from hrembed.records.usage import EndpointUsage

LicenceClass = Literal["permissive", "copyleft", "non-commercial", "unknown"]
RankBy = Literal["mean", "borda"]


class RegistryCounts(Record):
    """How many models are known, and what the constraints leave of them.

    Attributes:
        models: Models with facts, of mteb and of the config.
        fitting: Those that fulfil every constraint.
        dropped_by: Constraint -> models that break it; a model may break several.
        licences: Licence class -> models that fulfil every constraint.
    """

    models: int
    fitting: int
    dropped_by: dict[str, int]
    licences: dict[LicenceClass, int]


class FittingModel(Record):
    """A model that fulfils every constraint, by its facts; null means that nobody says.

    Attributes:
        model: Hub id, `ORG/NAME`.
        parameters: Number of parameters.
        memory_mb: Size of the weights, MB.
        dimension: Length of a vector.
        max_tokens: Longest text; null also where there is no limit.
        licence: As written.
        released: Date.
        superseded_by: Model that its makers recommend instead.
    """

    model: str
    parameters: int | None
    memory_mb: float | None
    dimension: int | None
    max_tokens: int | None
    licence: str | None
    released: str | None
    superseded_by: str | None


class ScoresSummary(Record):
    """What could be used of the scores that were read.

    Attributes:
        tasks: Tasks that count.
        models: Models with a score on any of them.
        complete: Models with a score on each of them.
        complete_and_fitting: Those among them that fulfil every constraint.
        unknown_models: Models without facts.
        unknown_for_example: The first of them, with the nearest name that is known; null without any.
        of_several_revisions: Models whose scores come from several revisions of their weights.
        of_several_versions: Models whose scores come from several main versions of mteb, or from their makers.
        repeated_rows: Rows that repeat another with the same score.
        rows_of_experiments: Rows of models under settings that are not their own.
        partly_measured: Model and task pairs of which only some splits or subsets were measured.
    """

    tasks: tuple[str, ...]
    models: int
    complete: int
    complete_and_fitting: int
    unknown_models: tuple[str, ...]
    unknown_for_example: str | None
    of_several_revisions: tuple[str, ...]
    of_several_versions: tuple[str, ...]
    repeated_rows: int
    rows_of_experiments: int
    partly_measured: int


class RankedModel(Record):
    """A model of the leaderboard with its facts; a fact is null where nobody states it.

    Attributes:
        model: Name on the leaderboard.
        mean: Weighted mean score, in [-1, 1].
        points: What the ranking goes by, the mean score or Borda points, resampled over tasks.
        rank_interval: Best and worst rank that the tasks allow, from 1.
        mean_rank: Rank by the mean score.
        borda_rank: Rank by Borda's count.
        tied_with_first: Whether it cannot be told from the first.
        separable_from_next: Whether it can be told from the next one; null for the last.
        pareto_front: Whether no other model is as good in quality, size, memory and dimension and better in one.
        parameters: Number of parameters.
        active_parameters: Those that a text passes through.
        memory_mb: Size of the weights, MB.
        dimension: Length of a vector, the longest where there are several.
        max_tokens: Longest text, in tokens.
        licence: Licence as stated.
        licence_class: What it allows.
        released: Release date, `2024-02-29`.
        revision: Commit of the weights.
        instructions: Whether queries are to be put behind an instruction.
        adapted_from: Model that it was made of.
        superseded_by: Model that its makers recommend instead.
        trained_on_these_tasks: Tasks that count and are among its training data; null when it does not say.
        tasks_of_other_revisions: Tasks whose score comes from another revision than most of its scores.
        mteb_versions: Main versions of mteb behind its scores.
        suspicious: Tasks on which its score fits neither the model nor the task.
        incomparable: Tasks on which its score comes from a version of mteb that is known to be wrong.
    """

    model: str
    mean: float
    points: Measured
    rank_interval: tuple[int, int]
    mean_rank: int
    borda_rank: int
    tied_with_first: bool
    separable_from_next: bool | None
    pareto_front: bool
    parameters: int | None
    active_parameters: int | None
    memory_mb: float | None
    dimension: int | None
    max_tokens: int | None
    licence: str | None
    licence_class: LicenceClass
    released: str | None
    revision: str | None
    instructions: bool | None
    adapted_from: str | None
    superseded_by: str | None
    trained_on_these_tasks: tuple[str, ...] | None
    tasks_of_other_revisions: int
    mteb_versions: tuple[str, ...]
    suspicious: tuple[str, ...]
    incomparable: tuple[str, ...]


class Sensitivity(Record):
    """Which model is first under other weights of the tasks.

    Attributes:
        first_share: Model -> share of random weightings under which it is first, the largest first; others have none.
        first_by_scheme: Scheme of weights -> the model that is first.
        first_without_task: Task -> the model that is first without it, where that is another one.
    """

    first_share: dict[str, float]
    first_by_scheme: dict[str, str]
    first_without_task: dict[str, str]


class RankingSummary(Record):
    """What the ranking as a whole can and cannot say.

    Attributes:
        by: What the models are ranked by.
        ranked: Number of ranked models.
        tied_with_first: Models that cannot be told from the first, itself included.
        adjacent_pairs: Neighbours in the ranking.
        adjacent_pairs_not_separable: Neighbours that cannot be told apart.
        weights: Task -> its weight; they sum to 1.
        effective_tasks: Number of equally weighted tasks that would say as much.
        left_out: Model that fulfils the constraints and has scores, but is not ranked -> the reason.
        sensitivity: Who is first under other weights.
    """

    by: RankBy
    ranked: int
    tied_with_first: tuple[str, ...]
    adjacent_pairs: int
    adjacent_pairs_not_separable: int
    weights: dict[str, float]
    effective_tasks: float
    left_out: dict[str, str]
    sensitivity: Sensitivity


class ProbeTask(Record):
    """What models were measured on here.

    Attributes:
        name: Name of the task.
        metric: Name of the metric.
    """

    name: str
    metric: str


class ProbedModel(Record):
    """A model that was measured here.

    Attributes:
        model: Name for tables.
        ref: How the config refers to it.
        score: Mean of the metric over the queries of its last round.
        difference_to_best: Model minus the best of that round; null for the best itself.
        round: Its last round, from 1.
        queries: Queries of that round.
    """

    model: str
    ref: str
    score: Measured
    difference_to_best: Measured | None
    round: int
    queries: int


class TunedModel(Record):
    """A model after a short fine-tuning.

    Attributes:
        base: Name of the model that was tuned.
        score: Mean of the metric after tuning.
        gain: Tuned minus base.
        difference_to_best: Tuned minus the best tuned model; null for that one itself.
    """

    base: str
    score: Measured
    gain: Measured
    difference_to_best: Measured | None


class Pick(Record):
    """The model that is picked.

    Attributes:
        model: Name of the model.
        section: The `model` section of the other commands' configs, which `pick.yaml` holds.
        cannot_be_told_from: Models that may be as good.
        reasons: Sentences that say why.
    """

    model: str
    section: dict[str, JsonValue]
    cannot_be_told_from: tuple[str, ...]
    reasons: tuple[str, ...]


class SelectRecord(CommandRecord):
    """All that a selection says.

    Attributes:
        registry: Models that are known, and what the constraints leave of them.
        fitting: Models that fulfil every constraint, the newest first; empty with scores, which rank them.
        scores: What was read of the leaderboard; null without scores.
        ranking: What the ranking can say; null without scores.
        leaderboard: The shortlist, best first; empty without scores.
        probe: Models measured here: those measured on the whole task, best first, then those dropped on the way.
        probe_task: What they were measured on; null where nothing was measured.
        not_here: Shortlisted models whose weights are not on this machine.
        transfer: Models after a short fine-tuning, best first.
        pick: The model that is picked.
        notices: What to know before believing the numbers, the most important first.
    """

    command: ClassVar[str] = "select"

    registry: RegistryCounts
    fitting: tuple[FittingModel, ...] = ()
    scores: ScoresSummary | None
    ranking: RankingSummary | None
    leaderboard: tuple[RankedModel, ...]
    probe: tuple[ProbedModel, ...]
    probe_task: ProbeTask | None
    not_here: tuple[str, ...]
    transfer: tuple[TunedModel, ...]
    pick: Pick
    notices: tuple[str, ...]


class Footprint(Record):
    """What one model needed on one device.

    Attributes:
        device: `CPU` or `GPU`.
        start_seconds: From the start of the process to the first result.
        texts_per_second: Texts embedded (or indexed and searched), once it had started.
        peak_memory_mb: Largest resident memory of the process, Python and libraries included, MB.
        load: Work that waited for a processor when the process was started; above the number of cores, the times are
            too long.
    """

    device: Literal["CPU", "GPU"]
    start_seconds: float
    texts_per_second: float
    peak_memory_mb: float
    load: float


class SelectTimings(Record):
    """What differs from run to run, the content of `timings.json`.

    Attributes:
        footprints: Model -> what it needed on each device.
        usage: Model behind an endpoint -> what it was asked for.
        transfer_runs: Model -> id of the finetune run that tuned it.
    """

    footprints: dict[str, tuple[Footprint, ...]]
    usage: dict[str, EndpointUsage]
    transfer_runs: dict[str, str]
