"""The training loop: planned batches through `SentenceTransformerTrainer`.

What the trainer leaves to chance is decided before it starts: which rows meet in a batch, and in which order. What
happens between its steps is in `Watch`.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from hrembed.errors import StoppedError
from hrembed.memory import give_back_freed_memory
from hrembed.training.activation_cache import keep_frozen
from hrembed.training.callbacks import History, Watch
from hrembed.training.checkpoints import (
    TrainingParts,
    restore_parameters,
    restore_random_state,
    trainable_parameters,
)
from hrembed.training.plan import require_batches, sample_texts
from hrembed.training.processes import Processes
from hrembed.training.targets import loss_parameters

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from hrembed.progress import Progress
    from hrembed.training.activation_cache import FrozenLayers
    from hrembed.training.callbacks import HistoryNotes
    from hrembed.training.checkpoints import Fingerprint, ResumePoint
    from hrembed.training.plan import Recipe, TrainingPlan

_STEPS_BETWEEN_TRIMS = 16
"""Batches differ in size: what is freed lies in pieces that the next do not fit, and the process would only grow."""


@dataclass(frozen=True)
class Context:
    """What a training needs of those who start it.

    Attributes:
        base_score: Dev score before training.
        score_dev: Scores a model on the dev task; higher is better.
        stop_requested: Asked after every step; True saves and stops.
        checkpoints: Folder for the checkpoints.
        progress: Receives progress updates.
        resume: Where to go on; None starts.
        fingerprint: What the training is made of; kept in the resume points, to be compared by who resumes.
        processes: Who takes part.
    """

    base_score: float
    score_dev: Callable[[Any], float]
    stop_requested: Callable[[], bool]
    checkpoints: Path
    progress: Progress
    resume: ResumePoint[HistoryNotes] | None = None
    fingerprint: Fingerprint = field(default_factory=dict)
    processes: Processes = field(default_factory=Processes)


def train(model: Any, plan: TrainingPlan, recipe: Recipe, context: Context) -> History:
    """Train in place, and return losses and dev scores.

    Leaves `checkpoints/last`, `checkpoints/best` and, for LoRA, `checkpoints/best-adapter`, plain models that any tool
    loads; and `checkpoints/resume`, from which the training goes on.

    Args:
        model: A Sentence Transformers model whose trainable parameters are already chosen.
        plan: Rows, batches and losses.
        recipe: How to train.
        context: Where checkpoints go, and who receives progress updates.

    Raises:
        StoppedError: Somebody asked to stop.
        ModelError: The loss is not finite, there is no batch, or the resume point is of another training.
    """
    require_batches(plan)
    steps = -(-len(plan.batches) // recipe.batches_per_step)
    history = History(steps, dev=[(0, context.base_score)])
    learned_by_losses = loss_parameters([*plan.losses.values()], model)
    if context.resume is not None:
        history.restore(context.resume.notes)
        restore_parameters(model, context.resume, learned_by_losses)
    context.processes.equalise([*trainable_parameters(model).values(), *learned_by_losses.values()])
    frozen = keep_frozen(model, plan, context.checkpoints, recipe.keep_frozen_mb, context.progress.note)
    with context.progress.bar("training", steps, len(history.losses)) as advance:
        watch = Watch(
            model=model,
            history=history,
            evaluations=recipe.evaluations,
            saves=recipe.saves,
            patience=recipe.patience,
            score_dev=context.score_dev,
            stop_requested=context.stop_requested,
            checkpoints=context.checkpoints,
            advance=advance,
            sample=sample_texts(plan),
            fingerprint=context.fingerprint,
            batch_size=recipe.batches_per_step * max(len(batch) for batch in plan.batches),
            processes=context.processes,
            loss_parameters=learned_by_losses,
        )
        _trainer(model, plan, recipe, steps, watch, context.resume, frozen).train()
    give_back_freed_memory()
    if any(context.processes.gather(context.stop_requested())) and len(history.losses) < steps:
        raise StoppedError(f"stopped after {len(history.losses)} of {steps} steps")
    return history


def _trainer_class(model: Any, watch: Watch, done: int, frozen: FrozenLayers | None) -> Any:
    from sentence_transformers import SentenceTransformerTrainer

    class Trainer(SentenceTransformerTrainer):
        def add_model_card_callback(self, default_args_dict: dict[str, Any]) -> None:
            """Leave out the generated card: the run writes its own, and examples of the data stay private."""

        def _init_training_state(self, *args: Any, **kwargs: Any) -> tuple[int, int]:
            """Count from the steps that were done before; the plan below holds only the others."""
            epochs: tuple[int, int] = super()._init_training_state(*args, **kwargs)
            self.state.global_step = done
            return epochs

        def training_step(self, *args: Any, **kwargs: Any) -> Any:
            if self.state.global_step % _STEPS_BETWEEN_TRIMS == 0:
                give_back_freed_memory()
            with frozen.in_place() if frozen else nullcontext():
                loss = super().training_step(*args, **kwargs)
            if self.accelerator.sync_gradients:
                parameters = [*trainable_parameters(model).values(), *watch.loss_parameters.values()]
                watch.processes.average_gradients(parameters)
            return loss

    return Trainer


def _trainer(
    model: Any,
    plan: TrainingPlan,
    recipe: Recipe,
    steps: int,
    watch: Watch,
    resume: ResumePoint[HistoryNotes] | None,
    frozen: FrozenLayers | None,
) -> Any:
    from transformers import PrinterCallback

    done = resume.step if resume else 0
    trainer = _trainer_class(model, watch, done, frozen)(
        model=model,
        args=_arguments(model, plan, recipe, steps, watch.checkpoints, done),
        train_dataset=_data_sets(plan),
        loss=dict(plan.losses),
        callbacks=[_callback(watch, recipe, resume)],
    )
    trainer.remove_callback(PrinterCallback)
    # No DistributedDataParallel: it fails where one side of a router is frozen, or, told that the graph never changes,
    # where gradients are accumulated.
    trainer.accelerator.prepare_model = partial(trainer.accelerator.prepare_model, evaluation_mode=True)
    return trainer


def _data_sets(plan: TrainingPlan) -> Any:
    """Write the rows as the trainer takes them; the label of a row is its position."""
    from datasets import Dataset, DatasetDict

    return DatasetDict(
        {
            name: Dataset.from_dict({**plan.columns[name], "label": list(range(size))})
            for name, size in plan.sizes().items()
        }
    )


def _arguments(model: Any, plan: TrainingPlan, recipe: Recipe, steps: int, folder: Path, done: int) -> Any:
    from sentence_transformers import SentenceTransformerTrainingArguments

    return SentenceTransformerTrainingArguments(
        output_dir=str(folder),
        max_steps=steps,
        per_device_train_batch_size=max(len(batch) for batch in plan.batches),
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
        logging_nan_inf_filter=False,  # it would log 0 in place of a loss that is not a number
        report_to=list(recipe.report_to) or "none",
        disable_tqdm=True,
        dataloader_pin_memory=False,
        dataloader_drop_last=recipe.processes > 1,  # there is nothing to drop, but it is warned about
        multi_dataset_batch_sampler=_planned(plan.batches[done * recipe.batches_per_step :]),
        prompts={name: prompt for name, prompt in plan.prompts.items() if prompt} or None,
        router_mapping=dict(plan.routes) or None,
    )


def _planned(batches: Sequence[Sequence[int]]) -> Any:
    """Wrap the plan in the form that the trainer asks for; its epochs are part of the plan.

    Each process takes every n-th batch, n being the number of processes. They must not be told a batch size:
    accelerate then drops rounds that end with a smaller batch, without a word.
    """
    from sentence_transformers.base.sampler import MultiDatasetDefaultBatchSampler

    class Planned(MultiDatasetDefaultBatchSampler):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self.batch_size = None

        def __iter__(self) -> Any:
            return iter([list(batch) for batch in batches])

        def __len__(self) -> int:
            return len(batches)

    return Planned


def _callback(watch: Watch, recipe: Recipe, resume: ResumePoint[HistoryNotes] | None) -> Any:
    """Connect a `Watch` to the trainer."""
    import torch
    from transformers import TrainerCallback

    rank = watch.processes.rank

    class Callback(TrainerCallback):
        waiting = resume
        fresh = resume is None and rank > 0

        def on_train_begin(self, args: Any, state: Any, control: Any, **now: Any) -> None:
            if self.waiting is not None:
                TrainingParts(now["model"], now["optimizer"], now["lr_scheduler"]).restore(self.waiting)

        def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            # Not earlier: opening the data loader draws a random number.
            if self.waiting is not None:
                restore_random_state(self.waiting, rank)
                self.waiting = None
            if self.fresh:
                torch.manual_seed(recipe.seed + rank)  # or all processes would draw the same dropout
                self.fresh = False

        def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float], **now: Any) -> None:
            if "loss" not in logs:
                return
            parts = TrainingParts(watch.model, now["optimizer"], now["lr_scheduler"], watch.loss_parameters)
            if watch.step_done(state.global_step, float(logs["loss"]), parts):
                control.should_training_stop = True

    return Callback()
