"""Groups to sides, and sides to tasks."""

from __future__ import annotations

import hashlib
from collections import Counter

import pytest
from hrembed.data.split import assign_groups, build_task, group_of
from hrembed.types import Pair
from hypothesis import given
from hypothesis import strategies as st


def rows(families: dict[str, int]) -> list[Pair]:
    return [
        Pair(f"anchor {family} {n}", f"positive {family} {n} {m}", f"{family}{n}", family=family)
        for family, size in families.items()
        for n in range(size)
        for m in range(3)
    ]


def sizes(sides, pairs, family: str) -> Counter[str]:
    return Counter(sides[group] for group in {group_of(p) for p in pairs if p.family == family})


def test_families_keep_their_share_on_every_side():
    pairs = rows({"care": 40, "trade": 20, "food": 11, "law": 1})
    sides = assign_groups(pairs, dev=0.15, test=0.25, seed=1)
    assert Counter(sides.values()) == {"train": 43, "dev": 11, "test": 18}
    for family, size in (("care", 40), ("trade", 20), ("food", 11)):
        held_out = sizes(sides, pairs, family)["dev"] + sizes(sides, pairs, family)["test"]
        assert abs(held_out - 0.4 * size) < 1
        assert abs(sizes(sides, pairs, family)["test"] - 0.25 * size) < 2


@given(
    st.dictionaries(st.text("abc", min_size=1, max_size=2), st.integers(1, 30), min_size=1, max_size=5),
    st.floats(0, 0.4), st.floats(0.05, 0.4), st.integers(0, 9),
)  # fmt: skip
def test_every_group_has_one_side_and_shares_hold(families, dev, test, seed):
    pairs = rows(families)
    sides = assign_groups(pairs, dev=dev, test=test, seed=seed)
    assert set(sides) == {group_of(pair) for pair in pairs}
    counts = Counter(sides.values())
    assert abs(counts["dev"] + counts["test"] - (dev + test) * len(sides)) <= 1
    assert abs(counts["test"] - test * len(sides)) <= 2


def test_seeds_repeat_and_differ_and_order_does_not_matter():
    pairs = rows({"care": 30, "trade": 30})
    first = assign_groups(pairs, dev=0.2, test=0.2, seed=1)
    assert first == assign_groups(pairs[::-1], dev=0.2, test=0.2, seed=1)
    assert first != assign_groups(pairs, dev=0.2, test=0.2, seed=2)


def test_pairs_without_a_group_are_kept_together_by_their_anchor():
    assert group_of(Pair("Senior  Nurse!", "a")) == group_of(Pair("senior nurse", "b"))
    assert group_of(Pair("Nurse", "a")) != group_of(Pair("Baker", "a"))


def task_of(pairs, related=None, *, by_pair=False, limit=100):
    return build_task("t", pairs, related or {}, by_pair=by_pair, max_queries=limit, seed=0)


AD = [Pair(f"ad {g}{n}", f"profile {g}{n}", g, "ad-profile") for g in "abc" for n in range(2)]


def answers(task) -> dict[str, dict[str, int]]:
    texts = {text.id: text.text for text in (*task.queries, *task.documents)}
    return {texts[q]: {texts[d]: grade for d, grade in judged.items()} for q, judged in task.qrels.items()}


def test_all_documents_of_the_group_answer_a_query():
    found = answers(task_of(AD))
    assert found["ad a0"] == {"profile a0": 1, "profile a1": 1}
    assert len(found) == 6


def test_related_groups_are_half_an_answer():
    found = answers(task_of(AD, {"a": ["b"]}))
    assert found["ad a0"] == {"profile a0": 2, "profile a1": 2, "profile b0": 1, "profile b1": 1}
    assert found["ad b0"] == {"profile b0": 2, "profile b1": 2}


def test_a_document_of_the_own_group_is_a_whole_answer_even_if_it_is_also_a_related_one():
    shared = [*AD, Pair("ad c9", "profile a0", "c", "ad-profile")]
    assert answers(task_of(shared, {"a": ["c"]}))["ad a0"]["profile a0"] == 2


def test_a_query_without_any_document_is_left_out():
    asking = [f"t{n}" for n in range(40) if hashlib.sha256(f"t{n}".encode()).digest()[0] % 2][:2]
    ring = [Pair(asking[0], asking[1], "g"), Pair(asking[1], asking[0], "g")]
    assert not task_of(ring).queries
    assert {query.text for query in task_of([*ring, *AD]).queries} == {pair.anchor for pair in AD}


def test_by_pair_only_the_paired_document_answers():
    assert answers(task_of(AD, by_pair=True))["ad a1"] == {"profile a1": 1}


def test_a_text_of_several_groups_is_relevant_to_each():
    pairs = [
        Pair("leader", "leads a shop", "shop"),
        Pair("leader", "leads a crew", "crew"),
        Pair("foreman", "x", "crew"),
    ]
    found = answers(task_of(pairs))
    assert found["leader"] == {"leads a shop": 1, "leads a crew": 1, "x": 1}
    assert found["foreman"] == {"leads a crew": 1, "x": 1}


def test_no_text_is_query_and_document_at_once():
    ring = [Pair(f"title {n}", f"title {(n + 1) % 40}", "g") for n in range(40)]
    task = task_of(ring)
    queries, documents = {q.text for q in task.queries}, {d.text for d in task.documents}
    assert not queries & documents
    assert queries | documents == {pair.anchor for pair in ring}
    assert min(len(queries), len(documents)) >= 10


def test_groups_take_turns_when_queries_are_many():
    pairs = [
        Pair(f"q {g} {n}", f"d {g}", g) for g, size in (("big", 50), ("small", 3), ("tiny", 1)) for n in range(size)
    ]
    counts = Counter(query.group for query in task_of(pairs, limit=10).queries)
    assert counts == {"big": 6, "small": 3, "tiny": 1}


def test_ids_are_kept_where_they_are_given_once():
    pairs = [
        Pair("a", "x", "g", anchor_id="A", positive_id="X"),
        Pair("b", "y", "g", anchor_id="A"),  # a second text under the first one's id
    ]
    task = task_of(pairs)
    assert len({query.id for query in task.queries}) == 2
    assert task.queries[0].id == "A" or task.queries[1].id == "A"
    assert {document.id for document in task.documents} > {"X"}


@pytest.mark.parametrize("limit", [1, 2, 5])
def test_never_more_queries_than_asked(limit):
    assert len(task_of(AD, limit=limit).queries) == limit
