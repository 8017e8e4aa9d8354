"""The page of an evaluation: which model wins on which task, by how much, and whether that is certain."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from hrembed.commands.eval.conclusion import baselines_in_words, names_in, next_steps
from hrembed.commands.eval.tables import tables_of
from hrembed.data.personal import CANNOT_SEE
from hrembed.metrics.verdicts import EQUAL
from hrembed.plots.eval import differences_chart, scores_chart
from hrembed.plots.svg import NARROW, WIDE
from hrembed.reports.conclusions import interval_in_words, listed
from hrembed.reports.estimates import format_estimate
from hrembed.reports.page import Drawing, Figure, Page, Prose, Section, Table

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from hrembed.config.eval import EvalConfig
    from hrembed.records.cases import RankedDocument, RelevantDocument, TaskCases
    from hrembed.records.eval import Comparison, EvalRecord
    from hrembed.reports.page import Tone
    from hrembed.types import Estimate

_EXAMPLES = 10
_DOCUMENTS = 3  # of each case
_EXCERPT = 240  # letters of a text; all of it is in cases.json
_FIGURES = 9
_NO_TEXTS = (
    "Only ids are shown: texts may contain personal data. `show_text: true` of `hrembed eval` shows redacted text."
)
_NOT_SAID = (
    "Scores are of these queries and documents; other jobs and other languages may differ. They say how well a ranking "
    "agrees with the judgements of the task, not whether those judgements are fair: `hrembed bias-audit` asks that."
)


def page_of(record: EvalRecord, config: EvalConfig | None, cases: Mapping[str, TaskCases], rows: str) -> Page:
    """Say what an evaluation found; where it was run, from what, and how to repeat it is added by who writes the page.

    Args:
        record: What the evaluation said.
        config: Its settings; None where they cannot be read.
        cases: Task -> its worst queries; empty where none were kept.
        rows: Relative path of the scores of each query; empty without.
    """
    tasks = [task for task in record.scores if record.scores[task]]
    models = list(dict.fromkeys(name for task in tasks for name in record.scores[task]))
    baselines = names_in(record, config)[1] if config is not None else []
    said = [winner_in_words(record, task) for task in tasks]
    if config is not None and models:
        said += [*baselines_in_words(record, baselines), *next_steps(record, config)]
    scores = scores_chart(record)
    alt = "; ".join(f"{task}: {_values(record, task)}" for task in tasks)
    return Page(
        title="Evaluation",
        subtitle="",
        asked=_asked(models, tasks, baselines),
        answer=Prose(_headline(record, tasks), said, _tone(record, tasks)),
        figures=[_figure(record, task) for task in tasks[:_FIGURES]],
        lead=[
            Drawing(
                "Every model on every task",
                scores.svg(WIDE, alt),
                scores.svg(NARROW, alt),
                "Further right is better. Where two intervals overlap the difference may still be significant: the "
                "same queries went to both models, and the differences below use that.",
            )
        ]
        if models
        else [],
        pictures=[*_difference_pictures(record)],
        details=[*_details(record, config, cases, rows)],
    )


def _asked(models: Sequence[str], tasks: Sequence[str], baselines: Sequence[str]) -> str:
    compared = [name for name in models if name not in baselines]
    against = f", and how do they compare with the baselines {listed(baselines)}" if baselines else ""
    if len(compared) == 1:
        return f"How well does {compared[0]} do on {listed(tasks)}{against.replace('do they', 'does it')}?"
    if not compared:
        return "How good are the models on the tasks?"
    return f"Which of {listed(compared)} is {'better' if len(compared) == 2 else 'best'} on {listed(tasks)}{against}?"


class _Winner(NamedTuple):
    """The model that scores highest on a task.

    Attributes:
        model: Its name.
        score: Its score on the headline metric.
        rival: The best model that it was compared with; empty without any.
        row: How the two compare; None without a rival.
    """

    model: str
    score: Estimate
    rival: str = ""
    row: Comparison | None = None


def _winner(record: EvalRecord, task: str) -> _Winner:
    metric, scores = record.headlines[task], record.scores[task]
    ranked = sorted(scores, key=lambda model: -scores[model][metric].value)
    first = ranked[0]
    for rival in ranked[1:]:
        for row in record.differences:
            if row.task == task and {row.model, row.reference} == {first, rival}:
                return _Winner(first, scores[first][metric], rival, row)
    return _Winner(first, scores[first][metric])


def _headline(record: EvalRecord, tasks: Sequence[str]) -> str:
    """The outcome on the first task, in a few words."""
    if not tasks:
        return "Nothing was scored"
    task = tasks[0]
    model, score, rival, row = _winner(record, task)
    metric = record.headlines[task]
    if row is None:
        return f"{model} reaches {score.value:.3f} {metric} on {task}"
    if row.verdict in {"better", "worse"}:
        return f"{model} wins on {task}: {abs(row.difference.value):.3f} {metric} ahead of {rival}"
    if row.verdict == EQUAL:
        return f"{model} and {rival} are equally good on {task}"
    return f"Whether {model} or {rival} is better on {task} cannot be told"


def winner_in_words(record: EvalRecord, task: str) -> str:
    """Say which model won on a task, by how much over the next best, and whether that is certain."""
    model, score, rival, row = _winner(record, task)
    reached = f"{score.value:.3f} {record.headlines[task]}"
    if row is None:
        if len(record.scores[task]) > 1:
            return f"On {task}, {model} scores highest, {reached}; it was not compared with the others."
        return f"On {task}, {model} reaches {reached} ({interval_in_words(score, record.confidence)})."
    interval = interval_in_words(row.difference, record.confidence, sign=True)
    size = f"{abs(row.difference.value):.3f} ahead of {rival} ({_turned(row, model, interval)})"
    if row.verdict in {"better", "worse"}:
        return f"On {task}, {model} wins: {reached}, {size}. The difference is significant after Holm's correction."
    if row.verdict == EQUAL:
        equal = f"no difference larger than {record.delta:g} ({_turned(row, model, interval)})"
        return f"On {task}, {model} and {rival} are equally good: {reached}, {equal}."
    seen = f"a difference of {row.detectable:.3f} or more would be seen"
    return f"On {task}, {model} scores highest, {reached}, {size}, but the difference is not significant: {seen}."


def _turned(row: Comparison, first: str, interval: str) -> str:
    return interval if row.model == first else f"of {row.model} against {row.reference}: {interval}"


def _tone(record: EvalRecord, tasks: Sequence[str]) -> Tone:
    """Green where the first comparison of a task of hiring is settled, and amber where it is open."""
    rows = [row for row in record.differences if row.task not in record.retention and row.task in tasks]
    if not rows:
        return ""
    return "inconclusive" if all(row.verdict == "cannot tell" for row in rows) else "pass"


def _figure(record: EvalRecord, task: str) -> Figure:
    model, score, rival, row = _winner(record, task)
    label = f"Best on {task}{' (outside of hiring)' if task in record.retention else ''}"
    note = f"{record.headlines[task]}, {model}; {interval_in_words(score, record.confidence)}"
    tone: Tone = ""
    if row is None or row.verdict == EQUAL:
        note += f"; {rival} is as good" if row is not None else ""
        return Figure(label, f"{score.value:.3f}", note)
    tone, word = ("inconclusive", "not significant") if row.verdict == "cannot tell" else ("pass", "significant")
    return Figure(label, f"{score.value:.3f}", note, tone, word)


def _values(record: EvalRecord, task: str) -> str:
    metric = record.headlines[task]
    return ", ".join(f"{model} {scores[metric].value:.3f}" for model, scores in record.scores[task].items())


def _difference_pictures(record: EvalRecord) -> Iterator[Drawing]:
    for title, rows in (
        ("Differences on tasks of hiring", [row for row in record.differences if row.task not in record.retention]),
        ("Differences outside of hiring (retention)", [r for r in record.differences if r.task in record.retention]),
    ):
        if rows:
            chart = differences_chart(rows, record.delta, record.confidence)
            alt = "; ".join(f"{r.model} - {r.reference} on {r.task}: {format_estimate(r.difference)}" for r in rows)
            yield Drawing(title, chart.svg(WIDE, alt), chart.svg(NARROW, alt))


def _details(
    record: EvalRecord, config: EvalConfig | None, cases: Mapping[str, TaskCases], rows: str
) -> Iterator[Section]:
    if record.warnings:
        yield Section("Warnings: what a reader of the scores must know", [Prose("", record.warnings)])
    if config is not None:
        tables = tables_of(record, config)
        tables.pop("Warnings", None)
        yield Section("Tables of all scores and differences", [Table(*item, link=rows) for item in tables.items()])
    for task, found in cases.items():
        yield from case_sections(task, found)
    yield Section("What these scores do not say", [Prose("", [_NOT_SAID])])


def case_sections(task: str, found: TaskCases) -> Iterator[Section]:
    """Queries of a task on which models fail, with what they ranked first: ids, and texts where they were redacted."""
    rows = _case_rows(found)
    if rows:
        note = f"Texts were redacted: {CANNOT_SEE}." if found.redacted else _NO_TEXTS
        yield Section(f"Where models fail most: {task}", [Table(task, rows, note=note)])


def _case_rows(found: TaskCases) -> list[dict[str, str]]:
    return [
        {
            "model": model,
            "query": case.query,
            **({"text": _excerpt(case.text or "")} if found.redacted else {}),
            "value": f"{case.value:.3f}",
            "ranked first": _listed(case.ranked_first, with_text=found.redacted),
            "should have been": _listed(case.should_have, with_text=found.redacted),
        }
        for model, cases in found.worst.items()
        for case in cases[:_EXAMPLES]
    ]


def _listed(documents: Sequence[RankedDocument | RelevantDocument], *, with_text: bool) -> str:
    if with_text:
        shown = [f"{document.id}: {_excerpt(document.text or '')}" for document in documents[:_DOCUMENTS]]
        return "; ".join(shown)
    return ", ".join(document.id for document in documents)


def _excerpt(text: str) -> str:
    return text if len(text) <= _EXCERPT else f"{text[:_EXCERPT].rstrip()} …"
