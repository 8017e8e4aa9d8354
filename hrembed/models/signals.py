"""The stack on which a thread handles signals, which OpenVINO replaces."""

from __future__ import annotations

import ctypes
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class SignalStack(ctypes.Structure):
    """`stack_t` of Linux."""

    _fields_ = (("base", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t))


def signal_stack() -> SignalStack:
    """Return the stack of this thread; base and size are 0 where signals use the ordinary one."""
    stack = SignalStack()
    ctypes.CDLL(None).sigaltstack(None, ctypes.byref(stack))
    return stack


@contextmanager
def signal_stack_kept() -> Iterator[None]:
    """Put the stack back afterwards; does nothing but on Linux.

    OpenVINO puts one of its own there when it compiles some graphs (MiniLM's, not a tiny one's), and leaves it. A
    Ctrl-C after that ended in a segmentation fault; with the former stack back it does not. Why its stack fails is not
    known.
    """
    if sys.platform != "linux":
        yield
        return
    before = signal_stack()
    try:
        yield
    finally:
        ctypes.CDLL(None).sigaltstack(ctypes.byref(before), None)
