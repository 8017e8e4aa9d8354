"""Tables of real decisions in the words of the law: selection and scoring rates, impact ratios, four fifths."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

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
from hrembed.records.bias_audit import CategoryRow, Persons, StratifiedOdds
from hrembed.types import Estimate

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
        groups: Attribute -> the category of each person; `unknown` where it is not given.
        selected: Whether the person moved on; None when the file says nothing of it.
        scores: What the tool said; None when the file has none.
        jobs: What was applied for; None when unknown.
    """

    groups: Mapping[str, tuple[str, ...]]
    selected: tuple[bool, ...] | None
    scores: tuple[float, ...] | None
    jobs: tuple[str, ...] | None


def read_decisions(
    file: Path, rows: TextRows, attributes: Sequence[str], selected: str | None, score: str | None, job: str | None
) -> Decisions:
    """Read decisions from a table.

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


def category_table(categories: Sequence[str], positive: Sequence[bool], confidence: float = 0.95) -> list[CategoryRow]:
    """Compare categories with the most selected one.

    Categories under 2 % of the persons and `unknown` ones get a row, but cannot be the best.

    Args:
        categories: Of each person.
        positive: Whether the person was selected, or scored above the median.
        confidence: Of the intervals of rates.

    Returns:
        One row for each category, in sorted order, `unknown` last.
    """
    totals = Counter(categories)
    selected = Counter(category for category, chosen in zip(categories, positive, strict=True) if chosen)
    counts = {name: Count(selected[name], totals[name]) for name in sorted(totals, key=lambda n: (UNKNOWN in n, n))}
    persons = len(categories)
    eligible = [name for name in counts if UNKNOWN not in name and counts[name].total >= SMALL_SHARE * persons]
    best = max(eligible, key=lambda name: (counts[name].rate, counts[name].total, name), default=None)
    return [_row(name, counts, best, persons, confidence) for name in counts]


def _row(name: str, counts: Mapping[str, Count], best: str | None, persons: int, confidence: float) -> CategoryRow:
    count = counts[name]
    share = count.total / persons
    note = "unknown" if UNKNOWN in name else "under 2 %" if share < SMALL_SHARE else "best" if name == best else ""
    ratio = z = p_value = float("nan")
    below, test, missing = False, "", 0
    if best is not None and note != "unknown":
        top = counts[best]
        ratio = impact_ratio(count, top)
        z, p_value = two_proportions(count, top)
        if name != best:
            exact = small(count, top)
            below, missing = below_four_fifths(count, top), shortfall(count, top)
            test, p_value = ("Fisher", fisher(count, top)) if exact else ("z", p_value)
    return CategoryRow(
        category=name,
        persons=Persons(selected=count.selected, total=count.total),
        share=share,
        rate=Estimate(count.rate, *wilson(count, confidence), count.total, "persons"),
        ratio=ratio,
        below=below,
        z=z,
        p_value=p_value,
        test=test,
        missing=missing,
        note=note,
    )


def above_median(scores: Sequence[float]) -> list[bool]:
    """Whether each score lies above the median of all; one that equals it does not.

    Source:
        6 RCNY section 5-300, "scoring rate".
    """
    median = float(np.median(scores))
    return [score > median for score in scores]


def above_median_of_job(scores: Sequence[float], jobs: Sequence[str]) -> list[bool]:
    """The same with the median of each job, since scores of embeddings are not comparable between jobs."""
    of_job: dict[str, list[float]] = defaultdict(list)
    for score, job in zip(scores, jobs, strict=True):
        of_job[job].append(score)
    medians = {job: float(np.median(values)) for job, values in of_job.items()}
    return [score > medians[job] for score, job in zip(scores, jobs, strict=True)]


def within_jobs(
    categories: Sequence[str], positive: Sequence[bool], jobs: Sequence[str], best: str
) -> dict[str, StratifiedOdds]:
    """Compare every category with the best one within jobs (Mantel-Haenszel).

    Returns:
        Category -> its odds against the best one; without the best and `unknown`.
    """
    counted: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(lambda: [0, 0]))
    for category, chosen, job in zip(categories, positive, jobs, strict=True):
        counted[job][category][0] += int(chosen)
        counted[job][category][1] += 1
    odds = {}
    for name in sorted({*categories} - {best}):
        if UNKNOWN not in name:
            compared = mantel_haenszel([(Count(*of_job[name]), Count(*of_job[best])) for of_job in counted.values()])
            odds[name] = StratifiedOdds(
                odds_ratio=compared.odds_ratio,
                statistic=compared.statistic,
                p_value=compared.p_value,
                strata=compared.strata,
            )
    return odds
