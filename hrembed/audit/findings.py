"""Groups of names compared on every measure: effects, intervals, p-values, verdicts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

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
from hrembed.records.bias_audit import Shares

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from hrembed.audit.measures import Measurements
    from hrembed.audit.stimuli import Units
    from hrembed.audit.verdict import Gate
    from hrembed.metrics.gating import Outcome
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
        between: Mean over two names of different groups.
        within: Mean over two names of one group.
        contrast: The difference, with its interval by the jackknife over names.
        p_value: By permutation, one-sided: more between than within.
    """

    between: float
    within: float
    contrast: Contrast
    p_value: float


@dataclass(frozen=True)
class Finding:
    """Everything about one attribute.

    Attributes:
        attribute: For example `race`.
        counted: What the groups are made of: `names`, or `wordings` of a cue.
        sizes: Group -> number of its names.
        contrasts: Measure -> all pairs of groups; ratios for selection rates, differences otherwise.
        means: Measure -> group -> mean.
        p_values: Measure -> permutation p-value of no difference at all.
        two_way: Intervals of the score gaps over names, jobs and résumés.
        spread_p: p-value of "names of all groups vary alike".
        excesses: Name of a difference between two names -> its excess between groups.
        shares: Whole rankings.
        job_gaps: Largest gap of each job, shape (J,).
        job_p: Its p-value, uncorrected, shape (J,).
    """

    attribute: str
    counted: str
    sizes: Mapping[str, int]
    contrasts: Mapping[str, list[Contrast]]
    means: Mapping[str, Mapping[str, float]]
    p_values: Mapping[str, float]
    two_way: list[tuple[float, float]]
    spread_p: float
    excesses: Mapping[str, Excess]
    shares: Shares
    job_gaps: Floats
    job_p: Floats

    def gated(self, gate: Gate) -> tuple[list[Contrast], float] | None:
        """Effects and p-value that a gate looks at; None where this attribute was not measured so."""
        if gate.measure in self.excesses:
            excess_of_groups = self.excesses[gate.measure]
            return [excess_of_groups.contrast], excess_of_groups.p_value
        if gate.measure not in self.contrasts:
            return None
        return self.contrasts[gate.measure], self.p_values[gate.measure]


def compare(measured: Measurements, units: Units, attribute: str, method: Method) -> Finding:
    """Compare the groups of one attribute on everything that was measured."""
    groups, strata = units.groups[attribute], units.strata(attribute)
    labels = labelings(groups, strata, rng=np.random.default_rng(method.seed), resamples=method.resamples)
    names = sorted(set(groups))
    members = {name: np.asarray(groups) == name for name in names}
    p_values = spread_p(measured.tested, labels)
    return Finding(
        attribute=attribute,
        counted="wordings" if units.held else "names",
        sizes={name: int(member.sum()) for name, member in members.items()},
        contrasts={name: _contrasts(name, values, groups, strata, method) for name, values in measured.units.items()},
        means={
            name: {group: float(values[member].mean()) for group, member in members.items()}
            for name, values in measured.units.items()
        },
        p_values={name: float(p_value) for name, p_value in zip(measured.units, p_values, strict=True)},
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
        excesses={name: _excess(pairs, labels, method) for name, pairs in measured.pairs.items()},
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


def _excess(pairs: Floats, labels: Ints, method: Method) -> Excess:
    drawn = excess(pairs, labels)
    value, n = float(drawn[0]), len(pairs)
    same = labels[0][:, None] == labels[0][None]
    off_diagonal = ~np.eye(n, dtype=bool)
    between, within = (
        float(pairs[chosen & off_diagonal].mean()) if (chosen & off_diagonal).any() else float("nan")
        for chosen in (~same, same)
    )
    if np.isnan(value):
        return Excess(between, within, Contrast("between", "within", value, np.nan, np.nan), float("nan"))
    error = excess_error(pairs, labels[0])
    reach = float(stats.t.ppf((1 + method.confidence) / 2, n - 1)) * error
    contrast = Contrast("between", "within", value, value - reach, value + reach, np.nan, error, n - 1.0)
    return Excess(between, within, contrast, float(draws_p(drawn[:, None])[0]))


def _shares(measured: Measurements, labels: Ints, names: Sequence[str], method: Method) -> Shares:
    """Compare the shares of groups in rankings with their shares of the names."""
    target = np.bincount(labels[0], minlength=len(names)) / labels.shape[1]
    divergence = ndkl(measured.orders, labels[: RANKED + 1], target)
    member = np.eye(len(names))[labels]  # (B, N, G)
    attention = np.einsum("bng,n->bg", member, measured.units["attention"])
    fair = attention_draws(attention / attention.sum(axis=1, keepdims=True), target)
    rates = measured.units[method.headline]
    share = np.array([rates[labels[0] == n].sum() for n in range(len(names))]) / max(rates.sum(), 1e-300)
    return Shares(
        ndkl=float(divergence[0]),
        ndkl_null=float(divergence[1:].mean()),
        ndkl_p=float(draws_p(divergence[:, None])[0]),
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
        p_corrected: Corrected for all gates on all attributes that were judged together.
        equivalence_p: Small says that all effects lie within the limit.
        verdict: Of this gate.
        names_needed: Names of each group that would settle a doubt; None where there is none, or it cannot be told.
    """

    attribute: str
    gate: Gate
    contrasts: list[Contrast]
    p_value: float
    p_corrected: float
    equivalence_p: float
    verdict: Outcome
    names_needed: int | None


def judge_all(
    findings: Sequence[Finding], method: Method, correct: Callable[[Sequence[float]], list[float]]
) -> list[Judged]:
    """Judge every gate on every attribute, one family.

    Args:
        findings: Attributes.
        method: Gates and level.
        correct: Corrects the p-values of the family: `holm` or `benjamini_hochberg`.
    """
    rows = [(finding, gate, *gated) for finding in findings for gate in method.gates if (gated := finding.gated(gate))]
    corrected = correct([p_value for *_, p_value in rows])
    return [_judged(*row, p_corrected, method) for row, p_corrected in zip(rows, corrected, strict=True)]


def _judged(
    finding: Finding, gate: Gate, contrasts: list[Contrast], p_value: float, p_corrected: float, method: Method
) -> Judged:
    verdict = judge(gate, contrasts, p_corrected, 1 - method.confidence)
    needed = names_needed(gate, contrasts, min(finding.sizes.values())) if verdict == "inconclusive" else None
    equivalence = equivalence_p(gate, contrasts)
    return Judged(finding.attribute, gate, contrasts, p_value, p_corrected, equivalence, verdict, needed)
