"""Trainings that tests only read: each is made once a session and process."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hrembed.commands.finetune.run import run_finetune
from hrembed.files import sha256
from hrembed.runs.workspace import Workspace

if TYPE_CHECKING:
    from hrembed.config.finetune import FinetuneConfig
    from hrembed.records.finetune import FinetuneRecord
    from hrembed.types import CommandResult


class FinishedTrainings:
    """Runs by their config; data of a test is copied to where its content leads, so that equal data has one path."""

    def __init__(self, root: Path, before: Path) -> None:
        self._root = root
        self._before = before  # what lies below is a test's own, and gone after it
        self._results: dict[str, CommandResult[FinetuneRecord]] = {}

    def settled(self, config: FinetuneConfig) -> FinetuneConfig:
        """The same config on copies of its data that outlive the test."""
        return type(config).model_validate(self._walk(config.model_dump(mode="json")))

    def __call__(self, config: FinetuneConfig) -> CommandResult[FinetuneRecord]:
        """Train, unless this was trained before; the run is for reading only."""
        key = config.model_dump_json()
        if key not in self._results:
            self._results[key] = run_finetune(config, Workspace(self._root / f"runs-{len(self._results)}"))
        return self._results[key]

    def _walk(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {key: self._walk(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self._walk(item) for item in value]
        if not isinstance(value, str) or not value.startswith(str(self._before)):
            return value
        source = Path(value)
        copy = self._root / "data" / sha256(source)[:16] / source.name
        if not copy.exists():
            (shutil.copytree if source.is_dir() else shutil.copy)(source, _made(copy))
        return str(copy)


def _made(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path
