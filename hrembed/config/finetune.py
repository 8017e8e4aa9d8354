"""What the config of `finetune` may hold: sources, losses, methods, the loop."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from hrembed.config.layers import ChoiceSection, fitting_choice, known_word
from hrembed.config.losses import (
    NOT_PAIRS,
    TAKE_NEGATIVES,
    BatchHardLoss,
    CosentLoss,
    EmbeddingDistillationLoss,
    InvarianceLoss,
    Loss,
    MarginMseLoss,
    MineSection,
)
from hrembed.config.parts import BootstrapSection, ModelSection, TaskSection, checked_metric
from hrembed.config.proof import ProofSection
from hrembed.config.scratch import ScratchMethod
from hrembed.config.section import Section
from hrembed.models.refs import parse_ref

DEV = TaskSection(path="shipped:hr-core/dev/ad-profile")


class LoraMethod(Section):
    """Low-rank adapters on the encoder's layers."""

    name: Literal["lora"] = Field(default="lora", description="Train low-rank adapters, keep the model's weights.")
    rank: int = Field(default=16, ge=1, le=1024, description="Rank of the adapters.")
    alpha: float = Field(default=32, gt=0, description="Scale; the update is multiplied by alpha / rank.")
    dropout: float = Field(default=0.0, ge=0, lt=1, description="Dropout in front of the adapters.")
    targets: Literal["all-linear", "attention"] = Field(
        default="all-linear", description="Which linear layers get adapters."
    )
    layers: int | tuple[int, ...] | Literal["auto", "random"] | None = Field(
        default=None,
        description="Adapters on this many of the last layers only, which is faster; or on the layers of a list, "
        "counted from 0; null for all. `auto` measures which, `random` draws them.",
    )
    choice: ChoiceSection = ChoiceSection()
    rslora: bool = Field(default=False, description="Multiply by alpha / sqrt(rank): for high ranks.")
    dora: bool = Field(default=False, description="Learn the length of weight rows apart from their direction.")

    _word = field_validator("layers", mode="before")(known_word)
    _layers = field_validator("layers")(lambda cls, value: _some_layers(value))
    _choice = field_validator("choice")(fitting_choice)


class PartialMethod(Section):
    """Some layers of the encoder."""

    name: Literal["partial"] = Field(description="Train some layers, freeze everything else.")
    layers: int | tuple[int, ...] | Literal["auto", "random"] | None = Field(
        default=2,
        description="This many of the last layers; or a list, counted from 0; null for all. `auto` measures which, "
        "`random` draws them.",
    )
    choice: ChoiceSection = ChoiceSection()
    only: Literal["all", "layernorm", "bias"] = Field(
        default="all", description="In these layers, train everything, the layer norms or the biases."
    )
    names: tuple[str, ...] = Field(
        default=(), description="Train these parameters as well, for example `embeddings.*`; `*` stands for anything."
    )

    _word = field_validator("layers", mode="before")(known_word)
    _layers = field_validator("layers")(lambda cls, value: _some_layers(value))
    _choice = field_validator("choice")(fitting_choice)


class FullMethod(Section):
    """Everything."""

    name: Literal["full"] = Field(description="Train every parameter.")


def _some_layers(value: object) -> object:
    if isinstance(value, int) and value < 1:
        raise ValueError("1 or more layers, a list of layers, or null")
    if isinstance(value, tuple) and (not value or min(value) < 0):
        raise ValueError("a list of layers names at least one, counted from 0")
    return value


class RankingLoss(Loss):
    """Every other pair of the batch is a negative; batches hold no two pairs of one group."""

    name: Literal["ranking"] = Field(default="ranking", description="The usual contrastive loss.")
    symmetric: bool = Field(default=False, description="Also rank the anchors for each positive.")
    hardness: float = Field(default=0.0, ge=0, description="How much more the closer negatives weigh; 9 is published.")


class CachedRankingLoss(Loss):
    """The same, for batches larger than what memory holds at once."""

    name: Literal["cached-ranking"] = Field(description="The same loss in parts; slower.")
    symmetric: bool = Field(default=False, description="Also rank the anchors for each positive.")
    mini_batch_size: int = Field(default=32, ge=1, description="Pairs in memory at once.")


class GroupRankingLoss(Loss):
    """A batch may hold several pairs of a group: their texts are positives of each other, never negatives."""

    name: Literal["group-ranking"] = Field(description="The contrastive loss with several positives.")
    symmetric: bool = Field(default=True, description="Also rank the anchors for each positive.")


