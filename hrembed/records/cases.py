"""Single queries to look at, the content of `cases.json` of an evaluation."""

from __future__ import annotations

from hrembed.records.base import Record


class RankedDocument(Record):
    """A document that stands among the first.

    Attributes:
        id: Its id.
        text: Its text after redaction; null where texts are not shown.
        score: Similarity to the query.
        grade: Its relevance; null when nobody judged it.
    """

    id: str
    text: str | None
    score: float
    grade: int | None


class RelevantDocument(Record):
    """A document that is relevant to the query.

    Attributes:
        id: Its id.
        text: Its text after redaction; null where texts are not shown.
        grade: Its relevance, 1 or more.
        rank: Where it stands, from 1; null when not in the ranking.
    """

    id: str
    text: str | None
    grade: int
    rank: int | None


class WorstCase(Record):
    """A query on which a model fails.

    Attributes:
        value: Headline metric of the query.
        query: Its id.
        text: Its text after redaction; null where texts are not shown.
        ranked_first: What the model ranked first.
        relevant: Number of relevant documents.
        should_have: Some of them, best grade first, then best rank, then in the order of the corpus.
    """

    value: float
    query: str
    text: str | None
    ranked_first: tuple[RankedDocument, ...]
    relevant: int
    should_have: tuple[RelevantDocument, ...]


class SideBySide(Record):
    """A query on which two models differ.

    Attributes:
        query: Its id.
        text: Its text after redaction; null where texts are not shown.
        first: Headline metric with the model.
        second: The same with the reference.
        first_rank: Where the relevant document that stands highest stands with the model, from 1; null when none is
            in the ranking.
        second_rank: The same with the reference.
    """

    query: str
    text: str | None
    first: float
    second: float
    first_rank: int | None
    second_rank: int | None


class WonLost(Record):
    """A model against a reference, query by query.

    Attributes:
        won: Queries on which the model scored higher.
        lost: Queries on which it scored lower.
        tied: Queries on which both scored exactly the same.
        undefined: Queries without a value on either side.
        most_won: Some of the won ones, largest difference first; equal ones in the order of a hash of the query's id.
        most_lost: The same of the lost ones.
    """

    won: int
    lost: int
    tied: int
    undefined: int
    most_won: tuple[SideBySide, ...]
    most_lost: tuple[SideBySide, ...]


class TaskCases(Record):
    """Queries of one task; `cases.json` holds one for each task that ranks documents.

    Attributes:
        worst: Model -> the queries on which it fails most.
        won_and_lost: `MODEL against REFERENCE` -> where they differ most.
        redacted: Whether texts are shown, after redaction; otherwise ids alone.
    """

    worst: dict[str, tuple[WorstCase, ...]]
    won_and_lost: dict[str, WonLost]
    redacted: bool = False
