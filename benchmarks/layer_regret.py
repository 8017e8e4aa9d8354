"""What `layers.py` found: regret of each rule, its rank, what a random pick would get, and where the variance lies.

Everything here is arithmetic on the lines of `layers.jsonl`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from hrembed.metrics.intervals import expanded_tails

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hrembed.types import Floats, Ints

MATTERS = 0.005
RATE = 1e-4  # learning rate of the trainings that are compared
CONFIDENCE = 0.95
_UNIT = 1e-6  # what scores are rounded to where a distribution is computed exactly


class Interval(NamedTuple):
    """A number with the ends of its interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:+.4f} [{self.low:+.4f}, {self.high:+.4f}]"


@dataclass(frozen=True)
class Side:
    """Scores of one task.

    Attributes:
        sums: Sum over the queries of each group, shape (seeds, choices, groups).
        sizes: Queries of each group, shape (groups,).
        base: Score of the base model.
    """

    sums: Floats
    sizes: Floats
    base: float

    @property
    def means(self) -> Floats:
        """Mean over queries, shape (seeds, choices)."""
        return np.asarray(self.sums.sum(axis=2) / self.sizes.sum())

    @property
    def by_group(self) -> Floats:
        """Contribution of each group to the mean, as if it were the only one, shape (seeds, choices, groups)."""
        return np.asarray(self.sums * len(self.sizes) / self.sizes.sum())


@dataclass(frozen=True)
class Study:
    """All trainings of the seeds that are complete.

    Attributes:
        seeds: The seeds.
        choices: Layers of each choice.
        picks: Rule to the place of its choice for each seed.
        tasks: `dev`, `test`, and `retention` where it was scored.
        memory: Largest memory of a training in MB, shape (seeds, choices).
    """

    seeds: Sequence[int]
    choices: Sequence[tuple[int, ...]]
    picks: Mapping[str, Ints]
    tasks: Mapping[str, Side]
    memory: Floats


def read_study(rows: Sequence[Mapping[str, Any]], choices: Sequence[tuple[int, ...]]) -> Study:
    """Put the lines of all complete seeds together.

    Raises:
        ValueError: No seed is complete, or trainings of one seed saw other batches.
    """
    trained = {(row["seed"], tuple(row["layers"])): row for row in rows if row.get("rate") == RATE}
    facts = {row["seed"]: row for row in rows if not row["layers"]}
    seeds = [seed for seed in sorted(facts) if all((seed, layers) in trained for layers in choices)]
    if not seeds:
        raise ValueError("no seed is complete")
    for seed in seeds:
        if len({trained[seed, layers]["batches"] for layers in choices}) > 1:
            raise ValueError(f"the trainings of seed {seed} did not see the same batches")
    first = facts[seeds[0]]
    tasks = {}
    for task, names in first["groups"].items():
        if not names:
            continue
        values = np.array([[trained[seed, layers][task] for layers in choices] for seed in seeds])
        if task == "retention":  # kept as sums over topics
            sums, sizes = values, np.array(first["retention_queries"], dtype=float)
        else:
            _, group = np.unique(names, return_inverse=True)
            member = (group[:, None] == np.arange(group.max() + 1)).astype(float)
            sums, sizes = values @ member, member.sum(axis=0)
        tasks[task] = Side(sums, sizes, float(np.sum(first["base"][task]) / sizes.sum()))
    return Study(
        seeds=seeds,
        choices=choices,
        picks={
            rule: np.array([choices.index(tuple(facts[seed]["rules"][rule])) for seed in seeds])
            for rule in first["rules"]
        },
        tasks=tasks,
        memory=np.array([[trained[seed, layers]["peak_memory_mb"] for layers in choices] for seed in seeds]),
    )


def of_picks(values: Floats, picks: Ints) -> Floats:
    """Take the pick of each seed out of values of shape (seeds, choices, ...)."""
    return np.asarray(values[np.arange(len(values)), picks])


def best_on_dev(study: Study) -> int:
    """Place of the choice with the highest mean on dev over all seeds."""
    return int(study.tasks["dev"].means.mean(axis=0).argmax())


