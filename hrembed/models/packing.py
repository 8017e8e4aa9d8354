"""Batches by tokens: texts of one length side by side, as many as a budget of tokens holds."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from hrembed.types import Ints

    Given = TypeVar("Given")
    Made = TypeVar("Made")


def pack(lengths: Sequence[int], *, budget: int) -> list[Ints]:
    """Divide texts into batches, the longest first.

    Args:
        lengths: Tokens of each text.
        budget: Most tokens of a batch, padding included; a longer text stands alone.

    Returns:
        Positions of each batch; texts of one length keep their order.
    """
    order = np.argsort(-np.asarray(lengths, dtype=np.int64), kind="stable")
    found: list[Ints] = []
    start = 0
    while start < len(order):
        count = max(1, budget // max(1, lengths[order[start]]))
        found.append(order[start : start + count])
        start += count
    return found


def padded(rows: Sequence[Sequence[int]], fill: int) -> Ints:
    """Lay rows into one array, shape (rows, longest), int64, filled up at their end."""
    found = np.full((len(rows), max(len(row) for row in rows)), fill, dtype=np.int64)
    for place, row in enumerate(rows):
        found[place, : len(row)] = row
    return found


def ahead(make: Callable[[Given], Made], given: Iterable[Given]) -> Iterator[Made]:
    """Yield `make(item)` for every item, in order; the next is made in a thread while the caller works on this one."""
    with ThreadPoolExecutor(1) as pool:
        waiting = None
        for item in given:
            coming = pool.submit(make, item)
            if waiting is not None:
                yield waiting.result()
            waiting = coming
        if waiting is not None:
            yield waiting.result()
