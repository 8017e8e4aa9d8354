"""What a gate decided, in one or two sentences, and what to do next."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hrembed.models.refs import parse_ref
from hrembed.reports.conclusions import listed
from hrembed.text import counted

if TYPE_CHECKING:
    from hrembed.records.gate import GateRecord


def conclusion_of(record: GateRecord) -> list[str]:
    """Say which checks decided, and which command comes next."""
    of_status: dict[str, list[str]] = {}
    for check in record.checks:
        of_status.setdefault(check.status, []).append(check.name)
    total = len(record.checks)
    sentences = []
    for status, words in (("fail", "do not hold"), ("inconclusive", "are inconclusive"), ("waived", "were waived")):
        names = of_status.get(status, [])
        if names:
            sentences.append(f"{len(names)} of {total} checks {words}: {listed(names)}.")
    passed = len(of_status.get("pass", []))
    against = f" against {record.baseline.model}" if record.baseline else ""
    judged = f"{record.candidate.model}{against} ({record.candidate.run})"
    sentences.append(f"{passed} of {counted(total, 'check')} {'holds' if passed == 1 else 'hold'} for {judged}.")
    return [*sentences, *_next(record)]


def _next(record: GateRecord) -> list[str]:
    reference = record.candidate.reference
    if record.verdict == "fail":
        return ["Next, train again, or waive a check until a given day (`waivers`)."]
    if record.verdict == "inconclusive":
        return ["Next, add queries, or names to the audit, to narrow the intervals."]
    if reference.startswith("run:"):
        run = reference.removeprefix("run:").rpartition("/")[2]
        return ["Next, put the model in use:", f'  hrembed runs accept {run} --by "YOUR NAME" --why "passed the gate"']
    if not parse_ref(reference).has_weights:  # nothing to export
        return ["Next, show the reports to whoever decides:", "  hrembed runs report"]
    return ["Next, write the model for a server:", f"  hrembed export --set model.ref={reference}"]
