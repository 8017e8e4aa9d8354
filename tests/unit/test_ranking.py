"""Retrieval metrics: values worked out by hand, properties, and an independent engine."""

from __future__ import annotations

import numpy as np
import pytest
import pytrec_eval
from hrembed.metrics.ranking import average_precision, ndcg, rank_gains, recall, reciprocal_rank
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

METRICS = [ndcg, average_precision, reciprocal_rank, recall]
# One query, gains by rank: 0, 2, 0, 1.
RANKED = np.array([[0.0, 2.0, 0.0, 1.0]])


@pytest.mark.parametrize(
    ("metric", "k", "expected"),
    [
        # DCG = 2/log2(3) + 1/log2(5) = 1.2619 + 0.4307; ideal = 2/1 + 1/log2(3) = 2.6309
        (ndcg, None, (2 / np.log2(3) + 1 / np.log2(5)) / (2 + 1 / np.log2(3))),
        (ndcg, 2, (2 / np.log2(3)) / (2 + 1 / np.log2(3))),
        (average_precision, None, (1 / 2 + 2 / 4) / 2),
        (average_precision, 3, (1 / 2) / 2),  # the divisor stays the number of all relevant documents
        (reciprocal_rank, None, 1 / 2),
        (reciprocal_rank, 1, 0.0),
        (recall, 2, 1 / 2),
        (recall, 4, 1.0),
        (recall, 100, 1.0),
    ],
)
def test_value_worked_out_by_hand(metric, k, expected):
    assert metric(RANKED, k=k)[0] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("metric", METRICS)
def test_perfect_ranking_scores_one_and_a_query_without_positives_is_undefined(metric):
    values = metric(np.array([[2.0, 1.0, 0.0], [0.0, 0.0, 0.0]]), k=2)
    assert values[0] == 1.0
    assert np.isnan(values[1])


@pytest.mark.parametrize("metric", METRICS)
@given(
    gains=arrays(np.float64, (3, 7), elements=st.sampled_from([0.0, 1.0, 2.0, 3.0])),
    k=st.integers(min_value=1, max_value=9),
)
def test_values_lie_between_zero_and_one_or_are_undefined(metric, gains, k):
    values = metric(gains, k=k)
    defined = values[~np.isnan(values)]
    assert ((defined >= 0) & (defined <= 1 + 1e-12)).all()
    assert (np.isnan(values) == ~(gains > 0).any(axis=1)).all()


@pytest.mark.parametrize("metric", METRICS)
def test_moving_a_relevant_document_up_never_lowers_the_score(metric):
    rng = np.random.default_rng(1)
    for _ in range(200):
        gains = rng.integers(0, 3, size=(1, 8)).astype(float)
        place = int(rng.integers(1, 8))
        moved = gains.copy()
        if gains[0, place] > gains[0, place - 1]:
            moved[0, [place - 1, place]] = gains[0, [place, place - 1]]
        if (gains > 0).any():
            assert metric(moved, k=4)[0] >= metric(gains, k=4)[0] - 1e-12


def test_equal_scores_keep_the_column_order():
    gains = np.array([[3.0, 1.0, 2.0, 4.0]])
    scores = np.array([[0.5, 0.9, 0.5, 0.1]])
    assert rank_gains(scores, gains).tolist() == [[1.0, 3.0, 2.0, 4.0]]


def test_many_equal_scores_keep_the_column_order_too():
    """NumPy's default sort keeps a few equal scores in order, and mixes many."""
    scores = np.tile([0.1, 0.5, 0.3], 200)[None, :]
    places = rank_gains(scores, np.arange(600.0)[None, :])[0]
    for start in (0, 200, 400):
        assert (np.diff(places[start : start + 200]) > 0).all()


def test_scores_that_are_not_numbers_are_refused():
    with pytest.raises(ValueError, match="1 of 2 scores are not finite"):
        rank_gains(np.array([[0.1, np.nan]]), np.zeros((1, 2)))
    with pytest.raises(ValueError, match="differ in shape"):
        rank_gains(np.zeros((1, 2)), np.zeros((2, 2)))


def test_agrees_with_trec_eval():
    """Scores without ties, since trec_eval breaks ties by id."""
    rng = np.random.default_rng(7)
    queries, documents = 40, 120
    scores = rng.permuted(np.tile(np.linspace(0, 1, documents), (queries, 1)), axis=1)
    gains = rng.choice([0.0, 0.0, 0.0, 1.0, 2.0], size=(queries, documents))
    gains[:, 0] = 1
    qrels = {f"q{q}": {f"d{d}": int(g) for d, g in enumerate(gains[q])} for q in range(queries)}
    run = {f"q{q}": {f"d{d}": float(s) for d, s in enumerate(scores[q])} for q in range(queries)}
    engine = pytrec_eval.RelevanceEvaluator(qrels, {"ndcg_cut.10", "map", "recip_rank", "recall.100"}).evaluate(run)
    ranked = rank_gains(scores, gains)
    for name, values in {
        "ndcg_cut_10": ndcg(ranked, k=10),
        "map": average_precision(ranked),
        "recip_rank": reciprocal_rank(ranked),
        "recall_100": recall(ranked, k=100),
    }.items():
        expected = [engine[f"q{q}"][name] for q in range(queries)]
        assert values == pytest.approx(expected, abs=1e-9), name
