"""What a person reads of the periodic job."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hrembed.reports.estimates import format_estimate

if TYPE_CHECKING:
    from hrembed.records.retrain import Bridge, Drift, RetrainRecord

    Row = dict[str, str]


def retrain_tables(record: RetrainRecord) -> dict[str, list[Row]]:
    """Write drift, the training and the bridge as tables."""
    tables = {"Drift": _drift(record.drift)} if record.drift is not None else {}
    if record.retraining is not None:
        plan, gate = record.retraining.plan, record.retraining.gate
        tables["Retraining"] = [{"plan": plan, "why": record.retraining.why, "gate": gate, "model": record.verdict}]
        tables["Bridge"] = _bridge(record.retraining.bridge)
    return tables


def _drift(drift: Drift) -> list[Row]:
    return [
        {
            "drift": kind,
            "found": f"{row.found:.3f}",
            "counts from": f"{row.limit:g}",
            "drifted": "yes" if row.drifted else "no",
        }
        for kind, row in drift.rows().items()
    ]


def _bridge(bridge: Bridge) -> list[Row]:
    return [
        {
            "way": name,
            bridge.metric: format_estimate(way.score),
            "difference to the old model": format_estimate(way.difference, sign=True),
        }
        for name, way in bridge.ways.items()
    ]
