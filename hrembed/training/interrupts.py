"""Requests to stop, put off to a moment when stopping loses nothing."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType


@contextmanager
def deferred_stop(note: Callable[[str], None], *, launched: bool = False) -> Iterator[Callable[[], bool]]:
    """Remember the first Ctrl-C or SIGTERM instead of acting on it; the second one acts at once.

    Outside of the main thread signals cannot be caught, and nothing changes.

    Args:
        note: Receives one message when a request was understood.
        launched: Whether a launcher started this process. It repeats each signal, and kills a process that takes too
            long, so that further signals are ignored.

    Yields:
        A function that says whether a stop was asked for.
    """
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked.is_set
        return

    def remember(number: int, frame: FrameType | None) -> None:
        if asked.is_set():
            if launched:
                return
            raise KeyboardInterrupt
        asked.set()
        note(
            "stopping after this step; the last checkpoint is kept"
            + ("" if launched else " (press again to quit immediately)")
        )

    before = {number: signal.signal(number, remember) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked.is_set
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
