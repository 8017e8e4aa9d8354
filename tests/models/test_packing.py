"""Batches by tokens."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from hrembed.models.packing import ahead, pack


@pytest.mark.parametrize("row", [1, 64])
def test_every_token_lies_in_one_place_within_the_budget(row: int) -> None:
    rng = np.random.default_rng(0)
    lengths = rng.integers(1, 300, 500).tolist() + rng.integers(1, 12, 500).tolist()
    tokens = [[1000 * n + k for k in range(length)] for n, length in enumerate(lengths)]
    layouts = pack(lengths, budget=256, row=row)
    assert sorted(np.concatenate([layout.texts for layout in layouts]).tolist()) == list(range(1000))
    for layout in layouts:
        rows = layout.rows(np.concatenate([tokens[n] for n in layout.texts]), -1)
        assert rows.size <= 256 or len(rows) == 1
        assert (rows[:, -1] >= 0).any()  # no wider than need be
        for text, places, mask in zip(layout.texts, layout.places, layout.mask, strict=True):
            assert rows.reshape(-1)[places[mask == 1]].tolist() == tokens[text]
            assert len(set(places[mask == 1] // rows.shape[1])) == 1
    longest = [layout.mask.shape[1] for layout in layouts]
    assert longest == sorted(longest, reverse=True)


def test_short_texts_share_rows_and_keep_apart() -> None:
    (layout,) = pack([2, 5, 3, 9], budget=100, row=8)
    assert layout.texts.tolist() == [3, 1, 2, 0]
    assert layout.shape == (3, 9)
    assert layout.segments().tolist() == [[1] * 9, [1] * 5 + [2] * 3 + [0], [1] * 2 + [0] * 7]
    assert layout.positions(2).tolist() == [
        [2, 3, 4, 5, 6, 7, 8, 9, 10],
        [2, 3, 4, 5, 6, 2, 3, 4, 2],
        [2, 3] + [2] * 7,
    ]


def test_texts_of_one_length_keep_their_order() -> None:
    assert [layout.texts.tolist() for layout in pack([2, 2, 3, 2], budget=4)] == [[2], [0, 1], [3]]
    assert pack([], budget=4) == []


def test_a_text_without_tokens_has_a_place() -> None:
    (layout,) = pack([0, 0], budget=4)
    assert layout.mask.tolist() == [[0], [0]]
    assert layout.rows(np.array([], dtype=np.int64), 7).tolist() == [[7], [7]]


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
