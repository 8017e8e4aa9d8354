"""Several tests at once: how much smaller a p-value must be when others were looked at as well."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p-values of a declared family so that the chance of any false rejection is held.

    Args:
        p_values: In [0, 1]; NaN entries stay NaN and do not count.

    Returns:
        Adjusted p-values in the same order.

    Source:
        Holm (1979), https://www.jstor.org/stable/4615733.
    """
    values = np.asarray(p_values, dtype=np.float64)
    adjusted = np.full(values.shape, np.nan)
    order = [n for n in np.argsort(values, kind="stable") if not np.isnan(values[n])]
    running = 0.0
    for position, n in enumerate(order):
        running = max(running, min(1.0, values[n] * (len(order) - position)))
        adjusted[n] = running
    return [float(value) for value in adjusted]


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """Adjust the p-values of a table so that of what is called different, at most that share is not.

    Args:
        p_values: In [0, 1]; NaN entries stay NaN and do not count.

    Returns:
        Adjusted p-values in the same order.

    Source:
        Benjamini & Hochberg (1995), doi:10.1111/j.2517-6161.1995.tb02031.x.
    """
    from scipy import stats  # takes a second, which `eval` with Holm does not need

    values = np.asarray(p_values, dtype=np.float64)
    adjusted, defined = np.full(values.shape, np.nan), np.flatnonzero(~np.isnan(values))
    if len(defined):
        adjusted[defined] = stats.false_discovery_control(values[defined])
    return [float(value) for value in adjusted]
