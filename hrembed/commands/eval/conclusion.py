"""What an evaluation found, in two or three sentences, and what to do next."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hrembed.models.refs import parse_ref
from hrembed.reports.conclusions import compared_in_words, interval_in_words, listed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hrembed.config.eval import EvalConfig
    from hrembed.records.eval import Comparison, EvalRecord


def conclusion_of(record: EvalRecord, config: EvalConfig) -> list[str]:
    """Say which model is better on which task, what the baselines reach, and which command comes next.

    Args:
        record: What the evaluation said.
        config: Its settings, which say which systems are baselines.
    """
    models, baselines = names_in(record, config)
    sentences = [*_scores(record, models[0])] if len(models) == 1 else [*_differences(record, models[1:])]
    return [*sentences, *baselines_in_words(record, baselines), *next_steps(record, config)]


def names_in(record: EvalRecord, config: EvalConfig) -> tuple[list[str], list[str]]:
    """Names of the models of the config, and of the baselines beside them."""
    names = list(dict.fromkeys(name for models in record.scores.values() for name in models))
    return names[: len(config.models)], names[len(config.models) :]


def next_steps(record: EvalRecord, config: EvalConfig) -> list[str]:
    """Say which command comes next: for a model that is better than the first, a tuned one not worse, or the first."""
    models, _ = names_in(record, config)
    better = [row.model for row in record.differences if row.verdict == "better" and row.model in models]
    worse = {row.model for row in record.differences if row.verdict == "worse"}
    refs = [model.ref for model in config.models]
    tuned = [name for name, ref in zip(models, refs, strict=True) if ref.startswith("run:") and name not in worse]
    return _next(refs[models.index([*better, *tuned, models[0]][0])])


def _scores(record: EvalRecord, model: str) -> Iterator[str]:
    """Headline scores of the only model."""
    found = []
    for task in record.scores:
        if task not in record.retention and model in record.scores[task]:
            metric = record.headlines[task]
            score = record.scores[task][model][metric]
            found.append(f"{metric} {score.value:.3f} on {task} ({interval_in_words(score, record.confidence)})")
    if found:
        yield f"{model} reaches {listed(found)}."


def _differences(record: EvalRecord, models: list[str]) -> Iterator[str]:
    """Each further model against the first, on tasks of hiring and outside of it."""
    for model in models:
        rows = [row for row in record.differences if row.model == model]
        reference = rows[0].reference if rows else ""
        of_reference = [row for row in rows if row.reference == reference]
        inside = _said(record, [row for row in of_reference if row.task not in record.retention])
        outside = _said(record, [row for row in of_reference if row.task in record.retention])
        if inside:
            yield f"{model} against {reference}: {inside}."
        if outside:
            yield f"Outside of hiring, {model} against {reference}: {outside}."


def _said(record: EvalRecord, rows: list[Comparison]) -> str:
    return compared_in_words(rows, delta=record.delta, confidence=record.confidence)


def baselines_in_words(record: EvalRecord, baselines: list[str]) -> Iterator[str]:
    """Say whether models that only count words are beaten."""
    every = [row for row in record.differences if row.model in baselines and row.task not in record.retention]
    rows = [row for row in every if row.reference == every[0].reference]
    as_good = [f"{row.model} on {row.task}" for row in rows if row.verdict != "worse"]
    if as_good:
        yield f"Not worse than {rows[0].reference}, though it only counts words: {listed(as_good)}."
    elif rows:
        verb = "is" if len(baselines) == 1 else "are"
        yield f"{listed(baselines)} {verb} worse than {rows[0].reference} on every task."


def _next(ref: str) -> list[str]:
    """The commands that come next, each in an indented line."""
    if ref.startswith("trec:"):
        return ["Next, write a page of this run:", "  hrembed runs report"]
    audit = f"  hrembed bias-audit --set model.ref={ref}"
    if ref.startswith("run:"):
        return ["Next, audit it, then decide:", audit, "  hrembed gate"]
    if not parse_ref(ref).has_weights:  # nothing to train
        return ["Next, train a model on your own pairs, or audit this one as it is:", "  hrembed finetune", audit]
    return [
        "Next, train it on your own pairs, or audit it as it is:",
        f"  hrembed finetune --set model.ref={ref}",
        audit,
    ]
