"""Which pairs go into which training step.

In-batch negatives are only negatives if nothing in the batch is relevant to anything else in it. Equal
texts are one way to break that, texts of the same occupation the other, more common one.
"""

from __future__ import annotations

from collections import defaultdict, deque
from typing import TYPE_CHECKING

from hrembed.text import normalise

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from hrembed.types import Pair

Batch = list[int]


def schedule(pairs: Sequence[Pair], *, batch_size: int, epochs: int, rng: np.random.Generator) -> list[Batch]:
    """Plan all steps of a training run.

    A batch holds pairs of one kind, and no two pairs with an equal text or of one group; a text that stands in
    several groups counts for all of them. Every pair is used once per epoch, unless it would stand alone in its
    batch and have no negatives.

    Args:
        pairs: Training pairs.
        batch_size: Most pairs in a batch, 2 or more.
        epochs: Passes over the pairs.
        rng: Shuffles pairs and batches, differently in every epoch.

    Returns:
        Positions into `pairs`, one list per step.
    """
    keys, kinds = _keys(pairs), [pair.kind for pair in pairs]
    return [batch for _ in range(epochs) for batch in _epoch(keys, kinds, batch_size, rng)]


def _epoch(
    keys: Sequence[frozenset[str]], kinds: Sequence[str], batch_size: int, rng: np.random.Generator
) -> list[Batch]:
    of_kind: dict[str, Batch] = defaultdict(list)
    for position in rng.permutation(len(keys)):
        of_kind[kinds[position]].append(int(position))
    batches = [batch for kind in sorted(of_kind) for batch in _fill(keys, of_kind[kind], batch_size)]
    return [batches[position] for position in rng.permutation(len(batches))]


def _fill(keys: Sequence[frozenset[str]], positions: Batch, batch_size: int) -> list[Batch]:
    """Take pairs in order; whoever clashes with the open batch waits for the next one."""
    batches: list[Batch] = []
    waiting = deque(positions)
    while waiting:
        batch: Batch = []
        taken: set[str] = set()
        clashing: Batch = []
        while waiting and len(batch) < batch_size:
            position = waiting.popleft()
            if taken.isdisjoint(keys[position]):
                batch.append(position)
                taken |= keys[position]
            else:
                clashing.append(position)
        waiting.extendleft(reversed(clashing))
        if len(batch) > 1:
            batches.append(batch)
    return batches


def _keys(pairs: Sequence[Pair]) -> list[frozenset[str]]:
    """For each pair, everything that another pair of its batch must not have.

    A text that stands in several groups ("Team leader") brings all of them: it is relevant to each.
    """
    forms = {text: normalise(text) for pair in pairs for text in (pair.anchor, pair.positive)}
    groups: dict[str, set[str]] = defaultdict(set)
    for pair in pairs:
        for text in (pair.anchor, pair.positive):
            groups[forms[text]] |= {pair.group} if pair.group else set()
    found = []
    for pair in pairs:
        texts = {forms[pair.anchor], forms[pair.positive]}
        own = {f"group:{group}" for text in texts for group in groups[text]}
        found.append(frozenset({f"text:{text}" for text in texts} | own))
    return found
