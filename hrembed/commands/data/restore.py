"""`hrembed data restore`: numbered placeholders back into what stood there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from hrembed.data.redact import restore
from hrembed.errors import DataError
from hrembed.records.data import DataAnonymiseRecord, DataRestoreRecord
from hrembed.runs.past import find_run
from hrembed.runs.record import open_run
from hrembed.types import CommandResult

if TYPE_CHECKING:
    from hrembed.config.data import DataRestoreConfig
    from hrembed.runs.workspace import Workspace


def run_restore(config: DataRestoreConfig, workspace: Workspace) -> CommandResult[DataRestoreRecord]:
    """Write an anonymised table again with what stood there, for its owner alone to read.

    Args:
        config: Validated settings.
        workspace: Where runs go, and who receives progress updates.

    Returns:
        The name of the file in the run folder.

    Raises:
        HrembedError: There is no such run or file, or no map that can be read.
    """
    file = _file(config.source, workspace)
    originals = _read_map(Path(config.map) if config.map else file.with_name("map.json"))
    with open_run(workspace, "data-restore", config.model_dump(mode="json"), seeds={}) as run:
        run.add_input("source", file)
        target = run.path / file.name
        restore(file, target, originals, config.encoding)
        target.chmod(0o600)
        record = DataRestoreRecord(file=target.name, placeholders_known=len(originals))
        run.write_metrics(record)
        workspace.progress.note(f"{target} contains personal data again")
    row = {"file": record.file, "placeholders known": f"{record.placeholders_known:,}"}
    return CommandResult(str(run.path), "ok", record, {"Restored": [row]})


def _file(source: str, workspace: Workspace) -> Path:
    """A file as it is named, or the table that a run wrote."""
    if Path(source).is_file():
        return Path(source)
    run = find_run(workspace.root, source, "data-anonymise", progress=workspace.progress)
    return run.verified(run.record(DataAnonymiseRecord).file)


def _read_map(file: Path) -> dict[str, str]:
    """Placeholder -> what stood there."""
    try:
        originals = json.loads(file.read_text(encoding="utf-8"))
    except OSError as err:
        hint = "run `data anonymise` with `--set keep_map=true`, or pass the map with `--set map=...`"
        raise DataError(f"the map '{file}' cannot be read: {err.strerror or err}", hint=hint) from err
    except ValueError as err:
        raise DataError(f"the map '{file}' is not JSON") from err
    if not isinstance(originals, dict) or not all(isinstance(value, str) for value in originals.values()):
        raise DataError(f"the map '{file}' does not map placeholders to original texts")
    return originals
