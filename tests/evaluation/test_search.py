"""Search in blocks: the same as sorting the whole matrix, whatever the size of a block."""

from __future__ import annotations

import numpy as np
import pytest
from hrembed.evaluation.search import block_width, graded, rank_all, rank_candidates
from hrembed.memory import MB
from hrembed.models.dense import DenseSimilarity
from hrembed.types import Ranking, Task, Text
from hypothesis import given
from hypothesis import strategies as st


class Matrix:
    """A similarity that is known, and counts the largest block that was asked for."""

    def __init__(self, scores: np.ndarray) -> None:
        self.scores = scores.astype(np.float32)
        self.shape = scores.shape
        self.largest = 0

    def block(self, queries, documents):
        found = self.scores[queries][:, documents]
        self.largest = max(self.largest, found.size)
        return found


def sorted_whole(scores: np.ndarray, depth: int) -> np.ndarray:
    return np.argsort(-scores.astype(np.float32), axis=1, kind="stable")[:, :depth]


@given(seed=st.integers(0, 10_000), depth=st.integers(1, 40), levels=st.integers(1, 6))
def test_blocks_give_what_sorting_everything_gives_with_many_ties(seed, depth, levels):
    rng = np.random.default_rng(seed)
    scores = rng.integers(-levels, levels + 1, size=(3, 60)) / levels
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hrembed.evaluation.search.block_width", lambda memory, depth: 7)
        patch.setattr("hrembed.evaluation.search._QUERIES_AT_ONCE", 2)
        found = rank_all(Matrix(scores), depth=depth, memory_mb=1)
    expected = sorted_whole(scores, depth)
    assert found.documents.tolist() == expected.tolist()
    assert found.scores == pytest.approx(np.take_along_axis(scores, expected, axis=1), abs=1e-7)


def test_scores_of_either_sign_and_zero_come_back_exactly():
    scores = np.array([[-0.0, 0.0, -1e-30, 1e-30, -3.5, 2.25, -np.float32(1.1), np.float32(1.1)]])
    found = rank_all(Matrix(scores), depth=8, memory_mb=1)
    assert found.documents.tolist() == [[5, 7, 3, 0, 1, 2, 6, 4]]  # both zeros are equal, and keep their order
    assert found.scores[0].tolist() == [np.float32(scores[0, n]) for n in found.documents[0]]


def test_a_block_stays_within_the_memory_that_is_given():
    matrix = Matrix(np.random.default_rng(0).normal(size=(300, 40_000)))
    found = rank_all(matrix, depth=10, memory_mb=64)
    assert matrix.largest == 256 * block_width(64, 10)
    assert matrix.largest * 32 <= 64 * MB
    assert found.documents.tolist() == sorted_whole(matrix.scores, 10).tolist()


def test_scores_that_are_not_numbers_are_refused():
    with pytest.raises(ValueError, match="1 of 2 scores are not finite"):
        rank_all(Matrix(np.array([[0.1, np.nan]])), depth=1, memory_mb=1)


def test_candidates_are_ranked_alone_and_short_lists_end_empty():
    scores = np.array([[0.1, 0.9, 0.5, 0.5], [0.4, 0.3, 0.2, 0.1]])
    found = rank_candidates(Matrix(scores), [np.array([3, 0, 2]), np.array([1])], depth=10)
    assert found.documents.tolist() == [[2, 3, 0], [1, -1, -1]]
    assert found.scores[1].tolist() == [np.float32(0.3), -np.inf, -np.inf]


def test_grades_follow_the_ranking_and_what_is_missed_stays_in_the_ideal():
    documents = tuple(Text(f"d{n}", "x") for n in range(4))
    qrels = {"a": {"d3": 2, "d0": 1, "d1": 0}, "b": {"d1": 0}}
    task = Task("t", (Text("a", "x"), Text("b", "x"), Text("c", "x")), documents, qrels)
    ranking = Ranking(np.array([[1, 3, -1], [0, 1, 2], [0, 1, 2]]), np.zeros((3, 3)))
    found = graded(task, ranking)
    assert found.gains.tolist() == [[0, 2, 0], [0, 0, 0], [0, 0, 0]]
    assert found.ideal.tolist() == [[2, 1], [0, 0], [0, 0]]


def test_a_dense_block_is_the_product_of_its_rows():
    rng = np.random.default_rng(1)
    left, right = rng.normal(size=(3, 5)).astype(np.float32), rng.normal(size=(7, 5)).astype(np.float32)
    similarity = DenseSimilarity(left, right)
    assert similarity.shape == (3, 7)
    assert similarity.block(slice(1, 3), np.array([6, 0])) == pytest.approx((left @ right.T)[1:3][:, [6, 0]], abs=1e-6)
