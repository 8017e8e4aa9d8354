"""What a training leaves on disk: models that any tool loads, and points from which it goes on."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from hrembed.errors import ModelError
from hrembed.files import write_json, writing
from hrembed.training.methods import transformer_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from hrembed.types import Floats

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


def check_saved(expected: Floats, found: Floats, *, tolerance: float = 1e-5) -> None:
    """Compare the embeddings of the trained model with those of what was saved and loaded again.

    Raises:
        ModelError: A coordinate differs by more than the tolerance, so the file is not the model.
    """
    gap = float(np.abs(expected - found).max(initial=0))
    if not gap <= tolerance:
        raise ModelError(f"the saved model gives other vectors than the trained one (largest difference {gap:.2g})")


class ResumePoint(NamedTuple):
    """A moment of a training from which it goes on as if it had never stopped.

    Attributes:
        step: Steps done.
        notes: What the loop knows: losses, dev scores, what the training is made of.
        scheduler: State of the learning-rate schedule.
        tensors: Trained parameters (`parameter.NAME`), those of losses (`loss.NAME`), optimizer state
            (`optimizer.N.KEY`) and the random numbers of each process (`random.RANK.NAME`).
    """

    step: int
    notes: Mapping[str, Any]
    scheduler: Mapping[str, Any]
    tensors: Mapping[str, Any]


def write_resume_point(folder: Path, step: int, notes: Mapping[str, Any], parts: TrainingParts) -> None:
    """Write a point; the older ones go when it is whole, so a kill at any moment leaves one.

    Only what is trained is written, with its optimizer state: the frozen rest is in the base model.
    """
    from safetensors.torch import save_file

    target = folder / f"step-{step:08d}"
    with writing(target) as part:
        part.mkdir(parents=True, exist_ok=True)
        save_file(parts.tensors(), str(part / _TENSORS))
        write_json(part / _STATE, {"step": step, "notes": notes, "scheduler": parts.scheduler.state_dict()})
    for older in folder.glob("step-*"):
        if older != target:
            shutil.rmtree(older, ignore_errors=True)


def read_resume_point(folder: Path) -> ResumePoint | None:
    """Read the newest whole point below a folder; None where there is none.

    Raises:
        ModelError: It is damaged.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    found = sorted(path for path in folder.glob("step-*") if path.suffix != ".part")
    if not found:
        return None
    try:
        state = json.loads((found[-1] / _STATE).read_text(encoding="utf-8"))
        tensors = load_file(str(found[-1] / _TENSORS))
        return ResumePoint(int(state["step"]), state["notes"], state["scheduler"], tensors)
    except (OSError, ValueError, KeyError, SafetensorError) as err:
        raise ModelError(f"'{found[-1]}' is damaged: {err}", hint="start the training anew") from err


def check_same(before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Compare what two trainings are made of: only the same may go on from the other's checkpoints.

    Raises:
        ModelError: Something changed; it is named.
    """
    changed = [name for name in now if before.get(name) != now[name]]
    if changed:
        raise ModelError(
            f"the run cannot go on: {' and '.join(changed)} changed since it was started",
            hint="start a new run, or put back what changed",
        )


class TrainingParts(NamedTuple):
    """What changes from step to step.

    Attributes:
        model: The model in training, not wrapped; equal in all processes, as optimizer and schedule are.
        optimizer: Its optimizer.
        scheduler: Schedule of the learning rate.
        random: Random numbers of each process, by rank.
    """

    model: Any
    optimizer: Any
    scheduler: Any
    random: Sequence[Mapping[str, Any]] = ()
    of_losses: Mapping[str, Any] = {}

    def tensors(self) -> dict[str, Any]:
        """Collect trained parameters, optimizer state and random numbers as named tensors."""
        import torch

        found = {f"parameter.{name}": value.detach().contiguous() for name, value in trained(self.model).items()}
        found |= {f"loss.{name}": value.detach().contiguous() for name, value in self.of_losses.items()}
        for number, state in self.optimizer.state_dict()["state"].items():
            found |= {f"optimizer.{number}.{key}": torch.as_tensor(value) for key, value in state.items()}
        for rank, states in enumerate(self.random):
            found |= {f"random.{rank}.{name}": state for name, state in states.items()}
        return {name: value.clone() for name, value in found.items()}

    def restore(self, point: ResumePoint) -> None:
        """Put optimizer and schedule back to a point.

        Loading by name is left to the optimizer, which checks the sizes; a reload through the model's own files would
        start DoRA's magnitudes anew (its keys do not match).
        """
        state: dict[int, dict[str, Any]] = {}
        for name, value in point.tensors.items():
            kind, _, rest = name.partition(".")
            if kind == "optimizer":
                number, _, key = rest.partition(".")
                state.setdefault(int(number), {})[key] = value
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": state})
        self.scheduler.load_state_dict(dict(point.scheduler))
        for group, rate in zip(self.optimizer.param_groups, self.scheduler.get_last_lr(), strict=True):
            group["lr"] = rate  # the schedule writes it when it steps, not when it is loaded


def trained(model: Any) -> dict[str, Any]:
    """Return the parameters that are trained, by name."""
    return {name: value for name, value in model.named_parameters() if value.requires_grad}


def restore_parameters(model: Any, point: ResumePoint, of_losses: Mapping[str, Any]) -> None:
    """Put the trained parameters back to a point, in place.

    Args:
        model: The model in training.
        point: The point.
        of_losses: What losses learn beside the model.

    Raises:
        ModelError: The point is of a training with other parameters.
    """
    import torch

    now = {f"parameter.{name}": value for name, value in trained(model).items()}
    now |= {f"loss.{name}": value for name, value in of_losses.items()}
    held = {name: v for name, v in point.tensors.items() if name.partition(".")[0] in {"parameter", "loss"}}
    different = sorted(now.keys() ^ held.keys()) or [n for n in now if now[n].shape != held[n].shape]
    if different:
        raise ModelError(
            f"the checkpoint was made while training other parameters, for example '{different[0].partition('.')[2]}'",
            hint="resume with the model and the method that the run was started with",
        )
    with torch.no_grad():
        for name, value in now.items():
            value.copy_(held[name])


def random_numbers() -> dict[str, Any]:
    """Take the state of torch's random numbers in this process, by device."""
    import torch

    states = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        states["cuda"] = torch.cuda.get_rng_state()
    return states


def restore_random_numbers(point: ResumePoint, rank: int) -> None:
    """Put torch's random numbers of a process back to a point."""
    import torch

    torch.set_rng_state(point.tensors[f"random.{rank}.cpu"])
    if torch.cuda.is_available() and f"random.{rank}.cuda" in point.tensors:
        torch.cuda.set_rng_state(point.tensors[f"random.{rank}.cuda"])
