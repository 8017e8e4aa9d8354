"""Settings of `hrembed select`: where scores come from, what a model must fulfil, and how the shortlist is measured."""

from __future__ import annotations

from datetime import date
from typing import Any, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from hrembed.config.finetune import DEV
from hrembed.config.parts import BootstrapSection, ModelSection, TaskSection, checked_metric
from hrembed.config.section import Section
from hrembed.records.select import LicenceClass, RankBy

Keep = Literal["keep", "drop"]
Scheme = Literal["equal", "by-type", "like-mine"]


class ScoresSection(Section):
    """Where leaderboard scores come from, and which of them count."""

    path: str | None = Field(
        default=None,
        description="Parquet or CSV with model, revision, task, split, subset, main_score, mteb_version, and "
        "experiment where a model was measured under several settings.",
    )
    results_dir: str | None = Field(default=None, description="A local mteb results folder.")
    runs: tuple[str, ...] = Field(
        default=(),
        description="Ids (or `latest`, or folders) of earlier `eval` runs; all of their tasks count as well.",
    )
    unit: Literal["fraction", "percent"] = Field(default="fraction", description="What 57.3 in `path` means.")
    benchmark: str = Field(default="MTEB(eng, v2)", description="Benchmark whose tasks count.")
    tasks: tuple[str, ...] = Field(default=(), description="Tasks that count, by name; empty means by type.")
    task_types: tuple[str, ...] = Field(
        default=("Retrieval",), description="mteb task types that count when `tasks` is empty; empty means all."
    )
    missing: Literal["leave-out", "worst"] = Field(
        default="leave-out",
        description="A model without a score on a task that counts: named and not ranked, or given the lowest score "
        "that any model has there.",
    )
    trained_on: Literal["mark", "discount", "exclude"] = Field(
        default="mark",
        description="A model that was trained on a task that counts: said so, its score there lowered by `discount`, "
        "or not ranked.",
    )
    discount: float = Field(default=0.1, gt=0, lt=1, description="Share that a score on a task trained on loses.")
    undisclosed: Keep = Field(default="keep", description="Models that do not say what they were trained on.")
    incomparable: Keep = Field(
        default="keep",
        description="Scores of versions of mteb that are known to be wrong for the task; flagged, or taken as missing.",
    )
    outliers: Keep = Field(
        default="keep",
        description="Scores that fit neither the model nor the task; flagged, or taken as missing.",
    )

    @model_validator(mode="after")
    def _one(self) -> ScoresSection:
        if self.path and self.results_dir:
            raise ValueError("give `path` or `results_dir`, not both")
        if self.unit == "percent" and not self.path:
            raise ValueError("`unit` is about the file in `path`; leave it out")
        return self


