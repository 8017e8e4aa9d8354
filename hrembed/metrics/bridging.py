"""Linear maps from one vector space into another, so that new queries search old documents; and drift between texts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from hrembed.types import Floats


def orthogonal_map(source: Floats, target: Floats) -> Floats:
    """Find the rotation that brings rows of one space closest to those of another; it keeps lengths and angles.

    Args:
        source: Vectors of some texts in the space to come from, shape (n, d).
        target: The same texts in the space to go to, shape (n, e). Where d and e differ, the map is half orthogonal.

    Returns:
        Shape (d, e): `source @ map` is close to `target`.

    Raises:
        ValueError: The numbers of rows differ.

    Source:
        Schönemann (1966), doi:10.1007/BF02289451.
    """
    _check(source, target)
    left, _, right = np.linalg.svd(source.T.astype(np.float64) @ target, full_matrices=False)
    return np.asarray(left @ right)


def low_rank_map(source: Floats, target: Floats, *, rank: int, ridge: float) -> Floats:
    """Find the linear map of a given rank with the smallest squared error, held back by a ridge.

    Args:
        source: Shape (n, d).
        target: Shape (n, e).
        rank: Largest rank of the map, 1 or more.
        ridge: Strength of the ridge as a share of the mean squared length of a column, above 0.

    Returns:
        Shape (d, e).

    Raises:
        ValueError: The numbers of rows differ, or rank or ridge is out of bounds.

    Source:
        Izenman (1975), doi:10.1016/0047-259X(75)90042-1, with the ridge of Mukherjee & Zhu (2011),
        doi:10.1002/sam.10138.
    """
    _check(source, target)
    if rank < 1 or ridge <= 0:
        raise ValueError(f"rank must be at least 1 and ridge above 0, got {rank} and {ridge}")
    wide = source.astype(np.float64)
    gram = wide.T @ wide
    gram += np.eye(len(gram)) * ridge * np.trace(gram) / len(gram)
    whole = np.linalg.solve(gram, wide.T @ target)
    _, _, right = np.linalg.svd(wide @ whole, full_matrices=False)
    kept = right[:rank]
    return np.asarray(whole @ kept.T @ kept)


def _check(source: Floats, target: Floats) -> None:
    if len(source) != len(target):
        raise ValueError(f"source and target differ in length: {len(source)} and {len(target)} rows")


def shift_p(old: Floats, new: Floats, *, rng: np.random.Generator, permutations: int = 999) -> tuple[float, float]:
    """Test whether the means of two sets of vectors differ more than a random division of them would.

    Args:
        old: Shape (n, d).
        new: Shape (m, d).
        rng: Source of the divisions.
        permutations: Their number.

    Returns:
        Distance of the means, and the p-value in (0, 1].

    Source:
        Phipson & Smyth (2010), doi:10.2202/1544-6115.1585, for the +1 of a permutation test.
    """
    both = np.concatenate([old, new]).astype(np.float64)
    total, n, m = both.sum(axis=0), len(old), len(new)

    def distance(first: Floats) -> float:
        return float(np.linalg.norm(first / n - (total - first) / m))

    found = distance(both[:n].sum(axis=0))
    reached = sum(distance(both[rng.permutation(n + m)[:n]].sum(axis=0)) >= found - 1e-12 for _ in range(permutations))
    return found, (reached + 1) / (permutations + 1)
