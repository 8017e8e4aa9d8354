"""What a model takes: milliseconds for one text, bytes of its files, numbers of a vector."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

from hrembed.files import files_below
from hrembed.models.refs import parse_ref
from hrembed.models.static import is_model2vec
from hrembed.scoring.encoders import model_folder

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from hrembed.config.parts import ModelSection
    from hrembed.types import Encoder, Floats, Side

_WARM = 3


def cycle(texts: Sequence[str], n: int) -> list[str]:
    """As many distinct texts as asked for; a repeated one gets a number, as equal ones are computed once."""
    return [text if turn == 0 else f"{text} {turn}" for turn in range(n // len(texts) + 1) for text in texts][:n]


def milliseconds(encoders: Sequence[Encoder], texts: Sequence[str], side: Side) -> list[Floats]:
    """Time encoders on one text at a time, in turn, so that whatever slows the machine slows all alike.

    Args:
        encoders: Opened without a cache.
        texts: Each is embedded once by each encoder, after a few that warm up and do not count.
        side: Query or document.

    Returns:
        For each encoder, milliseconds by text, shape (n,).
    """
    for encoder in encoders:
        for text in texts[:_WARM]:
            encoder.vectors([text], side)
    times = np.zeros((len(encoders), len(texts)))
    for column, text in enumerate(texts):
        for turn in range(len(encoders)):
            row = (turn + column) % len(encoders)
            started = time.perf_counter()
            encoders[row].vectors([text], side)
            times[row, column] = (time.perf_counter() - started) * 1000
    return list(times)


def dimensions(encoder: Encoder) -> int:
    """Numbers of a vector."""
    return int(encoder.vectors(["text"], "query").shape[1])


def model_bytes(section: ModelSection, runs_dir: Path) -> int | None:
    """Size of the weights of a model that lies on this machine; None for others.

    Raises:
        ModelError: It cannot be found.
    """
    if not parse_ref(section.ref).has_weights:
        return None
    folder = model_folder(section, runs_dir)
    files = files_below(folder)
    weights = [item for item in files if item.suffix in {".safetensors", ".bin", ".onnx", ".xml"}]
    return sum(item.stat().st_size for item in (weights if weights or is_model2vec(folder) else files))
