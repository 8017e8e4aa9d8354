"""Losses on labels, scores and teachers, and the mining of negatives."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator, model_validator

from hrembed.config.parts import ModelSection
from hrembed.config.section import Section
from hrembed.models.refs import parse_ref

TAKE_NEGATIVES = {"ranking", "cached-ranking", "group-ranking", "gist", "margin-mse"}
NOT_PAIRS = {"batch-hard", "cosent", "invariance"}  # their rows are labelled texts, scored pairs, templates


def gives_vectors(section: ModelSection | None) -> ModelSection | None:
    """Return a model that gives vectors; a `ValueError` says what is wrong with another."""
    if section is not None and not parse_ref(section.ref).has_vectors:
        raise ValueError(f"'{section.ref}' gives no vectors; name a model with embeddings")
    return section


class Loss(Section):
    """What all losses have."""

    matryoshka: tuple[int, ...] = Field(
        default=(),
        description="Also train the first so many numbers of the vectors to be useful alone, for each of these lengths "
        "and the whole; empty trains the whole.",
    )
    scale: float = Field(
        default=1.0, gt=0, le=1000, description="The loss is multiplied by it: how much it counts beside other sources."
    )

    @field_validator("matryoshka")
    @classmethod
    def _lengths(cls, values: tuple[int, ...]) -> tuple[int, ...]:
        if any(value < 1 for value in values):
            raise ValueError("a length is 1 or more")
        return values


class BatchHardLoss(Loss):
    """Labelled texts: each stands closer to the farthest text of its label than to the closest of another."""

    name: Literal["batch-hard"] = Field(description="Triplets of labelled texts, the hardest of each batch.")
    margin: float | None = Field(
        default=None,
        gt=0,
        le=2,
        description="How much closer, in cosine; null has no such limit, and weighs what is less clear more (soft "
        "margin).",
    )
    side: Literal["query", "document"] = Field(
        default="query", description="Embed the texts as this, with its prompt; `eval` classifies texts as queries."
    )


class CosentLoss(Loss):
    """Scored pairs: a pair with a higher score has a higher cosine."""

    name: Literal["cosent"] = Field(description="The order of scored pairs.")


class MarginMseLoss(Loss):
    """The cosine of a positive exceeds that of a negative by as much as a teacher says."""

    name: Literal["margin-mse"] = Field(description="Differences of a teacher's cosines.")
    teacher: ModelSection | None = Field(default=None, description="The teacher; null is the base model.")

    _vectors = field_validator("teacher")(gives_vectors)


class EmbeddingDistillationLoss(Loss):
    """Anchors and positives stay where a teacher has them."""

    name: Literal["embedding-distillation"] = Field(description="A teacher's vectors.")
    teacher: ModelSection | None = Field(
        default=None, description="The teacher; null is the base model, which keeps vectors where they were."
    )
    texts: Literal["both", "anchors", "positives"] = Field(default="both", description="Which texts of a pair.")
    every_step: int | None = Field(
        default=None,
        ge=1,
        le=4096,
        description="In place of batches of their own, so many rows, drawn anew, take part in every batch of the other "
        "sources, so that no step moves the model away from them unseen; null makes batches.",
    )

    _vectors = field_validator("teacher")(gives_vectors)

    @field_validator("matryoshka")
    @classmethod
    def _whole(cls, values: tuple[int, ...]) -> tuple[int, ...]:
        if values:
            raise ValueError("the first numbers of a teacher's vectors mean nothing alone; leave `matryoshka` out")
        return values


class InvarianceLoss(Loss):
    """The same résumé under two names has the same vector: counterfactual fine-tuning."""

    name: Literal["invariance"] = Field(description="Résumés under two names of different groups.")
    names: str = Field(
        default="shipped:names/us-census-2020.csv", description="CSV with `name` and a column for each attribute."
    )
    attributes: tuple[str, ...] = Field(
        default=("gender", "race"), min_length=1, description="The two names differ in one of these or more."
    )
    half: Literal["even", "odd", "all"] = Field(
        default="odd", description="Every other name of each group; audit with the other half (`stimuli.half: even`)."
    )
    swaps: int = Field(default=20, ge=1, le=10_000, description="Pairs of names for each résumé.")
    every_step: int | None = Field(
        default=None, ge=1, le=4096, description="As for `embedding-distillation`: take part in every batch of others."
    )


class MineSection(Section):
    """Texts of the source that a model finds close to an anchor, and that are not relevant to it, become negatives."""

    count: int = Field(default=1, ge=1, le=100, description="Negatives for each row.")
    margin: float = Field(
        default=0.05,
        ge=0,
        lt=1,
        description="A negative's cosine lies at least this share of the positive's below the positive's.",
    )
    range_min: int = Field(default=0, ge=0, description="Leave out so many of the closest texts.")
    range_max: int | None = Field(
        default=None, ge=1, description="Look at no more than so many of the closest texts; null looks until it finds."
    )
    strategy: Literal["top", "random"] = Field(
        default="top", description="Take the closest that are left, or a seeded draw from those looked at."
    )
    model: ModelSection | None = Field(default=None, description="Says what is close; null is the base model.")

    _vectors = field_validator("model")(gives_vectors)

    @model_validator(mode="after")
    def _room(self) -> MineSection:
        if self.range_max is not None and self.range_max - self.range_min < self.count:
            raise ValueError(f"from {self.range_min} to {self.range_max} there are fewer than {self.count} texts")
        return self
