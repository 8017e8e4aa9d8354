"""Settings of what is measured after a training."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from hrembed.config.parts import TaskSection
from hrembed.config.section import Section


class ProofSection(Section):
    """Base against tuned model on test tasks, and on tasks outside of hiring."""

    tests: tuple[TaskSection, ...] = Field(
        default=(TaskSection(), TaskSection(path="shipped:hr-core/test/title")),
        description="Test tasks, used neither in training nor to choose a checkpoint; p-values are corrected for their "
        "number.",
    )
    retention: tuple[TaskSection, ...] = Field(
        default=(TaskSection(path="shipped:general-core/questions"),),
        description="Retention: tasks outside of hiring, which show what was forgotten.",
    )
    strengths: tuple[float, ...] = Field(
        default=(0.25, 0.5, 0.75),
        description="Interpolation between the weights of base (0) and tuned model (1): dev task and retention are "
        "scored at each of these strengths, and at 0 and 1. Empty scores none.",
    )
    strength: float | Literal["auto"] = Field(
        default=1.0,
        description="Strength that becomes `model/`; `auto` is the largest one whose mean loss on every retention task "
        "is at most `max_loss`.",
    )
    max_loss: float = Field(
        default=0.01, ge=0, lt=1, description="For `auto`: largest acceptable loss of a retention score."
    )

    @field_validator("strengths")
    @classmethod
    def _between(cls, values: tuple[float, ...]) -> tuple[float, ...]:
        wrong = [value for value in values if not 0 <= value <= 1]
        if wrong:
            raise ValueError(f"strengths must be between 0 and 1, got {wrong[0]}")
        return values

    @field_validator("strength")
    @classmethod
    def _one(cls, value: float | str) -> float | str:
        if isinstance(value, float) and not 0 < value <= 1:
            raise ValueError(f"strengths must be above 0 and at most 1, got {value}")
        return value
