"""What is trained on, how, and the loss of one planned batch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from hrembed.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from collections.abc import Set as AbstractSet
    from typing import Literal

    from hrembed.records.finetune import Precision
    from hrembed.types import Side

Features = Mapping[str, Any]
"""Texts as Sentence Transformers prepares them for a model: tensors by name, and settings such as the side."""


@dataclass(frozen=True)
class Recipe:
    """How to train; units as in the config of `finetune`.

    Each of the processes takes a batch of its own, and the mean of their gradients is applied.
    """

    learning_rate: float
    warmup: float
    schedule: Literal["linear", "cosine", "constant"]
    weight_decay: float
    precision: Precision
    accumulate: int
    evaluations: int
    saves: int
    patience: int | None
    seed: int
    report_to: tuple[str, ...] = ()
    processes: int = 1
    keep_frozen_mb: int = 0

    @property
    def batches_per_step(self) -> int:
        """Batches between two updates of the weights, those of all processes."""
        return self.accumulate * self.processes


@dataclass(frozen=True)
class TrainingPlan:
    """What is trained on.

    A loss gets the positions of a batch's rows in their data set as labels, and looks up what it needs by them.

    Attributes:
        columns: Name of a data set to its columns of texts, all of one length.
        losses: Name of a data set to its loss, a module of torch.
        batches: Rows of each batch, counted through all data sets in their order; each batch in one data set.
        prompts: Name of a column to what is put in front of its texts.
        routes: Name of a column to the side of a router that embeds it; empty without a router.
        without_batch_negatives: Data sets whose loss takes no negatives from the batch, so that a small one says
            nothing about them.
    """

    columns: Mapping[str, Mapping[str, Sequence[str]]]
    losses: Mapping[str, Any]
    batches: Sequence[Sequence[int]]
    prompts: Mapping[str, str]
    routes: Mapping[str, Side]
    without_batch_negatives: AbstractSet[str] = field(default_factory=frozenset)

    def sizes(self) -> dict[str, int]:
        """Count the rows of each data set."""
        return {name: len(next(iter(columns.values()))) for name, columns in self.columns.items()}

    def locate(self, batch: Sequence[int]) -> tuple[str, list[int]]:
        """Return the data set of a batch, and its rows there."""
        start = 0
        for name, size in self.sizes().items():
            if batch[0] < start + size:
                return name, [row - start for row in batch]
            start += size
        raise IndexError(batch[0])

    def texts(self, batch: Sequence[int]) -> list[str]:
        """Return all texts of a batch."""
        name, rows = self.locate(batch)
        return [column[row] for column in self.columns[name].values() for row in rows]


def batch_loss(model: Any, plan: TrainingPlan, batch: Sequence[int]) -> Any:
    """Compute the loss of one planned batch as the trainer does, a scalar tensor."""
    import torch

    name, rows = plan.locate(batch)
    features = [
        features_of(model, [texts[row] for row in rows], plan.prompts.get(column), plan.routes.get(column))
        for column, texts in plan.columns[name].items()
    ]
    loss = plan.losses[name](features, torch.tensor(rows))
    return sum(loss.values()) if isinstance(loss, dict) else loss


def features_of(model: Any, texts: Sequence[str], prompt: str | None, route: Side | None) -> Features:
    """Prepare texts for the model as the trainer does, with prompt and route."""
    prepared = model.preprocess(list(texts), prompt=prompt or None, task=route)
    return {key: value.to(model.device) if hasattr(value, "to") else value for key, value in prepared.items()}


def whole_rounds(plan: TrainingPlan, processes: int) -> TrainingPlan:
    """Leave out the last batches where there is not one for every process: less than one round in a whole training.

    Repeating earlier batches, as accelerate would, trains some rows more often than planned.

    Raises:
        ModelError: There is not one batch for every process.
    """
    whole = len(plan.batches) // processes * processes
    if plan.batches and not whole:
        raise ModelError(
            f"not enough batches ({len(plan.batches)}) for {processes} processes",
            hint="start fewer processes, or lower `train.batch_size`",
        )
    return replace(plan, batches=plan.batches[:whole])


def require_batches(plan: TrainingPlan) -> None:
    """Refuse a plan without a single batch.

    Raises:
        ModelError: There is none.
    """
    if not plan.batches:
        raise ModelError("no two training pairs can be in the same batch (all share a group or a text)")


def sample_texts(plan: TrainingPlan) -> list[str]:
    """Take the first few texts of every data set."""
    return [text for columns in plan.columns.values() for text in next(iter(columns.values()))[:8]]
