"""The decision table and what it says, in words and as a page."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hrembed.metrics.verdicts import verdict_words
from hrembed.reports.estimates import format_estimate, format_p

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from hrembed.config.compare import AlternativeSection, CompareConfig, PricesSection
    from hrembed.records.compare import AuditSummary, CompareRecord, ModelCost, SizeCost, TrainingEffort

    Rows = list[dict[str, str]]
    Tables = dict[str, Rows]

    Costs = Mapping[str, ModelCost]
    Prices = Mapping[str, AlternativeSection]

DECISION = "Decision table"
_NONE = "-"
DETAILS = ("Paired differences", "Growth")  # for whoever wants to look closer: sentences say what follows from them
_MARK = " *"
_BUSY = 1.2  # processes for each processor; one that measures alone stays at about 1


class Price(NamedTuple):
    """What an alternative costs, in the currency of the config.

    Attributes:
        setup: Once: training by machine time, and what the price table adds.
        per_million: A million documents embedded.
    """

    setup: float
    per_million: float


def tables_of(config: CompareConfig, record: CompareRecord, costs: Costs, prices: Prices) -> Tables:
    """Make all tables; one column a model in the first.

    Args:
        config: Prices and sizes.
        record: Accuracy, fairness and training.
        costs: Label of a model to what it takes; empty where nothing was measured.
        prices: Label of a model to its line of the price table.
    """
    tables: Tables = {DECISION: [*_accuracy_rows(record), *_cost_rows(config, record, costs, prices)]}
    tables["Paired differences"] = [
        {
            "task": row.task + (" (retention)" if row.retention else ""),
            "model": f"{row.model} - {row.reference}",
            "metric": row.metric,
            "difference": format_estimate(row.difference, sign=True),
            "corrected for all": format_estimate(row.corrected, sign=True),
            "p (Holm)": format_p(row.p_holm),
            "verdict": verdict_words(row.verdict, record.delta),
        }
        for row in record.differences
    ]
    tables["Growth"] = list(_growth_rows(costs))
    tables["Fairness on the same stimuli"] = list(_fairness_rows(record.fairness))
    return {title: rows for title, rows in tables.items() if rows}


def _accuracy_rows(record: CompareRecord) -> Iterator[dict[str, str]]:
    if any(model.scoring for model in record.models.values()):
        cells = {label: model.scoring or "whole vectors" for label, model in record.models.items()}
        yield {"component": "accuracy", "measure": "scored by", **cells}
    for task in dict.fromkeys(task for tasks in record.accuracy.values() for task in tasks):
        headlines = {label: tasks.get(task) for label, tasks in record.accuracy.items()}
        metric = next(headline.metric for headline in headlines.values() if headline)
        cells = {label: format_estimate(headline.score) if headline else _NONE for label, headline in headlines.items()}
        yield {"component": "accuracy", "measure": f"{task}: {metric}", **cells}


def _cost_rows(config: CompareConfig, record: CompareRecord, costs: Costs, prices: Prices) -> Iterator[dict[str, str]]:
    if not costs:
        return
    labels, training = list(record.models), record.training

    def row(component: str, measure: str, cell: Callable[[ModelCost], str]) -> dict[str, str]:
        cells = {label: cell(costs[label]) if label in costs else _NONE for label in labels}
        return {"component": component, "measure": measure, **cells}

    def training_row(measure: str, cell: Callable[[TrainingEffort], float]) -> dict[str, str]:
        efforts = {label: training[label] for label in labels}
        cells = {label: "0" if effort is None else f"{cell(effort):,.0f}" for label, effort in efforts.items()}
        return {"component": "computation", "measure": measure, **cells}

    yield row("latency", "one query, p50 / p95 (ms)", lambda cost: _percentiles(cost.query_ms))
    yield row("latency", "one document, p50 / p95 (ms)", lambda cost: _percentiles(cost.document_ms))
    yield training_row("training (s)", lambda effort: effort.seconds)
    yield training_row("training, memory (MB)", lambda effort: effort.peak_memory_mb)
    yield row("computation", "documents a second, in batches", lambda cost: _short(cost.texts_per_second))
    yield row("computation", "memory of the process (MB)", lambda cost: f"{cost.peak_memory_mb:,.0f}")
    yield row("computation", "arithmetic of a document (GFLOP)", lambda cost: _flops(cost.document_flops))
    yield row("computation", "energy of a million documents (Wh)", lambda cost: _short(_energy(cost, config.prices)))
    priced = {
        label: price_of(costs[label], training[label], prices[label], config.prices)
        for label in labels
        if label in costs
    }
    currency = config.prices.currency
    setup = {label: _short(priced[label].setup) if label in priced else _NONE for label in labels}
    yield {"component": "cost", "measure": f"setup ({currency})", **setup}
    running = {label: _short(priced[label].per_million) if label in priced else _NONE for label in labels}
    yield {"component": "cost", "measure": f"a million documents ({currency})", **running}
    yield row("scalability", "numbers of a vector", lambda cost: str(cost.dimensions or _NONE))
    largest = f"{config.load.sizes[-1] if config.load else 0:,} documents"
    yield row("scalability", f"{largest}: embed (h)", lambda cost: _embed(cost.growth[-1], 3600))
    yield row("scalability", f"{largest}: index (MB)", lambda cost: _short(cost.growth[-1].index_mb))
    yield row("scalability", f"{largest}: search (ms)", lambda cost: _search(cost.growth[-1]))


def _embed(size: SizeCost, scale: float = 1) -> str:
    return _short(size.embed_seconds / scale) + ("" if size.embed_measured else _MARK)


def _search(size: SizeCost) -> str:
    return _short(size.search_ms) + ("" if size.search_measured else _MARK)


def price_of(
    cost: ModelCost, training: TrainingEffort | None, alternative: AlternativeSection, prices: PricesSection
) -> Price:
    """Price an alternative.

    Args:
        cost: What was measured of it.
        training: What its training took; None where nothing was trained.
        alternative: Its line of the price table.
        prices: The price table.
    """
    setup = alternative.setup + (training.seconds / 3600 * prices.machine_hour if training else 0.0)
    if alternative.per_million_tokens is not None:
        # A text of which no tokenizer is known here is taken for as long as a document of a hundred words.
        return Price(setup, alternative.per_million_tokens * (cost.document_tokens or 133.0))
    return Price(setup, 1e6 / cost.texts_per_second / 3600 * prices.machine_hour)


def _energy(cost: ModelCost, prices: PricesSection) -> float:
    return 1e6 / cost.texts_per_second / 3600 * prices.watts


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


def _growth_rows(costs: Costs) -> Iterator[dict[str, str]]:
    for label, cost in costs.items():
        for size in cost.growth:
            yield {
                "model": label,
                "documents": f"{size.documents:,}",
                "embed (s)": _embed(size),
                "index (MB)": _short(size.index_mb),
                "search (ms)": _search(size),
                "search grows with size to the power of": f"{cost.search_exponent:.2f}",
            }


def _fairness_rows(fairness: Mapping[str, AuditSummary]) -> Iterator[dict[str, str]]:
    for label, audit in fairness.items():
        if not audit.growth:
            yield {"model": label, "verdict": audit.verdict, "groups": _NONE, "growth of the gap": _NONE}
        for row in audit.growth:
            groups = f"{row.attribute}: {' - '.join(row.groups)}"
            growth = format_estimate(row.growth, sign=True)
            yield {"model": label, "verdict": audit.verdict, "groups": groups, "growth of the gap": growth}


def trade_offs(record: CompareRecord, costs: Costs, tables: Tables) -> list[str]:
    """Restate the trade-offs in sentences, one model against the reference each.

    Args:
        record: Accuracy, fairness and training.
        costs: Label of a model to what it takes.
        tables: What `tables_of` made, for prices.
    """
    reference = record.reference
    cells = {row["measure"]: row for row in tables[DECISION]}
    sentences = []
    for label in record.models:
        differences = [
            f"{row.task} {format_estimate(row.difference, sign=True)} ({verdict_words(row.verdict, record.delta)})"
            for row in record.differences
            if row.model == label
        ]
        if label == reference or not differences:
            continue
        sentence = f"{label} against {reference}: {'; '.join(differences)}."
        if label in costs and reference in costs:
            mine, base = (float(np.median(costs[name].query_ms)) for name in (label, reference))
            setup = next(row[label] for measure, row in cells.items() if measure.startswith("setup"))
            sentence += f" A query takes {_short(mine)} ms instead of {_short(base)} ms; setup {setup}."
        sentences.append(sentence)
    busy = [label for label, cost in costs.items() if (cost.load or 0) > _BUSY]
    if busy:
        sentences.append(
            f"The machine was under load while {', '.join(busy)} was measured: times are overestimated and noisy."
        )
    return sentences


def next_steps(record: CompareRecord) -> list[str]:
    """Name the gate for the model that won somewhere, else for the first one beside the reference."""
    others = [label for label in record.models if label != record.reference]
    better = [row.model for row in record.differences if row.verdict == "better" and not row.retention]
    candidate, baseline = record.models[(better or others)[0]], record.models[record.reference]
    sides = [f'--set candidate.eval={candidate.run} --set "candidate.model={candidate.model}"']
    if baseline.run != candidate.run:
        sides.append(f"--set baseline.eval={baseline.run}")
    sides.append(f'--set "baseline.model={baseline.model}"')
    return [f"Next, let the gate decide on {(better or others)[0]}:", f"  hrembed gate {' '.join(sides)}"]
