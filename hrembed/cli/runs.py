"""`hrembed runs ...`: look at what was run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hrembed.cli.common import AsJson, Quiet, RunsDir, can_ask
from hrembed.text import counted

if TYPE_CHECKING:
    from hrembed.records.registry import Action

app = typer.Typer(
    help="List, compare and prune runs; decide which model is used.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Run = Annotated[str, typer.Argument(metavar="RUN", help="COMMAND/ID, ID, folder, or `latest` (`COMMAND/latest`).")]
Runs = Annotated[list[str] | None, typer.Argument(metavar="[RUN]...", help="Runs; all without it.")]
By = Annotated[str, typer.Option("--by", metavar="NAME", help="Who decides.")]
Why = Annotated[str, typer.Option("--why", metavar="TEXT", help="Reason, for whoever reads the registry later.")]
Trained = Annotated[str, typer.Argument(metavar="RUN", help="A finetune run: finetune/ID, ID or folder.")]
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
    from hrembed.progress import Journal

    terminal = Terminal(as_json=as_json, quiet=False)
    terminal.show(show_run(runs_dir, run, Journal(terminal)))


@app.command("diff", short_help="Say in what two runs differ.", epilog="Example: hrembed runs diff eval/ID eval/latest")
def diff(first: Run, second: Run, runs_dir: RunsDir = Path("runs"), as_json: AsJson = False) -> None:
    """Say in what two runs differ: settings, data, models, versions, seeds, numbers."""
    from hrembed.cli.render import Terminal
    from hrembed.commands.runs.browse import diff_runs
    from hrembed.progress import Journal

    terminal = Terminal(as_json=as_json, quiet=False)
    terminal.show(diff_runs(runs_dir, first, second, Journal(terminal)))


@app.command("report", short_help="Write pages of runs and an index.", epilog="Example: hrembed runs report")
def report(runs: Runs = None, runs_dir: RunsDir = Path("runs"), as_json: AsJson = False, quiet: Quiet = False) -> None:
    """Write an HTML page for each run and an index of all into `reports` in the folder of runs.

    Each page is one file that opens offline, in light and dark, and prints.
    """
    from hrembed.cli.render import Terminal
    from hrembed.commands.runs.browse import report_runs
    from hrembed.progress import Journal

    terminal = Terminal(as_json=as_json, quiet=quiet)
    terminal.show(report_runs(runs_dir, runs or [], Journal(terminal)))


@app.command(
    "accept",
    short_help="Put a trained model in use.",
    epilog='Example: hrembed runs accept ID --by "Ada Lovelace" --why "gate/ID passed, reviewed with HR"',
)
def accept(run: Trained, by: By, why: Why, runs_dir: RunsDir = Path("runs"), as_json: AsJson = False) -> None:
    """Put a trained model in use, and keep in runs/registry.json who decided and why.

    `hrembed retrain` starts from the model in use. The one that was in use becomes `superseded`.
    """
    _decide("accept", run, by, why, runs_dir, as_json=as_json)


@app.command(
    "reject",
    short_help="Take a trained model out of use.",
    epilog='Example: hrembed runs reject ID --by "Ada Lovelace" --why "ranks nurses below porters"',
)
def reject(run: Trained, by: By, why: Why, runs_dir: RunsDir = Path("runs"), as_json: AsJson = False) -> None:
    """Reject a trained model, and keep in runs/registry.json who decided and why.

    `run:latest` refuses a rejected model. Where it was in use, no model is, until one is accepted.
    """
    _decide("reject", run, by, why, runs_dir, as_json=as_json)


@app.command(
    "rollback",
    short_help="Go back to a model that was in use before.",
    epilog='Example: hrembed runs rollback ID --by "Ada Lovelace" --why "complaints since Monday"',
)
def rollback(run: Trained, by: By, why: Why, runs_dir: RunsDir = Path("runs"), as_json: AsJson = False) -> None:
    """Go back to RUN, a model that was in use before; the one in use is rejected by the same decision."""
    _decide("rollback", run, by, why, runs_dir, as_json=as_json)


def _decide(action: Action, run: str, by: str, why: str, runs_dir: Path, *, as_json: bool) -> None:
    from hrembed.cli.render import Terminal
    from hrembed.commands.runs.decide import decide_on_run

    Terminal(as_json=as_json, quiet=False).show(decide_on_run(runs_dir, action, run, by=by, why=why))


@app.command("prune", short_help="Remove runs that did not end well.", epilog="Example: hrembed runs prune --yes")
def prune(
    runs_dir: RunsDir = Path("runs"),
    command: Command = None,
    yes: Annotated[bool, typer.Option("--yes", help="Remove them without asking.")] = False,
    idle: Annotated[
        float,
        typer.Option("--idle", min=0, metavar="MINUTES", help="How long an unfinished run must not have changed."),
    ] = 60.0,
    as_json: AsJson = False,
) -> None:
    """List runs that failed, were interrupted, did not end or have a damaged manifest, and ask whether to remove them.

    Without a terminal nobody can be asked, and they are only listed. A model that the registry names stays. An
    interrupted finetune run can no longer be resumed once it is removed.
    """
    from hrembed.cli.render import Terminal
    from hrembed.commands.runs.prune import REMOVABLE, prune_runs

    terminal = Terminal(as_json=as_json, quiet=False)
    result = prune_runs(runs_dir, command, remove=yes, idle_minutes=idle)
    terminal.show(result)
    removable = sum(run.outcome == REMOVABLE for run in result.metrics.runs)
    if not removable or as_json or not can_ask():
        return
    if typer.confirm(f"Remove {counted(removable, 'run')}?"):
        terminal.show(prune_runs(runs_dir, command, remove=True, idle_minutes=idle))