class GistLoss(Loss):
    """A guide model says which negatives are too close to be negatives."""

    name: Literal["gist"] = Field(description="The contrastive loss with a guide.")
    guide: ModelSection = Field(default=ModelSection(), description="The guide.")
    margin: float = Field(
        default=0.0, ge=0, le=2, description="A negative is left out from this far below the positive, in cosine."
    )


class SourceSection(Section):
    """Training data."""

    path: str = Field(
        default="shipped:hr-core/pairs/train.jsonl",
        description="JSONL, CSV or Parquet with `anchor`, `positive` and optional `group`, `kind`, `negative` (a text "
        "or a list); or the folder of a `data` run. For the loss `cosent` with `score` (`sentence1`, `sentence2` will "
        "do too), for `batch-hard` with `text` and `label`, for `invariance` with `_id` and `text` holding `{name}`.",
    )
    kinds: tuple[str, ...] = Field(default=(), description="Use only these kinds of pairs; empty means all.")
    limit: int | None = Field(default=None, ge=2, description="Use a seeded sample of this many rows.")
    weight: float = Field(
        default=1.0,
        gt=0,
        le=100,
        description="Passes over the rows in an epoch; of 0.5, another random half each time.",
    )
    loss: Annotated[
        RankingLoss
        | CachedRankingLoss
        | GroupRankingLoss
        | GistLoss
        | BatchHardLoss
        | CosentLoss
        | MarginMseLoss
        | EmbeddingDistillationLoss
        | InvarianceLoss,
        Field(discriminator="name"),
    ] = RankingLoss()
    branch: int = Field(
        default=1,
        ge=1,
        description="Sources of one branch are trained together, each branch from the base; the result is the mean of "
        "the weights of all branches, which can be better than any of them.",
    )
    mine: MineSection | None = Field(
        default=None, description="Look for hard negatives among the positives of the source; null does not."
    )

    @model_validator(mode="after")
    def _fitting(self) -> SourceSection:
        name = self.loss.name
        if self.mine is not None and name not in TAKE_NEGATIVES:
            raise ValueError(f"the loss `{name}` takes no negatives; leave `mine` out")
        if self.mine is not None and name == "gist" and self.mine.count > 1:
            raise ValueError("the loss `gist` takes one negative for each row; set `mine.count: 1`")
        if self.kinds and name in NOT_PAIRS:
            raise ValueError(f"rows of the loss `{name}` have no kinds; leave `kinds` out")
        if self.every_step and self.weight != 1:
            raise ValueError("with `loss.every_step` there are no passes over the rows; leave `weight` out")
        return self

    @property
    def every_step(self) -> int | None:
        """Rows of this source in every batch of the others; None where it has batches of its own."""
        return self.loss.every_step if isinstance(self.loss, EmbeddingDistillationLoss | InvarianceLoss) else None


class TrainSection(Section):
    """How to train."""

    epochs: int = Field(default=1, ge=1, le=1000, description="Passes over the pairs.")
    batch_size: int = Field(
        default=32, ge=2, description="Pairs per step; every other pair of the batch is a negative."
    )
    accumulate: int = Field(
        default=1,
        ge=1,
        description="Batches whose gradients are added up before a step. This saves memory, but does not give a pair "
        "more negatives: those come from its own batch.",
    )
    learning_rate: float = Field(default=1e-3, gt=0, lt=1, description="Peak step size of AdamW.")
    warmup: float = Field(default=0.1, ge=0, lt=1, description="Share of the steps with a rising step size.")
    schedule: Literal["linear", "cosine", "constant"] = Field(
        default="linear", description="How the step size goes on after the warm-up; the first two end at zero."
    )
    weight_decay: float = Field(default=0.0, ge=0, lt=1, description="AdamW's pull of the weights towards zero.")
    temperature: float = Field(default=0.05, gt=0, le=1, description="Cosines are divided by it in the loss.")
    max_tokens: int = Field(default=128, ge=8, le=8192, description="Cut training texts after this many tokens.")
    precision: Literal["float32", "bfloat16"] = Field(
        default="float32",
        description="Number format of the arithmetic (autocast); the weights stay float32. Whether bfloat16 is faster "
        "here is measured before it is used, and by `--dry-run`.",
    )
    keep_frozen_mb: int = Field(
        default=0,
        ge=0,
        description="Most MB of disk, for as long as the training runs, for what the frozen layers below the trained "
        "ones make of each text, computed once in place of once an epoch; dropout is then off in them. 0 keeps none.",
    )
    evaluations: int = Field(default=3, ge=1, description="Dev scores during training, the last at its end.")
    patience: int | None = Field(
        default=None, ge=1, description="End after so many dev scores without a better one; null never ends early."
    )
    saves: int = Field(
        default=10, ge=0, description="Points from which `--resume` goes on, evenly over the training; 0 keeps none."
    )
    report_to: tuple[Literal["tensorboard", "wandb", "mlflow"], ...] = Field(
        default=(), description="Trackers, if installed; they see numbers of the training, never texts."
    )
    seed: int = Field(default=13, ge=0, description="Seed of batches, dropout and new weights.")


