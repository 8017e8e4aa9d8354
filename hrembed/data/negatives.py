"""How many in-batch negatives are none: texts that are relevant to each other by group."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from hrembed.relevance import Relatives

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

    Every other pair's positive is a negative of an anchor. It is a false one when it is relevant to the anchor
    (`Relatives`), the same item as the anchor's own positive, or the positive of the same anchor in another row.

    Args:
        pairs: The whole training set: a text's groups are all those in which it stands.
        batches: Positions into `pairs`.
    """
    relatives = Relatives(pairs)
    false = total = 0
    for batch in batches:
        items = [(relatives.item(pairs[n].anchor), relatives.item(pairs[n].positive)) for n in batch]
        keys = [(relatives.keys(pairs[n].anchor), relatives.keys(pairs[n].positive)) for n in batch]
        for n, own in enumerate(items):
            for m, other in enumerate(items):
                if m != n:
                    total += 1
                    false += own[0] == other[0] or own[1] == other[1] or not keys[n][0].isdisjoint(keys[m][1])
    return Negatives(false, total)
