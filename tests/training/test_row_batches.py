"""Batches of labelled texts and of single rows."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hrembed.training.row_batches import schedule_labels, schedule_rows
from hypothesis import given, settings
from hypothesis import strategies as st


@given(
    st.lists(st.sampled_from("abcdef"), min_size=1, max_size=80),
    st.integers(4, 20),
    st.sampled_from([0.3, 1.0, 2.5]),
)
@settings(max_examples=200)
def test_every_batch_holds_two_texts_of_two_labels(labels, size, weight):
    plan = schedule_labels(labels, batch_size=size, epochs=2, weight=weight, rng=np.random.default_rng(0))
    for batch in plan:
        counts = Counter(labels[row] for row in batch)
        assert len(counts) >= 2
        assert min(counts.values()) >= 2
        assert len(batch) <= size
        assert len(set(batch)) == len(batch)


@pytest.mark.parametrize(
    ("counts", "least"),
    [
        ({"a": 100, "b": 100}, 190),
        ({"a": 180, "b": 20}, 160),  # twenty texts are two in each of ten batches of sixteen: no plan uses more
        (dict.fromkeys("abcdefghij", 30), 255),
    ],
)
def test_most_texts_are_used_once_in_an_epoch(counts, least):
    labels = [label for label, number in counts.items() for _ in range(number)]
    plan = schedule_labels(labels, batch_size=16, epochs=1, weight=1, rng=np.random.default_rng(0))
    used = Counter(row for batch in plan for row in batch)
    assert max(used.values()) == 1
    assert sum(used.values()) >= least
    assert all(min(Counter(labels[row] for row in batch).values()) >= 2 for batch in plan)


def test_one_label_gives_no_batch():
    assert schedule_labels(["a"] * 9, batch_size=4, epochs=1, weight=1, rng=np.random.default_rng(0)) == []


def test_rows_are_used_as_often_as_their_weight_says():
    plan = schedule_rows(10, batch_size=4, epochs=2, weight=1.5, rng=np.random.default_rng(0))
    used = Counter(row for batch in plan for row in batch)
    assert sum(used.values()) == 30
    assert {len(batch) for batch in plan} == {2, 3, 4}
    assert all(len(set(batch)) == len(batch) for batch in plan)
    assert plan != schedule_rows(10, batch_size=4, epochs=2, weight=1.5, rng=np.random.default_rng(1))


def test_a_part_of_a_pass_is_another_one_each_time():
    plan = schedule_rows(100, batch_size=50, epochs=2, weight=0.5, rng=np.random.default_rng(0))
    assert [len(batch) for batch in plan] == [50, 50]
    assert set(plan[0]) != set(plan[1])
