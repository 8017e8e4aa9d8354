"""Leaderboard scores, facts and rankings."""

from __future__ import annotations

import numpy as np
import pytest
from hrembed.errors import DataError
from hrembed.selection.benchmark import BenchmarkTask, Shape, like_mine
from hrembed.selection.facts import Facts, Limits, broken_limits, registry_facts
from hrembed.selection.licences import licence_class, normalised
from hrembed.selection.ranking import (
    borda_points,
    competition_ranks,
    first_shares,
    first_without,
    pareto_front,
    rank_models,
)
from hrembed.selection.scores import ScoreRow, mark_incomparable, mark_suspicious, tabulate, versions_of


def row(model: str, task: str, score: float, **other: str) -> ScoreRow:
    given = {"revision": "r", "experiment": "", "split": "test", "subset": "default", "version": "2.0.0", **other}
    return ScoreRow(model=model, task=task, score=score, place="f:1", **given)


def tasks(*names: str, cells: frozenset[tuple[str, str]] | None = None) -> list[BenchmarkTask]:
    return [BenchmarkTask(name, "Retrieval", cells) for name in names]


def test_subsets_are_averaged_and_missing_tasks_stay_missing():
    table = tabulate(
        [row("a", "t", 0.2, subset="en"), row("a", "t", 0.4, subset="de"), row("b", "u", 0.5)], tasks("t", "u"), "f"
    )
    assert table.models == ("a", "b")
    assert table.scores[0, 0] == pytest.approx(0.3)
    assert np.isnan(table.scores[0, 1])


def test_only_the_splits_and_subsets_of_the_benchmark_count_and_a_part_of_them_is_none():
    cells = frozenset({("test", "en"), ("test", "de")})
    rows = [
        row("a", "t", 0.2, subset="en"),
        row("a", "t", 0.4, subset="de"),
        row("a", "t", 0.9, subset="en", split="dev"),
        row("b", "t", 0.9, subset="en"),
        row("b", "u", 0.5),
    ]
    table = tabulate(rows, [*tasks("t", cells=cells), *tasks("u")], "f")
    assert table.scores[0, 0] == pytest.approx(0.3)
    assert np.isnan(table.scores[1, 0])
    assert table.partial == 1


def test_the_fuller_then_newer_revision_counts_and_others_fill_gaps_that_are_counted():
    rows = [
        row("a", "t", 0.1, revision="old"),
        row("a", "u", 0.1, revision="old"),
        row("a", "t", 0.9, revision="new", version="2.10.0"),
    ]
    assert tabulate(rows, tasks("t", "u"), "f").scores[0].tolist() == pytest.approx([0.1, 0.1])
    rows.append(row("a", "u", 0.9, revision="new", version="2.10.0"))
    table = tabulate(rows, tasks("t", "u", "v"), "f")
    assert table.scores[0, :2].tolist() == pytest.approx([0.9, 0.9])
    assert np.isnan(table.scores[0, 2])
    assert table.filled == (0,)
    table = tabulate([*rows, row("a", "v", 0.5, revision="external", version="")], tasks("t", "u", "v"), "f")
    assert table.scores[0].tolist() == pytest.approx([0.9, 0.9, 0.5])
    assert table.filled == (1,)
    assert [origin.revision for origin in table.origins[0] if origin] == ["new", "new", "external"]
    assert versions_of(table.origins[0]) == ["2", "external"]


def test_rows_of_experiments_do_not_count():
    table = tabulate([row("a", "t", 0.3), row("a", "t", 0.9, experiment="dimensions_64")], tasks("t"), "f")
    assert table.scores[0, 0] == 0.3
    assert table.experiments == 1


def test_a_row_that_stands_twice_counts_once_and_two_values_for_one_score_are_an_error():
    table = tabulate([row("a", "t", 0.3), row("a", "t", 0.3)], tasks("t"), "f")
    assert (table.scores[0, 0], table.repeated) == (0.3, 1)
    with pytest.raises(DataError, match=r"f:1: conflicting scores: a \(revision r\) has 0.4 on t, but 0.3 at f:1"):
        tabulate([row("a", "t", 0.3), row("a", "t", 0.4)], tasks("t"), "f")


def test_no_score_for_the_tasks_is_an_error():
    with pytest.raises(DataError, match="'f' has no scores for x"):
        tabulate([row("a", "t", 0.1)], tasks("x"), "f")


