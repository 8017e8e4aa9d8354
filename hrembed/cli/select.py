"""`hrembed select`, which has an option of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hrembed.cli.common import AsJson, Config, Quiet, RunsDir, Set, Verbose, run_command

_HELP = """Shortlist models, and measure those at hand on your task.

Models are filtered by the facts that come with mteb and ranked by leaderboard scores, with rank intervals: which order
is certain, and which is luck. Those whose weights are here are measured on your pairs or task. The pick is written to
`pick.yaml`, which finetune, eval and bias-audit take as a model.
"""

Refresh = Annotated[
    bool, typer.Option("--refresh", help="Fetch the public scores first (about 93 MB); later runs need no network.")
]


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    summary, example = _HELP.partition("\n")[0], "hrembed select --set constraints.max_parameters=40000000"
    app.command("select", help=_HELP, short_help=summary, epilog=f"Example: {example}")(_select)


def _select(
    config: Config = None,
    overrides: Set = None,
    runs_dir: RunsDir = Path("runs"),
    refresh: Refresh = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    run_command(
        "select",
        "hrembed.commands.select.run:run_select",
        config,
        overrides or [],
        runs_dir,
        as_json=as_json,
        quiet=quiet,
        verbose=verbose,
        refresh=refresh,
    )
