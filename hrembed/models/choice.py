"""Which arithmetic a model is run in on this machine: measured, not assumed."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Literal

import numpy as np

from hrembed.files import write_json
from hrembed.models.dense import unit_rows
from hrembed.models.graph_backend import VARIED
from hrembed.records.base import Number, Record, as_json

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


Way = Literal["torch", "float32", "bfloat16"]
"""How a model is run: by torch in float32, or by OpenVINO in one of two number formats."""


class Choice(Record):
    """How a model is run, and why.

    Attributes:
        way: The way that was chosen.
        speed: Way -> median of how many times as fast as torch it is.
        cosine: Way -> lowest cosine of a vector to torch's in float32.
    """

    way: Way
    speed: dict[Way, Number]
    cosine: dict[Way, Number]


def choose(backends: Mapping[Way, Backend]) -> Choice:
    """Take the fastest of those whose vectors agree with torch's.

    They take turns, so that what else the machine does meets all of them.

    Args:
        backends: Each way; `torch` is one of them, and runs in float32.

    Raises:
        ModelError: One does not run.
    """
    vectors = {way: _embedded(backend)[0] for way, backend in backends.items()}  # warms up as well
    seconds: dict[Way, list[float]] = {way: [] for way in backends}
    for _ in range(_REPEATS):
        for way, backend in backends.items():
            seconds[way].append(_embedded(backend)[1])
    torch = np.array(seconds["torch"])
    speed = {way: float(np.median(torch / np.array(taken))) for way, taken in seconds.items()}
    cosine = {way: float((rows * vectors["torch"]).sum(axis=1).min()) for way, rows in vectors.items()}
    agreeing = [way for way in backends if way == "torch" or cosine[way] >= MIN_COSINE]
    return Choice(way=max(agreeing, key=lambda way: speed[way]), speed=speed, cosine=cosine)


def _embedded(backend: Backend) -> tuple[Floats, float]:
    started = time.perf_counter()
    size = backend.batch_size
    parts = [backend.embed(_TEXTS[n : n + size], "query", "") for n in range(0, len(_TEXTS), size)]
    return unit_rows(np.concatenate(parts)), time.perf_counter() - started


def read_choice(file: Path) -> Choice | None:
    """Read what was chosen before; None when there is nothing that can be read."""
    try:
        return Choice.model_validate_json(file.read_bytes())
    except (OSError, ValueError):
        return None


def write_choice(file: Path, choice: Choice) -> None:
    """Keep a choice, so that later runs make the same one.

    Raises:
        HrembedError: The file cannot be written.
    """
    write_json(file, as_json(choice))
