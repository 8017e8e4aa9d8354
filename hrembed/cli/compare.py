"""`hrembed compare`: the arguments are the runs; settings come from `--config` and `--set`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from hrembed.cli.common import AsJson, ConfigFile, Quiet, RunsDir, Set, Verbose, run_command

_HELP = """Weigh models on latency, computation, cost, accuracy and scale.

Differences are paired on the same items, fairness on the same stimuli where bias-audit runs are named as well. Each
model is measured in a process of its own; what does not fit is extrapolated from a fitted curve, and marked so.
"""

Runs = Annotated[
    list[str] | None, typer.Argument(metavar="[RUN]...", help="Eval and bias-audit runs; else the config's.")
]


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    summary = _HELP.partition("\n")[0]
    app.command("compare", help=_HELP, short_help=summary, epilog="Example: hrembed compare eval/latest")(_compare)


def _compare(
    runs: Runs = None,
    config: ConfigFile = None,
    overrides: Set = None,
    runs_dir: RunsDir = Path("runs"),
    as_json: AsJson = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    sets = [*([f"runs={json.dumps(runs)}"] if runs else []), *(overrides or [])]
    run_command(
        "compare",
        "hrembed.commands.compare.run:run_compare",
        config,
        sets,
        runs_dir,
        as_json=as_json,
        quiet=quiet,
        verbose=verbose,
    )
