"""`hrembed finetune`, which has two options of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hrembed.cli.common import AsJson, Config, Quiet, RunsDir, Set, run_command
from hrembed.errors import ConfigError

_HELP = """Fine-tune a model on pairs, and compare it with its base.

The base is scored first, the best checkpoint is kept, and the paired difference decides the verdict: on the dev task,
on test tasks, and on text outside of hiring, which shows what was lost.

An interrupted or killed run goes on with --resume and the same number of threads, and ends as if nothing had happened.
"""

Resume = Annotated[
    str | None, typer.Option("--resume", metavar="RUN", help="Go on with a run that did not end: its id, or `latest`.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Check everything, estimate time and memory, train nothing.")]


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    summary, example = _HELP.partition("\n")[0], 'hrembed finetune --set "method={name: partial, layers: 2}"'
    app.command("finetune", help=_HELP, short_help=summary, epilog=f"Example: {example}")(_finetune)


def _finetune(
    config: Config = None,
    overrides: Set = None,
    runs_dir: RunsDir = Path("runs"),
    resume: Resume = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    if resume is not None:
        from hrembed.runs.past import resumable_run

        if config is not None or overrides or dry_run:
            raise ConfigError("a resumed run uses its original config", hint="pass only `--resume` and `--runs-dir`")
        run = resumable_run(runs_dir, "finetune", resume)
        config, resume = run.path / "config.yaml", run.path.name
    entry, options = ("launch_preflight", {}) if dry_run else ("launch_finetune", {"resume": resume})
    function = f"hrembed.commands.finetune.run:{entry}"
    run_command("finetune", function, config, overrides or [], runs_dir, as_json=as_json, quiet=quiet, **options)
