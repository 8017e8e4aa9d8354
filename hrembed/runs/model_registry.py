"""`registry.json` in the folder of runs: which models were accepted, rejected, superseded."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from hrembed.errors import DataError
from hrembed.files import write_json

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

FILE = "registry.json"
_FORMAT = 1


def read_registry(root: Path) -> list[dict[str, Any]]:
    """Read all entries, oldest first; none where nothing was registered.

    Raises:
        DataError: The file is damaged, or of another format.
    """
    file = root / FILE
    if not file.is_file():
        return []
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        if content["format"] != _FORMAT:
            raise DataError(f"'{file}' has format {content['format']}; this version of hrembed knows {_FORMAT}")
        return [dict(entry) for entry in content["models"]]
    except (ValueError, KeyError, TypeError) as err:
        raise DataError(f"'{file}' is damaged: {err}", hint="restore it from a copy; nothing was written") from None


def accepted(entries: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The model in use: there is one at most."""
    return next((entry for entry in reversed(entries) if entry["status"] == "accepted"), None)


def register(root: Path, entry: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Add a model; one that is accepted supersedes the one before.

    Args:
        root: Folder of all runs.
        entry: `model` (a finetune run id), `status` (`accepted` or `rejected`), and what is worth knowing beside.

    Returns:
        All entries.

    Raises:
        DataError: The file is damaged.
        HrembedError: It cannot be written.
    """
    entries = read_registry(root)
    if entry["status"] == "accepted":
        entries = [{**old, "status": "superseded"} if old["status"] == "accepted" else old for old in entries]
    entries.append(dict(entry))
    write_json(root / FILE, {"format": _FORMAT, "models": entries})
    return entries
