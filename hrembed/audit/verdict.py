"""From effects with intervals to `pass`, `fail` or `inconclusive`, and to how many names would settle a doubt."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from scipy import stats

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hrembed.metrics.fairness import Contrast
    from hrembed.metrics.gating import Outcome


@dataclass(frozen=True)
class Gate:
    """A limit that somebody chose: an engineering choice, not law.

    Attributes:
        name: What it is called in tables.
        measure: What is compared.
        low: Lower end of the range that does not matter.
        high: Upper end of it.
        ratio: Whether effects are ratios, whose errors are those of the logarithm.
    """

    name: str
    measure: str
    low: float
    high: float
    ratio: bool = False


def judge(gate: Gate, contrasts: Sequence[Contrast], p_value: float, alpha: float) -> Outcome:
    """Judge all pairs of groups of one attribute.

    `pass` when every simultaneous interval lies inside the range, `fail` when an effect lies beyond it and the
    corrected p-value of the attribute is below alpha, otherwise `inconclusive`: the data allow both. An interval that
    could not be computed allows both as well.

    Args:
        gate: The range.
        contrasts: All pairs; their intervals hold together.
        p_value: Of no difference at all between the groups, corrected for the family of gates.
        alpha: Level.
    """
    beyond = any(not gate.low <= c.value <= gate.high for c in contrasts if not math.isnan(c.value))
    if beyond and p_value < alpha:
        return "fail"
    inside = all(not math.isnan(c.low) and gate.low <= c.low and c.high <= gate.high for c in contrasts)
    return "pass" if contrasts and inside else "inconclusive"


def equivalence_p(gate: Gate, contrasts: Sequence[Contrast]) -> float:
    """p-value of "some pair of groups lies outside the range": small says that all lie inside.

    The largest of the two one-sided t-tests of all pairs; no correction, since all must be rejected.

    Returns:
        In [0, 1]; NaN where a standard error is unknown.

    Source:
        Schuirmann (1987), doi:10.1007/BF01068419; Berger (1982), doi:10.1080/00401706.1982.10487790.
    """
    largest = 0.0
    for contrast in contrasts:
        value, low, high = _scaled(gate, contrast.value, gate.low, gate.high)
        if math.isnan(contrast.error) or math.isnan(value):
            return float("nan")
        if contrast.error == 0:
            largest = max(largest, 0.0 if low < value < high else 1.0)
            continue
        statistics = ((value - low) / contrast.error, (high - value) / contrast.error)
        largest = max(largest, *(float(stats.t.sf(statistic, contrast.freedom)) for statistic in statistics))
    return largest


def names_needed(gate: Gate, contrasts: Sequence[Contrast], names: int) -> int | None:
    """About how many names a group would need for a verdict, if the effects stay as they are.

    For an effect inside the range: until its interval is; for one beyond it: until a test finds it with 80 % power.

    Args:
        gate: The range.
        contrasts: All pairs.
        names: Names of the smallest group now.

    Returns:
        The largest number over the pairs; None where it cannot be told (an effect on the very limit).
    """
    needed = 0.0
    for contrast in contrasts:
        value, low, high, end = _scaled(gate, contrast.value, gate.low, gate.high, contrast.high)
        reach, distance = end - value, min(value - low, high - value)  # half the interval; how far inside the range
        if any(math.isnan(number) for number in (value, reach, contrast.error)) or distance == 0:
            return None
        if distance > 0:
            needed = max(needed, names * (reach / distance) ** 2)
        else:
            needed = max(needed, names * ((reach + float(stats.norm.ppf(0.8)) * contrast.error) / abs(value)) ** 2)
    return math.ceil(max(needed, 2)) if contrasts else None


def _scaled(gate: Gate, *values: float) -> tuple[float, ...]:
    """Values on the scale of the standard errors: logarithms for ratios, NaN for the logarithm of 0."""
    if not gate.ratio:
        return values
    return tuple(math.log(value) if value > 0 else float("nan") for value in values)
