"""Measure in a process that does nothing else, so that its start-up, its times and its memory are those of one model.

The process is started as `python -m hrembed.scoring.fresh_process FUNCTION REQUEST IN OUT`: two names as
`module:name`, and two JSON files.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from hrembed.errors import ModelError
from hrembed.records.base import Record, write_record

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Q = TypeVar("Q", bound=Record)
R = TypeVar("R", bound=Record)


class Reply(NamedTuple, Generic[R]):
    """What came back from a process.

    Attributes:
        record: What the function returned.
        started: Time of day at which the process was started, in seconds.
    """

    record: R
    started: float


def run_in_fresh_process(
    function: Callable[[Q], R],
    request: Q,
    reply: type[R],
    *,
    failure: str,
    environment: Mapping[str, str] | None = None,
) -> Reply[R]:
    """Call a function in a new Python process.

    Args:
        function: Function of a module, found again by its name.
        request: Its argument.
        reply: Type of what it returns.
        failure: Begins the message when the process fails: what could not be done.
        environment: Variables that the process has beside those of this one.

    Raises:
        ModelError: The process failed; the message ends with its last line.
    """
    # The texts may be those of people: the folder is nobody else's, and is gone when the block ends.
    with tempfile.TemporaryDirectory(prefix="hrembed-") as folder:
        request_file, reply_file = Path(folder) / "request.json", Path(folder) / "reply.json"
        write_record(request_file, request)
        started = time.time()
        done = subprocess.run(
            [sys.executable, "-m", __name__, _name(function), _name(type(request)), str(request_file), str(reply_file)],
            env={
                **os.environ,
                **(environment or {}),
                "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
            },
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            last_line = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise ModelError(f"{failure}: {last_line}")
        return Reply(reply.model_validate_json(reply_file.read_text(encoding="utf-8")), started)


def _name(item: Callable[..., object]) -> str:
    return f"{item.__module__}:{item.__qualname__}"


def _named(name: str) -> Any:
    module, _, item = name.partition(":")
    return getattr(import_module(module), item)


def _serve(function: str, request_type: str, request_file: str, reply_file: str) -> None:
    """Do what the process was started for."""
    request = _named(request_type).model_validate_json(Path(request_file).read_text(encoding="utf-8"))
    write_record(Path(reply_file), _named(function)(request))


if __name__ == "__main__":
    _serve(*sys.argv[1:])
