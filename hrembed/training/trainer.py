"""The training loop: planned batches, dev scores on the way, the best weights kept.

`SentenceTransformerTrainer` does the steps. What it leaves to chance is decided here: which pairs meet in a
batch, when the dev task is scored, which weights are kept, and what an interruption leaves behind.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from hrembed.errors import ModelError, StoppedError
from hrembed.files import writing
from hrembed.training.batches import schedule
from hrembed.training.methods import plain_copy

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from hrembed.progress import Progress
    from hrembed.training.batches import Batch
    from hrembed.types import Floats, Pair

_log = logging.getLogger("hrembed")


@dataclass(frozen=True)
class Recipe:
    """How to train; units as in the config of `finetune`."""

    epochs: int
    batch_size: int
    learning_rate: float
    warmup: float
    temperature: float
    evaluations: int
    seed: int


@dataclass
class History:
    """What happened during training.

    Attributes:
        steps: Planned steps.
        losses: Loss of each step done.
        dev: (step, dev score) of each evaluation, step 0 is the base model.
        best_step: Step of the kept weights: the best dev score of the training, be it below the base's.
        best_vectors: Embeddings of a few anchors at that step.
    """

    steps: int
    losses: list[float] = field(default_factory=list)
    dev: list[tuple[int, float]] = field(default_factory=list)
    best_step: int = 0
    best_vectors: Floats = field(default_factory=lambda: np.empty((0, 0), dtype=np.float32))


def train(
    model: Any,
    pairs: Sequence[Pair],
    recipe: Recipe,
    *,
    base_score: float,
    score_dev: Callable[[Any], float],
    stop_requested: Callable[[], bool],
    checkpoints: Path,
    progress: Progress,
) -> History:
    """Train in place, and return losses and dev scores.

    Leaves `checkpoints/last`, `checkpoints/best` and, for LoRA, `checkpoints/best-adapter`.

    Args:
        model: A Sentence Transformers model whose trainable parameters are already chosen.
        pairs: Training pairs.
        recipe: How.
        base_score: Dev score before training.
        score_dev: Scores a model on the dev task; higher is better.
        stop_requested: Asked after every step; True saves `checkpoints/last` and stops.
        checkpoints: Folder for the checkpoints, each a plain Sentence Transformers model.
        progress: Told about every step.

    Raises:
        StoppedError: `stop_requested` said so.
        ModelError: The loss is not finite, or no batch has two pairs.
    """
    rng = np.random.default_rng(recipe.seed)
    batches = schedule(pairs, batch_size=recipe.batch_size, epochs=recipe.epochs, rng=rng)
    if not batches:
        raise ModelError("no two training pairs may stand in one batch (all share a group or a text)")
    history = History(len(batches), dev=[(0, base_score)])
    with progress.bar("training", len(batches)) as advance:
        watch = Watch(model, pairs, history, recipe.evaluations, score_dev, stop_requested, checkpoints, advance)
        _trainer(model, pairs, recipe, batches, checkpoints, _callback(watch)).train()
    if stop_requested():
        raise StoppedError(f"stopped after {len(history.losses)} of {history.steps} steps")
    return history


def _trainer(
    model: Any, pairs: Sequence[Pair], recipe: Recipe, batches: list[Batch], folder: Path, watcher: Any
) -> Any:
    from datasets import Dataset
    from sentence_transformers import SentenceTransformerTrainer, SentenceTransformerTrainingArguments
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss
    from transformers import PrinterCallback

    class Trainer(SentenceTransformerTrainer):
        def add_model_card_callback(self, default_args_dict: dict[str, Any]) -> None:
            """Leave out the generated card: the run writes its own, and examples of the data stay private."""

    arguments = SentenceTransformerTrainingArguments(
        output_dir=str(folder),
        max_steps=len(batches),
        per_device_train_batch_size=recipe.batch_size,
        learning_rate=recipe.learning_rate,
        warmup_steps=round(recipe.warmup * len(batches)),
        seed=recipe.seed,
        data_seed=recipe.seed,
        save_strategy="no",
        logging_steps=1,
        report_to="none",
        disable_tqdm=True,
        dataloader_pin_memory=False,
        batch_sampler=_planned(batches),
    )
    trainer = Trainer(
        model=model,
        args=arguments,
        train_dataset=Dataset.from_dict({"anchor": [p.anchor for p in pairs], "positive": [p.positive for p in pairs]}),
        loss=MultipleNegativesRankingLoss(model, scale=1 / recipe.temperature),
        callbacks=[watcher],
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


def _planned(batches: list[Batch]) -> Any:
    """Wrap the schedule in the form that the trainer asks for; its epochs are part of the plan."""
    from sentence_transformers.base.sampler import DefaultBatchSampler

    class Planned(DefaultBatchSampler):
        def __iter__(self) -> Any:
            return iter(batches)

        def __len__(self) -> int:
            return len(batches)

    return Planned


@dataclass
class Watch:
    """What happens between steps: score, keep, stop."""

    model: Any
    pairs: Sequence[Pair]
    history: History
    evaluations: int
    score_dev: Callable[[Any], float]
    stop_requested: Callable[[], bool]
    checkpoints: Path
    advance: Callable[[int, str], None]

    def loss(self, step: int, loss: float) -> None:
        """Take note of a loss.

        Raises:
            ModelError: It is not finite.
        """
        if not np.isfinite(loss):
            raise ModelError(f"the loss is {loss} at step {step}", hint="lower `train.learning_rate`")
        self.history.losses.append(loss)
        self.advance(1, f"loss {loss:.3f}  dev {self.history.dev[-1][1]:.3f}")

    def step_ended(self, step: int) -> bool:
        """Score the model where that is due; return whether to stop now."""
        due = {round(self.history.steps * n / self.evaluations) for n in range(1, self.evaluations + 1)}
        if step in due and not self.stop_requested():
            self._evaluate(step)
        if self.stop_requested():
            save(plain_copy(self.model), self.checkpoints / "last")
            return True
        return False

    def _evaluate(self, step: int) -> None:
        plain = plain_copy(self.model)
        save(plain, self.checkpoints / "last")
        score = self.score_dev(plain)
        _log.info("step %d of %d: dev %.4f", step, self.history.steps, score)
        if all(score > earlier for _, earlier in self.history.dev[1:]):
            self.history.best_step = step
            self.history.best_vectors = sample_vectors(plain, self.pairs)
            save(plain, self.checkpoints / "best")
            save_adapter(self.model, self.checkpoints / "best-adapter")
        self.history.dev.append((step, score))


def _callback(watch: Watch) -> Any:
    """Connect a `Watch` to the trainer."""
    from transformers import TrainerCallback

    class Callback(TrainerCallback):
        def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float], **_: Any) -> None:
            if "loss" in logs:
                watch.loss(state.global_step, float(logs["loss"]))

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if watch.step_ended(state.global_step):
                control.should_training_stop = True

    return Callback()


def save(model: Any, folder: Path) -> None:
    """Save a Sentence Transformers folder, whole or not at all."""
    with writing(folder) as part:
        model.save_pretrained(str(part), create_model_card=False)


def save_adapter(model: Any, folder: Path) -> None:
    """Save the adapter of a model alone, in PEFT's form; does nothing for a model without one."""
    if hasattr(model[0].model, "peft_config"):
        with writing(folder) as part:
            model[0].model.save_pretrained(str(part))


def sample_vectors(model: Any, pairs: Sequence[Pair]) -> Floats:
    """Embed the first few anchors: what a saved model must reproduce, shape (at most 8, dim)."""
    texts = [pair.anchor for pair in pairs[:8]]
    return np.asarray(model.encode(texts, convert_to_numpy=True, show_progress_bar=False), dtype=np.float32)


def check_saved(expected: Floats, found: Floats, *, tolerance: float = 1e-4) -> None:
    """Compare the embeddings of the trained model with those of what was saved and loaded again.

    Raises:
        ModelError: A coordinate differs by more than the tolerance, so the file is not the model.
    """
    gap = float(np.abs(expected - found).max())
    if not gap <= tolerance:
        raise ModelError(f"the saved model gives other vectors than the trained one (largest difference {gap:.2g})")