class WeightsSection(Section):
    """How much each task counts. `weights: like-mine` is short for `weights: {scheme: like-mine}`."""

    short_form: ClassVar[bool] = True

    scheme: Scheme = Field(
        default="equal",
        description="Every task alike, every type of task alike, or by how similar the lengths and the shape of its "
        "texts are to those of the probe.",
    )
    tasks: dict[str, float] = Field(default={}, description="Factor for single tasks, by name; 0 leaves one out.")
    types: dict[str, float] = Field(default={}, description="Factor for types of tasks, by mteb's name.")

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        return {"scheme": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _not_negative(self) -> WeightsSection:
        for name, factor in {**self.tasks, **self.types}.items():
            if factor < 0:
                raise ValueError(f"the factor of '{name}' is {factor:g}; a weight is 0 or more")
        return self


class ConstraintsSection(Section):
    """What a model must fulfil; a fact that is not known fails a constraint that asks for it."""

    licences: tuple[LicenceClass, ...] = Field(
        default=("permissive",), description="Accepted licence classes; empty accepts all."
    )
    max_parameters: int | None = Field(default=None, ge=1, description="Most parameters.")
    max_active_parameters: int | None = Field(
        default=None, ge=1, description="Most parameters that a text passes through, without the table of tokens."
    )
    max_memory_mb: float | None = Field(default=None, gt=0, description="Largest weights, in MB.")
    max_dimension: int | None = Field(default=None, ge=1, description="Longest vector.")
    min_max_tokens: int | None = Field(default=None, ge=1, description="Shortest acceptable text limit, in tokens.")
    languages: tuple[str, ...] = Field(
        default=("eng-Latn",), description="Languages that must be listed, as `eng-Latn`."
    )
    open_weights: bool | None = Field(default=True, description="Whether weights must be public; null does not ask.")
    released_after: str | None = Field(default=None, description="First acceptable release date, as `2024-01-31`.")
    frameworks: tuple[str, ...] = Field(
        default=(), description="One of these must load it, as mteb calls them: `Sentence Transformers`, `API`."
    )
    kinds: tuple[str, ...] = Field(
        default=("dense",),
        description="Accepted kinds: `dense`, `sparse`, `late-interaction`, `cross-encoder`; empty accepts all, also "
        "models that take no text.",
    )
    superseded: bool = Field(default=True, description="Whether a model that its makers replaced may stay.")
    max_ms_per_text: float | None = Field(
        default=None,
        gt=0,
        description="Most milliseconds for a text on this processor; only models measured here can be held to it.",
    )

    @field_validator("released_after")
    @classmethod
    def _a_date(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                date.fromisoformat(value)
            except ValueError:
                raise ValueError(f"'{value}' is no date; write it as `2024-01-31`") from None
        return value


class FactSection(Section):
    """A model of yours, or a correction to what mteb says of one; what is not given here stays as it is."""

    name: str = Field(min_length=1, description="Name in the scores.")
    parameters: int | None = Field(default=None, ge=0, description="Number of parameters.")
    memory_mb: float | None = Field(default=None, ge=0, description="Size of the weights, in MB.")
    dimension: int | None = Field(default=None, ge=1, description="Length of a vector.")
    max_tokens: int | None = Field(default=None, ge=1, description="Longest text, in tokens.")
    licence: str | None = Field(default=None, description="Name of the licence, as `apache-2.0`.")
    open_weights: bool | None = Field(default=None, description="Whether weights are public.")
    languages: tuple[str, ...] | None = Field(default=None, description="Languages, as `eng-Latn`.")
    released: str | None = Field(default=None, description="Release date, as `2024-01-31`.")
    frameworks: tuple[str, ...] | None = Field(default=None, description="What loads it.")
    kinds: tuple[str, ...] | None = Field(default=None, description="`dense`, `cross-encoder`, ...")
    trained_on: tuple[str, ...] | None = Field(default=None, description="Tasks it was trained on.")


class PairsSection(Section):
    """Pairs of your own, made into a search: anchors ask, positives are found."""

    path: str = Field(
        default="shipped:hr-core/pairs/train.jsonl",
        description="JSONL, CSV or Parquet with `anchor`, `positive` and optional `group`; or the folder of a `data` "
        "run.",
    )
    kind: str | None = Field(default=None, description="Kind of the pairs; needed where there are several.")
    max_queries: int = Field(default=300, ge=10, description="Most queries; groups take turns.")


class HalvingSection(Section):
    """Models that are clearly behind on a part of the task are not measured on the rest."""

    rounds: int = Field(default=3, ge=1, le=6, description="Rounds; each takes twice the part of the one before.")
    finalists: int = Field(default=3, ge=1, description="At least so many models reach the last round.")
    min_queries: int = Field(default=20, ge=2, description="Fewest queries of a round.")
    seed: int = Field(default=13, ge=0, description="Seed of the parts.")


class PriceSection(Section):
    """What a provider asks for a model of the leaderboard."""

    model: str = Field(min_length=1, description="Name on the leaderboard.")
    per_million_tokens: float = Field(ge=0, description="Price, in any currency.")


class CostSection(Section):
    """What texts cost."""

    measure: bool = Field(
        default=True,
        description="Start each model in a process of its own: start-up time, memory, texts per second. Some ten "
        "seconds a model.",
    )
    texts: int = Field(default=200, ge=8, description="Texts of the probe that are timed.")
    machine_per_hour: float | None = Field(
        default=None, ge=0, description="Price of a machine like this one, in any currency; null gives no cost."
    )
    prices: tuple[PriceSection, ...] = Field(default=(), description="Price table of models behind an API.")


class ProbeSection(Section):
    """Measuring models on this machine, on the user's own task."""

    models: tuple[ModelSection, ...] = Field(
        default=(ModelSection(), ModelSection(ref="bm25"), ModelSection(ref="tfidf")),
        description="Models to measure.",
    )
    shortlisted: bool = Field(
        default=True, description="Measure also those of the shortlist whose weights are on this machine."
    )
    task: TaskSection = DEV
    pairs: PairsSection | None = Field(default=None, description="Pairs in place of `task`; null takes `task`.")
    metric: str = Field(default="ndcg@10", description="What is measured.")
    halving: HalvingSection = HalvingSection()
    cost: CostSection = CostSection()

    _metric = field_validator("metric")(checked_metric)


class TransferSection(Section):
    """The best models, fine-tuned briefly: the best base is not always the best after tuning."""

    finalists: int = Field(default=0, ge=0, description="How many are tuned; 0 tunes none.")
    config: str | None = Field(
        default=None, description="Config of `finetune` that says with what and how; null takes the shipped one."
    )
    pairs: int = Field(default=1000, ge=2, description="Most rows of each source.")
    epochs: int = Field(default=1, ge=1, description="Passes over them.")


class SelectConfig(Section):
    """`hrembed select`: from the leaderboard to the model that fits."""

    scores: ScoresSection = ScoresSection()
    rank_by: RankBy = Field(default="mean", description="Mean score, or points for every model beaten on a task.")
    weights: WeightsSection = WeightsSection()
    constraints: ConstraintsSection = ConstraintsSection(max_parameters=150_000_000)
    facts: tuple[FactSection, ...] = Field(default=(), description="Models that mteb does not know, and corrections.")
    shortlist: int = Field(default=10, ge=1, description="Length of the ranked list.")
    probe: ProbeSection = ProbeSection()
    transfer: TransferSection = TransferSection()
    bootstrap: BootstrapSection = BootstrapSection()
