"""What each command's config may hold: one frozen model per command.

The descriptions are the documentation: `docs/config.md` is generated from them.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator, model_validator

from hrembed.config.compare import CompareConfig
from hrembed.config.data import (
    DataAnonymiseConfig,
    DataCheckConfig,
    DataInspectConfig,
    DataSplitConfig,
    ImportEscoConfig,
    ImportOnetConfig,
    ImportTableConfig,
)
from hrembed.config.export import ExportConfig
from hrembed.config.gate import GateConfig
from hrembed.config.parts import BootstrapSection, ModelSection, TaskSection, checked_metric
from hrembed.config.retrain import RetrainConfig
from hrembed.config.scratch import ScratchMethod
from hrembed.config.section import Section
from hrembed.config.training import DEV, FinetuneConfig
from hrembed.evaluation.perturb import CHANGES
from hrembed.evaluation.slices import BUILT_IN
from hrembed.metrics.names import parse_metric
from hrembed.registry import nearest


class CompareSection(Section):
    """How models are compared."""

    pairs: Literal["all", "reference"] = Field(
        default="all", description="Compare every two models, or all with the first; p-values are corrected for these."
    )
    delta: float = Field(
        default=0.02, gt=0, lt=1, description="Largest difference that does not matter to you: an engineering choice."
    )
    power: float = Field(
        default=0.8, gt=0.5, lt=1, description="Chance of finding a difference of the size called detectable."
    )


class SearchSection(Section):
    """How documents are ranked."""

    depth: int = Field(
        default=1000, ge=1, description="Ranks kept for each query; what comes later counts as not found."
    )
    memory_mb: int = Field(
        default=1024,
        ge=64,
        description="MiB for a block of scores, and for vectors before they go to a file.",
    )


class CacheSection(Section):
    """Vectors kept on disk, keyed by weights, settings, prompt and text."""

    use: bool = Field(default=True, description="Whether vectors are looked up and kept.")
    folder: str | None = Field(default=None, description="Where they lie; null is `.cache` in the folder of the runs.")


class SliceSection(Section):
    """Parts of the queries that are reported on their own."""

    by: tuple[str, ...] = Field(
        default=("length", "overlap", "relevant"),
        description="`length`, `overlap`, `relevant`, `seniority`, `language`, `group`, `family`, `query:FIELD` or "
        "`document:FIELD`.",
    )
    min_queries: int = Field(default=20, ge=2, description="A slice with fewer says so in place of a number.")

    @field_validator("by")
    @classmethod
    def _known(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        for value in values:
            if value not in BUILT_IN and not value.startswith(("query:", "document:")):
                raise ValueError(f"unknown slice '{value}'{nearest(value, BUILT_IN)}")
        return values


class RobustnessSection(Section):
    """The same queries, written differently."""

    changes: tuple[str, ...] = Field(
        default=(), description="`typos`, `case`, `abbreviations`, `word-order`; each embeds all queries once more."
    )
    seed: int = Field(default=13, ge=0, description="Seed of the changes.")

    @field_validator("changes")
    @classmethod
    def _known(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        for value in values:
            if value not in CHANGES:
                raise ValueError(f"unknown change '{value}'{nearest(value, CHANGES)}")
        return values


class EvalConfig(Section):
    """`hrembed eval`: score models on tasks."""

    models: tuple[ModelSection, ...] = Field(
        default=(ModelSection(),),
        min_length=1,
        description="Models; the first is the reference of the comparisons.",
    )
    baselines: tuple[Literal["bm25", "tfidf"], ...] = Field(
        default=("bm25", "tfidf"), description="Lexical baselines scored beside the models."
    )
    tasks: tuple[TaskSection, ...] = Field(default=(TaskSection(),), min_length=1, description="Tasks to score on.")
    retention: tuple[TaskSection, ...] = Field(
        default=(),
        description="Tasks outside of hiring that show what a fine-tuned model lost; reported and corrected apart.",
    )
    metrics: tuple[str, ...] = Field(
        default=("ndcg@10", "map", "mrr@10", "recall@100"),
        min_length=1,
        description="Metrics of retrieval and reranking; the first is the headline.",
    )
    compare: CompareSection = CompareSection()
    slices: SliceSection = SliceSection()
    robustness: RobustnessSection = RobustnessSection()
    worst: int = Field(default=10, ge=0, description="Queries shown where a model fails most, and most won and lost.")
    search: SearchSection = SearchSection()
    cache: CacheSection = CacheSection()
    bootstrap: BootstrapSection = BootstrapSection()

    @field_validator("metrics")
    @classmethod
    def _metrics(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(checked_metric(value) for value in values))

    @model_validator(mode="after")
    def _within_depth(self) -> EvalConfig:
        for name in self.metrics:
            cut = parse_metric(name).k
            if cut is not None and cut > self.search.depth:
                raise ValueError(f"`{name}` looks deeper than `search.depth: {self.search.depth}`; raise that")
        return self


class StimuliSection(Section):
    """What is shown to the model."""

    jobs: str = Field(default="shipped:hr-core/audit/jobs.jsonl", description="JSONL with `_id` and `text`.")
    resumes: str = Field(
        default="shipped:hr-core/audit/resumes.jsonl",
        description="JSONL with `_id` and `text` holding `{name}`.",
    )
    names: str = Field(
        default="shipped:names/us-census-2020.csv",
        description="CSV with `name` and one column for each group attribute.",
    )
    attributes: tuple[str, ...] = Field(
        default=("gender", "race"), min_length=1, description="Columns of the names table that are compared."
    )
    names_per_cell: int | None = Field(
        default=None,
        ge=2,
        description="Use the first so many names of each combination of attributes; null uses all.",
    )


class LimitsSection(Section):
    """Engineering choices, not law: where a difference starts to matter."""

    gap: float = Field(
        default=0.2,
        gt=0,
        description="Largest mean score gap, in standard deviations of a job's scores over nameless résumés.",
    )
    impact_ratio: float = Field(default=0.8, gt=0, lt=1, description="Smallest ratio of selection rates.")


class AuditConfig(Section):
    """`hrembed bias-audit`: the same résumés under different names."""

    model: ModelSection = ModelSection()
    stimuli: StimuliSection = StimuliSection()
    cuts: tuple[float, ...] = Field(
        default=(0.05, 0.1, 0.2, 0.5),
        min_length=1,
        description="Shares of the candidates that are selected for a job.",
    )
    headline_cut: float = Field(default=0.1, gt=0, lt=1, description="The cut that the verdict looks at.")
    limits: LimitsSection = LimitsSection()
    fail_on: Literal["fail", "fail-or-inconclusive", "never"] = Field(
        default="fail",
        description="Which verdict ends the command with exit code 5 (fail) or 6 (inconclusive).",
    )
    bootstrap: BootstrapSection = BootstrapSection()

    @field_validator("cuts")
    @classmethod
    def _shares(cls, values: tuple[float, ...]) -> tuple[float, ...]:
        wrong = [value for value in values if not 0 < value < 1]
        if wrong:
            raise ValueError(f"a cut is a share between 0 and 1, got {wrong[0]}")
        return values

    @model_validator(mode="after")
    def _headline(self) -> AuditConfig:
        if self.headline_cut not in self.cuts:
            raise ValueError(f"`headline_cut` {self.headline_cut} is not one of `cuts` {list(self.cuts)}; add it there")
        return self


class ScoresSection(Section):
    """Where leaderboard scores come from."""

    path: str | None = Field(
        default=None,
        description="Parquet with model, revision, task, split, subset, main_score, mteb_version.",
    )
    results_dir: str | None = Field(default=None, description="A local mteb results folder, in place of `path`.")
    tasks: tuple[str, ...] = Field(default=(), description="Tasks that count, by name; empty means by type.")
    task_types: tuple[str, ...] = Field(
        default=("Retrieval",), description="mteb task types that count when `tasks` is empty."
    )
    benchmark: str = Field(default="MTEB(eng, v2)", description="Benchmark whose tasks of these types count.")

    @model_validator(mode="after")
    def _one(self) -> ScoresSection:
        if self.path and self.results_dir:
            raise ValueError("give `path` or `results_dir`, not both")
        return self


class ConstraintsSection(Section):
    """What a model must fulfil; a fact that is not known fails a constraint that asks for it."""

    licences: tuple[Literal["permissive", "copyleft", "non-commercial", "unknown"], ...] = Field(
        default=("permissive",), description="Accepted licence classes; empty accepts all."
    )
    max_parameters: int | None = Field(default=None, ge=1, description="Most parameters.")
    max_dimension: int | None = Field(default=None, ge=1, description="Longest vector.")
    min_max_tokens: int | None = Field(default=None, ge=1, description="Shortest acceptable text limit, in tokens.")
    languages: tuple[str, ...] = Field(
        default=("eng-Latn",), description="Languages that must be listed, as `eng-Latn`."
    )
    open_weights: bool | None = Field(default=True, description="Whether weights must be public; null does not ask.")


class ProbeSection(Section):
    """Measuring models on this machine, on the user's own task."""

    models: tuple[ModelSection, ...] = Field(
        default=(ModelSection(), ModelSection(ref="bm25"), ModelSection(ref="tfidf")),
        description="Models to measure.",
    )
    task: TaskSection = DEV
    metric: str = Field(default="ndcg@10", description="What is measured.")

    _metric = field_validator("metric")(checked_metric)


