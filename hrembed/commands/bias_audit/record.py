"""From findings and verdicts to the parts of the record that say them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hrembed.metrics.multiplicity import benjamini_hochberg
from hrembed.records.bias_audit import (
    AttributeComparison,
    CueComparison,
    Excess,
    GateResult,
    GroupComparison,
    GroupContrast,
    JobGap,
    Measure,
)
from hrembed.types import Estimate

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hrembed.audit.findings import Finding, Judged
    from hrembed.metrics.fairness import Contrast
    from hrembed.records.manifest import Scoring
    from hrembed.types import Text


NOTICE = (
    "Test data made by swapping names; by itself not a bias audit under New York City Local Law 144. "
    "The limits are engineering choices, not law."
)


def notice_of(scoring: Scoring | None) -> str:
    """Say what swapped names must not be taken for, and which parts a scoring is not part of."""
    if scoring is None:
        return NOTICE
    return (
        f"{NOTICE} The model scores by {scoring.in_words}; leakage, associations and mitigation look at whole vectors, "
        "of which that is no part."
    )


GAP_UNIT = "standard deviations of a job's nameless scores"


_JOBS = 20  # with the largest gaps, in the record


UNITS = {
    "score": GAP_UNIT,
    "rank shift": "share of the résumés",
    "wins": "share of comparisons with another name on the same résumé",
    "exposure": "1 / log2(1 + rank), mean",
    "attention": "chance that a reader who stops somewhere looks",
    "exclusion": "share of the selected nameless résumés that are not selected under the name",
    "recall": "share of the relevant résumés among the selected",
    "ndcg@10": "nDCG of the résumés under the name",
}


def attribute_comparison(finding: Finding, judged: Sequence[Judged], jobs: Sequence[Text]) -> AttributeComparison:
    """Everything about the groups of an attribute; `judged` holds the gates of all attributes."""
    gates = _gates_of(finding, judged)
    return AttributeComparison(**dict(_comparison(finding, gates, jobs)), p_holm=gates["score gap"].p_corrected)


def cue_comparison(finding: Finding, judged: Sequence[Judged], jobs: Sequence[Text]) -> CueComparison:
    """Everything about the versions of a cue; `judged` holds the gates of all cues."""
    gates = _gates_of(finding, judged)
    return CueComparison(**dict(_comparison(finding, gates, jobs)), p_bh=gates["score gap"].p_corrected)


def _gates_of(finding: Finding, judged: Sequence[Judged]) -> dict[str, Judged]:
    return {row.gate.name: row for row in judged if row.attribute == finding.attribute}


def _comparison(finding: Finding, gates: Mapping[str, Judged], jobs: Sequence[Text]) -> GroupComparison:
    p_bh = dict(zip(finding.p_values, benjamini_hochberg([*finding.p_values.values()]), strict=True))
    measures = {
        name: Measure(
            unit=UNITS.get(name, "selection rate"),
            means=dict(finding.means[name]),
            contrasts=_contrasts(finding, name, UNITS.get(name, "ratio")),
            p_value=finding.p_values[name],
            p_bh=p_bh[name],
        )
        for name in finding.p_values
    }
    return GroupComparison(
        sizes=dict(finding.sizes),
        gap_verdict=gates["score gap"].verdict,
        ratio_verdict=gates["impact ratio"].verdict,
        p_value=finding.p_values["score"],
        gaps=measures["score"].contrasts,
        gaps_two_way=tuple(finding.two_way),
        impact_ratios={
            name.removeprefix("selected@"): measure.contrasts
            for name, measure in measures.items()
            if name.startswith("selected@")
        },
        measures=measures,
        spread_p=finding.spread_p,
        excess={name: _excess(finding, name) for name in finding.excesses},
        shares=finding.shares,
        jobs=_largest_gaps(finding, jobs),
    )


def _contrasts(finding: Finding, measure: str, unit: str) -> tuple[GroupContrast, ...]:
    return tuple(_contrast(finding, contrast, unit) for contrast in finding.contrasts[measure])


def _contrast(finding: Finding, contrast: Contrast, unit: str) -> GroupContrast:
    return GroupContrast(
        first=contrast.first,
        second=contrast.second,
        effect=_estimate(finding, contrast),
        detectable=contrast.detectable,
        unit=unit,
    )


def _estimate(finding: Finding, contrast: Contrast) -> Estimate:
    """The effect of a contrast; what is compared between and within groups rests on the names of all of them."""
    compared = [finding.sizes[group] for group in (contrast.first, contrast.second) if group in finding.sizes]
    n = min(compared) if compared else sum(finding.sizes.values())
    return Estimate(contrast.value, contrast.low, contrast.high, n, finding.counted)


def _excess(finding: Finding, name: str) -> Excess:
    excess = finding.excesses[name]
    return Excess(
        between=excess.between,
        within=excess.within,
        excess=_estimate(finding, excess.contrast),
        p_value=excess.p_value,
    )


def _largest_gaps(finding: Finding, jobs: Sequence[Text]) -> tuple[JobGap, ...]:
    """The jobs with the largest gaps, p-values corrected over all jobs."""
    corrected = benjamini_hochberg(finding.job_p.tolist())
    order = np.argsort(-finding.job_gaps, kind="stable")[:_JOBS]
    return tuple(JobGap(job=jobs[n].id, largest_gap=finding.job_gaps[n], p_bh=corrected[n]) for n in order)


def gate_results(findings: Sequence[Finding], judged: Sequence[Judged]) -> tuple[GateResult, ...]:
    """The verdict of every gate on every attribute."""
    by_attribute = {finding.attribute: finding for finding in findings}
    return tuple(
        GateResult(
            attribute=row.attribute,
            gate=row.gate.name,
            measure=row.gate.measure,
            range=(row.gate.low, row.gate.high),
            worst=_contrast(
                by_attribute[row.attribute], _largest_effect(row), "ratio" if row.gate.ratio else "difference"
            ),
            p_value=row.p_value,
            p_holm=row.p_corrected,
            equivalence_p=row.equivalence_p,
            verdict=row.verdict,
            names_needed=row.names_needed,
        )
        for row in judged
    )


def _largest_effect(row: Judged) -> Contrast:
    """The pair of groups with the largest effect; an undefined one (nobody selected) is larger than any."""

    def size(contrast: Contrast) -> float:
        if np.isnan(contrast.value):
            return float("inf")
        if not row.gate.ratio:
            return abs(contrast.value)
        return abs(float(np.log(contrast.value))) if contrast.value > 0 else float("inf")

    return max(row.contrasts, key=size)
