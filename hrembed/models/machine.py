"""What this machine computes with."""

from __future__ import annotations

import hashlib
import os
import platform
from pathlib import Path

_CPUINFO = Path("/proc/cpuinfo")


def threads() -> int:
    """Threads to compute with: `OMP_NUM_THREADS` where it is set, as torch reads it, else the cores that we may use."""
    stated = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]
    if stated.isdigit() and int(stated) > 0:
        return int(stated)
    affinity = getattr(os, "sched_getaffinity", None)  # Linux only
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def cpu_flags() -> frozenset[str]:
    """Names of instruction sets, as Linux calls them; empty elsewhere."""
    return frozenset(_cpuinfo("flags").split())


def cpu_name() -> str:
    """Model of the processor."""
    return _cpuinfo("model name") or platform.processor() or platform.machine()


def machine_identity() -> str:
    """Hash of the processor and of the threads: what was timed under one says nothing about another."""
    return hashlib.sha256(repr((cpu_name(), sorted(cpu_flags()), threads())).encode()).hexdigest()[:16]


def _cpuinfo(key: str) -> str:
    try:
        lines = _CPUINFO.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.partition(":")[0].strip() == key), "")
