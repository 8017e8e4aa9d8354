"""Progress reporting, independent of the user interface."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    Advance = Callable[[int, str], None]


class Progress(Protocol):
    """Receives progress updates: bars and notes."""

    def bar(self, label: str, total: int) -> AbstractContextManager[Advance]:
        """Open a bar of `total` steps (0 when unknown); call the result with (steps done, short note)."""
        ...

    def note(self, text: str) -> None:
        """Show one line."""
        ...


class Silent:
    """A `Progress` that shows nothing, the default when a command is called from Python."""

    @contextmanager
    def bar(self, label: str, total: int) -> Iterator[Advance]:
        """Open a bar that is not shown."""
        yield lambda steps, note: None

    def note(self, text: str) -> None:
        """Show nothing."""


def quiet_libraries() -> None:
    """Keep the progress bars and warnings of libraries off the terminal, unless the user asked for them."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
