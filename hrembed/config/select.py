"""Settings of `hrembed select`: where scores come from, what a model must fulfil, and how the shortlist is measured."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from hrembed.config.finetune import DEV
from hrembed.config.parts import (
    COLUMNS,
    DELIMITER,
    ENCODING,
    PAIR_COLUMNS,
    SCORE_COLUMNS,
    BootstrapSection,
    ModelSection,
    TaskSection,
    check_distinct,
    checked_metric,
    known_columns,
)
from hrembed.config.section import Section
from hrembed.records.select import LicenceClass, RankBy

Keep = Literal["keep", "drop"]
Scheme = Literal["equal", "by-type", "like-mine"]


class ScoresSection(Section):
    """Where leaderboard scores come from, and which of them count."""

    path: str | None = Field(
        default=None,
        description="Parquet or CSV file with the columns model, revision, task, split, subset, main_score, "
        "mteb_version, and experiment where a model was measured under several settings.",
    )
    columns: dict[str, str] = COLUMNS
    delimiter: str | None = DELIMITER
    encoding: str = ENCODING
    results_dir: str | None = Field(default=None, description="Folder of results that mteb wrote.")
    runs: tuple[str, ...] = Field(
        default=(),
        description="Finished `eval` runs: ids, folders or `latest`; all of their tasks count as well.",
    )
    unit: Literal["fraction", "percent"] = Field(default="fraction", description="Unit of the scores in `path`.")
    benchmark: str = Field(default="MTEB(eng, v2)", description="Benchmark whose tasks count.")
    tasks: tuple[str, ...] = Field(default=(), description="Names of the tasks that count; empty takes `task_types`.")
    task_types: tuple[str, ...] = Field(
        default=("Retrieval",), description="mteb task types that count when `tasks` is empty; empty takes all."
    )
    missing: Literal["leave-out", "worst"] = Field(
        default="leave-out",
        description="A model without a score on a task that counts: listed but not ranked, or given the lowest score "
        "of any model there.",
    )
    trained_on: Literal["mark", "discount", "exclude"] = Field(
        default="mark",
        description="A model trained on a task that counts: marked, its score there lowered by a tenth, or not ranked.",
    )
    undisclosed: Keep = Field(default="keep", description="Models that do not disclose their training data.")
    outliers: Keep = Field(
        default="keep",
        description="Scores that fit neither the model nor the task: flagged, or treated as missing.",
    )

    @model_validator(mode="after")
    def _one(self) -> ScoresSection:
        if self.path and self.results_dir:
            raise ValueError("specify either `path` or `results_dir`, not both")
        if self.unit == "percent" and not self.path:
            raise ValueError("`unit` applies only to the file in `path`; remove it")
        fields = type(self).model_fields
        of_file = [name for name in ("columns", "delimiter", "encoding") if getattr(self, name) != fields[name].default]
        if of_file and not self.path:
            raise ValueError(f"`{of_file[0]}` applies only to the file in `path`; remove it")
        return self

    _columns = field_validator("columns")(lambda cls, value: known_columns(value, SCORE_COLUMNS))


class WeightsSection(Section):
    """How much each task counts. `weights: like-mine` is short for `weights: {scheme: like-mine}`."""

    short_form: ClassVar[bool] = True

    scheme: Scheme = Field(
        default="equal",
        description="Equal weight for each task, equal weight for each type of task, or more weight for tasks whose "
        "texts resemble those of the probe in length and number of relevant documents.",
    )
    tasks: dict[str, float] = Field(default={}, description="Factor for each named task; 0 leaves it out.")
    types: dict[str, float] = Field(default={}, description="Factor for each named mteb task type.")

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        return cls.of_text(value) if isinstance(value, str) else value

    @classmethod
    def of_text(cls, text: str) -> dict[str, Any]:
        """Read the name of a scheme."""
        return {"scheme": text}

    @model_validator(mode="after")
    def _not_negative(self) -> WeightsSection:
        for name, factor in {**self.tasks, **self.types}.items():
            if factor < 0:
                raise ValueError(f"weights must not be negative; '{name}' has {factor:g}")
        return self


class ConstraintsSection(Section):
    """What a model must fulfil; a fact that is not known fails a constraint that asks for it."""

    licences: tuple[LicenceClass, ...] = Field(
        default=("permissive",), description="Accepted licence classes; empty accepts all."
    )
    max_parameters: int | None = Field(default=None, ge=1, description="Largest number of parameters.")
    max_memory_mb: float | None = Field(default=None, gt=0, description="Largest size of the weights, in MB.")
    max_dimension: int | None = Field(default=None, ge=1, description="Largest dimension of the vectors.")
    min_max_tokens: int | None = Field(
        default=None, ge=1, description="Smallest acceptable maximum text length, in tokens."
    )
    languages: tuple[str, ...] = Field(
        default=("eng-Latn",), description="Languages that the model must list, as `eng-Latn`."
    )
    open_weights: bool | None = Field(
        default=True, description="Whether the weights must be public; null accepts both."
    )
    kinds: tuple[str, ...] = Field(
        default=("dense",),
        description="Accepted kinds, as mteb calls them; only `dense` ones fit the other commands; empty accepts all.",
    )
    max_ms_per_text: float | None = Field(
        default=None,
        gt=0,
        description="Longest time for a text on this processor, in milliseconds; applies to models measured here.",
    )


class FactSection(Section):
    """Facts of a model that mteb does not know, or corrections of what mteb says; null keeps what mteb says."""

    name: str = Field(min_length=1, description="Name of the model in the scores.")
    parameters: int | None = Field(default=None, ge=0, description="Number of parameters.")
    memory_mb: float | None = Field(default=None, ge=0, description="Size of the weights, in MB.")
    dimension: int | None = Field(default=None, ge=1, description="Dimension of the vectors.")
    max_tokens: int | None = Field(default=None, ge=1, description="Maximum text length, in tokens.")
    licence: str | None = Field(default=None, description="Name of the licence, as `apache-2.0`.")
    open_weights: bool | None = Field(default=None, description="Whether the weights are public.")
    languages: tuple[str, ...] | None = Field(default=None, description="Languages, as `eng-Latn`.")
    trained_on: tuple[str, ...] | None = Field(default=None, description="Tasks that the model was trained on.")


class PairsSection(Section):
    """Your own pairs as a retrieval task: anchors are the queries, positives the documents."""

    path: str = Field(
        default="shipped:hr-core/pairs/train.jsonl",
        description="JSONL, CSV or Parquet with `anchor`, `positive` and optional `group`; or the folder of a `data` "
        "run.",
    )
    columns: dict[str, str] = COLUMNS
    delimiter: str | None = DELIMITER
    encoding: str = ENCODING
    kind: str | None = Field(default=None, description="Kind of the pairs to use; required where there are several.")
    max_queries: int = Field(default=300, ge=10, description="Maximum number of queries, drawn evenly from the groups.")

    _columns = field_validator("columns")(lambda cls, value: known_columns(value, PAIR_COLUMNS))


class HalvingSection(Section):
    """Successive halving: models that are clearly behind on a part of the task are not measured on the rest."""

    rounds: int = Field(
        default=3, ge=1, le=6, description="Number of rounds; each uses twice as much of the task as the one before."
    )
    finalists: int = Field(default=3, ge=1, description="Smallest number of models in the last round.")


class PriceSection(Section):
    """Price of a service on the leaderboard."""

    model: str = Field(min_length=1, description="Name of the model on the leaderboard.")
    per_million_tokens: float = Field(ge=0, description="Price, in any currency.")


class CostSection(Section):
    """Speed, memory and cost of the finalists."""

    measure: bool = Field(
        default=True,
        description="Measure start-up time, memory and texts per second of each model in a process of its own; takes "
        "about ten seconds for each model.",
    )
    machine_per_hour: float | None = Field(
        default=None, ge=0, description="Price of this machine for an hour, in any currency; null shows hours."
    )
    prices: tuple[PriceSection, ...] = Field(default=(), description="Prices of services on the shortlist.")


class ProbeSection(Section):
    """Measuring models on this machine, on your own task."""

    models: tuple[ModelSection, ...] = Field(
        default=(ModelSection(), ModelSection(ref="bm25"), ModelSection(ref="tfidf")),
        description="Models to measure.",
    )
    shortlisted: bool = Field(
        default=True, description="Also measure shortlisted models whose weights are on this machine."
    )
    task: TaskSection = DEV
    pairs: PairsSection | None = Field(default=None, description="Pairs to use in place of `task`.")
    metric: str = Field(default="ndcg@10", description="Metric that decides.")
    halving: HalvingSection = HalvingSection()
    cost: CostSection = CostSection()

    _metric = field_validator("metric")(checked_metric)

    @model_validator(mode="after")
    def _distinct_names(self) -> ProbeSection:
        check_distinct(self.models, "models")
        return self


class TransferSection(Section):
    """The best models, fine-tuned briefly: the best base is not always the best after tuning."""

    finalists: int = Field(default=0, ge=0, description="Number of models to fine-tune for one epoch; 0 for none.")
    config: str | None = Field(
        default=None,
        description="`finetune` config with the data and the method, or `shipped:NAME`; null takes `shipped:finetune`.",
    )
    pairs: int = Field(default=1000, ge=2, description="Maximum number of rows of each source.")


class SelectConfig(Section):
    """`hrembed select`: from the leaderboard to the model that fits."""

    scores: ScoresSection = ScoresSection()
    rank_by: RankBy = Field(
        default="mean", description="Mean score, or Borda count: points for each model beaten on a task."
    )
    weights: WeightsSection = WeightsSection()
    constraints: ConstraintsSection = ConstraintsSection(max_parameters=150_000_000)
    facts: tuple[FactSection, ...] = Field(
        default=(), description="Facts of models that mteb does not know, and corrections."
    )
    shortlist: int = Field(default=10, ge=1, description="Number of models on the shortlist.")
    probe: ProbeSection = ProbeSection()
    transfer: TransferSection = TransferSection()
    bootstrap: BootstrapSection = BootstrapSection()
