"""`hrembed doctor`: looks at the machine, and writes nothing."""

from __future__ import annotations

from pathlib import Path

import typer

from hrembed.cli.common import AsJson, RunsDir

_HELP = """Look at what this machine has and lacks, and compare a vector.

Versions, extras, processor, memory, disk and the Hub, in about half a minute: what is fast here is measured, not
guessed. Exit code 5 where something is missing, or where the default model gives other vectors than it should.
"""


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    summary, example = _HELP.partition("\n")[0], "hrembed doctor --json"
    app.command("doctor", help=_HELP, short_help=summary, epilog=f"Example: {example}")(_doctor)


def _doctor(runs_dir: RunsDir = Path("runs"), as_json: AsJson = False) -> None:
    from hrembed.cli.render import Terminal
    from hrembed.commands.doctor import examine
    from hrembed.runs.workspace import Workspace

    terminal = Terminal(as_json=as_json, quiet=False)
    result = examine(Workspace(runs_dir, terminal))
    terminal.show(result)
    if result.failure is not None:
        raise result.failure
