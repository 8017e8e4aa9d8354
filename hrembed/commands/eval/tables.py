"""What a person reads after an evaluation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hrembed.metrics.verdicts import verdict_words
from hrembed.reports.estimates import format_estimate

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hrembed.config.eval import EvalConfig

    Tables = dict[str, list[dict[str, str]]]


def tables_of(metrics: Mapping[str, Any], config: EvalConfig) -> Tables:
    """Scores of each task, paired differences with a verdict, robustness."""
    tables: Tables = {}
    for task, models in metrics["scores"].items():
        kind = metrics["kinds"][task]
        title = f"{task}: {kind['kind']}, {kind['items']} {'queries' if kind['kind'] in _RANKED else 'items'}"
        tables[title + (" (retention)" if task in metrics["retention"] else "")] = _scores(models)
    kept = set(metrics["retention"])
    differences = metrics["differences"]
    for title, rows in (
        ("Paired differences", [row for row in differences if row["task"] not in kept]),
        ("Retention: paired differences outside of hiring", [row for row in differences if row["task"] in kept]),
    ):
        if rows:
            tables[title] = [_difference(row, config) for row in rows]
    moved = _robustness(metrics["robustness"], set(config.baselines))
    if moved:
        tables["Robustness: changed queries against themselves"] = moved
    return tables


_RANKED = {"retrieval", "reranking"}


def _scores(models: Mapping[str, Mapping[str, Any]]) -> list[dict[str, str]]:
    rows = []
    for model, entries in models.items():
        undefined = max(entry.get("undefined", 0) for entry in entries.values())
        row = {"model": model, **{metric: format_estimate(entry) for metric, entry in entries.items()}}
        rows.append({**row, "undefined": str(undefined)} if undefined else row)
    return rows


def _difference(row: Mapping[str, Any], config: EvalConfig) -> dict[str, str]:
    counts = "" if row["better"] is None else f"{row['better']} / {row['worse']}"
    return {
        "task": row["task"],
        "model": f"{row['model']} - {row['reference']}",
        "metric": row["metric"],
        "difference": format_estimate(row["difference"], sign=True),
        "better / worse": counts,
        "p (Holm)": f"{row['p_holm']:.4f}",
        "detectable": f"{row['detectable']:.3f}",
        "verdict": verdict_words(row["verdict"], config.compare.delta),
    }


def _robustness(found: Mapping[str, Any], baselines: set[str]) -> list[dict[str, str]]:
    """Rows of the models; those of the baselines stand in `metrics.json`."""
    return [
        {
            "task": task,
            "model": model,
            "change": change,
            "queries changed": str(row["changed"]),
            "difference": format_estimate(row["difference"], sign=True),
            "rank-biased overlap": f"{row['rank_biased_overlap']:.3f}",
            "top 10 in common": f"{row['top_overlap']:.3f}",
        }
        for task, models in found.items()
        for model, changes in models.items()
        for change, row in changes.items()
        if row["changed"] and model not in baselines
    ]
