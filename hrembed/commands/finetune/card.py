"""The model card, and the pictures of a training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from hrembed.config.section import Section
from hrembed.metrics.verdicts import verdict_words
from hrembed.plots.finetune import charts
from hrembed.plots.svg import write_svg
from hrembed.reports.estimates import format_estimate
from hrembed.reports.page import render

if TYPE_CHECKING:
    from pathlib import Path

    from hrembed.config.finetune import FinetuneConfig
    from hrembed.records.finetune import FinetuneRecord, TunedComparison
    from hrembed.runs.record import Run


class _TrainedOn(NamedTuple):
    """A source of training data, as the card lists it.

    Attributes:
        path: As in the config.
        rows: Rows that were trained on.
        kind: What they are.
        loss: Name of the loss.
        weight: Passes over the rows in an epoch.
        branch: Where there are several.
        sha256: Hash of the file.
    """

    path: str
    rows: int
    kind: str
    loss: str
    weight: str
    branch: int | None
    sha256: str


def draw(folder: Path, record: FinetuneRecord) -> None:
    """Draw the training, and the strengths where there are several."""
    for name, (_, chart, alt) in charts(record).items():
        write_svg(folder / f"{name}.svg", chart, alt)


def model_card(config: FinetuneConfig, record: FinetuneRecord, run: Run) -> str:
    """Write the card of the model: how it was made, what was measured, what it must not be taken for."""
    return render(
        "card.md.j2",
        run=run.path.name,
        ref=_inline(config.model.ref),
        sides=config.sides,
        titles=config.model.normalise_titles or "none",
        method=_inline(_listed(config.method)),
        train=_listed(config.train, without="max_tokens"),
        max_tokens=config.train.max_tokens,
        record=record,
        results=_results(record),
        sources=_sources(config, record, run),
        credits=run.manifest.attributions,
    )


def _listed(section: Section, prefix: str = "", without: str = "") -> str:
    """Write the settings of a section as one line; those of an inner section carry its name."""
    return ", ".join(
        _listed(value, f"{prefix}{name} ") if isinstance(value, Section) else f"{prefix}{name} {value}"
        for name, value in section
        if name != without
    )


def _results(record: FinetuneRecord) -> list[list[str]]:
    """Cells of the table of results, a task each."""
    rows: list[tuple[Literal["dev", "test", "outside"], FinetuneRecord | TunedComparison]] = [
        ("dev", record),
        *(("test", row) for row in record.tests),
        *(("outside", row) for row in record.retention),
    ]
    return [
        [
            _inline(row.task),
            kind,
            row.metric,
            format_estimate(row.base),
            format_estimate(row.tuned),
            format_estimate(row.difference, sign=True),
            verdict_words(row.verdict, record.delta),
        ]
        for kind, row in rows
    ]


def _sources(config: FinetuneConfig, record: FinetuneRecord, run: Run) -> list[_TrainedOn]:
    """Files with their hashes."""
    return [
        _TrainedOn(
            path=_inline(section.path),
            rows=source.rows,
            kind=source.kind,
            loss=source.loss,
            weight=f"{section.weight:g}",
            branch=section.branch if len(config.branches) > 1 else None,
            sha256=run.manifest.inputs[f"source-{number}"].sha256,
        )
        for number, (section, source) in enumerate(zip(config.sources, record.sources, strict=True))
    ]


def _inline(text: str) -> str:
    """Keep a user's text from ending a table cell, a code span or a line."""
    return " ".join(text.split()).replace("|", "\\|").replace("`", "'")
