"""What a training leaves on disk: models that any tool loads, and points from which it resumes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

import numpy as np

from hrembed.errors import ModelError
from hrembed.files import write_json, writing
from hrembed.records.base import Record, as_json
from hrembed.training.methods import transformer_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from hrembed.types import Floats

Fingerprint = Mapping[str, str]
"""Ingredient of a training, as a message calls it (`the training data`), to a hash or number that stands for it."""

Tensors = Mapping[str, Any]
"""Tensors of torch by name."""

_STATE = "state.json"
_TENSORS = "state.safetensors"


def save(model: Any, folder: Path) -> None:
    """Save a Sentence Transformers folder, whole or not at all."""
    with writing(folder) as part:
        model.save_pretrained(str(part), create_model_card=False)


def save_adapter(model: Any, folder: Path) -> None:
    """Save the adapter of a model alone, in PEFT's form; does nothing for a model without one."""
    backbone = transformer_of(model).model
    if hasattr(backbone, "peft_config"):
        with writing(folder) as part:
            backbone.save_pretrained(str(part))


def sample_vectors(model: Any, texts: Sequence[str]) -> Floats:
    """Embed a few texts as queries and as documents: what a saved model must reproduce, shape (2n, dim)."""
    options = {"convert_to_numpy": True, "show_progress_bar": False}
    sides = [encode(list(texts), **options) for encode in (model.encode_query, model.encode_document)]
    return np.concatenate(sides).astype(np.float32)


def check_saved(expected: Floats, loaded: Floats, *, tolerance: float = 1e-5) -> None:
    """Compare the embeddings of the trained model with those of what was saved and loaded again.

    Raises:
        ModelError: A coordinate differs by more than the tolerance, so the file is not the model.
    """
    gap = float(np.abs(expected - loaded).max(initial=0))
    if not gap <= tolerance:
        raise ModelError(
            f"the saved model produces different vectors than the trained one (largest difference {gap:.2g})"
        )


class TrainingNotes(Record):
    """What a training loop has to remember beside its tensors.

    Attributes:
        fingerprint: What the training is made of.
    """

    fingerprint: dict[str, str]


N = TypeVar("N", bound=TrainingNotes)
N_co = TypeVar("N_co", bound=TrainingNotes, covariant=True)


@dataclass(frozen=True)
class ResumePoint(Generic[N_co]):
    """A moment of a training from which it goes on as if it had never stopped.

    Attributes:
        step: Steps done.
        notes: What the loop has to remember.
        scheduler: State of the learning-rate schedule, as torch writes it.
        tensors: Trained parameters (`parameter.NAME`), those of losses (`loss.NAME`), optimizer state
            (`optimizer.N.KEY`) and the random state of each process (`random.RANK.DEVICE`).
    """

    step: int
    notes: N_co
    scheduler: Mapping[str, Any]
    tensors: Tensors


def write_resume_point(folder: Path, step: int, notes: TrainingNotes, parts: TrainingParts) -> None:
    """Write a point; the older ones go when it is whole, so a kill at any moment leaves one.

    Only what is trained is written, with its optimizer state: the frozen rest is in the base model.
    """
    from safetensors.torch import save_file

    target = folder / f"step-{step:08d}"
    with writing(target) as part:
        part.mkdir(parents=True, exist_ok=True)
        save_file(dict(parts.tensors()), str(part / _TENSORS))
        state = {"step": step, "notes": as_json(notes), "scheduler": parts.scheduler.state_dict()}
        write_json(part / _STATE, state)
    for older in folder.glob("step-*"):
        if older != target:
            shutil.rmtree(older, ignore_errors=True)


