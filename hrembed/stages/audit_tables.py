"""An audit as it stands in `metrics.json`, and as tables that people read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hrembed.metrics.multiplicity import benjamini_hochberg
from hrembed.stages.scoring import shown

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hrembed.audit.findings import Finding, Judged, Method
    from hrembed.metrics.fairness import Contrast
    from hrembed.types import Text

NOTICE = (
    "Test data made by swapping names; by itself not a bias audit under New York City Local Law 144. "
    "The limits are engineering choices, not law."
)
GAP_UNIT = "standard deviations of a job's nameless scores"
_MANY = 10_000
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


def result_tables(metrics: Mapping[str, Any]) -> dict[str, list[dict[str, str]]]:
    """What is shown when the command ends; everything else is in the report."""
    tables = {
        "Gates (engineering choices, not law)": [gate_row(row) for row in metrics["gates"]],
        "Score gaps between groups of names": [
            row for name, own in metrics["attributes"].items() for row in gap_rows(name, own)
        ],
        "Impact ratios (worst pair)": [
            row for name, own in metrics["attributes"].items() for row in ratio_rows(name, own)
        ],
    }
    if metrics.get("cues"):
        tables["Other cues (largest gap of each; they decide nothing)"] = [
            cue_row(name, own) for name, own in metrics["cues"].items()
        ]
    if metrics.get("mitigation"):
        tables["What could be done"] = [mitigation_row(row) for row in metrics["mitigation"]]
    return tables


def gate_row(row: Mapping[str, Any]) -> dict[str, str]:
    """One verdict."""
    worst, needed = row["worst"], row["names_needed"]
    return {
        "attribute": row["attribute"],
        "gate": row["gate"],
        "range": f"{row['range'][0]:.3g} to {row['range'][1]:.3g}",
        "largest effect": f"{worst['first']} / {worst['second']}: {shown(worst)}",
        "p (Holm)": _p(row["p_holm"]),
        "p (equivalence)": _p(row["equivalence_p"]),
        "verdict": row["verdict"] + (f"; {_about(needed)} names a group would settle it" if needed else ""),
    }


def _about(names: int) -> str:
    return f"about {names:,}" if names <= _MANY else f"more than {_MANY:,}"


def gap_rows(name: str, own: Mapping[str, Any]) -> list[dict[str, str]]:
    """Score gaps of all pairs of groups; of more than six pairs the largest six."""
    pairs = sorted(zip(own["gaps"], own["gaps_two_way"], strict=True), key=lambda pair: -abs(pair[0]["value"]))
    return [
        {
            "attribute": name,
            "groups": f"{gap['first']} - {gap['second']}",
            "mean score gap (SD)": shown(gap, sign=True),
            "over jobs and résumés too": f"[{low:+.3f}, {high:+.3f}]",
            "smallest gap seen with 80 % power": f"{gap['detectable']:.3f}",
        }
        for gap, (low, high) in pairs[:6]
    ]


def ratio_rows(name: str, own: Mapping[str, Any]) -> list[dict[str, str]]:
    """The lowest impact ratio at every cut."""
    rows = []
    for cut, found in own["impact_ratios"].items():
        worst = min(found, key=lambda c: -1.0 if np.isnan(c["value"]) else c["value"])
        rows.append(
            {
                "attribute": name,
                "selected": f"top {float(cut):.0%}",
                "groups": f"{worst['first']} / {worst['second']}",
                "impact ratio": shown(worst),
                "p": _p(own["measures"][f"selected@{cut}"]["p_value"]),
            }
        )
    return rows


def cue_row(name: str, own: Mapping[str, Any]) -> dict[str, str]:
    """The largest score gap of a cue, and its lowest impact ratio at the cut of the verdict."""
    gap = max(own["gaps"], key=lambda c: abs(c["value"]))
    return {
        "cue": name,
        "groups": f"{gap['first']} - {gap['second']}",
        "mean score gap (SD)": shown(gap, sign=True),
        "p": _p(own["p_value"]),
        "gap": own["gap_verdict"],
        "impact ratio": own["ratio_verdict"],
    }


def mitigation_row(row: Mapping[str, Any]) -> dict[str, str]:
    """One way, before and after."""
    before, after = row["before"], row["after"]
    return {
        "way": row["way"],
        "largest gap (SD)": f"{before['largest_gap']:.3f} to {after['largest_gap']:.3f}",
        "leakage, unseen names": "; ".join(
            f"{name} {own:.2f} to {after['leakage'][name]:.2f}" for name, own in before["leakage"].items()
        ),
        "on the names it was fitted on": "; ".join(
            f"{name} {own:.2f}" for name, own in row.get("leakage_on_its_own_names", {}).items()
        ),
        row["metric"]: f"{before['utility']:.3f} to {after['utility']:.3f}",
    }


def _p(value: float) -> str:
    return "" if value is None or np.isnan(value) else f"{value:.4f}"