class Draws:
    """Seeds and groups, drawn with replacement, each by itself (the pigeonhole bootstrap).

    Args:
        study: What is drawn from.
        resamples: Number of draws.
        seed: Of the draws.

    Source:
        Owen (2007), doi:10.1214/07-AOAS122.
    """

    def __init__(self, study: Study, *, resamples: int = 10_000, seed: int = 13) -> None:
        rng = np.random.default_rng(seed)
        self._study = study
        self._seeds = _weights(len(study.seeds), resamples, rng)
        self._groups = {name: _weights(len(side.sizes), resamples, rng) for name, side in study.tasks.items()}

    def means(self, task: str, picks: Ints | None = None) -> Floats:
        """Mean of every choice in each draw, shape (draws, choices); with picks, that of the picks, shape (draws,)."""
        side, weights = self._study.tasks[task], self._groups[task]
        sums = side.sums if picks is None else of_picks(side.sums, picks)[:, None]
        totals = sums @ weights.T / (weights @ side.sizes)
        means = np.einsum("ds,scd->dc", self._seeds, totals)
        return np.asarray(means if picks is None else means[:, 0])

    def regret(self, picks: Ints) -> Interval:
        """Regret of a rule: in each draw the best is chosen anew on dev, and read on test."""
        study = self._study
        side, best = study.tasks["test"], best_on_dev(study)
        chosen = self.means("dev").argmax(axis=1)
        test = self.means("test")
        drawn = test[np.arange(len(test)), chosen] - self.means("test", picks)
        return _interval(side.by_group[:, best] - of_picks(side.by_group, picks), drawn)

    def difference(self, task: str, picks: Ints, others: Ints) -> Interval:
        """Paired difference of two rules on a task."""
        by_group = self._study.tasks[task].by_group
        drawn = self.means(task, picks) - self.means(task, others)
        return _interval(of_picks(by_group, picks) - of_picks(by_group, others), drawn)


def _weights(n: int, resamples: int, rng: np.random.Generator) -> Floats:
    return rng.multinomial(n, np.full(n, 1 / n), resamples) / n


def _interval(by_group: Floats, drawn: Floats) -> Interval:
    """Percentiles of the draws, widened for the fewness of seeds and groups alike.

    Args:
        by_group: The paired difference, shape (seeds, groups).
        drawn: Its mean in each draw.
    """
    low, high = np.quantile(drawn, expanded_tails(_units(by_group), CONFIDENCE))
    return Interval(float(by_group.mean()), float(low), float(high))


def _units(by_group: Floats) -> int:
    """Degrees of freedom of the variance of the mean (Welch and Satterthwaite), plus one."""
    parts = [by_group.mean(axis=axis) for axis in (0, 1)]
    errors = [part.var(ddof=1) / len(part) if len(part) > 1 else 0.0 for part in parts]
    below = sum(error**2 / (len(part) - 1) for error, part in zip(errors, parts, strict=True) if len(part) > 1)
    return max(2, int(sum(errors) ** 2 / below) + 1) if below else by_group.shape[1]


def ranks(means: Floats, picks: Ints) -> Floats:
    """Rank of each seed's pick among all choices, 1 the best; equal ones share the mean of their ranks."""
    own = of_picks(means, picks)[:, None]
    return np.asarray((means > own).sum(axis=1) + ((means == own).sum(axis=1) + 1) / 2)


def chance(means: Floats, picks: Ints) -> float:
    """Chance that a random pick is at least as good as a rule's picks, exactly.

    Of a rule that picks the same for every seed, the null is one random choice for all seeds; of another, a choice
    drawn for each seed.

    Args:
        means: Score of each choice, shape (seeds, choices).
        picks: The rule's choice for each seed.
    """
    if len(set(picks.tolist())) == 1:
        over_seeds = means.mean(axis=0)
        return float((over_seeds >= over_seeds[picks[0]] - _UNIT / 2).mean())
    lost = np.rint((means.max(axis=1, keepdims=True) - means) / _UNIT).astype(int)
    total = np.ones(1)
    for row in lost:  # chance of each sum; twenty shifts are much less work than a convolution
        before, total = total, np.zeros(len(total) + row.max())
        for shift in row:
            total[shift : shift + len(before)] += before / len(row)
    return float(total[: int(of_picks(lost, picks).sum()) + 1].sum())


