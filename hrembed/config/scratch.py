"""Settings of `finetune` for a model that starts from random weights."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from hrembed.config.section import Section


class MaskedSection(Section):
    """Masked language modelling on the texts, before training on pairs."""

    epochs: int = Field(default=10, ge=1, le=1000, description="Passes over the distinct texts.")
    batch_size: int = Field(default=64, ge=1, description="Texts per step.")
    learning_rate: float = Field(
        default=1e-3,
        gt=0,
        lt=1,
        description="Peak learning rate of AdamW; warm-up as in `train.warmup`, then linear decay.",
    )
    mask: float = Field(default=0.15, gt=0, lt=1, description="Share of masked tokens.")


class ScratchMethod(Section):
    """A tokenizer and a small encoder, trained from random weights."""

    name: Literal["scratch"] = Field(
        description="Train a tokenizer and an encoder from random weights on the texts of `sources`: masked language "
        "modelling, then the losses. `model.ref` is not trained; the result is compared with it."
    )
    vocabulary: int = Field(
        default=8000,
        ge=256,
        le=200_000,
        description="Largest size of the vocabulary; a small corpus gives a smaller one.",
    )
    layers: int = Field(default=4, ge=1, le=48, description="Layers of the encoder.")
    width: int = Field(
        default=256, ge=8, le=4096, description="Hidden size, which is also the dimension of the vectors."
    )
    heads: int = Field(default=4, ge=1, le=128, description="Attention heads; `width` must be a multiple of it.")
    feed_forward: int = Field(default=1024, ge=8, le=16384, description="Intermediate size of the feed-forward layers.")
    dropout: float = Field(default=0.1, ge=0, lt=1, description="Dropout in all layers.")
    mlm: MaskedSection = MaskedSection()

    @model_validator(mode="after")
    def _check_heads(self) -> ScratchMethod:
        if self.width % self.heads:
            raise ValueError(f"`width: {self.width}` must be a multiple of `heads: {self.heads}`")
        return self

    def check_other_sections(self, sides: str, strength: float | str, dimensions: int | None) -> None:
        """Refuse settings of other sections that mean nothing for a model from random weights.

        Raises:
            ValueError: One of them stands in the config.
        """
        if sides != "both":
            raise ValueError(
                "`sides: query` encodes documents with the base model, which `method: scratch` does not have"
            )
        if strength != 1:
            raise ValueError(
                f"`proof.strength: {strength}` interpolates between the weights of the base and the tuned "
                "model, which is not possible with `method: scratch`; set it to 1"
            )
        if dimensions is not None and dimensions > self.width:
            raise ValueError(f"`model.dimensions: {dimensions}` exceeds `method.width: {self.width}`")
