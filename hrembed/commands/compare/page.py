"""The comparison as a page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hrembed.commands.compare.tables import DECISION
from hrembed.metrics.verdicts import verdict_words
from hrembed.plots.compare import growth_chart
from hrembed.plots.eval import differences_chart
from hrembed.plots.svg import NARROW, WIDE, write_svg
from hrembed.reports.conclusions import listed
from hrembed.reports.estimates import format_estimate
from hrembed.reports.origin import origin_parts, repeat_command, subtitle_of
from hrembed.reports.page import Drawing, Figure, Page, Prose, Section, Table, tone_of, write_page

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from hrembed.commands.compare.tables import Tables
    from hrembed.config.compare import CompareConfig
    from hrembed.plots.svg import Chart
    from hrembed.records.compare import CompareRecord, ModelCost
    from hrembed.runs.record import Run

_NOTE = (
    "Accuracy with its interval. * extrapolated from a curve fitted to smaller sizes, or from times of fewer texts. "
    "Energy is time by an assumed power, arithmetic an estimate from the architecture; prices are those of the config."
)
_FIGURES = 6


def write_report(
    run: Run,
    config: CompareConfig,
    record: CompareRecord,
    costs: Mapping[str, ModelCost],
    tables: Tables,
) -> None:
    """Write `report.html` of a comparison, and its pictures.

    Raises:
        HrembedError: A file cannot be written.
    """
    drawings = []
    for name, (title, chart, alt) in _charts(config, record, costs).items():
        write_svg(run.path / f"{name}.svg", chart, alt)
        drawings.append(Drawing(title, chart.svg(WIDE, alt), chart.svg(NARROW, alt)))
    others = [label for label in record.models if label != record.reference]
    decision = Table(DECISION, tables.get(DECISION, []), note=_NOTE, link="decision.json")
    page = Page(
        title="Comparison",
        subtitle=subtitle_of(run.manifest, run.path.name),
        asked=f"What does one gain, and what does it cost, with {listed(others)} in place of {record.reference}?"
        if others
        else f"What does {record.reference} cost?",
        answer=Prose(headline(record), run.manifest.conclusion),
        figures=[*_figures(record)],
        lead=[*drawings[:1], decision],
        pictures=drawings[1:],
        details=[
            Section(title, [Table(title, rows, link="decision.json")])
            for title, rows in tables.items()
            if title != DECISION and rows
        ],
        origin=[*origin_parts(run.manifest, config.model_dump(mode="json"), ".")],
        repeat=repeat_command("compare", run.path),
        footer="Written by `hrembed compare`.",
    )
    write_page(run.path / "report.html", page)


def headline(record: CompareRecord) -> str:
    """Say in a line whether anything is better than the reference on tasks of hiring."""
    rows = [row for row in record.differences if not row.retention]
    if not rows:
        return "There is nothing to compare"
    better: dict[str, list[str]] = {}
    for row in rows:
        if row.verdict == "better":
            better.setdefault(row.model, []).append(row.task)
    if len(better) > 1:
        return f"{listed([*better])} are each better than {record.reference} on at least one task"
    for model, tasks in better.items():
        return f"{model} is better than {record.reference} on {listed(tasks)}"
    if any(row.verdict == "cannot tell" for row in rows):
        return f"Whether anything is better than {record.reference} cannot be told"
    return f"Nothing is better than {record.reference}"


def _figures(record: CompareRecord) -> Iterator[Figure]:
    for row in record.differences[:_FIGURES]:
        label = f"{row.model} against {row.reference}, {row.task}"
        note = f"{row.metric} {format_estimate(row.difference, sign=True)}"
        word = verdict_words(row.verdict, record.delta)
        yield Figure(label, f"{row.difference.value:+.3f}", note, tone_of(row.verdict), word)
    for label, audit in record.fairness.items():
        yield Figure(f"Bias audit of {label}", audit.verdict, "", tone_of(audit.verdict), audit.verdict)


def _charts(
    config: CompareConfig, record: CompareRecord, costs: Mapping[str, ModelCost]
) -> dict[str, tuple[str, Chart, str]]:
    found: dict[str, tuple[str, Chart, str]] = {}
    if record.differences:
        chart = differences_chart(record.differences, record.delta, config.bootstrap.confidence)
        alt = "; ".join(f"{row.model} on {row.task}: {row.difference.value:+.3f}" for row in record.differences)
        found["differences"] = (f"Every model against {record.reference}", chart, alt)
    if costs:
        alt = "Curves of search time over the number of documents, one a model; the numbers are in the table Growth."
        found["growth"] = ("Growth of a search", growth_chart({k: cost.growth for k, cost in costs.items()}), alt)
    return found
