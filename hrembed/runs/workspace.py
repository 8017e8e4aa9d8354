"""The folder of runs and the progress display, which every command works with."""

from __future__ import annotations

from dataclasses import InitVar, dataclass, field
from typing import TYPE_CHECKING

from hrembed.progress import Journal, Silent

if TYPE_CHECKING:
    from pathlib import Path

    from hrembed.progress import Display


@dataclass
class Workspace:
    """The folder of all runs, and the progress display.

    Args:
        display: Who is told of the progress; nobody by default.

    Attributes:
        root: Folder of all runs, which also holds the caches.
        progress: Receives progress updates: what is told to it reaches the log of every open run, too.
    """

    root: Path
    display: InitVar[Display | Journal] = field(default=Silent())
    progress: Journal = field(init=False, repr=False, compare=False)

    def __post_init__(self, display: Display | Journal) -> None:
        """Keep one journal for all runs that are opened from this workspace."""
        self.progress = display if isinstance(display, Journal) else Journal(display)

    @property
    def cache(self) -> Path:
        """Folder of what can be recomputed: vectors, graphs, mined negatives."""
        return self.root / ".cache"
