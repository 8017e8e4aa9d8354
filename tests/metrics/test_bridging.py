"""Maps between vector spaces, found again where they are known."""

from __future__ import annotations

import numpy as np
import pytest
from hrembed.metrics.bridging import low_rank_map, orthogonal_map, shift_p


def rotation(rng: np.random.Generator, n: int) -> np.ndarray:
    return np.linalg.qr(rng.normal(size=(n, n)))[0]


def test_a_rotation_is_found_again_and_stays_one():
    rng = np.random.default_rng(0)
    source, turn = rng.normal(size=(200, 12)), rotation(rng, 12)
    found = orthogonal_map(source, source @ turn + rng.normal(0, 0.01, size=(200, 12)))
    assert found == pytest.approx(turn, abs=0.01)
    assert found @ found.T == pytest.approx(np.eye(12), abs=1e-12)


def test_a_map_of_low_rank_is_found_again_and_has_no_more():
    rng = np.random.default_rng(1)
    source, truth = rng.normal(size=(400, 10)), rng.normal(size=(10, 3)) @ rng.normal(size=(3, 7))
    found = low_rank_map(source, source @ truth, rank=3, ridge=1e-9)
    assert found == pytest.approx(truth, abs=1e-5)
    cut = low_rank_map(source, source @ truth, rank=2, ridge=1e-9)
    assert np.linalg.matrix_rank(cut, tol=1e-8) == 2
    shrunk = low_rank_map(source, source @ truth, rank=3, ridge=10.0)
    assert np.linalg.norm(shrunk) < 0.5 * np.linalg.norm(found)


def test_mistakes_of_the_caller_are_told():
    one, two = np.ones((3, 2)), np.ones((4, 2))
    with pytest.raises(ValueError, match="source and target differ in length"):
        orthogonal_map(one, two)
    with pytest.raises(ValueError, match="rank must be at least 1 and ridge above 0, got"):
        low_rank_map(one, one, rank=0, ridge=1)


def test_a_shift_is_seen_and_none_is_rarely_claimed():
    rng = np.random.default_rng(2)
    seen = shift_p(rng.normal(size=(60, 5)), rng.normal(0.8, 1, size=(60, 5)), rng=rng, permutations=199)
    assert seen[1] == pytest.approx(1 / 200)
    claimed = [
        shift_p(rng.normal(size=(30, 5)), rng.normal(size=(30, 5)), rng=rng, permutations=99)[1] <= 0.05
        for _ in range(200)
    ]
    assert np.mean(claimed) <= 0.09
