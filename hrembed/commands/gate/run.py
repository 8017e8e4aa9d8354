"""`hrembed gate`: may a model go on, judged by what its runs and those of a baseline left behind."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from hrembed.commands.gate.conclusion import conclusion_of
from hrembed.commands.gate.cost import cost_checks
from hrembed.commands.gate.fairness import fairness_checks
from hrembed.commands.gate.inputs import open_inputs, settings_that_repeat
from hrembed.commands.gate.quality import rule_checks
from hrembed.commands.gate.tables import tables_of
from hrembed.errors import ConfigError, InconclusiveError, ThresholdError
from hrembed.files import write_text
from hrembed.metrics.gating import overall
from hrembed.records.gate import GateRecord, GateTimings, Waiver
from hrembed.registry import nearest
from hrembed.reports.junit import Case, write_junit
from hrembed.reports.markdown import markdown_table
from hrembed.runs.record import open_run
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

_PHASES = (_READ, _QUALITY, _COST) = ("read the runs", "judge quality and fairness", "judge latency and size")


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
        DataError: The runs cannot be compared: other data, other stimuli, an edited file. Or `latest` means a run
            after which another one failed or did not end, and the config refuses that.
    """
    check_waivers(config.waivers, today or datetime.now(UTC).date())
    seeds = {"bootstrap": config.bootstrap.seed}
    with open_run(workspace, "gate", settings_that_repeat(config, workspace.root), seeds=seeds, phases=_PHASES) as run:
        run.phases.begin(_READ)
        sides = open_inputs(config, run)
        candidate, baseline = sides.candidate, sides.baseline
        run.phases.begin(_QUALITY)
        checks = [*rule_checks(config, candidate, baseline), *fairness_checks(config, sides.audits)]
        run.phases.begin(_COST)
        checks += cost_checks(config, workspace, candidate, baseline)
        if not checks:
            raise ConfigError("the gate has no rules", hint="add a rule to `quality`")
        checks = _apply_waivers(checks, config.waivers, workspace.progress)
        record = GateRecord(
            verdict=overall([check.outcome for check in checks if check.status != "waived"] or ["pass"]),
            candidate=sides.judged[0],
            baseline=sides.judged[1],
            checks=tuple(checks),
        )
        run.write_metrics(record)
        run.write_timings(GateTimings(latency={check.name: check.time for check in checks if check.time is not None}))
        notice = run.conclude(conclusion_of(record))
        _write_reports(run, record, config)
    return CommandResult(
        str(run.path), record.verdict, record, tables_of(record), _failure(record, config), notice, ("Models",)
    )


def check_waivers(waivers: Sequence[WaiverSection], today: date) -> None:
    """Refuse a waiver that is past its day.

    Raises:
        ConfigError: One is.
    """
    for waiver in waivers:
        if waiver.expires < today:
            raise ConfigError(
                f"the waiver by {waiver.owner} for '{waiver.check}' expired on {waiver.expires.isoformat()}",
                hint="fix the model, or ask the waiver's owner to extend `expires`",
            )


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
                (
                    f"the waiver by {waiver.owner} refers to an unknown check: "
                    f"'{waiver.check}'{nearest(waiver.check, names)}"
                ),
                hint=f"available checks: {', '.join(names)}",
            )
        by_name[waiver.check] = Waiver(
            check=waiver.check, owner=waiver.owner, expires=waiver.expires, reason=waiver.reason
        )
    judged = [check.excused_by(by_name[check.name]) if check.name in by_name else check for check in checks]
    for check in judged:
        if check.waiver is not None and check.outcome == "pass":
            progress.note(f"the waiver by {check.waiver.owner} for '{check.name}' is no longer needed")
    return judged


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
            f"{check.status}: required {check.asked}, found {check.shown}",
        )
        for check in record.checks
    ]
    write_junit(run.path / "junit.xml", "hrembed gate", cases)
    tables = tables_of(record)
    text = f"## Gate: {record.verdict}\n\n{markdown_table(tables['Models'])}\n{markdown_table(tables['Gate'])}"
    write_text(run.path / "summary.md", text)


def _failure(record: GateRecord, config: GateConfig) -> Exception | None:
    names = [check.name for check in record.checks if check.status == record.verdict]
    if record.verdict == "fail":
        return ThresholdError(f"the gate failed: {', '.join(names)}")
    if record.verdict == "inconclusive" and config.inconclusive == "fail":
        return InconclusiveError(
            f"the gate is inconclusive: {', '.join(names)}",
            hint="add queries to narrow the intervals, or set `inconclusive: pass`",
        )
    return None
