"""Shares of groups in rankings: who stands at the top, and who gets the attention."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from hrembed.types import Floats, Ints


def skew(share: Floats, target: Floats) -> Floats:
    """Logarithm of a group's share among the selected over its share of the pool, natural logarithm.

    Args:
        share: Of each group, shape (G,).
        target: What it should be, shape (G,), above 0.

    Returns:
        0 where both are equal; -inf for a group without a place.

    Source:
        Geyik, Ambler & Kenthapadi (2019), doi:10.1145/3292500.3330691, Skew@k.
    """
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(share / target))


def ndkl(order: Ints, labels: Ints, target: Floats) -> Floats:
    """Distance of the shares in every top of a ranking from a target, with a weight that falls with its length.

    The mean over the first i ranks, i = 1 to K, of the Kullback-Leibler divergence of the shares from the target, each
    with the weight 1 / log2(1 + i). Short tops always diverge, so a value means something only beside those of
    shuffled labels.

    Args:
        order: Number of the name at each rank, shape (J, K), one row for each ranking.
        labels: Number of each name's group, shape (B, N).
        target: Share of each group, shape (G,), above 0.

    Returns:
        Mean over the rankings for each labelling, shape (B,), 0 or more, in nats.

    Source:
        Geyik, Ambler & Kenthapadi (2019), doi:10.1145/3292500.3330691, NDKL.
    """
    depth = np.arange(1, order.shape[1] + 1)
    weight = 1 / np.log2(1 + depth)
    found = np.empty(len(labels))
    for row, own in enumerate(labels):
        member = np.eye(len(target))[own][order]  # (J, K, G)
        share = np.cumsum(member, axis=1) / depth[:, None]
        terms = share * np.log(np.where(share > 0, share, 1) / target)
        found[row] = ((terms.sum(axis=2) * weight).sum(axis=1) / weight.sum()).mean()
    return found


def attention_fairness(share: Floats, target: Floats) -> float:
    """1 less the Jensen-Shannon divergence (base 2) of the groups' shares of attention from a target (AWRF).

    Args:
        share: Share of each group of all attention, shape (..., G).
        target: What it should be, shape (G,), above 0.

    Returns:
        In [0, 1], 1 where they are equal.

    Source:
        Sapiezynski et al. (2019), arXiv:1901.10437; with this divergence: TREC 2021 Fair Ranking track.
    """
    return float(attention_draws(share[None], target)[0])


def attention_draws(shares: Floats, target: Floats) -> Floats:
    """Compute `attention_fairness` of many shares, shape (B, G), at once; returns shape (B,)."""
    middle = (shares + target) / 2
    return np.asarray(
        1 - (_divergence(shares, middle) + _divergence(np.broadcast_to(target, shares.shape), middle)) / 2
    )


def _divergence(share: Floats, from_: Floats) -> Floats:
    return np.asarray((share * np.log2(np.where(share > 0, share, 1) / np.where(share > 0, from_, 1))).sum(axis=1))
