"""What `hrembed gate` says."""

from __future__ import annotations

from datetime import date
from typing import ClassVar, Literal

from pydantic import Field, field_serializer

from hrembed.metrics.gating import Outcome
from hrembed.records.base import CommandRecord, Measured, Number, Record

Status = Literal["pass", "fail", "inconclusive", "waived"]


class Waiver(Record):
    """A check that may fail for now, since somebody answers for it.

    Attributes:
        check: Name of the check.
        owner: Person who answers for it.
        expires: Last day on which the waiver holds (UTC).
        reason: Why the check may fail.
    """

    check: str
    owner: str
    expires: date
    reason: str


class Check(Record):
    """One requirement and what came of it.

    Times differ from run to run, and `metrics.json` must not: they are written to `timings.json`.

    Attributes:
        section: Section of the config that holds the requirement.
        name: Unique, as waivers name it.
        asked: What is required, in words.
        outcome: Whether the data show that it holds.
        status: The outcome, or `waived` where one that is no pass is excused.
        found: The number with its interval; null where there is none, and for times.
        accepted: Lowest and highest value that is accepted; null for no limit.
        shown: What was found, in words; empty in JSON for times.
        time: The number of a check on latency; not part of the JSON.
        detectable: Smallest true loss that the check fails with the power of the config; null for other requirements.
        waiver: What excuses a failure; null for none.
    """

    section: Literal["quality", "retention", "fairness", "latency", "size"]
    name: str
    asked: str
    outcome: Outcome
    status: Status = Field(default_factory=lambda fields: fields["outcome"])
    found: Measured | None = None
    accepted: tuple[float | None, float | None] = (None, None)
    shown: str
    time: Measured | None = Field(default=None, exclude=True)
    detectable: Number | None = None
    waiver: Waiver | None = None

    @field_serializer("shown")
    def _shown_unless_timed(self, shown: str) -> str:
        return shown if self.time is None else ""

    def excused_by(self, waiver: Waiver) -> Check:
        """Put a waiver on the check; one that passes needs none, and stays a pass."""
        status: Status = self.outcome if self.outcome == "pass" else "waived"
        return self.model_copy(update={"status": status, "waiver": waiver})


class JudgedModel(Record):
    """A model of an eval run.

    Attributes:
        run: Name of the run.
        started: When the run was started (UTC).
        status: How it ended.
        model: Its name in the run.
        reference: How the run named it.
        source: Where it was read.
        identity: Hash of what decides its scores.
        scoring: How it compares texts; empty for the cosine of whole vectors.
        registry: What the registry says of it; empty for a model that was not trained here.
        audit: Name of the bias-audit run that was read; null for none.
        overtaken_by: Runs that were started after the one that `latest` means, and did not end well.
    """

    run: str
    started: str
    status: str
    model: str
    reference: str
    source: str
    identity: str
    scoring: str = ""
    registry: str = ""
    audit: str | None = None
    overtaken_by: tuple[str, ...] = ()


class GateRecord(CommandRecord):
    """Every check of a gate.

    Attributes:
        verdict: Of all checks that are not waived.
        candidate: The model under test.
        baseline: The model it is compared with; null where all limits are absolute.
        checks: In the order of the config's sections.
    """

    command: ClassVar[str] = "gate"

    verdict: Outcome
    candidate: JudgedModel
    baseline: JudgedModel | None
    checks: tuple[Check, ...]


class GateTimings(Record):
    """What differs from run to run, the content of `timings.json`.

    Attributes:
        latency: Name of a check -> the time, or the ratio of times, that it judges.
    """

    latency: dict[str, Measured]