def read_resume_point(folder: Path, notes: type[N]) -> ResumePoint[N] | None:
    """Read the newest whole point below a folder; None where there is none.

    Args:
        folder: Where points were written.
        notes: What the loop wrote into them.

    Raises:
        ModelError: It is damaged.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    points = sorted(path for path in folder.glob("step-*") if path.suffix != ".part")
    if not points:
        return None
    newest = points[-1]
    try:
        state = json.loads((newest / _STATE).read_text(encoding="utf-8"))
        tensors = load_file(str(newest / _TENSORS))
        return ResumePoint(int(state["step"]), notes.model_validate(state["notes"]), state["scheduler"], tensors)
    except (OSError, ValueError, KeyError, SafetensorError) as err:
        raise ModelError(f"'{newest}' is corrupt: {err}", hint="start a new run") from err


# Part of a fingerprint: sums over other numbers of threads differ in the last digits, and trainings then in all.
THREADS = "the number of threads"


def check_same(before: Fingerprint, now: Fingerprint) -> None:
    """Compare what two trainings are made of: only the same may go on from the other's checkpoints.

    Raises:
        ModelError: Something changed; it is named.
    """
    changed = [name for name in now if before.get(name) != now[name]]
    if changed:
        threads = before.get(THREADS)
        only_threads = changed == [THREADS] and threads is not None
        raise ModelError(
            f"cannot resume: {' and '.join(changed)} changed since the run was started",
            hint=f"set the environment variable OMP_NUM_THREADS={threads}, or start a new run"
            if only_threads
            else "start a new run, or restore what changed",
        )


class TrainingParts(NamedTuple):
    """What changes from step to step.

    Attributes:
        model: The model in training, not wrapped; equal in all processes, as optimizer and schedule are.
        optimizer: Its optimizer.
        scheduler: Schedule of the learning rate.
        loss_parameters: What losses learn beside the model, by name.
        random_states: Random state of each process, by rank.
    """

    model: Any
    optimizer: Any
    scheduler: Any
    loss_parameters: Tensors = MappingProxyType({})
    random_states: Sequence[Tensors] = ()

    def tensors(self) -> Tensors:
        """Collect trained parameters, optimizer state and random states as named tensors."""
        import torch

        named = {f"parameter.{name}": value.detach() for name, value in trainable_parameters(self.model).items()}
        named |= {f"loss.{name}": value.detach() for name, value in self.loss_parameters.items()}
        for number, state in self.optimizer.state_dict()["state"].items():
            named |= {f"optimizer.{number}.{key}": torch.as_tensor(value) for key, value in state.items()}
        for rank, states in enumerate(self.random_states):
            named |= {f"random.{rank}.{device}": state for device, state in states.items()}
        return {name: value.contiguous().clone() for name, value in named.items()}

    def restore(self, point: ResumePoint[TrainingNotes]) -> None:
        """Put optimizer and schedule back to a point.

        Loading by name is left to the optimizer, which checks the sizes; a reload through the model's own files would
        start DoRA's magnitudes anew (its keys do not match).
        """
        state: dict[int, dict[str, Any]] = {}  # as torch's optimizers take it: parameter's number to its tensors
        for name, value in point.tensors.items():
            kind, _, rest = name.partition(".")
            if kind == "optimizer":
                number, _, key = rest.partition(".")
                state.setdefault(int(number), {})[key] = value
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": state})
        self.scheduler.load_state_dict(dict(point.scheduler))
        for group, rate in zip(self.optimizer.param_groups, self.scheduler.get_last_lr(), strict=True):
            group["lr"] = rate  # the schedule writes it when it steps, not when it is loaded


def trainable_parameters(model: Any) -> Tensors:
    """Return the parameters that are trained, by name."""
    return {name: value for name, value in model.named_parameters() if value.requires_grad}


def restore_parameters(model: Any, point: ResumePoint[TrainingNotes], loss_parameters: Tensors) -> None:
    """Put the trained parameters back to a point, in place.

    Args:
        model: The model in training.
        point: The point.
        loss_parameters: What losses learn beside the model, by name.

    Raises:
        ModelError: The point is of a training with other parameters.
    """
    import torch

    now = {f"parameter.{name}": value for name, value in trainable_parameters(model).items()}
    now |= {f"loss.{name}": value for name, value in loss_parameters.items()}
    before = {name: v for name, v in point.tensors.items() if name.partition(".")[0] in {"parameter", "loss"}}
    different = sorted(now.keys() ^ before.keys()) or [n for n in now if now[n].shape != before[n].shape]
    if different:
        raise ModelError(
            (f"the checkpoint contains different trainable parameters, for example '{different[0].partition('.')[2]}'"),
            hint="resume with the original model and method",
        )
    with torch.no_grad():
        for name, value in now.items():
            value.copy_(before[name])


def random_state() -> Tensors:
    """Take the state of torch's random numbers in this process, by device."""
    import torch

    states = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        states["cuda"] = torch.cuda.get_rng_state()
    return states


def restore_random_state(point: ResumePoint[TrainingNotes], rank: int) -> None:
    """Put torch's random numbers of a process back to a point."""
    import torch

    torch.set_rng_state(point.tensors[f"random.{rank}.cpu"])
    if torch.cuda.is_available() and f"random.{rank}.cuda" in point.tensors:
        torch.cuda.set_rng_state(point.tensors[f"random.{rank}.cuda"])
