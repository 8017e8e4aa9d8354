"""Retrieval metrics: values worked out by hand, properties, and an independent engine."""

from __future__ import annotations

import numpy as np
import pytest
import pytrec_eval
from hrembed.metrics.ranking import (
    Ranked,
    average_precision,
    first_relevant_rank,
    hit,
    ndcg,
    ndcg_exponential,
    precision,
    r_precision,
    recall,
    reciprocal_rank,
)
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

METRICS = [ndcg, ndcg_exponential, average_precision, reciprocal_rank, recall, r_precision, hit]


def ranked(gains: np.ndarray) -> Ranked:
    """A ranking that holds every document."""
    return Ranked(gains, -np.sort(-gains, axis=1))


# One query, gains by rank: 0, 2, 0, 1.
RANKED = ranked(np.array([[0.0, 2.0, 0.0, 1.0]]))


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
        (ndcg_exponential, 2, (3 / np.log2(3)) / (3 + 1 / np.log2(3))),
        (precision, 4, 2 / 4),
        (precision, 8, 2 / 8),  # k divides even where fewer documents are ranked
        (r_precision, None, 1 / 2),
        (r_precision, 1, 0.0),
        (hit, 1, 0.0),
        (hit, 2, 1.0),
    ],
)
def test_value_worked_out_by_hand(metric, k, expected):
    assert metric(RANKED, k=k)[0] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("metric", METRICS)
def test_perfect_ranking_scores_one_and_a_query_without_positives_is_undefined(metric):
    values = metric(ranked(np.array([[2.0, 1.0, 0.0], [0.0, 0.0, 0.0]])), k=2)
    assert values[0] == 1.0
    assert np.isnan(values[1])


@pytest.mark.parametrize("metric", METRICS)
@given(
    gains=arrays(np.float64, (3, 7), elements=st.sampled_from([0.0, 1.0, 2.0, 3.0])),
    k=st.integers(min_value=1, max_value=9),
)
def test_values_lie_between_zero_and_one_or_are_undefined(metric, gains, k):
    values = metric(ranked(gains), k=k)
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
            assert metric(ranked(moved), k=4)[0] >= metric(ranked(gains), k=4)[0] - 1e-12


def test_agrees_with_trec_eval():
    """Scores without ties, since trec_eval breaks ties by id; one query has no relevant document."""
    rng = np.random.default_rng(7)
    queries, documents = 40, 120
    scores = rng.permuted(np.tile(np.linspace(0, 1, documents), (queries, 1)), axis=1)
    gains = rng.choice([0.0, 0.0, 0.0, 1.0, 2.0], size=(queries, documents))
    gains[0] = 0
    qrels = {f"q{q}": {f"d{d}": int(g) for d, g in enumerate(gains[q])} for q in range(queries)}
    run = {f"q{q}": {f"d{d}": float(s) for d, s in enumerate(scores[q])} for q in range(queries)}
    measures = {"ndcg_cut.10", "map", "map_cut.5", "recip_rank", "recall.100", "P.5", "Rprec", "success.5"}
    engine = pytrec_eval.RelevanceEvaluator(qrels, measures).evaluate(run)
    found = ranked(np.take_along_axis(gains, np.argsort(-scores, axis=1), axis=1))
    for name, values in {
        "ndcg_cut_10": ndcg(found, k=10),
        "map": average_precision(found),
        "map_cut_5": average_precision(found, k=5),
        "recip_rank": reciprocal_rank(found),
        "recall_100": recall(found, k=100),
        "P_5": precision(found, k=5),
        "Rprec": r_precision(found),
        "success_5": hit(found, k=5),
    }.items():
        expected = [engine[f"q{q}"][name] for q in range(1, queries)]
        assert values[1:] == pytest.approx(expected, abs=1e-9), name
        assert np.isnan(values[0])


def test_exponential_gain_agrees_with_scikit_learn():
    from sklearn.metrics import ndcg_score

    gains = np.random.default_rng(3).integers(0, 5, size=(30, 20)).astype(float)
    order = np.linspace(1, 0, 20)[None, :].repeat(30, axis=0)
    expected = [ndcg_score(2 ** gains[n : n + 1] - 1, order[n : n + 1], k=10) for n in range(30)]
    assert ndcg_exponential(ranked(gains), k=10) == pytest.approx(expected)
    assert np.abs(ndcg_exponential(ranked(gains), k=10) - ndcg(ranked(gains), k=10)).max() > 0.01


def test_what_a_shallow_ranking_does_not_hold_is_not_found_but_counts():
    """Two relevant documents, one of them below the depth."""
    shallow = Ranked(np.array([[1.0, 0.0]]), np.array([[1.0, 1.0]]))
    assert recall(shallow)[0] == 0.5
    assert average_precision(shallow)[0] == 0.5
    assert ndcg(shallow)[0] == pytest.approx(1 / (1 + 1 / np.log2(3)))
    assert precision(shallow, k=10)[0] == 0.1
    assert r_precision(shallow)[0] == 0.5
    assert r_precision(shallow, k=1)[0] == 1.0
    assert first_relevant_rank(Ranked(np.zeros((1, 2)), np.ones((1, 1))))[0] == np.inf
