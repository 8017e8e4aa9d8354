"""Recorded decisions about people: how they are read, and the tables of rates and impact ratios made of them."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from hrembed.audit.answers import USUAL, is_unknown, read_answers, spelling_key
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
from hrembed.text import decimal
from hrembed.types import Estimate

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from hrembed.audit.answers import Answers
    from hrembed.types import TextRows

UNKNOWN = "unknown"
_YES = {"true", "yes", "y", "t"}
_NO = {"false", "no", "n", "f"}
_APPLICANTS = re.compile(r"((number|no|n|num|count|total)( of)? )?(applicants|applications)")
_COUNTS = re.compile(
    r"((number|no|n|num|count|total)( of)? )?(candidates|persons|people|assessed|total|n|count|applied|pool)"
)
_SUM = re.compile(
    r"(grand |sub ?)?totals?|sum|overall|all( (applicants|candidates|jobs|positions|sexes|genders|races|categories))?|"
    r"(insgesamt|gesamt|summe|total général|totaal|totale)"
)


class Columns(NamedTuple):
    """Which columns of a file say what.

    Attributes:
        attributes: Columns with categories.
        selected: Yes or no, or the number selected; None for none.
        score: A number; None for none.
        job: What was applied for; None for none.
        applicants: How many people a row stands for; None where each row is a person.
        scored: How many of them scored above the median; None for none.
    """

    attributes: tuple[str, ...]
    selected: str | None = "selected"
    score: str | None = None
    job: str | None = None
    applicants: str | None = None
    scored: str | None = None

    @property
    def named(self) -> tuple[str, ...]:
        """All columns that the file must have."""
        others = (self.selected, self.score, self.job, self.applicants, self.scored)
        return (*self.attributes, *(column for column in others if column is not None))


class SmallRule(NamedTuple):
    """What happens to a category with few people.

    Attributes:
        share: Below this share of the people a category is small.
        base: Of which people: those whose category is `known`, or `all`.
        treat: `blank`: it has a row, but no impact ratio, and cannot be the best; `exclude`: the same, without a row
            in the printed table; `count`: it is a category like any other.

    Source:
        6 RCNY section 5-301(d), which lets the auditor leave such a category out and asks for the reason.
    """

    share: float = 0.02
    base: Literal["known", "all"] = "known"
    treat: Literal["blank", "exclude", "count"] = "blank"


_USUAL_RULE = SmallRule()


@dataclass(frozen=True)
class Decisions:
    """One row for each person, or for each group of people that share everything but the outcome.

    Attributes:
        answers: Attribute -> what the rows answered.
        persons: How many people each row stands for; 1 in a file with a row for each person.
        selected: How many of them moved on; None when the file says nothing of it.
        scores: What the tool said of the person; None when the file has none.
        scored: How many of a row scored above the median, as a file of counts says; None when it does not.
        jobs: What was applied for; None when unknown.
        dropped: Lines of rows that were left out for want of a decision or a score.
        silent: Whether a row of counts says nothing of the outcomes of people of unknown category, as in published
            tables; they are counted, and their rate is unknown.
        job_spellings: Job -> its other spellings.
    """

    answers: Mapping[str, Answers]
    persons: tuple[int, ...]
    selected: tuple[int, ...] | None
    scores: tuple[float, ...] | None
    scored: tuple[int, ...] | None
    jobs: tuple[str, ...] | None
    dropped: tuple[int, ...] = ()
    silent: bool = False
    job_spellings: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def count_column(rows: TextRows, columns: Columns) -> str | None:
    """Find the column that says how many people a row stands for; None where each row is a person.

    A column of applicants makes a file one of counts when all its cells, and those of the decisions, are whole numbers,
    or when each row says yes or no of so many people. Columns with other names for people (`n`, `total`, `candidates`)
    do where a decision is a number above 1.
    """
    outcome = columns.selected or columns.scored
    if outcome is None or columns.score is not None:
        return None
    chosen = [0 if _is_silent(row, outcome, columns) else _number(row[outcome]) for _, row in rows]
    words = all(row[outcome].strip().casefold() in _YES | _NO for _, row in rows)
    many = any(number is not None and number > 1 for number in chosen)
    for name in rows[0][1]:
        key = re.sub(r"[\W_]+", " ", name.casefold().replace("#", " number ")).strip()
        fits = _APPLICANTS.fullmatch(key) or (many and _COUNTS.fullmatch(key))
        if name in columns.named or not fits:
            continue
        totals = [_number(row.get(name, "")) for _, row in rows]
        if _are_counts([0] * len(rows) if words else chosen, totals):
            return name
    return None


def _is_silent(row: Mapping[str, str], outcome: str, columns: Columns) -> bool:
    """Whether a row is about people of unknown category and says nothing of their outcome."""
    return is_unknown(row[outcome]) and all(is_unknown(row[attribute]) for attribute in columns.attributes)


def _are_counts(chosen: Sequence[int | None], totals: Sequence[int | None]) -> bool:
    pairs = zip(chosen, totals, strict=True)
    return all(part is not None and total is not None and part <= total for part, total in pairs)


def read_decisions(
    file: Path,
    rows: TextRows,
    columns: Columns,
    *,
    unknown: Sequence[str] = (USUAL,),
    undecided: Literal["refuse", "drop"] = "refuse",
) -> Decisions:
    """Read decisions from a table.

    Args:
        file: Where the rows come from, for messages.
        rows: With all columns named below.
        columns: Which column says what.
        unknown: Words that say that a category is not known; see `is_unknown`.
        undecided: What to do with a row without a decision or a score: refuse the file, or drop the row.

    Raises:
        DataError: A cell cannot be read; nothing is guessed.
    """
    needed = [column for column in (columns.selected, columns.score, columns.scored) if column is not None]
    dropped = tuple(
        line
        for line, row in rows
        if undecided == "drop"
        and any(is_unknown(row[c]) and not (columns.applicants and _is_silent(row, c, columns)) for c in needed)
    )
    without = {*dropped}
    kept = [(line, row) for line, row in rows if line not in without]
    jobs = (
        read_answers([row[columns.job] for _, row in kept], [1] * len(kept), (), spelling_key) if columns.job else None
    )
    if not kept:
        raise DataError(f"{file}: no row contains a decision", hint="check the column names under `decisions`")
    if columns.applicants is None:
        persons = (1,) * len(kept)
    else:
        persons = tuple(_whole(file, line, row[columns.applicants], columns.applicants) for line, row in kept)
        _refuse_sums(file, kept, columns)
        _refuse_doubt(file, kept, columns, persons)
    return Decisions(
        {name: read_answers([row[name] for _, row in kept], persons, unknown) for name in columns.attributes},
        persons,
        _outcomes(file, kept, columns.selected, columns, persons),
        tuple(score_cell(file, line, row[columns.score]) for line, row in kept) if columns.score else None,
        _outcomes(file, kept, columns.scored, columns, persons),
        tuple(job or "" for job in jobs.categories) if jobs else None,
        dropped,
        columns.applicants is not None and any(_is_silent(row, c, columns) for _, row in kept for c in needed),
        jobs.spellings if jobs else {},
    )


def _outcomes(
    file: Path, rows: TextRows, column: str | None, columns: Columns, persons: Sequence[int]
) -> tuple[int, ...] | None:
    if column is None:
        return None
    if columns.applicants is None:
        return tuple(_decision(file, line, row[column], column) for line, row in rows)
    if all(row[column].strip().casefold() in _YES | _NO for _, row in rows):
        return tuple(
            n * _decision(file, line, row[column], column) for n, (line, row) in zip(persons, rows, strict=True)
        )
    counts = tuple(
        0 if _is_silent(row, column, columns) else _whole(file, line, row[column], column) for line, row in rows
    )
    for (line, _), count, total in zip(rows, counts, persons, strict=True):
        if count > total:
            raise DataError(f"{file}:{line}: column '{column}' is {count:,}, but the row counts {total:,} people")
    return counts


def _decision(file: Path, line: int, cell: str, column: str) -> int:
    word, number = cell.strip().casefold(), _number(cell)
    if word in _YES | _NO:
        return int(word in _YES)
    if number in (0, 1):
        return int(number)
    where = f"{file}:{line}: column '{column}': invalid decision '{cell.strip()[:20]}'"
    if number is not None:
        hint = "if rows are counts, set the column with the number of people: --set decisions.applicants=COLUMN"
    elif is_unknown(cell):
        hint = (
            "people without a decision count neither as selected nor as rejected: decide before the audit "
            "how to count them, or exclude these rows with --set decisions.undecided=drop"
        )
    else:
        hint = "set the column with the decisions: --set decisions.selected=COLUMN"
    raise DataError(f"{where}; use 1 or 0, yes or no, true or false", hint=hint)


def _number(cell: str) -> int | None:
    """A whole number of 0 or more (`667`, `667.0`, `1,390`), or None."""
    text = cell.strip()
    if re.fullmatch(r"\d{1,3}([,\u00a0\u202f ]\d{3})+", text):
        text = re.sub(r"\D", "", text)
    return int(text.split(".")[0]) if re.fullmatch(r"[0-9]{1,15}(\.0*)?", text) else None


def _whole(file: Path, line: int, cell: str, column: str) -> int:
    number = _number(cell)
    if number is None:
        raise DataError(f"{file}:{line}: column '{column}': expected a number of people, got '{cell.strip()[:20]}'")
    return number


def _refuse_sums(file: Path, rows: TextRows, columns: Columns) -> None:
    """Refuse a row of counts that holds the sum of others, as tables for people have; they would count twice."""
    for column in (*columns.attributes, *([columns.job] if columns.job else [])):
        sums = [(line, row[column].strip()) for line, row in rows if _SUM.fullmatch(spelling_key(row[column]))]
        known = [row for _, row in rows if not is_unknown(row[column])]
        if sums and len(known) > len(sums):
            line, cell = sums[0]
            raise DataError(
                f"{file}:{line}: '{cell}' in column '{column}' is the sum of other rows",
                hint="leave such rows out: their people would be counted twice",
            )


def _refuse_doubt(file: Path, rows: TextRows, columns: Columns, persons: Sequence[int]) -> None:
    """Refuse counts with decisions of 0 and 1 for the same people: they may be numbers of people, or yes and no."""
    if columns.selected is None or not all(_number(row[columns.selected]) in (0, 1) for _, row in rows):
        return
    seen: dict[tuple[str, ...], int] = {}
    for (line, row), total in zip(rows, persons, strict=True):
        group = tuple(row[name] for name in (*columns.attributes, *([columns.job] if columns.job else [])))
        outcome = _number(row[columns.selected])
        if total > 1 and outcome is not None and seen.setdefault(group, outcome) != outcome:
            raise DataError(
                (
                    f"{file}:{line}: column '{columns.selected}' is ambiguous: it could be the number of selected "
                    f"people out of {total:,}, or a yes/no decision about all of them"
                ),
                hint="use yes or no where all people in a row have the same outcome",
            )


def score_cell(file: Path, line: int, cell: str) -> float:
    """Read a score.

    Raises:
        DataError: It is no finite number.
    """
    value = decimal(cell)
    if not np.isfinite(value):
        raise DataError(f"{file}:{line}: expected a numeric score, got '{cell.strip()[:20]}'")
    return value


class Outcome(NamedTuple):
    """How many people there are, and how many of them moved on.

    Attributes:
        known: Category -> its people.
        unknown: People of unknown category.
        silent: Whether it is not said how many of the unknown moved on.
    """

    known: dict[str, Count]
    unknown: Count
    silent: bool = False


def count_outcomes(
    categories: Sequence[str | None], positive: Sequence[int], persons: Sequence[int] | None = None
) -> Outcome:
    """Add up rows by category.

    Args:
        categories: Of each row; None where it is unknown.
        positive: How many of the row were selected, or scored above the median.
        persons: How many people each row stands for; None for one.
    """
    sums: dict[str | None, list[int]] = defaultdict(lambda: [0, 0])
    for category, chosen, people in zip(categories, positive, persons or [1] * len(categories), strict=True):
        sums[category][0] += int(chosen)
        sums[category][1] += people
    unknown = Count(*sums.pop(None, (0, 0)))
    return Outcome({name: Count(*sums[name]) for name in sorted(name for name in sums if name is not None)}, unknown)


def category_table(
    outcome: Outcome, rule: SmallRule = _USUAL_RULE, *, four_fifths: bool = True, confidence: float = 0.95
) -> list[CategoryRow]:
    """Compare categories with the most selected one.

    People of unknown category get a row and nothing else. A small category is compared or not as `rule` says; what is
    not compared cannot be the best, and has no ratio, so that none is above 1.

    Args:
        outcome: People by category.
        rule: What happens to a small category.
        four_fifths: Whether the rule of four fifths is about this rate; it is about selection.
        confidence: Of the intervals of rates.

    Returns:
        One row for each category, in sorted order, the unknown last. No row is the best where nobody was selected.
    """
    counts, unknown, silent = outcome
    known = sum(count.total for count in counts.values())
    persons = known + unknown.total
    base = known if rule.base == "known" else persons
    few = {name for name, count in counts.items() if rule.treat != "count" and is_small(count.total, base, rule)}
    compared = {name: count for name, count in counts.items() if name not in few and count.total}
    best = max(compared, key=lambda name: (compared[name].rate, compared[name].total, name), default=None)
    if best is not None and not compared[best].selected:
        best = None
    rows = []
    for name, count in counts.items():
        note = _note(rule) if name in few else "best" if name == best else ""
        reference = compared[best] if best is not None and name in compared else None
        comparison = _comparison(count, reference, four_fifths=four_fifths, itself=name == best)
        rows.append(_row(name, count, comparison, (persons, known), note, confidence))
    if unknown.total:
        told = _row(UNKNOWN, unknown, _comparison(unknown, None), (persons, 0), UNKNOWN, confidence)
        rows.append(_without_outcome(told) if silent else told)
    return rows


def is_small(people: int, base: int, rule: SmallRule) -> bool:
    """Whether so many of `base` people are fewer than the share of the rule."""
    return base > 0 and people / base < rule.share


def _note(rule: SmallRule) -> str:
    return f"under {100 * rule.share:g} %" + (", excluded" if rule.treat == "exclude" else "")


class _Comparison(NamedTuple):
    """A category against the best one, as its row says it."""

    ratio: float = float("nan")
    below: bool | None = None
    z: float = float("nan")
    p_value: float = float("nan")
    test: str = ""
    missing: int | None = None


def _comparison(count: Count, best: Count | None, *, four_fifths: bool = True, itself: bool = False) -> _Comparison:
    if best is None:
        return _Comparison()
    ratio, (z, p_value) = impact_ratio(count, best), two_proportions(count, best)
    below, missing = (below_four_fifths(count, best), shortfall(count, best)) if four_fifths else (None, None)
    if itself:
        return _Comparison(ratio, below, z, p_value, "", missing)
    test, p_value = rates_test(count, best)
    return _Comparison(ratio, below, z, p_value, test, missing)


def rates_test(one: Count, other: Count) -> tuple[str, float]:
    """Two-sided test of equal rates: its name and p-value; Fisher's where cells are small, z otherwise."""
    return ("Fisher", fisher(one, other)) if small(one, other) else ("z", two_proportions(one, other)[1])


