"""What `hrembed doctor` says; nothing of it is written to a run."""

from __future__ import annotations

from typing import Literal

from hrembed.records.base import Record


class Finding(Record):
    """One thing that was looked at.

    Attributes:
        subject: What was looked at.
        outcome: `ok`; `note` for what limits what can be done here; `problem` where commands fail or numbers differ.
        found: What is there.
        advice: What to do about it; empty where nothing is to be done.
    """

    subject: str
    outcome: Literal["ok", "note", "problem"]
    found: str
    advice: str = ""


class Diagnosis(Record):
    """All findings, in the order in which they were looked at."""

    findings: tuple[Finding, ...]
