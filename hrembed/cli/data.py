"""`hrembed data ...`: the argument is the data; settings come from `--config` and `--set`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hrembed.cli.common import AsJson, ConfigFile, Quiet, RunsDir, Set, Verbose, override, run_command

app = typer.Typer(
    help="Import, split, inspect, check and anonymise training data.", no_args_is_help=True, rich_markup_mode=None
)
imports = typer.Typer(help="Turn exports, taxonomies and tables into training pairs.", no_args_is_help=True)
app.add_typer(imports, name="import")

Source = Annotated[str | None, typer.Argument(metavar="DATA", help="File or folder; without it, the config's.")]
Against = Annotated[
    list[str] | None, typer.Option("--against", metavar="TASK", help="Task folder that must stay unseen; repeatable.")
]
Personal = Annotated[bool, typer.Option("--personal", help="Also look for personal data.")]
Jobs = Annotated[str | None, typer.Option("--jobs", metavar="FILE", help="Table of jobs.")]
Candidates = Annotated[str | None, typer.Option("--candidates", metavar="FILE", help="Table of candidates.")]
Applications = Annotated[str | None, typer.Option("--applications", metavar="FILE", help="Table of applications.")]
Out = Annotated[str | None, typer.Option("--out", metavar="FOLDER", help="Folder for a copy of the products.")]
Fix = Annotated[bool, typer.Option("--fix", help="Write the training set again without the leaking rows.")]


# Place, name: its function, key of the argument, what it does, the rest of it, an example.
COMMANDS: dict[tuple[typer.Typer, str], tuple[str, str, str, str, str]] = {
    (imports, "onet"): (
        "hrembed.commands.data.imports:run_import_onet",
        "source",
        "Turn the O*NET database into training pairs.",
        "Titles, descriptions, tasks, technologies, and ads with anonymous profiles composed from them. "
        "Without an argument the official archive is downloaded.",
        "hrembed data import onet db_29_3_text.zip",
    ),
    (imports, "esco"): (
        "hrembed.commands.data.imports:run_import_esco",
        "source",
        "Turn the ESCO classification into training pairs.",
        "Reads the CSV files as the European Commission or as Tabiya publishes them.",
        "hrembed data import esco esco-v1.2.0-en.zip --set kinds=[title,skill]",
    ),
    (imports, "table"): (
        "hrembed.commands.data.imports:run_import_table",
        "source",
        "Turn a table of your own into training pairs.",
        "CSV, TSV, JSONL, Parquet or hf:ORG/NAME, streamed; rows that cannot be used are listed, not lost.",
        'hrembed data import table jobs.csv --set "columns={anchor: title, positive: text, group: job_id}"',
    ),
    (app, "split"): (
        "hrembed.commands.data.split:run_split",
        "pairs",
        "Split pairs by group into training, development and test.",
        "Families keep their share on every side; development and test also become retrieval tasks.",
        "hrembed data split run:data-import-onet/latest --set test=0.2",
    ),
    (app, "inspect"): (
        "hrembed.commands.data.inspect:run_inspect",
        "source",
        "Show what is in a set of pairs or a task.",
        "Counts, lengths in tokens, duplicates, languages, group sizes, examples and a plot.",
        "hrembed data inspect run:data-import-onet/latest --set model=minilm",
    ),
    (app, "anonymise"): (
        "hrembed.commands.data.anonymise:run_anonymise",
        "source",
        "Replace personal data by typed placeholders.",
        "E-mail addresses, phone numbers, links, dates of birth and name lines; other rows stay as they are.",
        "hrembed data anonymise profiles.jsonl --set fields=[text]",
    ),
    (app, "restore"): (
        "hrembed.commands.data.restore:run_restore",
        "source",
        "Turn numbered placeholders back.",
        "Takes a run of `data anonymise` with `keep_map: true`, or a file with its placeholders and `map`.",
        "hrembed data restore run:data-anonymise/latest",
    ),
}


def _add_command(place: typer.Typer, name: str, row: tuple[str, str, str, str, str]) -> None:
    function, key, summary, more, example = row
    schema = f"data-import-{name}" if place is imports else f"data-{name}"

    def command(
        source: Source = None,
        config: ConfigFile = None,
        overrides: Set = None,
        runs_dir: RunsDir = Path("runs"),
        as_json: AsJson = False,
        quiet: Quiet = False,
        verbose: Verbose = False,
    ) -> None:
        sets = [*override(key, source), *(overrides or [])]
        run_command(schema, function, config, sets, runs_dir, as_json=as_json, quiet=quiet, verbose=verbose)

    place.command(name, help=f"{summary}\n\n{more}", short_help=summary, epilog=f"Example: {example}")(command)


for (_place, _name), _row in COMMANDS.items():
    _add_command(_place, _name, _row)


@imports.command(
    "ats",
    short_help="Turn an export of an applicant-tracking system into pairs, a task, stimuli and decisions.",
    epilog="Example: hrembed data import ats --jobs jobs.csv --candidates candidates.csv "
    "--applications applications.csv --out data/ats",
)
def ats(
    source: Source = None,
    jobs: Jobs = None,
    candidates: Candidates = None,
    applications: Applications = None,
    out: Out = None,
    config: ConfigFile = None,
    overrides: Set = None,
    runs_dir: RunsDir = Path("runs"),
    as_json: AsJson = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Turn an export of an applicant-tracking system into pairs, a task, stimuli and decisions.

    Columns and statuses are recognised by their usual names. HTML becomes text, names and addresses are taken out, no
    job and no person stands on two sides, and the past decisions are audited.
    """
    sets = [*override("source", source), *override("jobs.path", jobs), *override("candidates.path", candidates)]
    sets += [*override("applications.path", applications), *override("out", out), *(overrides or [])]
    function = "hrembed.commands.data.ats:run_import_ats"
    run_command("data-import-ats", function, config, sets, runs_dir, as_json=as_json, quiet=quiet, verbose=verbose)


@app.command(
    "check",
    short_help="Look for leaks between training pairs and tasks.",
    epilog="Example: hrembed data check pairs.jsonl --against tasks/titles --against tasks/ads --fix",
)
def check(
    train: Source = None,
    against: Against = None,
    personal: Personal = False,
    fix: Fix = False,
    config: ConfigFile = None,
    overrides: Set = None,
    runs_dir: RunsDir = Path("runs"),
    as_json: AsJson = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Look for leaks between training pairs and tasks.

    Tells documents, queries and relevant pairs apart, counts false negatives inside batches, and ends with exit code 3
    when a limit is exceeded. `--fix` writes the cleaned set.
    """
    sets = [*override("train", train), *override("against", against or None)]
    sets += [*override("personal", personal or None), *override("fix", "pairs" if fix else None), *(overrides or [])]
    function = "hrembed.commands.data.check:run_check"
    run_command("data-check", function, config, sets, runs_dir, as_json=as_json, quiet=quiet, verbose=verbose)
