"""What is measured after a training."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from hrembed.config.parts import TaskSection
from hrembed.config.section import Section


class ProofSection(Section):
    """Base and tuned model on tasks that chose nothing, and on text outside of hiring."""

    tests: tuple[TaskSection, ...] = Field(
        default=(TaskSection(), TaskSection(path="shipped:hr-core/test/title")),
        description="Tasks that neither training nor dev scores saw; p-values are corrected for their number.",
    )
    retention: tuple[TaskSection, ...] = Field(
        default=(TaskSection(path="shipped:general-core/questions"),),
        description="Tasks outside of hiring, which show what was lost.",
    )
    strengths: tuple[float, ...] = Field(
        default=(0.25, 0.5, 0.75),
        description="How much of the change of the weights is kept: dev task and retention are scored at each of "
        "these, and at 0 (the base) and 1 (the tuned model). Empty scores none between.",
    )
    strength: float | Literal["auto"] = Field(
        default=1.0,
        description="The one that becomes `model/`; `auto` is the largest whose mean loss on every retention task is "
        "at most `max_loss`.",
    )
    max_loss: float = Field(default=0.01, ge=0, lt=1, description="For `auto`: largest loss of a retention score.")

    @field_validator("strengths")
    @classmethod
    def _between(cls, values: tuple[float, ...]) -> tuple[float, ...]:
        wrong = [value for value in values if not 0 <= value <= 1]
        if wrong:
            raise ValueError(f"a strength is a number from 0 to 1, got {wrong[0]}")
        return values

    @field_validator("strength")
    @classmethod
    def _one(cls, value: float | str) -> float | str:
        if isinstance(value, float) and not 0 < value <= 1:
            raise ValueError(f"a strength is above 0 and at most 1, got {value}")
        return value
