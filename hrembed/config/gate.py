"""What the config of `gate` may hold."""

from __future__ import annotations

from datetime import date
from typing import Literal

from pydantic import Field, model_validator

from hrembed.config.parts import BootstrapSection
from hrembed.config.section import Section


class CandidateSection(Section):
    """The model under test."""

    eval: str = Field(default="latest", description="Eval run: id, folder or `latest`.")
    model: str | None = Field(
        default=None, description="Name of the model in that run; null is the last of its `models`."
    )
    audit: str | None = Field(
        default=None, description="Bias-audit run of the same model: id, folder or `latest`; needed by `fairness`."
    )


class BaselineSection(Section):
    """The model it is compared with, on the same items."""

    eval: str | None = Field(default=None, description="Eval run; null is that of the candidate.")
    model: str | None = Field(
        default=None, description="Name of the model in that run; null is the first of its `models`."
    )
    audit: str | None = Field(default=None, description="Bias-audit run of the baseline, on the same stimuli.")


class RuleSection(Section):
    """Requirement for a metric on one or more tasks."""

    task: str = Field(default="*", min_length=1, description="Name of a task, or a pattern with `*`.")
    metric: str | None = Field(default=None, description="Metric; null is the headline metric of the task.")
    direction: Literal["higher", "lower"] = Field(default="higher", description="Which direction is better.")
    margin: float | None = Field(
        default=0.02,
        gt=0,
        description="Non-inferiority margin: the largest acceptable loss against the baseline; null does not compare.",
    )
    min_effect: float = Field(
        default=0.0, ge=0, description="Minimal effect: a loss fails only when it is shown to be larger than this."
    )
    gain: float | None = Field(
        default=None, ge=0, description="Gain over the baseline that must be shown; 0 requires any gain, null none."
    )
    at_least: float | None = Field(default=None, description="Smallest acceptable value, regardless of the baseline.")
    at_most: float | None = Field(default=None, description="Largest acceptable value.")

    @model_validator(mode="after")
    def _asks(self) -> RuleSection:
        if self.margin is not None and self.min_effect > self.margin:
            raise ValueError(f"`min_effect: {self.min_effect:g}` is larger than `margin: {self.margin:g}`")
        if self.margin is None and self.gain is None and self.at_least is None and self.at_most is None:
            raise ValueError("no requirement is set; set `margin`, `gain`, `at_least` or `at_most`")
        return self


class FairnessSection(Section):
    """Requirements for the bias audit."""

    verdict: Literal["pass", "no-worse", "any"] = Field(
        default="any",
        description="`pass` requires that verdict of the candidate's audit, `no-worse` one at least as good as the "
        "baseline's.",
    )
    gap_growth: float | None = Field(
        default=None,
        gt=0,
        description="Largest acceptable growth of a gap between two groups of names against the baseline, in units of "
        "`column`.",
    )
    column: str | None = Field(
        default=None,
        description="Column of the audit's `per_name.parquet`; null is `score` where there is one, else `effect`.",
    )


class LatencySection(Section):
    """Limits of latency: both models are timed here, one text at a time, in turn; without a limit nothing is timed."""

    p95_ms: float | None = Field(
        default=None, gt=0, description="Largest acceptable 95th percentile for a query, in milliseconds."
    )
    ratio: float | None = Field(
        default=None, gt=0, description="Largest acceptable ratio of the median query time to that of the baseline."
    )
    texts: int = Field(default=50, ge=10, description="Number of queries that are timed.")


class SizeSection(Section):
    """Limits of size."""

    model_mb: float | None = Field(
        default=None, gt=0, description="Largest acceptable size of the model's files, in MB."
    )
    dimensions: int | None = Field(
        default=None, ge=1, description="Largest acceptable number of dimensions, which decides the size of the index."
    )
    ratio: float | None = Field(
        default=None, gt=0, description="Largest acceptable ratio of the files' size to that of the baseline."
    )


class WaiverSection(Section):
    """A check that may fail until a date, and who answers for it."""

    check: str = Field(min_length=1, description="Name of the check, as in the report.")
    owner: str = Field(min_length=1, description="Who answers for it.")
    expires: date = Field(description="Last day on which the waiver holds (UTC), such as 2026-12-31.")
    reason: str = Field(min_length=1, description="Reason, for the report.")


class GateConfig(Section):
    """`hrembed gate`: let a model through, or not."""

    candidate: CandidateSection = CandidateSection()
    baseline: BaselineSection | None = Field(
        default=BaselineSection(), description="The model it is compared with; null checks absolute limits only."
    )
    quality: tuple[RuleSection, ...] = Field(default=(RuleSection(),), description="Requirements on hiring tasks.")
    retention: tuple[RuleSection, ...] = Field(
        default=(RuleSection(margin=0.03),),
        description="Requirements on tasks outside of hiring (`retention` of the eval run).",
    )
    stale: Literal["refuse", "allow"] = Field(
        default="refuse",
        description="Whether `latest` may mean a run after which another one of its command failed or did not end; "
        "`hrembed runs prune` removes such runs.",
    )
    fairness: FairnessSection = FairnessSection()
    latency: LatencySection = LatencySection()
    size: SizeSection = SizeSection()
    inconclusive: Literal["fail", "pass"] = Field(
        default="fail", description="How an inconclusive check ends: `fail` with exit code 6, `pass` with 0."
    )
    waivers: tuple[WaiverSection, ...] = Field(default=(), description="Checks that may fail until a date.")
    power: float = Field(default=0.8, gt=0.5, lt=1, description="Power used for the detectable loss.")
    bootstrap: BootstrapSection = BootstrapSection()

    @model_validator(mode="after")
    def _comparable(self) -> GateConfig:
        relative = [
            rule for rule in (*self.quality, *self.retention) if rule.margin is not None or rule.gain is not None
        ]
        other = self.fairness.verdict == "no-worse" or self.fairness.gap_growth or self.latency.ratio or self.size.ratio
        if self.baseline is None and (relative or other):
            raise ValueError(
                "`baseline` is null, so `margin`, `gain`, `no-worse`, `gap_growth` and `ratio` do not apply"
            )
        return self
