"""The checks of a gate on bias audits: verdicts, and how far gaps between groups of names grew."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hrembed.metrics.gating import judge_limit
from hrembed.records.gate import Check
from hrembed.reports.estimates import format_estimate
from hrembed.scoring.past_audits import check_same_stimuli, gap_growths, open_audit

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hrembed.config.gate import FairnessSection, GateConfig
    from hrembed.metrics.gating import Outcome
    from hrembed.scoring.past_audits import Audit, Growth
    from hrembed.scoring.past_evals import EvaluatedModel

_SEVERITY = {"pass": 0, "inconclusive": 1, "fail": 2}


class Audits(NamedTuple):
    """The audits that the requirements need; None for one that they do not need."""

    candidate: Audit | None = None
    baseline: Audit | None = None


def open_audits(config: GateConfig, root: Path, candidate: EvaluatedModel, baseline: EvaluatedModel | None) -> Audits:
    """Read the audits that the config names, where it requires something of them.

    Raises:
        ConfigError: An audit that is needed is not named.
        DataError: An audit is of another model, on other stimuli, or was edited.
    """
    section = config.fairness
    if section.verdict == "any" and section.gap_growth is None:
        return Audits()
    candidate_audit = open_audit(root, config.candidate.audit, candidate, "candidate.audit")
    baseline_audit = None
    if baseline is not None and (section.verdict == "no-worse" or section.gap_growth is not None):
        reference = config.baseline.audit if config.baseline is not None else None
        baseline_audit = open_audit(root, reference, baseline, "baseline.audit")
        check_same_stimuli(candidate_audit, baseline_audit)
    return Audits(candidate_audit, baseline_audit)


def fairness_checks(config: GateConfig, audits: Audits) -> list[Check]:
    """Check what the audits said."""
    section = config.fairness
    if audits.candidate is None:
        return []
    checks = list(_verdict_checks(section, audits.candidate, audits.baseline))
    if section.gap_growth is not None and audits.baseline is not None:
        growths = gap_growths(audits.candidate, audits.baseline, section.column, config.bootstrap)
        checks += [_growth_check(growth, section.gap_growth) for growth in growths]
    return checks


def _verdict_checks(section: FairnessSection, candidate: Audit, baseline: Audit | None) -> Iterator[Check]:
    verdict = candidate.record.verdict
    outcome: Outcome
    if section.verdict == "pass":
        outcome = "inconclusive" if verdict == "ok" else verdict
        asked = "the audit passes"
        yield Check(section="fairness", name="fairness verdict", asked=asked, outcome=outcome, shown=verdict)
    elif section.verdict == "no-worse" and baseline is not None:
        reference = baseline.record.verdict
        outcome = "fail" if _SEVERITY.get(verdict, 2) > _SEVERITY.get(reference, 2) else "pass"
        asked, shown = "a verdict no worse than the baseline's", f"{verdict}, baseline {reference}"
        yield Check(section="fairness", name="fairness verdict", asked=asked, outcome=outcome, shown=shown)


def _growth_check(growth: Growth, limit: float) -> Check:
    first, second = growth.groups
    candidate_gap, baseline_gap = growth.gap
    return Check(
        section="fairness",
        name=f"fairness {growth.attribute} {first} - {second} growth",
        asked=f"the gap grows by {limit:g} at most",
        outcome=judge_limit(growth.estimate, low=-np.inf, high=limit),
        found=growth.estimate,
        accepted=(None, limit),
        shown=f"{format_estimate(growth.estimate, sign=True)} (from {baseline_gap:.3f} to {candidate_gap:.3f})",
    )
