"""What `hrembed select` leaves in its run folder for people and for the next command."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hrembed.plots.select import probe_chart, probe_sizes_chart, ranks_chart, shares_chart, sizes_chart
from hrembed.plots.svg import NARROW, WIDE, write_svg
from hrembed.reports.origin import origin_parts, repeat_command, subtitle_of
from hrembed.reports.page import Drawing, Figure, Page, Prose, Section, Table, write_page

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from hrembed.config.select import SelectConfig
    from hrembed.plots.svg import Chart
    from hrembed.records.select import Footprint, RankedModel, RankingSummary, SelectRecord
    from hrembed.runs.record import Run

_RANKS = 40
_SHARES = 15


def write_report(
    run: Run,
    config: SelectConfig,
    record: SelectRecord,
    ranked: Sequence[RankedModel],
    tables: Mapping[str, Sequence[Mapping[str, str]]],
    footprints: Mapping[str, Sequence[Footprint]],
) -> None:
    """Draw the pictures and write `report.html`.

    Args:
        run: Its folder takes them.
        config: Its settings.
        record: All numbers.
        ranked: All ranked models, not only the shortlist.
        tables: Title to rows.
        footprints: Measured model to what it needed.

    Raises:
        HrembedError: A file cannot be written.
    """
    drawings = []
    for name, (title, chart, alt) in _charts(record, ranked, footprints).items():
        write_svg(run.path / f"{name}.svg", chart, alt)
        drawings.append(Drawing(title, chart.svg(WIDE, alt), chart.svg(NARROW, alt), alt if name == "sizes" else ""))
    settings = Prose("", ["`pick.yaml` beside this page is a `model` section for every other command."])
    page = Page(
        title="Selection of a model",
        subtitle=subtitle_of(run.manifest, run.path.name),
        asked=_asked(record),
        answer=Prose(f"Picked: {record.pick.model}", run.manifest.conclusion),
        figures=[*_figures(record)],
        lead=drawings[:1],
        pictures=drawings[1:],
        details=[
            *([Section("Caveats: what to know before believing the numbers", [Prose("", record.notices)])]
              if record.notices else []),
            *(Section(title, [Table(title, rows)]) for title, rows in tables.items() if rows),
            *([Section("Tasks and their weights", [_weights(record.ranking)])] if record.ranking is not None else []),
            Section("What the pick is for", [settings]),
        ],
        origin=[*origin_parts(run.manifest, config.model_dump(mode="json"), ".")],
        repeat=repeat_command("select", run.path),
        footer="Written by `hrembed select`. Numbers: metrics.json; sources: scores.parquet.",
    )  # fmt: skip
    write_page(run.path / "report.html", page)


def _asked(record: SelectRecord) -> str:
    if record.probe_task is not None:
        return f"Which of the models measured here is best, by {record.probe_task.metric} on {record.probe_task.name}?"
    return f"Which of {record.registry.fitting:,} models that meet the constraints is best by public scores?"


def _figures(record: SelectRecord) -> Iterator[Figure]:
    registry = record.registry
    dropped = ", ".join(f"{name} {count:,}" for name, count in registry.dropped_by.items())
    note = f"left out, some for several reasons: {dropped}" if dropped else ""
    yield Figure("Models that meet the constraints", f"{registry.fitting:,} of {registry.models:,}", note)
    for model in record.probe[:3]:
        score = model.score
        note = f"[{score.low:.3f}, {score.high:.3f}] over {model.queries:,} queries"
        tied = model.model in record.pick.cannot_be_told_from
        tone, word = ("inconclusive", "cannot be told from the best") if tied else ("", "")
        yield Figure(f"Measured here: {model.model}", f"{score.value:.3f}", note, tone, word)  # type: ignore[arg-type]
    ranking = record.ranking
    if ranking is not None:
        tied_pairs = f"{ranking.adjacent_pairs_not_separable:,} of {ranking.adjacent_pairs:,}"
        yield Figure("Neighbours that cannot be told apart", tied_pairs, f"of {ranking.ranked:,} ranked models")
        yield Figure("Tied with the first", f"{len(ranking.tied_with_first):,}", "models")


def _charts(
    record: SelectRecord, ranked: Sequence[RankedModel], footprints: Mapping[str, Sequence[Footprint]]
) -> dict[str, tuple[str, Chart, str]]:
    found: dict[str, tuple[str, Chart, str]] = {}
    if record.ranking is not None:
        label = "mean score" if record.ranking.by == "mean" else "Borda points"
        shares = dict(list(record.ranking.sensitivity.first_share.items())[:_SHARES])
        chart, names = sizes_chart(ranked, label)
        found["sizes"] = ("Quality against size", chart, f"On the Pareto front: {'; '.join(names)}")
        shown = min(len(ranked), _RANKS)
        words = f"The ranks that each of the first {shown} models may have"
        found["ranks"] = ("Ranks that fit the tasks", ranks_chart(ranked[:_RANKS]), words)
        first, share = next(iter(shares.items()))
        words = f"{first} is first under {share:.0%} of random weightings"
        found["weights"] = ("How much first place depends on the weights of the tasks", shares_chart(shares), words)
    if record.probe_task is not None and record.probe:
        metric = record.probe_task.metric
        words = "; ".join(f"{model.model} {model.score.value:.3f}" for model in record.probe)
        found["probe"] = (f"Measured here, on {record.probe_task.name}", probe_chart(record.probe, metric), words)
        sized = [model for model in record.probe if footprints.get(model.model)]
        if sized:
            title = "Quality against memory: further left is smaller, higher is better"
            found["memory"] = (title, probe_sizes_chart(sized, footprints, metric), words)
    return found


def _weights(ranking: RankingSummary) -> Table:
    without = ranking.sensitivity.first_without_task
    rows = [
        {"task": task, "weight": f"{weight:.3f}", "first without it": without.get(task, "the same")}
        for task, weight in ranking.weights.items()
    ]
    note = f"As informative as {ranking.effective_tasks:.1f} tasks of equal weight."
    return Table("Tasks and their weights", rows, note)
