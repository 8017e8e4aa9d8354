"""Batches by tokens: texts of one length side by side, several in a row, as many as a budget of tokens holds."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from hrembed.types import Ints

    Item = TypeVar("Item")
    Result = TypeVar("Result")


@dataclass(frozen=True)
class Layout:
    """Where the tokens of some texts lie in rows of one width.

    Attributes:
        texts: Positions of the texts, in the order in which they lie.
        shape: Rows, and tokens of a row.
        mask: Shape (texts, longest), 1 where a text has a token.
        offsets: Shape (texts, longest), place of a token in its text.
        places: Shape (texts, longest), place of a token in the rows laid end to end; any place where there is none.
        numbers: Shape (texts,), the place of a text in its row, from 1.
    """

    texts: Ints
    shape: tuple[int, int]
    mask: Ints
    offsets: Ints
    places: Ints
    numbers: Ints

    def rows(self, values: Ints, fill: int) -> Ints:
        """Lay values of all tokens, text after text, into rows, shape `shape`; `fill` where there is no token."""
        laid = np.full(self.shape[0] * self.shape[1], fill, dtype=np.int64)
        laid[self.places[self.mask == 1]] = values
        return laid.reshape(self.shape)

    def segments(self) -> Ints:
        """Which text of its row each token belongs to, from 1, 0 for none; shape `shape`."""
        return self.rows(np.repeat(self.numbers, self.mask.sum(axis=1)), 0)

    def positions(self, first: int) -> Ints:
        """Place of each token in its text, from `first`, shape `shape`."""
        return self.rows(self.offsets[self.mask == 1] + first, first)


def pack(lengths: Sequence[int], *, budget: int, row: int = 1) -> list[Layout]:
    """Divide texts into batches, the longest first.

    Args:
        lengths: Tokens of each text.
        budget: Most tokens of a batch, padding included; a longer text stands alone.
        row: Texts share a row of so many tokens while they fit; a longer text has a row alone.

    Returns:
        Batches; texts of one length keep their order.
    """
    sizes = np.asarray(lengths, dtype=np.int64)
    rooms = np.maximum(sizes, 1)  # a text without a token has a place all the same
    batches: list[Layout] = []
    batch: list[list[int]] = []
    width = 0
    for texts in _rows(rooms, row):
        filled = int(rooms[texts].sum())
        if batch and (len(batch) + 1) * max(width, filled) > budget:
            batches.append(_lay_out(batch, sizes, rooms, width))
            batch, width = [], 0
        batch.append(texts)
        width = max(width, filled)
    return [*batches, _lay_out(batch, sizes, rooms, width)] if batch else batches


def _rows(rooms: Ints, row: int) -> Iterator[list[int]]:
    """Texts of each row, the longest first."""
    texts: list[int] = []
    left = 0
    for text in np.argsort(-rooms, kind="stable").tolist():
        room = int(rooms[text])
        if texts and room > left:
            yield texts
            texts = []
        left = (left if texts else row) - room
        texts.append(text)
    if texts:
        yield texts


def _lay_out(batch: Sequence[Sequence[int]], sizes: Ints, rooms: Ints, width: int) -> Layout:
    texts = np.concatenate([np.array(row, dtype=np.int64) for row in batch])
    starts = np.concatenate([n * width + np.cumsum(rooms[row]) - rooms[row] for n, row in enumerate(batch)])
    numbers = np.concatenate([np.arange(1, len(row) + 1) for row in batch])
    longest = int(rooms[texts].max())
    offsets = np.broadcast_to(np.arange(longest), (len(texts), longest))
    mask = (offsets < sizes[texts, None]).astype(np.int64)
    return Layout(texts, (len(batch), width), mask, offsets, np.where(mask, starts[:, None] + offsets, 0), numbers)


def ahead(function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """Yield `function(item)` for every item, in order; a thread computes the next one while the caller uses one."""
    with ThreadPoolExecutor(1) as pool:
        pending = None
        for item in items:
            following = pool.submit(function, item)
            if pending is not None:
                yield pending.result()
            pending = following
        if pending is not None:
            yield pending.result()
