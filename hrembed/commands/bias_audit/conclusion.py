"""What a bias audit found, in two or three sentences, and what to do next."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hrembed.commands.bias_audit.tables import about
from hrembed.models.refs import parse_ref
from hrembed.reports.conclusions import interval_in_words, listed
from hrembed.text import counted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hrembed.config.bias_audit import AuditConfig
    from hrembed.records.bias_audit import BiasAuditRecord, DecisionGate, GateResult


def conclusion_of(record: BiasAuditRecord, config: AuditConfig, run_id: str) -> list[str]:
    """Say which limits hold, which do not, which are open, and which command comes next.

    Args:
        record: What the audit said.
        config: Its settings, which say what was audited.
        run_id: Id of its run, by which a gate names it.
    """
    if record.texts is not None:
        return [
            f"{counted(record.texts, 'text')} for another system to score; nothing was scored here.",
            "Next, score every job and text with the other system, then audit its scores:",
            "  hrembed bias-audit --set model=null --set scores.path=SCORES",
        ]
    return [*_of_names(record), *_of_decisions(record), *_next(record, config, run_id)]


def _of_names(record: BiasAuditRecord) -> Iterator[str]:
    failed = [gate for gate in record.gates if gate.verdict == "fail"]
    still_open = [gate for gate in record.gates if gate.verdict == "inconclusive"]
    passed = [f"{gate.gate} by {gate.attribute}" for gate in record.gates if gate.verdict == "pass"]
    if failed:
        yield f"Beyond the limits: {listed([_found(gate, record.confidence) for gate in failed])}."
    if still_open:
        names = [gate.names_needed for gate in still_open if gate.names_needed]
        needed = f" It takes {about(max(names))} names of each group to settle all of them." if names else ""
        which = listed([f"{gate.gate} by {gate.attribute}" for gate in still_open], most=6)
        yield f"Open, neither within the limits nor certain to be beyond them: {which}.{needed}"
    if passed:
        yield f"Within the limits: {listed(passed)}."


def _found(gate: GateResult, confidence: float) -> str:
    worst = gate.worst
    interval = interval_in_words(worst.effect, confidence, sign=worst.unit != "ratio")
    value = f"{worst.effect.value:.3f}" if worst.unit == "ratio" else f"{worst.effect.value:+.3f}"
    return f"{gate.gate} by {gate.attribute} ({worst.first} against {worst.second} {value}, {interval})"


def _of_decisions(record: BiasAuditRecord) -> Iterator[str]:
    if record.decisions is None:
        return
    compared = [gate for gate in record.decisions.gates if gate.category]
    if not compared:
        yield "The recorded decisions are too few, or of too few categories, to compare any."
        return
    lowest = min(compared, key=lambda gate: gate.ratio.value)
    yield f"Recorded decisions: {_VERDICTS[record.decisions.verdict]}; {_ratio(lowest)}."


_VERDICTS = {
    "pass": "every impact ratio that was judged is within the limit",
    "fail": "an impact ratio is beyond the limit",
    "inconclusive": "nothing is certain",
}


def _ratio(gate: DecisionGate) -> str:
    return (
        f"the lowest is {gate.ratio.value:.3f}, {gate.category} against {gate.best} by {gate.attribute} "
        f"(limit {gate.limit:g})"
    )


def _next(record: BiasAuditRecord, config: AuditConfig, run_id: str) -> list[str]:
    """The commands that come next, each in an indented line."""
    if not record.gates or config.model is None or config.scores is not None:
        return ["Next, show the report to whoever answers for these decisions:", "  hrembed runs report"]
    model = f"--set model.ref={config.model.ref}"
    if record.verdict == "fail":
        if parse_ref(config.model.ref).is_lexical:
            return ["Next, hide names before texts are compared, and audit again:", "  hrembed data anonymise RESUMES"]
        return [
            "Next, measure what lowers the difference, and what that costs:",
            f'  hrembed bias-audit {model} --set "mitigation.ways=[header, leace]"',
        ]
    if record.verdict == "inconclusive":
        return [
            "Next, audit again with more names, or with jobs and résumés of your own:",
            f"  hrembed bias-audit {model} --set stimuli.jobs=JOBS --set stimuli.resumes=RESUMES",
        ]
    return [
        "Next, let the gate decide on it with its last evaluation:",
        f"  hrembed gate --set candidate.audit={run_id} --set fairness.verdict=pass",
    ]
