"""Which pairs go into which training step.

In-batch negatives are only negatives if nothing in the batch is relevant to anything else in it. Equal
texts are one way to break that, texts of the same occupation the other, more common one.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from hrembed.types import Pair

Batch = list[int]


def schedule(pairs: Sequence[Pair], *, batch_size: int, epochs: int, rng: np.random.Generator) -> list[Batch]:
    """Plan all steps of a training run.

    A batch holds pairs of one kind, and no two pairs of one group or with an equal text. Every pair
    is used once per epoch, unless it would stand alone in its batch and have no negatives.

    Args:
        pairs: Training pairs.
        batch_size: Most pairs in a batch, 2 or more.
        epochs: Passes over the pairs.
        rng: Shuffles pairs and batches, differently in every epoch.

    Returns:
        Positions into `pairs`, one list per step.
    """
    return [batch for _ in range(epochs) for batch in _epoch(pairs, batch_size, rng)]


def _epoch(pairs: Sequence[Pair], batch_size: int, rng: np.random.Generator) -> list[Batch]:
    kinds: dict[str, Batch] = defaultdict(list)
    for position in rng.permutation(len(pairs)):
        kinds[pairs[position].kind].append(int(position))
    batches = [batch for kind in sorted(kinds) for batch in _fill(pairs, kinds[kind], batch_size)]
    return [batches[position] for position in rng.permutation(len(batches))]


def _fill(pairs: Sequence[Pair], positions: Batch, batch_size: int) -> list[Batch]:
    """Take pairs in order; whoever clashes with the open batch waits for the next one."""
    batches: list[Batch] = []
    waiting = positions
    while waiting:
        batch: Batch = []
        taken: set[str] = set()
        left: Batch = []
        for position in waiting:
            keys = _keys(pairs[position])
            if len(batch) < batch_size and taken.isdisjoint(keys):
                batch.append(position)
                taken |= keys
            else:
                left.append(position)
        if len(batch) > 1:
            batches.append(batch)
        waiting = left
    return batches


def _keys(pair: Pair) -> set[str]:
    """Everything that another pair of the batch must not have."""
    texts = {f"text:{pair.anchor.casefold()}", f"text:{pair.positive.casefold()}"}
    return texts | ({f"group:{pair.group}"} if pair.group else set())
