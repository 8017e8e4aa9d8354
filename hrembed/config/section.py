"""What all blocks of settings have in common."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A block of settings: unknown keys are errors, values cannot change later."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
