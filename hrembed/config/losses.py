"""Settings of losses on labels, scores and teachers, and of the mining of negatives."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator, model_validator

from hrembed.config.parts import ModelSection, check_vectors_alone
from hrembed.config.section import Section
from hrembed.models.refs import parse_ref

TAKE_NEGATIVES = {"ranking", "cached-ranking", "group-ranking", "gist", "margin-mse"}
NOT_PAIRS = {"batch-hard", "cosent", "invariance"}  # their rows are labelled texts, scored pairs, templates


def check_vectors(section: ModelSection | None) -> ModelSection | None:
    """Refuse a model that gives no vectors, or is asked for more than those."""
    if section is not None and not parse_ref(section.ref).has_vectors:
        raise ValueError(f"'{section.ref}' has no embeddings; use an embedding model")
    return None if section is None else check_vectors_alone(section)


class Loss(Section):
    """Settings of every loss."""

    matryoshka: tuple[int, ...] = Field(
        default=(),
        description="Matryoshka: also train vectors truncated to each of these dimensions; empty trains full vectors "
        "only.",
    )
    scale: float = Field(
        default=1.0, gt=0, le=1000, description="Factor of the loss: its weight relative to other sources."
    )

    @field_validator("matryoshka")
    @classmethod
    def _lengths(cls, values: tuple[int, ...]) -> tuple[int, ...]:
        if any(value < 1 for value in values):
            raise ValueError("must be at least 1")
        return values


class BatchHardLoss(Loss):
    """Labelled texts: each is closer to the farthest text of its label than to the closest text of another label."""

    name: Literal["batch-hard"] = Field(
        description="Triplet loss on labelled texts, with the hardest triplets of each batch."
    )
    margin: float | None = Field(
        default=None,
        gt=0,
        le=2,
        description="Margin in cosine distance; null is the soft margin.",
    )
    side: Literal["query", "document"] = Field(
        default="query", description="Side on which the texts are embedded; `eval` classifies texts as queries."
    )


class CosentLoss(Loss):
    """Scored pairs: a pair with a higher score gets a higher cosine."""

    name: Literal["cosent"] = Field(description="CoSENT loss on the order of scored pairs.")


class MarginMseLoss(Loss):
    """Distillation of a teacher's margins: cosine of the positive minus cosine of the negative."""

    name: Literal["margin-mse"] = Field(description="MarginMSE loss on the margins of a teacher.")
    teacher: ModelSection | None = Field(default=None, description="Teacher model; null is the base model.")

    _vectors = field_validator("teacher")(check_vectors)


class EmbeddingDistillationLoss(Loss):
    """Distillation of a teacher's vectors of anchors and positives."""

    name: Literal["embedding-distillation"] = Field(description="Cosine distance to the vectors of a teacher.")
    teacher: ModelSection | None = Field(
        default=None, description="Teacher model; null is the base model, which keeps vectors where they were."
    )
    texts: Literal["both", "anchors", "positives"] = Field(
        default="both", description="Texts of a pair that are distilled."
    )
    every_step: int | None = Field(
        default=None,
        ge=1,
        le=4096,
        description="Add this loss to every batch of the other sources, on this many rows drawn anew, so that no step "
        "goes without it; null makes separate batches.",
    )

    _vectors = field_validator("teacher")(check_vectors)

    @field_validator("matryoshka")
    @classmethod
    def _whole(cls, values: tuple[int, ...]) -> tuple[int, ...]:
        if values:
            raise ValueError("a prefix of the teacher's vectors is not meaningful; remove `matryoshka`")
        return values


class InvarianceLoss(Loss):
    """Counterfactual fine-tuning: the same résumé under two names gets the same vector."""

    name: Literal["invariance"] = Field(
        description="Cosine distance between a résumé under two names of different groups."
    )
    names: str = Field(
        default="shipped:names/us-census-2020.csv", description="CSV with `name` and one column per attribute."
    )
    attributes: tuple[str, ...] = Field(
        default=("gender", "race"),
        min_length=1,
        description="Attributes of the groups; the two names differ in one or more.",
    )
    half: Literal["even", "odd", "all"] = Field(
        default="odd", description="Use every other name of each group; audit on the other half (`stimuli.half: even`)."
    )
    swaps: int = Field(default=20, ge=1, le=10_000, description="Pairs of names per résumé.")
    every_step: int | None = Field(
        default=None,
        ge=1,
        le=4096,
        description="Rows added to every batch of other sources, as for `embedding-distillation`.",
    )


class MineSection(Section):
    """Hard negatives: texts of the source that a model finds close to an anchor, and that are not relevant to it."""

    count: int = Field(default=1, ge=1, le=100, description="Negatives per row.")
    margin: float = Field(
        default=0.05,
        ge=0,
        lt=1,
        description="Relative margin: a negative's cosine is below the positive's by at least this share of it.",
    )
    range_min: int = Field(default=0, ge=0, description="Skip this many of the closest texts.")
    range_max: int | None = Field(
        default=None,
        ge=1,
        description="Consider at most this many of the closest texts; null searches until there are enough.",
    )
    strategy: Literal["top", "random"] = Field(
        default="top", description="Take the closest candidates, or a seeded random draw."
    )
    model: ModelSection | None = Field(default=None, description="Model for the search; null is the base model.")

    _vectors = field_validator("model")(check_vectors)

    @model_validator(mode="after")
    def _check_range(self) -> MineSection:
        if self.range_max is not None and self.range_max - self.range_min < self.count:
            raise ValueError(f"ranks {self.range_min} to {self.range_max} contain fewer than {self.count} texts")
        return self
