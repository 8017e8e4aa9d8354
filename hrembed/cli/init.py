"""`hrembed init`: asks where there is a terminal, looks at the files, and writes a project."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from hrembed.cli.line_breaks import hanging
from hrembed.errors import ConfigError
from hrembed.files import user_path

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hrembed.commands.init.export import Export, ExportTable
    from hrembed.commands.init.project import Plan
    from hrembed.commands.init.run import Change
    from hrembed.data.ats_columns import AtsTable
    from hrembed.records.ats import Stage

_HELP = """Begin a project: settings, what comes next, CI.

Asks what it needs to know, or takes it from the options. The columns of an export are recognised; what was recognised
stands in hrembed.yaml, where it can be changed. A file that is there already is never replaced unasked.

Presets: `table` (your own jobs, candidates and applications), `titles` (job titles), `audit` (the bias audit of a
model), `ci` (evaluation, audit and gate in CI). Without files of yours they run on what ships.
"""

Folder = Annotated[Path, typer.Argument(metavar="FOLDER", help="Where the project is; the working folder without.")]
PresetName = Annotated[
    Literal["table", "titles", "audit", "ci"] | None, typer.Option("--preset", help="`table` where files are named.")
]
Jobs = Annotated[Path | None, typer.Option("--from", metavar="FILE", help="Jobs: a table, one row for each.")]
Candidates = Annotated[Path | None, typer.Option("--candidates", metavar="FILE", help="Candidates with their résumés.")]
Applications = Annotated[
    Path | None, typer.Option("--applications", metavar="FILE", help="Who applied for what, and what became of it.")
]
Column = Annotated[
    list[str] | None,
    typer.Option("--column", metavar="TABLE.NAME=COLUMN", help="A column that is not recognised; repeatable."),
]
Model = Annotated[str, typer.Option("--model", metavar="REF", help="The model that may go live.")]
CiName = Annotated[Literal["github", "gitlab", "none"], typer.Option("--ci", help="Whose CI runs it.")]
Package = Annotated[
    str, typer.Option("--package", metavar="WHEEL", help="What CI installs: a wheel, or `hrembed @ git+URL@COMMIT`.")
]
Force = Annotated[bool, typer.Option("--force", help="Replace files that are there already.")]


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    summary = _HELP.partition("\n")[0]
    example = "hrembed init --from jobs.csv --candidates candidates.csv --applications applications.csv"
    app.command("init", help=_HELP, short_help=summary, epilog=f"Example: {example}")(_init)


def _init(
    folder: Folder = Path(),
    preset: PresetName = None,
    jobs: Jobs = None,
    candidates: Candidates = None,
    applications: Applications = None,
    column: Column = None,
    model: Model = "minilm",
    ci: CiName = "github",
    package: Package = "",
    force: Force = False,
) -> None:
    from hrembed.commands.init.project import Plan, project_files
    from hrembed.commands.init.run import changes
    from hrembed.config.parts import checked_ref

    try:
        checked_ref(model)
    except ValueError as err:
        raise ConfigError(f"--model {model}: {err}") from None
    if package == "hrembed" or package.startswith("hrembed="):
        raise ConfigError(
            f"--package {package}: on a package index, this name may belong to someone else",
            hint="specify a wheel, or `hrembed @ git+URL@COMMIT`",
        )
    files: dict[AtsTable, Path | None] = {"jobs": jobs, "candidates": candidates, "applications": applications}
    asks = sys.stdin.isatty()
    if preset is None and not any(files.values()):
        if not asks:
            raise ConfigError(
                "no terminal available for questions",
                hint="pass --from, --candidates and --applications, or --preset table, titles, audit or ci",
            )
        preset = _ask_preset()
        files = _ask_files() if preset == "table" else files
    export = _export(files, _columns(column or []), asks=asks)
    folder = user_path(str(folder))
    plan = Plan(preset or "table", export, model, ci, package)
    _write(folder, changes(folder, project_files(folder, plan)), force=force, asks=asks)
    _say_next(folder, plan)


def _ask_preset() -> Literal["table", "titles", "audit", "ci"]:
    from hrembed.commands.init.project import PRESETS

    for name, what in PRESETS.items():
        print(hanging(f"{name:<8}", what))
    while True:
        given = typer.prompt("Preset", default="table")
        for name in PRESETS:
            if name == given:
                return name
        print(f"one of {', '.join(PRESETS)}")


def _ask_files() -> dict[AtsTable, Path | None]:
    print("The tables of an export. Without any, the example that ships is taken.")
    jobs = typer.prompt("Jobs (a file; empty for the example)", default="", show_default=False)
    if not jobs:
        return {}
    others = [typer.prompt(f"{name.capitalize()} (a file)") for name in ("candidates", "applications")]
    return {"jobs": Path(jobs), "candidates": Path(others[0]), "applications": Path(others[1])}


def _columns(given: Sequence[str]) -> dict[AtsTable, dict[str, str]]:
    """Read `TABLE.NAME=COLUMN`."""
    from hrembed.data.ats_columns import KNOWN_AS, TABLES
    from hrembed.registry import nearest

    found: dict[AtsTable, dict[str, str]] = {name: {} for name in TABLES}
    for text in given:
        key, equals, theirs = text.partition("=")
        table, _, ours = key.partition(".")
        name = next((name for name in TABLES if name == table), None)
        if not (equals and theirs and ours) or name is None:
            raise ConfigError(f"--column {text}: expected jobs.title=COLUMN, with {', '.join(TABLES)}")
        if ours not in KNOWN_AS[name]:
            known = list(KNOWN_AS[name])
            raise ConfigError(f"--column {text}: unknown name{nearest(ours, known)}", hint=f"known: {', '.join(known)}")
        found[name][ours] = theirs
    return found


def _export(
    files: Mapping[AtsTable, Path | None], columns: Mapping[AtsTable, Mapping[str, str]], *, asks: bool
) -> Export | None:
    """Look at the files that were named; None where none was."""
    from dataclasses import replace

    from hrembed.commands.init.export import look_at_export, look_at_table

    named = {name: user_path(str(file)) for name, file in files.items() if file is not None}
    if not named:
        return None
    if len(named) < len(files):
        flags = {"jobs": "--from", "candidates": "--candidates", "applications": "--applications"}
        missing = " and ".join(flag for name, flag in flags.items() if name not in named)
        raise ConfigError(f"an export needs three tables: {missing} is missing", hint="specify all three, or none")
    tables = [look_at_table(name, file, columns[name]) for name, file in named.items()]
    for table in tables:
        _show(table)
    if asks:
        tables = [_ask_columns(table) for table in tables]
    export = look_at_export(tables)
    if not export.stages:
        return export
    print(hanging("", f"Not known how far such an application came: {', '.join(export.stages)}"))
    if asks:
        return replace(export, stages={status: _ask_stage(status) for status in export.stages})
    print(hanging("", "They count as pending, which means not judged, until `stages` in hrembed.yaml says more."))
    return export


def _show(table: ExportTable) -> None:
    print(f"{table.name}: {table.file}")
    for ours, theirs in table.columns.items():
        print(hanging(f"  {ours:<16}", theirs or "(left out)"))
    if table.unused:
        print(hanging("  not used        ", ", ".join(table.unused)))


def _ask_columns(table: ExportTable) -> ExportTable:
    """Ask for columns that are missing, and for others where the proposal is not right."""
    from dataclasses import replace

    from hrembed.data.ats_columns import KNOWN_AS

    chosen = dict(table.columns)
    for ours in table.missing:
        chosen[ours] = _ask_column(table, ours, _NONE)
    if typer.confirm(f"Are the columns of {table.name} right?", default=True):
        return replace(table, columns=chosen)
    print(f"The name in the file, or {_NONE} for none.")
    asked = {ours: _ask_column(table, ours, chosen.get(ours) or _NONE) for ours in KNOWN_AS[table.name]}
    # A column that is recognised must be left out by name, or it is recognised again.
    return replace(table, columns={ours: theirs for ours, theirs in asked.items() if theirs or ours in chosen})


_NONE = "-"


def _ask_column(table: ExportTable, ours: str, default: str) -> str | None:
    while True:
        given: str = typer.prompt(f"{table.name}: column for `{ours}`", default=default)
        if given in table.header:
            return given
        if given == _NONE:
            return None
        print(f"columns of the file: {', '.join(table.header)}")


def _ask_stage(status: str) -> Stage:
    from hrembed.data.stages import STAGES

    while True:
        given = typer.prompt(f"'{status}' ({', '.join(STAGES)})", default="pending")
        for stage in STAGES:
            if stage == given:
                return stage


def _write(folder: Path, found: Sequence[Change], *, force: bool, asks: bool) -> None:
    """Write what is new; what another text stands in is shown, and kept unless the user says otherwise."""
    from hrembed.commands.init.run import write_project

    said = {"new": "wrote", "same": "unchanged", "other": "replaced"}
    for change in found:
        state = said[change.state]
        if change.state == "other":
            print("\n".join(change.difference))
            if not force and not (asks and typer.confirm(f"Replace {change.name}?", default=False)):
                print(f"kept       {folder / change.name} (--force replaces it)")
                continue
        if change.state != "same":
            write_project(folder, [change])
        print(f"{state:<11}{folder / change.name}")


def _say_next(folder: Path, plan: Plan) -> None:
    print("\nNext:")
    for command in [*([] if folder == Path() else [f"cd {folder}"]), *plan.commands]:
        print(f"  {command}")