def test_scores_of_a_version_that_is_known_to_be_wrong_are_marked():
    name = "TwitterHjerneRetrieval"
    rows = [row("old", name, 0.3, version="1.18.0"), row("new", name, 0.7, version="2.7.12"), row("old", "t", 0.5)]
    assert mark_incomparable(tabulate(rows, tasks(name, "t"), "f")).tolist() == [[False, False], [True, False]]


def test_one_wrong_score_is_found_and_honest_differences_are_not():
    rng = np.random.default_rng(0)
    honest = rng.normal(size=(40, 1)) * 0.08 + rng.normal(size=(1, 12)) * 0.15 + 0.5
    honest = honest + rng.normal(size=(40, 12)) * 0.02
    assert not mark_suspicious(honest).any()
    wrong = honest.copy()
    wrong[3, 7] += 0.4
    assert np.argwhere(mark_suspicious(wrong)).tolist() == [[3, 7]]
    wrong[5, 2] = np.nan
    assert np.argwhere(mark_suspicious(wrong)).tolist() == [[3, 7]]


def test_rank_intervals_tell_what_tasks_can_and_cannot_separate():
    rng = np.random.default_rng(0)
    task_luck = rng.normal(scale=0.1, size=10)
    scores = np.array([0.70, 0.695, 0.40])[:, None] + task_luck + rng.normal(scale=0.01, size=(3, 10))
    ranking = rank_models(scores, rng=np.random.default_rng(1), resamples=500)
    assert ranking.order[2] == 2
    assert ranking.tied.tolist() == [True, True, False]
    assert (ranking.rank_low[2], ranking.rank_high[2]) == (3, 3)
    assert ranking.rank_low[0] == ranking.rank_low[1] == 1
    assert ranking.separable.tolist() == [False, True]


def test_equal_models_are_told_apart_about_as_often_as_the_level_says():
    """Two models whose true means are equal, on 400 drawn benchmarks of 20 tasks: at most 5 % plus noise."""
    rng = np.random.default_rng(2)
    wrong = 0
    for n in range(400):
        scores = rng.normal(scale=0.1, size=(1, 20)) + rng.normal(scale=0.03, size=(2, 20))
        wrong += bool(rank_models(scores, rng=np.random.default_rng(n), resamples=300).separable[0])
    assert 0.02 * 400 < wrong < 0.08 * 400


def test_a_weight_moves_the_mean_and_few_heavy_tasks_widen_the_interval():
    scores = np.random.default_rng(3).uniform(size=(5, 20))
    heavy = np.ones(20)
    heavy[:2] = 50
    ranking = rank_models(scores, weights=heavy, rng=np.random.default_rng(0), resamples=400)
    assert ranking.means == pytest.approx(np.average(scores, axis=1, weights=heavy))
    even = rank_models(scores, rng=np.random.default_rng(0), resamples=400)
    assert ((ranking.high - ranking.low) > (even.high - even.low)).all()


def test_one_task_separates_nobody():
    ranking = rank_models(np.array([[0.9], [0.1]]), rng=np.random.default_rng(0))
    assert ranking.tied.all()
    assert not ranking.separable.any()


def test_missing_scores_cannot_be_ranked():
    with pytest.raises(ValueError, match="must be complete"):
        rank_models(np.array([[0.9, np.nan]]), rng=np.random.default_rng(0))


def test_borda_and_its_ranks_are_those_of_mteb_with_ties_and_missing_scores():
    import polars as pl
    from mteb.benchmarks._create_table import _borda_rank_from_long

    rng = np.random.default_rng(4)
    scores = rng.integers(0, 6, size=(12, 7)) / 10
    scores[rng.uniform(size=scores.shape) < 0.2] = np.nan
    ours = competition_ranks(borda_points(scores).sum(axis=1))
    long = pl.DataFrame(
        [(f"m{m}", f"t{t}", s) for (m, t), s in np.ndenumerate(scores) if not np.isnan(s)],
        schema=["model_name", "task_name", "score"],
        orient="row",
    )
    theirs = dict(_borda_rank_from_long(long, n_models=12).iter_rows())
    assert [theirs[f"m{m}"] for m in range(12)] == ours.tolist()


