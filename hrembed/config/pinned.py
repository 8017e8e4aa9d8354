"""`latest` and short ids in a config become the ids of runs, before anything reads them.

The config that a run keeps then names what was read, and repeats it whatever was run since.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from hrembed.errors import ConfigError, DataError
from hrembed.files import exists, user_path
from hrembed.runs.past import LATEST, inside_run, past_runs

if TYPE_CHECKING:
    from hrembed.config.source import KeyPath, Source
    from hrembed.runs.workspace import Workspace

_IN_RUN = re.compile(r"run:(?P<run>[a-z-]+/[^/]+(?P<file>/.+)?)")
"""Something of a run, such as `run:data-split/latest/train`."""
_MODEL = re.compile(r"run:(?:finetune/)?(?P<id>[^/]+)")


def pin_runs(source: Source, workspace: Workspace) -> None:
    """Replace `run:COMMAND/ID/FILE` in a config, and a path into the folder of runs, by the path of what is there.

    The short id of a model (`run:ID`) becomes the whole one; `run:latest` stays, since the registry is asked about it.

    Raises:
        ConfigError: There is no such run, its manifest is damaged, or several begin with what was given.
    """

    def pinned(value: Any, path: KeyPath) -> Any:
        if isinstance(value, dict):
            return {key: pinned(inner, (*path, key)) for key, inner in value.items()}
        if isinstance(value, list):
            return [pinned(inner, (*path, n)) for n, inner in enumerate(value)]
        try:
            return _pinned(value, workspace) if isinstance(value, str) else value
        except DataError as err:
            place = source.where(path)
            key = "" if place.startswith("--set") else f"{source.dotted(path)}: "
            raise ConfigError(f"{place}: {key}{err}", hint=err.hint) from None

    for key, value in source.values.items():
        source.values[key] = pinned(value, (key,))


def _pinned(value: str, workspace: Workspace) -> str:
    if match := _MODEL.fullmatch(value):
        return _whole_id(value, match["id"], workspace)
    if match := _IN_RUN.fullmatch(value):
        return inside_run(workspace.root, match["run"], workspace.progress).as_posix()
    scheme = "path:" if value.startswith("path:") else ""
    place = value.removeprefix(scheme)
    inside = place.removeprefix(f"{workspace.root.as_posix()}/")
    command, _, rest = inside.partition("/")
    name = rest.partition("/")[0]
    if inside == place or not name or exists(user_path(place)) or not _begins_run(name, command, workspace):
        return value
    return f"{scheme}{inside_run(workspace.root, inside, workspace.progress).as_posix()}"


def _whole_id(reference: str, name: str, workspace: Workspace) -> str:
    """A model's reference by its whole id; one that means no run or several is refused where the model is opened."""
    found = [run.path.name for run in past_runs(workspace.root, "finetune") if run.path.name.startswith(name)]
    return f"run:{found[0]}" if len(found) == 1 and name != LATEST else reference


def _begins_run(name: str, command: str, workspace: Workspace) -> bool:
    return name == LATEST or any(run.path.name.startswith(name) for run in past_runs(workspace.root, command))
