"""Batches by tokens."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from hrembed.models.packing import ahead, pack, padded


def test_every_text_is_in_one_batch_within_the_budget() -> None:
    lengths = np.random.default_rng(0).integers(0, 300, 500).tolist()
    batches = pack(lengths, budget=256)
    assert sorted(np.concatenate(batches).tolist()) == list(range(500))
    for batch in batches:
        longest = max(lengths[n] for n in batch)
        assert len(batch) == 1 or longest * len(batch) <= 256
    firsts = [max(lengths[n] for n in batch) for batch in batches]
    assert firsts == sorted(firsts, reverse=True)


def test_texts_of_one_length_keep_their_order() -> None:
    assert [batch.tolist() for batch in pack([2, 2, 3, 2], budget=4)] == [[2], [0, 1], [3]]
    assert pack([], budget=4) == []


def test_rows_are_filled_at_their_end() -> None:
    assert padded([[1, 2], [3]], 9).tolist() == [[1, 2], [3, 9]]


def test_the_next_is_made_while_the_caller_works() -> None:
    second = threading.Event()

    def make(n: int) -> int:
        if n == 1:
            second.set()
        return n * 10

    made = ahead(make, range(3))
    assert next(made) == 0
    assert second.wait(5)  # the caller has not asked for it yet
    assert list(made) == [10, 20]
    assert list(ahead(make, [])) == []


def test_what_fails_in_the_thread_reaches_the_caller() -> None:
    def make(n: int) -> float:
        return 1 / n

    made = ahead(make, [1, 0])
    assert next(made) == 1
    with pytest.raises(ZeroDivisionError, match="zero"):
        next(made)
