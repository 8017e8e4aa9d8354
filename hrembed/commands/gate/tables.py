"""What a gate said, as tables: which models were judged, and every check."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hrembed.records.gate import Check, GateRecord, JudgedModel


def tables_of(record: GateRecord) -> dict[str, list[dict[str, str]]]:
    """Make the tables of the terminal, the summary and the page."""
    sides = {"candidate": record.candidate, "baseline": record.baseline}
    return {
        "Models": [model_row(side, model) for side, model in sides.items() if model is not None],
        "Gate": [check_row(check) for check in record.checks],
    }


def model_row(side: str, model: JudgedModel) -> dict[str, str]:
    """Say which model is on a side, and from which run its numbers are."""
    row = {
        "side": side,
        "run": model.run,
        "started": model.started,
        "status": model.status,
        "model": model.model,
        "read from": model.source,
        "identity": model.identity[:12],
    }
    optional = {
        "scores by": model.scoring,
        "registry": model.registry,
        "audit": model.audit or "",
        "later runs that did not end well": ", ".join(model.overtaken_by),
    }
    return row | {name: text for name, text in optional.items() if text}


def check_row(check: Check) -> dict[str, str]:
    """Say what was asked and what was found."""
    waiver = check.waiver
    return {
        "check": check.name,
        "asked": check.asked,
        "found": check.shown,
        "smallest loss seen": "" if check.detectable is None else f"{check.detectable:.3f}",
        "outcome": check.status,
        **({} if waiver is None else {"waiver": f"{waiver.owner} until {waiver.expires}: {waiver.reason}"}),
    }
