"""Settings of `finetune`: sources, losses, methods, the training loop."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

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
from hrembed.config.parts import (
    COLUMNS,
    DELIMITER,
    ENCODING,
    PAIR_COLUMNS,
    SCORED_COLUMNS,
    BootstrapSection,
    ModelSection,
    TaskSection,
    check_distinct,
    check_plain_score,
    check_vectors_alone,
    checked_metric,
    known_columns,
)
from hrembed.config.proof import ProofSection
from hrembed.config.scratch import ScratchMethod
from hrembed.config.section import Section
from hrembed.models.refs import parse_ref

DEV = TaskSection(path="shipped:hr-core/dev/ad-profile")


def _no_word(value: object) -> object:
    """Refuse a text before the types of `layers` are tried one by one."""
    if isinstance(value, str):
        raise ValueError(f"must be a number of layers, a list of layers, or null, got {value!r}")
    return value


def _some_layers(value: object) -> object:
    """Refuse layers that no model has."""
    if isinstance(value, int) and value < 1:
        raise ValueError("must be at least 1, a list of layers, or null")
    if isinstance(value, tuple) and (not value or min(value) < 0):
        raise ValueError("a list of layers must contain at least one layer, counted from 0")
    return value


class LoraMethod(Section):
    """Low-rank adapters on the layers of the encoder."""

    name: Literal["lora"] = Field(
        default="lora", description="Train low-rank adapters and keep the weights of the model."
    )
    rank: int = Field(default=16, ge=1, le=1024, description="Rank of the adapters.")
    alpha: float = Field(default=32, gt=0, description="Scaling: the update is multiplied by alpha / rank.")
    dropout: float = Field(default=0.0, ge=0, lt=1, description="Dropout before the adapters.")
    targets: Literal["all-linear", "attention"] = Field(
        default="all-linear", description="Which linear layers get adapters."
    )
    layers: int | tuple[int, ...] | None = Field(
        default=None,
        description="Layers with adapters: this many of the last ones, which is faster than all; or a list, counted "
        "from 0; null for all.",
    )
    rslora: bool = Field(default=False, description="Multiply by alpha / sqrt(rank) instead, for high ranks (rsLoRA).")
    dora: bool = Field(
        default=False, description="Learn the magnitude of the weights apart from their direction (DoRA)."
    )

    _word = field_validator("layers", mode="before")(_no_word)
    _layers = field_validator("layers")(_some_layers)


class PartialMethod(Section):
    """Some layers of the encoder."""

    name: Literal["partial"] = Field(description="Train some layers, freeze everything else.")
    layers: int | tuple[int, ...] | None = Field(
        default=2,
        description="Layers to train: this many of the last ones; or a list, counted from 0; null for all.",
    )
    only: Literal["all", "layernorm", "bias"] = Field(
        default="all", description="Which parameters of these layers: all, the layer norms or the biases."
    )
    names: tuple[str, ...] = Field(
        default=(), description="Further parameters to train, as patterns, for example `embeddings.*`."
    )

    _word = field_validator("layers", mode="before")(_no_word)
    _layers = field_validator("layers")(_some_layers)


class FullMethod(Section):
    """Full fine-tuning."""

    name: Literal["full"] = Field(description="Train every parameter.")


class RankingLoss(Loss):
    """In-batch negatives: every other pair of the batch. A batch holds no two pairs of one group."""

    name: Literal["ranking"] = Field(default="ranking", description="Multiple negatives ranking loss (InfoNCE).")
    symmetric: bool = Field(default=False, description="Also rank the anchors for each positive, and take the mean.")
    hardness: float = Field(default=0.0, ge=0, description="Extra weight of the closer negatives; 9 is published.")


class CachedRankingLoss(Loss):
    """Ranking loss for batches larger than memory holds at once."""

    name: Literal["cached-ranking"] = Field(description="Compute it in mini-batches (GradCache), which is slower.")
    symmetric: bool = Field(default=False, description="Also rank the anchors for each positive, and take the mean.")
    mini_batch_size: int = Field(default=32, ge=1, description="Pairs embedded at once.")


class GroupRankingLoss(Loss):
    """A batch may hold several pairs of a group, whose texts are positives of each other and never negatives."""

    name: Literal["group-ranking"] = Field(description="Ranking loss with several positives per anchor.")
    symmetric: bool = Field(default=True, description="Also rank the anchors for each positive, and take the mean.")


class GistLoss(Loss):
    """A guide model filters out likely false negatives (GISTEmbed)."""

    name: Literal["gist"] = Field(description="Ranking loss with a guide model.")
    guide: ModelSection = Field(default=ModelSection(), description="Guide model.")
    margin: float = Field(
        default=0.0,
        ge=0,
        le=2,
        description="Drop negatives whose cosine, by the guide, is above that of the positive minus this margin.",
    )

    _guide = field_validator("guide")(check_vectors_alone)


class SourceSection(Section):
    """A source of training data."""

    path: str = Field(
        default="shipped:hr-core/pairs/train.jsonl",
        description="JSONL, CSV or Parquet with `anchor`, `positive` and optionally `group`, `kind`, `negative` (text "
        "or list); or the folder of a `data` run. The loss `cosent` needs `score` (and takes `sentence1`, "
        "`sentence2`), `batch-hard` needs `text` and `label`, `invariance` needs `_id` and `text` with the slot "
        "`{name}`.",
    )
    columns: dict[str, str] = COLUMNS
    delimiter: str | None = DELIMITER
    encoding: str = ENCODING
    kinds: tuple[str, ...] = Field(default=(), description="Kinds of pairs to use; empty uses all.")
    limit: int | None = Field(default=None, ge=2, description="Size of a seeded sample of the rows; null uses all.")
    weight: float = Field(
        default=1.0,
        gt=0,
        le=100,
        description="Passes over the rows per epoch; 0.5 takes another random half each time.",
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
        description="Sources of one branch are trained together, each branch from the base. The result is the average "
        "of the weights of all branches (a model soup), which can be better than any of them.",
    )
    mine: MineSection | None = Field(
        default=None, description="Mine hard negatives among the positives of the source; null does not."
    )

    _columns = field_validator("columns")(
        lambda cls, value: known_columns(value, (*PAIR_COLUMNS, *SCORED_COLUMNS, "_id", "text", "label"))
    )

    @model_validator(mode="after")
    def _check_loss(self) -> SourceSection:
        name = self.loss.name
        if self.mine is not None and name not in TAKE_NEGATIVES:
            raise ValueError(f"the loss `{name}` does not use negatives; remove `mine`")
        if self.mine is not None and name == "gist" and self.mine.count > 1:
            raise ValueError("the loss `gist` expects one negative per row; set `mine.count: 1`")
        if self.kinds and name in NOT_PAIRS:
            raise ValueError(f"the loss `{name}` reads rows without kinds; remove `kinds`")
        if self.every_step and self.weight != 1:
            raise ValueError("`weight` has no effect with `loss.every_step`; remove it")
        return self

    @property
    def every_step(self) -> int | None:
        """Rows of this source that accompany every batch of the others; None where it has batches of its own."""
        return self.loss.every_step if isinstance(self.loss, EmbeddingDistillationLoss | InvarianceLoss) else None


class TrainSection(Section):
    """The training loop."""

    epochs: int = Field(default=1, ge=1, le=1000, description="Passes over the rows.")
    batch_size: int = Field(default=32, ge=2, description="Rows per batch; the other pairs of a batch are negatives.")
    accumulate: int = Field(
        default=1,
        ge=1,
        description="Gradient accumulation: batches per step. Saves memory, but does not give a pair more negatives, "
        "which come from its own batch.",
    )
    learning_rate: float = Field(default=1e-3, gt=0, lt=1, description="Peak learning rate of AdamW.")
    warmup: float = Field(default=0.1, ge=0, lt=1, description="Share of the steps for warm-up.")
    schedule: Literal["linear", "cosine", "constant"] = Field(
        default="linear", description="Learning rate after the warm-up; `linear` and `cosine` decay to zero."
    )
    weight_decay: float = Field(default=0.0, ge=0, lt=1, description="Weight decay of AdamW.")
    temperature: float = Field(
        default=0.05, gt=0, le=1, description="Temperature of the loss, by which cosines are divided."
    )
    max_tokens: int = Field(default=128, ge=8, le=8192, description="Truncate training texts to this many tokens.")
    precision: Literal["float32", "bfloat16", "auto"] = Field(
        default="float32",
        description="Precision of the arithmetic (autocast); the weights stay float32. `auto` is bfloat16 where the "
        "machine has instructions for it, else float32; the run's config holds which. Whether bfloat16 is faster is "
        "measured before it is used, and by `--dry-run`.",
    )
    keep_frozen_mb: int = Field(
        default=0,
        ge=0,
        description="Disk limit in MB for caching the activations of the frozen layers below the trained ones, which "
        "are then computed once instead of once per epoch, without dropout. 0 caches none.",
    )
    evaluations: int = Field(
        default=3, ge=1, description="Evaluations on the dev task during training, the last one at its end."
    )
    patience: int | None = Field(
        default=None,
        ge=1,
        description="Early stopping: evaluations without a better dev score; null never stops early.",
    )
    saves: int = Field(
        default=10, ge=0, description="Checkpoints for `--resume`, evenly over the training; 0 writes none."
    )
    report_to: tuple[Literal["tensorboard", "wandb", "mlflow"], ...] = Field(
        default=(), description="Experiment trackers, if installed; they receive numbers of the training, never texts."
    )
    seed: int = Field(default=13, ge=0, description="Seed of batches, dropout and new weights.")


class FinetuneConfig(Section):
    """`hrembed finetune`: fine-tune a model, and say whether it helped."""

    model: ModelSection = ModelSection()
    sources: tuple[SourceSection, ...] = Field(default=(SourceSection(),), min_length=1, description="Training data.")
    method: Annotated[LoraMethod | PartialMethod | FullMethod | ScratchMethod, Field(discriminator="name")] = (
        LoraMethod()
    )
    sides: Literal["both", "query"] = Field(
        default="both",
        description="`query` trains a separate encoder for queries; documents keep the base model, so an existing "
        "index stays valid.",
    )
    train: TrainSection = TrainSection()
    dev: TaskSection = DEV
    metric: str = Field(default="ndcg@10", description="Dev metric that chooses the best checkpoint.")
    delta: float = Field(
        default=0.02,
        gt=0,
        lt=1,
        description="Equivalence margin δ: largest difference of scores that does not matter to you.",
    )
    proof: ProofSection = ProofSection()
    bootstrap: BootstrapSection = BootstrapSection()

    _model = field_validator("model")(check_plain_score)
    _metric = field_validator("metric")(checked_metric)

    @model_validator(mode="after")
    def _distinct_names(self) -> FinetuneConfig:
        check_distinct((self.dev, *self.proof.tests, *self.proof.retention), "tasks")
        return self

    @model_validator(mode="after")
    def _check_model(self) -> FinetuneConfig:
        if not parse_ref(self.model.ref).has_weights:
            raise ValueError(f"`model.ref: {self.model.ref}` has no weights to train; use a transformer model")
        return self

    @property
    def branches(self) -> list[int]:
        """Numbers of the branches, in order."""
        return sorted({source.branch for source in self.sources})

    @model_validator(mode="after")
    def _check_scratch(self) -> FinetuneConfig:
        if isinstance(self.method, ScratchMethod):
            self.method.check_other_sections(self.sides, self.proof.strength, self.model.dimensions)
        return self

    @model_validator(mode="after")
    def _check_batches(self) -> FinetuneConfig:
        for branch in self.branches:
            if all(source.every_step for source in self.sources if source.branch == branch):
                where = f"of branch {branch} " if len(self.branches) > 1 else ""
                raise ValueError(
                    f"every source {where}uses `loss.every_step`; at least one source without it is required"
                )
        return self

    @model_validator(mode="after")
    def _check_branches(self) -> FinetuneConfig:
        if len(self.branches) == 1:
            return self
        if isinstance(self.method, ScratchMethod):
            raise ValueError(
                "`method: scratch` has no base model for branches to share; use the same `branch` for all sources"
            )
        return self

    @model_validator(mode="after")
    def _check_sides(self) -> FinetuneConfig:
        losses = [source.loss for source in self.sources]
        if self.sides == "query" and any(getattr(loss, "side", "") == "document" for loss in losses):
            raise ValueError(
                "`sides: query` does not train the document encoder, so `loss.side: document` has no effect; "
                "set it to `query`"
            )
        if self.sides == "query" and any(isinstance(loss, InvarianceLoss) for loss in losses):
            raise ValueError("`sides: query` does not train the document encoder, so `invariance` has no effect")
        if self.sides == "query" and any(getattr(loss, "texts", "") == "positives" for loss in losses):
            raise ValueError(
                "`sides: query` does not train the document encoder, so `loss.texts: positives` has no effect; "
                "set it to `anchors`"
            )
        if self.train.batch_size < 4 and any(isinstance(loss, BatchHardLoss) for loss in losses):
            raise ValueError(
                "the loss `batch-hard` needs two labels with two texts each in a batch; set `train.batch_size: "
                "4` or more"
            )
        return self
