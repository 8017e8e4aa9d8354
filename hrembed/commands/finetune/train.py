"""The trainings of a run, in every process of a launch: masked language modelling, each branch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from hrembed.commands.finetune.distributed import check_alike, leader_first
from hrembed.commands.finetune.fingerprints import training_fingerprint
from hrembed.commands.finetune.models import score_dev_task
from hrembed.commands.finetune.phases import PRETRAIN, TRAIN, branch_phase
from hrembed.commands.finetune.prepare import prepare_branch, recipe_of
from hrembed.commands.finetune.pretrain import pretrain
from hrembed.progress import Silent
from hrembed.training.callbacks import HistoryNotes
from hrembed.training.checkpoints import THREADS, check_same, read_resume_point
from hrembed.training.interrupts import deferred_stop
from hrembed.training.trainer import Context, train

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hrembed.commands.finetune.prepare import Prepared
    from hrembed.records.finetune import Pretraining
    from hrembed.training.callbacks import History
    from hrembed.training.plan import TrainingPlan

_CHECKPOINTS = "checkpoints"


class Training(NamedTuple):
    """A training that has ended.

    Attributes:
        folder: Of its checkpoints, in the run folder.
        plan: Its rows and batches.
        history: What happened.
    """

    folder: str
    plan: TrainingPlan
    history: History


class Trainings(NamedTuple):
    """All trainings of a run.

    Attributes:
        pretraining: Masked language modelling; None for a model that has weights.
        branches: One for each branch of the config, in order.
    """

    pretraining: Pretraining | None
    branches: Sequence[Training]


def train_all(prepared: Prepared) -> Trainings:
    """Train everything that the config asks for; every process of a launch takes part.

    Raises:
        StoppedError: Ctrl-C or SIGTERM; `checkpoints/last` holds the weights of that moment.
        ModelError: A loss is not finite, or a resume point is of another training.
    """
    pretraining = None
    if prepared.untrained is not None:
        prepared.run.phases.begin(PRETRAIN)
        with leader_first(prepared.processes):  # the others read what the first process has written
            launched = prepared.processes.count > 1
            pretraining = pretrain(prepared.config, prepared.untrained, prepared.run, launched=launched)
    branches = _train_branches(prepared)
    return Trainings(pretraining, branches)


def _train_branches(prepared: Prepared) -> list[Training]:
    """Train every branch from the base; a single one is the usual training."""
    branches, phases = prepared.config.branches, prepared.run.phases
    if len(branches) == 1:
        phases.begin(TRAIN)
        return [_train(prepared, _CHECKPOINTS)]
    trainings = []
    for branch in branches:
        phases.begin(branch_phase(branch))
        of_branch = prepare_branch(prepared, branch)
        trainings.append(_train(of_branch, f"{_CHECKPOINTS}/branch-{branch}"))
    return trainings


def _train(prepared: Prepared, folder: str) -> Training:
    """Train, or go on from the last resume point in a folder."""
    run, processes, model, plan = prepared.run, prepared.processes, prepared.model, prepared.plan
    checkpoints, note = run.path / folder, run.progress.note
    fingerprint = training_fingerprint(run, prepared.config.train, model, plan, processes)
    point = read_resume_point(checkpoints / "resume", HistoryNotes)
    # Machines of a launch may differ in threads: each goes on with its own.
    shared = {name: value for name, value in fingerprint.items() if name != THREADS}
    check_alike(processes, {**shared, "the resume point": str(point.step if point else 0)})
    if point is not None:
        check_same(point.notes.fingerprint, fingerprint)
        note(f"resuming after step {point.step}")
    with deferred_stop(note, launched=processes.count > 1) as stop_requested:
        context = Context(
            base_score=_score_before(prepared),
            score_dev=lambda plain: _mean_dev_score(prepared, plain),
            stop_requested=stop_requested,
            checkpoints=checkpoints,
            progress=run.progress,
            resume=point,
            fingerprint=fingerprint,
            processes=processes,
        )
        history = train(model, plan, recipe_of(prepared), context)
    return Training(folder, plan, history)


def _score_before(prepared: Prepared) -> float:
    """Dev score of step 0: a model from random weights starts from what it has read, not from the base."""
    if prepared.untrained is not None and prepared.processes.leads:
        return _mean_dev_score(prepared, prepared.model)
    return float(np.nanmean(prepared.base_scores))


def _mean_dev_score(prepared: Prepared, model: Any) -> float:
    return float(np.nanmean(score_dev_task(prepared.config, model, prepared.tasks.dev, Silent())))
