"""What a person reads after an evaluation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hrembed.evaluation.slices import SHARED_WORDS
from hrembed.metrics.verdicts import verdict_words
from hrembed.reports.estimates import format_estimate, format_p
from hrembed.text import counted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hrembed.config.eval import EvalConfig
    from hrembed.records.eval import Comparison, EvalRecord
    from hrembed.records.manifest import Scoring
    from hrembed.types import Estimate

    Tables = dict[str, list[dict[str, str]]]

DETAILS = ("Queries with and without a word", "Robustness")
"""Tables for whoever wants to look closer, by how their titles begin."""


def tables_of(record: EvalRecord, config: EvalConfig) -> Tables:
    """Scores of each task, paired differences with a verdict, robustness."""
    tables: Tables = {}
    for task, models in record.scores.items():
        facts = record.kinds[task]
        title = f"{task}: {facts.kind}, {counted(facts.items, 'query' if facts.kind in _RANKED else 'item')}"
        tables[title + (" (retention)" if task in record.retention else "")] = _scores(models)
    if record.scorings:
        tables["How models score"] = [_scoring(model, scoring) for model, scoring in record.scorings.items()]
    split = _by_shared_words(record)
    if split:
        tables["Queries with and without a word of their answer"] = split
    for title, rows in (
        ("Paired differences", [row for row in record.differences if row.task not in record.retention]),
        (
            "Retention: paired differences outside of hiring",
            [row for row in record.differences if row.task in record.retention],
        ),
    ):
        if rows:
            tables[title] = [_difference(row, record.delta) for row in rows]
    moved = _robustness(record, set(config.baselines))
    if moved:
        tables["Robustness: changed queries against themselves"] = moved
    if record.warnings:
        tables["Warnings"] = [{"warning": warning} for warning in record.warnings]
    return tables


_RANKED = {"retrieval", "reranking"}


def _scores(models: Mapping[str, Mapping[str, Estimate]]) -> list[dict[str, str]]:
    rows = []
    for model, scores in models.items():
        undefined = max(score.undefined for score in scores.values())
        row = {"model": model, **{metric: format_estimate(score) for metric, score in scores.items()}}
        rows.append({**row, "undefined": str(undefined)} if undefined else row)
    return rows


def _scoring(model: str, scoring: Scoring) -> dict[str, str]:
    choice = scoring.choice
    chosen = "" if choice is None else f"highest {choice.metric} of {len(choice.tried)} ways on {choice.task}"
    return {"model": model, "score": scoring.in_words, "chosen": chosen or "by the config"}


def _by_shared_words(record: EvalRecord) -> list[dict[str, str]]:
    """One row for each task and model; without this split, a search for equal words passes for understanding."""
    rows: dict[tuple[str, str], dict[str, str]] = {}
    for task, divided in record.slices.items():
        for slice_row in divided[SHARED_WORDS].rows if SHARED_WORDS in divided else ():
            first = {"task": task, "model": slice_row.model, "metric": record.headlines[task]}
            row = rows.setdefault((task, slice_row.model), first)
            row[slice_row.slice] = f"{format_estimate(slice_row.score)} ({counted(slice_row.queries, 'query')})"
    return [*rows.values()]


def _difference(row: Comparison, delta: float) -> dict[str, str]:
    return {
        "task": row.task,
        "model": f"{row.model} - {row.reference}",
        "metric": row.metric,
        "difference": format_estimate(row.difference, sign=True),
        "better / worse": "" if row.better is None else f"{row.better} / {row.worse}",
        "p (Holm)": format_p(row.p_holm),
        "detectable": f"{row.detectable:.3f}",
        "verdict": verdict_words(row.verdict, delta),
    }


def _robustness(record: EvalRecord, baselines: set[str]) -> list[dict[str, str]]:
    """Rows of the models; those of the baselines stand in `metrics.json`."""
    return [
        {
            "task": task,
            "model": model,
            "change": change,
            "queries changed": f"{moved.changed} of {record.kinds[task].items}",
            "difference": format_estimate(moved.difference, sign=True) if moved.difference else "",
            "rank-biased overlap": "" if moved.rank_biased_overlap is None else f"{moved.rank_biased_overlap:.3f}",
            "top 10 in common": "" if moved.top_overlap is None else f"{moved.top_overlap:.3f}",
        }
        for task, models in record.robustness.items()
        for model, changes in models.items()
        for change, moved in changes.items()
        if model not in baselines
    ]
