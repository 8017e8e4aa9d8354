"""What the config of `gate` may hold."""

from __future__ import annotations

from datetime import date
from typing import Literal

from pydantic import Field, model_validator

from hrembed.config.parts import BootstrapSection
from hrembed.config.section import Section


class CandidateSection(Section):
    """The model that asks to be let through."""

    eval: str = Field(default="latest", description="Eval run: id, folder, or `latest`.")
    model: str | None = Field(
        default=None, description="Its name in that run; null takes the last one of the run's `models`."
    )
    audit: str | None = Field(
        default=None, description="Bias-audit run of the same model: id, folder or `latest`; needed by `fairness`."
    )


class BaselineSection(Section):
    """What it is compared with, on the same items."""

    eval: str | None = Field(default=None, description="Eval run; null is the candidate's own.")
    model: str | None = Field(
        default=None, description="Its name in that run; null takes the first one of the run's `models`."
    )
    audit: str | None = Field(default=None, description="Bias-audit run of the baseline, on the same stimuli.")


class RuleSection(Section):
    """What is asked of a metric on some tasks."""

    task: str = Field(default="*", min_length=1, description="Name of a task, or a pattern with `*`.")
    metric: str | None = Field(default=None, description="Name of the metric; null is the task's headline.")
    direction: Literal["higher", "lower"] = Field(default="higher", description="Which way is better.")
    margin: float | None = Field(
        default=0.02,
        gt=0,
        description="Largest loss against the baseline that is accepted (non-inferiority); null compares nothing.",
    )
    min_effect: float = Field(
        default=0.0, ge=0, description="Minimal effect: a loss must be shown to be larger than this before it fails."
    )
    gain: float | None = Field(
        default=None, ge=0, description="Gain over the baseline that must be shown; 0 asks for any, null for none."
    )
    at_least: float | None = Field(default=None, description="Smallest value that is accepted, baseline or not.")
    at_most: float | None = Field(default=None, description="Largest value that is accepted.")

    @model_validator(mode="after")
    def _asks(self) -> RuleSection:
        if self.margin is not None and self.min_effect > self.margin:
            raise ValueError(f"`min_effect: {self.min_effect:g}` is larger than `margin: {self.margin:g}`")
        if self.margin is None and self.gain is None and self.at_least is None and self.at_most is None:
            raise ValueError("asks for nothing; give `margin`, `gain`, `at_least` or `at_most`")
        return self


class FairnessSection(Section):
    """What is asked of the bias audit."""

    verdict: Literal["pass", "no-worse", "any"] = Field(
        default="any",
        description="`pass` asks the candidate's audit for it, `no-worse` for one at least as good as the baseline's.",
    )
    gap_growth: float | None = Field(
        default=None,
        gt=0,
        description="Most that a gap between two groups of names may grow against the baseline, in units of `column`.",
    )
    column: str | None = Field(
        default=None, description="Column of the audit's `per_name.parquet`; null takes `score`, else `effect`."
    )


class LatencySection(Section):
    """Both models are timed here and now, one text at a time, in turn; nothing is timed without a limit."""

    p95_ms: float | None = Field(default=None, gt=0, description="Longest 95th percentile of a query.")
    ratio: float | None = Field(
        default=None, gt=0, description="Most times as long as the baseline, at the median of a query."
    )
    texts: int = Field(default=50, ge=10, description="Queries that are timed.")


class SizeSection(Section):
    """Files of the model, and length of its vectors."""

    model_mb: float | None = Field(default=None, gt=0, description="Most MB (1,000,000 bytes) of files.")
    dimensions: int | None = Field(default=None, ge=1, description="Longest vector: it decides the size of the index.")
    ratio: float | None = Field(default=None, gt=0, description="Most times as many bytes as the baseline.")


class WaiverSection(Section):
    """One check that may fail for now, since somebody answers for it."""

    check: str = Field(min_length=1, description="Name of the check, as the report shows it.")
    owner: str = Field(min_length=1, description="Who answers for it.")
    expires: date = Field(description="Last day on which it holds (UTC), as 2026-12-31.")
    reason: str = Field(min_length=1, description="Why.")


class GateConfig(Section):
    """`hrembed gate`: may this model go on?"""

    candidate: CandidateSection = CandidateSection()
    baseline: BaselineSection | None = Field(
        default=BaselineSection(), description="What it is compared with; null leaves absolute limits."
    )
    quality: tuple[RuleSection, ...] = Field(default=(RuleSection(),), description="Asked of tasks of hiring.")
    retention: tuple[RuleSection, ...] = Field(
        default=(RuleSection(margin=0.03),), description="Asked of the tasks outside of hiring (`retention` in eval)."
    )
    fairness: FairnessSection = FairnessSection()
    latency: LatencySection = LatencySection()
    size: SizeSection = SizeSection()
    inconclusive: Literal["fail", "pass"] = Field(
        default="fail", description="What an open question does: `fail` ends with exit code 6, `pass` with 0."
    )
    waivers: tuple[WaiverSection, ...] = Field(default=(), description="Checks that may fail for now.")
    power: float = Field(default=0.8, gt=0.5, lt=1, description="Chance to fail a loss of the size called detectable.")
    bootstrap: BootstrapSection = BootstrapSection()

    @model_validator(mode="after")
    def _comparable(self) -> GateConfig:
        relative = [
            rule for rule in (*self.quality, *self.retention) if rule.margin is not None or rule.gain is not None
        ]
        other = self.fairness.verdict == "no-worse" or self.fairness.gap_growth or self.latency.ratio or self.size.ratio
        if self.baseline is None and (relative or other):
            raise ValueError(
                "`baseline` is null, so `margin`, `gain`, `no-worse`, `gap_growth` and `ratio` mean nothing"
            )
        return self
