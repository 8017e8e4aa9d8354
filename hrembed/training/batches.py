"""Which pairs go into which training step.

In-batch negatives are only negatives if nothing in the batch is relevant to anything else in it. Equal
texts are one way to break that, texts of the same occupation the other, more common one.
"""

from __future__ import annotations

from collections import defaultdict, deque
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hrembed.relevance import Relatives
from hrembed.text import normalise

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hrembed.types import Floats, Ints, Pair

Batch = list[int]


class _Keys(NamedTuple):
    """What decides whether two pairs may meet.

    Attributes:
        pair: What anchor and positive are relevant to.
        negatives: What the hard negatives are relevant to: they are negatives of every anchor of the batch.
    """

    pair: frozenset[str]
    negatives: frozenset[str]


def schedule(
    pairs: Sequence[Pair],
    *,
    batch_size: int,
    epochs: int,
    rng: np.random.Generator,
    grouped: bool = False,
    weights: Sequence[float] | None = None,
) -> list[Batch]:
    """Plan all steps of a training run.

    A batch holds pairs of one kind, and no two that have an item or a group in common (`Relatives`), or of which one
    is relevant to a hard negative of the other. Every pair is used as often in an epoch as its weight says, unless it
    would stand alone in its batch and have no negatives.

    Args:
        pairs: Training pairs.
        batch_size: Largest number of pairs in a batch, 2 or more.
        epochs: Passes over the pairs.
        rng: Shuffles pairs and batches, differently in every epoch.
        grouped: The loss knows what is relevant to what: only equal pairs may not meet.
        weights: Passes over each pair in an epoch; of 0.5, another random half each time. None means 1.

    Returns:
        Positions into `pairs`, one list per step.
    """
    keys, kinds = _distinct_keys(pairs) if grouped else _keys(pairs), [pair.kind for pair in pairs]
    passes = np.ones(len(pairs)) if weights is None else np.asarray(weights, dtype=float)
    return [batch for _ in range(epochs) for batch in _epoch(keys, kinds, passes, batch_size, rng)]


def _epoch(
    keys: Sequence[_Keys],
    kinds: Sequence[str],
    passes: Floats,
    batch_size: int,
    rng: np.random.Generator,
) -> list[Batch]:
    of_kind: dict[str, Batch] = defaultdict(list)
    for position in _drawn(passes, rng):
        of_kind[kinds[position]].append(int(position))
    batches = [batch for kind in sorted(of_kind) for batch in _fill(keys, of_kind[kind], batch_size)]
    return [batches[position] for position in rng.permutation(len(batches))]


def _drawn(passes: Floats, rng: np.random.Generator) -> Ints:
    """Positions of one epoch in random order: whole passes, and of the rest an exact share of each weight's rows."""
    chosen = [np.repeat(np.arange(len(passes)), np.floor(passes).astype(int))]
    rest = passes - np.floor(passes)
    for share in np.unique(rest[rest > 0]):
        rows = np.flatnonzero(rest == share)
        chosen.append(rng.choice(rows, size=round(share * len(rows)), replace=False))
    return rng.permutation(np.concatenate(chosen))


def _fill(keys: Sequence[_Keys], positions: Batch, batch_size: int) -> list[Batch]:
    """Take pairs in order; one that clashes with the open batch waits for the next one."""
    batches: list[Batch] = []
    waiting = deque(positions)
    while waiting:
        batch: Batch = []
        in_batch: set[str] = set()
        negatives_in_batch: set[str] = set()
        clashing: Batch = []
        while waiting and len(batch) < batch_size:
            position = waiting.popleft()
            pair, negatives = keys[position]
            if in_batch.isdisjoint(pair) and in_batch.isdisjoint(negatives) and negatives_in_batch.isdisjoint(pair):
                batch.append(position)
                in_batch |= pair
                negatives_in_batch |= negatives
            else:
                clashing.append(position)
        waiting.extendleft(reversed(clashing))
        if len(batch) > 1:
            batches.append(batch)
    return batches


def _distinct_keys(pairs: Sequence[Pair]) -> list[_Keys]:
    """Give each pair a key that only equal pairs share."""
    return [_Keys(frozenset({f"{normalise(pair.anchor)}\n{normalise(pair.positive)}"}), frozenset()) for pair in pairs]


def _keys(pairs: Sequence[Pair]) -> list[_Keys]:
    """Return for each pair what it is relevant to, and what its hard negatives are relevant to.

    A text that stands in several groups ("Team leader") brings all of them: it is relevant to each.
    """
    relatives = Relatives(pairs)
    return [
        _Keys(
            relatives.keys(pair.anchor) | relatives.keys(pair.positive),
            frozenset().union(*(relatives.keys(text) for text in pair.negatives)),
        )
        for pair in pairs
    ]
