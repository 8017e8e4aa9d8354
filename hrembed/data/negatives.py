"""How many in-batch negatives are none: texts that are relevant to each other by group."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from hrembed.text import normalise

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from hrembed.types import Pair


class Negatives(NamedTuple):
    """Counts over some batches.

    Attributes:
        false: Negatives that are relevant to their anchor.
        all: All negatives.
    """

    false: int
    all: int

    @property
    def share(self) -> float | None:
        """Share of the negatives that are relevant; None without any negative."""
        return self.false / self.all if self.all else None


def false_negatives(pairs: Sequence[Pair], batches: Iterable[Sequence[int]]) -> Negatives:
    """Count the negatives of batches, and those that are relevant to their anchor.

    Every other pair's positive is a negative of an anchor. It is a false one when the two texts stand in one
    group somewhere in the training set, or when it equals the anchor's own positive.

    Args:
        pairs: The whole training set: a text's groups are all those in which it stands.
        batches: Positions into `pairs`.
    """
    forms = {text: normalise(text) for pair in pairs for text in (pair.anchor, pair.positive)}
    groups: dict[str, set[str]] = defaultdict(set)
    for pair in pairs:
        if pair.group:
            groups[forms[pair.anchor]].add(pair.group)
            groups[forms[pair.positive]].add(pair.group)
    false = total = 0
    for batch in batches:
        for n in batch:
            anchor, own = forms[pairs[n].anchor], forms[pairs[n].positive]
            for m in batch:
                if m != n:
                    other = forms[pairs[m].positive]
                    total += 1
                    false += other == own or not groups[anchor].isdisjoint(groups[other])
    return Negatives(false, total)
