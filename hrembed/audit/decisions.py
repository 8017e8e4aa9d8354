"""Tables of real decisions in the words of the law: selection and scoring rates, impact ratios, four fifths."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from hrembed.errors import DataError
from hrembed.metrics.legal import (
    Count,
    below_four_fifths,
    fisher,
    impact_ratio,
    mantel_haenszel,
    shortfall,
    small,
    two_proportions,
    wilson,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from hrembed.types import TextRows

UNKNOWN = "unknown"
SMALL_SHARE = 0.02  # 6 RCNY section 5-301: such a category may be left out of the ratios, if that is said
_YES = {"1", "true", "yes", "y", "t"}
_NO = {"0", "false", "no", "n", "f"}


@dataclass(frozen=True)
class Decisions:
    """One row for each person.

    Attributes:
        groups: Attribute to the category of each person; `unknown` where it is not given.
        selected: Whether the person moved on; None when the file says nothing of it.
        scores: What the tool said; None when the file has none.
        jobs: What was applied for; None when unknown.
    """

    groups: Mapping[str, tuple[str, ...]]
    selected: tuple[bool, ...] | None
    scores: tuple[float, ...] | None
    jobs: tuple[str, ...] | None


class Line(NamedTuple):
    """One category of a table.

    Attributes:
        category: Its name.
        persons: Persons selected (or scored above the median), and all.
        share: Of all persons.
        interval: Of the rate (Wilson).
        ratio: Impact ratio; NaN for `unknown`.
        below: Less than four fifths of the best rate.
        z: Standard deviations from the best rate.
        p_value: Of the test named in `test`.
        test: `z` or `Fisher`, the latter where cells are small; empty for the best category.
        missing: Selections short of four fifths.
        note: `best`, `under 2 %`, `unknown` or empty.
    """

    category: str
    persons: Count
    share: float
    interval: tuple[float, float]
    ratio: float
    below: bool
    z: float
    p_value: float
    test: str
    missing: int
    note: str


def read_decisions(
    file: Path, rows: TextRows, attributes: Sequence[str], selected: str | None, score: str | None, job: str | None
) -> Decisions:
    """Read decisions off a table.

    Args:
        file: Where the rows come from, for messages.
        rows: One for each person, with all columns named below.
        attributes: Columns with categories; an empty cell is `unknown`.
        selected: Column with yes or no (1, 0, true, false); None for none.
        score: Column with a number; None for none.
        job: Column with the job; None for none.

    Raises:
        DataError: A cell cannot be read; nothing is guessed.
    """
    return Decisions(
        {name: tuple(row[name].strip() or UNKNOWN for _, row in rows) for name in attributes},
        tuple(_yes(file, line, row[selected]) for line, row in rows) if selected else None,
        tuple(score_cell(file, line, row[score]) for line, row in rows) if score else None,
        tuple(row[job] for _, row in rows) if job else None,
    )


def _yes(file: Path, line: int, cell: str) -> bool:
    word = cell.strip().lower()
    if word not in _YES | _NO:
        raise DataError(
            f"{file}:{line}: '{cell.strip()[:20]}' is no decision; write 1 or 0, yes or no, true or false",
            hint="a person without a decision is neither selected nor not: decide who counts before the audit",
        )
    return word in _YES


def score_cell(file: Path, line: int, cell: str) -> float:
    """Read a score.

    Raises:
        DataError: It is no finite number.
    """
    try:
        value = float(cell)
    except ValueError:
        value = float("nan")
    if not np.isfinite(value):
        raise DataError(f"{file}:{line}: '{cell.strip()[:20]}' is no score")
    return value


def category_table(categories: Sequence[str], positive: Sequence[bool], confidence: float = 0.95) -> list[Line]:
    """Compare categories with the most selected one.

    Categories under 2 % of the persons and `unknown` ones get a row, but cannot be the best.

    Args:
        categories: Of each person.
        positive: Whether the person was selected, or scored above the median.
        confidence: Of the intervals of rates.

    Returns:
        One line for each category, in sorted order, `unknown` last.
    """
    totals, hits = Counter(categories), Counter(c for c, own in zip(categories, positive, strict=True) if own)
    counts = {name: Count(hits[name], totals[name]) for name in sorted(totals, key=lambda n: (UNKNOWN in n, n))}
    people = len(categories)
    able = [name for name in counts if UNKNOWN not in name and counts[name].total >= SMALL_SHARE * people]
    best = max(able, key=lambda name: (counts[name].rate, counts[name].total, name), default=None)
    return [_line(name, counts, best, people, confidence) for name in counts]


def _line(name: str, counts: Mapping[str, Count], best: str | None, people: int, confidence: float) -> Line:
    count = counts[name]
    share = count.total / people
    note = "unknown" if UNKNOWN in name else "under 2 %" if share < SMALL_SHARE else "best" if name == best else ""
    if best is None or note == "unknown":
        nan = float("nan")
        return Line(name, count, share, wilson(count, confidence), nan, False, nan, nan, "", 0, note)
    top = counts[best]
    z, p_value = two_proportions(count, top)
    exact = small(count, top)
    if name == best:
        return Line(
            name, count, share, wilson(count, confidence), impact_ratio(count, top), False, z, p_value, "", 0, note
        )
    return Line(
        name,
        count,
        share,
        wilson(count, confidence),
        impact_ratio(count, top),
        below_four_fifths(count, top),
        z,
        fisher(count, top) if exact else p_value,
        "Fisher" if exact else "z",
        shortfall(count, top),
        note,
    )


def above_median(scores: Sequence[float]) -> list[bool]:
    """Whether each score lies above the median of all; one that equals it does not.

    Source:
        6 RCNY section 5-300, "scoring rate".
    """
    middle = float(np.median(scores))
    return [score > middle for score in scores]


def above_median_of_job(scores: Sequence[float], jobs: Sequence[str]) -> list[bool]:
    """The same with the median of each job, since scores of embeddings are not comparable between jobs."""
    of_job: dict[str, list[float]] = defaultdict(list)
    for score, job in zip(scores, jobs, strict=True):
        of_job[job].append(score)
    middle = {job: float(np.median(own)) for job, own in of_job.items()}
    return [score > middle[job] for score, job in zip(scores, jobs, strict=True)]


def within_jobs(
    categories: Sequence[str], positive: Sequence[bool], jobs: Sequence[str], best: str
) -> dict[str, dict[str, Any]]:
    """Compare every category with the best one within jobs (Mantel-Haenszel).

    Returns:
        Category to odds ratio, statistic, p-value and the number of jobs that could tell; without best and `unknown`.
    """
    counted: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(lambda: [0, 0]))
    for category, own, job in zip(categories, positive, jobs, strict=True):
        counted[job][category][0] += int(own)
        counted[job][category][1] += 1
    found = {}
    for name in sorted({*categories} - {best}):
        if UNKNOWN not in name:
            tables = [(Count(*own[name]), Count(*own[best])) for own in counted.values()]
            found[name] = mantel_haenszel(tables)._asdict()
    return found