class SelectConfig(Section):
    """`hrembed select`: from the leaderboard to the model that fits."""

    scores: ScoresSection = ScoresSection()
    constraints: ConstraintsSection = ConstraintsSection(max_parameters=150_000_000)
    shortlist: int = Field(default=10, ge=1, description="Length of the ranked list.")
    probe: ProbeSection = ProbeSection()
    bootstrap: BootstrapSection = BootstrapSection()


class DemoConfig(Section):
    """`hrembed demo`: select, finetune, eval and bias-audit in a row."""

    select: SelectConfig = SelectConfig()
    finetune: FinetuneConfig = FinetuneConfig()
    eval: EvalConfig = Field(default=EvalConfig(), description="The tuned model and its base are added to `models`.")
    audit: AuditConfig = AuditConfig(fail_on="never")


class DecisionConfig(Section):
    """`hrembed decision`: pre-trained, fine-tuned and from scratch, end to end."""

    tuned: FinetuneConfig = Field(default=FinetuneConfig(), description="How the pre-trained model is fine-tuned.")
    scratch: FinetuneConfig = Field(
        default=FinetuneConfig(method=ScratchMethod(name="scratch")), description="How a model of its own is trained."
    )
    eval: EvalConfig = Field(
        default=EvalConfig(baselines=("bm25",)),
        description="What all are evaluated on; its `models` take part beside the three.",
    )
    compare: CompareConfig = Field(default=CompareConfig(), description="How they are compared; `runs` is filled in.")


SCHEMAS: dict[str, type[Section]] = {
    "select": SelectConfig,
    "finetune": FinetuneConfig,
    "eval": EvalConfig,
    "export": ExportConfig,
    "bias-audit": AuditConfig,
    "compare": CompareConfig,
    "decision": DecisionConfig,
    "gate": GateConfig,
    "retrain": RetrainConfig,
    "demo": DemoConfig,
    "data-import-onet": ImportOnetConfig,
    "data-import-esco": ImportEscoConfig,
    "data-import-table": ImportTableConfig,
    "data-split": DataSplitConfig,
    "data-inspect": DataInspectConfig,
    "data-check": DataCheckConfig,
    "data-anonymise": DataAnonymiseConfig,
}
