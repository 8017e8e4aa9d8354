"""Settings of `hrembed eval`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator, model_validator

from hrembed.config.parts import BootstrapSection, ModelSection, TaskSection, checked_metric
from hrembed.config.section import Section
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
