"""The list as a page: cards that can be searched, filtered and explained, in one file that needs nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from hrembed.commands.match.exposure import NOT_A_TEST, WARNING
from hrembed.commands.match.rows import SCORES, exposure_rows, faithfulness_words
from hrembed.files import write_text
from hrembed.reports.origin import repeat_command
from hrembed.reports.page import render

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from hrembed.records.index import FilterType
    from hrembed.records.match import Candidate, MatchRecord

_MOST_CHOICES = 30  # values of a column in a menu; one with more is found by the search
_NAMES = {
    "cosine": "cosine",
    "bm25": "BM25",
    "fused": "reciprocal ranks",
    "rescored": "scored again",
    "cross_encoder": "cross-encoder",
}


class Choice(NamedTuple):
    """A column by which the reader can filter.

    Attributes:
        name: Name of the column.
        values: What it holds, sorted.
    """

    name: str
    values: Sequence[str]


class Card(NamedTuple):
    """A candidate as the page shows it.

    Attributes:
        candidate: The candidate.
        values: Column to all that it holds, as texts.
        scores: What a stage is called, its score and its rank; only stages that took part.
        sort: Stage to its score, for sorting.
        bars: Sentences of the candidate: words, share, and width of its bar in per cent.
        asked: The same of the job.
        unanswered: Sentences of the job that nothing answers.
    """

    candidate: Candidate
    values: Mapping[str, Sequence[str]]
    scores: Sequence[tuple[str, str, str]]
    sort: Mapping[str, float]
    bars: Sequence[tuple[str, str, int]]
    asked: Sequence[tuple[str, str, int]]
    unanswered: Sequence[str]


def write_report(
    path: Path, record: MatchRecord, job: Sequence[str], filters: Mapping[str, FilterType], run: Path
) -> None:
    """Write the page of a single job.

    Args:
        path: The HTML file.
        record: What `match` says.
        job: Sentences of the job, redacted.
        filters: Filters of the index.
        run: Folder of the run.

    Raises:
        HrembedError: The file cannot be written.
    """
    cards = [_card(candidate, job) for candidate in record.candidates]
    stages = {stage: _NAMES[stage] for stage in SCORES if any(stage in card.sort for card in cards)}
    reranked = record.exposure.reranked if record.exposure is not None else "none"
    page = render(
        "match.html.j2",
        record=record,
        job=job,
        cards=cards,
        choices=_choices(cards, filters),
        numbers=_numbers(cards, filters),
        stages=stages,
        warning=WARNING.format(method=reranked) if reranked != "none" else "",
        words=faithfulness_words(record),
        exposure=exposure_rows(record.exposure) if record.exposure is not None else [],
        not_a_test=NOT_A_TEST,
        run=run.name,
        repeat=repeat_command("match", run),
    )
    write_text(path, page)


def _card(candidate: Candidate, job: Sequence[str]) -> Card:
    scores, sort = [], {}
    for stage in SCORES:
        score, rank = getattr(candidate, stage), getattr(candidate, f"{stage}_rank")
        if not np.isnan(score):
            scores.append((_NAMES[stage], f"{score:.3f}", "" if rank is None else str(rank)))
            sort[stage] = float(score)
    reasons = candidate.reasons
    return Card(
        candidate,
        {name: _texts(value) for name, value in candidate.columns.items()},
        scores,
        sort,
        _bars(
            [(each.text or f"Sentence {each.place + 1}", each.share) for each in reasons.candidate] if reasons else []
        ),
        _bars([(each.text or f"Sentence {each.place + 1}", each.share) for each in reasons.job] if reasons else []),
        [job[place] for place in reasons.unanswered if place < len(job)] if reasons else [],
    )


def _bars(shares: Sequence[tuple[str, float]]) -> list[tuple[str, str, int]]:
    largest = max((share for _, share in shares), default=0.0)
    width = 100 / largest if largest > 0 else 0.0
    return [(text, f"{share:.3f}", max(0, round(share * width))) for text, share in shares]


def _texts(value: Any) -> list[str]:
    if value is None:
        return []
    if isinstance(value, tuple):
        return [str(each) for each in value]
    if isinstance(value, bool):
        return ["yes" if value else "no"]
    return [f"{value:g}" if isinstance(value, float) else str(value)]


def _choices(cards: Sequence[Card], filters: Mapping[str, FilterType]) -> list[Choice]:
    """Columns with few values."""
    found = []
    for name in _columns(cards):
        values = sorted({value for card in cards for value in card.values.get(name, ())})
        if filters.get(name) not in {"number", "whole number"} and 1 < len(values) <= _MOST_CHOICES:
            found.append(Choice(name, values))
    return found


def _numbers(cards: Sequence[Card], filters: Mapping[str, FilterType]) -> list[str]:
    """Columns of numbers, for which the reader gives a least value."""
    return [name for name in _columns(cards) if filters.get(name) in {"number", "whole number"}]


def _columns(cards: Sequence[Card]) -> list[str]:
    return list(dict.fromkeys(name for card in cards for name in card.values))
