"""Slices of a task: every label worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hrembed.errors import DataError
from hrembed.evaluation.slices import BUILT_IN, SliceSettings, score_slices, slice_labels
from hrembed.types import Task, Text
from scipy import stats


def task_of(*queries, documents=(), relevant=None):
    """Queries given as texts or records; `relevant`: document ids with grade 1 of each query."""
    texts = [query if isinstance(query, Text) else Text(f"q{n}", query) for n, query in enumerate(queries)]
    found = relevant or [()] * len(texts)
    qrels = {text.id: dict.fromkeys(keys, 1) for text, keys in zip(texts, found, strict=True)}
    return Task("jobs/test", tuple(texts), tuple(documents), qrels)


def words(count):
    return " ".join(["word"] * count)


@pytest.mark.parametrize(
    ("lengths", "labels"),
    [
        (range(1, 10), ["1-3 words"] * 3 + ["4-6 words"] * 3 + ["7-9 words"] * 3),
        ([2, 1, 20, 9, 3, 8], ["1-2 words", "1-2 words", "9-20 words", "9-20 words", "3-8 words", "3-8 words"]),
        ([5, 5, 5, 5], ["5 words"] * 4),
        ([1, 1, 7, 7], ["1 word", "1 word", "7 words", "7 words"]),
        ([1, 1, 1, 1, 1, 2, 40], ["1 word"] * 5 + ["2-40 words"] * 2),
    ],
)
def test_length_cuts_the_task_in_three_where_its_lengths_allow(lengths, labels):
    assert slice_labels(task_of(*map(words, lengths)), "length") == labels


def test_overlap_counts_content_words_in_the_best_relevant_document():
    documents = [
        Text("d1", "Dresses WOUNDS; on the ward."),
        Text("d2", "nurse"),
        Text("other", "baker of bread nurse ward wounds dresses"),
        Text("long", "w1 w2 w3"),
    ]
    queries = {
        "nurse for the ward who dresses wounds": (["d1", "d2"], "half (34-66 %)"),  # 3 of 5 in d1, 1 in d2
        "the nurse, on the ward": (["other"], "all (100 %)"),  # stop words are not asked
        "Ward! baker bread": (["d1"], "some (1-33 %)"),  # a third
        "ward wounds baker": (["d1"], "half (34-66 %)"),  # two thirds
        "ward wounds dresses baker": (["d1"], "most (67-99 %)"),
        "baker baker baker ward": (["d1"], "half (34-66 %)"),  # a word counts once
        "wards": (["d1"], "none"),
        " ".join(f"w{n}" for n in range(3, 400)): (["long"], "some (1-33 %)"),  # one of 397
        "of the": (["d1"], None),
        "ward": ([], None),
    }
    found = slice_labels(
        task_of(*queries, documents=documents, relevant=[keys for keys, _ in queries.values()]), "overlap"
    )
    assert found == [label for _, label in queries.values()]


def test_relevant_counts_grades_above_zero():
    counts = [0, 1, 2, 5, 6, 40]
    task = task_of(*["text"] * 6, relevant=[[f"d{n}" for n in range(count)] for count in counts])
    task.qrels["q1"]["judged-not-relevant"] = 0
    assert slice_labels(task, "relevant") == ["none", "1", "2-5", "2-5", "6 or more", "6 or more"]


def test_seniority_knows_whole_words_only():
    titles = {
        "Senior Nurse": "senior",
        "Sr. Developer": "senior",
        "Ward lead": "senior",
        "(Vice-President) Sales": "senior",
        "Entry-level Analyst": "junior",
        "Trainee": "junior",
        "Junior to the Head of Sales": "both",
        "Leader, internal misleading overheads": "not said",
        "Level entry": "not said",
    }
    assert slice_labels(task_of(*titles), "seniority") == list(titles.values())


def test_language_is_said_only_where_sure():
    queries = [
        "Wir suchen eine Pflegefachkraft für unser Team, die gerne im Schichtdienst arbeitet.",
        "We are looking for a registered nurse who enjoys working shifts on the ward.",
        "Registered Nurse",
        "leads the team of nurses",  # English with 0.80
        "Kindergärtnerin für Flüchtlingskinder",  # German with 0.96, but three words
        "Fahrer für die Straßenbahn",  # four
    ]
    assert slice_labels(task_of(*queries), "language") == ["de", "en", "unsure", "unsure", "unsure", "de"]


FIELDS = task_of(
    Text("a", "x", "nurse", {"family": "care", "country": "DE"}),
    Text("b", "x", "", {"family": ""}),
    Text("c", "x", "baker", {"country": "FR", "empty": ""}),
    Text("d", "x", "baker"),
    documents=[
        Text("d1", "x", fields={"branch": "health"}),
        Text("d2", "x", fields={"branch": "health"}),
        Text("d3", "x", fields={"branch": "food"}),
        Text("d4", "x"),
    ],
    relevant=[["d1", "d2"], ["d1", "d3"], ["d1", "d4"], ["d4"]],
)


@pytest.mark.parametrize(
    ("by", "labels"),
    [
        ("group", ["nurse", None, "baker", "baker"]),
        ("family", ["care", None, None, None]),
        ("query:family", ["care", None, None, None]),
        ("query:country", ["DE", None, "FR", None]),
        ("document:branch", ["health", "mixed", "mixed", None]),
    ],
)
def test_groups_and_fields(by, labels):
    assert slice_labels(FIELDS, by) == labels


def test_a_document_that_is_judged_not_relevant_has_no_say():
    documents = [Text("d1", "x", fields={"branch": "health"}), Text("d2", "x", fields={"branch": "food"})]
    task = task_of("x", documents=documents, relevant=[["d1"]])
    task.qrels["q0"]["d2"] = 0
    assert slice_labels(task, "document:branch") == ["health"]


@pytest.mark.parametrize(
    "by", ["lenght", "query:branch", "document:country", "query:empty", "query:", "country", "document:"]
)
def test_what_is_not_there_is_refused_with_what_is(by):
    with pytest.raises(DataError, match=f"'jobs/test' has no slices by '{by}'") as caught:
        slice_labels(FIELDS, by)
    there = ", ".join([*BUILT_IN, "query:country", "query:family", "document:branch"])
    assert caught.value.hint == f"available slices: {there}"


def test_family_is_a_field_like_any_other_and_may_be_missing():
    with pytest.raises(DataError, match="no slices by 'family'") as caught:
        slice_labels(task_of("x"), "family")
    assert caught.value.hint == "available slices: length, overlap, shared-words, relevant, seniority, language, group"


def slices_of(values, labels, groups=None, **options):
    settings = SliceSettings(**{"min_queries": 1, "seed": 3, "unit": "items", **options})
    return score_slices(values, labels, groups or [""] * len(labels), settings)


def rows_of(values, labels, groups=None, **options):
    return slices_of(values, labels, groups, **options).rows


def test_every_slice_and_model_has_a_row_with_what_is_defined():
    labels = ["b", "a", None, "a", "a", "b"]
    first = np.array([1.0, 0.2, 0.9, 0.4, np.nan, 0.25])
    second = np.array([0.5, 0.1, 0.9, 0.6, 0.5, 0.25])
    rows = rows_of({"first": first, "second": second}, labels)
    assert [(row.slice, row.model, row.queries, row.score.undefined) for row in rows] == [
        ("a", "first", 2, 1),
        ("a", "second", 3, 0),
        ("b", "first", 2, 0),
        ("b", "second", 2, 0),
    ]
    assert [row.score.value for row in rows] == pytest.approx([0.3, 0.4, 0.625, 0.375])
    assert [row.against_first is None for row in rows] == [True, False, True, False]
    found = rows[1].against_first  # over the two queries that both define: -0.1, +0.2
    assert found.difference.value == pytest.approx(0.05)
    assert (found.queries, found.difference.undefined, found.better, found.worse) == (2, 1, 1, 1)
    assert rows[3].against_first.difference.value == pytest.approx(-0.25)
    assert (rows[3].against_first.better, rows[3].against_first.worse) == (0, 1)  # and one equal
    assert all(row.note == "" for row in rows)


def test_intervals_are_those_of_whole_groups():
    """Four copies of a query in one group say no more than one."""
    rng = np.random.default_rng(0)
    once, other = rng.uniform(size=(2, 40))
    groups = [f"g{n // 4}" for n in range(160)]
    values = {"first": np.repeat(once, 4), "second": np.repeat(other, 4)}
    # Queries of no slice stand in front, so that groups must be taken from the slice's own places.
    longer = {model: np.concatenate([np.ones(40), column]) for model, column in values.items()}
    copied = rows_of(longer, [None] * 40 + ["s"] * 160, [""] * 40 + groups)[1]
    single = rows_of({"first": once, "second": other}, ["s"] * 40)[1]
    assert (copied.queries, copied.score.n, single.score.n) == (160, 40, 40)
    # Student's interval: the bootstrap's agrees with it to a tenth of its width.
    for found, sample in ((copied.score, other), (copied.against_first.difference, other - once)):
        exact = stats.t.interval(0.95, 39, sample.mean(), stats.sem(sample))
        assert (found.low, found.high) == pytest.approx(exact, abs=(exact[1] - exact[0]) / 10)
    assert (single.score.low, single.score.high) == pytest.approx((copied.score.low, copied.score.high), abs=0.02)


def test_the_level_and_the_resamples_reach_the_bootstrap():
    values = {"m": np.random.default_rng(0).uniform(size=60)}
    wide, narrow = (rows_of(values, ["s"] * 60, confidence=level)[0].score for level in (0.99, 0.5))
    assert wide.low < narrow.low < narrow.high < wide.high
    assert narrow.high - narrow.low < 0.4 * (wide.high - wide.low)
    one = rows_of(values, ["s"] * 60, resamples=1)[0].score
    assert one.low == one.high


def test_a_slice_does_not_depend_on_the_others():
    values = np.random.default_rng(0).uniform(size=50)
    labels = ["a"] * 20 + ["b"] * 30
    alone = rows_of({"m": values[20:]}, labels[20:])
    assert tuple(row for row in rows_of({"m": values}, labels) if row.slice == "b") == alone
    assert rows_of({"m": values[20:]}, labels[20:], seed=4) != alone


def test_too_few_queries_are_told_in_place_of_a_number():
    first = np.array([0.5] * 20 + [np.nan])
    second = np.array([np.nan, *[0.25] * 20])
    few, more, _ = (
        rows_of({"first": first, "second": second}, ["s"] * 21, min_queries=least) for least in (21, 20, 19)
    )
    for row in few:
        assert all(math.isnan(number) for number in (row.score.value, row.score.low, row.score.high))
        assert row.note == "too few queries (20 < 21)"
        assert (row.queries, row.score.undefined) == (20, 1)
    assert [row.score.value for row in more] == [0.5, 0.25]
    assert math.isnan(more[1].against_first.difference.value)
    assert more[1].against_first.note == "too few queries (19 < 20)"


def test_one_group_has_a_mean_but_no_interval():
    row = rows_of({"m": np.array([0.2, 0.4])}, ["s", "s"], ["g", "g"])[0]
    assert row.score.value == pytest.approx(0.3)
    assert math.isnan(row.score.low)
    assert math.isnan(row.score.high)
    assert row.note == "no interval: one group"


@pytest.mark.parametrize(
    "ordered",
    [
        ["2-3 words", "4-9 words", "10-12 words"],
        ["none", "some (1-33 %)", "half (34-66 %)", "most (67-99 %)", "all (100 %)"],
        ["none", "1", "2-5", "6 or more"],
        ["1 word", "2 words", "3-40 words"],
        ["1999", "2024"],
        ["z", "3M", "a", "b"],  # names: by size, equal ones by name
    ],
)
def test_bounds_ascend_and_names_go_by_size(ordered):
    labels = [label for label in ordered for _ in range(2)][::-1] + ["z", "z", "3M"] * ("z" in ordered)
    assert [row.slice for row in rows_of({"m": np.zeros(len(labels))}, labels)] == ordered


def test_of_many_slices_the_largest_stay():
    labels = [f"name {n:02}" for n in range(33) for _ in range(2 + (n > 30))]
    found = slices_of({"first": np.zeros(len(labels)), "second": np.zeros(len(labels))}, labels)
    assert len(found.rows) == 60
    assert [row.slice for row in found.rows[:6:2]] == ["name 31", "name 32", "name 00"]
    assert found.rows[59].slice == "name 27"
    assert (found.slices_left_out, found.queries_left_out) == (3, 6)
    all_of_them = slices_of({"m": np.zeros(30)}, [f"n{n}" for n in range(30)])
    assert (len(all_of_them.rows), all_of_them.slices_left_out) == (30, 0)


def test_lengths_must_agree():
    with pytest.raises(ValueError, match=r"differ in length: \[2, 3\]"):
        rows_of({"m": np.zeros(3)}, ["a", "b"])
    with pytest.raises(ValueError, match=r"differ in length: \[1, 2\]"):
        rows_of({"m": np.zeros(2)}, ["a", "b"], ["g"])
