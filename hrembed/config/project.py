"""`hrembed.yaml`: the settings of all commands in one file; a command reads its own section."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field, create_model

from hrembed.config.load import load_source, read_config
from hrembed.config.schema import SCHEMAS
from hrembed.config.section import Section
from hrembed.config.starters import config_file
from hrembed.data.locate import SHIPPED
from hrembed.errors import ConfigError
from hrembed.registry import nearest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hrembed.config.source import KeyPath, Source
    from hrembed.runs.workspace import Workspace

PROJECT = "hrembed.yaml"


def section_path(command: str) -> tuple[str, ...]:
    """Where a command's settings stand: `data-import-table` below `data`, `import`; `bias-audit` is `audit`."""
    if command == "bias-audit":
        return ("audit",)
    return tuple(command.split("-")) if command.startswith(("data-", "index-")) else (command,)


@cache
def project_schema() -> type[Section]:
    """The config of a whole project, for its JSON Schema."""
    return _group("Project", {section_path(command): schema for command, schema in SCHEMAS.items()})


def _group(name: str, members: Mapping[tuple[str, ...], type[Section]]) -> type[Section]:
    """Make a section of optional sections, one level after the other."""
    fields: dict[str, Any] = {}
    for first in dict.fromkeys(path[0] for path in members):
        below = {path[1:]: schema for path, schema in members.items() if path[0] == first}
        inner = below[()] if () in below else _group(f"{name}{first.capitalize()}", below)
        what = (inner.__doc__ or "").partition("\n")[0]
        # `import` is no name that Python takes for a field.
        fields[f"{first.replace('-', '_')}_"] = (inner | None, Field(default=None, alias=first, description=what))
    words = " ".join(["Settings of", *(["all commands"] if name == "Project" else ["several commands"])])
    return create_model(name, __base__=Section, __doc__=f"{words}; each reads its own section.", **fields)


def load_settings(command: str, config: str | Path | None, overrides: Sequence[str], workspace: Workspace) -> Any:
    """Read the settings of a command.

    Args:
        command: Key of its schema.
        config: The user's file (the command's own or a project), or `shipped:NAME`; None for the `hrembed.yaml` of the
            working folder, and where none lies there for the embedded default.
        overrides: `key.path=value` texts.
        workspace: Where the runs are that it may name, and who is told what was read.

    Returns:
        Frozen settings with every default filled in, of the type that `SCHEMAS` names.

    Raises:
        ConfigError: The file cannot be read, or holds mistakes; all of them are listed.
    """
    if config is None:
        config = PROJECT if Path(PROJECT).is_file() else f"{SHIPPED}{command}"
    source = read_config(config_file(config))
    if Path(source.name).name == PROJECT or _is_project(source, command):
        source = _section(source, command, workspace)
    return load_source(source, SCHEMAS[command], overrides, workspace)


def _is_project(source: Source, command: str) -> bool:
    """Tell a project from the config of a command: it holds sections of other commands, and no key of this one."""
    sections = {section_path(name)[0] for name in SCHEMAS}
    own = set(SCHEMAS[command].model_fields)
    return bool(sections.intersection(source.values) - own) and not own.difference(sections).intersection(source.values)


def _section(source: Source, command: str, workspace: Workspace) -> Source:
    _check_names(source, ())
    path = section_path(command)
    if not any(key[: len(path)] == path for key in source.lines):
        workspace.progress.note(f"{source.name} has no section `{'.'.join(path)}`; using the built-in defaults")
        return read_config(config_file(f"{SHIPPED}{command}"))
    workspace.progress.note(f"reading section `{'.'.join(path)}` of {source.name}")
    return source.below(path)


def _check_names(source: Source, above: KeyPath) -> None:
    """Refuse sections that belong to no command, of which a command would never be told.

    Raises:
        ConfigError: There is one; all are listed.
    """
    paths = [section_path(command) for command in SCHEMAS]
    known = list(dict.fromkeys(path[len(above)] for path in paths if path[: len(above)] == above))
    section = source.below(above)
    wrong = [name for name in section.values if name not in known]
    if wrong:
        rows = [
            f"{section.where((name,))}: {section.dotted((name,))}: unknown section{nearest(name, known)}"
            for name in wrong
        ]
        raise ConfigError("\n  ".join(rows), hint=f"known sections: {', '.join(known)}")
    for name in section.values:
        if (*above, name) not in paths:
            _check_names(source, (*above, name))
