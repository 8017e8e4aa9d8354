"""`hrembed finetune`: adapt a model to pairs, with the base scored first; and its dry run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hrembed.commands.finetune.conclusion import conclusion_of
from hrembed.commands.finetune.distributed import join_launch, leader_first, only_process, shared_run
from hrembed.commands.finetune.finish import finish
from hrembed.commands.finetune.phases import PROBE, expected_work, preflight_phases, probes, training_phases
from hrembed.commands.finetune.plan import source_records
from hrembed.commands.finetune.prepare import preflight, prepare
from hrembed.commands.finetune.pretrain import estimate_pretraining
from hrembed.commands.finetune.tables import DETAILS, finetune_tables, preflight_tables
from hrembed.commands.finetune.train import train_all
from hrembed.metrics.verdicts import verdict_words
from hrembed.models.machine import settled
from hrembed.records.finetune import PreflightRecord
from hrembed.runs.record import open_run
from hrembed.scoring.encoders import pinned
from hrembed.types import CommandResult

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from hrembed.commands.finetune.prepare import Prepared
    from hrembed.commands.finetune.train import Trainings
    from hrembed.config.finetune import FinetuneConfig, SourceSection
    from hrembed.records.finetune import FinetuneRecord, Preflight
    from hrembed.runs.record import Run
    from hrembed.runs.workspace import Workspace
    from hrembed.training.processes import Processes


def run_finetune(
    config: FinetuneConfig, workspace: Workspace, *, resume: str | None = None
) -> CommandResult[FinetuneRecord]:
    """Train in this process, keep the checkpoint with the best dev score, and compare it with the base.

    Args:
        config: Validated settings.
        workspace: Where runs go, and who receives progress updates.
        resume: Id of a run that did not end, whose config this is; it goes on in its own folder.

    Returns:
        Base against tuned on the dev task; the model is in `model/` of the run folder.

    Raises:
        StoppedError: Ctrl-C or SIGTERM; `checkpoints/last` holds the weights of that moment.
        ConfigError: A launcher started several processes.
        HrembedError: Data or model are not usable.
    """
    config, processes = _pinned(config, workspace), only_process()
    with shared_run(processes, workspace, _open(config, workspace, "finetune", resume)) as run:
        return _finish(*_train(config, run, processes))


def launch_finetune(
    config: FinetuneConfig, workspace: Workspace, *, resume: str | None = None
) -> CommandResult[FinetuneRecord] | None:
    """Do the same in all processes of a launch, each of which calls this; without a launch there is one.

    Args:
        config: As for `run_finetune`.
        workspace: As there.
        resume: As there.

    Returns:
        The result in the first process; None in the others, which only take part in the training.

    Raises:
        StoppedError: As there.
        ConfigError: The launch would spread one model over the processes.
        HrembedError: As there; or another process failed.
    """
    config, processes = _pinned(config, workspace), join_launch(workspace.progress)
    with shared_run(processes, workspace, _open(config, workspace, "finetune", resume)) as run:
        prepared, trainings = _train(config, run, processes)
        return _finish(prepared, trainings) if processes.leads else None


def run_preflight(config: FinetuneConfig, workspace: Workspace) -> CommandResult[PreflightRecord]:
    """Check everything, estimate time and memory with a few steps, and train nothing.

    Args:
        config: Validated settings.
        workspace: Where runs go, and who receives progress updates; the run folder is in `finetune-preflight`.

    Returns:
        What the training will take, and what looks wrong with it.

    Raises:
        ConfigError: A launcher started several processes.
        HrembedError: Data or model are not usable.
    """
    config, processes = _pinned(config, workspace), only_process()
    with shared_run(processes, workspace, _open(config, workspace, "finetune-preflight")) as run:
        return _report(*_prepare(config, run, processes, probe=True))


def launch_preflight(config: FinetuneConfig, workspace: Workspace) -> CommandResult[PreflightRecord] | None:
    """Do the same in all processes of a launch, each of which calls this; without a launch there is one.

    Args:
        config: As for `run_preflight`.
        workspace: As there.

    Returns:
        The result in the first process; None in the others, which only check what they read.

    Raises:
        ConfigError: The launch would spread one model over the processes.
        HrembedError: Data or model are not usable; or another process failed.
    """
    config, processes = _pinned(config, workspace), join_launch(workspace.progress)
    with shared_run(processes, workspace, _open(config, workspace, "finetune-preflight")) as run:
        prepared, checked = _prepare(config, run, processes, probe=True)
        return _report(prepared, checked) if processes.leads else None


def _pinned(config: FinetuneConfig, workspace: Workspace) -> FinetuneConfig:
    """Put the id of the newest training in place of `run:latest`, also where a source names it, and settle `auto`."""
    sources = tuple(_pinned_source(source, workspace) for source in config.sources)
    train = config.train.model_copy(update={"precision": settled(config.train.precision)})
    return config.model_copy(update={"model": pinned(config.model, workspace), "sources": sources, "train": train})


def _pinned_source(source: SourceSection, workspace: Workspace) -> SourceSection:
    loss, mine = source.loss, source.mine
    for name in ("teacher", "guide"):
        model = getattr(loss, name, None)
        if model is not None:
            loss = loss.model_copy(update={name: pinned(model, workspace)})
    if mine is not None and mine.model is not None:
        mine = mine.model_copy(update={"model": pinned(mine.model, workspace)})
    return source.model_copy(update={"loss": loss, "mine": mine})


def _open(
    config: FinetuneConfig, workspace: Workspace, command: str, resume: str | None = None
) -> AbstractContextManager[Run]:
    seeds = {"train": config.train.seed, "bootstrap": config.bootstrap.seed}
    phases = training_phases(config) if command == "finetune" else preflight_phases()
    return open_run(workspace, command, config.model_dump(mode="json"), seeds=seeds, phases=phases, resume=resume)


def _prepare(config: FinetuneConfig, run: Run, processes: Processes, *, probe: bool) -> tuple[Prepared, Preflight]:
    with leader_first(processes):
        prepared = prepare(config, run, processes)
        if probe:
            run.phases.begin(PROBE)
        return prepared, preflight(prepared, probe=probe and processes.leads)


def _train(config: FinetuneConfig, run: Run, processes: Processes) -> tuple[Prepared, Trainings]:
    # Half precision is slower than none on some processors, so a few steps of both are timed before it is used.
    prepared, _ = _prepare(config, run, processes, probe=probes(config))
    run.phases.expect(expected_work(prepared.config, prepared.tasks, prepared.plan, processes.count))
    return prepared, train_all(prepared)


def _finish(prepared: Prepared, trainings: Trainings) -> CommandResult[FinetuneRecord]:
    record = finish(prepared, trainings)
    path = prepared.run.path
    notice = prepared.run.conclude(conclusion_of(record, path.name))
    return CommandResult(
        str(path),
        verdict_words(record.verdict, record.delta),
        record,
        finetune_tables(record),
        notice=notice,
        details=DETAILS,
    )


def _report(prepared: Prepared, checked: Preflight) -> CommandResult[PreflightRecord]:
    """Write down what a dry run found."""
    config, run, untrained = prepared.config, prepared.run, prepared.untrained
    record = PreflightRecord(
        **dict(checked),
        pretraining=estimate_pretraining(config, untrained) if untrained else None,
        sources=source_records(config, prepared.sources, prepared.plan),
    )
    run.write_metrics(record)
    return CommandResult(str(run.path), "ok", record, preflight_tables(record))
