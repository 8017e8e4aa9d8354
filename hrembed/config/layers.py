"""How the layers that a method trains are chosen, where the config does not name them."""

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
        description="What `layers: auto` goes by: the squared gradients of the loss, the signal in the weights, or "
        "what a short training changes. All three are computed and written.",
    )
    count: int = Field(default=3, ge=1, description="Layers that `auto` and `random` choose.")
    batches: int = Field(default=4, ge=1, description="Training batches of which `fisher` takes the gradients.")
    steps: int = Field(default=8, ge=1, description="Steps of the short training of `change`; its weights are dropped.")
    control: bool = Field(
        default=False,
        description="After the training, train a random choice of as many layers as well, and compare; with `layers: "
        "auto` only. Doubles the time.",
    )


def known_word(value: object) -> object:
    """Refuse a text that is neither `auto` nor `random`, before the types of `layers` are tried one by one."""
    if isinstance(value, str) and value not in _WORDS:
        raise ValueError(
            f"input should be a number of layers, a list of layers, 'auto', 'random' or null, got {value!r}"
            f"{nearest(value, _WORDS)}"
        )
    return value


def fitting_choice(value: ChoiceSection, info: ValidationInfo) -> ChoiceSection:
    """Refuse a control where there is no choice that it could control."""
    if value.control and info.data.get("layers", "auto") != "auto":
        raise ValueError("a control needs `layers: auto`, whose choice is compared with a random one")
    return value
