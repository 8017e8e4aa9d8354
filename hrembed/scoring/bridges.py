"""Linear maps from the vectors of one model to those of another, fitted on texts that both embed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hrembed.metrics.bridging import low_rank_map, orthogonal_map

if TYPE_CHECKING:
    from typing import Literal

    from hrembed.types import Floats

    Kind = Literal["orthogonal", "low rank"]


def fit_maps(source: Floats, target: Floats, *, rank: int, ridge: float) -> dict[Kind, Floats]:
    """Fit maps from a new space to an old one; no labels are needed.

    A query lies near its documents in the new space, so a map that brings new documents onto old ones brings new
    queries there as well.

    Args:
        source: Documents in the new space, shape (n, d).
        target: The same documents in the old space, shape (n, e).
        rank: Rank of the low-rank map, as far as the shapes allow it.
        ridge: Its ridge penalty.

    Returns:
        Each of shape (d, e).
    """
    rank = min(rank, *source.shape, *target.shape)
    return {
        "orthogonal": orthogonal_map(source, target),
        "low rank": low_rank_map(source, target, rank=rank, ridge=ridge),
    }


def mapped(vectors: Floats, bridge: Floats) -> Floats:
    """Bring vectors through a map, as unit rows, float32; a row of zeros stays."""
    rows = vectors @ bridge
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(lengths > 0, lengths, 1), dtype=np.float32)