def _row(
    name: str, count: Count, comparison: _Comparison, bases: tuple[int, int], note: str, confidence: float
) -> CategoryRow:
    persons, known = bases
    return CategoryRow(
        category=name,
        persons=Persons(selected=count.selected, total=count.total),
        share=count.total / persons if persons else float("nan"),
        share_of_known=count.total / known if known else float("nan"),
        rate=Estimate(count.rate, *wilson(count, confidence), count.total, "persons"),
        note=note,
        **comparison._asdict(),
    )


def _without_outcome(row: CategoryRow) -> CategoryRow:
    nan = float("nan")
    people = Persons(selected=None, total=row.persons.total)
    return row.model_copy(update={"persons": people, "rate": Estimate(nan, nan, nan, people.total, "persons")})


def above_median(scores: Sequence[float]) -> list[int]:
    """Whether each score lies above the median of all; one that equals it does not.

    Source:
        6 RCNY section 5-300, "scoring rate".
    """
    median = float(np.median(scores))
    return [int(score > median) for score in scores]


def above_median_of_job(scores: Sequence[float], jobs: Sequence[str]) -> list[int]:
    """The same with the median of each job, since scores of embeddings are not comparable between jobs."""
    of_job: dict[str, list[float]] = defaultdict(list)
    for score, job in zip(scores, jobs, strict=True):
        of_job[job].append(score)
    medians = {job: float(np.median(values)) for job, values in of_job.items()}
    return [int(score > medians[job]) for score, job in zip(scores, jobs, strict=True)]


def within_jobs(
    categories: Sequence[str | None],
    positive: Sequence[int],
    jobs: Sequence[str],
    best: str,
    persons: Sequence[int] | None = None,
) -> dict[str, StratifiedOdds]:
    """Compare every category with the best one within jobs (Mantel-Haenszel).

    Returns:
        Category -> its odds against the best one; without the best and people of unknown category.
    """
    counted: dict[str, dict[str | None, list[int]]] = defaultdict(lambda: defaultdict(lambda: [0, 0]))
    for category, chosen, job, people in zip(categories, positive, jobs, persons or [1] * len(categories), strict=True):
        counted[job][category][0] += int(chosen)
        counted[job][category][1] += people
    odds = {}
    for name in sorted({category for category in categories if category is not None} - {best}):
        compared = mantel_haenszel([(Count(*of_job[name]), Count(*of_job[best])) for of_job in counted.values()])
        odds[name] = StratifiedOdds(
            odds_ratio=compared.odds_ratio,
            statistic=compared.statistic,
            p_value=compared.p_value,
            strata=compared.strata,
        )
    return odds
