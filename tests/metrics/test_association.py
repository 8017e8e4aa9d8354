"""Association tests against a plain enumeration."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hrembed.metrics.association import associations, weat


def test_effect_and_exact_p_value_by_a_plain_loop():
    rng = np.random.default_rng(0)
    one, other = rng.normal(size=5) + 0.8, rng.normal(size=5)
    found = weat(one, other, rng=rng)
    pooled = np.concatenate([one, other])
    assert found.effect == pytest.approx((one.mean() - other.mean()) / pooled.std(ddof=1))
    gaps = []
    for chosen in combinations(range(10), 5):
        rest = [n for n in range(10) if n not in chosen]
        gaps.append(abs(pooled[list(chosen)].mean() - pooled[rest].mean()))
    assert found.p_value == pytest.approx(np.mean(np.array(gaps) >= abs(one.mean() - other.mean()) - 1e-12))
    assert found.exact
    assert found.divisions == 252


def test_both_signs_have_one_p_value():
    """WEFE 1.0.1 gives p = 1 for a negative effect, since it compares an absolute value with a signed one."""
    rng = np.random.default_rng(1)
    one, other = rng.normal(size=8) - 2, rng.normal(size=8)
    low, high = weat(one, other, rng=rng), weat(other, one, rng=rng)
    assert low.effect == pytest.approx(-high.effect)
    assert low.effect < -1
    assert low.p_value == high.p_value < 0.01


def test_large_sets_are_sampled_and_hold_their_level():
    rng = np.random.default_rng(2)
    found = [weat(*rng.normal(size=(2, 30)), rng=rng, resamples=199) for _ in range(200)]
    assert not found[0].exact
    assert 0.01 <= np.mean([own.p_value <= 0.05 for own in found]) <= 0.1


def test_associations_are_mean_cosines():
    first, second = np.eye(3)[:2], np.eye(3)[2:]
    assert associations(np.eye(3), first, second) == pytest.approx([0.5, 0.5, -1])
    assert np.isnan(weat(np.ones(3), np.ones(3), rng=np.random.default_rng(0)).effect)
