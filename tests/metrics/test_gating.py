"""When a gate closes: by hand, and on thousands of simulated pairs of models."""

from __future__ import annotations

import numpy as np
import pytest
from hrembed.config.parts import BootstrapSection
from hrembed.metrics.gating import judge_gain, judge_limit, judge_loss, overall, smallest_loss_seen
from hrembed.metrics.intervals import clustered_error
from hrembed.scoring.pairs import PairedItems
from hrembed.types import Estimate

MARGIN = 0.02
CHECKS = 3
PAIRS = 1000
BOOTSTRAP = BootstrapSection(resamples=400)
NAMES = [f"g{n // 3}" for n in range(120)]  # forty groups of three queries


def interval(low: float, high: float) -> Estimate:
    return Estimate((low + high) / 2, low, high, 40, "groups")


@pytest.mark.parametrize(
    ("low", "high", "outcome"),
    [
        (-0.019, 0.03, "pass"),  # a loss of the margin is excluded
        (-0.019, -0.001, "pass"),  # worse, and within what is accepted
        (-0.05, 0.01, "inconclusive"),
        (-0.05, -0.006, "fail"),
        (-0.05, -0.004, "inconclusive"),  # a loss, but not shown to be beyond the minimal effect
        (np.nan, np.nan, "inconclusive"),
    ],
)
def test_a_loss_is_judged_by_its_interval(low, high, outcome):
    found = interval(low, high)
    assert judge_loss(found, found, margin=MARGIN, min_effect=0.005) == outcome


def test_the_corrected_interval_decides_about_failing_only():
    plain, wide = interval(-0.05, -0.001), interval(-0.06, 0.001)
    assert judge_loss(plain, plain, margin=MARGIN, min_effect=0) == "fail"
    assert judge_loss(plain, wide, margin=MARGIN, min_effect=0) == "inconclusive"
    assert judge_loss(interval(-0.01, 0.01), wide, margin=MARGIN, min_effect=0) == "pass"


def test_gains_and_limits():
    assert [judge_gain(interval(*ends), gain=0.01) for ends in ((0.02, 0.03), (-0.1, 0.005), (0, 0.03))] == [
        "pass", "fail", "inconclusive",
    ]  # fmt: skip
    assert [judge_limit(interval(*ends), low=0.5, high=np.inf) for ends in ((0.5, 0.6), (0.3, 0.4), (0.4, 0.6))] == [
        "pass", "fail", "inconclusive",
    ]  # fmt: skip
    assert judge_limit(Estimate(3.0, np.nan, np.nan, 1, "x"), low=-np.inf, high=4) == "pass"
    assert judge_limit(Estimate(np.nan, np.nan, np.nan, 0, "x"), low=0, high=4) == "inconclusive"


def test_one_failure_fails_and_nothing_to_judge_is_open():
    assert overall(["pass", "inconclusive", "fail"]) == "fail"
    assert overall(["pass", "inconclusive"]) == "inconclusive"
    assert overall(["pass", "pass"]) == "pass"
    assert overall([]) == "inconclusive"


def scores(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Two equally good models on one task; queries of a group are hard together."""
    hard = rng.normal(size=(40, 1)) + 0.7 * rng.normal(size=(40, 3))
    noise = 0.3 * rng.normal(size=(2, 40, 1)) + 0.5 * rng.normal(size=(2, 40, 3))
    first, second = (1 / (1 + np.exp(-hard - noise))).reshape(2, -1)
    return first, second


def judged(rng: np.random.Generator, losses: tuple[float, ...]) -> list[str]:
    """A whole gate: one check a task, corrected for their number."""
    return [one_check(rng, loss, len(losses)) for loss in losses]


def one_check(rng: np.random.Generator, loss: float, checks: int) -> str:
    candidate, baseline = scores(rng)
    pair = PairedItems(candidate - loss, baseline, NAMES, BOOTSTRAP)
    ends = [pair.difference(level) for level in (0.95, 1 - 0.05 / checks)]
    return judge_loss(*ends, margin=MARGIN, min_effect=0)


def typical_error() -> float:
    rng = np.random.default_rng(4)
    return float(np.mean([clustered_error(np.subtract(*scores(rng)), NAMES)[0] for _ in range(400)]))


def seen(checks: int) -> float:
    return smallest_loss_seen(typical_error(), 40, margin=MARGIN, min_effect=0, alpha=0.05, checks=checks, power=0.8)


def test_over_a_thousand_equal_pairs_the_gate_fails_at_most_5_of_100_times():
    failed = sum(overall(judged(np.random.default_rng([1, n]), (0.0,) * CHECKS)) == "fail" for n in range(PAIRS))
    assert failed / PAIRS <= 0.05


def test_a_model_worse_by_the_smallest_loss_seen_is_caught_at_least_80_of_100_times():
    loss = seen(CHECKS)
    found = [one_check(np.random.default_rng([2, n]), loss, CHECKS) for n in range(PAIRS)]
    assert found.count("fail") / PAIRS >= 0.8
    assert found.count("pass") / PAIRS <= 0.01


def test_a_model_worse_by_the_margin_passes_at_most_3_of_100_times():
    found = [one_check(np.random.default_rng([3, n]), MARGIN, 1) for n in range(PAIRS)]
    assert found.count("pass") / PAIRS <= 0.035  # 2.5 % and the noise of a thousand


def test_the_smallest_loss_grows_with_checks_and_needs_two_units():
    assert seen(1) < seen(3)
    assert np.isnan(smallest_loss_seen(0.1, 1, margin=0.1, min_effect=0, alpha=0.05, checks=1, power=0.8))
    precise = smallest_loss_seen(1e-6, 40, margin=0.1, min_effect=0, alpha=0.05, checks=1, power=0.8)
    assert precise == pytest.approx(0.1, abs=1e-4)  # what the margin accepts never fails
