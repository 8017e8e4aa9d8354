"""The tables of `hrembed select`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hrembed.reports.estimates import format_estimate
from hrembed.runs.environment import machine
from hrembed.text import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hrembed.commands.select.probe import Probe
    from hrembed.commands.select.transfer import Tuned
    from hrembed.config.select import CostSection, SelectConfig
    from hrembed.records.select import FittingModel, Footprint, RankedModel, SelectRecord
    from hrembed.selection.facts import Facts
    from hrembed.types import Estimate, Task

_CHARACTERS_PER_TOKEN = 4  # of English, roughly: prices of a service are an estimate

ALL_FITTING = "All models that meet the constraints, the newest first"
DETAILS = (ALL_FITTING,)
"""Tables for whoever wants to look closer, by how their titles begin."""


def tables_of(
    config: SelectConfig, record: SelectRecord, probe: Probe | None, tuned: Sequence[Tuned]
) -> dict[str, list[dict[str, str]]]:
    """All tables: title to rows.

    Args:
        config: Holds the prices.
        record: All numbers.
        probe: What was measured here, with speed and memory; None where nothing was.
        tuned: Finalists after a short fine-tuning.
    """
    tables: dict[str, list[dict[str, str]]] = {}
    if record.ranking is not None:
        tables[
            (
                f"Leaderboard: {len(record.leaderboard)} of {record.ranking.ranked} that meet the constraints; "
                f"{record.ranking.adjacent_pairs_not_separable} of {record.ranking.adjacent_pairs} adjacent "
                "pairs are statistically tied"
            )
        ] = _leaderboard_rows(record.leaderboard)
    else:
        tables |= _fitting_tables(config, record)
    if probe is not None:
        tokens = _mean_tokens(probe.task)
        title = f"Measured here: {config.probe.metric} on {probe.task.name}{_busy_words(probe)}"
        tables[title] = _probe_rows(record, probe, config.probe.cost, tokens)
        absent = _absent_rows(probe.absent, config.probe.cost, tokens)
        if absent:
            tables["Shortlisted, but not on this machine"] = absent
    if tuned:
        tables["After the same short fine-tuning"] = _transfer_rows(record, tuned)
    return tables


def _fitting_tables(config: SelectConfig, record: SelectRecord) -> dict[str, list[dict[str, str]]]:
    """The models that meet the constraints, the newest first, where no scores rank them."""
    registry, rows = record.registry, [_fitting_row(model) for model in record.fitting]
    shown = rows[: config.shortlist]
    found = f"{registry.fitting} of {registry.models} models meet the constraints"
    if len(shown) == len(rows):
        return {found: rows}
    return {f"{found}; the newest {len(shown)}": shown, ALL_FITTING: rows}


def _fitting_row(model: FittingModel) -> dict[str, str]:
    facts = [
        "" if model.parameters is None else f"{model.parameters / 1e6:,.0f} M parameters",
        "" if model.memory_mb is None else f"{model.memory_mb:,.0f} MB",
        "texts of any length" if model.max_tokens is None else f"{model.max_tokens:,} tokens",
        model.licence or "",
        model.released or "",
        f"superseded by {model.superseded_by}" if model.superseded_by else "",
    ]
    return {"model": model.model, "what is known of it": ", ".join(filter(None, facts))}


def _leaderboard_rows(shortlist: Sequence[RankedModel]) -> list[dict[str, str]]:
    return [
        {
            "model": row.model,
            "mean": f"{row.mean:.3f}",
            "rank": "{} to {}".format(*row.rank_interval),
            "Borda": str(row.borda_rank),
            "tied with first": "yes" if row.tied_with_first else "no",
            "Pareto": "front" if row.pareto_front else "",
            "parameters": "unknown" if row.parameters is None else f"{row.parameters / 1e6:,.0f} M",
            "memory": f"{row.memory_mb:,.0f} MB" if row.memory_mb else "unknown",
            "licence": row.licence or "unknown",
            "trained on": _trained_on(row.trained_on_these_tasks),
            "look at": _flags(row),
        }
        for row in shortlist
    ]


def _trained_on(tasks: Sequence[str] | None) -> str:
    if tasks is None:
        return "not disclosed"
    return f"{len(tasks)} of these tasks" if tasks else "none of these"


def _flags(row: RankedModel) -> str:
    flags = [f"outlier on {name}" for name in row.suspicious]
    flags += [f"known error in the mteb version on {name}" for name in row.incomparable]
    if row.tasks_of_other_revisions:
        flags.append(f"{counted(row.tasks_of_other_revisions, 'task')} of other revisions")
    if len(row.mteb_versions) > 1:
        flags.append(f"mteb {' and '.join(row.mteb_versions)}")
    if row.superseded_by:
        flags.append(f"replaced by {row.superseded_by}")
    return "; ".join(flags)


def _mean_tokens(task: Task) -> float:
    """Mean tokens of a text of the probe, for the price of services."""
    return float(np.mean([len(text.text) for text in (*task.queries, *task.documents)])) / _CHARACTERS_PER_TOKEN


def _busy_words(probe: Probe) -> str:
    """Say that the machine did other work while speeds were measured; empty when it did not."""
    cores = machine().cores or 1
    load = max((footprint.load for devices in probe.footprints.values() for footprint in devices), default=0.0)
    if load <= cores + 0.5:
        return ""
    return f"; the machine was under load (load {load:.1f} on {cores} cores), so times are overestimated"


def _probe_rows(record: SelectRecord, probe: Probe, cost: CostSection, tokens: float) -> list[dict[str, str]]:
    """The measured models, best first, then those dropped on the way."""
    rows = []
    sections = {row.name: row.candidate.section for row in (*probe.finalists, *probe.dropped)}
    for model in record.probe:
        price = sections[model.model].endpoint.price_per_million_tokens
        rows.append(
            {
                "model": model.model,
                "score": format_estimate(model.score),
                "to the best": _to_the_best(model.difference_to_best),
                "queries": str(model.queries),
                **_footprint_cells(probe.footprints.get(model.model, ()), cost.machine_per_hour),
                **({"a million texts": f"{price * tokens:,.2f}"} if price is not None else {}),
            }
        )
    return rows


def _to_the_best(difference: Estimate | None) -> str:
    return "best" if difference is None else format_estimate(difference, sign=True)


def _footprint_cells(devices: Sequence[Footprint], hourly: float | None) -> dict[str, str]:
    """What a model needs; a million texts cost hours where the machine has no price."""
    if not devices:
        return {"texts/s": "", "start-up": "", "memory": "", "a million texts": ""}
    hours = [1e6 / footprint.texts_per_second / 3600 for footprint in devices]
    costs = [f"{hour * hourly:,.2f}" if hourly is not None else f"{hour:,.1f} h" for hour in hours]
    names = [f" ({footprint.device})" if len(devices) > 1 else "" for footprint in devices]
    return {
        "texts/s": ", ".join(f"{f.texts_per_second:,.0f}{name}" for f, name in zip(devices, names, strict=True)),
        "start-up": f"{devices[0].start_seconds:.1f} s",
        "memory": f"{devices[0].peak_memory_mb:,.0f} MB",
        "a million texts": ", ".join(f"{cost}{name}" for cost, name in zip(costs, names, strict=True)),
    }


def _absent_rows(absent: Sequence[Facts], cost: CostSection, tokens: float) -> list[dict[str, str]]:
    """Shortlisted models that could not be measured here, and how they could be; services with their price."""
    prices = {price.model: price.per_million_tokens for price in cost.prices}
    rows = []
    for facts in absent:
        if facts.open_weights:
            revision = f" --revision {facts.revision}" if facts.revision else ""
            how, price = f"hf download {facts.name}{revision}", ""
        else:
            how = "a hosted service: add its endpoint to `probe.models`"
            price = f"{prices[facts.name] * tokens:,.2f}" if facts.name in prices else "no price given"
        rows.append({"model": facts.name, "to measure it": how, "a million texts": price})
    return rows


def _transfer_rows(record: SelectRecord, tuned: Sequence[Tuned]) -> list[dict[str, str]]:
    return [
        {
            "base": model.base,
            "base score": f"{row.base.estimate.value:.3f}",
            "tuned": format_estimate(model.score),
            "gain": format_estimate(model.gain, sign=True),
            "to the best tuned": _to_the_best(model.difference_to_best),
            "run": row.run,
        }
        for row, model in zip(tuned, record.transfer, strict=True)
    ]
