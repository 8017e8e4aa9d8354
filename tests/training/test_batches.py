"""What may meet in a training batch."""

from __future__ import annotations

from collections import Counter

import numpy as np
from hrembed.training.batches import schedule
from hrembed.types import Pair


def some_pairs() -> list[Pair]:
    rng = np.random.default_rng(0)
    return [
        Pair(f"anchor {n}", f"positive {rng.integers(60)}", f"g{n % 20}", ("title", "ad")[n % 3 == 0])
        for n in range(200)
    ]


def test_a_batch_holds_one_kind_and_no_group_or_text_twice():
    pairs = some_pairs()
    batches = schedule(pairs, batch_size=16, epochs=2, rng=np.random.default_rng(1))
    for batch in batches:
        assert len({pairs[n].kind for n in batch}) == 1
        for field in ("group", "anchor", "positive"):
            assert max(Counter(getattr(pairs[n], field) for n in batch).values()) == 1, field
        assert 2 <= len(batch) <= 16


def test_every_pair_is_used_once_per_epoch_but_for_those_that_would_stand_alone():
    pairs = some_pairs()
    used = Counter(n for batch in schedule(pairs, batch_size=16, epochs=3, rng=np.random.default_rng(1)) for n in batch)
    assert max(used.values()) == 3
    assert sum(used.values()) >= 0.95 * 3 * len(pairs)  # texts in many groups leave some pairs alone


def test_epochs_differ_and_seeds_repeat():
    pairs = some_pairs()
    plan = schedule(pairs, batch_size=16, epochs=2, rng=np.random.default_rng(1))
    assert plan == schedule(pairs, batch_size=16, epochs=2, rng=np.random.default_rng(1))
    assert plan[: len(plan) // 2] != plan[len(plan) // 2 :]


def test_one_group_alone_gives_no_batch():
    pairs = [Pair(f"a{n}", f"p{n}", "same") for n in range(5)]
    assert schedule(pairs, batch_size=4, epochs=1, rng=np.random.default_rng(0)) == []


def test_a_weight_says_how_often_a_row_is_used_in_an_epoch():
    pairs = [Pair(f"a{n}", f"p{n}") for n in range(100)]
    for weight, low, high in ((0.25, 0, 1), (2.0, 2, 2), (1.5, 1, 2)):
        plan = schedule(pairs, batch_size=10, epochs=1, rng=np.random.default_rng(0), weights=[weight] * 100)
        used = Counter(n for batch in plan for n in batch)
        assert sum(used.values()) == weight * 100
        assert {used[n] for n in range(100)} <= {low, high}
        assert all(len(set(batch)) == len(batch) for batch in plan)
    epochs = schedule(pairs, batch_size=10, epochs=2, rng=np.random.default_rng(0), weights=[0.5] * 100)
    halves = [{n for batch in part for n in batch} for part in (epochs[:5], epochs[5:])]
    assert halves[0] != halves[1]


def test_a_loss_that_knows_groups_may_meet_them():
    pairs = [Pair(f"a{n}", f"p{n}", "same") for n in range(6)]
    plan = schedule(pairs, batch_size=6, epochs=1, rng=np.random.default_rng(0), grouped=True)
    assert [sorted(batch) for batch in plan] == [[0, 1, 2, 3, 4, 5]]
    twice = [*pairs, Pair("A0", "p0", "same")]
    plan = schedule(twice, batch_size=7, epochs=1, rng=np.random.default_rng(0), grouped=True)
    assert all(not {0, 6} <= set(batch) for batch in plan)
