"""Memory: what MB means, and how much of it this process took."""

from __future__ import annotations

import ctypes
import resource
import sys
from pathlib import Path

MB = 1_000_000
"""Bytes of a megabyte, in every setting, table and file."""


def peak_memory_mb() -> float:
    """Largest resident memory of this process so far, in MB."""
    status = Path("/proc/self/status")
    if status.exists():
        # Linux's `ru_maxrss` also counts what the parent held when it started this process.
        lines = [line for line in status.read_text(encoding="utf-8").splitlines() if line.startswith("VmHWM:")]
        if lines:
            return round(int(lines[0].split()[1]) * 1024 / MB, 1)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak * (1 if sys.platform == "darwin" else 1024) / MB, 1)


def give_back_freed_memory() -> None:
    """Return freed memory to the system, since glibc keeps much of it; does nothing on systems without glibc."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None  # musl has none
    if trim is not None:
        trim(0)
