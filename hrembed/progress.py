"""How long work tells that it advances, without knowing who listens."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    Advance = Callable[[int, str], None]


class Progress(Protocol):
    """Shows bars and notes to whoever started the work."""

    def bar(self, label: str, total: int) -> AbstractContextManager[Advance]:
        """Open a bar of `total` steps (0 when unknown); call the result with (steps done, short note)."""
        ...

    def note(self, text: str) -> None:
        """Say one thing in passing."""
        ...


class Silent:
    """A `Progress` that shows nothing: the default when a command is called from Python."""

    @contextmanager
    def bar(self, label: str, total: int) -> Iterator[Advance]:
        """Open a bar that nobody sees."""
        yield lambda steps, note: None

    def note(self, text: str) -> None:
        """Say nothing."""
