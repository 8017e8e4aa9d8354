"""What an endpoint counted while it was asked."""

from __future__ import annotations

from hrembed.records.base import Record


class EndpointUsage(Record):
    """What an endpoint was asked for.

    Attributes:
        requests: Requests sent, also those that failed.
        retries: How many of them repeated another one.
        tokens: Sum over the answers that tell theirs; null when none does. A broken answer tells nothing.
        cost: Their price, in its currency; null without tokens or price.
    """

    requests: int
    retries: int
    tokens: int | None
    cost: float | None
