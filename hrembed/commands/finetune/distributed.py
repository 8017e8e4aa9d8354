"""One run for all processes of a launch: the first one leads it, and all end together."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from hrembed.errors import ConfigError, HrembedError, ModelError, StoppedError
from hrembed.runs.record import Run
from hrembed.training.processes import Processes, is_broken, join, launch_lost, launched

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from types import FrameType

    from hrembed.progress import Progress
    from hrembed.runs.workspace import Workspace
    from hrembed.training.checkpoints import Fingerprint

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def join_launch(progress: Progress) -> Processes:
    """Join the other processes of a launch, and say so where the launcher lost them.

    Raises:
        ConfigError: The launch would spread one model over the processes.
    """
    if launch_lost():
        progress.note(
            "warning: `accelerate launch` started only one process. With --cpu it ignores --num_processes; "
            "use --multi_gpu instead, which also works without a GPU"
        )
    return join()


def only_process() -> Processes:
    """Return this process as the only one.

    Raises:
        ConfigError: It is one of several that a launcher started, each of which would do all the work.
    """
    if launched():
        raise ConfigError(
            "several processes were launched, but this command does not support distributed runs",
            hint=(
                "only `hrembed finetune` can be launched with several processes; start other commands without "
                "a launcher"
            ),
        )
    return Processes()


@contextmanager
def shared_run(processes: Processes, workspace: Workspace, opened: AbstractContextManager[Run]) -> Iterator[Run]:
    """Open a run in the first process; the others get its path, silence, and a manifest that nobody reads.

    A process that fails tells the others. They end with its exit code, and the manifest says what it said.

    Args:
        processes: Who takes part.
        workspace: That of this process.
        opened: The run, as `open_run` gives it; only the first process enters it.

    Raises:
        ModelError: Another process failed or died.
        StoppedError: In the others, when the first one was stopped.
    """
    if processes.count == 1:
        with opened as run:
            run.manifest.processes = 1
            yield run
        return
    with _one_interrupt():
        if processes.leads:
            with opened as run, _ending_together(processes):
                run.manifest.processes = processes.count
                processes.share(run.path.as_posix())
                yield run
        else:
            with _ending_together(processes):
                yield Run(workspace.root, path=Path(processes.share(None)))


def check_alike(processes: Processes, fingerprint: Fingerprint) -> None:
    """Compare what every process read; the first one judges.

    Raises:
        ModelError: Another process has something else, for example an older copy of the data.
    """
    for rank, other in enumerate(processes.gather(dict(fingerprint))):
        different = [name for name in fingerprint if other.get(name) != fingerprint[name]]
        if different and processes.leads:
            raise ModelError(
                f"process {rank} differs from process 0 in {' and '.join(different)}",
                hint="all machines need the same files under the same paths",
            )


@contextmanager
def leader_first(processes: Processes) -> Iterator[None]:
    """Let the others begin when the first process has ended well: what is wrong with a config is said once."""
    if not processes.leads:
        processes.share(None)
    yield
    if processes.leads:
        processes.share(None)


@contextmanager
def _ending_together(processes: Processes) -> Iterator[None]:
    try:
        yield
    except BaseException as err:
        _ignore_signals()  # the launcher sends them to whoever is left when one ends, and the run must be closed
        ending = _of_leader(processes, err) if processes.leads else _of_follower(processes, err)
        if ending is err:
            with suppress(RuntimeError):  # the process that keeps the notes may be gone already
                processes.tell_failure(err)
            raise
        raise ending from None


def _of_leader(processes: Processes, error: BaseException) -> BaseException:
    """Say what went wrong elsewhere, where that is what stopped this process."""
    if isinstance(error, HrembedError):
        return error
    elsewhere = processes.failure_elsewhere()
    if elsewhere is not None:
        return _ended(f"process {elsewhere.rank} failed: {elsewhere.message}", elsewhere.exit_code)
    if is_broken(error):
        return ModelError("another process of this training run failed", hint="see its output above")
    return error


def _of_follower(processes: Processes, error: BaseException) -> BaseException:
    """End without a word where the first process says why; an error of this process is said."""
    if isinstance(error, KeyboardInterrupt | StoppedError):
        return _ended("", StoppedError.exit_code)
    elsewhere = processes.failure_elsewhere()
    if elsewhere is not None:
        return _ended("", elsewhere.exit_code)
    return _ended("", ModelError.exit_code) if is_broken(error) else error


def _ended(message: str, exit_code: int) -> HrembedError:
    error = StoppedError(message) if exit_code == StoppedError.exit_code else ModelError(message)
    error.exit_code = exit_code
    return error


@contextmanager
def _one_interrupt() -> Iterator[None]:
    """Act on the first Ctrl-C or SIGTERM alone: a terminal sends it to every process, and the launcher again."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, frame: FrameType | None) -> None:
        _ignore_signals()
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in _SIGNALS}
    yield  # after a failure they stay ignored, to the end of the process
    for number, handler in before.items():
        signal.signal(number, handler)


def _ignore_signals() -> None:
    if threading.current_thread() is threading.main_thread():
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_IGN)
