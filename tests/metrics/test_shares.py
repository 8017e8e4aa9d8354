"""Shares of groups in rankings."""

from __future__ import annotations

import numpy as np
import pytest
from hrembed.metrics.shares import attention_fairness, ndkl, skew
from scipy.spatial.distance import jensenshannon
from scipy.stats import entropy

HALF = np.array([0.5, 0.5])


def test_skew():
    assert skew(np.array([0.25, 0.75]), HALF) == pytest.approx([np.log(0.5), np.log(1.5)])
    assert skew(np.array([0.0, 1.0]), HALF)[0] == -np.inf


def test_ndkl_by_a_plain_loop():
    rng = np.random.default_rng(0)
    order = np.stack([rng.permutation(10) for _ in range(3)])
    labels = np.stack([rng.integers(0, 3, size=10) for _ in range(4)])
    target = np.array([0.2, 0.3, 0.5])
    weights = 1 / np.log2(2 + np.arange(10))
    for own, value in zip(labels, ndkl(order, labels, target), strict=True):
        rankings = []
        for row in order:
            tops = [np.bincount(own[row[: i + 1]], minlength=3) / (i + 1) for i in range(10)]
            rankings.append(np.average([entropy(top, target) for top in tops], weights=weights))
        assert value == pytest.approx(np.mean(rankings))


def test_an_even_ranking_has_a_smaller_ndkl_than_a_divided_one():
    labels = np.arange(20) % 2
    even = ndkl(np.arange(20)[None], labels[None], HALF)[0]
    divided = ndkl(np.argsort(labels, kind="stable")[None], labels[None], HALF)[0]
    assert 0 < even < divided


def test_attention_fairness_is_the_jensen_shannon_divergence():
    share = np.array([0.9, 0.1])
    assert attention_fairness(share, HALF) == pytest.approx(1 - jensenshannon(share, HALF, base=2) ** 2)
    assert attention_fairness(HALF, HALF) == 1
    assert attention_fairness(np.array([1.0, 0.0]), np.array([0.5, 0.5])) < 1
