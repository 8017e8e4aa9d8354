"""Groups in one ranking of a pool of known size: their share at the top, their attention, and what chance would give.

The pool is finite and known: a top 100 of 150 candidates says less than one of 100,000. Binomial tests, which draw
with replacement, are therefore not used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

from hrembed.metrics.counterfactual import exposure
from hrembed.metrics.shares import skew

if TYPE_CHECKING:
    from hrembed.types import Bools, Floats, Ints

_STEPS = 60  # of a search by halves; 2 ** -60 is below the spacing of what is searched


def shares_at(labels: Ints, groups: int, k: int) -> Floats:
    """Share of each group among the first `k` of a ranking.

    Args:
        labels: Number of the group at each rank, shape (K,); -1 where it is not known, which counts for no group.
        groups: Number of groups, G.
        k: Cut-off rank, 1 or more.

    Returns:
        Shape (G,), sums to 1; NaN where no group among the first `k` is known.
    """
    top = labels[:k]
    counts = np.bincount(top[top >= 0], minlength=groups)
    return _normalised(counts)


def attention_shares(labels: Ints, groups: int) -> Floats:
    """Share of each group of the attention that a ranking gives, which falls with the logarithm of the rank.

    Args:
        labels: As in `shares_at`.
        groups: As there.

    Returns:
        Shape (G,), sums to 1; NaN where no group is known.

    Source:
        Singh & Joachims (2018), doi:10.1145/3219819.3220088.
    """
    weights = exposure(np.arange(1, len(labels) + 1, dtype=np.float64))
    known = labels >= 0
    return _normalised(np.bincount(labels[known], weights=weights[known], minlength=groups))


def _normalised(amounts: Floats | Ints) -> Floats:
    total = amounts.sum()
    return np.asarray(amounts / total) if total else np.full(len(amounts), np.nan)


def min_skew(share: Floats, target: Floats) -> float:
    """Skew of the group that is worst off; -inf where a group has no place, NaN where shares are.

    Args:
        share: Of each group among the first, shape (G,).
        target: Its share of the pool, shape (G,), above 0.

    Source:
        Geyik, Ambler & Kenthapadi (2019), doi:10.1145/3292500.3330691, MinSkew@k.
    """
    return float(skew(share, target).min())


def too_few_p(found: int, k: int, members: int, pool: int) -> float:
    """Chance that so few of a group, or fewer, stand among the first `k` where ranks are drawn from the pool at random.

    Args:
        found: Members among the first `k`.
        k: Cut-off rank, 0 to `pool`.
        members: Members in the pool.
        pool: Candidates in the pool.

    Returns:
        The lower tail of the hypergeometric distribution, in (0, 1]; 1 where the group is empty or is the whole pool.

    Source:
        Cartier van Dissel et al. (2025), arXiv:2506.14349 (hyperFA*IR): FA*IR for a pool of known size.
    """
    return float(stats.hypergeom.cdf(found, pool, members, k))


def every_top_p(member: Bools, members: int, pool: int) -> float:
    """Chance that some top of a random ranking holds as surprisingly few of a group as the worst top of this one.

    Looking at every top from 1 to K and naming the worst finds one by chance alone; this p-value takes that into
    account. It is exact: rankings are counted by the number of members in each top, none is drawn.

    Args:
        member: Whether each of the first K is of the group, shape (K,).
        members: Members in the pool.
        pool: Candidates in the pool, K or more.

    Returns:
        In (0, 1].

    Source:
        Zehlike et al. (2017), doi:10.1145/3132847.3132938, with the null of arXiv:2506.14349, which draws rankings.
    """
    found = np.cumsum(member)
    ranks = np.arange(1, len(member) + 1)
    worst = float(np.min(stats.hypergeom.cdf(found, pool, members, ranks)))
    # A hair more, so that the count which gave the worst p-value itself counts as so few.
    worst = min(worst * (1 + 1e-12), 1.0)
    return 1 - _chance_above(fewest_allowed(worst, len(member), members, pool), members, pool)


def fewest_allowed(alpha: float, depth: int, members: int, pool: int) -> Ints:
    """Least number of a group in each top that is not surprisingly low.

    Args:
        alpha: Lower tails at or below it are surprising, in [0, 1].
        depth: Longest top, K.
        members: Members in the pool.
        pool: Candidates in the pool, K or more.

    Returns:
        For the tops of length 1 to K, shape (K,); does not fall.
    """
    ranks = np.arange(1, depth + 1)
    least = np.asarray(stats.hypergeom.ppf(alpha, pool, members, ranks)).astype(np.int64)
    # `ppf` gives the first count whose tail reaches alpha: one whose tail is alpha itself is still surprising.
    surprising = np.asarray(stats.hypergeom.cdf(least, pool, members, ranks)) <= alpha
    return np.asarray(np.maximum(least, 0) + surprising)


def _chance_above(least: Ints, members: int, pool: int) -> float:
    """Chance that a random ranking has at least so many of a group in each of its tops."""
    top = min(members, len(least))
    counts = np.arange(top + 1)
    chances = np.zeros(top + 1)
    chances[0] = 1.0
    for drawn, least_here in enumerate(least):
        of_group = np.clip((members - counts) / (pool - drawn), 0, 1)
        gained = chances * of_group
        chances = chances - gained
        chances[1:] += gained[:-1]
        chances[:least_here] = 0.0
    return float(chances.sum())


def adjusted_alpha(alpha: float, depth: int, members: int, pool: int) -> float:
    """Largest level for each top at which a random ranking fails in any top with a chance of at most `alpha`.

    Args:
        alpha: Level of all tops together, in (0, 1).
        depth: Longest top, K.
        members: Members in the pool.
        pool: Candidates in the pool, K or more.

    Returns:
        At most `alpha`; 0 where the least surprising top already is more likely than that.

    Source:
        Zehlike et al. (2017), doi:10.1145/3132847.3132938, section 4.2; found here by halving, on exact chances.
    """
    low, high = 0.0, alpha
    if 1 - _chance_above(fewest_allowed(high, depth, members, pool), members, pool) <= alpha:
        return alpha
    for _ in range(_STEPS):
        middle = (low + high) / 2
        fails = 1 - _chance_above(fewest_allowed(middle, depth, members, pool), members, pool)
        low, high = (middle, high) if fails <= alpha else (low, middle)
    return low
