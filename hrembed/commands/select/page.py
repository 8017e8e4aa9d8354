"""What `hrembed select` leaves in its run folder for people and for the next command."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hrembed.plots.select import Place, draw_ranks, draw_shares, draw_sizes
from hrembed.reports.page import Picture, Prose, Table, write_page

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hrembed.runs.record import Run

_RANKS = 40
_SHARES = 15


def write_report(
    run: Run,
    metrics: Mapping[str, Any],
    rows: Sequence[Mapping[str, Any]],
    tables: Mapping[str, Sequence[Mapping[str, str]]],
) -> None:
    """Draw the pictures and write `report.html`.

    Args:
        run: Its folder takes them.
        metrics: What `metrics.json` holds.
        rows: All ranked models, not only the shortlist.
        tables: Title to rows.

    Raises:
        HrembedError: A file cannot be written.
    """
    parts: list[Prose | Table | Picture] = [
        Prose(f"Picked: {metrics['pick']['model']}", metrics["pick"]["reasons"]),
        *([Prose("Before you believe it", metrics["notices"])] if metrics["notices"] else []),
        *(Table(title, found) for title, found in tables.items() if found),
    ]
    parts += _pictures(run, metrics, rows)
    if metrics["ranking"] is not None:
        parts.append(_weights(metrics["ranking"]))
    footer = f"Made by `hrembed select {run.path}/config.yaml`. Numbers: metrics.json; sources: scores.parquet."
    write_page(run.path / "report.html", "Selection of a model", str(run.path), parts, footer=footer)


def _pictures(run: Run, metrics: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> list[Picture]:
    if not rows:
        return []
    label = "mean score" if metrics["ranking"]["by"] == "mean" else "Borda points"
    places = [
        Place(
            row["model"], row["points"], (row["interval"][0], row["interval"][1]),
            (row["rank_interval"][0], row["rank_interval"][1]), row["tied_with_first"], row["pareto_front"],
            float("nan") if row["parameters"] is None else float(row["parameters"]),
        )
        for row in rows
    ]  # fmt: skip
    shares = dict(list(metrics["ranking"]["sensitivity"]["first_share"].items())[:_SHARES])
    files = [run.path / name for name in ("sizes.png", "ranks.png", "weights.png")]
    draw_sizes(files[0], places, label)
    draw_ranks(files[1], places[:_RANKS])
    draw_shares(files[2], shares)
    first, share = next(iter(shares.items()))
    return [
        Picture("Quality against size", files[0], f"{len(places)} models: {label} over parameters, with intervals"),
        Picture(
            "Rank intervals", files[1], f"The ranks that each of the first {min(len(places), _RANKS)} models may have"
        ),
        Picture("Weights", files[2], f"{first} is first under {share:.0%} of random weightings"),
    ]


def _weights(ranking: Mapping[str, Any]) -> Table:
    without = ranking["sensitivity"]["first_without_task"]
    rows = [
        {"task": task, "weight": f"{weight:.3f}", "first without it": without.get(task, "the same")}
        for task, weight in ranking["weights"].items()
    ]
    note = f"As informative as {ranking['effective_tasks']:.1f} tasks of equal weight."
    return Table("Tasks and their weights", rows, note)
