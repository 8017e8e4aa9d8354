"""How many in-batch negatives are none: texts that are relevant to each other by group."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hrembed.records.data import NegativeCounts
from hrembed.relevance import Relatives

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from hrembed.types import Pair


def false_negatives(pairs: Sequence[Pair], batches: Iterable[Sequence[int]]) -> NegativeCounts:
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
        for n, mine in enumerate(items):
            for m, other in enumerate(items):
                if m != n:
                    total += 1
                    false += mine[0] == other[0] or mine[1] == other[1] or not keys[n][0].isdisjoint(keys[m][1])
    return NegativeCounts(false=false, all=total, share=false / total if total else float("nan"))
