"""The page of a gate: may the model go on, and which check says so."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from hrembed.commands.gate.conclusion import conclusion_of
from hrembed.commands.gate.tables import check_row, model_row
from hrembed.plots.svg import NARROW, WIDE, Mark, Strip, Strips
from hrembed.reports.page import Drawing, Figure, Page, Prose, Section, Table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hrembed.records.gate import Check, GateRecord
    from hrembed.types import Estimate

_MAY = {
    "pass": "Yes, by these checks {model} may go live",
    "fail": "No, {model} may not go live",
    "inconclusive": "Not yet: the data cannot say whether {model} may go live",
}
_MEANS = {
    "pass": "Every check passed: the whole interval of each number lies within its limit.",
    "fail": "At least one check failed: the data show a value beyond its limit.",
    "inconclusive": "No check failed, but at least one interval reaches beyond its limit. This is no pass.",
}
_NOT_SAID = (
    "The gate judges what was measured, against limits that were chosen for this project: engineering choices, not "
    "law. It does not judge other languages, other kinds of jobs, or how people use the ranking; a person decides."
)


def page_of(record: GateRecord, times: Mapping[str, Estimate]) -> Page:
    """Say what a gate decided; where it was run, from what, and how to repeat it is added by whoever writes the page.

    Args:
        record: What the gate said.
        times: Name of a check on latency -> what it judges, which `metrics.json` leaves out.
    """
    model, baseline = record.candidate, record.baseline
    against = f", compared with {baseline.model}" if baseline is not None else ""
    strips = Strips([_strip(check, times) for check in record.checks])
    found = "; ".join(f"{check.name}: {check.status}" for check in record.checks)
    sides = {"candidate": record.candidate, "baseline": record.baseline}
    return Page(
        title="Gate",
        subtitle="",
        asked=f"May the model {model.model} go live{against}?",
        answer=Prose(
            f"{_MAY[record.verdict].format(model=model.model)}", [_MEANS[record.verdict], *conclusion_of(record)],
            record.verdict,
        ),
        figures=[
            *(_figure(record, status) for status in ("pass", "fail", "inconclusive", "waived")
              if any(check.status == status for check in record.checks)),
        ],
        lead=[
            Drawing(
                "Each check: what is accepted (shaded), what was found, and what follows",
                strips.svg(WIDE, found),
                strips.svg(NARROW, found),
                "A check passes when the whole interval lies in the shaded range, fails when the data show that the "
                "value lies outside, and is inconclusive otherwise.",
            )
        ],
        details=[
            Section("Every check in numbers", [Table("Checks", [check_row(check) for check in record.checks])]),
            Section(
                "The models and the runs they were read from",
                [Table("Models", [model_row(side, judged) for side, judged in sides.items() if judged is not None])],
            ),
            Section("What this gate does not say", [Prose("", [_NOT_SAID])]),
        ],
    )  # fmt: skip


def _figure(record: GateRecord, status: str) -> Figure:
    names = [check.name for check in record.checks if check.status == status]
    words = {"pass": "checks hold", "fail": "checks do not hold", "inconclusive": "checks are open"}
    tone = {"pass": "pass", "fail": "fail"}.get(status, "inconclusive")
    shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    return Figure(words.get(status, "checks are waived"), f"{len(names)} of {len(record.checks)}", shown, tone, status)  # type: ignore[arg-type]


def _strip(check: Check, times: Mapping[str, Estimate]) -> Strip:
    found = times.get(check.name, check.time) if check.found is None else check.found
    lowest, highest = check.accepted
    accepted = -math.inf if lowest is None else lowest, math.inf if highest is None else highest
    shown = check.shown or (f"{found.value:.2f} [{found.low:.2f}, {found.high:.2f}]" if found else "nothing")
    if check.waiver is not None:
        shown += f" (waived by {check.waiver.owner} until {check.waiver.expires})"
    limited = lowest is not None or highest is not None
    mark = Mark(found.value, found.low, found.high) if found is not None and limited else None
    return Strip(check.name, check.asked, shown, check.status, mark, accepted)
