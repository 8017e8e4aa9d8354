"""Workers as processes of this machine: spawned, each with a pipe, gone when the run is."""

from __future__ import annotations

import os
import signal
import sys
import threading
import traceback
from contextlib import contextmanager, suppress
from multiprocessing import get_context, parent_process
from multiprocessing.connection import wait
from types import ModuleType
from typing import TYPE_CHECKING, Any

from hrembed.commands.encode.work import Worker, limit_threads
from hrembed.errors import HrembedError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from multiprocessing.connection import Connection
    from multiprocessing.process import BaseProcess

    from hrembed.commands.encode.work import Job
    from hrembed.records.encode import ShardPlan
    from hrembed.shards.plan import Receipt


def encode_locally(job: Job, shards: Sequence[ShardPlan], workers: int) -> Iterator[Receipt]:
    """Encode shards in processes, and yield what came of each as it is done.

    Raises:
        HrembedError: A worker failed, or died.
    """
    waiting = list(reversed(shards))
    with _processes(job, min(workers, len(shards))) as processes:
        for pipe in processes:
            _send(pipe, waiting.pop())
        while processes:
            ready = wait(list(processes))
            for pipe in [each for each in processes if each in ready]:
                yield _received(pipe, processes[pipe])
                if waiting:
                    _send(pipe, waiting.pop())
                else:
                    pipe.close()
                    processes.pop(pipe).join()


def _send(pipe: Connection, shard: ShardPlan) -> None:
    """Hand a shard over; where the worker has ended, what it said last, or that it died, is read next."""
    with suppress(BrokenPipeError, ConnectionResetError):
        pipe.send(shard)


def _received(pipe: Connection, process: BaseProcess) -> Receipt:
    try:
        outcome: Any = pipe.recv()
    except (EOFError, ConnectionResetError):  # the latter where it left unread what it was sent
        process.join()
        raise HrembedError(
            f"a worker process died (exit code {process.exitcode}); a lack of memory is the usual reason",
            hint="finished shards are kept: repeat the command with fewer `workers`, or a smaller `rows_per_shard`",
        ) from None
    if isinstance(outcome, HrembedError):
        raise outcome
    if isinstance(outcome, str):  # a bug: its traceback is what a report needs
        raise RuntimeError(f"in a worker process:\n{outcome}")
    receipt: Receipt = outcome
    return receipt


@contextmanager
def _processes(job: Job, count: int) -> Iterator[dict[Connection, BaseProcess]]:
    """Start workers, by pipe; when the block ends none of them is left."""
    context = get_context("spawn")
    processes: dict[Connection, BaseProcess] = {}
    before = dict(os.environ)
    limit_threads(job.config.threads)  # what a process inherits is read when it imports its libraries
    try:
        for _ in range(count):
            ours, theirs = context.Pipe()
            process: BaseProcess = context.Process(target=serve, args=(job, theirs), daemon=True)
            with _no_main_module():
                process.start()
            theirs.close()
            processes[ours] = process
    finally:
        os.environ.clear()
        os.environ.update(before)
    started = list(processes.values())
    try:
        yield processes
    finally:
        for process in started:
            with suppress(ValueError, OSError):
                process.kill() if process.is_alive() else None
                process.join()


@contextmanager
def _no_main_module() -> Iterator[None]:
    """Keep a new process from importing the script that called: it would encode once more, without end."""
    own = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = own


def serve(job: Job, pipe: Connection) -> None:
    """Encode what comes through the pipe until it is closed; an error ends the worker."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; the first one ends the others
    threading.Thread(target=_die_with_parent, daemon=True).start()
    try:
        worker = Worker(job)
        while True:
            shard = pipe.recv()
            pipe.send(worker.encode(shard))
    except EOFError:
        return
    except HrembedError as err:
        pipe.send(err)
    except Exception:
        pipe.send(traceback.format_exc())


def _die_with_parent() -> None:
    """End this process when the one that started it was killed: it must not write on beside its successor."""
    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
