"""What an interval and a p-value allow to say about a difference, in plain words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from hrembed.types import Estimate

Verdict = Literal["better", "worse", "no difference larger than δ", "cannot tell"]
EQUAL: Verdict = "no difference larger than δ"


def verdict_words(verdict: str, delta: float) -> str:
    """Write a verdict with the number that δ stands for: `no difference larger than 0.02`."""
    return verdict.replace("δ", f"{delta:g}")


def judge(difference: Estimate, p_value: float, *, alpha: float, delta: float) -> Verdict:
    """Say whether a model is better than another.

    A difference is claimed when the corrected p-value and the interval both exclude zero. Without one, equality up to
    δ is claimed when the whole interval lies inside ±δ: two one-sided tests, each at half of the interval's error
    rate, so stricter than the usual 90 % interval. Everything else is open: more queries are needed.

    Args:
        difference: Candidate minus reference, with its interval at level 1 - alpha.
        p_value: Two-sided, corrected for the family it belongs to; NaN counts as no evidence.
        alpha: Level of the test, in (0, 1).
        delta: Largest difference that does not matter, above 0.

    Returns:
        One of four verdicts.

    Source:
        Schuirmann (1987), doi:10.1007/BF01068419, for the two one-sided tests.
    """
    if p_value <= alpha and difference.low > 0:
        return "better"
    if p_value <= alpha and difference.high < 0:
        return "worse"
    if -delta < difference.low and difference.high < delta:
        return EQUAL
    return "cannot tell"