def test_the_pareto_front_is_what_nothing_else_beats_and_unknown_costs_are_never_on_it():
    costs = np.array([[1, 5], [2, 2], [5, 1], [3, 3], [2, 2], [0, np.nan]], dtype=float)
    assert pareto_front(costs).tolist() == [True, True, True, False, True, False]


def test_who_is_first_under_other_weights():
    points = np.array([[1.0, 0.0, 0.5], [0.0, 0.9, 0.5], [0.0, 0.0, 0.0]])
    shares = first_shares(points, np.ones(3), rng=np.random.default_rng(0), draws=4000)
    # Under flat Dirichlet weights w1 / (w1 + w2) is uniform, so the first wins where it is above 0.9 / 1.9.
    assert shares[0] == pytest.approx(1 / 1.9, abs=0.03)
    assert (shares.sum(), shares[2]) == (1.0, 0.0)
    assert first_without(points, np.ones(3)).tolist() == [1, 0, 0]


def test_tasks_like_mine_weigh_more():
    mine = Shape(1000, 1200, 2.0)
    found = like_mine(
        [
            BenchmarkTask("same", "Retrieval", None, Shape(900, 1300, 2.0)),
            BenchmarkTask("short queries", "Retrieval", None, Shape(50, 1300, 2.0)),
            BenchmarkTask("no search", "STS", None, Shape(900, 1300, None)),
            BenchmarkTask("one text", "Classification", None, Shape(None, 1300, None)),
            BenchmarkTask("unknown", "Retrieval"),
        ],
        mine,
    )
    assert found.sum() == pytest.approx(1)
    assert found[0] == max(found)
    assert found[0] > 5 * found[2] > 5 * found[3]
    assert found[1] < found[0] / 5


@pytest.mark.parametrize(
    ("licence", "name", "expected"),
    [
        ("apache-2.0", "apache-2.0", "permissive"),
        ("Apache License 2.0", "apache-2.0", "permissive"),
        ("MIT", "mit", "permissive"),
        ("openmdw-1.1", "openmdw-1.1", "permissive"),
        ("cc-by-nc-4.0", "cc-by-nc-4.0", "non-commercial"),
        ("cc-by-nc-sa-4.0", "cc-by-nc-sa-4.0", "non-commercial"),
        ("cc-by-sa-4.0", "cc-by-sa-4.0", "copyleft"),
        ("gpl-3.0", "gpl-3.0", "copyleft"),
        ("https://ai.google.dev/gemma/terms", "gemma", "unknown"),
        ("https://example.org/licence", "custom (example.org)", "unknown"),
        ("not specified", None, "unknown"),
        (None, None, "unknown"),
    ],
)
def test_licences_are_named_in_one_way_and_sorted_into_classes(licence, name, expected):
    assert (normalised(licence), licence_class(licence)) == (name, expected)


def test_a_fact_that_is_not_known_breaks_the_limit_that_asks_for_it():
    strict = Limits(
        licences=("permissive",),
        max_parameters=10,
        max_memory_mb=10,
        max_dimension=10,
        min_max_tokens=10,
        languages=("eng-Latn",),
        open_weights=True,
    )
    assert broken_limits(Facts("m"), strict) == [
        "licence", "parameters", "memory", "dimension", "max tokens", "languages", "open weights",
    ]  # fmt: skip
    assert broken_limits(Facts("m"), Limits()) == []
    assert broken_limits(Facts("m", memory_mb=9.5), Limits(max_memory_mb=10)) == []


def test_only_dense_models_fit_the_other_commands():
    assert broken_limits(Facts("m", kinds=("cross-encoder",)), Limits()) == ["kind"]
    assert broken_limits(Facts("m", kinds=()), Limits(kinds=())) == []
    kinds = {known.name: known.kinds for known in registry_facts()}
    assert kinds["BAAI/bge-small-en-v1.5"] == ("dense",)
    assert kinds["BAAI/bge-reranker-v2-m3"] == ("cross-encoder",)
    assert kinds["colbert-ir/colbertv2.0"] == ("late-interaction",)


def test_the_size_of_weights_is_in_megabytes_of_a_million_bytes():
    """Float32 weights take four bytes a parameter; mteb itself counts in 2**20 bytes, and rounds."""
    facts = {known.name: known for known in registry_facts()}
    for name in ("BAAI/bge-small-en-v1.5", "intfloat/e5-large-v2"):
        assert facts[name].memory_mb == pytest.approx(4e-6 * facts[name].parameters, rel=0.01)
