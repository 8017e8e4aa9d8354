"""`hrembed runs ...`: look at what was run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hrembed.cli.common import AsJson, Quiet, RunsDir

app = typer.Typer(help="List runs, show one, compare two, write pages.", no_args_is_help=True, rich_markup_mode=None)

Run = Annotated[str, typer.Argument(metavar="RUN", help="COMMAND/ID, ID, folder, or `latest` (`COMMAND/latest`).")]
Runs = Annotated[list[str] | None, typer.Argument(metavar="[RUN]...", help="Runs; all without it.")]
Command = Annotated[str | None, typer.Option("--command", help="Only runs of this command.")]


@app.command("list", short_help="List all runs.", epilog="Example: hrembed runs list --command eval")
def list_(runs_dir: RunsDir = Path("runs"), command: Command = None, as_json: AsJson = False) -> None:
    """List all runs with status and verdict, oldest first."""
    from hrembed.cli.render import Terminal
    from hrembed.commands.runs.browse import list_runs

    Terminal(as_json=as_json, quiet=False).show(list_runs(runs_dir, command))


@app.command("show", short_help="Show one run.", epilog="Example: hrembed runs show eval/latest")
def show(run: Run, runs_dir: RunsDir = Path("runs"), as_json: AsJson = False) -> None:
    """Show state, inputs and every number of a run; refuses numbers that were edited."""
    from hrembed.cli.render import Terminal
    from hrembed.commands.runs.browse import show_run

    Terminal(as_json=as_json, quiet=False).show(show_run(runs_dir, run))


@app.command("diff", short_help="Say in what two runs differ.", epilog="Example: hrembed runs diff eval/ID eval/latest")
def diff(first: Run, second: Run, runs_dir: RunsDir = Path("runs"), as_json: AsJson = False) -> None:
    """Say in what two runs differ: settings, data, models, versions, seeds, numbers."""
    from hrembed.cli.render import Terminal
    from hrembed.commands.runs.browse import diff_runs

    Terminal(as_json=as_json, quiet=False).show(diff_runs(runs_dir, first, second))


@app.command("report", short_help="Write pages of runs and an index.", epilog="Example: hrembed runs report")
def report(runs: Runs = None, runs_dir: RunsDir = Path("runs"), as_json: AsJson = False, quiet: Quiet = False) -> None:
    """Write an HTML page for each run and an index of all into `reports` in the folder of runs.

    Each page is one file that opens offline, in light and dark, and prints.
    """
    from hrembed.cli.render import Terminal
    from hrembed.commands.runs.browse import report_runs

    Terminal(as_json=as_json, quiet=quiet).show(report_runs(runs_dir, runs or []))
