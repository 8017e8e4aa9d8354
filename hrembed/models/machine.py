"""What this machine computes with."""

from __future__ import annotations

import hashlib
import os
import platform
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from hrembed.records.finetune import Precision

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
    return frozenset((_cpuinfo("flags") or _cpuinfo("Features")).split())


def cpu_name() -> str:
    """Model of the processor."""
    return _cpuinfo("model name") or platform.processor() or platform.machine()


def multiplies_bfloat16() -> bool:
    """Whether what torch trains on has instructions for bfloat16; without them it is emulated, many times slower.

    Source:
        Flags of Linux: `avx512_bf16` and `amx_bf16` on x86, `bf16` on Arm.
    """
    import torch

    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(cpu_flags() & {"avx512_bf16", "amx_bf16", "bf16"})


def settled(precision: Precision | Literal["auto"]) -> Precision:
    """Say what `auto` is on this machine."""
    if precision != "auto":
        return precision
    return "bfloat16" if multiplies_bfloat16() else "float32"


def worth_timing(precision: Precision) -> tuple[Precision, ...]:
    """Say which formats to time before a training in one: bfloat16 only where it is used, or has instructions."""
    return ("float32", "bfloat16") if precision == "bfloat16" or multiplies_bfloat16() else ("float32",)


def machine_identity() -> str:
    """Hash of the processor and of the threads: what was timed under one says nothing about another."""
    return hashlib.sha256(repr((cpu_name(), sorted(cpu_flags()), threads())).encode()).hexdigest()[:16]


def _cpuinfo(key: str) -> str:
    try:
        lines = _CPUINFO.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.partition(":")[0].strip() == key), "")
