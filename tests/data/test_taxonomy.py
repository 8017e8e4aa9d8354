"""Pairs are drawn evenly, repeat to the letter, and one id never stands for two texts."""

from __future__ import annotations

import re
from collections import Counter
from random import Random

import pytest
from hrembed.data.esco import joined_skill_pairs
from hrembed.data.onet import ads_and_profiles
from hrembed.data.taxonomy import (
    BUILDERS,
    Concept,
    Counts,
    Phrase,
    across,
    distinct,
    pairs_of,
    phrase,
    within,
    without_common,
)
from hypothesis import given, settings
from hypothesis import strategies as st


def phrases(word: str, count: int) -> tuple[Phrase, ...]:
    return tuple(phrase(word, f"{word} {n}") for n in range(count))


def occupation(titles: int = 6, tasks: int = 8, tools: int = 5, key: str = "nurse") -> Concept:
    return Concept(
        id=f"x:{key}",
        family="29",
        titles=phrases(f"{key} title", titles),
        description=Phrase(f"x:{key}:description", f"What a {key} does."),
        tasks=tuple(Phrase(f"x:task:{key}{n}", f"Task {n} of the {key}.") for n in range(tasks)),
        tools=phrases(f"{key} tool", tools),
    )


@given(st.integers(0, 12), st.integers(1, 80), st.integers(0, 9))
def test_pairs_within_a_set_are_distinct_and_as_many_as_there_can_be(size, limit, seed):
    drawn = within(range(size), limit, Random(seed))
    assert len(drawn) == min(limit, size * (size - 1) // 2)
    assert len({frozenset(pair) for pair in drawn}) == len(drawn)
    assert all(a != b for a, b in drawn)
    assert drawn == within(range(size), limit, Random(seed))


@given(st.integers(0, 9), st.integers(0, 9), st.integers(1, 90), st.integers(0, 9))
def test_pairs_across_two_sets_are_distinct_and_as_many_as_there_can_be(left, right, limit, seed):
    drawn = across(range(left), range(right), limit, Random(seed))
    assert len(drawn) == len(set(drawn)) == min(limit, left * right)
    assert all(a < left and b < right for a, b in drawn)
    assert drawn == across(range(left), range(right), limit, Random(seed))


@settings(max_examples=50)
@given(st.integers(20, 300), st.integers(20, 60), st.integers(0, 99))
def test_no_item_within_a_set_is_drawn_much_more_often_than_another(size, limit, seed):
    """A ring draws each item twice; only pairs of an earlier ring, and the ring cut short, leave some behind."""
    drawn = Counter(item for pair in within(range(size), limit, Random(seed)) for item in pair)
    counts = [drawn[item] for item in range(size)]
    assert max(counts) - min(counts) <= (2 if limit <= size else 5)
    assert min(counts) >= (2 if limit >= size else 0)


@settings(max_examples=50)
@given(st.integers(2, 40), st.integers(10, 300), st.integers(0, 99))
def test_no_item_across_two_sets_is_drawn_much_more_often_than_another(left, right, seed):
    limit = min(40, left * right // 2 - 1)
    drawn = across(range(left), range(right), limit, Random(seed))
    for side, size in ((0, left), (1, right)):
        counts = Counter(pair[side] for pair in drawn)
        assert max(counts.values()) <= -(-limit // size) + 2
        assert len(counts) == min(size, limit)


def test_both_directions_of_a_pair_are_drawn():
    ahead = sum(a < b for a, b in within(range(30), 400, Random(1)))
    assert 120 < ahead < 280
    every = sum(a < b for a, b in within(range(30), 435, Random(1)))
    assert 150 < every < 285


def test_the_same_words_are_one_text_and_no_words_are_none():
    assert distinct(["Nurse", " nurse ", "NURSE!", "", "  ", "---", "Ward nurse", "C++", "C", "Straße", "STRASSE"]) == [
        "Nurse", "Ward nurse", "C++", "C", "Straße",
    ]  # fmt: skip
    assert distinct([]) == []


@given(st.lists(st.text(max_size=8), max_size=8))
def test_an_id_is_its_text(texts):
    ids: dict[str, str] = {}
    for text in texts:
        assert ids.setdefault(phrase("p", text).id, text) == text
        assert phrase("p", text) == phrase("p", text)
        assert phrase("p", text).id != phrase("q", text).id


def test_titles_of_too_many_go_but_never_the_first():
    shared, own = phrase("t", "Team leader"), phrase("t", "Baker")
    concepts = [
        Concept("a", "", (own, shared), tools=(phrase("k", "Excel"),)),
        Concept("b", "", (phrase("t", "Cook"), phrase("t", "TEAM LEADER"))),
        Concept("c", "", (shared, phrase("t", "Waiter")), tools=(phrase("k", "Word"),), related=("a",)),
    ]
    counts = Counts()
    kept = without_common(concepts, "titles", 2, counts, "titles")
    assert [[title.text for title in concept.titles] for concept in kept] == [
        ["Baker"], ["Cook"], ["Team leader", "Waiter"],
    ]  # fmt: skip
    assert counts.steps == {"titles dropped: they belong to more than 2 occupations or skills": 2}
    assert kept[2].related == ("a",)
    assert kept[2].tools == concepts[2].tools
    assert without_common(concepts, "titles", 3, Counts(), "titles") == concepts


def test_tools_of_too_many_go_although_they_stand_first():
    concepts = [Concept(key, "", (), tools=(phrase("k", "Excel"), phrase("k", key))) for key in ("a", "b")]
    counts = Counts()
    assert [concept.tools for concept in without_common(concepts, "tools", 1, counts, "tools")] == [
        (phrase("k", "a"),), (phrase("k", "b"),),
    ]  # fmt: skip
    assert sum(counts.steps.values()) == 2


@pytest.mark.parametrize(
    ("kind", "count"),
    [
        ("title", 15),
        ("description", 6),
        ("task", 20),
        ("technology", 20),
        ("occupation-skill", 20),
        ("skill", 5),
        ("canonical", 5),
    ],
)
def test_each_kind_has_its_pairs_with_group_family_and_ids(kind, count):
    concept = occupation()
    pairs = pairs_of(concept, kind, 20, "13")
    assert len(pairs) == count
    assert len({frozenset((pair.anchor, pair.positive)) for pair in pairs}) == count
    known = {item.id: item.text for item in (*concept.titles, *concept.tasks, *concept.tools, concept.description)}
    for pair in pairs:
        assert (pair.group, pair.family, pair.kind) == ("x:nurse", "29", kind)
        assert known[pair.anchor_id] == pair.anchor
        assert known[pair.positive_id] == pair.positive
        assert pair.anchor in {title.text for title in concept.titles}
    sides = {
        "title": "title",
        "description": "What",
        "task": "Task",
        "skill": "nurse title 0",
        "canonical": "nurse title 0",
    }
    assert all(sides.get(kind, "tool") in pair.positive for pair in pairs)
    assert pairs == pairs_of(concept, kind, 20, "13")
    assert kind == "description" or pairs != pairs_of(concept, kind, 20, "14")
    assert len(pairs_of(concept, kind, 3, "13")) == 3


@pytest.mark.parametrize("kind", sorted(BUILDERS))
def test_a_concept_with_one_title_and_nothing_else_gives_nothing(kind):
    assert pairs_of(Concept("x", "", phrases("only", 1)), kind, 40, "13") == []


def test_every_skill_label_leads_to_the_preferred_one():
    pairs = pairs_of(occupation(titles=4), "skill", 40, "13")
    assert {(pair.anchor, pair.positive) for pair in pairs} == {
        (f"nurse title {n}", "nurse title 0") for n in (1, 2, 3)
    }


def test_another_concept_is_another_draw():
    """The draw depends on the concept alone, not on those before it."""
    first, second = (pairs_of(occupation(20, key=key), "title", 5, "13") for key in ("nurse", "baker"))
    assert [pair.anchor[-2:] for pair in first] != [pair.anchor[-2:] for pair in second]


@settings(max_examples=50)
@given(st.integers(4, 12), st.integers(0, 12), st.integers(1, 6), st.integers(1, 6), st.integers(0, 99))
def test_ads_and_profiles_share_no_sentence_and_no_tool(tasks, tools, ads, profiles, seed):
    concept = occupation(tasks=tasks, tools=tools)
    pairs = ads_and_profiles(concept, ads, profiles, 40, str(seed))
    assert 1 <= len(pairs) <= min(40, ads * profiles)
    assert len({(pair.anchor_id, pair.positive_id) for pair in pairs}) == len(pairs)
    for side in ("anchor", "positive"):
        texts = {(getattr(pair, f"{side}_id"), getattr(pair, side)) for pair in pairs}
        assert len({key for key, _ in texts}) == len({text for _, text in texts}) == len(texts)
    for task in concept.tasks:
        assert not (any(task.text in p.anchor for p in pairs) and any(task.text in p.positive for p in pairs))
    wanted, offered = (set().union(*(_tools(getattr(pair, side)) for pair in pairs)) for side in ("anchor", "positive"))
    assert not wanted & offered


def _tools(text: str) -> set[str]:
    """Names of tools in a composed text, each "nurse tool N"."""
    words = text.replace(",", " ").replace(".", " ").split()
    return {f"nurse tool {words[n + 2]}" for n in range(len(words) - 2) if words[n : n + 2] == ["nurse", "tool"]}


def test_an_ad_names_a_title_and_a_profile_none():
    concept = occupation(titles=3, tasks=12, tools=12)
    pairs = ads_and_profiles(concept, 5, 5, 40, "13")
    titles = [title.text for title in concept.titles]
    assert all(any(title in pair.anchor for title in titles) for pair in pairs)
    assert not any(title in pair.positive for title in titles for pair in pairs)
    assert not any("What a nurse does" in pair.anchor + pair.positive for pair in pairs)
    assert {(pair.group, pair.family, pair.kind) for pair in pairs} == {("x:nurse", "29", "ad-profile")}
    assert pairs == ads_and_profiles(concept, 5, 5, 40, "13")
    assert pairs != ads_and_profiles(concept, 5, 5, 40, "14")


def test_three_tasks_are_too_few_for_an_ad_and_a_profile():
    assert ads_and_profiles(occupation(tasks=3), 3, 4, 40, "13") == []
    assert ads_and_profiles(occupation(tasks=4, tools=0), 3, 4, 40, "13")


def test_a_line_of_several_skills_names_each_by_another_label_and_is_paired_with_what_they_are_called():
    skills = [
        Concept(
            id=f"esco-skill:{n}",
            family="",
            titles=tuple(
                Phrase(f"s{n}:{k}", f"{word} number {n}") for k, word in enumerate(("plan", "devise", "draft"))
            ),
        )
        for n in range(40)
    ]
    skills.append(Concept(id="esco-skill:alone", family="", titles=(Phrase("alone", "swim"),)))
    lines = list(joined_skill_pairs(skills, 2, "13"))
    assert lines == list(joined_skill_pairs(skills, 2, "13"))
    assert lines != list(joined_skill_pairs(skills, 2, "14"))
    stands_in = Counter(pair.group for line in lines for pair in line)
    assert max(stands_in.values()) == 2
    assert len(stands_in) >= 39  # at most one of a turn is left over
    assert "esco-skill:alone" not in stands_in
    for line in lines:
        assert 2 <= len(line) <= 4
        assert len({pair.anchor for pair in line}) == len({pair.anchor_id for pair in line}) == 1
        for pair in line:
            number = pair.group.removeprefix("esco-skill:")
            assert pair.positive == f"plan number {number}"
            assert re.search(rf"(devise|draft) number {number}\b", line[0].anchor)
        assert "plan" not in line[0].anchor
