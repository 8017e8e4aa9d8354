"""`hrembed finetune`, which has options of its own, and recipes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hrembed.cli.common import AsJson, Config, Quiet, RunsDir, Set, Verbose, run_command, run_loaded
from hrembed.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

_HELP = """Fine-tune a model on pairs, and compare it with its base.

The base is scored first, the best checkpoint is kept, and the paired difference decides the verdict: on the dev task,
on test tasks, and on text outside of hiring, which shows what was lost.

With --recipe, what comes before the training is done as well: `titles` imports O*NET and ESCO and takes out what a task
of yours holds. `hrembed configs` lists recipes; a YAML file of your own is one, too.

An interrupted or killed run goes on with --resume and the same number of threads, and ends as if nothing had happened.
"""

Resume = Annotated[
    str | None,
    typer.Option(
        "--resume", metavar="RUN", help="Go on with a run that did not end: its id, `latest`, or `recipe/latest`."
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Check everything, estimate time and memory, train nothing.")]
Recipe = Annotated[
    str | None, typer.Option("--recipe", metavar="NAME|FILE", help="Run the steps of a recipe; --set STEP.KEY=VALUE.")
]
Onet = Annotated[str | None, typer.Option("--onet", metavar="DIR|ZIP", help="O*NET text database, for a recipe.")]
Esco = Annotated[str | None, typer.Option("--esco", metavar="DIR|ZIP", help="ESCO in CSV, for a recipe.")]
Against = Annotated[
    list[str] | None,
    typer.Option("--against", metavar="TASK", help="Task that must stay unseen, for a recipe; repeatable."),
]
Input = Annotated[
    list[str] | None,
    typer.Option("--input", metavar="NAME=VALUE", help="Any other input of a recipe; repeatable."),
]


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
    recipe: Recipe = None,
    onet: Onet = None,
    esco: Esco = None,
    against: Against = None,
    further: Input = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    given = _inputs(onet, esco, against or [], further or [])
    if resume is not None:
        if config is not None or overrides or dry_run or recipe is not None or given:
            raise ConfigError("a resumed run uses its original config", hint="pass only `--resume` and `--runs-dir`")
        if Path(resume).parent.name == "recipe":
            _resume_recipe(resume, runs_dir, as_json=as_json, quiet=quiet, verbose=verbose)
            return
    if recipe is not None:
        if config is not None or dry_run:
            other = "--dry-run" if dry_run else str(config)
            raise ConfigError(
                f"`--recipe {recipe}` and `{other}` cannot be combined",
                hint="a recipe names the settings of its training; `--set finetune.KEY=VALUE` changes them",
            )
        _run_recipe(recipe, given, overrides or [], runs_dir, as_json=as_json, quiet=quiet, verbose=verbose)
        return
    if given:
        name = next(iter(given))
        raise ConfigError(
            f"'{name}' is an input of a recipe, but no recipe is named",
            hint="add `--recipe titles`, or another that `hrembed configs` lists",
        )
    if resume is not None:
        from hrembed.runs.past import resumable_run

        run = resumable_run(runs_dir, "finetune", resume)
        config, resume = run.path / "config.yaml", run.path.name
    entry, options = ("launch_preflight", {}) if dry_run else ("launch_finetune", {"resume": resume})
    function = f"hrembed.commands.finetune.run:{entry}"
    run_command(
        "finetune",
        function,
        config,
        overrides or [],
        runs_dir,
        as_json=as_json,
        quiet=quiet,
        verbose=verbose,
        **options,
    )


def _inputs(onet: str | None, esco: str | None, against: Sequence[str], further: Sequence[str]) -> dict[str, list[str]]:
    """Sort what was given by the inputs of a recipe."""
    given = {"onet": [onet] if onet else [], "esco": [esco] if esco else [], "against": [*against]}
    for text in further:
        name, equals, value = text.partition("=")
        if not (name and equals and value):
            raise ConfigError(f"`--input {text}`: expected NAME=VALUE, for example `--input pairs=pairs.jsonl`")
        given.setdefault(name, []).append(value)
    return {name: values for name, values in given.items() if values}


_FUNCTION = "hrembed.commands.recipe:run_recipe"


def _run_recipe(
    recipe: str,
    given: dict[str, list[str]],
    overrides: Sequence[str],
    runs_dir: Path,
    *,
    as_json: bool,
    quiet: bool,
    verbose: bool,
) -> None:
    from hrembed.config.recipe import load_recipe

    run_loaded(
        lambda workspace: load_recipe(recipe, given, overrides, workspace),
        _FUNCTION,
        runs_dir,
        as_json=as_json,
        quiet=quiet,
        verbose=verbose,
    )


def _resume_recipe(reference: str, runs_dir: Path, *, as_json: bool, quiet: bool, verbose: bool) -> None:
    from hrembed.config.load import load_config
    from hrembed.config.recipe import RecipeConfig
    from hrembed.runs.past import resumable_run

    run = resumable_run(runs_dir, "recipe", reference)
    config = run.path / "config.yaml"
    run_loaded(
        lambda _: load_config(config, RecipeConfig),
        _FUNCTION,
        runs_dir,
        as_json=as_json,
        quiet=quiet,
        verbose=verbose,
        resume=run.path.name,
    )
