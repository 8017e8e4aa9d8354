"""Leaderboard scores and rankings."""

from __future__ import annotations

import numpy as np
import pytest
from hrembed.errors import DataError
from hrembed.selection.facts import Facts, Limits, broken_limits, licence_class
from hrembed.selection.ranking import rank_models
from hrembed.selection.scores import tabulate


def row(model: str, task: str, score: float, *, revision: str = "r", version: str = "2.0.0", subset: str = "default"):
    return {
        "model": model, "revision": revision, "task": task, "split": "test", "subset": subset,
        "main_score": score, "mteb_version": version,
    }  # fmt: skip


def test_subsets_are_averaged_and_missing_tasks_stay_missing():
    table = tabulate(
        [row("a", "t", 0.2, subset="en"), row("a", "t", 0.4, subset="de"), row("b", "u", 0.5)], {"t", "u"}, "f"
    )
    assert table.models == ("a", "b")
    assert table.scores[0, 0] == pytest.approx(0.3)
    assert np.isnan(table.scores[0, 1])


def test_the_fuller_then_newer_revision_counts_and_others_fill_gaps_that_are_counted():
    rows = [
        row("a", "t", 0.1, revision="old"),
        row("a", "u", 0.1, revision="old"),
        row("a", "t", 0.9, revision="new", version="2.10.0"),
    ]
    assert tabulate(rows, {"t", "u"}, "f").scores[0].tolist() == pytest.approx([0.1, 0.1])
    rows.append(row("a", "u", 0.9, revision="new", version="2.10.0"))
    table = tabulate(rows, {"t", "u", "v"}, "f")
    assert table.scores[0, :2].tolist() == pytest.approx([0.9, 0.9])
    assert np.isnan(table.scores[0, 2])
    assert table.filled == (0,)
    table = tabulate([*rows, row("a", "v", 0.5, revision="external")], {"t", "u", "v"}, "f")
    assert table.scores[0].tolist() == pytest.approx([0.9, 0.9, 0.5])
    assert table.filled == (1,)


def test_no_score_for_the_tasks_is_an_error():
    with pytest.raises(DataError, match="'f' has no scores for x"):
        tabulate([row("a", "t", 0.1)], {"x"}, "f")


def test_rank_intervals_tell_what_tasks_can_and_cannot_separate():
    rng = np.random.default_rng(0)
    task_luck = rng.normal(scale=0.1, size=10)
    scores = np.array([0.70, 0.695, 0.40])[:, None] + task_luck + rng.normal(scale=0.01, size=(3, 10))
    ranking = rank_models(scores, rng=np.random.default_rng(1), resamples=500)
    assert ranking.order[2] == 2
    assert ranking.tied.tolist() == [True, True, False]
    assert (ranking.rank_low[2], ranking.rank_high[2]) == (3, 3)
    assert ranking.rank_low[0] == ranking.rank_low[1] == 1


def test_one_task_separates_nobody():
    ranking = rank_models(np.array([[0.9], [0.1]]), rng=np.random.default_rng(0))
    assert ranking.tied.all()


def test_missing_scores_cannot_be_ranked():
    with pytest.raises(ValueError, match="must be complete"):
        rank_models(np.array([[0.9, np.nan]]), rng=np.random.default_rng(0))


@pytest.mark.parametrize(
    ("licence", "expected"),
    [
        ("apache-2.0", "permissive"),
        ("mit", "permissive"),
        ("cc-by-nc-4.0", "non-commercial"),
        ("gpl-3.0", "copyleft"),
        ("https://example.org/licence", "unknown"),
        (None, "unknown"),
    ],
)
def test_licences_are_sorted_into_classes(licence, expected):
    assert licence_class(licence) == expected


def test_a_fact_that_is_not_known_breaks_the_limit_that_asks_for_it():
    unknown = Facts("m", None, None, None, None, None, None, frozenset(), None)
    strict = Limits(("permissive",), 10, 10, 10, ("eng-Latn",), True)
    assert broken_limits(unknown, strict) == [
        "licence", "parameters", "dimension", "max tokens", "languages", "open weights",
    ]  # fmt: skip
    assert broken_limits(unknown, Limits()) == []