def random_regret(study: Study) -> Floats:
    """Regret of each choice, were it made for all seeds: the exact distribution of a random pick."""
    means = study.tasks["test"].means.mean(axis=0)
    return np.asarray(means[best_on_dev(study)] - means)


def variance_shares(means: Floats) -> dict[str, float]:
    """Split the variance of single trainings into choices, seeds, and the rest (what a choice does to one seed alone).

    Args:
        means: Shape (seeds, choices).

    Returns:
        Standard deviation `spread`, and the shares `choices`, `seeds`, `rest`; estimates below 0 are set to 0.

    Source:
        Searle, Casella & McCulloch (1992), section 4.4: the ANOVA estimates of a crossed layout without repeats.
    """
    seeds, choices = means.shape
    rows, columns = means.mean(axis=1, keepdims=True), means.mean(axis=0, keepdims=True)
    left = means - rows - columns + means.mean()
    rest = float((left**2).sum() / ((seeds - 1) * (choices - 1)))
    parts = {
        "choices": max(0.0, columns.var(ddof=1) - rest / seeds),
        "seeds": max(0.0, rows.var(ddof=1) - rest / choices),
        "rest": rest,
    }
    whole = sum(parts.values())
    return {"spread": float(np.sqrt(whole)), **{name: part / whole for name, part in parts.items()}}


def decisions(regret: Mapping[str, Interval], gains: Mapping[str, Mapping[str, Interval]], random: float) -> list[str]:
    """Apply what was fixed beforehand.

    Args:
        regret: Of every rule.
        gains: Rule to task (`test`, `retention`) to the difference to `last`.
        random: Mean regret of a random pick.
    """
    kept = [rule for rule, tasks in gains.items() if _stays(tasks)]
    last = regret["last"]
    better = [rule for rule in kept if regret[rule].value < last.value]
    if last.value < MATTERS:
        default = "the last layers become the default of all examples"
    elif better:
        default = f"the default becomes {min(better, key=lambda rule: regret[rule].value)}"
    else:
        default = "no default changes; go on to equal seconds, rates, titles and noisy input"
    stay = f"stay in the code: {', '.join(kept)}" if kept else "no rule stays; `layers: auto` goes"
    return [
        f"regret of the last layers {last.value:+.4f}, at most {last.high:+.4f}: {default}",
        stay,
        f"mean regret of a random pick {random:+.4f}: "
        + ("it does not matter which three are trained" if random < MATTERS else "a bad pick costs something"),
    ]


def _stays(gains: Mapping[str, Interval]) -> bool:
    test, kept = gains["test"], gains.get("retention")
    if test.value >= MATTERS and test.low > 0:
        return True
    return kept is not None and kept.value >= MATTERS and kept.low > 0 and test.value > -MATTERS


def report(study: Study, *, resamples: int = 10_000) -> str:
    """Write the tables in Markdown."""
    draws, test = Draws(study, resamples=resamples), study.tasks["test"]
    last, has_retention = study.picks["last"], "retention" in study.tasks
    regret = {rule: draws.regret(picks) for rule, picks in study.picks.items()}
    of_tasks = [task for task in ("test", "retention") if task in study.tasks]
    gains = {
        rule: {task: draws.difference(task, picks, last) for task in of_tasks}
        for rule, picks in study.picks.items()
        if rule != "last"
    }
    lines = [f"Seeds {', '.join(map(str, study.seeds))}; best on dev: {_named(study, best_on_dev(study))}.", ""]
    lines += [
        "| rule | layers by seed | test | regret | rank of 20 | chance of a random pick | minus last |",
        "|---" * 7 + "|",
    ]
    for rule, picks in study.picks.items():
        cells = [rule, " / ".join(_named(study, pick) for pick in picks), f"{of_picks(test.means, picks).mean():.4f}"]
        cells += [str(regret[rule]), f"{ranks(test.means, picks).mean():.1f}", f"{chance(test.means, picks):.2f}"]
        lines.append(_row([*cells, str(gains[rule]["test"]) if rule in gains else ""]))
    if has_retention:
        lines += ["", *(f"Outside of hiring, {rule} minus last: {gain['retention']}" for rule, gain in gains.items())]
    random = random_regret(study)
    quantiles = " / ".join(f"{value:+.4f}" for value in np.quantile(random, (0, 0.25, 0.5, 0.75, 1)))
    lines += ["", f"Random pick: mean regret {random.mean():+.4f}; least, quartiles, most {quantiles}", ""]
    for task, side in study.tasks.items():
        if len(study.seeds) > 1:
            shares = variance_shares(side.means)
            named = ", ".join(f"{name} {100 * shares[name]:.0f} %" for name in ("choices", "seeds", "rest"))
            lines.append(f"Variance of {task}: standard deviation {shares['spread']:.4f}; {named}")
    effects = layer_effects(study, draws)
    lines += ["", "| layer | test, choices with it minus the others |", "|---|---|"]
    lines += [_row([str(layer), str(effect)]) for layer, effect in effects.items()]
    lines += ["", *_choices(study, draws), "", *decisions(regret, gains, float(random.mean()))]
    return "\n".join(lines) + "\n"


