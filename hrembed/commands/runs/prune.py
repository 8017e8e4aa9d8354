"""`hrembed runs prune`: remove the runs that did not end well."""

from __future__ import annotations

import shutil
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from hrembed.errors import DataError
from hrembed.files import files_below
from hrembed.memory import MB
from hrembed.records.runs import PrunedRun, PrunedRuns
from hrembed.runs.model_registry import read_registry
from hrembed.runs.past import past_runs
from hrembed.types import CommandResult

if TYPE_CHECKING:
    from pathlib import Path

    from hrembed.runs.past import PastRun

REMOVABLE = "would be removed"
_REMOVED = "removed"


def prune_runs(
    runs_dir: Path, command: str | None, *, remove: bool, idle_minutes: float = 60.0
) -> CommandResult[PrunedRuns]:
    """List the runs that failed, were interrupted, did not end or are damaged, and remove them where that is asked for.

    A run that is neither failed nor interrupted may still be running, so it is kept until nothing in its folder has
    changed for a while. A model that the registry names is kept as well: what was decided on it must stay to be seen.

    Args:
        runs_dir: Folder of all runs.
        command: Only runs of this command.
        remove: Remove them; otherwise they are only listed.
        idle_minutes: How long a run that did not end must not have changed.

    Raises:
        DataError: A folder cannot be removed.
    """
    rows, registry = [], read_registry(runs_dir)
    for run in past_runs(runs_dir, command):
        if run.status == "ok":
            continue
        size, idle = _size_and_idle_minutes(run)
        ended = run.status in {"failed", "interrupted"} or (run.damaged and (run.path / "manifest.json").is_file())
        if registry.of(run.path.name) is not None:
            outcome = "kept: listed in the registry"
        elif not ended and idle < idle_minutes:
            outcome = f"kept: modified less than {idle_minutes:g} minutes ago, so it may still be running"
        else:
            outcome = _REMOVED if remove else REMOVABLE
        if outcome == _REMOVED:
            _remove(run)
        rows.append(PrunedRun(run=run.name, status=run.status, started=run.manifest.started, mb=size, outcome=outcome))
    record = PrunedRuns(runs=tuple(rows))
    tables = {"Runs that did not end well": [{**row.model_dump(), "mb": f"{row.mb:.1f}"} for row in rows]}
    removable = sum(row.outcome in {_REMOVED, REMOVABLE} for row in rows)
    status = f"{removable} {'removed' if remove else 'to remove'}"
    notice = "Nothing has been removed yet; add --yes to remove these runs." if removable and not remove else ""
    return CommandResult(str(runs_dir), status, record, tables if rows else {}, notice=notice)


def _size_and_idle_minutes(run: PastRun) -> tuple[float, float]:
    """Size in MB, and minutes since anything in the folder changed; files that vanish meanwhile are left out."""
    size, changed = 0, 0.0
    for file in [run.path, *files_below(run.path)]:
        with suppress(FileNotFoundError):
            facts = file.stat()
            size += facts.st_size if file != run.path else 0
            changed = max(changed, facts.st_mtime)
    return round(size / MB, 1), (time.time() - changed) / 60


def _remove(run: PastRun) -> None:
    try:
        if run.path.is_symlink():
            run.path.unlink()
        else:
            shutil.rmtree(run.path)
    except OSError as err:
        raise DataError(
            f"cannot remove '{run.path}': {err.strerror or err}",
            hint="check the permissions of the folder, and try again",
        ) from err
