"""Agreement of rankings: against the paper's equation written out, and against sums done by hand."""

from __future__ import annotations

from time import perf_counter

import numpy as np
import pytest
from hrembed.metrics.agreement import rank_biased_overlap, top_overlap
from hypothesis import given, settings
from hypothesis import strategies as st

BOTH = (rank_biased_overlap, lambda first, second: top_overlap(first, second, 3))


def equation_32(one: list[int], other: list[int], p: float) -> float:
    """Webber, Moffat & Zobel (2010), equation 32, term by term."""
    short, long = sorted([one, other], key=len)
    s, l = len(short), len(long)  # noqa: E741 - as in the paper

    def x(d: int) -> int:
        return len(set(short[:d]) & set(long[:d]))

    common = sum(x(d) / d * p**d for d in range(1, l + 1))
    beyond = sum(x(s) * (d - s) / (s * d) * p**d for d in range(s + 1, l + 1))
    return (1 - p) / p * (common + beyond) + ((x(l) - x(s)) / l + x(s) / s) * p**l


def padded(lists: list[list[int]], width: int) -> np.ndarray:
    return np.array([found + [-1] * (width - len(found)) for found in lists], dtype=np.int64).reshape(len(lists), width)


ranked = st.lists(st.integers(0, 12), unique=True, max_size=9)
rankings = st.lists(st.tuples(ranked, ranked), min_size=1, max_size=6)


@given(rankings, st.floats(0.01, 0.99))
@settings(max_examples=150)
def test_overlap_is_the_papers_equation_and_what_it_promises(pairs, p):
    first, second = (padded([pair[n] for pair in pairs], 9) for n in (0, 1))
    found = rank_biased_overlap(first, second, p=p)
    for (one, other), value in zip(pairs, found, strict=True):
        if not one and not other:
            assert np.isnan(value)
        elif not one or not other:
            assert value == 0
        else:
            assert value == pytest.approx(equation_32(one, other, p), abs=1e-12)
            assert 0 <= value <= 1
            assert (value == 0) == (not set(one) & set(other))
    np.testing.assert_array_equal(rank_biased_overlap(second, first, p=p), found)


@given(rankings, st.integers(1, 12))
@settings(max_examples=100)
def test_top_overlap_is_the_share_of_the_sets(pairs, k):
    first, second = (padded([pair[n] for pair in pairs], 9) for n in (0, 1))
    wanted = [
        len(set(one[:k]) & set(other[:k])) / max(len(one[:k]), len(other[:k])) if one or other else np.nan
        for one, other in pairs
    ]
    np.testing.assert_array_equal(top_overlap(first, second, k), wanted)


def test_overlap_by_hand():
    """p = 1/2. First: agreements 0, 1, 1. Second: 1, 1/2, 1/3. Third, of 1 and 3: 1, then (1 + 1) / 2 and (1 + 2) / 3.

    The third's short list is taken to go on agreeing. The fourth finds its one document at the third rank: 0, 0, 1/3.
    """
    first = np.array([[1, 2, 3], [1, 2, 3], [1, -1, -1], [1, 2, 3]])
    second = np.array([[2, 1, 3], [1, 5, 6], [1, 2, 3], [4, 5, 1]])
    by_hand = [
        0 / 2 + 1 / 4 + 1 / 8 + 1 / 8,
        1 / 2 + 1 / 8 + 1 / 24 + 1 / 24,
        1.0,
        1 / 24 + 1 / 24,
    ]
    np.testing.assert_allclose(rank_biased_overlap(first, second, p=0.5), by_hand, rtol=1e-14)
    np.testing.assert_allclose(top_overlap(first, second, 2), [1, 1 / 2, 1 / 2, 0], rtol=1e-14)
    np.testing.assert_allclose(top_overlap(first, second, 3), [1, 1 / 3, 1 / 3, 1 / 3], rtol=1e-14)


