"""The numbers of `data inspect`, on sets small enough to count by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hrembed.data.inspect import (
    by_frequency,
    count_pairs,
    count_task,
    describe_groups,
    describe_lengths,
    factorize,
    factorize_words,
    group_sizes,
    guess_languages,
    pair_repeats,
    sample_by_label,
    sample_rows,
    spread,
    task_repeats,
)
from hrembed.records.base import as_json
from hrembed.types import Pair, Task, Text

PAIRS = [
    Pair("Head Nurse", "Nurse", group="n", kind="title", anchor_id="1", positive_id="7", family="care"),
    Pair("Head Nurse", "Nurse", group="n", kind="other", anchor_id="1", positive_id="7", family="care"),
    Pair("head nurse!", "Nurse", group="n", kind="title", anchor_id="1", positive_id="8"),
    Pair("Nurse", "Nurse", kind="title"),
    Pair("NURSE", "Nurse", group="m", kind="title", anchor_id="4", positive_id="9"),
    Pair("Baker", "makes bread", group="b", kind="title", positive_id="7"),
]


def numbered(*sides: list[str]):
    known: dict[str, int] = {}
    positions = [factorize(side, known) for side in sides]
    return list(known), *positions


def repeats(pairs: list[Pair]) -> dict[str, tuple[int, int, int]]:
    found = pair_repeats(pairs, *numbered([p.anchor for p in pairs], [p.positive for p in pairs]))
    return {name: (row.exact, row.same_words, row.of) for name, row in found.items()}


def test_pairs_are_counted():
    assert as_json(count_pairs(PAIRS)) == {
        "rows": 6,
        "kinds": {"title": 5, "other": 1},
        "groups": 3,
        "families": 1,
        "distinct_anchors": 5,
        "distinct_positives": 2,
        "rows_without": {"group": 1, "family": 4, "anchor_id": 2, "positive_id": 1},
    }


def test_repeats_are_counted_on_texts_and_on_words():
    """The third row repeats the first in other writing; `Nurse` stands in groups n and m, on either side."""
    assert repeats(PAIRS) == {
        "repeated_rows": (1, 3, 6),
        "anchor_is_positive": (1, 2, 6),
        "rows_with_a_text_of_several_groups": (4, 4, 6),
        "anchor_ids_with_several_texts": (1, 0, 2),
        "positive_ids_with_several_texts": (1, 1, 3),
    }


def test_a_text_is_ambiguous_across_the_sides_of_two_groups():
    pairs = [Pair("cook", "a", group="1"), Pair("b", "Cook", group="2"), Pair("c", "d", group="2")]
    assert repeats(pairs)["rows_with_a_text_of_several_groups"] == (0, 2, 3)


def test_rows_without_a_group_are_never_ambiguous():
    pairs = [Pair("cook", "a"), Pair("cook", "b", group="2"), Pair("cook", "c")]
    assert repeats(pairs)["rows_with_a_text_of_several_groups"] == (0, 0, 3)


def test_texts_without_words_stay_apart():
    assert factorize_words(["!!!", "???", "C++", "c++", "C#"]).tolist() == [0, 1, 2, 2, 3]


@pytest.fixture
def task() -> Task:
    queries = (Text("q1", "Nurse", "n"), Text("q2", "nurse", "m"), Text("q3", "Nurse"))
    documents = (Text("d1", "Nurse", "n"), Text("d2", "ward", "n"), Text("d3", "ward"), Text("d4", "Ward.", "m"))
    return Task("t", queries, documents, {"q1": {"d1": 2, "d2": 1}, "q2": {"d1": 1, "d3": 0}, "q3": {"d2": 1}})


def test_a_task_is_counted(task: Task):
    assert as_json(count_task(task)) == {
        "queries": 3,
        "documents": 4,
        "groups": 2,
        "distinct_queries": 2,
        "distinct_documents": 3,
        "judgements": 5,
        "grades": {"0": 1, "1": 3, "2": 1},
        "relevant_per_query": {"min": 1.0, "median": 1.0, "p95": pytest.approx(1.9), "max": 2.0},
        "documents_never_judged": 1,
        "without_group": {"queries": 1, "documents": 1},
    }


def test_repeats_of_a_task_are_counted(task: Task):
    texts = numbered([q.text for q in task.queries], [d.text for d in task.documents])
    found = task_repeats(task, *texts)
    assert {name: (row.exact, row.same_words, row.of) for name, row in found.items()} == {
        "repeated_queries": (1, 2, 3),
        "repeated_documents": (1, 2, 4),
        # q1-d1 in both views, q2-d1 in words; q2-d3 has grade 0 and is not asked.
        "query_is_relevant_document": (1, 2, 4),
        # In words: `nurse` in n (q1, d1) and m (q2), `ward` in n (d2) and m (d4); q3 and d3 name no group.
        "texts_of_several_groups": (0, 5, 7),
    }


def test_a_distribution_is_described():
    assert as_json(spread(np.arange(1, 102))) == {"min": 1.0, "median": 51.0, "p95": 96.0, "max": 101.0}
    assert as_json(spread(np.array([]))) == {"min": None, "median": None, "p95": None, "max": None}


def test_a_text_as_long_as_the_limit_is_not_cut():
    assert as_json(describe_lengths(np.array([9, 10, 11, 40]), 10)) == {
        "texts": 4, "min": 9.0, "median": 10.5, "p95": pytest.approx(35.65), "max": 40.0, "cut": 2, "cut_share": 0.5,
    }  # fmt: skip
    assert describe_lengths(np.array([9]), None).cut is None
    assert np.isnan(describe_lengths(np.array([], dtype=int), 10).cut_share)


def test_the_largest_groups_are_at_least_one():
    sizes = group_sizes(["a", "b", "", "a", "c", "", "a"])
    assert sizes.tolist() == [3, 1, 1]
    found = describe_groups(sizes)
    assert (found.groups, found.max, found.largest, found.largest_share) == (3, 3.0, 1, 0.6)
    hundred = describe_groups(np.array([50, 30, *[1] * 120]))
    assert (hundred.largest, hundred.largest_share) == (2, 0.4)
    assert np.isnan(describe_groups(group_sizes(["", ""])).largest_share)


def test_examples_are_drawn_for_every_label():
    labels = ["b"] * 50 + ["a"] * 3
    found = sample_by_label(labels, 10, 1)
    assert list(found) == ["a", "b"]
    assert found["a"] == [50, 51, 52]
    assert len(set(found["b"])) == 10
    assert found["b"] == sorted(found["b"])
    assert found == sample_by_label(labels, 10, 1) != sample_by_label(labels, 10, 2)


def test_a_sample_of_rows_keeps_their_weight():
    """Half of the rows share one text: of the distinct texts alone, that would be one in a thousand."""
    texts = ["x" * 100, *("y" * 300 + str(n) for n in range(1000))]
    sides = {"anchors": np.concatenate([np.zeros(1000, dtype=int), np.arange(1, 1001)])}
    whole = sample_rows(texts, sides, characters=10**6, seed=3)
    assert whole["anchors"].tolist() == list(range(2000))
    rows = sample_rows(texts, sides, characters=100_000, seed=3)["anchors"]
    assert 450 < len(rows) < 550
    assert 0.44 < (sides["anchors"][rows] == 0).mean() < 0.56
    assert rows.tolist() == sorted(set(rows.tolist()))


TEXTS = [
    "Wir suchen eine Pflegefachkraft für unser Team, die gerne im Schichtdienst arbeitet und Verantwortung übernimmt.",
    "We are looking for a registered nurse who enjoys working shifts and takes responsibility for the ward.",
    "Nous cherchons une infirmière qui aime travailler en équipe et qui prend soin des patients la nuit.",
    "Registered Nurse",
    "Staff Nurse Ward Four",
]


def test_languages_are_guessed_where_that_can_be_done():
    assert as_json(guess_languages(TEXTS, sample=10, seed=1)) == {
        "long_enough": 4,
        "too_short": 1,
        "sample": 4,
        "languages": {"de": 1, "en": 1, "fr": 1, "unsure": 1},
    }


@pytest.mark.parametrize("sample", [0, 2])
def test_no_more_texts_are_asked_than_wanted(sample):
    found = guess_languages(TEXTS, sample=sample, seed=1)
    assert found.sample == sum(found.languages.values()) == sample
    assert found.too_short == 1


def test_counts_are_sorted_by_frequency_then_name():
    assert list(by_frequency({"b": 1, "c": 5, "a": 1})) == ["c", "a", "b"]
