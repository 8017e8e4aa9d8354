"""What `hrembed select` leaves in its run folder for people and for the next command."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hrembed.plots.select import draw_ranks, draw_shares, draw_sizes
from hrembed.reports.page import Picture, Prose, Table, write_page

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hrembed.records.select import RankedModel, RankingSummary, SelectRecord
    from hrembed.runs.record import Run

_RANKS = 40
_SHARES = 15


def write_report(
    run: Run,
    record: SelectRecord,
    ranked: Sequence[RankedModel],
    tables: Mapping[str, Sequence[Mapping[str, str]]],
) -> None:
    """Draw the pictures and write `report.html`.

    Args:
        run: Its folder takes them.
        record: All numbers.
        ranked: All ranked models, not only the shortlist.
        tables: Title to rows.

    Raises:
        HrembedError: A file cannot be written.
    """
    parts: list[Prose | Table | Picture] = [
        Prose(f"Picked: {record.pick.model}", record.pick.reasons),
        *([Prose("Caveats", record.notices)] if record.notices else []),
        *(Table(title, rows) for title, rows in tables.items() if rows),
    ]
    if record.ranking is not None:
        parts += [*_pictures(run, record.ranking, ranked), _weights(record.ranking)]
    footer = f"Made by `hrembed select {run.path}/config.yaml`. Numbers: metrics.json; sources: scores.parquet."
    write_page(run.path / "report.html", "Selection of a model", str(run.path), parts, footer=footer)


def _pictures(run: Run, ranking: RankingSummary, ranked: Sequence[RankedModel]) -> list[Picture]:
    label = "mean score" if ranking.by == "mean" else "Borda points"
    shares = dict(list(ranking.sensitivity.first_share.items())[:_SHARES])
    sizes, ranks, weights = (run.path / name for name in ("sizes.png", "ranks.png", "weights.png"))
    draw_sizes(sizes, ranked, label)
    draw_ranks(ranks, ranked[:_RANKS])
    draw_shares(weights, shares)
    first, share = next(iter(shares.items()))
    shown = min(len(ranked), _RANKS)
    return [
        Picture("Quality against size", sizes, f"{len(ranked)} models: {label} over parameters, with intervals"),
        Picture("Rank intervals", ranks, f"The ranks that each of the first {shown} models may have"),
        Picture("Weights", weights, f"{first} is first under {share:.0%} of random weightings"),
    ]


def _weights(ranking: RankingSummary) -> Table:
    without = ranking.sensitivity.first_without_task
    rows = [
        {"task": task, "weight": f"{weight:.3f}", "first without it": without.get(task, "the same")}
        for task, weight in ranking.weights.items()
    ]
    note = f"As informative as {ranking.effective_tasks:.1f} tasks of equal weight."
    return Table("Tasks and their weights", rows, note)
