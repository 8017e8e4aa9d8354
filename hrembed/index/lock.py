"""One writer at a time: two that merge rows at once double ids without an error."""

from __future__ import annotations

import json
import os
import socket
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from hrembed.errors import HrembedError
from hrembed.files import cannot_write, write_json

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LOCK, HOLDER = ".lock", ".holder.json"


@contextmanager
def locked(folder: Path, command: str, wait: float = 0) -> Iterator[None]:
    """Keep other writers out while the block runs; a killed holder keeps nobody out.

    Args:
        folder: The index.
        command: Who writes, for the message that others get.
        wait: Seconds to wait for another writer.

    Raises:
        HrembedError: Somebody else writes; the message says who, and since when.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(folder / LOCK, timeout=wait)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        raise HrembedError(
            f"another process is writing to index '{folder}': {_holder(folder)}",
            hint="wait until it finishes, or let this command wait for it: `--set wait=600`",
        ) from None
    except OSError as err:
        raise cannot_write(folder, err) from err
    try:
        content = {"command": command, "process": os.getpid(), "host": socket.gethostname(), "since": time.time()}
        write_json(folder / HOLDER, content)
        yield
    finally:
        with suppress(OSError):
            (folder / HOLDER).unlink()
        lock.release()


def _holder(folder: Path) -> str:
    try:
        said = json.loads((folder / HOLDER).read_text(encoding="utf-8"))
        age = max(0, round(time.time() - said["since"]))
        return f"`{said['command']}`, process {said['process']} on {said['host']}, for {age} seconds"
    except (OSError, ValueError, KeyError, TypeError):
        return "its holder has not said who it is"
