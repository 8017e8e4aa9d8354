"""Probes and erasers, where it is known what can be read."""

from __future__ import annotations

import numpy as np
import pytest
from hrembed.metrics.erasure import leace, mean_difference
from hrembed.metrics.leakage import cross_fitted, description_length, folds_of, on_itself

LABELS = np.arange(120) % 3
NONE = np.zeros(120, dtype=int)


def drawn(signal: float, seed: int = 0, d: int = 60) -> np.ndarray:
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(120, d))
    vectors[np.arange(120), LABELS] += signal
    return vectors


def test_folds_hold_even_shares():
    folds = folds_of(LABELS, NONE, 5, np.random.default_rng(0))
    counts = [np.bincount(LABELS[folds == fold], minlength=3).tolist() for fold in range(5)]
    assert all(max(own) - min(own) <= 1 for own in counts)


def test_noise_is_chance_on_unseen_names_and_certainty_on_its_own():
    folds = folds_of(LABELS, NONE, 5, np.random.default_rng(0))
    seen = np.mean([cross_fitted(drawn(0, seed), LABELS[None], folds)[0] for seed in range(30)])
    assert seen == pytest.approx(1 / 3, abs=0.04)
    assert on_itself(drawn(0, d=200), LABELS) > 0.95
    assert cross_fitted(drawn(5), LABELS[None], folds)[0] > 0.9


def test_many_labellings_at_once_are_as_one_by_one():
    folds = folds_of(LABELS, NONE, 4, np.random.default_rng(0))
    rows = np.stack([LABELS, np.random.default_rng(1).permutation(LABELS)])
    together = cross_fitted(drawn(1), rows, folds)
    assert together.tolist() == [cross_fitted(drawn(1), row[None], folds)[0] for row in rows]


def test_a_code_is_shorter_where_something_can_be_read():
    rng = np.random.default_rng(0)
    assert description_length(drawn(4), LABELS, rng) > 1.3
    assert description_length(drawn(0), LABELS, rng) < 1.05


@pytest.mark.parametrize("eraser", [leace, mean_difference])
def test_an_eraser_looks_perfect_on_the_names_it_was_fitted_on(eraser):
    """The false success: exactly chance on its own names, while others can still be told apart."""
    vectors, fresh = drawn(2.5), drawn(2.5, seed=1)
    erase = eraser(vectors, LABELS)
    assert on_itself(erase.moved(vectors), LABELS) == pytest.approx(1 / 3)
    folds = folds_of(LABELS, NONE, 5, np.random.default_rng(0))
    before, after = (cross_fitted(own, LABELS[None], folds)[0] for own in (fresh, erase.moved(fresh)))
    assert before > 0.7
    assert 1 / 3 + 0.05 < after < before


def test_leace_takes_out_what_it_must_and_little_else():
    vectors = drawn(2.5)
    erase = leace(vectors, LABELS)
    cross = (erase.moved(vectors) - vectors.mean(axis=0)).T @ np.eye(3)[LABELS]
    assert np.abs(cross - cross.mean(axis=1, keepdims=True)).max() / 120 < 1e-9
    assert np.linalg.matrix_rank(np.eye(60) - erase.weight, tol=1e-8) == 2
    other = np.random.default_rng(5).normal(size=(50, 60))
    assert np.linalg.norm(erase.moved(other) - other) < 0.5 * np.linalg.norm(other)
    assert np.linalg.norm(erase(other), axis=1) == pytest.approx(1)


def test_few_rows_do_not_blow_up_other_texts():
    """Twelve résumés in 384 dimensions: an unshrunken covariance turns small directions into large ones."""
    rng = np.random.default_rng(6)
    vectors = np.repeat(rng.normal(size=(12, 384)), 10, axis=0) + 0.01 * rng.normal(size=(120, 384))
    erase = leace(vectors, LABELS)
    other = rng.normal(size=(50, 384))
    assert np.linalg.norm(erase.moved(other) - other) < np.linalg.norm(other)
