"""Scores of parts of a task: by the length of its queries, their language, their group, or any field."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hrembed.errors import DataError
from hrembed.language import guess_each
from hrembed.metrics.intervals import mean_interval
from hrembed.records.eval import SliceDifference, SliceRow, Slices
from hrembed.registry import nearest
from hrembed.text import normalise
from hrembed.types import Estimate

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hrembed.types import Floats, Ints, Task, Text

MOST_SLICES = 30
MIXED = "mixed"
SHARED_WORDS = "shared-words"
_NONE = "none"
_SENIOR = ("senior", "sr", "snr", "lead", "head", "chief", "principal", "director", "vice president", "vp")
_JUNIOR = ("junior", "jr", "jnr", "trainee", "apprentice", "apprenticeship", "intern", "internship", "entry level")
# The lower bound of a label that this module writes, or of a plain number.
_BOUND = re.compile(r"(?:^|\()(\d+)(?:-\d+| or more)?(?: words?| %\))?$")


def relevant_grades(task: Task, query: Text) -> dict[str, int]:
    """Relevant documents of a query: id to grade, 1 or more."""
    return {document: grade for document, grade in task.qrels.get(query.id, {}).items() if grade > 0}


def slice_labels(task: Task, by: str) -> list[str | None]:
    """Say which slice every query belongs to.

    Args:
        task: Queries, documents and grades.
        by: One of

            * `length`: words of the query between white space, in three parts of the task that are about equally
              large, with their real bounds (`4-9 words`); queries of one length stay together, so there may be fewer.
            * `overlap`: share of the query's distinct content words (`normalise`, without the English stop words of
              BM25) that stand, letter for letter, in the relevant document that has most of them, rounded down to
              whole percent: `none`, `some (1-33 %)` (which also holds shares under 1 %), `half (34-66 %)`,
              `most (67-99 %)`, `all (100 %)`. No slice for a query without content words or relevant documents.
            * `shared-words`: `shares a word`, where a content word (as in `overlap`) stands in any relevant document,
              and `shares no word`.
            * `relevant`: number of relevant documents: `none`, `1`, `2-5`, `6 or more`.
            * `seniority`: whole English words such as `lead` or `trainee` in the query: `senior`, `junior`, `both`,
              `not said`. In long texts they may speak of somebody else, or be verbs.
            * `language`: as `hrembed.language.guess_each`; `unsure` where that is not sure.
            * `group`: the query's group.
            * `family`: the same as `query:family`.
            * `query:FIELD`: what the query's row says there.
            * `document:FIELD`: what the rows of all relevant documents say there; `mixed` when they differ, or when
              only some say anything.

    Returns:
        One label for each query, in order; None where it has none (an empty field or group).

    Raises:
        DataError: No such slices, or a field that no text of that side has; the hint lists what there is.
    """
    if by in _LABELS:
        return _LABELS[by](task)
    known = _field_slices(task)
    asked = f"query:{by}" if by == "family" else by
    if asked not in known:
        offered = [name for name in BUILT_IN if name != "family" or f"query:{name}" in known] + known
        raise DataError(
            f"'{task.name}' has no slices by '{by}'{nearest(by, offered)}",
            hint=f"available slices: {', '.join(offered)}",
        )
    side, _, name = asked.partition(":")
    return _query_field(task, name) if side == "query" else _document_field(task, name)


def _field_slices(task: Task) -> list[str]:
    sides = {"query": task.queries, "document": task.documents}
    return [
        f"{side}:{name}"
        for side, texts in sides.items()
        for name in sorted({name for text in texts for name, value in text.fields.items() if value})
    ]


def _query_field(task: Task, name: str) -> list[str | None]:
    return [query.fields.get(name) or None for query in task.queries]


def _document_field(task: Task, name: str) -> list[str | None]:
    value_of = {document.id: document.fields.get(name, "") for document in task.documents}
    labels: list[str | None] = []
    for query in task.queries:
        values = {value_of[document] for document in relevant_grades(task, query)}
        label = MIXED if len(values) > 1 else "".join(values)
        labels.append(label or None)
    return labels


def _group(task: Task) -> list[str | None]:
    return [query.group or None for query in task.queries]


def _length(task: Task) -> list[str | None]:
    lengths = np.array([len(query.text.split()) for query in task.queries])
    thirds = np.quantile(lengths, [1 / 3, 2 / 3], method="inverted_cdf")
    parts = np.searchsorted(thirds, lengths)
    names = {part: _words(lengths[parts == part]) for part in np.unique(parts)}
    return [names[part] for part in parts]


def _words(lengths: Ints) -> str:
    low, high = int(lengths.min()), int(lengths.max())
    if low < high:
        return f"{low}-{high} words"
    return "1 word" if low == 1 else f"{low} words"


def _shared_words(task: Task) -> list[tuple[int, int] | None]:
    """Content words of each query that the relevant document with most of them has, and their number."""
    from bm25s.stopwords import STOPWORDS_EN

    text_of = {document.id: document.text for document in task.documents}
    counts: list[tuple[int, int] | None] = []
    for query in task.queries:
        words = set(normalise(query.text).split()) - set(STOPWORDS_EN)
        shared = [len(words.intersection(normalise(text_of[key]).split())) for key in relevant_grades(task, query)]
        counts.append((max(shared), len(words)) if words and shared else None)
    return counts


def _overlap(task: Task) -> list[str | None]:
    return [None if counted is None else _overlap_name(*counted) for counted in _shared_words(task)]


def _any_shared_word(task: Task) -> list[str | None]:
    return [
        None if counted is None else "shares a word" if counted[0] else "shares no word"
        for counted in _shared_words(task)
    ]


def _overlap_name(shared: int, of: int) -> str:
    if shared in (0, of):
        return "all (100 %)" if shared else _NONE
    percent = 100 * shared // of
    if percent <= 33:
        return "some (1-33 %)"
    return "half (34-66 %)" if percent <= 66 else "most (67-99 %)"


def _relevant(task: Task) -> list[str | None]:
    counts = [len(relevant_grades(task, query)) for query in task.queries]
    return ["6 or more" if n > 5 else "2-5" if n > 1 else "1" if n else _NONE for n in counts]


def _seniority(task: Task) -> list[str | None]:
    return [_level(f" {normalise(query.text)} ") for query in task.queries]


def _level(words: str) -> str:
    senior = any(f" {word} " in words for word in _SENIOR)
    junior = any(f" {word} " in words for word in _JUNIOR)
    if senior and junior:
        return "both"
    return "senior" if senior else "junior" if junior else "not said"


def _language(task: Task) -> list[str | None]:
    return [*guess_each([query.text for query in task.queries])]


_LABELS = {
    "length": _length,
    "overlap": _overlap,
    SHARED_WORDS: _any_shared_word,
    "relevant": _relevant,
    "seniority": _seniority,
    "language": _language,
    "group": _group,
}
BUILT_IN = (*_LABELS, "family")


class SliceSettings(NamedTuple):
    """How the scores of slices are estimated.

    Attributes:
        min_queries: A mean or a difference over fewer queries is not given.
        seed: Every estimate starts from it, so that none depends on the other slices.
        unit: Word for what is resampled.
        confidence: As in `hrembed.metrics.intervals.mean_interval`, like `resamples`.
        resamples: Their number.
    """

    min_queries: int
    seed: int
    unit: str
    confidence: float = 0.95
    resamples: int = 2000


def score_slices(
    values: Mapping[str, Floats], labels: Sequence[str | None], groups: Sequence[str], settings: SliceSettings
) -> Slices:
    """Score every slice of a task; queries without a slice stand in no row.

    Args:
        values: Model to one value per query, shape (Q,), NaN where undefined; the first model is the reference.
        labels: Slice of each query, length Q.
        groups: Group of each query, length Q; resampled as a whole.
        settings: How scores are estimated.

    Returns:
        One row for each slice and model. Slices with bounds come first, ascending, names after them, largest first. Of
        more than 30 the largest are kept, and the others are counted.

    Raises:
        ValueError: The lengths differ.
    """
    lengths = {len(labels), len(groups), *map(len, values.values())}
    if len(lengths) > 1:
        raise ValueError(f"labels, groups and values differ in length: {sorted(lengths)}")
    members = _members(labels)
    rows: list[SliceRow] = []
    for label in sorted([*members][:MOST_SLICES], key=_bound):  # stable: names stay in the order of their size
        inside = {model: column[members[label]] for model, column in values.items()}
        rows += _rows_of_slice(label, inside, [groups[n] for n in members[label]], settings)
    smaller = [*members.values()][MOST_SLICES:]
    return Slices(rows=tuple(rows), slices_left_out=len(smaller), queries_left_out=sum(map(len, smaller)))


def _members(labels: Sequence[str | None]) -> dict[str, list[int]]:
    """Label to the positions that have it, largest first, equal ones by name."""
    members: dict[str, list[int]] = defaultdict(list)
    for n, label in enumerate(labels):
        if label is not None:
            members[label].append(n)
    return dict(sorted(members.items(), key=lambda item: (-len(item[1]), item[0])))


def _bound(label: str) -> float:
    match = _BOUND.search(label)
    return int(match[1]) if match else 0 if label == _NONE else np.inf


def _rows_of_slice(
    label: str, values: Mapping[str, Floats], groups: Sequence[str], settings: SliceSettings
) -> list[SliceRow]:
    first = next(iter(values.values()))
    rows: list[SliceRow] = []
    for model, scores in values.items():
        mean, queries, note = _mean(scores, groups, settings)
        against_first = _difference(scores - first, groups, settings) if rows else None
        rows.append(
            SliceRow(slice=label, model=model, score=mean, queries=queries, note=note, against_first=against_first)
        )
    return rows


def _difference(delta: Floats, groups: Sequence[str], settings: SliceSettings) -> SliceDifference:
    mean, queries, note = _mean(delta, groups, settings)
    better, worse = int((delta > 0).sum()), int((delta < 0).sum())
    return SliceDifference(difference=mean, queries=queries, better=better, worse=worse, note=note)


def _mean(values: Floats, groups: Sequence[str], settings: SliceSettings) -> tuple[Estimate, int, str]:
    """Mean, number of defined queries, and why there is no mean or no interval."""
    rng = np.random.default_rng(settings.seed)
    mean = mean_interval(
        values, groups, rng=rng, confidence=settings.confidence, resamples=settings.resamples, unit=settings.unit
    )
    queries = len(values) - mean.undefined
    if queries < settings.min_queries:
        unknown = Estimate(np.nan, np.nan, np.nan, mean.n, mean.unit, mean.undefined)
        return unknown, queries, f"too few queries ({queries} < {settings.min_queries})"
    return mean, queries, "no interval: one group" if mean.n == 1 else ""
