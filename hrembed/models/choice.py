"""Which arithmetic a model is run in on this machine: measured, not assumed."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from hrembed.files import write_json
from hrembed.models.dense import unit_rows
from hrembed.models.graph_backend import VARIED

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from hrembed.types import Backend, Floats

MIN_COSINE = 0.9999
_REPEATS = 3
# Titles and profiles, the longest first, as an encoder gives them.
_TEXTS = sorted(
    [
        *(f"{level} {job}" for level in ("Senior", "Junior", "Lead", "Trainee") for job in (*VARIED[:2], *VARIED[4:])),
        *(f"{VARIED[1]}; {n} years. {VARIED[2][:300]}" for n in range(8)),
        *VARIED,
    ],
    key=len,
    reverse=True,
)


@dataclass(frozen=True)
class Choice:
    """How a model is run, and why.

    Attributes:
        way: `torch` in float32, or the arithmetic of OpenVINO, `float32` or `bfloat16`.
        speed: Median of how many times faster than torch each way is.
        cosine: Lowest cosine of a vector of each way to torch's in float32.
    """

    way: Literal["torch", "float32", "bfloat16"]
    speed: Mapping[str, float]
    cosine: Mapping[str, float]


def choose(backends: Mapping[str, Backend]) -> Choice:
    """Take the fastest of those whose vectors agree with torch's.

    They take turns, so that what else the machine does meets all of them.

    Args:
        backends: Each way; `torch` is one of them, and runs in float32.

    Raises:
        ModelError: One does not run.
    """
    vectors = {way: _embedded(backend)[0] for way, backend in backends.items()}  # warms up as well
    seconds: dict[str, list[float]] = {way: [] for way in backends}
    for _ in range(_REPEATS):
        for way, backend in backends.items():
            seconds[way].append(_embedded(backend)[1])
    torch = np.array(seconds["torch"])
    speed = {way: float(np.median(torch / np.array(taken))) for way, taken in seconds.items()}
    cosine = {way: float((found * vectors["torch"]).sum(axis=1).min()) for way, found in vectors.items()}
    agreeing = [way for way in backends if way == "torch" or cosine[way] >= MIN_COSINE]
    fastest: Any = max(agreeing, key=lambda way: speed[way])
    return Choice(fastest, speed, cosine)


def _embedded(backend: Backend) -> tuple[Floats, float]:
    started = time.perf_counter()
    size = backend.batch_size
    parts = [backend.embed(_TEXTS[n : n + size], "query", "") for n in range(0, len(_TEXTS), size)]
    return unit_rows(np.concatenate(parts)), time.perf_counter() - started


def read_choice(file: Path) -> Choice | None:
    """Read what was chosen before; None when there is nothing that can be read."""
    try:
        return Choice(**json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def write_choice(file: Path, choice: Choice) -> None:
    """Keep a choice, so that later runs make the same one.

    Raises:
        HrembedError: The file cannot be written.
    """
    write_json(file, asdict(choice))
