"""`registry.json` in the folder of runs: read, and changed under a lock."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from hrembed.errors import DataError, HrembedError
from hrembed.files import cannot_write
from hrembed.records.base import write_record
from hrembed.records.registry import PersonalDecision, RegisteredModel, Registry

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hrembed.records.registry import Action, ModelStatus

FILE = "registry.json"
_WAIT_S = 60.0


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
            raise DataError(f"'{file}' has format {content['format']}; this version of hrembed supports {known}")
        return Registry.model_validate(content)
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as err:
        raise DataError(f"'{file}' is corrupt: {err}", hint="restore it from a backup; nothing was written") from None


def register(root: Path, entry: RegisteredModel | Mapping[str, object]) -> Registry:
    """Add a model that a gate decided on.

    One that is accepted supersedes the model in use only when it was gated against that one. Where another model was
    accepted meanwhile, nobody knows which of the two is better: the new one becomes `outdated`, and the one in use
    stays. A model of which it is not known what it was gated against supersedes.

    Args:
        root: Folder of all runs.
        entry: The model, `accepted` or `rejected`; or its JSON object.

    Returns:
        The registry, the new model last.

    Raises:
        DataError: The file is damaged.
        HrembedError: It cannot be written, or another process does not let go of it.
    """
    new = RegisteredModel.model_validate(entry) if isinstance(entry, Mapping) else entry
    with _locked(root):
        models = read_registry(root).models
        in_use = Registry(models=models).accepted()
        if new.status == "accepted" and in_use is not None:
            if new.previous.rpartition("/")[2] in {"", in_use.model}:
                models = _replaced(models, in_use, in_use.model_copy(update={"status": "superseded"}))
            else:
                new = new.model_copy(update={"status": "outdated"})
        return _write(root, (*models, new))


def decide(root: Path, model: str, action: Action, *, by: str, why: str) -> Registry:
    """Record what a person decided on a model.

    `accept` puts it in use, and `reject` takes it out. `rollback` goes back to a model that was in use before; the one
    in use is rejected by the same decision.

    Args:
        root: Folder of all runs.
        model: Id of its finetune run.
        action: What was decided.
        by: Who decided.
        why: Reason.

    Raises:
        DataError: The file is damaged, or a rollback names a model that was not in use before.
        HrembedError: It cannot be written, or another process does not let go of it.
    """
    decision = PersonalDecision(action=action, time=datetime.now(UTC).isoformat(timespec="seconds"), by=by, why=why)
    status: ModelStatus = "rejected" if action == "reject" else "accepted"
    with _locked(root):
        registry = read_registry(root)
        models, entry, in_use = registry.models, registry.of(model), registry.accepted()
        if action == "rollback" and (entry is None or entry.status != "superseded"):
            earlier = ", ".join(each.model for each in models if each.status == "superseded")
            raise DataError(
                f"'{model}' is {registry.status_of(model)}; `rollback` requires a model that was in use before",
                hint=f"such models: {earlier or 'none'}; to use any other model, run `hrembed runs accept`",
            )
        if action != "reject" and in_use is not None and in_use is not entry:
            superseded = in_use.model_copy(update={"status": "superseded"})
            left = in_use.decided("rejected", decision) if action == "rollback" else superseded
            models = _replaced(models, in_use, left)
        if entry is None:
            return _write(root, (*models, RegisteredModel(model=model, status=status, decisions=(decision,))))
        return _write(root, _replaced(models, entry, entry.decided(status, decision)))


def _replaced(
    models: tuple[RegisteredModel, ...], old: RegisteredModel, new: RegisteredModel
) -> tuple[RegisteredModel, ...]:
    return tuple(new if each is old else each for each in models)


@contextmanager
def _locked(root: Path) -> Iterator[None]:
    """Keep other processes out from before the registry is read until it is written."""
    from filelock import FileLock, Timeout

    try:
        root.mkdir(parents=True, exist_ok=True)
        with FileLock(root / f".{FILE}.lock", timeout=_WAIT_S):
            yield
    except Timeout:
        raise HrembedError(
            f"another process has locked '{root / FILE}' for {_WAIT_S:g} seconds",
            hint="wait until it finishes, and run the command again",
        ) from None
    except OSError as err:
        raise cannot_write(root / FILE, err) from err


def _write(root: Path, models: tuple[RegisteredModel, ...]) -> Registry:
    registry = Registry(models=models)
    write_record(root / FILE, registry)
    return registry
