"""Run files: what is written is read back, and other tools score it alike."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hrembed.errors import DataError
from hrembed.evaluation.trec import read_run, write_run
from hrembed.types import Ranking, Task, Text
from hypothesis import given, settings
from hypothesis import strategies as st


def task_of(queries=3, documents=6, **more):
    # Ids fall where positions rise, so that an order by id cannot pass for the order of the corpus.
    return Task(
        "jobs/test",
        tuple(Text(f"q{n}", "x") for n in range(queries)),
        tuple(Text(f"d{9 - n}", "x") for n in range(documents)),
        {},
        **more,
    )


def rank(matrix, depth):
    """Sorted in plain Python: falling score, then position."""
    documents = np.full((len(matrix), depth), -1)
    scores = np.full((len(matrix), depth), -np.inf, dtype=np.float32)
    for row, cells in enumerate(matrix):
        best = sorted((-score, place) for place, score in enumerate(cells) if score is not None)[:depth]
        documents[row, : len(best)] = [place for _, place in best]
        scores[row, : len(best)] = [-score for score, _ in best]
    return Ranking(documents, scores)


def run_file(folder, *lines):
    path = folder / "a.run"
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


SCORES = st.one_of(
    st.none(),
    st.sampled_from([0.0, 0.25, -1.5]),  # so that there are ties
    st.floats(width=32, allow_nan=False, allow_infinity=False),
)


@settings(max_examples=60)
@given(st.lists(st.lists(SCORES, min_size=6, max_size=6), min_size=3, max_size=3), st.integers(1, 6))
def test_a_ranking_is_read_as_it_was_written(matrix, depth):
    ranking, task = rank(matrix, depth), task_of()
    missing = sum(all(score is None for score in row) for row in matrix)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.run"
        write_run(path, task, ranking, "model")
        if missing == 3:
            with pytest.raises(DataError, match="contains no query of task 'jobs/test'"):
                read_run(path, task, depth)
            return
        found = read_run(path, task, depth)
    np.testing.assert_array_equal(found.ranking.documents, ranking.documents)
    np.testing.assert_array_equal(found.ranking.scores.astype(np.float32), ranking.scores)
    np.testing.assert_array_equal(found.ranking.scores, ranking.scores.astype(np.float64))
    assert (found.missing, found.skipped) == (missing, 0)


def test_the_lines_are_those_of_the_format(tmp_path):
    ranking = rank([[0.5, None, 0.1], [None, 2.0, None]], 2)
    write_run(tmp_path / "a.run", task_of(2, 3), ranking, "my model")
    assert (tmp_path / "a.run").read_text().splitlines() == [
        "q0 Q0 d9 1 0.5 my_model",
        f"q0 Q0 d7 2 {float(np.float32(0.1))!r} my_model",
        "q1 Q0 d8 1 2 my_model",
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["a.run"]


def test_pytrec_eval_scores_an_exported_run_as_by_hand(tmp_path):
    import pytrec_eval

    rng = np.random.default_rng(0)
    task = task_of(4, 9)
    grades = rng.integers(0, 4, size=(4, 9))
    matrix = rng.permuted(np.tile(np.arange(9) / 7, (4, 1)), axis=1).astype(np.float32)
    ranking = rank(matrix.tolist(), 5)
    write_run(tmp_path / "a.run", task, ranking, "m")
    with (tmp_path / "a.run").open() as stream:
        run = pytrec_eval.parse_run(stream)
    qrels = {
        query.id: {document.id: int(grade) for document, grade in zip(task.documents, row, strict=True)}
        for query, row in zip(task.queries, grades, strict=True)
    }
    found = pytrec_eval.RelevanceEvaluator(qrels, {"ndcg"}).evaluate(run)
    for row, query in enumerate(task.queries):
        order = np.argsort(-matrix[row])[:5]
        gained = sum(grades[row, place] / math.log2(n + 2) for n, place in enumerate(order))
        ideal = sum(grade / math.log2(n + 2) for n, grade in enumerate(sorted(grades[row], reverse=True)))
        assert found[query.id]["ndcg"] == pytest.approx(gained / ideal)


def test_scores_decide_and_neither_ranks_nor_the_order_of_lines(tmp_path):
    lines = ["q1 Q0 d9 1 1e-3 t", "q0 0 d7 1 0.5 t", "q1\tQ0\td4\t9\t2\tt", "", "q0 Q0 d9 2 .75 t", "q0 Q0 d8 3 0.5 t"]
    found = read_run(run_file(tmp_path, *lines), task_of(), 2)
    assert found.ranking.documents.tolist() == [[0, 1], [5, 0], [-1, -1]]
    assert found.ranking.scores.tolist() == [[0.75, 0.5], [2.0, 0.001], [-math.inf, -math.inf]]
    assert (found.missing, found.skipped) == (1, 0)


def test_a_ranking_is_no_wider_than_the_corpus(tmp_path):
    assert read_run(run_file(tmp_path, "q0 Q0 d9 1 1 t"), task_of(), 100).ranking.documents.shape == (3, 6)


def test_queries_of_other_splits_are_skipped_and_counted(tmp_path):
    lines = ["x1 Q0 nowhere 1 1 t", "x1 Q0 d9 2 1 t", "q2 Q0 d9 1 1 t", "x2 Q0 d9 1 1 t"]
    found = read_run(run_file(tmp_path, *lines), task_of(), 1)
    assert (found.missing, found.skipped) == (2, 2)
    assert found.ranking.documents.tolist() == [[-1], [-1], [0]]
    with pytest.raises(DataError, match="contains no query of task 'jobs/test'") as caught:
        read_run(run_file(tmp_path, *lines[:2]), task_of(), 1)
    assert "query-id Q0 document-id rank score tag" in caught.value.hint


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("q0 Q0 nowhere 1 1 t", "document 'nowhere' is not in the corpus of 'jobs/test'"),
        ("q0 Q0 d9 2 0.25 t", "document 'd9' of query 'q0' appears twice"),
        ("q1 Q0 d8 1 nan t", "score 'nan' is not a finite number"),
        ("q1 Q0 d8 1 1e999 t", "score '1e999' is not a finite number"),
        ("q1 Q0 d8 1 high t", "score 'high' is not a finite number"),
        ("q1 Q0 d8 1 1", "expected 6 columns, got 5"),
        ("q1 Q0 d8 1 1 my model", "expected 6 columns, got 7"),
        ("other Q0", "expected 6 columns, got 2"),
    ],
)
def test_a_broken_line_is_named(tmp_path, line, message):
    path = run_file(tmp_path, "q0 Q0 d9 1 0.5 t", "", "q0 Q0 d8 1 0.5 t", line, "q1 Q0 d9 1 0.5 t")
    with pytest.raises(DataError) as caught:
        read_run(path, task_of(), 3)
    assert str(caught.value) == f"{path}:4: {message}"


def test_the_first_of_several_repeated_lines_is_named(tmp_path):
    path = run_file(tmp_path, "q1 Q0 d9 1 1 t", "q0 Q0 d9 1 1 t", "q1 Q0 d9 1 1 t", "q0 Q0 d9 1 1 t")
    with pytest.raises(DataError, match=r"a\.run:3: document 'd9' of query 'q1' appears twice"):
        read_run(path, task_of(), 1)


def test_only_candidates_are_ranked(tmp_path):
    task = task_of(candidates={"q0": ("d9", "d8"), "q1": ("d7",)})
    fine = ["q0 Q0 d8 1 1 t", "q1 Q0 d7 1 1 t", "q0 Q0 d9 1 2 t"]
    assert read_run(run_file(tmp_path, *fine), task, 2).ranking.documents.tolist() == [[0, 1], [2, -1], [-1, -1]]
    for line in ("q0 Q0 d7 1 1 t", "q1 Q0 d9 1 1 t", "q2 Q0 d9 1 1 t"):
        with pytest.raises(DataError, match=r"a\.run:4: document 'd\d' of query 'q\d' is not among its candidates"):
            read_run(run_file(tmp_path, *fine, line, "q0 Q0 d4 1 1 t"), task, 2)


def test_a_mark_at_the_beginning_and_line_ends_of_windows_are_no_trouble(tmp_path):
    path = tmp_path / "a.run"
    path.write_bytes(b"\xef\xbb\xbfq0 Q0 d9 1 1 t\r\nq1 Q0 d8 1 1 t\r\n")
    assert read_run(path, task_of(), 1).missing == 1


def test_what_is_no_file_is_told(tmp_path):
    with pytest.raises(DataError, match="is a folder"):
        read_run(tmp_path, task_of(), 1)
    with pytest.raises(DataError, match="does not exist"):
        read_run(tmp_path / "none.run", task_of(), 1)


@pytest.mark.parametrize("key", ["two words", "tab\tbed", "end\n", ""])
@pytest.mark.parametrize("side", ["query", "document"])
def test_ids_that_the_format_cannot_hold_are_refused(tmp_path, side, key):
    texts = {"query": "q", "document": "d"} | {side: key}
    task = Task("t", (Text(texts["query"], "x"),), (Text(texts["document"], "x"),), {})
    with pytest.raises(
        DataError, match=f"{side} id '{key}' is empty or contains whitespace, which run files do not allow"
    ):
        write_run(tmp_path / "a.run", task, rank([[1.0]], 1), "m")
    assert not list(tmp_path.iterdir())


def test_a_ranking_that_does_not_fit_is_refused_and_the_old_file_stays(tmp_path):
    path = run_file(tmp_path, "old")
    with pytest.raises(ValueError, match="3 rankings, one for each query, got 1"):
        write_run(path, task_of(), rank([[1.0]], 1), "m")
    with pytest.raises(ValueError, match="not finite"):
        write_run(path, task_of(1), Ranking(np.array([[0, 1]]), np.array([[1.0, np.nan]])), "m")
    with pytest.raises(IndexError):
        write_run(path, task_of(1), Ranking(np.array([[0, 99]]), np.array([[1.0, 0.5]])), "m")
    assert path.read_text() == "old\n"
