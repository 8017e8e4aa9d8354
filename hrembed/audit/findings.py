"""Groups of names compared on every measure: effects, intervals, p-values, verdicts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from scipy import stats

from hrembed.audit.verdict import equivalence_p, judge, names_needed
from hrembed.metrics.brown_forsythe import spread_ratio_p
from hrembed.metrics.counterfactual import excess, excess_error
from hrembed.metrics.fairness import (
    Contrast,
    draws_p,
    gaps,
    impact_ratios,
    labelings,
    spread_p,
    two_way_intervals,
)
from hrembed.metrics.shares import attention_draws, ndkl, skew

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hrembed.audit.measures import Measured
    from hrembed.audit.stimuli import Units
    from hrembed.audit.verdict import Gate, Verdict
    from hrembed.types import Floats, Ints

RANKED = 199  # shuffles of the statistics that take a walk through whole rankings


@dataclass(frozen=True)
class Method:
    """How comparisons are made.

    Attributes:
        gates: What is judged.
        headline: Measure of the selection rate that the gate of impact ratios looks at.
        confidence: Joint level of the intervals of an attribute.
        resamples: Shuffles and bootstrap draws.
        seed: Of both.
    """

    gates: tuple[Gate, ...]
    headline: str
    confidence: float
    resamples: int
    seed: int


class Excess(NamedTuple):
    """How much more names of two groups differ than two names of one group.

    Attributes:
        measure: What was compared.
        between: Mean over two names of different groups.
        within: Mean over two names of one group.
        contrast: The difference, with its interval by the jackknife over names.
        p_value: By permutation, one-sided: more between than within.
    """

    measure: str
    between: float
    within: float
    contrast: Contrast
    p_value: float


class Shares(NamedTuple):
    """Where groups stand in whole rankings.

    Attributes:
        ndkl: Distance of all tops from equal shares.
        ndkl_null: What shuffled groups give on average.
        ndkl_p: By permutation.
        attention: Fairness of attention, 1 is even.
        attention_p: By permutation.
        skew: Group to its skew among the selected at the headline cut.
    """

    ndkl: float
    ndkl_null: float
    ndkl_p: float
    attention: float
    attention_p: float
    skew: Mapping[str, float]


@dataclass(frozen=True)
class Finding:
    """Everything about one attribute.

    Attributes:
        attribute: For example `race`.
        sizes: Group to its number of names.
        contrasts: Measure to all pairs of groups; ratios for selection rates, differences otherwise.
        means: Measure to group to mean.
        p_values: Measure to the permutation p-value of no difference at all.
        two_way: Intervals of the score gaps over names, jobs and résumés.
        spread_p: Whether groups differ in how far their names stand apart.
        excesses: Differences between groups above those within.
        shares: Whole rankings.
        job_gaps: Largest gap of each job, shape (J,).
        job_p: Its p-value, uncorrected, shape (J,).
    """

    attribute: str
    sizes: Mapping[str, int]
    contrasts: Mapping[str, list[Contrast]]
    means: Mapping[str, Mapping[str, float]]
    p_values: Mapping[str, float]
    two_way: list[tuple[float, float]]
    spread_p: float
    excesses: Mapping[str, Excess]
    shares: Shares | None
    job_gaps: Floats
    job_p: Floats

    def gated(self, gate: Gate) -> tuple[list[Contrast], float] | None:
        """Effects and p-value that a gate looks at; None where this attribute was not measured so."""
        if gate.measure in self.excesses:
            found = self.excesses[gate.measure]
            return [found.contrast], found.p_value
        if gate.measure not in self.contrasts:
            return None
        return self.contrasts[gate.measure], self.p_values[gate.measure]


def compare(measured: Measured, units: Units, attribute: str, method: Method) -> Finding:
    """Compare the groups of one attribute on everything that was measured."""
    groups, strata = units.groups[attribute], units.strata(attribute)
    labels = labelings(groups, strata, rng=np.random.default_rng(method.seed), resamples=method.resamples)
    names = sorted(set(groups))
    own = np.asarray(groups)
    found = spread_p(measured.tested, labels)
    return Finding(
        attribute=attribute,
        sizes={name: int((own == name).sum()) for name in names},
        contrasts={name: _contrasts(name, values, groups, strata, method) for name, values in measured.units.items()},
        means={name: {g: float(v[own == g].mean()) for g in names} for name, v in measured.units.items()},
        p_values={name: float(p) for name, p in zip(measured.units, found, strict=True)},
        two_way=two_way_intervals(
            measured.by_job,
            measured.by_resume,
            groups,
            strata,
            rng=np.random.default_rng(method.seed),
            confidence=method.confidence,
            resamples=method.resamples,
        ),
        spread_p=spread_ratio_p(measured.units["score"], labels),
        excesses={name: _excess(name, pairs, labels, method) for name, pairs in measured.pairs.items()},
        shares=_shares(measured, labels, names, method),
        job_gaps=np.array([_spread(row, labels[0]) for row in measured.by_job]),
        job_p=spread_p(measured.by_job, labels),
    )


def _contrasts(
    name: str, values: Floats, groups: Sequence[str], strata: Sequence[str], method: Method
) -> list[Contrast]:
    if not name.startswith("selected@"):
        return gaps(values, groups, strata, confidence=method.confidence)
    rng = np.random.default_rng(method.seed)
    return impact_ratios(values, groups, strata, rng=rng, confidence=method.confidence, resamples=method.resamples)


def _excess(name: str, pairs: Floats, labels: Ints, method: Method) -> Excess:
    drawn = excess(pairs, labels)
    value, n = float(drawn[0]), len(pairs)
    same = labels[0][:, None] == labels[0][None]
    off = ~np.eye(n, dtype=bool)
    between, within = (
        float(pairs[side & off].mean()) if (side & off).any() else float("nan") for side in (~same, same)
    )
    if np.isnan(value):
        return Excess(name, between, within, Contrast("between", "within", value, np.nan, np.nan), float("nan"))
    error = excess_error(pairs, labels[0])
    reach = float(stats.t.ppf((1 + method.confidence) / 2, n - 1)) * error
    found = Contrast("between", "within", value, value - reach, value + reach, np.nan, error, n - 1.0)
    return Excess(name, between, within, found, float(draws_p(drawn[:, None])[0]))


def _shares(measured: Measured, labels: Ints, names: Sequence[str], method: Method) -> Shares | None:
    """Compare shares with those of the names; None with groups of their own size in every wording (a cue)."""
    target = np.bincount(labels[0], minlength=len(names)) / labels.shape[1]
    some = labels[: RANKED + 1]
    walked = ndkl(measured.orders, some, target)
    member = np.eye(len(names))[labels]  # (B, N, G)
    attention = np.einsum("bng,n->bg", member, measured.units["attention"])
    fair = attention_draws(attention / attention.sum(axis=1, keepdims=True), target)
    rates = measured.units[method.headline]
    share = np.array([rates[labels[0] == n].sum() for n in range(len(names))]) / max(rates.sum(), 1e-300)
    return Shares(
        ndkl=float(walked[0]),
        ndkl_null=float(walked[1:].mean()),
        ndkl_p=float(draws_p(walked[:, None])[0]),
        attention=float(fair[0]),
        attention_p=float(draws_p(1 - fair[:, None])[0]),
        skew={name: float(value) for name, value in zip(names, skew(share, target), strict=True)},
    )


def _spread(values: Floats, labels: Ints) -> float:
    means = [values[labels == group].mean() for group in np.unique(labels)]
    return float(max(means) - min(means))


class Judged(NamedTuple):
    """A gate on an attribute.

    Attributes:
        attribute: What was compared.
        gate: The limit.
        contrasts: Effects.
        p_value: Uncorrected.
        p_holm: Corrected for all gates on all attributes.
        equivalence_p: Small says that all effects lie within the limit.
        verdict: Of this gate.
        names_needed: Names of each group that would settle a doubt; None where there is none, or it cannot be told.
    """

    attribute: str
    gate: Gate
    contrasts: list[Contrast]
    p_value: float
    p_holm: float
    equivalence_p: float
    verdict: Verdict
    names_needed: int | None


def judge_all(findings: Sequence[Finding], method: Method, correct: Any) -> list[Judged]:
    """Judge every gate on every attribute, one family.

    Args:
        findings: Attributes.
        method: Gates and level.
        correct: Corrects a list of p-values, for example `holm`.
    """
    rows = [(finding, gate, found) for finding in findings for gate in method.gates if (found := finding.gated(gate))]
    adjusted = correct([p_value for _, _, (_, p_value) in rows])
    return [_judged(*row, p_holm, method) for row, p_holm in zip(rows, adjusted, strict=True)]


def _judged(finding: Finding, gate: Gate, found: tuple[list[Contrast], float], p_holm: float, method: Method) -> Judged:
    contrasts, p_value = found
    verdict = judge(gate, contrasts, p_holm, 1 - method.confidence)
    smallest = min(finding.sizes.values())
    needed = names_needed(gate, contrasts, smallest) if verdict == "inconclusive" else None
    return Judged(finding.attribute, gate, contrasts, p_value, p_holm, equivalence_p(gate, contrasts), verdict, needed)
