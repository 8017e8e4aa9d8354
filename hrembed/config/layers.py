"""Settings of the layers that a method trains, where they are not named."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, ValidationInfo

from hrembed.config.section import Section
from hrembed.registry import nearest

_WORDS = ("auto", "random")


class ChoiceSection(Section):
    """How `layers: auto` and `layers: random` choose."""

    by: Literal["fisher", "snr", "change"] = Field(
        default="fisher",
        description="Score by which `layers: auto` chooses: the squared gradients of the loss (Fisher information), "
        "the signal-to-noise ratio of the weights, or the change of the representations by a short training. All three "
        "are computed and reported.",
    )
    count: int = Field(default=3, ge=1, description="Number of layers that `auto` and `random` choose.")
    batches: int = Field(default=4, ge=1, description="Training batches for the gradients of `fisher`.")
    steps: int = Field(
        default=8, ge=1, description="Steps of the short training for `change`, whose weights are discarded."
    )
    control: bool = Field(
        default=False,
        description="Also train equally many random layers, and compare; only with `layers: auto`. Doubles the time.",
    )


def check_word(value: object) -> object:
    """Refuse a text that is neither `auto` nor `random`, before the types of `layers` are tried one by one."""
    if isinstance(value, str) and value not in _WORDS:
        raise ValueError(
            "must be a number of layers, a list of layers, 'auto', 'random' or null, got "
            f"{value!r}{nearest(value, _WORDS)}"
        )
    return value


def check_layers(value: object) -> object:
    """Refuse layers that no model has."""
    if isinstance(value, int) and value < 1:
        raise ValueError("must be at least 1, a list of layers, or null")
    if isinstance(value, tuple) and (not value or min(value) < 0):
        raise ValueError("a list of layers must contain at least one layer, counted from 0")
    return value


def check_choice(value: ChoiceSection, info: ValidationInfo) -> ChoiceSection:
    """Refuse a control where there is no choice to compare it with."""
    if value.control and info.data.get("layers", "auto") != "auto":
        raise ValueError("`control` requires `layers: auto`, whose selection it compares with a random one")
    return value
