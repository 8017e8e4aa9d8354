"""What `hrembed serve-check` says."""

from __future__ import annotations

from typing import ClassVar, Literal

from hrembed.records.base import CommandRecord, Measured, Number, Record

ServedOutcome = Literal["pass", "warning", "fail", "not checked"]
"""A warning is a difference that cannot go unnoticed: the server refuses a request rather than answer it otherwise."""


class ServedCheck(Record):
    """One thing that servers get wrong.

    Attributes:
        check: Name.
        outcome: What came of it.
        found: What the server does, in words.
        advice: What to set on the server; empty where nothing is wrong.
    """

    check: str
    outcome: ServedOutcome
    found: str
    advice: str = ""


class ServedText(Record):
    """The vector of one of the varied texts.

    Attributes:
        side: Whose prompt stands in front; `both` where it is the same for both.
        text: What the text is like.
        alone: Cosine of the server's vector to the model's, in a request of its own; null where there is none.
        together: The same in one request with the others.
        length: Length of the server's vector.
    """

    side: str
    text: str
    alone: Number
    together: Number
    length: Number


class Explanation(Record):
    """How near the server's vectors are to those of a model that is run in another way.

    Attributes:
        side: As in `ServedText`.
        run_as: What is done in another way.
        lowest: Lowest cosine over the ordinary texts.
        mean: Mean cosine.
    """

    side: str
    run_as: str
    lowest: Number
    mean: Number


class ServedRanking(Record):
    """A task through the server and by the model itself.

    Attributes:
        task: Name of the task.
        metric: What is measured.
        model: Score of the model itself.
        server: Score through the server.
        difference: Server minus model, paired by query.
        same_top_10: Mean share of the first ten documents in common.
        lowest_cosine: Lowest cosine of a text's two vectors.
        texts: Distinct texts that were compared.
    """

    task: str
    metric: str
    model: Measured
    server: Measured
    difference: Measured
    same_top_10: Number
    lowest_cosine: Number
    texts: int


class CanaryComparison(Record):
    """What an endpoint gives for eight fixed texts, against what it gave before.

    Attributes:
        since: Day on which the earlier vectors were kept; null where nothing was.
        lowest_cosine: Lowest cosine of a text's two vectors; null where nothing was kept, or the dimension changed.
        accepted: Whether what it gives now was kept, for the first time or in place of the earlier vectors.
    """

    since: str | None
    lowest_cosine: Number
    accepted: bool


class ServeCheckRecord(CommandRecord):
    """What `hrembed serve-check` says.

    Attributes:
        server: Address.
        name: Name of the model there.
        model: The model that it should be; null where the endpoint was compared with what it gave before alone.
        verdict: `fail` when any check failed.
        lowest_cosine: Lowest cosine of all vectors that were compared; null where none could be.
        checks: What was looked at, in that order.
        texts: Vectors of the varied texts.
        explanations: Other ways to run the model that were tried, best first; empty where the vectors are right.
        ranking: The task; null where none was ranked.
        canary: The endpoint against what it gave before; null where nothing was kept, and nothing was to be.
    """

    command: ClassVar[str] = "serve-check"

    server: str
    name: str
    model: str | None
    verdict: Literal["pass", "fail"]
    lowest_cosine: Number
    checks: tuple[ServedCheck, ...]
    texts: tuple[ServedText, ...]
    explanations: tuple[Explanation, ...]
    ranking: ServedRanking | None
    canary: CanaryComparison | None
