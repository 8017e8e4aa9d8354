"""What of a task occurs in training, told apart by what and how."""

from __future__ import annotations

import numpy as np
import pytest
from hrembed.data.leaks import MATCHES, TrainingTexts
from hrembed.data.near_duplicates import Near, near_matches
from hrembed.data.negatives import false_negatives
from hrembed.text import normalise
from hrembed.training.batches import schedule
from hrembed.types import Pair, Task, Text

NEAR = Near(min_words=5, max_changed=0.2)
QUERY, ANSWER = "Nurse for the night shift wanted", "Cared for patients on a ward at night"
OTHER = "Repaired the brakes of many cars"
TASK = Task(
    "ward",
    (Text("q1", QUERY, "nurse"), Text("q2", "Car mechanic", "mechanic")),
    (Text("d1", ANSWER, "nurse"), Text("d2", OTHER, "mechanic"), Text("d3", "Never relevant to anyone", "")),
    {"q1": {"d1": 2, "d3": 0}, "q2": {"d2": 1}},
)


def leaks(*pairs: Pair, match=MATCHES, task: Task = TASK):
    (found,) = TrainingTexts(pairs, match, NEAR).leaks([task], lambda steps, note: None)
    return found


def found_by(found, part):
    return {match: count for match, count in found.leaks[part].by.items() if count}


def test_a_clean_set_has_nothing():
    found = leaks(Pair("Baker", "Bakes bread early in the morning", "baker"))
    assert [leak.share for leak in found.leaks.values()] == [0, 0, 0]
    assert not any(found.rows.values())
    assert {part: leak.total for part, leak in found.leaks.items()} == {"documents": 3, "queries": 2, "pairs": 2}


def test_documents_queries_and_pairs_are_told_apart():
    document = leaks(Pair("Something else", ANSWER))
    assert found_by(document, "documents") == {"exact": 1}
    assert not found_by(document, "queries") | found_by(document, "pairs")
    query = leaks(Pair(QUERY, "Something else"))
    assert found_by(query, "queries") == {"exact": 1}
    assert not found_by(query, "documents") | found_by(query, "pairs")
    both = leaks(Pair("a", "b"), Pair(QUERY, ANSWER))
    assert found_by(both, "pairs") == {"exact": 1}
    assert both.rows["pairs"] == {1: "exact"}
    assert both.leaks["pairs"].share == 0.5
    assert (both.leaks["pairs"].occur, both.leaks["pairs"].rows) == (1, 1)


def test_a_query_with_an_irrelevant_document_is_no_answer():
    assert not found_by(leaks(Pair(QUERY, OTHER)), "pairs")
    assert not found_by(leaks(Pair(QUERY, "Never relevant to anyone")), "pairs")


def test_the_sides_may_be_exchanged():
    assert found_by(leaks(Pair(ANSWER, QUERY)), "pairs") == {"exact": 1}


@pytest.mark.parametrize(
    ("text", "how"),
    [
        ("NURSE, for the night-shift; wanted!", "exact"),
        ("\uff4e\uff55rse for the night shift wanted", "exact"),  # full-width letters
        ("Nurse for the late shift wanted", "near"),
        ("Nurse for night the shift wanted", "near"),
        ("Nurse for the night shift wanted now", "near"),
        ("Wanted for the night shift: nurse", "near"),
        ("Doctor for the late shift wanted", None),
    ],
)
def test_how_a_text_is_recognised(text, how):
    found = leaks(Pair(text, ANSWER))
    assert found_by(found, "queries") == ({how: 1} if how else {})
    assert found_by(found, "pairs") == ({how: 1} if how else {})


def test_short_texts_are_only_compared_for_equality():
    assert found_by(leaks(Pair("Truck mechanic", OTHER)), "queries") == {}
    assert found_by(leaks(Pair("car-mechanic", OTHER)), "queries") == {"exact": 1}


def test_a_short_text_is_not_near_a_long_one():
    count = lambda steps, note: None  # noqa: E731
    four, five = "one two three four", "one two three four five"
    assert list(near_matches([five + " six"], [five], NEAR, count)) == [(0, 0)]
    assert not list(near_matches([four], [five], NEAR, count)) + list(near_matches([five], [four], NEAR, count))


def test_ids_count_but_plain_numbers_do_not():
    assert found_by(leaks(Pair("x", "y", anchor_id="q1", positive_id="d1")), "pairs") == {"id": 1}
    numbered = Task("n", (Text("1", QUERY),), (Text("2", ANSWER),), {"1": {"2": 1}})
    assert not found_by(leaks(Pair("x", "y", anchor_id="1", positive_id="2"), task=numbered), "pairs")


