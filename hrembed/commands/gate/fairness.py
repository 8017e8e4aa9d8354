"""The checks of a gate on bias audits: verdicts, and how far gaps between groups of names grew."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hrembed.commands.gate.check import Check
from hrembed.metrics.gating import judge_limit
from hrembed.reports.estimates import as_json, format_estimate
from hrembed.scoring.past_audits import check_same_stimuli, gap_growths, open_audit

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hrembed.config.gate import FairnessSection, GateConfig
    from hrembed.scoring.past_audits import Audit, Growth
    from hrembed.scoring.past_evals import EvaluatedModel

_RANK = {"pass": 0, "inconclusive": 1, "fail": 2}


def fairness_checks(
    config: GateConfig, root: Path, candidate: EvaluatedModel, baseline: EvaluatedModel | None
) -> list[Check]:
    """Check the audits that the config asks for.

    Raises:
        ConfigError: An audit that is needed is not named.
        DataError: An audit is of another model, on other stimuli, or was edited.
    """
    section = config.fairness
    if section.verdict == "any" and section.gap_growth is None:
        return []
    mine = open_audit(root, config.candidate.audit, candidate, "candidate.audit")
    theirs = None
    if baseline is not None and (section.verdict == "no-worse" or section.gap_growth is not None):
        name = config.baseline.audit if config.baseline is not None else None
        theirs = open_audit(root, name, baseline, "baseline.audit")
        check_same_stimuli(mine, theirs)
    found = list(_verdict(section, mine, theirs))
    if section.gap_growth is not None and theirs is not None:
        growths = gap_growths(mine, theirs, section.column, config.bootstrap)
        found += [_growth_check(growth, section.gap_growth) for growth in growths]
    return found


def _verdict(section: FairnessSection, mine: Audit, theirs: Audit | None) -> Iterator[Check]:
    own = mine.record.verdict
    if section.verdict == "pass":
        outcome = {"pass": "pass", "fail": "fail"}.get(own, "inconclusive")
        yield Check("fairness", "fairness verdict", "the audit passes", outcome, own)  # type: ignore[arg-type]
    elif section.verdict == "no-worse" and theirs is not None:
        other = theirs.record.verdict
        worse = _RANK.get(own, 2) > _RANK.get(other, 2)
        asked = "a verdict no worse than the baseline's"
        yield Check("fairness", "fairness verdict", asked, "fail" if worse else "pass", f"{own}, baseline {other}")


def _growth_check(growth: Growth, limit: float) -> Check:
    first, second = growth.groups
    entry = as_json(growth.estimate)
    return Check(
        "fairness",
        f"fairness {growth.attribute} {first} - {second} growth",
        f"the gap grows by {limit:g} at most",
        judge_limit(growth.estimate, low=-np.inf, high=limit),
        f"{format_estimate(entry, sign=True)} (from {growth.gap[1]:.3f} to {growth.gap[0]:.3f})",
        entry,
    )
