"""What `hrembed select` says: the pick, the reasons, what to be careful about, tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hrembed.reports.estimates import format_estimate
from hrembed.runs.environment import machine

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hrembed.commands.select.footprint import Footprint
    from hrembed.commands.select.probe import Probe
    from hrembed.commands.select.transfer import Tuned
    from hrembed.config.select import SelectConfig
    from hrembed.selection.facts import Facts


def leaderboard_rows(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """The ranked models as a table."""
    return [
        {
            "model": row["model"],
            "mean": f"{row['mean']:.3f}",
            "rank": "{} to {}".format(*row["rank_interval"]),
            "Borda": str(row["borda_rank"]),
            "tied with first": "yes" if row["tied_with_first"] else "no",
            "Pareto": "front" if row["pareto_front"] else "",
            "parameters": _millions(row["parameters"]),
            "memory": f"{row['memory_mb']:,.0f} MiB" if row["memory_mb"] else "unknown",
            "licence": row["licence"] or "unknown",
            "trained on": _seen(row["trained_on_these_tasks"]),
            "look at": _flags(row),
        }
        for row in rows
    ]


def _millions(value: int | None) -> str:
    return "unknown" if value is None else f"{value / 1e6:,.0f} M"


def _seen(tasks: Sequence[str] | None) -> str:
    if tasks is None:
        return "not disclosed"
    return f"{len(tasks)} of these tasks" if tasks else "none of these"


def _flags(row: Mapping[str, Any]) -> str:
    flags = [f"odd score on {name}" for name in row["suspicious"]]
    flags += [f"wrong version on {name}" for name in row["incomparable"]]
    if row["tasks_of_other_revisions"]:
        flags.append(f"{row['tasks_of_other_revisions']} tasks of other revisions")
    if len(row["mteb_versions"]) > 1:
        flags.append(f"mteb {' and '.join(row['mteb_versions'])}")
    if row["superseded_by"]:
        flags.append(f"replaced by {row['superseded_by']}")
    return "; ".join(flags)


def busy_words(probe: Probe) -> str:
    """Say that speeds were measured on a machine that did other work, or give an empty text."""
    cores = int(str(machine()["cores"]))
    load = max((found.load for need in probe.footprints.values() for found in need), default=0.0)
    if load <= cores + 0.5:
        return ""
    return f"; this machine was busy (load {load:.1f} on {cores} cores), alone it is faster"


def probe_rows(
    probe: Probe, metrics: Sequence[Mapping[str, Any]], hourly: float | None, tokens: float
) -> list[dict[str, str]]:
    """The measured models as a table, best first; those dropped on the way below.

    Args:
        probe: What was measured.
        metrics: The same, as it stands in `metrics.json`.
        hourly: Price of this machine; None shows hours.
        tokens: Mean tokens of a text of the probe, for the price of services.
    """
    rows = []
    sections = {row.name: row.candidate.section for row in (*probe.finalists, *probe.dropped)}
    for row in metrics:
        need = probe.footprints.get(row["model"], ())
        price = sections[row["model"]].endpoint.price_per_million_tokens
        rows.append(
            {
                "model": row["model"],
                "score": format_estimate(row["score"]),
                "to the best": "best"
                if row["difference_to_best"] is None
                else format_estimate(row["difference_to_best"], sign=True),
                "queries": str(row["queries"]),
                **_need_cells(need, hourly),
                **({"a million texts": f"{price * tokens:,.2f}"} if price is not None else {}),
            }
        )
    return rows


def _need_cells(need: Sequence[Footprint], hourly: float | None) -> dict[str, str]:
    if not need:
        return {"texts/s": "", "start-up": "", "memory": "", "a million texts": ""}
    hours = [1e6 / found.texts_per_second / 3600 for found in need]
    costs = [f"{hour * hourly:,.2f}" if hourly is not None else f"{hour:,.1f} h" for hour in hours]
    devices = [f" ({found.device})" if len(need) > 1 else "" for found in need]
    return {
        "texts/s": ", ".join(f"{f.texts_per_second:,.0f}{d}" for f, d in zip(need, devices, strict=True)),
        "start-up": f"{need[0].start_seconds:.1f} s",
        "memory": f"{need[0].peak_memory_mb:,.0f} MiB",
        "a million texts": ", ".join(f"{c}{d}" for c, d in zip(costs, devices, strict=True)),
    }


def absent_rows(config: SelectConfig, absent: Sequence[Facts], tokens: float) -> list[dict[str, str]]:
    """Shortlisted models that could not be measured here, and how they could be; services with their price.

    Args:
        config: Holds the prices.
        absent: The models.
        tokens: Mean tokens of a text of the probe.
    """
    prices = {price.model: price.per_million_tokens for price in config.probe.cost.prices}
    rows = []
    for fact in absent:
        if fact.open_weights:
            revision = f" --revision {fact.revision}" if fact.revision else ""
            rows.append(
                {"model": fact.name, "to measure it": f"hf download {fact.name}{revision}", "a million texts": ""}
            )
        else:
            price = prices.get(fact.name)
            cost = "no price given" if price is None else f"{price * tokens:,.2f}"
            rows.append(
                {
                    "model": fact.name,
                    "to measure it": "a service: name its endpoint in `probe.models`",
                    "a million texts": cost,
                }
            )
    return rows


def transfer_rows(tuned: Sequence[Tuned], metrics: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """The tuned finalists as a table."""
    return [
        {
            "base": row.base.name,
            "base score": f"{row.base.estimate.value:.3f}",
            "tuned": format_estimate(found["score"]),
            "gain": format_estimate(found["gain"], sign=True),
            "to the best tuned": "best"
            if found["difference_to_best"] is None
            else format_estimate(found["difference_to_best"], sign=True),
            "run": row.run,
        }
        for row, found in zip(tuned, metrics, strict=True)
    ]
