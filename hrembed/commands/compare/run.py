"""`hrembed compare`: the models of eval runs side by side, on accuracy, fairness, latency, computation, cost, size."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, NamedTuple

from hrembed.commands.compare.costs import CostRequest, measure_cost
from hrembed.commands.compare.page import write_report
from hrembed.commands.compare.tables import DETAILS, next_steps, tables_of, trade_offs
from hrembed.config.compare import AlternativeSection
from hrembed.config.eval import CompareSection
from hrembed.errors import ConfigError, DataError
from hrembed.models.refs import parse_ref
from hrembed.records.base import write_record
from hrembed.records.compare import (
    AlternativeDifference,
    AuditSummary,
    ComparedModel,
    CompareRecord,
    Decision,
    GapGrowth,
    HeadlineScore,
    TrainingEffort,
)
from hrembed.records.finetune import FinetuneRecord
from hrembed.registry import nearest
from hrembed.runs.past import find_run, finished
from hrembed.runs.record import open_run
from hrembed.scoring.comparisons import PairedTest, correct_family, pairs_of
from hrembed.scoring.past_audits import check_same_stimuli, gap_growths, read_audit
from hrembed.scoring.past_evals import check_same_data, evaluated_models, pair_models, texts_of
from hrembed.types import CommandResult

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path
    from typing import Literal

    from hrembed.config.compare import CompareConfig
    from hrembed.records.compare import ModelCost
    from hrembed.runs.past import PastRun
    from hrembed.runs.workspace import Workspace
    from hrembed.scoring.pairs import PairedDraws, PairedItems
    from hrembed.scoring.past_audits import Audit
    from hrembed.scoring.past_evals import EvaluatedModel

_PHASES = (_SCORES, _SPEED, _WEIGH) = ("compare scores and audits", "measure speed and memory", "weigh them")


@dataclass(frozen=True)
class Alternative:
    """A column of the table.

    Attributes:
        side: The model in its eval run.
        label: Head of the column, unique.
        prices: What it costs beside the machine.
    """

    side: EvaluatedModel
    label: str
    prices: AlternativeSection


def run_compare(config: CompareConfig, workspace: Workspace) -> CommandResult[CompareRecord]:
    """Compare the models of eval runs; returns the decision table, differences, growth, trade-offs in words.

    Raises:
        HrembedError: The runs cannot be compared, or a model cannot be measured.
    """
    runs = [finished(find_run(workspace.root, reference, progress=workspace.progress)) for reference in config.runs]
    config = config.model_copy(update={"runs": tuple(run.name for run in runs)})
    seeds = {"bootstrap": config.bootstrap.seed}
    with open_run(workspace, "compare", config.model_dump(mode="json"), seeds=seeds, phases=_PHASES) as run:
        run.phases.begin(_SCORES)
        alternatives = open_alternatives(config, runs)
        for each in runs:
            run.add_input(each.name, each.path / "manifest.json")
        for alternative in alternatives:
            run.add_model(alternative.label, alternative.side.identity, alternative.side.section.ref)
        record = _record(config, workspace.root, runs, alternatives)
        run.phases.begin(_SPEED)
        costs = _costs(config, alternatives, workspace)
        run.phases.begin(_WEIGH)
        run.write_metrics(record)
        run.write_timings(costs)
        prices = {alternative.label: alternative.prices for alternative in alternatives}
        tables = tables_of(config, record, costs, prices)
        sentences = trade_offs(record, costs, tables)
        decision = Decision(tables={title: tuple(rows) for title, rows in tables.items()}, trade_offs=tuple(sentences))
        write_record(run.path / "decision.json", decision)
        notice = run.conclude([*sentences, *next_steps(record)])
        write_report(run, config, record, costs, tables)
    return CommandResult(str(run.path), "ok", record, tables, notice=notice, details=DETAILS)


def _record(
    config: CompareConfig, runs_dir: Path, runs: Sequence[PastRun], alternatives: Sequence[Alternative]
) -> CompareRecord:
    return CompareRecord(
        reference=alternatives[0].label,
        delta=config.delta,
        models={a.label: _compared(a.side) for a in alternatives},
        accuracy={a.label: _accuracy(a.side) for a in alternatives},
        differences=tuple(_differences(config, alternatives)),
        fairness=_fairness(config, runs, alternatives),
        training={a.label: _training(a.side, runs_dir) for a in alternatives},
    )


def _compared(side: EvaluatedModel) -> ComparedModel:
    scoring = side.run.manifest.models[side.model].scoring
    return ComparedModel(run=side.run.name, model=side.model, scoring=scoring.in_words if scoring else "")


def open_alternatives(config: CompareConfig, runs: Sequence[PastRun]) -> list[Alternative]:
    """Read every model of the eval runs, the reference first.

    Raises:
        ConfigError: There is no eval run among them, no other model, or no reference of that name.
    """
    alternatives: list[Alternative] = []
    for run in runs:
        if run.command not in {"eval", "bias-audit"}:
            raise ConfigError(
                f"'{run.name}' is not an eval run", hint="specify eval runs, and bias-audit runs of the same models"
            )
        for side in evaluated_models(run) if run.command == "eval" else ():
            alternatives.append(_alternative(config, side, [other.label for other in alternatives]))
    names = [alternative.side.model for alternative in alternatives]
    if len(alternatives) < 2:
        raise ConfigError(
            "a comparison requires at least two models", hint="specify eval runs that contain several models"
        )
    name = config.reference or names[0]
    if name not in names:
        raise ConfigError(f"unknown model '{name}'{nearest(name, names)}", hint=f"available models: {', '.join(names)}")
    reference = alternatives[names.index(name)]
    others = [alternative for alternative in alternatives if alternative is not reference]
    return [reference, *(replace(other, side=other.side.named_as(reference.side)) for other in others)]


def _alternative(config: CompareConfig, side: EvaluatedModel, taken: Sequence[str]) -> Alternative:
    entries = (entry for entry in config.prices.alternatives if fnmatchcase(side.model, entry.model))
    prices = next(entries, AlternativeSection(model=side.model))
    label = prices.label or side.model
    if label in taken:
        label = f"{label} ({side.run.path.name})"
    return Alternative(side, label, prices)


def _accuracy(side: EvaluatedModel) -> dict[str, HeadlineScore]:
    """Headline of each task."""
    headlines = {task: side.headline(task) for task in side.tasks()}
    return {task: HeadlineScore(metric=name, score=side.scores(task)[name]) for task, name in headlines.items()}


def _differences(config: CompareConfig, alternatives: Sequence[Alternative]) -> list[AlternativeDifference]:
    """Every model against the reference on every task that both have, corrected for its family."""
    reference = alternatives[0]
    retention = set(reference.side.metrics.retention)
    tasks = reference.side.tasks()
    compare = _comparison_rule(config, alternatives)
    rows = {}
    for family in ([task for task in tasks if task not in retention], [task for task in tasks if task in retention]):
        pairs = [pair for task in family for pair in _pairs(task, alternatives, compare, config)]
        level = 1 - (1 - config.bootstrap.confidence) / max(1, len(pairs))
        comparisons = correct_family([pair.test for pair in pairs], compare, config.bootstrap)
        for pair, comparison in zip(pairs, comparisons, strict=True):
            if comparison.reference == reference.label:
                rows[comparison.model, comparison.task] = AlternativeDifference(
                    **dict(comparison),
                    corrected=pair.models.difference(level),
                    retention=comparison.task in retention,
                )
    return [rows[a.label, task] for a in alternatives[1:] for task in a.side.tasks() if task in tasks]


class _Pair(NamedTuple):
    """Two models on a task, and the test of their difference."""

    models: PairedItems | PairedDraws
    test: PairedTest


def _comparison_rule(config: CompareConfig, alternatives: Sequence[Alternative]) -> CompareSection:
    """Take the rule by which `eval` compared these models: every two of them, where any of the runs asked for that."""
    rules = [alternative.side.config.compare for alternative in alternatives]
    pairs: Literal["all", "reference"] = "all" if any(rule.pairs == "all" for rule in rules) else "reference"
    return CompareSection(pairs=pairs, delta=config.delta, power=rules[0].power)


def _pairs(
    task: str, alternatives: Sequence[Alternative], compare: CompareSection, config: CompareConfig
) -> Iterator[_Pair]:
    """Pair the models on one task of the reference.

    Models whose runs look at other metrics are paired with the reference alone.

    Raises:
        DataError: A model was scored on other data than the reference.
    """
    sides = {a.label: a.side for a in alternatives if task in a.side.tasks()}
    reference = alternatives[0]
    for side in sides.values():
        check_same_data(side, reference.side, task)
    for first, second in pairs_of(list(sides), compare):
        metric = sides[second].headline(task)
        if first == reference.label or metric == sides[first].headline(task):
            models = pair_models(sides[second], sides[first], task, metric, config.bootstrap)
            yield _Pair(models, PairedTest.of(task, second, first, metric, models))


def _fairness(
    config: CompareConfig, runs: Sequence[PastRun], alternatives: Sequence[Alternative]
) -> dict[str, AuditSummary]:
    """Verdict of each model that was audited, and how its gaps differ from those of the reference."""
    audits: dict[str, Audit] = {}
    for run in runs:
        if run.command == "bias-audit":
            audited = {model.identity for model in run.manifest.models.values()}
            labels = [a.label for a in alternatives if a.side.identity in audited]
            if not labels:
                raise DataError(f"audit '{run.name}' does not belong to any of the compared models")
            audits.update({label: read_audit(run) for label in labels})
    base = audits.get(alternatives[0].label)
    summaries = {}
    for label, audit in audits.items():
        growth: tuple[GapGrowth, ...] = ()
        if base is not None and label != alternatives[0].label:
            check_same_stimuli(audit, base)
            growth = tuple(
                GapGrowth(attribute=found.attribute, groups=found.groups, gap=found.gap, growth=found.estimate)
                for found in gap_growths(audit, base, None, config.bootstrap)
            )
        summaries[label] = AuditSummary(verdict=audit.record.verdict, growth=growth)
    return summaries


def _training(side: EvaluatedModel, runs_dir: Path) -> TrainingEffort | None:
    """What the finetune run of a model took; None for a model that was not made here."""
    ref = parse_ref(side.section.ref)
    if not ref.is_run:
        return None
    run = find_run(runs_dir, ref.target, "finetune")
    tuned = run.record(FinetuneRecord)
    return TrainingEffort(
        run=run.name,
        seconds=run.manifest.seconds,
        peak_memory_mb=run.manifest.peak_memory_mb,
        pairs=tuned.pairs,
        steps=tuned.steps,
        parameters=tuned.parameters,
    )


def _costs(config: CompareConfig, alternatives: Sequence[Alternative], workspace: Workspace) -> dict[str, ModelCost]:
    """Measure every model that embeds or compares any text; rankings and vectors made elsewhere have no cost here."""
    if config.load is None:
        return {}
    refs = {a.label: parse_ref(a.side.section.ref) for a in alternatives}
    models = [a for a in alternatives if refs[a.label].embeds_texts or refs[a.label].is_lexical]
    queries, documents = texts_of(alternatives[0].side)
    costs = {}
    with workspace.progress.bar("measuring", len(models)) as advance:
        for alternative in models:
            costs[alternative.label] = measure_cost(
                CostRequest(
                    section=alternative.side.section,
                    runs_dir=workspace.root,
                    queries=tuple(queries),
                    documents=tuple(documents),
                    load=config.load,
                )
            )
            advance(1, alternative.label)
    return costs
