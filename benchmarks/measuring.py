"""What all benchmarks share: turns, ratios, the speed of matrix products, and files of results.

Both sides of a comparison take turns in one process or run, so that what else the machine does meets both; what is
reported is the median of the ratios of the turns. Results of `--short` runs stand beside the others, marked as such.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hrembed.files import write_json
from hrembed.models.machine import cpu_flags, cpu_name, threads
from hrembed.runs.environment import git_state

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

RESULTS = Path(__file__).with_name("results")
HR_CORE = Path(__file__).parents[1] / "data" / "hr-core"
_PACKAGES = (
    "hrembed",
    "numpy",
    "torch",
    "transformers",
    "sentence-transformers",
    "openvino",
    "nncf",
    "mteb",
    "pylance",
    "faiss-cpu",
)
_FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8")


def arguments(doc: str, **more: dict[str, Any]) -> argparse.Namespace:
    """Read the options that every benchmark has, and its own."""
    parser = argparse.ArgumentParser(description=doc.partition("\n")[0])
    parser.add_argument("--short", action="store_true", help="small sizes, few turns: does it run?")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the results")
    for name, settings in more.items():
        parser.add_argument(f"--{name}", **settings)
    return parser.parse_args()


def in_turns(ways: Mapping[str, Callable[[], Any]], repeats: int) -> dict[str, list[float]]:
    """Seconds of each way in each turn; a turn before the first warms up and is not counted."""
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(repeats + 1):
        for name, way in ways.items():
            started = time.perf_counter()
            way()
            if turn:
                taken[name].append(time.perf_counter() - started)
    return taken


def ratio(plain: list[float], ours: list[float]) -> float:
    """Median over the turns of how many times faster ours was."""
    return statistics.median(p / o for p, o in zip(plain, ours, strict=True))


def gemm_flops(kind: str) -> float:
    """Best rate of matrix products here, in operations a second: OpenVINO and torch, several shapes, the best of all.

    Args:
        kind: `float32` or `bfloat16`.
    """
    import torch

    best = 0.0
    for rows, inner, columns in ((1024, 384, 1536), (1024, 1536, 384), (2048, 2048, 2048)):
        dtype = getattr(torch, kind)
        left, right = (torch.randn(shape).to(dtype) for shape in ((rows, inner), (inner, columns)))
        repeats = max(1, int(2e9 // (2 * rows * inner * columns)))
        for _ in range(8):
            started = time.perf_counter()
            for _ in range(repeats):
                left @ right
            best = max(best, 2.0 * rows * inner * columns * repeats / (time.perf_counter() - started))
    return best


def forget(vectors: Path) -> None:
    """Remove the vectors that were kept below a folder."""
    for file in vectors.rglob("*"):
        if file.is_file():
            file.unlink()


def record(name: str, options: argparse.Namespace, rows: list[dict[str, Any]]) -> None:
    """Write the rows of a benchmark with what they were measured on, and print them.

    Args:
        name: Of the benchmark; its file.
        options: As `arguments` read them.
        rows: `what`, `against`, `target` and what was measured.
    """
    state = git_state()
    machine = {
        "processor": cpu_name(),
        "flags": [flag for flag in _FLAGS if flag in cpu_flags()],
        "threads": threads(),
        "load_at_the_end": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "commit": state.commit[:7] if state else "",
        "versions": {package: _version(package) for package in _PACKAGES},
    }
    stem = f"{name}-short" if options.short else name
    write_json(options.results / f"{stem}.json", {"benchmark": name, "machine": machine, "rows": rows})
    for row in rows:
        sys.stdout.write(json.dumps(row) + "\n")


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
