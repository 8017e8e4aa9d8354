"""Break a training off where a kill would, for tests of going on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hrembed.training.callbacks import Watch

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


class KilledError(BaseException):
    """Nothing in the program catches it, as nothing catches a kill."""


def killed_at(patch: pytest.MonkeyPatch, moment: int, *, training: int = 1) -> None:
    """Break off in this step of the first (or another) training of a run, before anything of the step is noted."""
    whole, begun = Watch.step_done, []

    def broken(self, step, loss, parts):
        if self not in begun:
            begun.append(self)
        if len(begun) == training and step == moment:
            raise KilledError
        return whole(self, step, loss, parts)

    patch.setattr(Watch, "step_done", broken)


def run_id(runs: Path) -> str:
    """Name of the only fine-tuning below a folder."""
    (folder,) = (runs / "finetune").iterdir()
    return folder.name
