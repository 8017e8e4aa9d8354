"""Processes that are forked from one which imported what a training needs: a start of Python takes seconds for that.

For tests of what a process does beside another one, or when it is stopped. How it starts is the subject of others.
"""

from __future__ import annotations

import multiprocessing
import os
import socket
import sys
import time
from typing import TYPE_CHECKING

from hrembed.cli.app import entry_point

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.process import BaseProcess
    from pathlib import Path

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["sentence_transformers", "peft", "hrembed.commands.finetune.run"])


def start(run: Callable[..., None], *arguments: str, said: Path, **environment: str) -> BaseProcess:
    """Start a function in a process of its own; its output goes to `said`.out and `said`.err."""
    process = _CONTEXT.Process(
        target=_run, args=(run, arguments, said, {**os.environ, **environment}), daemon=True  # ends with the tests
    )  # fmt: skip
    process.start()
    return process


def pair(run: Callable[..., None], *arguments: str, said: Path) -> tuple[BaseProcess, BaseProcess]:
    """Start a function in two processes of one launch, as a launcher would; the first one's output goes to `said`."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = str(found.getsockname()[1])
    shared = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    ranks = [{"RANK": rank, "LOCAL_RANK": rank, **shared} for rank in "01"]
    first, second = (
        start(run, *arguments, said=said.with_name(said.name + "-second" * int(rank["RANK"])), **rank) for rank in ranks
    )
    return first, second


def ended(process: BaseProcess, said: Path, seconds: float = 600) -> tuple[str, str]:
    """Wait for a process; what it wrote to its two outputs."""
    process.join(seconds)
    if process.exitcode is None:
        process.kill()
        raise TimeoutError(f"{said.name} did not end within {seconds} seconds")
    out, err = (said.with_name(f"{said.name}.{kind}").read_text(encoding="utf-8") for kind in ("out", "err"))
    return out, err


def hrembed(*arguments: str) -> None:
    """The command line."""
    sys.argv[1:] = arguments
    entry_point()


def wait_until(ready: Callable[[], bool], process: BaseProcess) -> None:
    """Wait for what a process does; it must not end before. How long a test may take is told by its timeout."""
    while not ready():
        assert process.is_alive(), process.exitcode
        time.sleep(0.02)


def _run(run: Callable[..., None], arguments: tuple[str, ...], said: Path, environment: dict[str, str]) -> None:
    for number, kind in ((1, "out"), (2, "err")):
        file = os.open(said.with_name(f"{said.name}.{kind}"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, number)
    os.environ.clear()
    os.environ.update(environment)
    run(*arguments)
