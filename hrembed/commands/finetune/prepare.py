"""What a fine-tuning has at hand before its first step: data, tasks, the model with its method, the plan."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hrembed.commands.finetune.enrich import enrich
from hrembed.commands.finetune.models import apply_sides, identity_of, load, score_dev_task
from hrembed.commands.finetune.phases import BASE, PREPARE, READ
from hrembed.commands.finetune.plan import build_plan, texts_of
from hrembed.commands.finetune.pretrain import corpus_warnings, from_random_weights
from hrembed.commands.finetune.proof import Tasks, open_proof
from hrembed.commands.finetune.sources import normalise_titles, open_sources
from hrembed.config.scratch import ScratchMethod
from hrembed.errors import ModelError
from hrembed.models.machine import multiplies_bfloat16, settled, worth_timing
from hrembed.models.static import is_model2vec
from hrembed.progress import Silent
from hrembed.registry import resolve
from hrembed.scoring.encoders import describe_use, model_folder
from hrembed.scoring.leaks import dev_warnings, leak_warnings, training_leaks
from hrembed.scoring.retrieval import open_task
from hrembed.text import counted
from hrembed.training.methods import count_parameters, freeze_documents
from hrembed.training.plan import Recipe, require_batches, whole_rounds
from hrembed.training.preflight import check

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from hrembed.commands.finetune.pretrain import Untrained
    from hrembed.commands.finetune.sources import Source
    from hrembed.config.finetune import FinetuneConfig
    from hrembed.records.finetune import ParameterCounts, Preflight
    from hrembed.runs.record import Run
    from hrembed.scoring.leaks import Leaks
    from hrembed.training.plan import TrainingPlan
    from hrembed.training.processes import Processes
    from hrembed.types import Floats, Task

FEW_QUERIES = 50  # with fewer, the standard error of a dev score is about what a good training gains


@dataclass(frozen=True)
class Prepared:
    """Everything that a training needs.

    Attributes:
        config: Validated settings.
        run: The open run.
        processes: Who takes part.
        sources: Rows of each source, and what its loss compares them with.
        tasks: What is measured on; a process that follows has the dev task alone.
        base_folder: Folder of the base model.
        base_scores: Dev scores of the base, one per query; zeros in a process that follows.
        untrained: What a model from random weights starts from; None for a model that has weights.
        model: The model in training, its method applied.
        plan: Its planned batches.
        parameters: How many it has.
        leaks: Task -> part of it -> what of it occurs in the rows of the sources.
        warnings: What a reader of the scores must know; told when the training was prepared.
    """

    config: FinetuneConfig
    run: Run
    processes: Processes
    sources: Sequence[Source]
    tasks: Tasks
    base_folder: Path
    base_scores: Floats
    untrained: Untrained | None
    model: Any
    plan: TrainingPlan
    parameters: ParameterCounts
    leaks: Leaks
    warnings: tuple[str, ...]

    def plan_for(self, model: Any, branch: int | None = None) -> TrainingPlan:
        """Plan the batches anew for another model: those of a branch, or of all."""
        return _plan(self.config, self.sources, model, self.run, self.processes, self.tasks.dev, branch)


def prepare(config: FinetuneConfig, run: Run, processes: Processes) -> Prepared:
    """Read data and tasks, load the model, score the base, plan the batches, and apply the method.

    Raises:
        HrembedError: Data or model are not usable.
    """
    run.phases.begin(READ)
    sources = open_sources(config, run)
    dev = open_task(config.dev, run)
    tasks = open_proof(config, dev, run) if processes.leads else Tasks(dev, (), ())
    leaks, warnings = _leaks(sources, tasks, run) if processes.leads else ({}, ())
    folder = model_folder(config.model, run.root)
    if is_model2vec(folder):
        raise ModelError(f"'{folder}' is a static embedding model, which has no layers to train")
    use = describe_use(config.model, folder, run.progress if processes.leads else Silent())
    # What the base stores is used as if the config said it, and goes on to the tuned model.
    section = config.model.model_copy(update={"normalise_titles": use.normalised_titles})
    config = config.model_copy(update={"model": section})
    run.add_model("base", identity_of(config, folder), str(folder), use)
    model = load(config, folder)
    run.phases.begin(BASE)
    base_scores = score_dev_task(config, model, dev, run.progress) if processes.leads else np.zeros(1)
    run.phases.begin(PREPARE)
    sources = enrich(config, normalise_titles(config, sources), run, dev.instruction)
    untrained = None
    if isinstance(config.method, ScratchMethod):
        untrained = from_random_weights(config, config.method, texts_of(config, sources))
    model = apply_sides(config, untrained.model if untrained else model)
    plan = _plan(config, sources, model, run, processes, dev)
    parameters = apply_method(config, model)
    return Prepared(
        config=config,
        run=run,
        processes=processes,
        sources=sources,
        tasks=tasks,
        base_folder=folder,
        base_scores=base_scores,
        untrained=untrained,
        model=model,
        plan=plan,
        parameters=parameters,
        leaks=leaks,
        warnings=warnings,
    )


def _leaks(sources: Sequence[Source], tasks: Tasks, run: Run) -> tuple[Leaks, tuple[str, ...]]:
    """Compare the rows with every task before the training, and tell what makes a score no proof."""
    every = [tasks.dev, *tasks.tests, *tasks.retention]
    leaks = training_leaks([source.rows for source in sources], every, run.progress)
    of_tasks = [warning for task in (*tasks.tests, *tasks.retention) for warning in task.warnings]
    warnings = [*of_tasks, *leak_warnings(leaks), *dev_warnings(tasks.dev, tasks.tests)]
    for warning in warnings:
        run.warn(warning)
    return leaks, (*tasks.dev.warnings, *warnings)  # those of the dev task were told when it was opened


def _plan(
    config: FinetuneConfig,
    sources: Sequence[Source],
    model: Any,
    run: Run,
    processes: Processes,
    dev: Task,
    branch: int | None = None,
) -> TrainingPlan:
    return whole_rounds(build_plan(config, sources, model, run.root, dev.instruction, branch), processes.count)


def prepare_branch(prepared: Prepared, branch: int) -> Prepared:
    """Prepare the training of one branch, from the base."""
    config = prepared.config
    model = apply_sides(config, load(config, prepared.base_folder))
    plan = prepared.plan_for(model, branch)
    return replace(prepared, model=model, plan=plan, parameters=apply_method(config, model))


def apply_method(config: FinetuneConfig, model: Any) -> ParameterCounts:
    """Apply the method in place; returns what is trained of how much."""
    from transformers import set_seed

    set_seed(config.train.seed)  # adapters start from random numbers
    if isinstance(config.method, ScratchMethod):
        resolve("method", "full")(model)  # a model from random weights has its sizes already
    else:
        # Keyword arguments of the registered function, which are settings of its section under the same names.
        arguments: dict[str, Any] = config.method.model_dump(exclude={"name"})
        resolve("method", config.method.name)(model, **arguments)
    if config.sides == "query":
        freeze_documents(model)
    return count_parameters(model)


def preflight(prepared: Prepared, *, probe: bool) -> Preflight:
    """Check a prepared training, and tell what looks wrong.

    Args:
        prepared: The training.
        probe: Also run a few steps, for time, memory and loss.

    Raises:
        ModelError: Nothing would be trained, or there is no batch.
        HrembedError: The disk is too small.
    """
    require_batches(prepared.plan)
    config, run = prepared.config, prepared.run
    precision = settled(config.train.precision)
    timed = worth_timing(precision) if probe else ()
    checked = check(
        prepared.model, prepared.plan, recipe_of(prepared), run.path, timed=timed, trainings=len(config.branches)
    )
    warnings = [*checked.warnings]
    if precision == "bfloat16" and not multiplies_bfloat16():
        warnings.append(
            "this machine has no instructions for bfloat16, so `train.precision: bfloat16` may take many times as long "
            "as float32; `auto` uses it only where there are"
        )
    if prepared.untrained is not None:
        warnings += corpus_warnings(prepared.untrained.facts)
    queries = len(prepared.tasks.dev.queries)
    if queries < FEW_QUERIES and config.train.evaluations > 1:
        warnings.append(
            f"the dev task has only {counted(queries, 'query')}, so the choice among {config.train.evaluations} "
            "checkpoints is mostly chance; use a larger dev task, or set `train.evaluations: 1` to keep "
            "the final model"
        )
    for warning in warnings:
        run.warn(warning)
    return checked.model_copy(update={"warnings": (*prepared.warnings, *warnings)})


def recipe_of(prepared: Prepared) -> Recipe:
    """Take from the config how to train."""
    train = prepared.config.train
    return Recipe(
        learning_rate=train.learning_rate,
        warmup=train.warmup,
        schedule=train.schedule,
        weight_decay=train.weight_decay,
        precision=settled(train.precision),
        accumulate=train.accumulate,
        evaluations=train.evaluations,
        saves=train.saves,
        patience=train.patience,
        seed=train.seed,
        report_to=train.report_to,
        processes=prepared.processes.count,
        keep_frozen_mb=train.keep_frozen_mb,
    )
