"""The tables of an audit that people read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hrembed.reports.decisions import decision_tables
from hrembed.reports.estimates import format_estimate, format_p, p_in_words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hrembed.records.bias_audit import (
        BiasAuditRecord,
        CueComparison,
        GateResult,
        GroupComparison,
        GroupContrast,
        Mitigation,
    )


_MANY = 10_000
_CUTS = 3  # that are named below the tables; every cut stands in a table of the report
DETAILS = ("Gates, with", "Score gaps between groups of names", "Impact ratios (worst pair)", "Other cues")
"""Tables for whoever wants to look closer, by how their titles begin."""


def result_tables(record: BiasAuditRecord) -> dict[str, list[dict[str, str]]]:
    """What is shown when the command ends; everything else is in the report."""
    tables = {}
    if record.texts is not None:
        row = {"verdict": record.verdict, "jobs": str(record.jobs), "texts": str(record.texts)}
        tables["Texts"] = [row]
    if record.attributes:
        tables["Gates (engineering choices, not law)"] = [short_gate_row(gate) for gate in record.gates]
        tables["Gates, with equivalence and the names that a verdict needs"] = [gate_row(gate) for gate in record.gates]
        tables["Score gaps between groups of names"] = [
            row for name, groups in record.attributes.items() for row in gap_rows(name, groups)
        ]
        tables["Impact ratios (worst pair)"] = [
            row for name, groups in record.attributes.items() for row in ratio_rows(name, groups)
        ]
    if record.cues:
        tables["Other cues (largest gap of each; not part of the verdict)"] = [
            cue_row(name, versions) for name, versions in record.cues.items()
        ]
    if record.mitigation:
        tables["Possible mitigations"] = [mitigation_row(mitigation) for mitigation in record.mitigation]
    if record.decisions is not None:
        tables |= decision_tables(record.decisions)
    return tables


def short_gate_row(gate: GateResult) -> dict[str, str]:
    """One verdict, with what decides it."""
    row = gate_row(gate)
    shown = ("attribute", "gate", "range", "largest effect", "p (Holm)")
    return {**{name: row[name] for name in shown}, "verdict": gate.verdict}


def gate_row(gate: GateResult) -> dict[str, str]:
    """One verdict."""
    low, high = gate.range
    settled_by = f"; {about(gate.names_needed)} names per group are needed for a verdict" if gate.names_needed else ""
    return {
        "attribute": gate.attribute,
        "gate": gate.gate,
        "range": f"{low:.3g} to {high:.3g}",
        "largest effect": f"{gate.worst.first} / {gate.worst.second}: {format_estimate(gate.worst.effect)}",
        "p (Holm)": format_p(gate.p_holm),
        "p (equivalence)": format_p(gate.equivalence_p),
        "verdict": gate.verdict + settled_by,
    }


def about(names: int) -> str:
    """Write a number of names that was worked out roughly."""
    return f"about {names:,}" if names <= _MANY else f"more than {_MANY:,}"


def gap_rows(name: str, groups: GroupComparison) -> list[dict[str, str]]:
    """Score gaps of all pairs of groups; of more than six pairs the largest six."""
    pairs = sorted(zip(groups.gaps, groups.gaps_two_way, strict=True), key=lambda pair: -abs(pair[0].effect.value))
    return [
        {
            "attribute": name,
            "groups": f"{gap.first} - {gap.second}",
            "mean score gap (SD)": format_estimate(gap.effect, sign=True),
            "over jobs and résumés too": f"[{low:+.3f}, {high:+.3f}]",
            "smallest gap detectable with 80 % power": f"{gap.detectable:.3f}",
        }
        for gap, (low, high) in pairs[:6]
    ]


def ratio_rows(name: str, groups: GroupComparison) -> list[dict[str, str]]:
    """The lowest impact ratio at every cut."""
    rows = []
    for cut, ratios in groups.impact_ratios.items():
        worst = lowest_ratio(ratios)
        rows.append(
            {
                "attribute": name,
                "selected": f"top {float(cut):.0%}",
                "groups": f"{worst.first} / {worst.second}",
                "impact ratio": format_estimate(worst.effect),
                "p": format_p(groups.measures[f"selected@{cut}"].p_value),
            }
        )
    return rows


def lowest_ratio(ratios: Sequence[GroupContrast]) -> GroupContrast:
    """The pair of groups with the lowest ratio; an undefined one is lower than any."""
    return min(ratios, key=lambda ratio: -1.0 if np.isnan(ratio.effect.value) else ratio.effect.value)


def cue_row(name: str, versions: CueComparison) -> dict[str, str]:
    """The largest score gap of a cue, and its verdicts."""
    gap = max(versions.gaps, key=lambda gap: abs(gap.effect.value))
    return {
        "cue": name,
        "groups": f"{gap.first} - {gap.second}",
        "mean score gap (SD)": format_estimate(gap.effect, sign=True),
        "p": format_p(versions.p_value),
        "p (BH)": format_p(versions.p_bh),
        "gap": versions.gap_verdict,
        "impact ratio": versions.ratio_verdict,
    }


def mitigation_row(mitigation: Mitigation) -> dict[str, str]:
    """One way, before and after."""
    before, after = mitigation.before, mitigation.after
    return {
        "way": mitigation.way,
        "largest gap (SD)": f"{before.largest_gap:.3f} to {after.largest_gap:.3f}",
        "leakage, unseen names": "; ".join(
            f"{name} {accuracy:.2f} to {after.leakage[name]:.2f}" for name, accuracy in before.leakage.items()
        ),
        "on the names it was fitted on": "; ".join(
            f"{name} {accuracy:.2f}" for name, accuracy in mitigation.leakage_on_its_own_names.items()
        ),
        mitigation.metric: f"{before.utility:.3f} to {after.utility:.3f}",
    }


def other_cuts(record: BiasAuditRecord) -> list[str]:
    """Sentences on the cuts that the verdict does not rest on: where an impact ratio is below the limit."""
    if not record.attributes:
        return []
    limit, headline = record.limits.impact_ratio, f"{record.headline_cut:g}"
    below = [
        f"{name}, top {float(cut):.0%}: {_ratio_in_words(lowest_ratio(ratios))}, "
        f"{p_in_words(groups.measures[f'selected@{cut}'].p_value)}"
        for name, groups in record.attributes.items()
        for cut, ratios in groups.impact_ratios.items()
        if cut != headline and not lowest_ratio(ratios).effect.value >= limit
    ]
    rests = (
        f"The verdict on impact ratios is based on a single cut, the top {record.headline_cut:.0%} (`headline_cut`)."
    )
    if not below:
        return [f"{rests} No other cut has a ratio below {limit:g}."]
    more = f"; {len(below) - _CUTS} more in the report" if len(below) > _CUTS else ""
    return [f"{rests} Below {limit:g} at other cuts, p-values uncorrected: {'; '.join(below[:_CUTS])}{more}."]


def _ratio_in_words(ratio: GroupContrast) -> str:
    value = "undefined, nobody is selected" if np.isnan(ratio.effect.value) else f"{ratio.effect.value:.3f}"
    return f"{ratio.first} / {ratio.second} {value}"
