"""Batches of rows that cannot be false negatives of each other: single rows, and labelled texts."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hrembed.types import Ints

Batch = list[int]

_PER_LABEL = 4  # texts of a label in a batch, as in Hermans et al. (2017), arXiv:1703.07737


def schedule_rows(count: int, *, batch_size: int, epochs: int, weight: float, rng: np.random.Generator) -> list[Batch]:
    """Plan batches in which any rows may meet, of even sizes.

    Args:
        count: Rows.
        batch_size: Largest number of rows in a batch.
        epochs: Passes over the rows.
        weight: Passes over the rows in an epoch; of 0.5, another random half each time.
        rng: Shuffles.

    Returns:
        Positions of rows, one list per step.
    """
    batches: list[Batch] = []
    for rows in _passes(count, epochs, weight, rng):
        batches += [part.tolist() for part in np.array_split(rows, -(-len(rows) // batch_size)) if len(part)]
    return batches


def schedule_labels(
    labels: Sequence[str], *, batch_size: int, epochs: int, weight: float, rng: np.random.Generator
) -> list[Batch]:
    """Plan batches of two or more texts of two or more labels each.

    Labels are drawn by how many of their texts are left, and share a batch in that proportion, so that most texts are
    used in an epoch; those that are left over at its end, of a single label, are not.

    Args:
        labels: One for each text.
        batch_size: Largest number of texts in a batch, 4 or more.
        epochs: Passes over the texts.
        weight: Passes over the texts in an epoch; of 0.5, another random half each time.
        rng: Draws.

    Returns:
        Positions of texts, one list per step; empty without two labels of two texts.
    """
    batches: list[Batch] = []
    for rows in _passes(len(labels), epochs, weight, rng):
        left: dict[str, Batch] = defaultdict(list)
        for row in rows:
            left[labels[row]].append(int(row))
        while len(names := sorted(name for name, texts in left.items() if len(texts) > 1)) > 1:
            batches.append(_take(left, names, batch_size, rng))
    return batches


def _take(left: dict[str, Batch], names: Sequence[str], batch_size: int, rng: np.random.Generator) -> Batch:
    """Take a batch out of what is left of these labels."""
    sizes = np.array([len(left[name]) for name in names])
    several = min(len(names), max(2, batch_size // _PER_LABEL))
    chosen = np.sort(rng.choice(len(names), several, replace=False, p=sizes / sizes.sum()))
    shares = np.floor(batch_size * sizes[chosen] / sizes[chosen].sum()).astype(int)
    shares = np.clip(shares, 2, batch_size - 2 * (several - 1))
    while shares.sum() > batch_size:
        shares[np.argmax(shares)] -= 1
    batch: Batch = []
    for place, share in zip(chosen, shares, strict=True):
        texts = left[names[place]]
        batch += texts[:share]
        del texts[:share]
    return batch


def _passes(count: int, epochs: int, weight: float, rng: np.random.Generator) -> Iterator[Ints]:
    """Yield shuffled rows: whole passes, none with a row twice, and the part of a pass that a weight asks for."""
    for _ in range(epochs):
        for _ in range(int(weight)):
            yield rng.permutation(count)
        part = round((weight - int(weight)) * count)
        if part:
            yield rng.permutation(count)[:part]
