"""The page of a training: what it gained, what it cost, and how it went."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hrembed.commands.finetune.conclusion import conclusion_of, deciding
from hrembed.commands.finetune.tables import finetune_tables
from hrembed.metrics.verdicts import verdict_words
from hrembed.plots.finetune import charts
from hrembed.plots.svg import NARROW, WIDE
from hrembed.reports.conclusions import found_and_next, interval_in_words, listed
from hrembed.reports.page import Drawing, Figure, Page, Prose, Section, Table, tone_of
from hrembed.text import counted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hrembed.metrics.verdicts import Verdict
    from hrembed.records.finetune import FinetuneRecord, TunedComparison
    from hrembed.types import Estimate

_HEADLINES: dict[Verdict, str] = {
    "better": "The training made {base} better on {task}",
    "worse": "The training made {base} worse on {task}",
    "no difference larger than δ": "The training changed nothing that matters on {task}",
    "cannot tell": "Whether the training helped on {task} cannot be told",
}
_DEV = (
    "The dev task chose the checkpoint and the settings, so its score is too good; believe the test tasks, which took "
    "no part."
)


def page_of(record: FinetuneRecord, run_id: str, base: str) -> Page:
    """Say what a training found; where it was run, from what, and how to repeat it is added by who writes the page.

    Args:
        record: What the fine-tuning said.
        run_id: Id of its run.
        base: How the config refers to the base model.
    """
    drawn = {name: _drawing(*chart) for name, chart in charts(record).items()}
    lead = drawn.pop("differences", None) or drawn.pop("dev")
    verdict, row = verdict_words(record.verdict, record.delta), deciding(record)
    found, following = found_and_next(conclusion_of(record, run_id))
    if record.warnings:
        found.append(f"{counted(len(record.warnings), 'warning')} below: what a reader of the scores must know.")
    return Page(
        title="Fine-tuning",
        subtitle="",
        asked=(
            f"Does training {base} on {record.pairs:,} rows make it better on the dev task {record.task} "
            f"({record.metric}), and does it keep what it could outside of hiring?"
        ),
        answer=Prose(
            f"{_HEADLINES[row.verdict].format(base=base, task=row.task)}: {row.difference.value:+.3f} {row.metric}",
            [*found, *following],
            tone_of(row.verdict),
        ),
        figures=[
            Figure(
                f"{record.metric} on {record.task} (dev task), {base} → tuned",
                f"{record.base.value:.3f} → {record.tuned.value:.3f}",
                f"{_note(record.difference, record.confidence)}; the tuned model is run:{run_id}",
                tone_of(record.verdict),
                verdict,
            ),
            *(_figure(row, record, "test") for row in record.tests),
            *(_figure(row, record, "outside of hiring") for row in record.retention),
        ],
        lead=[lead],
        pictures=[*drawn.values()],
        details=[*_details(record)],
    )


def _drawing(title: str, chart: object, alt: str) -> Drawing:
    svg = chart.svg  # type: ignore[attr-defined]
    return Drawing(title, svg(WIDE, alt), svg(NARROW, alt))


def _note(difference: Estimate, confidence: float) -> str:
    return f"{difference.value:+.3f}, {interval_in_words(difference, confidence, sign=True)}"


def _figure(row: TunedComparison, record: FinetuneRecord, kind: str) -> Figure:
    return Figure(
        f"{row.metric} on {row.task} ({kind})",
        f"{row.base.value:.3f} → {row.tuned.value:.3f}",
        _note(row.difference, record.confidence),
        tone_of(row.verdict),
        verdict_words(row.verdict, record.delta),
    )


def _details(record: FinetuneRecord) -> Iterator[Section]:
    yield Section("Phases of the training", [Table("Phases", _phases(record), _DEV)])
    if record.warnings:
        yield Section("Warnings: what a reader of the scores must know", [Prose("", record.warnings)])
    yield Section("What it was trained on", [Table("Sources", _sources(record))])
    tables = finetune_tables(record)
    tables.pop("Warnings", None)
    yield Section("Every comparison in numbers", [Table(title, rows) for title, rows in tables.items()])


def _phases(record: FinetuneRecord) -> list[dict[str, str]]:
    rows = []
    if record.pretraining is not None:
        before, after = record.pretraining.perplexity.before, record.pretraining.perplexity.after
        result = f"perplexity of texts held out {before:,.1f} → {after:,.1f}"
        steps = f"{record.pretraining.steps:,} steps"
        rows.append({"phase": "masked language modelling", "length": steps, "result": result})
    stopped = "" if record.steps_done == record.steps else f" of {record.steps:,} planned (ended early)"
    kept = f"kept step {record.best_step:,}, dev score {_best(record):.3f}"
    if record.branches:
        kept = f"kept the mean of {counted(len(record.branches), 'branch', 'branches')}"
    names = listed([*dict.fromkeys(source.loss for source in record.sources)] or ["training"])
    rows.append({"phase": f"training: {names}", "length": f"{record.steps_done:,} steps{stopped}", "result": kept})
    rows += [
        {
            "phase": f"branch {branch.branch}",
            "length": f"{branch.steps:,} steps",
            "result": f"kept step {branch.best_step:,}, dev score {branch.dev:.3f}",
        }
        for branch in record.branches
    ]
    if record.strengths:
        tried = f"{len(record.strengths)} strengths tried"
        rows.append({"phase": "strength", "length": tried, "result": f"chosen: {record.strength:g}"})
    proof = len(record.tests) + len(record.retention)
    if proof:
        rows.append(
            {
                "phase": "proof on other tasks",
                "length": f"{proof} tasks",
                "result": "; ".join(
                    f"{row.task}: {verdict_words(row.verdict, record.delta)}"
                    for row in (*record.tests, *record.retention)
                ),
            }
        )
    return rows


def _best(record: FinetuneRecord) -> float:
    scores = [dev.score for dev in record.dev_history if dev.step == record.best_step]
    return scores[0] if scores else record.tuned.value


def _sources(record: FinetuneRecord) -> list[dict[str, str]]:
    return [
        {"source": str(number), "what it is": source.kind, "loss": source.loss, "rows": f"{source.rows:,}",
         "batches": f"{source.batches:,}"}
        for number, source in enumerate(record.sources, 1)
    ]  # fmt: skip