def test_the_first_ten_ranks_have_86_percent_of_the_weight():
    """What the docstring says of p: lists that agree on the first ten ranks and nowhere else, very far down."""
    depth = 3000
    first = np.arange(depth)[None]
    second = np.where(first < 10, first, first + depth)
    tail = sum(0.1 * 0.9 ** (d - 1) * 10 / d for d in range(11, depth + 1))  # ten in common, in ever longer lists
    assert rank_biased_overlap(first, second)[0] - tail == pytest.approx(1 - 0.9**10, abs=1e-9)
    # Equation 21 counts what the ten ranks add to every depth.
    weight = 1 - 0.9**9 + 0.1 / 0.9 * 10 * (np.log(10) - sum(0.9**i / i for i in range(1, 10)))
    assert rank_biased_overlap(first, second)[0] == pytest.approx(weight, abs=1e-9)
    assert weight == pytest.approx(0.86, abs=0.005)


def test_a_thousand_long_lists_take_no_time_and_blocks_do_not_show():
    rng = np.random.default_rng(0)
    first, second = (np.argsort(rng.random((1000, 1200)), axis=1)[:, :1000] for _ in range(2))
    start = perf_counter()
    found = rank_biased_overlap(first, second)
    assert perf_counter() - start < 2
    for row in (0, 499, 500, 999):
        wanted = equation_32(first[row, :300].tolist(), second[row, :300].tolist(), 0.9)  # 0.9 ** 300 is 1e-14
        assert found[row] == pytest.approx(wanted, abs=1e-12)
    np.testing.assert_allclose(rank_biased_overlap(first, first), 1, rtol=1e-12)


def test_rounding_does_not_lead_out_of_the_range():
    same = np.arange(40)[None]
    cuts = [(same[:, :k], p) for k in range(1, 40) for p in np.linspace(0.1, 0.9, 9)]
    found = [rank_biased_overlap(cut, cut, p=p)[0] for cut, p in cuts]
    assert max(found) == 1
    assert min(found) > 1 - 1e-12


@pytest.mark.parametrize("measure", BOTH)
def test_nothing_to_compare(measure):
    nothing = np.full((1, 3), -1)
    assert np.isnan(measure(nothing, nothing)[0])
    assert measure(nothing, np.array([[4, 5, 6]]))[0] == 0
    assert np.isnan(measure(np.zeros((2, 0), dtype=int), np.zeros((2, 0), dtype=int))).all()
    assert measure(np.zeros((0, 3), dtype=int), np.zeros((0, 3), dtype=int)).shape == (0,)


@pytest.mark.parametrize("measure", BOTH)
def test_what_is_no_ranking_is_refused(measure):
    good = np.array([[0, 1, 2], [3, 4, 5]])
    with pytest.raises(ValueError, match=r"\(2, 3\) and \(2, 2\)"):
        measure(good, good[:, :2])
    with pytest.raises(ValueError, match="expected two arrays"):
        measure(good[0], good[0])
    for bad, message in (
        ([3, 4, 3], "row 1 contains a document twice"),
        ([3, -1, 4], "row 1 of `{}` has values after -1"),
    ):
        twice = np.array([[0, 1, 2], bad])
        with pytest.raises(ValueError, match=message.format("first")):
            measure(twice, good)
        with pytest.raises(ValueError, match=message.format("second")):
            measure(good, twice)


def test_a_document_twice_in_one_list_is_no_match_with_a_missing_other():
    """Three in a row after sorting: two of the same list and one of the other."""
    with pytest.raises(ValueError, match="row 0 contains a document twice"):
        rank_biased_overlap(np.array([[7, 1, 7]]), np.array([[2, 7, 3]]))
    with pytest.raises(ValueError, match="row 0 contains a document twice"):
        rank_biased_overlap(np.array([[2, 7, 3]]), np.array([[7, 1, 7]]))


def test_arguments_out_of_range():
    good = np.array([[0, 1]])
    for p in (0, 1, -0.5, float("nan")):
        with pytest.raises(ValueError, match="p must"):
            rank_biased_overlap(good, good, p=p)
    with pytest.raises(ValueError, match="k must"):
        top_overlap(good, good, 0)
