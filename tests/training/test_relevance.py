"""One definition of relevance, and that batches, the group loss and the counts keep to it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hrembed.data.negatives import false_negatives
from hrembed.relevance import Relatives
from hrembed.training.batches import schedule
from hrembed.training.group_ranking import Relevance
from hrembed.types import Pair
from hypothesis import given, settings
from hypothesis import strategies as st


def test_an_id_stands_for_one_item_in_every_wording_and_on_every_side():
    known = Relatives(
        [
            Pair("Nurse", "cares", anchor_id="n1"),
            Pair("drives", "NURSE (m/f)", positive_id="n1"),
            Pair("Baker", "bakes", anchor_id="b1", group="b"),
        ]
    )
    assert known.item("Nurse") == known.item("nurse!") == known.item("NURSE (m/f)")
    assert known.item("Nurse") != known.item("Baker")
    assert known.item("a text of no pair") == "text:a text of no pair"


def test_groups_come_through_words_and_ids():
    known = Relatives(
        [
            Pair("Team leader", "leads", group="x"),
            Pair("team LEADER", "heads", group="y", anchor_id="t"),
            Pair("Head of team", "guides", anchor_id="t", group="z"),
        ]
    )
    assert known.groups("Head of team") == {"group:x", "group:y", "group:z"}
    assert known.groups("leads") == {"group:x"}
    assert not known.keys("leads").isdisjoint(known.keys("Head of team"))
    assert known.keys("leads").isdisjoint(known.keys("heads"))


def by_id() -> list[Pair]:
    """Two wordings under one id, and others enough for a second batch."""
    others = [Pair(f"a{n}", f"p{n}", anchor_id=f"o{n}") for n in range(4)]
    return [Pair("Nurse", "cares", anchor_id="n1"), Pair("Ward nurse", "dresses", anchor_id="n1"), *others]


def test_one_id_never_meets_itself_in_a_batch():
    plan = schedule(by_id(), batch_size=6, epochs=20, rng=np.random.default_rng(0))
    assert all(not {0, 1} <= set(batch) for batch in plan)
    without = [replace(pair, anchor_id="") for pair in by_id()]
    plan = schedule(without, batch_size=6, epochs=20, rng=np.random.default_rng(0))
    assert all({0, 1} <= set(batch) for batch in plan)  # what happens where the ids are not looked at


def test_the_group_loss_and_the_count_agree_about_ids():
    relation = Relevance(by_id()).among(np.arange(6))
    assert relation.unclear[0, 1]
    assert relation.unclear[1, 0]
    assert not relation.unclear[0, 2]
    assert false_negatives(by_id(), [[0, 1, 2]]).false == 2
    assert false_negatives(by_id(), [[0, 2, 3]]).false == 0


def test_a_hard_negative_is_kept_from_those_it_is_relevant_to():
    """It is a negative of every anchor of its batch, so its own group must not be there."""
    pairs = [
        Pair("ad of a nurse", "nurse", group="n", negatives=("driver",)),
        Pair("ad of a driver", "driver", group="d", negatives=("baker",)),
        Pair("ad of a cook", "cook", group="c", negatives=("nobody",)),
        Pair("ad of a smith", "smith", group="s", negatives=("nobody",)),
    ]
    plan = schedule(pairs, batch_size=4, epochs=20, rng=np.random.default_rng(0))
    assert all(not {0, 1} <= set(batch) for batch in plan)
    assert any({2, 3} <= set(batch) for batch in plan)  # one negative of two pairs is no reason


def test_the_group_loss_leaves_out_hard_negatives_that_are_relevant():
    pairs = [
        Pair("ad of a nurse", "nurse", group="n", negatives=("driver", "cook")),
        Pair("ad of a driver", "driver", group="d", negatives=("nurse", "cook")),
        Pair("ad of a smith", "smith", group="s", negatives=("smithy", "cook")),
    ]
    hard = Relevance(pairs).among(np.array([0, 1, 2])).hard
    assert hard is not None
    assert hard.tolist() == [
        [False, True, False, False, False, False],
        [True, False, False, False, False, False],
        [False] * 6,
    ]


WORDS = st.sampled_from(["nurse", "Nurse", "driver", "baker", "cook", "smith", "clerk", "tailor"])
KEYS = st.sampled_from(["", "", "1", "2", "3"])
PAIRS = st.lists(st.builds(Pair, WORDS, WORDS, group=KEYS, anchor_id=KEYS, positive_id=KEYS), min_size=2, max_size=12)


@given(PAIRS)
@settings(max_examples=200)
def test_planned_batches_hold_no_false_negative_by_the_count(pairs):
    plan = schedule(pairs, batch_size=4, epochs=1, rng=np.random.default_rng(0))
    assert false_negatives(pairs, plan).false == 0


@given(PAIRS)
@settings(max_examples=200)
def test_what_is_counted_as_false_is_no_negative_of_the_group_loss(pairs):
    relation = Relevance(pairs).among(np.arange(len(pairs)))
    held = relation.relevant | relation.unclear
    for n in range(len(pairs)):
        for m in range(n + 1, len(pairs)):
            if false_negatives(pairs, [[n, m]]).false:
                assert held[n, m] or held[m, n]