def test_the_group_of_a_query_gives_its_answers_away():
    found = leaks(Pair("x", "y", "nurse"), Pair("v", "w", "baker"))
    assert found_by(found, "pairs") == {"group": 1}
    assert found.rows["pairs"] == {0: "group"}
    assert not found_by(found, "documents") | found_by(found, "queries")


def test_both_texts_in_one_training_group_are_an_answer():
    ring = [Pair(QUERY, "staff nurse", "g7"), Pair("staff nurse", ANSWER, "g7"), Pair("ward nurse", "matron", "g7")]
    found = leaks(*ring)
    assert found_by(found, "pairs") == {"group": 1}
    assert set(found.rows["pairs"]) == {0, 1}
    apart = leaks(Pair(QUERY, "staff nurse", "g7"), Pair("staff nurse", ANSWER, "g8"))
    assert not found_by(apart, "pairs")


def test_a_query_that_equals_its_answer_is_not_trained_by_standing_there():
    same = Task("s", (Text("q", "Baker"),), (Text("d", "baker"),), {"q": {"d": 1}})
    assert not found_by(leaks(Pair("Baker", "Bakes bread", "g"), task=same), "pairs")


def test_what_is_not_asked_for_is_not_looked_at():
    rows = (Pair(QUERY, ANSWER, "nurse", anchor_id="q2"),)
    assert found_by(leaks(*rows, match=("exact",)), "pairs") == {"exact": 1}
    assert found_by(leaks(*rows, match=("id",)), "queries") == {"id": 1}
    assert found_by(leaks(*rows, match=("group",)), "pairs") == {"group": 1}
    assert not found_by(leaks(*rows, match=("near",)), "pairs")


def test_each_counts_once_at_its_strongest():
    found = leaks(Pair("Nurse for the late shift wanted", ANSWER, "nurse"), Pair(QUERY, ANSWER, "g"))
    assert found_by(found, "pairs") == {"exact": 1}
    assert found.rows["pairs"] == {0: "near", 1: "exact"}


def test_near_texts_agree_with_comparing_everything_with_everything():
    """Against the definition, on texts close enough to be missed."""
    rng = np.random.default_rng(5)
    words = [f"w{n}" for n in range(60)]
    targets = sorted({" ".join(rng.choice(words, size=rng.integers(5, 13))) for _ in range(120)})
    texts = set()
    for target in targets:
        for _ in range(4):
            changed = target.split()
            for place in rng.choice(len(changed), size=rng.integers(1, 4), replace=False):
                changed[place] = str(rng.choice(words))
            texts.add(" ".join(changed))
    texts = sorted(texts - set(targets))
    found = set(near_matches(texts, targets, NEAR, lambda steps, note: None))
    expected = {
        (n, m)
        for n, text in enumerate(texts)
        for m, target in enumerate(targets)
        if len(text.split()) == len(target.split())
        and sum(a != b for a, b in zip(text.split(), target.split(), strict=True)) <= int(0.2 * len(text.split()))
    }
    assert len(expected) > 200
    assert len(expected - found) <= 0.01 * len(expected)  # MinHash may miss one in a hundred
    assert all(abs(len(texts[n].split()) - len(targets[m].split())) <= 2 for n, m in found)


def test_normalised_texts_keep_what_tells_skills_apart():
    assert normalise("  Senior-Developer (C++), .NET & C#! ") == "senior developer c++ net c#"
    assert normalise("Straße") == normalise("STRASSE")
    assert normalise("—…!") == ""
    printable = "".join(map(chr, range(128)))
    assert normalise(printable) == normalise(printable + "\u2026"), "ASCII takes a path of its own"


def test_false_negatives_are_counted_by_group_and_avoided_by_our_batches():
    pairs = [
        Pair("Team leader", "Leads a shop", "shop"),
        Pair("Team Leader", "Leads a crew", "crew"),
        Pair("Foreman", "Leads builders", "crew"),
        Pair("Baker", "Bakes", "bakery"),
    ]
    together = false_negatives(pairs, [[0, 1, 2, 3]])
    # Relevant: 0 and 1 both ways (one title), 0 to 2's positive and 1 to it (title stands in crew), 2 to 1's; of 12.
    assert (together.false, together.all) == (5, 12)
    assert together.share == 5 / 12
    assert false_negatives(pairs, [[0, 3], [2, 3]]).share == 0
    assert np.isnan(false_negatives(pairs, []).share)
    same = false_negatives([Pair("Cook", "Cooks"), Pair("Chef", "cooks!")], [[0, 1]])
    assert (same.false, same.all) == (2, 2)
    batches = schedule(pairs, batch_size=4, epochs=5, rng=np.random.default_rng(0))
    assert false_negatives(pairs, batches).false == 0
