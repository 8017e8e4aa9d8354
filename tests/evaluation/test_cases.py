"""Single queries: the worst ones, and where two models differ."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hrembed.evaluation.cases import won_lost, worst_cases
from hrembed.records.cases import RelevantDocument, SideBySide
from hrembed.types import Ranking, Task, Text

DOCUMENTS = tuple(Text(f"d{n}", f"text of d{n}") for n in range(8))
QUERIES = tuple(Text(f"q{n}", f"text of q{n}") for n in range(5))
QRELS = {
    "q0": {"d0": 1},
    "q1": {"d1": 1, "d2": 3, "d3": 0, "d4": 2, "d5": 1, "d6": 1, "d7": 1},
    "q2": {},
    "q3": {"d5": 1, "d7": 1},  # d7 is the last of the corpus: no -1 may be taken for it
    "q4": {"d7": 1},
}
TASK = Task("jobs/test", QUERIES, DOCUMENTS, QRELS)


def ranking(*rows):
    """Positions by rank; scores 0.9, 0.8, ..."""
    documents = np.array(rows)
    scores = np.where(documents >= 0, 0.9 - 0.1 * np.arange(documents.shape[1]), -np.inf).astype(np.float32)
    return Ranking(documents, scores)


FIRST = ranking([0, 1, 2, 3], [3, 7, 0, 1], [0, 1, 2, 3], [5, -1, -1, -1], [6, 7, 0, 1])
SECOND = ranking([1, 0], [2, 4], [0, 1], [0, 1], [7, 6])


def by_hash(*keys):
    return sorted(keys, key=lambda key: hashlib.sha256(key.encode()).hexdigest())


def test_the_lowest_values_come_first_and_undefined_ones_never():
    values = np.array([0.7, 0.1, np.nan, 0.4, 0.0])
    found = worst_cases(TASK, FIRST, values, n=3)
    assert [(case.query, case.text, case.value) for case in found] == [
        ("q4", "text of q4", 0.0),
        ("q1", "text of q1", 0.1),
        ("q3", "text of q3", 0.4),
    ]
    assert len(worst_cases(TASK, FIRST, values, n=100)) == 4
    assert worst_cases(TASK, FIRST, np.full(5, np.nan), n=3) == []


def test_equal_values_go_by_the_hash_of_the_id():
    found = [case.query for case in worst_cases(TASK, FIRST, np.zeros(5), n=5)]
    assert found == by_hash("q0", "q1", "q2", "q3", "q4")
    assert found != sorted(found)


def test_what_stood_first_and_what_should_have():
    case = worst_cases(TASK, FIRST, np.array([1, 0, 1, 1, 1.0]), n=1, top=3)[0]
    assert [(entry.id, entry.grade) for entry in case.ranked_first] == [("d3", 0), ("d7", 1), ("d0", None)]
    assert case.ranked_first[0].text == "text of d3"
    assert [entry.score for entry in case.ranked_first] == pytest.approx([0.9, 0.8, 0.7])
    # d2 and d4 by grade; then d7 and d1 as they were found; then the corpus decides for d5 against d6.
    assert case.relevant == 6
    assert case.should_have == (
        RelevantDocument(id="d2", text="text of d2", grade=3, rank=None),
        RelevantDocument(id="d4", text="text of d4", grade=2, rank=None),
        RelevantDocument(id="d7", text="text of d7", grade=1, rank=2),
        RelevantDocument(id="d1", text="text of d1", grade=1, rank=4),
        RelevantDocument(id="d5", text="text of d5", grade=1, rank=None),
    )


def test_a_short_ranking_shows_only_what_it_has():
    case = worst_cases(TASK, FIRST, np.array([1, 1, 1, 0, 1.0]), n=1)[0]
    assert [entry.id for entry in case.ranked_first] == ["d5"]
    assert [(entry.id, entry.rank) for entry in case.should_have] == [("d5", 1), ("d7", None)]
    unjudged = worst_cases(TASK, FIRST, np.array([1, 1, 0, 1, 1.0]), n=1)[0]
    assert (unjudged.relevant, unjudged.should_have) == (0, ())


def test_won_is_where_the_first_is_above_the_second():
    first = np.array([1.0, 0.2, 0.5, 1.0, 0.5])
    second = np.array([0.5, 0.4, np.nan, 0.0, 1.0])
    found = won_lost(TASK, first, second, FIRST, SECOND, n=5)
    assert (found.won, found.lost, found.tied, found.undefined) == (2, 2, 0, 1)
    assert found.most_won == (
        SideBySide(query="q3", text="text of q3", first=1.0, second=0.0, first_rank=1, second_rank=None),
        SideBySide(query="q0", text="text of q0", first=1.0, second=0.5, first_rank=1, second_rank=2),
    )
    assert found.most_lost == (
        SideBySide(query="q4", text="text of q4", first=0.5, second=1.0, first_rank=2, second_rank=1),
        SideBySide(query="q1", text="text of q1", first=0.2, second=0.4, first_rank=2, second_rank=1),
    )
    swapped = won_lost(TASK, second, first, SECOND, FIRST, n=0)
    assert (swapped.won, swapped.lost, swapped.undefined) == (2, 2, 1)
    assert swapped.most_won == swapped.most_lost == ()
    fewer = won_lost(TASK, first, second, FIRST, SECOND, n=1)
    assert [entry.query for entry in fewer.most_won + fewer.most_lost] == ["q3", "q4"]
    assert (fewer.won, fewer.lost) == (2, 2)


def test_ties_are_exact_and_equal_differences_go_by_hash():
    first = np.array([0.5, np.nextafter(0.5, 1), 0.25, 0.25, 0.25])
    second = np.array([0.5, 0.5, 0.5, 0.5, 0.5])
    found = won_lost(TASK, first, second, FIRST, SECOND, n=2)
    assert (found.won, found.lost, found.tied, found.undefined) == (1, 3, 1, 0)
    assert [entry.query for entry in found.most_lost] == by_hash("q2", "q3", "q4")[:2]


def test_lengths_must_agree():
    with pytest.raises(ValueError, match="expected 5 values and rankings, one for each query, got 4"):
        worst_cases(TASK, FIRST, np.zeros(4), n=1)
    for rankings in ((FIRST, ranking([0, 1])), (ranking([0, 1]), FIRST)):
        with pytest.raises(ValueError, match="expected 5 values and rankings, one for each query, got 1"):
            won_lost(TASK, np.zeros(5), np.zeros(5), *rankings, n=1)