class FinetuneConfig(Section):
    """`hrembed finetune`: adapt a model to pairs, and say whether it helped."""

    model: ModelSection = ModelSection()
    sources: tuple[SourceSection, ...] = Field(
        default=(SourceSection(),), min_length=1, description="Where training data comes from."
    )
    method: Annotated[LoraMethod | PartialMethod | FullMethod | ScratchMethod, Field(discriminator="name")] = (
        LoraMethod()
    )
    sides: Literal["both", "query"] = Field(
        default="both",
        description="`query` trains an encoder for queries alone; documents keep the base model, so an existing index "
        "stays valid.",
    )
    train: TrainSection = TrainSection()
    dev: TaskSection = DEV
    metric: str = Field(default="ndcg@10", description="Dev metric by which the best checkpoint is kept.")
    delta: float = Field(
        default=0.02, gt=0, lt=1, description="Largest difference that does not matter to you: an engineering choice."
    )
    proof: ProofSection = ProofSection()
    bootstrap: BootstrapSection = BootstrapSection()

    _metric = field_validator("metric")(checked_metric)

    @model_validator(mode="after")
    def _trainable(self) -> FinetuneConfig:
        if not parse_ref(self.model.ref).has_weights:
            raise ValueError(f"`model.ref: {self.model.ref}` has no weights to train; name a transformer model")
        return self

    @property
    def branches(self) -> list[int]:
        """Numbers of the branches, in order."""
        return sorted({source.branch for source in self.sources})

    @model_validator(mode="after")
    def _alone(self) -> FinetuneConfig:
        if isinstance(self.method, ScratchMethod):
            self.method.check_beside(self.sides, self.proof.strength, self.model.dimensions)
        return self

    @model_validator(mode="after")
    def _batches(self) -> FinetuneConfig:
        for branch in self.branches:
            if all(source.every_step for source in self.sources if source.branch == branch):
                where = f"of branch {branch} " if len(self.branches) > 1 else ""
                raise ValueError(
                    f"every source {where}waits for the batches of another (`loss.every_step`); name one without it"
                )
        return self

    @model_validator(mode="after")
    def _branched(self) -> FinetuneConfig:
        if len(self.branches) == 1:
            return self
        if isinstance(self.method, ScratchMethod):
            raise ValueError("`method: scratch` has no base that branches could share; give all sources one `branch`")
        if isinstance(self.method, LoraMethod | PartialMethod) and self.method.choice.control:
            raise ValueError("a control of the chosen layers goes with one branch; leave `choice.control` out")
        return self

    @model_validator(mode="after")
    def _learnable(self) -> FinetuneConfig:
        losses = [source.loss for source in self.sources]
        if self.sides == "query" and any(getattr(loss, "side", "") == "document" for loss in losses):
            raise ValueError(
                "with `sides: query` documents are not trained, so `loss.side: document` would learn nothing; set it "
                "to `query`"
            )
        if self.sides == "query" and any(isinstance(loss, InvarianceLoss) for loss in losses):
            raise ValueError("with `sides: query` documents are not trained, so `invariance` would learn nothing")
        if self.sides == "query" and any(getattr(loss, "texts", "") == "positives" for loss in losses):
            raise ValueError(
                "with `sides: query` documents are not trained, so `loss.texts: positives` would learn nothing; set it "
                "to `anchors`"
            )
        if self.train.batch_size < 4 and any(isinstance(loss, BatchHardLoss) for loss in losses):
            raise ValueError(
                "the loss `batch-hard` needs two texts of two labels in a batch; set `train.batch_size: 4`"
            )
        return self
