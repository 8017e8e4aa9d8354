"""`registry.json` in the folder of runs: which models were accepted, rejected, superseded."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from hrembed.errors import DataError
from hrembed.records.base import write_record
from hrembed.records.retrain import Registry

if TYPE_CHECKING:
    from pathlib import Path

    from hrembed.records.retrain import RegisteredModel

FILE = "registry.json"


def read_registry(root: Path) -> Registry:
    """Read all entries; none where nothing was registered.

    Args:
        root: Folder of all runs.

    Raises:
        DataError: The file is damaged, or of another format.
    """
    file, known = root / FILE, Registry().format
    if not file.is_file():
        return Registry()
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        if content["format"] != known:
            raise DataError(f"'{file}' has format {content['format']}; this version of hrembed knows {known}")
        return Registry.model_validate(content)
    except (ValueError, KeyError, TypeError) as err:
        raise DataError(f"'{file}' is damaged: {err}", hint="restore it from a copy; nothing was written") from None


def register(root: Path, entry: RegisteredModel) -> Registry:
    """Add a model; one that is accepted supersedes the one before.

    Args:
        root: Folder of all runs.
        entry: The model.

    Raises:
        DataError: The file is damaged.
        HrembedError: It cannot be written.
    """
    entries = read_registry(root).models
    if entry.status == "accepted":
        superseded = {"status": "superseded"}
        entries = tuple(old.model_copy(update=superseded) if old.status == "accepted" else old for old in entries)
    registry = Registry(models=(*entries, entry))
    write_record(root / FILE, registry)
    return registry
