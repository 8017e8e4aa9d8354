"""Rankings in which groups have the places that somebody decided they should have.

Acting on a protected attribute may itself be unlawful: nothing here runs unless a config asks for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hrembed.metrics.representation import adjusted_alpha, fewest_allowed

if TYPE_CHECKING:
    from hrembed.types import Bools, Floats, Ints


def det_greedy(labels: Ints, target: Floats, k: int) -> Ints:
    """Choose for each place the best candidate of those whose groups need a place, else of those who may have one.

    At length i of the list, a group needs a place below floor(i * target) and may have one below ceil(i * target).
    Where no group may have one, as when a group has no candidate left, the best of all is taken.

    Args:
        labels: Number of each candidate's group in the order of their scores, shape (K,); -1 where it is not known.
            Those candidates are of no group that needs a place, and may always have one.
        target: Share of each group, shape (G,), sums to 1.
        k: Places to fill; the others keep their order behind them.

    Returns:
        Old positions in the new order, shape (K,).

    Source:
        Geyik, Ambler & Kenthapadi (2019), doi:10.1145/3292500.3330691, algorithm 1 (DetGreedy).
    """
    left = list(range(len(labels)))
    counts = np.zeros(len(target), dtype=np.int64)
    chosen: list[int] = []
    for length in range(1, min(k, len(labels)) + 1):
        needs = counts < np.floor(length * target + _ROUNDING)
        may = counts < np.ceil(length * target - _ROUNDING)
        place = next((n for n in left if labels[n] >= 0 and needs[labels[n]]), None)
        if place is None:
            place = next((n for n in left if labels[n] < 0 or may[labels[n]]), left[0])
        left.remove(place)
        chosen.append(place)
        if labels[place] >= 0:
            counts[labels[place]] += 1
    return np.array(chosen + left, dtype=np.int64)


_ROUNDING = 1e-9  # 10 * 0.3 is a little less than 3 for some shares


def fair_star(protected: Bools, *, alpha: float, k: int, members: int, pool: int) -> Ints:
    """Move members of a group up only where a top would hold fewer of them than chance explains.

    Args:
        protected: Whether each candidate is of the group, in the order of their scores, shape (K,).
        alpha: Chance with which a random ranking would be changed, in (0, 1).
        k: Places to fill, at most K; the others keep their order behind them.
        members: Members in the whole pool.
        pool: Candidates in the whole pool, K or more.

    Returns:
        Old positions in the new order, shape (K,).

    Source:
        Zehlike et al. (2017), doi:10.1145/3132847.3132938 (FA*IR), for a finite pool (arXiv:2506.14349).
    """
    k = min(k, len(protected))
    least = fewest_allowed(adjusted_alpha(alpha, k, members, pool), k, members, pool)
    left = list(range(len(protected)))
    chosen: list[int] = []
    found = 0
    for needed in least:
        place = left[0]
        if found < needed:
            place = next((n for n in left if protected[n]), left[0])
        left.remove(place)
        chosen.append(place)
        found += bool(protected[place])
    return np.array(chosen + left, dtype=np.int64)
