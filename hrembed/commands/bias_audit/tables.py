"""An audit as it stands in `metrics.json`, and as tables that people read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hrembed.reports.estimates import format_estimate

if TYPE_CHECKING:
    from collections.abc import Mapping


_MANY = 10_000


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
        "largest effect": f"{worst['first']} / {worst['second']}: {format_estimate(worst)}",
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
            "mean score gap (SD)": format_estimate(gap, sign=True),
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
                "impact ratio": format_estimate(worst),
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
        "mean score gap (SD)": format_estimate(gap, sign=True),
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
