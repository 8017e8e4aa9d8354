"""The check as a page."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hrembed.commands.serve_check.tables import CHECKS, TEXTS, WAYS, tables_of, text_rows
from hrembed.reports.origin import origin_parts, repeat_command, subtitle_of
from hrembed.reports.page import Figure, Page, Prose, Section, Table, tone_of, write_page

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hrembed.config.serve_check import ServeCheckConfig
    from hrembed.records.serve_check import ServeCheckRecord
    from hrembed.runs.record import Run

_NOTES = {
    WAYS: "The model was run in the ways that servers run it by mistake. A cosine of 1 in one of them names the cause.",
    TEXTS: "Cosine of the server's vector to the model's, each text in a request of its own and all in one.",
}


def write_report(run: Run, config: ServeCheckConfig, record: ServeCheckRecord, words: Sequence[str]) -> None:
    """Write `report.html`.

    Args:
        run: Where to.
        config: Settings.
        record: What was found.
        words: The answer in a sentence, then what to do.

    Raises:
        HrembedError: The file cannot be written.
    """
    tables = tables_of(record)
    tables |= {TEXTS: text_rows(record)} if record.texts else {}
    asked = (
        f"Does '{record.name}' at {record.server} give the vectors of {record.model}?"
        if record.model
        else f"Is '{record.name}' at {record.server} still the same model?"
    )
    page = Page(
        title="Check of a server",
        subtitle=subtitle_of(run.manifest, run.path.name),
        asked=asked,
        answer=Prose("Yes" if record.verdict == "pass" else "No", words, kind=tone_of(record.verdict)),
        figures=[*_figures(config, record)],
        lead=[Table(CHECKS, tables[CHECKS])],
        details=[
            Section(title, [Table(title, rows, note=_NOTES.get(title, ""))])
            for title, rows in tables.items()
            if title != CHECKS
        ],
        origin=[*origin_parts(run.manifest, config.model_dump(mode="json"), ".")],
        repeat=repeat_command("serve-check", run.path),
        footer="Written by `hrembed serve-check`.",
    )
    write_page(run.path / "report.html", page)


def _figures(config: ServeCheckConfig, record: ServeCheckRecord) -> Iterator[Figure]:
    if np.isfinite(record.lowest_cosine):
        tone = tone_of("pass" if record.lowest_cosine >= config.min_cosine else "fail")
        yield Figure("Lowest cosine", f"{record.lowest_cosine:.6f}", f"limit {config.min_cosine:g}", tone)
    wrong = sum(check.outcome == "fail" for check in record.checks)
    yield Figure("Checks that failed", str(wrong), f"of {len(record.checks)}", tone_of("fail" if wrong else "pass"))
    if record.ranking is not None:
        row = record.ranking
        note = f"{row.task}: {row.server.value:.3f} through the server, {row.model.value:.3f} by the model"
        yield Figure(f"Difference of {row.metric}", f"{row.difference.value:+.4f}", note)
