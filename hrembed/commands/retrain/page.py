"""The page of the periodic job."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hrembed.commands.retrain.tables import retrain_tables
from hrembed.reports.origin import origin_parts, repeat_command, subtitle_of
from hrembed.reports.page import Figure, Page, Prose, Table, tone_of, write_page

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hrembed.config.retrain import RetrainConfig
    from hrembed.records.retrain import RetrainRecord
    from hrembed.runs.record import Run

_HEADLINES = {
    "not worth it": "No new model is needed: {last} stays in use",
    "accepted": "The new model is in use now",
    "outdated": "The new model passed its gate, but another one was accepted meanwhile",
}
_KEPT = "The new model may not go live: {last} stays in use"
_NOTES = {
    "Drift": "How far the new pairs are from those that the model in use was trained on.",
    "Bridge": "What queries of the new model find among documents that were embedded by the old one, with a map from "
    "the new vectors to the old ones and without; and after all documents are embedded again.",
}


def write_report(run: Run, config: RetrainConfig, record: RetrainRecord) -> None:
    """Write `report.html`.

    Raises:
        HrembedError: The file cannot be written.
    """
    page = Page(
        title="Retraining",
        subtitle=subtitle_of(run.manifest, run.path.name),
        asked=f"Do the new pairs call for a new model, and may it take the place of {record.last}?",
        answer=Prose(
            _HEADLINES.get(record.verdict, _KEPT).format(last=record.last),
            run.manifest.conclusion,
            tone_of(record.verdict),
        ),
        figures=[*_figures(record)],
        lead=[Table(title, rows, _NOTES.get(title, "")) for title, rows in retrain_tables(record).items()],
        origin=[*origin_parts(run.manifest, config.model_dump(mode="json"), ".")],
        repeat=repeat_command("retrain", run.path),
        footer="Written by `hrembed retrain`.",
    )
    write_page(run.path / "report.html", page)


def _figures(record: RetrainRecord) -> Iterator[Figure]:
    if record.drift is not None:
        for kind, row in record.drift.rows().items():
            tone, word = ("inconclusive", "drifted") if row.drifted else ("", "")
            yield Figure(f"Drift: {kind}", f"{row.found:.3f}", f"counts from {row.limit:g}", tone, word)  # type: ignore[arg-type]
    if record.retraining is not None:
        gate = record.retraining.gate
        yield Figure(f"Gate against {record.last}", gate, "", tone_of(gate), gate)
