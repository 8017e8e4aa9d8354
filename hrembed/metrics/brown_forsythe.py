"""Whether groups differ not in their middle but in how far apart their names stand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hrembed.metrics.fairness import draws_p

if TYPE_CHECKING:
    from hrembed.types import Floats, Ints


def spread_ratio_p(values: Floats, labels: Ints) -> float:
    """Test whether groups differ in how far their names stand from each other, by permutation.

    The statistic is the largest gap of two means of the absolute distances from the group's median.

    Args:
        values: One number per name, shape (N,).
        labels: As `labelings` gives them.

    Source:
        Brown & Forsythe (1974), doi:10.1080/01621459.1974.10482955, permuted.
    """
    count = int(labels.max()) + 1
    if count < 2:
        return float("nan")
    means = []
    for group in range(count):
        own = np.where(labels == group, values, np.nan)
        away = np.abs(own - np.nanmedian(own, axis=1, keepdims=True))
        means.append(np.nanmean(away, axis=1))
    return float(draws_p((np.max(means, axis=0) - np.min(means, axis=0))[:, None])[0])