def rates_report(rows: Sequence[Mapping[str, Any]]) -> str:
    """Write a table of what was trained at other learning rates too, over the seeds that have all of them."""
    others = {(tuple(row["layers"]), row["rate"]) for row in rows if row["layers"] and row["rate"] != RATE}
    asked = sorted({*others, *((layers, RATE) for layers, _ in others)})
    trained = {(row["seed"], tuple(row["layers"]), row["rate"]): row for row in rows if row["layers"]}
    seeds = sorted({seed for seed, _, _ in trained if all((seed, *what) in trained for what in asked)})
    if not others or not seeds:
        return ""
    lines = [f"Learning rates, seeds {', '.join(map(str, seeds))}:", "", _row(["layers", "rate", "dev", "test"])]
    lines.append("|---" * 4 + "|")
    for layers, rate in asked:
        found = [trained[seed, layers, rate] for seed in seeds]
        means = (f"{np.mean([row[task] for row in found]):.4f}" for task in ("dev", "test"))
        lines.append(_row([" ".join(map(str, layers)), f"{rate:g}", *means]))
    return "\n".join(lines) + "\n"


def layer_effects(study: Study, draws: Draws, task: str = "test") -> dict[int, Interval]:
    """What it is worth on the average that a layer is among those that are trained: choices with it less the others."""
    side, means = study.tasks[task], draws.means(task)
    depth = 1 + max(map(max, study.choices))
    found = {}
    for layer in range(depth):
        member = np.array([layer in choice for choice in study.choices])
        contrast = member / member.sum() - ~member / (~member).sum()
        found[layer] = _interval(np.einsum("scg,c->sg", side.by_group, contrast), means @ contrast)
    return found


def _choices(study: Study, draws: Draws) -> list[str]:
    """Table of all choices, the best on test first."""
    dev, test = (study.tasks[name].means.mean(axis=0) for name in ("dev", "test"))
    titles = ["layers", "dev", "test", "test minus last", "spread of that over seeds"]
    kept = study.tasks.get("retention")
    titles += ["outside of hiring, minus the base"] if kept else []
    lines = [_row([*titles, "MB memory"]), "|---" * (len(titles) + 1) + "|"]
    for place in np.argsort(-test, kind="stable"):
        fixed = np.full(len(study.seeds), place)
        to_last = study.tasks["test"].means[:, place] - of_picks(study.tasks["test"].means, study.picks["last"])
        cells = [_named(study, place), f"{dev[place]:.4f}", f"{test[place]:.4f}"]
        cells.append(str(draws.difference("test", fixed, study.picks["last"])))
        cells.append(f"{to_last.std(ddof=1):.4f}" if len(study.seeds) > 1 else "")
        cells += [f"{kept.means[:, place].mean() - kept.base:+.4f}"] if kept else []
        lines.append(_row([*cells, f"{np.median(study.memory[:, place]):,.0f}"]))
    return lines


def _named(study: Study, place: int) -> str:
    return " ".join(map(str, study.choices[place]))


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
