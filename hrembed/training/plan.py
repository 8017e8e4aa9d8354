"""What is trained on, and one planned batch of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from hrembed.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from collections.abc import Set as AbstractSet


def batch_loss(model: Any, plan: TrainingPlan, batch: Sequence[int]) -> Any:
    """Compute the loss of one planned batch as the trainer does, a scalar tensor."""
    import torch

    name, rows = _place(plan, batch)
    columns = plan.columns[name]
    features = [
        features_of(model, [texts[row] for row in rows], plan.prompts.get(column), plan.routes.get(column))
        for column, texts in columns.items()
        if column != "label"
    ]
    losses = plan.losses[name](features, torch.tensor([columns["label"][row] for row in rows]))
    return sum(losses.values()) if isinstance(losses, dict) else losses


def features_of(model: Any, texts: Sequence[str], prompt: str | None, route: str | None) -> dict[str, Any]:
    """Prepare texts for the model as the trainer does, with prompt and route."""
    found = model.preprocess(list(texts), prompt=prompt or None, task=route)
    return {key: value.to(model.device) if hasattr(value, "to") else value for key, value in found.items()}


def _texts(plan: TrainingPlan, batch: Sequence[int]) -> list[str]:
    name, rows = _place(plan, batch)
    return [column[row] for key, column in plan.columns[name].items() if key != "label" for row in rows]


def _place(plan: TrainingPlan, batch: Sequence[int]) -> tuple[str, list[int]]:
    """Name of the data set in which a batch lies, and its rows there."""
    start = 0
    for name, columns in plan.columns.items():
        if batch[0] < start + len(columns["label"]):
            return name, [row - start for row in batch]
        start += len(columns["label"])
    raise IndexError(batch[0])


@dataclass(frozen=True)
class Recipe:
    """How to train; units as in the config of `finetune`.

    Each of the processes takes a batch of its own, and the mean of their gradients is applied.
    """

    learning_rate: float
    warmup: float
    schedule: Literal["linear", "cosine", "constant"]
    weight_decay: float
    precision: Literal["float32", "bfloat16"]
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

    Attributes:
        columns: Name of a data set to its columns; the column `label` holds the position of each row.
        losses: Name of a data set to its loss.
        batches: Rows of each step, counted through all data sets in their order; each batch in one data set.
        prompts: Name of a column to what is put in front of its texts.
        routes: Name of a column to the side of a router that embeds it; empty without a router.
        given: Data sets whose loss compares with given numbers, so that a small one says nothing about negatives.
    """

    columns: Mapping[str, Mapping[str, Sequence[Any]]]
    losses: Mapping[str, Any]
    batches: Sequence[Sequence[int]]
    prompts: Mapping[str, str]
    routes: Mapping[str, str]
    given: AbstractSet[str] = frozenset()


def whole_rounds(plan: TrainingPlan, processes: int) -> TrainingPlan:
    """Leave out the last batches where there is not one for every process: less than one round in a whole training.

    Repeating earlier batches, as accelerate would, trains some rows more often than planned.

    Raises:
        ModelError: There is not one batch for every process.
    """
    whole = len(plan.batches) // processes * processes
    if plan.batches and not whole:
        raise ModelError(
            f"{len(plan.batches)} batches are too few for {processes} processes",
            hint="start fewer processes, or lower `train.batch_size`",
        )
    return replace(plan, batches=plan.batches[:whole])


def require_batches(plan: TrainingPlan) -> None:
    """Refuse a plan without a single batch.

    Raises:
        ModelError: There is none.
    """
    if not plan.batches:
        raise ModelError("no two training pairs may stand in one batch (all share a group or a text)")


def sample_texts(plan: TrainingPlan) -> list[str]:
    """Take the first few texts of every data set."""
    return [text for columns in plan.columns.values() for text in next(iter(columns.values()))[:8]]
