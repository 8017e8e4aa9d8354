"""What happens between steps: score, keep the best, save a point to resume from, stop."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from hrembed.errors import ModelError
from hrembed.records.base import Number
from hrembed.training.checkpoints import (
    TrainingNotes,
    random_state,
    sample_vectors,
    save,
    save_adapter,
    write_resume_point,
)
from hrembed.training.methods import plain_copy
from hrembed.training.processes import Processes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from hrembed.progress import Advance
    from hrembed.training.checkpoints import Fingerprint, Tensors, TrainingParts
    from hrembed.types import Floats

_log = logging.getLogger("hrembed")


class HistoryNotes(TrainingNotes):
    """A `History` in a resume point.

    Attributes:
        losses: As there.
        dev: As there.
        best_step: As there.
        best_vectors: As there, a row each.
    """

    losses: tuple[float, ...]
    dev: tuple[tuple[int, Number], ...]
    best_step: int
    best_vectors: tuple[tuple[float, ...], ...]


@dataclass
class History:
    """What happened during training.

    Attributes:
        steps: Planned steps.
        losses: Loss of each step done.
        dev: (step, dev score) of each evaluation, step 0 is the base model.
        best_step: Step of the kept weights: the best dev score of the training, be it below the base's.
        best_vectors: Embeddings of a few texts at that step.
        stopped_early: Whether patience ran out.
    """

    steps: int
    losses: list[float] = field(default_factory=list)
    dev: list[tuple[int, float]] = field(default_factory=list)
    best_step: int = 0
    best_vectors: Floats = field(default_factory=lambda: np.empty((0, 0), dtype=np.float32))
    stopped_early: bool = False

    def notes(self, fingerprint: Fingerprint) -> HistoryNotes:
        """Write it for a resume point."""
        return HistoryNotes(
            fingerprint=dict(fingerprint),
            losses=tuple(self.losses),
            dev=tuple(self.dev),
            best_step=self.best_step,
            best_vectors=tuple(map(tuple, self.best_vectors.tolist())),
        )

    def restore(self, notes: HistoryNotes) -> None:
        """Read it from a resume point."""
        self.losses = list(notes.losses)
        self.dev = list(notes.dev)
        self.best_step = notes.best_step
        self.best_vectors = np.array(notes.best_vectors, dtype=np.float32)


def joined(histories: Sequence[History]) -> History:
    """Put trainings whose weights are averaged one behind the other; a single one is itself.

    The kept step is the last; the base stands once among the dev scores.
    """
    if len(histories) == 1:
        return histories[0]
    whole = History(sum(history.steps for history in histories), dev=histories[0].dev[:1])
    for history in histories:
        whole.dev += [(len(whole.losses) + step, score) for step, score in history.dev[1:]]
        whole.losses += history.losses
    whole.best_step = len(whole.losses)
    return whole


@dataclass
class Watch:
    """Sees every step of a training; in every process, but only the first one scores and writes.

    Attributes:
        model: The model in training.
        history: Written as it goes.
        evaluations: Dev scores over the whole training, the last at its end.
        saves: Resume points over the whole training; 0 writes none.
        patience: Evaluations without a better score before the training ends; None never ends it.
        score_dev: Scores a plain model on the dev task.
        stop_requested: Says whether somebody asked to stop.
        checkpoints: Folder of what is written.
        advance: Receives progress updates.
        sample: A few texts whose vectors tell whether a saved model is the trained one.
        fingerprint: What a resumed training must have in common with this one.
        batch_size: Rows of a step, for the speed shown.
        processes: Who takes part.
        loss_parameters: What losses learn beside the model, by name.
    """

    model: Any
    history: History
    evaluations: int
    saves: int
    patience: int | None
    score_dev: Callable[[Any], float]
    stop_requested: Callable[[], bool]
    checkpoints: Path
    advance: Advance
    sample: Sequence[str]
    fingerprint: Fingerprint
    batch_size: int
    processes: Processes = field(default_factory=Processes)
    loss_parameters: Tensors = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._started = time.monotonic()
        self._before = len(self.history.losses)

    def step_done(self, step: int, loss: float, parts: TrainingParts) -> bool:
        """Note a step; score and save where that is due; return whether to stop now, the same in every process.

        Raises:
            ModelError: The loss, a mean over all processes, is not finite.
        """
        if self.processes.leads and not np.isfinite(loss):
            raise ModelError(f"the loss is {loss} at step {step}", hint="lower `train.learning_rate`")
        self.history.losses.append(loss)
        self.advance(1, self._note(loss))
        stopping = any(self.processes.gather(self.stop_requested()))
        saving = self.saves > 0 and (stopping or step in spread(self.history.steps, self.saves))
        if saving:
            parts = parts._replace(random_states=self.processes.gather(random_state()))
        over = self.processes.leads and self._write(step, parts, stopping=stopping, saving=saving)
        return self.processes.share(over)

    def _write(self, step: int, parts: TrainingParts, *, stopping: bool, saving: bool) -> bool:
        if step in spread(self.history.steps, self.evaluations) and not stopping:
            self._evaluate(step)
        if stopping:
            save(plain_copy(self.model), self.checkpoints / "last")
        if saving:
            write_resume_point(self.checkpoints / "resume", step, self.history.notes(self.fingerprint), parts)
        return stopping or self._patience_over()

    def _note(self, loss: float) -> str:
        done = len(self.history.losses) - self._before
        speed = done * self.batch_size / max(time.monotonic() - self._started, 1e-9)
        return f"loss {loss:.3f}  dev {self.history.dev[-1][1]:.3f}  {speed:.0f} pairs/s"

    def _evaluate(self, step: int) -> None:
        plain = plain_copy(self.model)
        save(plain, self.checkpoints / "last")
        score = self.score_dev(plain)
        _log.info("step %d of %d: dev %.4f", step, self.history.steps, score)
        if all(score > earlier for _, earlier in self.history.dev[1:]):
            self.history.best_step = step
            self.history.best_vectors = sample_vectors(plain, self.sample)
            save(plain, self.checkpoints / "best")
            save_adapter(self.model, self.checkpoints / "best-adapter")
        self.history.dev.append((step, score))

    def _patience_over(self) -> bool:
        since = sum(step > self.history.best_step for step, _ in self.history.dev[1:])
        self.history.stopped_early = self.patience is not None and since >= self.patience
        return self.history.stopped_early


def spread(steps: int, times: int) -> set[int]:
    """Steps at even distances, the last included."""
    return {round(steps * n / times) for n in range(1, times + 1)}
