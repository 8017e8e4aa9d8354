"""The training loop: planned batches through `SentenceTransformerTrainer`.

What the trainer leaves to chance is decided before it starts: which rows meet in a batch, and in which order. What
happens between its steps is in `watch`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from hrembed.errors import ModelError, StoppedError
from hrembed.training.checkpoints import (
    TrainingParts,
    restore_parameters,
    restore_random_numbers,
)
from hrembed.training.targets import own_parameters
from hrembed.training.watch import History, Watch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from collections.abc import Set as AbstractSet
    from pathlib import Path

    from hrembed.progress import Advance, Progress
    from hrembed.training.checkpoints import (
        ResumePoint,
    )


@dataclass(frozen=True)
class Recipe:
    """How to train; units as in the config of `finetune`."""

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


@dataclass(frozen=True)
class Feed:
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


@dataclass(frozen=True)
class Context:
    """What a training needs of those who start it.

    Attributes:
        base_score: Dev score before training.
        score_dev: Scores a model on the dev task; higher is better.
        stop_requested: Asked after every step; True saves and stops.
        checkpoints: Folder for the checkpoints.
        progress: Told about every step.
        resume: Where to go on; None starts.
        made_of: Kept in the resume points, to be compared by who resumes.
    """

    base_score: float
    score_dev: Callable[[Any], float]
    stop_requested: Callable[[], bool]
    checkpoints: Path
    progress: Progress
    resume: ResumePoint | None = None
    made_of: Mapping[str, Any] = field(default_factory=dict)


def train(model: Any, feed: Feed, recipe: Recipe, context: Context) -> History:
    """Train in place, and return losses and dev scores.

    Leaves `checkpoints/last`, `checkpoints/best` and, for LoRA, `checkpoints/best-adapter`, plain models that any tool
    loads; and `checkpoints/resume`, from which the training goes on.

    Args:
        model: A Sentence Transformers model whose trainable parameters are already chosen.
        feed: Rows, batches and losses.
        recipe: How.
        context: Where, and who is told.

    Raises:
        StoppedError: Somebody asked to stop.
        ModelError: The loss is not finite, there is no batch, or the resume point is of another training.
    """
    if not feed.batches:
        raise ModelError("no two training pairs may stand in one batch (all share a group or a text)")
    steps = -(-len(feed.batches) // recipe.accumulate)
    history = History(steps, dev=[(0, context.base_score)])
    if context.resume is not None:
        history.restore(context.resume.notes)
        restore_parameters(model, context.resume, own_parameters([*feed.losses.values()], model))
    with context.progress.bar("training", steps) as advance:
        advance(len(history.losses), "")
        watch = _watch(model, feed, recipe, context, history, advance)
        _trainer(model, feed, recipe, steps, watch, context.resume).train()
    if context.stop_requested() and len(history.losses) < steps:
        raise StoppedError(f"stopped after {len(history.losses)} of {steps} steps")
    return history


def _watch(model: Any, feed: Feed, recipe: Recipe, context: Context, history: History, advance: Advance) -> Watch:
    return Watch(
        model=model,
        history=history,
        evaluations=recipe.evaluations,
        saves=recipe.saves,
        patience=recipe.patience,
        score_dev=context.score_dev,
        stop_requested=context.stop_requested,
        checkpoints=context.checkpoints,
        advance=advance,
        sample=sample_texts(feed),
        of_losses=own_parameters([*feed.losses.values()], model),
        made_of=context.made_of,
        batch_size=recipe.accumulate * max(len(batch) for batch in feed.batches),
    )


def sample_texts(feed: Feed) -> list[str]:
    """Take the first few texts of every data set."""
    return [text for columns in feed.columns.values() for text in next(iter(columns.values()))[:8]]


def _trainer(model: Any, feed: Feed, recipe: Recipe, steps: int, watch: Watch, resume: ResumePoint | None) -> Any:
    from datasets import Dataset, DatasetDict
    from sentence_transformers import SentenceTransformerTrainer
    from transformers import PrinterCallback

    done = resume.step if resume else 0

    class Trainer(SentenceTransformerTrainer):
        def add_model_card_callback(self, default_args_dict: dict[str, Any]) -> None:
            """Leave out the generated card: the run writes its own, and examples of the data stay private."""

        def _init_training_state(self, *args: Any, **kwargs: Any) -> tuple[int, int]:
            """Count from the steps that were done before; the plan below holds only the others."""
            epochs: tuple[int, int] = super()._init_training_state(*args, **kwargs)
            self.state.global_step = done
            return epochs

    trainer = Trainer(
        model=model,
        args=_arguments(model, feed, recipe, steps, watch.checkpoints, done),
        train_dataset=DatasetDict({name: Dataset.from_dict(dict(rows)) for name, rows in feed.columns.items()}),
        loss=dict(feed.losses),
        callbacks=[_callback(watch, resume)],
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


def _arguments(model: Any, feed: Feed, recipe: Recipe, steps: int, folder: Path, done: int) -> Any:
    from sentence_transformers import SentenceTransformerTrainingArguments

    return SentenceTransformerTrainingArguments(
        output_dir=str(folder),
        max_steps=steps,
        per_device_train_batch_size=max(len(batch) for batch in feed.batches),
        gradient_accumulation_steps=recipe.accumulate,
        learning_rate=recipe.learning_rate,
        lr_scheduler_type=recipe.schedule if recipe.schedule != "constant" else "constant_with_warmup",
        warmup_steps=round(recipe.warmup * steps),
        weight_decay=recipe.weight_decay,
        bf16=recipe.precision == "bfloat16",
        use_cpu=model.device.type == "cpu",
        seed=recipe.seed,
        data_seed=recipe.seed,
        save_strategy="no",
        logging_steps=1,
        report_to=list(recipe.report_to) or "none",
        disable_tqdm=True,
        dataloader_pin_memory=False,
        multi_dataset_batch_sampler=_planned(feed.batches[done * recipe.accumulate :]),
        prompts={name: prompt for name, prompt in feed.prompts.items() if prompt} or None,
        router_mapping=dict(feed.routes) or None,
    )


def _planned(batches: Sequence[Sequence[int]]) -> Any:
    """Wrap the plan in the form that the trainer asks for; its epochs are part of the plan."""
    from sentence_transformers.base.sampler import MultiDatasetDefaultBatchSampler

    class Planned(MultiDatasetDefaultBatchSampler):
        def __iter__(self) -> Any:
            return iter([list(batch) for batch in batches])

        def __len__(self) -> int:
            return len(batches)

    return Planned


def _callback(watch: Watch, resume: ResumePoint | None) -> Any:
    """Connect a `Watch` to the trainer."""
    from transformers import TrainerCallback

    class Callback(TrainerCallback):
        waiting = resume

        def on_train_begin(self, args: Any, state: Any, control: Any, **now: Any) -> None:
            if self.waiting is not None:
                TrainingParts(now["model"], now["optimizer"], now["lr_scheduler"]).restore(self.waiting)

        def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            # Not earlier: opening the data loader draws a random number.
            if self.waiting is not None:
                restore_random_numbers(self.waiting)
                self.waiting = None

        def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float], **now: Any) -> None:
            if "loss" not in logs:
                return
            parts = TrainingParts(watch.model, now["optimizer"], now["lr_scheduler"], watch.of_losses)
            if watch.step_done(state.global_step, float(logs["loss"]), parts):
                control.should_training_stop = True

    return Callback()
