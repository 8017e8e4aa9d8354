"""Real decisions: the tables of the law, their verdict, and the sentences that belong beside them."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hrembed.audit.decision_verdict import judge_decisions
from hrembed.audit.decisions import (
    UNKNOWN,
    Columns,
    SmallRule,
    above_median,
    above_median_of_job,
    category_table,
    count_column,
    count_outcomes,
    is_small,
    read_decisions,
    within_jobs,
)
from hrembed.data.layout import Form
from hrembed.data.locate import locate
from hrembed.data.read import read_table
from hrembed.errors import DataError
from hrembed.metrics.gating import overall
from hrembed.records.bias_audit import DecisionTable, RealDecisions, WithinJobs
from hrembed.reports.estimates import format_estimate, p_in_words

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from hrembed.audit.decisions import Decisions
    from hrembed.config.bias_audit import DecisionsSection
    from hrembed.records.bias_audit import DecisionGate
    from hrembed.types import TextRows

LAW = (
    "Selection rates, scoring rates and impact ratios are those of 6 RCNY section 5-300 and 5-301 where the note of a "
    "table says so; that rule sets no limit. Four fifths is the rule of thumb of 29 CFR 1607.4(D) for selection rates, "
    "which looks at statistical and practical significance as well; in July 2026 the EEOC planned to withdraw these "
    "guidelines, so check whether they stand. Whether the data are what the law asks for, and who may audit them, "
    "these tables cannot say."
)
_SELECTION = (
    "Selection rate and impact ratio: 6 RCNY section 5-300. Below and short of 4/5: 29 CFR 1607.4(D). "
    "z is the distance from the best rate in standard deviations; p-values are uncorrected."
)
_SCORING = (
    "Scoring rate: the share above the median score of all {people} people, those of unknown category included, since "
    "the rule does not say whether they belong to the full sample (6 RCNY sections 5-300 and 5-301(c))."
)
_SCORED = "Scoring rate: the share that the file counts as above the median (6 RCNY sections 5-300 and 5-301(c))."
_OF_JOB = (
    "No rule defines this rate: the share above the median score of the job that a person applied for, since scores of "
    "embeddings are not comparable between jobs. It does not decide the verdict."
)
_MANY = (
    " The rule asks for sex, for race / ethnicity and for the two together; a table by more attributes does not decide "
    "the verdict."
)


class _Rate(NamedTuple):
    """One kind of rate.

    Attributes:
        kind: What it is called.
        positive: How many of each row count for it.
        basis: Which rule defines it.
        judged: Whether the verdict may rest on it.
        four_fifths: Whether the rule of four fifths is about it.
    """

    kind: str
    positive: Sequence[int]
    basis: str
    judged: bool = True
    four_fifths: bool = False


def audit_decisions(section: DecisionsSection, limit: float, confidence: float) -> RealDecisions:
    """Read decisions, and make the tables: each attribute, every two of them, and all.

    Args:
        section: What to read, and the choices that the rules leave open.
        limit: Smallest impact ratio that is accepted.
        confidence: Of intervals, and of the verdict.

    Raises:
        DataError: The file is missing or malformed.
    """
    file = locate(section.path)
    rows, columns = _open(file, section)
    decisions = read_decisions(file, rows, columns, unknown=section.unknown, undecided=section.undecided)
    rule = SmallRule(section.small.share, section.small.base, section.small.treat)
    categories = _categories(decisions)
    tables = [
        _table(attribute, rate, categories[attribute], decisions, rule, confidence)
        for rate in _rates(decisions)
        for attribute in categories
    ]
    gates = judge_decisions([table for table in tables if table.judged], limit, confidence)
    unknown = {attribute: _people(decisions, values) for attribute, values in categories.items()}
    verdict = overall(gate.verdict for gate in gates)
    notes = [
        *_verdict_notes(verdict, gates, limit, confidence),
        *_row_notes(decisions, columns, rows),
        *_answer_notes(decisions, unknown),
        *_small_notes(tables, rule),
        *_tie_notes(decisions),
    ]
    return RealDecisions(
        persons=sum(decisions.persons),
        law=LAW,
        verdict=verdict,
        gates=tuple(gates),
        notes=tuple(notes),
        counted_by=columns.applicants or "",
        dropped=len(decisions.dropped),
        unknown=unknown,
        unknown_answers={name: answers.unknown for name, answers in decisions.answers.items()},
        spellings={name: answers.spellings for name, answers in decisions.answers.items() if answers.spellings},
        tables=tuple(tables),
    )


def _open(file: Path, section: DecisionsSection) -> tuple[TextRows, Columns]:
    """Read the rows, and find out whether they are people or counts of them."""
    columns = Columns(
        section.attributes, section.selected, section.score, section.job, section.applicants, section.scored
    )
    rows = read_table(file, columns.named, Form(section.delimiter, encoding=section.encoding))
    if columns.applicants is None:
        columns = columns._replace(applicants=count_column(rows, columns))
    if columns.scored is not None and columns.applicants is None:
        raise DataError(
            (
                f"{file}: column '{columns.scored}' contains counts, but there is no column with the number of "
                "applicants"
            ),
            hint="set it with --set decisions.applicants=COLUMN",
        )
    return rows, columns


def _rates(decisions: Decisions) -> Iterator[_Rate]:
    """The rates that the file has something to say about."""
    if decisions.selected is not None:
        yield _Rate("selection rate", decisions.selected, _SELECTION, four_fifths=True)
    if decisions.scored is not None:
        yield _Rate("scoring rate (as counted)", decisions.scored, _SCORED)
    if decisions.scores is not None:
        basis = _SCORING.format(people=f"{len(decisions.scores):,}")
        yield _Rate("scoring rate (above the median of all)", above_median(decisions.scores), basis)
        if decisions.jobs is not None:
            positive = above_median_of_job(decisions.scores, decisions.jobs)
            yield _Rate("scoring rate (above the median of the job)", positive, _OF_JOB, judged=False)


def _categories(decisions: Decisions) -> dict[str, Sequence[str | None]]:
    """Attribute -> the category of each row; also of every two attributes, and of all."""
    single = {name: answers.categories for name, answers in decisions.answers.items()}
    names = [*single]
    joined = [*combinations(names, 2)] + ([tuple(names)] if len(names) > 2 else [])
    return {
        **single,
        **{" x ".join(some): _intersection([single[name] for name in some]) for some in joined},
    }


def _intersection(categories: Sequence[Sequence[str | None]]) -> list[str | None]:
    """Join the categories of each row; unknown where one of them is."""
    joined = []
    for row in zip(*categories, strict=True):
        known = [category for category in row if category is not None]
        joined.append(" / ".join(known) if len(known) == len(row) else None)
    return joined


def _table(
    attribute: str,
    rate: _Rate,
    categories: Sequence[str | None],
    decisions: Decisions,
    rule: SmallRule,
    confidence: float,
) -> DecisionTable:
    outcome = count_outcomes(categories, rate.positive, decisions.persons)._replace(silent=decisions.silent)
    rows = category_table(outcome, rule, four_fifths=rate.four_fifths, confidence=confidence)
    best = next((row.category for row in rows if row.note == "best"), None)
    within = None
    if decisions.jobs is not None and best is not None:
        odds = within_jobs(categories, rate.positive, decisions.jobs, best, decisions.persons)
        within = WithinJobs(best=best, rows=odds)
    many = attribute.count(" x ") > 1
    return DecisionTable(
        attribute=attribute,
        kind=rate.kind,
        basis=rate.basis + (_MANY if many and rate.judged else ""),
        judged=rate.judged and not many,
        rows=tuple(rows),
        within_jobs=within,
    )


def _people(decisions: Decisions, categories: Sequence[str | None]) -> int:
    """How many people have no known category."""
    rows = zip(categories, decisions.persons, strict=True)
    return sum(people for category, people in rows if category is None)


def _verdict_notes(verdict: str, gates: Sequence[DecisionGate], limit: float, confidence: float) -> Iterator[str]:
    meaning = {
        "pass": f"every impact ratio is at least {limit:g}, with its interval",
        "fail": f"an impact ratio is below {limit:g}, with a corrected p-value below {1 - confidence:.3g}",
        "inconclusive": f"the data can neither confirm nor rule out an impact ratio below {limit:g}",
    }[verdict]
    yield (
        f"Verdict on the real decisions: {verdict}; {meaning}. The limit (`limits.impact_ratio`) and the verdict are "
        "engineering choices, not law."
    )
    for gate in gates:
        if gate.verdict != "pass":
            yield f"{gate.kind} by {gate.attribute}: {gate.verdict}; {_gate_in_words(gate)}."


def _gate_in_words(gate: DecisionGate) -> str:
    if gate.reason:
        return gate.reason
    return (
        f"{gate.category} against {gate.best} {format_estimate(gate.ratio)}, {p_in_words(gate.p_value)}, "
        f"corrected {p_in_words(gate.p_holm)}"
    )


def _row_notes(decisions: Decisions, columns: Columns, rows: TextRows) -> Iterator[str]:
    people, kept = sum(decisions.persons), len(decisions.persons)
    counted = f" in {kept:,} rows of counts (column `{columns.applicants}`)" if columns.applicants else ""
    dropped = decisions.dropped
    left_out = (
        (
            f"{len(dropped):,} rows without a decision or a score were skipped, the first in line "
            f"{dropped[0]} (`decisions.undecided: drop`)"
        )
        if dropped
        else "no row was left out"
    )
    yield f"{people:,} people{counted}; {left_out}."
    unused = [name for name in rows[0][1] if name not in columns.named]
    if unused:
        yield f"Unused columns: {', '.join(unused)}."
    if decisions.jobs is not None:
        yield "The rates are over all jobs together; the rows of Mantel-Haenszel compare people within a job."
        if decisions.job_spellings:
            yield f"Jobs with several spellings were merged: {_spelled(decisions.job_spellings)}."
        nameless = sum(people for job, people in zip(decisions.jobs, decisions.persons, strict=True) if not job)
        if nameless:
            yield (
                f"{nameless:,} people have no job in the file; they are compared with each other as if they "
                "had the same job."
            )
    if decisions.silent:
        yield (
            "The file does not state how many people of unknown category were selected; they are counted "
            "without a rate."
        )


def _answer_notes(decisions: Decisions, unknown: Mapping[str, int]) -> Iterator[str]:
    people = sum(decisions.persons)
    numbers = "; ".join(f"{attribute} {number:,}" for attribute, number in unknown.items())
    yield (
        f"People of unknown category, of {people:,}: {numbers}. They are counted and compared with nobody (6 RCNY "
        "section 5-301)."
    )
    for name, answers in decisions.answers.items():
        if answers.unknown:
            listed = ", ".join(f"{_quoted(answer)} {number:,}" for answer, number in answers.unknown.items())
            yield f"Counted as unknown in {name} (`decisions.unknown`): {listed}."
        if answers.spellings:
            yield f"Categories of {name} with several spellings were merged: {_spelled(answers.spellings)}."


def _spelled(spellings: Mapping[str, Sequence[str]]) -> str:
    return "; ".join(
        f"'{name}' is also spelled {', '.join(map(_quoted, others))}" for name, others in spellings.items()
    )


def _quoted(answer: str) -> str:
    return f"'{answer}'" if answer else "an empty cell"


def _small_notes(tables: Sequence[DecisionTable], rule: SmallRule) -> Iterator[str]:
    """Say which base the share of a category has, what it does, and which categories it meets."""
    share = f"{100 * rule.share:g} %"
    base = "people whose category is known" if rule.base == "known" else "people, the unknown included"
    treated = {
        "blank": "gets no impact ratio and cannot be the best",
        "exclude": "is left out of the table, and named here",
        "count": "counts as any other",
    }[rule.treat]
    yield (
        f"A category under {share} of the {base} (`decisions.small.base: {rule.base}`) {treated} "
        f"(`decisions.small.treat: {rule.treat}`); 6 RCNY section 5-301(d) lets the auditor leave such a category "
        "out, asks for the reason, and does not say which base it means."
    )
    for table in tables:
        known = sum(row.persons.total for row in table.rows if row.note != UNKNOWN)
        people = sum(row.persons.total for row in table.rows)
        bases = (known, people) if rule.base == "known" else (people, known)
        few = [row for row in table.rows if row.note != UNKNOWN and is_small(row.persons.total, bases[0], rule)]
        turned = [
            row.category
            for row in table.rows
            if row.note != UNKNOWN and row not in few and is_small(row.persons.total, bases[1], rule)
        ]
        if few:
            listed = "; ".join(
                f"{row.category}: {row.persons.selected:,} of {row.persons.total:,}, "
                + (f"rate {row.rate.value:.3f}, " if row.persons.total else "")
                + f"{row.share_of_known:.1%} of the known, {row.share:.1%} of all"
                for row in few
            )
            yield f"Under {share} in {table.kind} by {table.attribute}: {listed}."
        if turned and table.kind == tables[0].kind:  # the people are the same in all kinds
            other = "all people" if rule.base == "known" else "the people whose category is known"
            yield f"In {table.kind} by {table.attribute} also under {share}, if of {other}: {', '.join(turned)}."


def _tie_notes(decisions: Decisions) -> Iterator[str]:
    if decisions.scores is None:
        return
    scores = np.asarray(decisions.scores)
    median = float(np.median(scores))
    ties = int((scores == median).sum())
    if ties > 1:
        yield (
            f"{ties:,} of {len(scores):,} people have exactly the median score {median:g}; they count as not above it."
        )
    if median == scores.max():
        yield (
            "The median is the highest score: nobody is above it, every scoring rate is 0, and there is no impact "
            "ratio. A score with finer steps would be needed."
        )
