"""Settings of `hrembed eval`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator, model_validator

from hrembed.config.parts import BootstrapSection, ModelSection, TaskSection, check_distinct, checked_metric
from hrembed.config.section import Section
from hrembed.evaluation.perturb import CHANGES, GROUPS
from hrembed.evaluation.slices import BUILT_IN
from hrembed.metrics.names import parse_metric
from hrembed.registry import nearest


class CompareSection(Section):
    """How models are compared."""

    pairs: Literal["all", "reference"] = Field(
        default="all",
        description="Compare every pair of models, or each model with the first; p-values are corrected for "
        "that number "
        "of comparisons.",
    )
    delta: float = Field(
        default=0.02,
        gt=0,
        lt=1,
        description="Equivalence margin: the largest difference that does not matter to you. An engineering choice.",
    )
    power: float = Field(default=0.8, gt=0.5, lt=1, description="Power used for the detectable difference.")


class SearchSection(Section):
    """How documents are ranked."""

    depth: int = Field(
        default=1000,
        ge=1,
        description="Number of documents ranked for each query; what ranks lower counts as not found.",
    )
    memory_mb: int = Field(
        default=1024,
        ge=64,
        description="MB for a block of scores, and for vectors before they go to a file.",
    )


class CacheSection(Section):
    """Cache of vectors on disk, keyed by weights, settings, prompt and text."""

    use: bool = Field(default=True, description="Read and write the cache.")
    folder: str | None = Field(default=None, description="Folder of the cache; null is `.cache` in the runs folder.")


class SliceSection(Section):
    """Subsets of the queries that are reported separately."""

    by: tuple[str, ...] = Field(
        default=("length", "overlap", "relevant"),
        description="`length`, `overlap`, `relevant`, `seniority`, `language`, `group`, `family`, `query:FIELD` or "
        "`document:FIELD`.",
    )
    min_queries: int = Field(
        default=20, ge=2, description="Smallest slice with a score; smaller ones are named without one."
    )

    @field_validator("by")
    @classmethod
    def _known(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        for value in values:
            if value not in BUILT_IN and not value.startswith(("query:", "document:")):
                raise ValueError(f"unknown slice '{value}'{nearest(value, BUILT_IN)}")
        return values


class RobustnessSection(Section):
    """The same queries with perturbed texts."""

    changes: tuple[str, ...] = Field(
        default=(),
        description="Perturbations: `typos`, `case`, `abbreviations`, `word-order`, and of job titles `singular`, "
        "`plural`, `inverted` (`Bakers, Night Shift`) or all three as `number`; each encodes the queries that it "
        "changes.",
    )
    seed: int = Field(default=13, ge=0, description="Random seed of the perturbations.")

    @field_validator("changes")
    @classmethod
    def _known(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        for value in values:
            if value not in CHANGES and value not in GROUPS:
                raise ValueError(f"unknown change '{value}'{nearest(value, [*CHANGES, *GROUPS])}")
        return tuple(dict.fromkeys(change for value in values for change in GROUPS.get(value, (value,))))


class EvalConfig(Section):
    """`hrembed eval`: score models on tasks."""

    models: tuple[ModelSection, ...] = Field(
        default=(ModelSection(),),
        min_length=1,
        description="Models; the first is the reference of all comparisons.",
    )
    baselines: tuple[Literal["bm25", "tfidf", "char-tfidf"], ...] = Field(
        default=("bm25", "tfidf"), description="Lexical baselines that are scored as well."
    )
    tasks: tuple[TaskSection, ...] = Field(default=(TaskSection(),), min_length=1, description="Tasks.")
    retention: tuple[TaskSection, ...] = Field(
        default=(),
        description="Tasks outside of hiring, which show what a fine-tuned model has forgotten; reported and corrected "
        "as a family of their own.",
    )
    metrics: tuple[str, ...] = Field(
        default=("ndcg@10", "map", "mrr@10", "recall@100"),
        min_length=1,
        description="Retrieval and reranking metrics; the first is the headline metric.",
    )
    compare: CompareSection = CompareSection()
    slices: SliceSection = SliceSection()
    robustness: RobustnessSection = RobustnessSection()
    worst: int = Field(
        default=10,
        ge=0,
        description="Number of worst queries kept for each model, and of largest wins and losses against the "
        "reference.",
    )
    show_text: bool = Field(
        default=False,
        description="Show texts of queries and documents in `cases.json` and on pages, redacted as by "
        "`data anonymise`; otherwise their ids alone.",
    )
    search: SearchSection = SearchSection()
    cache: CacheSection = CacheSection()
    bootstrap: BootstrapSection = BootstrapSection()

    @field_validator("metrics")
    @classmethod
    def _metrics(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(checked_metric(value) for value in values))

    @model_validator(mode="after")
    def _distinct_names(self) -> EvalConfig:
        check_distinct(self.models, "models")
        check_distinct((*self.tasks, *self.retention), "tasks")
        return self

    @model_validator(mode="after")
    def _within_depth(self) -> EvalConfig:
        for name in self.metrics:
            cut = parse_metric(name).k
            if cut is not None and cut > self.search.depth:
                raise ValueError(f"`{name}` exceeds `search.depth: {self.search.depth}`; increase `search.depth`")
        return self
