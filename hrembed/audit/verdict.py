"""From intervals to `pass`, `fail` or `inconclusive`."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from hrembed.metrics.fairness import Contrast

Verdict = Literal["pass", "fail", "inconclusive"]


def judge(contrasts: Sequence[Contrast], low: float, high: float) -> Verdict:
    """Judge simultaneous intervals against a range in which a difference does not matter.

    `pass` when every interval lies inside, `fail` when one lies wholly outside, otherwise
    `inconclusive`: the data allow both. An interval that could not be computed allows both as well.

    Args:
        contrasts: All pairs of groups of one attribute; their intervals hold together.
        low: Lower end of the range that does not matter.
        high: Upper end of it.
    """
    if any(c.high < low or c.low > high for c in contrasts):
        return "fail"
    inside = all(not math.isnan(c.low) and low <= c.low and c.high <= high for c in contrasts)
    return "pass" if contrasts and inside else "inconclusive"


def overall(verdicts: Iterable[Verdict]) -> Verdict:
    """Combine: one failure fails, one doubt leaves doubt."""
    present = set(verdicts)
    if "fail" in present:
        return "fail"
    return "pass" if present == {"pass"} else "inconclusive"
