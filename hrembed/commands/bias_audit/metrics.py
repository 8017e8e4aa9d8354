"""An audit as it is written to metrics.json."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hrembed.metrics.multiplicity import benjamini_hochberg

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hrembed.audit.findings import Finding, Judged, Method
    from hrembed.metrics.fairness import Contrast
    from hrembed.types import Text


NOTICE = (
    "Test data made by swapping names; by itself not a bias audit under New York City Local Law 144. "
    "The limits are engineering choices, not law."
)


GAP_UNIT = "standard deviations of a job's nameless scores"


_JOBS = 20  # that drive a gap most, in metrics.json


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


def attribute_json(found: Finding, judged: Sequence[Judged], method: Method, jobs: Sequence[Text]) -> dict[str, Any]:
    """Write everything about an attribute or a cue."""
    gates = {row.gate.name: row for row in judged if row.attribute == found.attribute}
    adjusted = benjamini_hochberg([*found.p_values.values()])
    ratios = {name: own for name, own in found.contrasts.items() if name.startswith("selected@")}
    measures = {
        name: {
            "unit": UNITS.get(name, "selection rate"),
            "means": dict(found.means[name]),
            "contrasts": [contrast_json(own, UNITS.get(name, "ratio")) for own in found.contrasts[name]],
            "p_value": found.p_values[name],
            "p_bh": p_bh,
        }
        for name, p_bh in zip(found.p_values, adjusted, strict=True)
    }
    return {
        "sizes": dict(found.sizes),
        "gap_verdict": gates["score gap"].verdict,
        "ratio_verdict": gates["impact ratio"].verdict,
        "p_value": found.p_values["score"],
        "p_holm": gates["score gap"].p_holm,
        "gaps": measures["score"]["contrasts"],
        "gaps_two_way": [list(ends) for ends in found.two_way],
        "impact_ratios": {
            name.partition("@")[2]: [contrast_json(c, "ratio") for c in own] for name, own in ratios.items()
        },
        "measures": measures,
        "spread_p": found.spread_p,
        "excess": {name: _excess_json(own) for name, own in found.excesses.items()},
        "shares": found.shares._asdict() if found.shares else None,
        "jobs": _jobs_json(found, jobs),
    }


def _excess_json(found: Any) -> dict[str, Any]:
    return {
        "between": found.between,
        "within": found.within,
        "excess": contrast_json(found.contrast, "difference"),
        "p_value": found.p_value,
    }


def _jobs_json(found: Finding, jobs: Sequence[Text]) -> list[dict[str, Any]]:
    """Which jobs drive the gap: those with the largest one, p-values adjusted over all jobs."""
    adjusted = benjamini_hochberg(found.job_p.tolist())
    order = np.argsort(-found.job_gaps, kind="stable")[:_JOBS]
    return [{"job": jobs[n].id, "largest_gap": float(found.job_gaps[n]), "p_bh": adjusted[n]} for n in order]


def contrast_json(contrast: Contrast, unit: str) -> dict[str, Any]:
    """Write one pair of groups."""
    return {
        "first": contrast.first,
        "second": contrast.second,
        "value": contrast.value,
        "interval": [contrast.low, contrast.high],
        "detectable": contrast.detectable,
        "unit": unit,
    }


def gates_json(judged: Sequence[Judged]) -> list[dict[str, Any]]:
    """Write the family of verdicts."""
    return [
        {
            "attribute": row.attribute,
            "gate": row.gate.name,
            "measure": row.gate.measure,
            "range": [row.gate.low, row.gate.high],
            "worst": contrast_json(worst_of(row), "ratio" if row.gate.ratio else "difference"),
            "p_value": row.p_value,
            "p_holm": row.p_holm,
            "equivalence_p": row.equivalence_p,
            "verdict": row.verdict,
            "names_needed": row.names_needed,
        }
        for row in judged
    ]


def worst_of(row: Judged) -> Contrast:
    """The pair of groups with the largest effect; an undefined one (nobody selected) is worse than any."""

    def size(contrast: Contrast) -> float:
        if np.isnan(contrast.value):
            return float("inf")
        if not row.gate.ratio:
            return abs(contrast.value)
        return abs(float(np.log(contrast.value))) if contrast.value > 0 else float("inf")

    return max(row.contrasts, key=size)
