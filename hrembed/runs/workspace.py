"""The folder of runs and the progress display, which every command works with."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hrembed.progress import Silent

if TYPE_CHECKING:
    from pathlib import Path

    from hrembed.progress import Progress


@dataclass
class Workspace:
    """The folder of all runs, and the progress display.

    Attributes:
        root: Folder of all runs, which also holds the caches.
        progress: Receives progress updates; nobody does by default.
    """

    root: Path
    progress: Progress = field(default_factory=Silent, repr=False, compare=False)

    @property
    def cache(self) -> Path:
        """Folder of what can be recomputed: vectors, graphs, mined negatives."""
        return self.root / ".cache"
