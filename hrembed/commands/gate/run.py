"""`hrembed gate`: may a model go on, judged by what its runs and those of a baseline left behind."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from hrembed.commands.gate.cost import cost_checks
from hrembed.commands.gate.fairness import fairness_checks
from hrembed.commands.gate.quality import rule_checks
from hrembed.errors import ConfigError, InconclusiveError, ThresholdError
from hrembed.files import write_text
from hrembed.metrics.gating import overall
from hrembed.records.gate import GateRecord, GateTimings, JudgedModel, Waiver
from hrembed.registry import nearest
from hrembed.reports.junit import Case, write_junit
from hrembed.reports.markdown import inline, markdown_table
from hrembed.runs.record import open_run
from hrembed.scoring.past_evals import open_evaluated_model
from hrembed.types import CommandResult

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date

    from hrembed.config.gate import GateConfig, WaiverSection
    from hrembed.progress import Progress
    from hrembed.records.gate import Check, Status
    from hrembed.reports.junit import CaseStatus
    from hrembed.runs.record import Run
    from hrembed.runs.workspace import Workspace
    from hrembed.scoring.past_evals import EvaluatedModel


def run_gate(config: GateConfig, workspace: Workspace, *, today: date | None = None) -> CommandResult[GateRecord]:
    """Judge a candidate.

    Args:
        config: Validated settings.
        workspace: Where runs go, and who receives progress updates.
        today: Day by which waivers are judged; None is today, in UTC.

    Returns:
        Every check; `failure` is set where the gate is closed, or open where the config wants certainty.

    Raises:
        ConfigError: A waiver is past its day, or a rule fits nothing.
        DataError: The runs cannot be compared: other data, other stimuli, an edited file.
    """
    check_waivers(config.waivers, today or datetime.now(UTC).date())
    seeds = {"bootstrap": config.bootstrap.seed}
    with open_run(workspace, "gate", config.model_dump(mode="json"), seeds=seeds) as run:
        candidate, baseline = _open_sides(config, run)
        checks = [
            *rule_checks(config, candidate, baseline),
            *fairness_checks(config, workspace.root, candidate, baseline),
            *cost_checks(config, workspace.root, candidate, baseline, workspace.progress),
        ]
        if not checks:
            raise ConfigError("the gate asks for nothing", hint="add a rule to `quality`")
        checks = _apply_waivers(checks, config.waivers, workspace.progress)
        record = GateRecord(
            verdict=overall([check.outcome for check in checks if check.status != "waived"] or ["pass"]),
            candidate=_judged_model(candidate),
            baseline=None if baseline is None else _judged_model(baseline),
            checks=tuple(checks),
        )
        run.write_metrics(record)
        run.write_timings(GateTimings(latency={check.name: check.time for check in checks if check.time is not None}))
        _write_reports(run, record, config)
    tables = {"Gate": [_row(check) for check in checks]}
    return CommandResult(str(run.path), record.verdict, record, tables, _failure(record, config))


def check_waivers(waivers: Sequence[WaiverSection], today: date) -> None:
    """Refuse a waiver that is past its day.

    Raises:
        ConfigError: One is.
    """
    for waiver in waivers:
        if waiver.expires < today:
            raise ConfigError(
                f"the waiver of {waiver.owner} for '{waiver.check}' expired on {waiver.expires.isoformat()}",
                hint="mend the model, or let the owner decide again and write a new day",
            )


def _open_sides(config: GateConfig, run: Run) -> tuple[EvaluatedModel, EvaluatedModel | None]:
    """Read both models, and record which files were read."""
    candidate = open_evaluated_model(run.root, config.candidate.eval, config.candidate.model, last=True)
    baseline = None
    if config.baseline is not None:
        reference = config.baseline.eval or str(candidate.run.path)
        baseline = open_evaluated_model(run.root, reference, config.baseline.model, last=False)
        if (baseline.run.path, baseline.model) == (candidate.run.path, candidate.model):
            raise ConfigError(
                f"'{candidate.model}' in '{candidate.run.name}' is candidate and baseline at once",
                hint="name another `candidate.model` or `baseline.model`, or set `baseline: null`",
            )
    for name, side in (("candidate", candidate), ("baseline", baseline)):
        if side is not None:
            run.add_input(f"{name} manifest", side.run.path / "manifest.json")
            run.add_model(name, side.identity, side.run.manifest.models[side.model].source)
    return candidate, baseline


def _apply_waivers(checks: Sequence[Check], waivers: Sequence[WaiverSection], progress: Progress) -> list[Check]:
    """Put waivers on the checks that they name.

    Raises:
        ConfigError: One names no check.
    """
    names = [check.name for check in checks]
    by_name: dict[str, Waiver] = {}
    for waiver in waivers:
        if waiver.check not in names:
            raise ConfigError(
                f"the waiver of {waiver.owner} names no check: '{waiver.check}'{nearest(waiver.check, names)}",
                hint=f"checks of this gate: {', '.join(names)}",
            )
        by_name[waiver.check] = Waiver(
            check=waiver.check, owner=waiver.owner, expires=waiver.expires, reason=waiver.reason
        )
    judged = [check.excused_by(by_name[check.name]) if check.name in by_name else check for check in checks]
    for check in judged:
        if check.waiver is not None and check.outcome == "pass":
            progress.note(f"the waiver of {check.waiver.owner} for '{check.name}' is not needed any more")
    return judged


def _judged_model(side: EvaluatedModel) -> JudgedModel:
    return JudgedModel(run=side.run.name, model=side.model, identity=side.identity)


def _row(check: Check) -> dict[str, str]:
    waiver = check.waiver
    return {
        "check": check.name,
        "asked": check.asked,
        "found": check.shown,
        "smallest loss seen": "" if check.detectable is None else f"{check.detectable:.3f}",
        "outcome": check.status,
        **({} if waiver is None else {"waiver": f"{waiver.owner} until {waiver.expires}: {waiver.reason}"}),
    }


def _write_reports(run: Run, record: GateRecord, config: GateConfig) -> None:
    """Write `junit.xml`, where an open question counts as in the exit code, and `summary.md`."""
    statuses: Mapping[Status, CaseStatus] = {
        "pass": "pass",
        "fail": "fail",
        "inconclusive": "fail" if config.inconclusive == "fail" else "skip",
        "waived": "skip",
    }
    cases = [
        Case(
            check.section,
            check.name,
            statuses[check.status],
            f"{check.status}: asked {check.asked}, found {check.shown}",
        )
        for check in record.checks
    ]
    write_junit(run.path / "junit.xml", "hrembed gate", cases)
    candidate, baseline = record.candidate, record.baseline
    against = "absolute limits" if baseline is None else f"{inline(baseline.model)} ({inline(baseline.run)})"
    head = f"## Gate: {record.verdict}\n\n{inline(candidate.model)} ({inline(candidate.run)}) against {against}.\n\n"
    write_text(run.path / "summary.md", head + markdown_table([_row(check) for check in record.checks]))


def _failure(record: GateRecord, config: GateConfig) -> Exception | None:
    names = [check.name for check in record.checks if check.status == record.verdict]
    if record.verdict == "fail":
        return ThresholdError(f"the gate is closed by {', '.join(names)}")
    if record.verdict == "inconclusive" and config.inconclusive == "fail":
        return InconclusiveError(
            f"the gate cannot decide on {', '.join(names)}",
            hint="more queries narrow the intervals; `inconclusive: pass` lets open questions through",
        )
    return None
