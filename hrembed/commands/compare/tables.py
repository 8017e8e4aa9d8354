"""The decision table and what it says, in words and as a page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from hrembed.metrics.verdicts import verdict_words
from hrembed.reports.estimates import format_estimate, nulls_to_nan

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from hrembed.config.compare import AlternativeSection, CompareConfig, PricesSection

    Rows = list[dict[str, str]]
    Tables = dict[str, Rows]

DECISION = "Decision table"
_NONE = "-"
_MARK = " *"
_BUSY = 1.2  # processes for each processor; one that measures alone stays at about 1


class Cost(NamedTuple):
    """What an alternative costs, in the currency of the config.

    Attributes:
        setup: Once: training by machine time, and what the price table adds.
        per_million: A million documents embedded.
    """

    setup: float
    per_million: float


def tables_of(
    config: CompareConfig,
    metrics: Mapping[str, Any],
    costs: Mapping[str, Mapping[str, Any]],
    prices: Mapping[str, AlternativeSection],
) -> Tables:
    """Make all tables; one column a model in the first and third.

    Args:
        config: Prices and sizes.
        metrics: Content of `metrics.json`.
        costs: Content of `timings.json`.
        prices: Label of a model to its line of the price table.
    """
    metrics = nulls_to_nan(metrics)
    tables: Tables = {DECISION: [*_accuracy_rows(metrics), *_cost_rows(config, metrics, costs, prices)]}
    tables["Paired differences"] = [
        {
            "task": row["task"] + (" (retention)" if row["retention"] else ""),
            "model": f"{row['model']} - {row['reference']}",
            "metric": row["metric"],
            "difference": format_estimate(row["difference"], sign=True),
            "corrected for all": format_estimate(row["corrected"], sign=True),
            "verdict": verdict_words(row["verdict"], config.delta),
        }
        for row in metrics["differences"]
    ]
    if costs:
        tables["Growth"] = list(_growth_rows(costs))
    if metrics["fairness"]:
        tables["Fairness on the same stimuli"] = list(_fairness_rows(metrics["fairness"]))
    return {title: rows for title, rows in tables.items() if rows}


def _accuracy_rows(metrics: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    tasks = dict.fromkeys(task for found in metrics["accuracy"].values() for task in found)
    for task in tasks:
        entries = {label: found.get(task) for label, found in metrics["accuracy"].items()}
        metric = next(entry["metric"] for entry in entries.values() if entry)
        cells = {label: format_estimate(entry) if entry else _NONE for label, entry in entries.items()}
        yield {"component": "accuracy", "measure": f"{task}: {metric}", **cells}


def _cost_rows(
    config: CompareConfig,
    metrics: Mapping[str, Any],
    costs: Mapping[str, Mapping[str, Any]],
    prices: Mapping[str, AlternativeSection],
) -> Iterator[dict[str, str]]:
    if not costs:
        return
    labels = list(metrics["models"])
    own = {label: costs.get(label) for label in labels}

    def row(component: str, measure: str, cell: Callable[[Mapping[str, Any]], str]) -> dict[str, str]:
        cells = {label: cell(entry) if entry else _NONE for label, entry in own.items()}
        return {"component": component, "measure": measure, **cells}

    yield row("latency", "one query, p50 / p95 (ms)", lambda found: _percentiles(found["query_ms"]))
    yield row("latency", "one document, p50 / p95 (ms)", lambda found: _percentiles(found["document_ms"]))
    training = metrics["training"]
    for measure, key in (("training (s)", "seconds"), ("training, memory (MB)", "peak_memory_mb")):
        cells = {label: f"{training[label][key]:,.0f}" if training[label] else "0" for label in labels}
        yield {"component": "computation", "measure": measure, **cells}
    yield row("computation", "documents a second, in batches", lambda found: _short(found["texts_per_second"]))
    yield row("computation", "memory of the process (MB)", lambda found: f"{found['peak_memory_mb']:,.0f}")
    yield row("computation", "arithmetic of a document (GFLOP)", lambda found: _flops(found.get("document_flops")))
    yield row("computation", "energy of a million documents (Wh)", lambda found: _short(_energy(found, config.prices)))
    here = {label: found for label, found in own.items() if found}
    cost = {label: cost_of(found, training[label], prices[label], config.prices) for label, found in here.items()}
    currency = config.prices.currency
    for measure, part in ((f"setup ({currency})", "setup"), (f"a million documents ({currency})", "per_million")):
        cells = {label: _short(getattr(cost[label], part)) if label in cost else _NONE for label in labels}
        yield {"component": "cost", "measure": measure, **cells}
    yield from _scale_rows(config, row)


def _scale_rows(
    config: CompareConfig, row: Callable[[str, str, Callable[[Mapping[str, Any]], str]], dict[str, str]]
) -> Iterator[dict[str, str]]:
    yield row("scalability", "numbers of a vector", lambda found: str(found["dimensions"] or _NONE))
    largest = config.load.sizes[-1] if config.load else 0
    for measure, key, known in (
        ("embed (h)", "embed_seconds", "embed_measured"),
        ("index (MB)", "index_mb", ""),
        ("search (ms)", "search_ms", "search_measured"),
    ):
        scale = 3600 if key == "embed_seconds" else 1
        yield row("scalability", f"{largest:,} documents: {measure}", _last(key, known, scale))


def _last(key: str, known: str, scale: float) -> Callable[[Mapping[str, Any]], str]:
    def cell(found: Mapping[str, Any]) -> str:
        last = found["growth"][-1]
        return _short(last[key] / scale) + ("" if not known or last[known] else _MARK)

    return cell


def cost_of(
    found: Mapping[str, Any], training: Mapping[str, Any] | None, own: AlternativeSection, prices: PricesSection
) -> Cost:
    """Price an alternative.

    Args:
        found: What was measured of it.
        training: What its training took; None where nothing was trained.
        own: Its line of the price table.
        prices: The price table.
    """
    setup = own.setup + (training["seconds"] / 3600 * prices.machine_hour if training else 0.0)
    if own.per_million_tokens is not None:
        # A text of which no tokenizer is known here is taken for as long as a document of a hundred words.
        return Cost(setup, own.per_million_tokens * (found.get("document_tokens") or 133.0))
    return Cost(setup, 1e6 / found["texts_per_second"] / 3600 * prices.machine_hour)


def _energy(found: Mapping[str, Any], prices: PricesSection) -> float:
    return float(1e6 / found["texts_per_second"] / 3600 * prices.watts)


def _percentiles(milliseconds: Sequence[float] | None) -> str:
    if not milliseconds:
        return _NONE
    middle, late = np.quantile(milliseconds, [0.5, 0.95])
    return f"{_short(middle)} / {_short(late)}"


def _flops(value: float | None) -> str:
    return _NONE if value is None else _short(value / 1e9)


def _short(value: float) -> str:
    """Three digits that matter, without an exponent."""
    if value == 0:
        return "0"
    digits = max(0, 2 - int(np.floor(np.log10(abs(value)))))
    return f"{value:,.{min(digits, 6)}f}"


def _growth_rows(costs: Mapping[str, Mapping[str, Any]]) -> Iterator[dict[str, str]]:
    for label, found in costs.items():
        for row in found["growth"]:
            yield {
                "model": label,
                "documents": f"{row['documents']:,}",
                "embed (s)": _short(row["embed_seconds"]) + ("" if row["embed_measured"] else _MARK),
                "index (MB)": _short(row["index_mb"]),
                "search (ms)": _short(row["search_ms"]) + ("" if row["search_measured"] else _MARK),
                "search grows with size to the power of": f"{found['search_exponent']:.2f}",
            }


def _fairness_rows(fairness: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    for label, found in fairness.items():
        if not found["growth"]:
            yield {"model": label, "verdict": found["verdict"], "groups": _NONE, "growth of the gap": _NONE}
        for row in found["growth"]:
            groups = f"{row['attribute']}: {' - '.join(row['groups'])}"
            growth = format_estimate(row["growth"], sign=True)
            yield {"model": label, "verdict": found["verdict"], "groups": groups, "growth of the gap": growth}


def trade_offs(metrics: Mapping[str, Any], costs: Mapping[str, Mapping[str, Any]], tables: Tables) -> list[str]:
    """Restate the trade-offs in sentences, one model against the reference each.

    Args:
        metrics: Content of `metrics.json`.
        costs: Content of `timings.json`.
        tables: What `tables_of` made, for prices.
    """
    metrics, reference = nulls_to_nan(metrics), metrics["reference"]
    cells = {row["measure"]: row for row in tables[DECISION]}
    words = []
    for label in metrics["models"]:
        rows = [row for row in metrics["differences"] if row["model"] == label]
        if label == reference or not rows:
            continue
        said = [
            f"{row['task']} {format_estimate(row['difference'], sign=True)} ({_plain(row, metrics)})" for row in rows
        ]
        text = f"{label} against {reference}: {'; '.join(said)}."
        if label in costs and reference in costs:
            mine, base = (float(np.median(costs[name]["query_ms"])) for name in (label, reference))
            setup = next(row[label] for measure, row in cells.items() if measure.startswith("setup"))
            text += f" A query takes {_short(mine)} ms in place of {_short(base)} ms; setup {setup}."
        words.append(text)
    busy = [label for label, found in costs.items() if (found["load"] or 0) > _BUSY]
    if busy:
        words.append(f"The machine had other work while {', '.join(busy)} was measured: times are too long, and noisy.")
    return words


def _plain(row: Mapping[str, Any], metrics: Mapping[str, Any]) -> str:
    return verdict_words(row["verdict"], metrics["delta"])
