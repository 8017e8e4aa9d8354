"""What all commands share: their options, and how a command is run and shown."""

from __future__ import annotations

import json
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hrembed.errors import ConfigError
from hrembed.files import user_path
from hrembed.text import is_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from hrembed.runs.workspace import Workspace


def runs_folder(given: str | Path) -> Path:
    """Return the folder of runs with `~` as the home folder.

    Raises:
        ConfigError: It is empty, which would put runs among the files that happen to lie here, or is no text that
            manifests can hold.
    """
    text = str(given)
    if not text.strip():
        raise ConfigError("`--runs-dir` is empty", hint="specify a folder, for example `--runs-dir runs`")
    if not is_text(text):
        raise ConfigError(f"`--runs-dir {text}`: folder names must be valid UTF-8", hint="choose another folder")
    return user_path(text)


def can_ask() -> bool:
    """Whether somebody sits at a terminal and can answer a question."""
    return sys.stdin is not None and sys.stdin.isatty() and sys.stdout.isatty()


def override(key: str, value: object) -> list[str]:
    """Write an argument as an override, none where it was not given; JSON is YAML, and quotes what needs quoting."""
    return [] if value is None else [f"{key}={json.dumps(value)}"]


Config = Annotated[
    Path | None, typer.Argument(metavar="CONFIG", help="YAML or `shipped:NAME`; else hrembed.yaml or defaults.")
]
ConfigFile = Annotated[Path | None, typer.Option("--config", help="YAML config, or `shipped:NAME`.")]
Set = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override one value; repeatable.")]
RunsDir = Annotated[
    Path, typer.Option("--runs-dir", parser=runs_folder, metavar="FOLDER", help="Where run folders go.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print exactly one JSON object on stdout.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Show the tables behind the main ones, too.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress and no tables; stdout is the run folder.")]


def run_command(
    command: str,
    function: str,
    config: Path | None,
    overrides: list[str],
    runs_dir: Path,
    *,
    as_json: bool,
    quiet: bool,
    verbose: bool = False,
    **options: object,
) -> None:
    """Load the config, run the command, show what came out.

    Args:
        command: Key of the config's schema, and name of the default config.
        function: What runs it, as `module:function`.
        config: The user's YAML file, or `shipped:NAME`; None for `hrembed.yaml` or the embedded default.
        overrides: `key=value` texts.
        runs_dir: Where run folders go.
        as_json: Print one JSON object.
        quiet: Print the run folder only.
        verbose: Show the tables behind the main ones, too.
        options: Further arguments of the command.

    Raises:
        HrembedError: Whatever stopped the command, or the limit that was not met.
    """
    from hrembed.config.project import load_settings

    def load(workspace: Workspace) -> object:
        return load_settings(command, config, overrides, workspace)

    run_loaded(load, function, runs_dir, as_json=as_json, quiet=quiet, verbose=verbose, **options)


def run_loaded(
    load: Callable[[Workspace], object],
    function: str,
    runs_dir: Path,
    *,
    as_json: bool,
    quiet: bool,
    verbose: bool = False,
    **options: object,
) -> None:
    """Load settings, run a command on them, show what came out.

    Args:
        load: Returns the settings.
        function: As for `run_command`, and so is the rest.
        runs_dir: As there.
        as_json: As there.
        quiet: As there.
        verbose: As there.
        options: As there.

    Raises:
        HrembedError: As there.
    """
    from hrembed.cli.render import Terminal
    from hrembed.runs.workspace import Workspace

    terminal = Terminal(as_json=as_json, quiet=quiet, verbose=verbose)
    workspace = Workspace(runs_dir, terminal)
    settings = load(workspace)
    module, _, name = function.partition(":")
    result = getattr(import_module(module), name)(settings, workspace, **options)
    if result is None:  # a process of a launch in which another one has the result
        return
    terminal.show(result)
    if result.failure is not None:
        raise result.failure
