"""What was found, in sentences: comparisons of models as people say them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hrembed.metrics.verdicts import verdict_words

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from hrembed.records.eval import Comparison
    from hrembed.types import Estimate

_NAMED = 3


def interval_in_words(estimate: Estimate, confidence: float, *, sign: bool = False) -> str:
    """Write an interval as `95 % interval 0.574 to 0.695`; `no interval` where it is undefined."""
    if not estimate.low <= estimate.high:
        return "no interval"
    form = "+.3f" if sign else ".3f"
    return f"{100 * confidence:g} % interval {estimate.low:{form}} to {estimate.high:{form}}"


def listed(names: Sequence[str], most: int = _NAMED) -> str:
    """Write `a, b and c`; of a longer list the first ones, and how many more."""
    shown = [*names[:most], f"{len(names) - most} more"] if len(names) > most else list(names)
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"


def found_and_next(conclusion: Sequence[str]) -> tuple[list[str], list[str]]:
    """Divide a conclusion into what was found and what comes next, which begins with `Next`."""
    place = next((number for number, line in enumerate(conclusion) if line.startswith("Next")), len(conclusion))
    return [*conclusion[:place]], [*conclusion[place:]]


def compared_in_words(rows: Iterable[Comparison], *, delta: float, confidence: float) -> str:
    """Say of one model against another what holds on which tasks, what is certain first.

    Args:
        rows: Comparisons of the same two models, at most one a task.
        delta: Largest difference that does not matter.
        confidence: Level of the intervals.

    Returns:
        Such as `better on a (+0.113 ndcg@10, 95 % interval +0.080 to +0.147); no difference larger than 0.02 on b`;
        empty without rows.
    """
    of_verdict: dict[str, list[Comparison]] = {}
    for row in rows:
        of_verdict.setdefault(row.verdict, []).append(row)
    parts = []
    for verdict in sorted(of_verdict, key=_ORDER.index):
        found = of_verdict[verdict]
        if verdict in {"better", "worse"}:
            tasks = [f"{row.task} ({_size(row, confidence)})" for row in found]
        elif verdict == "cannot tell":
            tasks = [f"{row.task} ({_size(row, confidence)}; {row.detectable:.3f} would be seen)" for row in found]
        else:
            tasks = [row.task for row in found]
        parts.append(f"{verdict_words(verdict, delta)} on {listed(tasks)}")
    return "; ".join(parts)


_ORDER = ("better", "worse", "no difference larger than δ", "cannot tell")


def _size(row: Comparison, confidence: float) -> str:
    return f"{row.difference.value:+.3f} {row.metric}, {interval_in_words(row.difference, confidence, sign=True)}"
