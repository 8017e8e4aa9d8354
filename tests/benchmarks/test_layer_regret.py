from __future__ import annotations

import importlib
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

if TYPE_CHECKING:
    from types import ModuleType

    from hrembed.types import Floats, Ints

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
CHOICES = [*combinations(range(6), 3)]
LAST = 19
SEEDS, DEV, TEST, OF_GROUP = 5, 24, 40, 4


@pytest.fixture
def regret(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("layer_regret")


def scores(truth: Floats, groups: int, rng: np.random.Generator) -> Floats:
    """One number per query: what a choice is worth, and what occupations, seeds and both do to it."""
    shape = (SEEDS, len(truth), groups)
    drawn = 0.7 + truth[None, :, None] + rng.normal(0, 0.2, (1, 1, groups))
    drawn = drawn + rng.normal(0, 0.02, (1, len(truth), groups)) + rng.normal(0, 0.004, (SEEDS, len(truth), 1))
    return np.repeat(drawn + rng.normal(0, 0.03, shape), OF_GROUP, axis=2)


def lines(truth: Floats, picks: dict[str, Ints], rng: np.random.Generator) -> list[dict[str, Any]]:
    """What the script writes, of trainings whose worth is known."""
    drawn = {"dev": scores(truth, DEV, rng), "test": scores(truth, TEST, rng)}
    groups = {
        "dev": [f"g{n // OF_GROUP}" for n in range(DEV * OF_GROUP)],
        "test": [f"g{n // OF_GROUP}" for n in range(TEST * OF_GROUP)],
        "retention": ["t0", "t1"],
    }
    rows: list[dict[str, Any]] = []
    for s in range(SEEDS):
        base = {"dev": [0.6] * (DEV * OF_GROUP), "test": [0.6] * (TEST * OF_GROUP), "retention": [2.7, 0.9]}
        rules = {rule: CHOICES[int(chosen[s])] for rule, chosen in picks.items()}
        shared = {"rules": rules, "base": base, "groups": groups, "retention_queries": [3, 1]}
        rows.append({"seed": s, "layers": [], **shared})
        for n, layers in enumerate(CHOICES):
            of_tasks = {task: values[s, n].tolist() for task, values in drawn.items()}
            rows.append(
                {
                    "seed": s,
                    "layers": list(layers),
                    "rate": 1e-4,
                    **of_tasks,
                    "retention": [2.4 + 0.01 * n, 0.8],
                    "batches": "b",
                    "peak_memory_mb": 1000.0 + n,
                }
            )
    return rows


def always(place: int) -> Ints:
    return np.full(SEEDS, place)


def test_a_known_regret_is_found(regret: ModuleType) -> None:
    """The interval of a regret of 0.03 covers it as often as it says, and a rule that picks the best has none."""
    truth = np.zeros(20)
    truth[4], truth[LAST] = 0.05, 0.02
    rng, covered, found, of_best = np.random.default_rng(0), 0, [], []
    for _ in range(60):
        study = regret.read_study(lines(truth, {"best": always(4), "last": always(LAST)}, rng), CHOICES)
        draws = regret.Draws(study, resamples=1000)
        interval = draws.regret(study.picks["last"])
        covered += interval.low <= 0.03 <= interval.high
        found.append(interval.value)
        of_best.append(draws.regret(study.picks["best"]).value)
    assert covered >= 54
    assert np.mean(found) == pytest.approx(0.03, abs=0.003)
    assert np.mean(of_best) == pytest.approx(0, abs=1e-9)


def test_where_no_choice_is_better_nothing_is_found(regret: ModuleType) -> None:
    """A best that luck on dev chose is no better on test; neither is a rule than a random pick."""
    rng, covered, found, chances = np.random.default_rng(1), 0, [], []
    for _ in range(100):
        picks = {"drawn": rng.integers(0, 20, SEEDS), "last": always(LAST)}
        study = regret.read_study(lines(np.zeros(20), picks, rng), CHOICES)
        interval = regret.Draws(study, resamples=1000).regret(study.picks["last"])
        covered += interval.low <= 0 <= interval.high
        found.append(interval.value)
        chances.append([regret.chance(study.tasks["test"].means, study.picks[rule]) for rule in picks])
    assert covered >= 90
    assert abs(np.mean(found)) < 0.002
    rejected = (np.array(chances) <= 0.05).mean(axis=0)
    assert (rejected <= 0.12).all(), rejected
    assert np.mean(chances, axis=0) == pytest.approx([0.5, 0.525], abs=0.08)


def test_ranks_and_the_chance_of_a_random_pick_by_hand(regret: ModuleType) -> None:
    means = np.array([[0.5, 0.7, 0.6], [0.6, 0.6, 0.1]])
    assert regret.ranks(means, np.array([0, 0])).tolist() == [3, 1.5]
    assert regret.chance(means, np.array([1, 1])) == pytest.approx(1 / 3)
    assert regret.chance(means, np.array([1, 0])) == pytest.approx(2 / 9)  # 0.7 with either of the two 0.6
    assert regret.chance(means, np.array([0, 2])) == pytest.approx(1)


def test_the_random_pick_and_the_scores_by_hand(regret: ModuleType) -> None:
    truth = np.linspace(0, 0.57, 20)
    study = regret.read_study(lines(truth, {"last": always(LAST)}, np.random.default_rng(2)), CHOICES)
    assert regret.best_on_dev(study) == LAST
    assert regret.random_regret(study) == pytest.approx(0.57 - truth, abs=0.03)
    assert study.tasks["retention"].base == pytest.approx(0.9)
    assert study.tasks["retention"].means[0].tolist() == pytest.approx([(3.2 + 0.01 * n) / 4 for n in range(20)])
    drawn = regret.Draws(study, resamples=4000).difference("retention", study.picks["last"], always(0))
    assert drawn.value == pytest.approx(0.19 / 4)
    assert drawn.low <= 0 < drawn.high, "one of two topics alone says it"


@pytest.mark.parametrize("known", [(0.02, 0.0, 0.005), (0.0, 0.02, 0.005), (0.01, 0.01, 0.01)])
def test_variance_is_ascribed_to_what_made_it(regret: ModuleType, known: tuple[float, float, float]) -> None:
    rng, found = np.random.default_rng(3), []
    for _ in range(200):
        choices, seeds, rest = (
            rng.normal(0, sd, shape) for sd, shape in zip(known, ((1, 20), (5, 1), (5, 20)), strict=True)
        )
        shares = regret.variance_shares(choices + seeds + rest)
        found.append([shares["spread"] ** 2 * shares[name] for name in ("choices", "seeds", "rest")])
    assert np.mean(found, axis=0) == pytest.approx(np.square(known), rel=0.2, abs=1e-5)


def test_only_complete_seeds_count_and_batches_must_be_the_same(regret: ModuleType) -> None:
    rows = lines(np.zeros(20), {"last": always(LAST)}, np.random.default_rng(4))
    assert regret.read_study(rows[:-1], CHOICES).seeds == [0, 1, 2, 3]
    with pytest.raises(ValueError, match="no seed is complete"):
        regret.read_study(rows[:20], CHOICES)
    rows[3]["batches"] = "others"
    with pytest.raises(ValueError, match="seed 0 did not see the same batches"):
        regret.read_study(rows, CHOICES)


@pytest.mark.parametrize(
    ("last", "test", "kept", "said"),
    [
        (0.004, (0.001, -0.001), (0, 0), ["the last layers become the default", "no rule stays"]),
        (0.006, (0.001, -0.001), (0, 0), ["no default changes; go on", "no rule stays"]),
        (0.006, (0.006, 0.001), (0, 0), ["the default becomes snr", "stay in the code: snr"]),
        (0.006, (0.006, -0.001), (0, 0), ["no default changes", "no rule stays"]),
        (0.004, (-0.004, -0.01), (0.006, 0.001), ["the last layers become", "stay in the code: snr"]),
        (0.004, (-0.006, -0.01), (0.006, 0.001), ["the last layers become", "no rule stays"]),
    ],
)
def test_what_was_fixed_beforehand_is_applied(
    regret: ModuleType, last: float, test: tuple[float, float], kept: tuple[float, float], said: list[str]
) -> None:
    of_rules = {"last": regret.Interval(last, -0.01, 0.02), "snr": regret.Interval(last - test[0], -0.01, 0.02)}
    gains = {"test": regret.Interval(*test, 0.02), "retention": regret.Interval(*kept, 0.02)}
    told = regret.decisions(of_rules, {"snr": gains}, 0.01)
    assert "+0.0200" in told[0]
    assert all(word in line for word, line in zip(said, told, strict=False))
    assert "does not matter" in regret.decisions(of_rules, {"snr": gains}, 0.004)[2]


def test_the_report_names_every_choice_and_rule(regret: ModuleType) -> None:
    picks = {"snr": np.array([1, 1, 2, 1, 1]), "last": always(LAST)}
    study = regret.read_study(lines(np.linspace(0, 0.1, 20), picks, np.random.default_rng(5)), CHOICES)
    text = regret.report(study, resamples=500)
    assert "| snr | 0 1 3 / 0 1 3 / 0 1 4 / 0 1 3 / 0 1 3 |" in text
    assert all(f"| {' '.join(map(str, layers))} |" in text for layers in CHOICES)
    assert "Outside of hiring, snr minus last: -0.0445" in text


def test_what_a_layer_is_worth_on_the_average_is_found(regret: ModuleType) -> None:
    """Layer 3 gives 0.02; choices with another layer hold it less often (4 of 10 against 6 of 10)."""
    truth = np.array([0.02 * (3 in choice) for choice in CHOICES])
    study = regret.read_study(lines(truth, {"last": always(LAST)}, np.random.default_rng(7)), CHOICES)
    effects = regret.layer_effects(study, regret.Draws(study, resamples=1000))
    assert effects[3].value == pytest.approx(0.02, abs=0.008)
    assert 0 < effects[3].low < 0.02 < effects[3].high
    for layer in (0, 1, 2, 4, 5):
        assert effects[layer].value == pytest.approx(-0.004, abs=0.008)


def test_other_rates_stand_apart_and_change_no_regret(regret: ModuleType) -> None:
    rows = lines(np.linspace(0, 0.1, 20), {"last": always(LAST)}, np.random.default_rng(5))
    alone = regret.report(regret.read_study(rows, CHOICES), resamples=500)
    assert regret.rates_report(rows) == ""
    named = [row for row in rows if row["layers"] == list(CHOICES[LAST]) and row["seed"] < 3]
    more = [*rows, *({**row, "rate": 2e-4, "dev": [0.9], "test": [0.8]} for row in named)]
    assert regret.report(regret.read_study(more, CHOICES), resamples=500) == alone
    table = regret.rates_report(more)
    assert "seeds 0, 1, 2" in table
    assert "| 3 4 5 | 0.0002 | 0.9000 | 0.8000 |" in table
    assert table.count("| 3 4 5 |") == 2
