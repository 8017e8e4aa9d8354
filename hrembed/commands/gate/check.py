"""One check of a gate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hrembed.config.gate import WaiverSection
    from hrembed.metrics.gating import Outcome


@dataclass(frozen=True)
class Check:
    """One thing that was asked.

    Attributes:
        section: `quality`, `retention`, `fairness`, `latency` or `size`.
        name: Unique, as waivers name it.
        asked: What was asked, in words.
        outcome: `pass`, `fail` or `inconclusive`.
        found: What was found, in words.
        entry: The number with its interval, as in `metrics.json`; None where there is none.
        detectable: Smallest true loss that this check would have failed, where it compares.
        waiver: What excuses it, or None.
        timed: The number differs from run to run.
    """

    section: str
    name: str
    asked: str
    outcome: Outcome
    found: str
    entry: Mapping[str, Any] | None = None
    detectable: float | None = None
    waiver: WaiverSection | None = None
    timed: bool = False

    @property
    def status(self) -> str:
        """The outcome, or `waived` where a failure is excused."""
        return "waived" if self.waiver is not None and self.outcome != "pass" else self.outcome
