"""`hrembed index ...`: the arguments are the index and the vectors; settings come from `--config` and `--set`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hrembed.cli.common import AsJson, ConfigFile, Quiet, RunsDir, Set, override, run_command

app = typer.Typer(
    help="Build, update and measure an index of vectors; erase from it.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Index = Annotated[str | None, typer.Argument(metavar="INDEX", help="Folder of the index; without it, the config's.")]
Vectors = Annotated[
    str | None, typer.Argument(metavar="VECTORS", help="Folder written by `encode`; without it, the config's.")
]
Ids = Annotated[list[str] | None, typer.Argument(metavar="ID...", help="Ids of the documents to forget.")]
Generation = Annotated[
    str | None, typer.Argument(metavar="GENERATION", help="Name of a generation; without it, the other or newest one.")
]
Out = Annotated[str | None, typer.Option("--out", metavar="FOLDER", help="Folder of the index.")]
Recall = Annotated[bool, typer.Option("--recall", help="Measure recall against comparing all rows again.")]
Bridge = Annotated[
    str | None, typer.Option("--bridge", metavar="MODEL", help="Fit a map for this model's queries; do not switch.")
]


def _run(name: str, config: Path | None, sets: list[str], runs_dir: Path, *, as_json: bool, quiet: bool) -> None:
    function = f"hrembed.commands.index.{name}:run_{name}"
    run_command(f"index-{name}", function, config, sets, runs_dir, as_json=as_json, quiet=quiet)


@app.command(
    "build",
    short_help="Build an index of encoded documents and measure its recall.",
    epilog="Example: hrembed index build vectors --out index --set filters=[country,seniority]",
)
def build(
    shards: Vectors = None,
    out: Out = None,
    config: ConfigFile = None,
    overrides: Set = None,
    runs_dir: RunsDir = Path("runs"),
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Build an index of encoded documents and measure its recall.

    Small ones compare all rows, larger ones are tables of LanceDB. In a folder that is an index already, the vectors
    become a generation beside those that are searched; `index switch` goes there and back.
    """
    sets = [*override("shards", shards), *override("out", out), *(overrides or [])]
    _run("build", config, sets, runs_dir, as_json=as_json, quiet=quiet)


@app.command(
    "update",
    short_help="Add, change and remove rows of an index.",
    epilog="Example: hrembed index update index new-vectors",
)
def update(
    index: Index = None,
    shards: Vectors = None,
    config: ConfigFile = None,
    overrides: Set = None,
    runs_dir: RunsDir = Path("runs"),
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Add, change and remove rows of an index.

    Takes a folder written by `encode`, whole or with `--base`. Whoever was forgotten stays out; afterwards no row is
    without its place in the indices.
    """
    sets = [*override("index", index), *override("shards", shards), *(overrides or [])]
    _run("update", config, sets, runs_dir, as_json=as_json, quiet=quiet)


@app.command(
    "stats",
    short_help="Show what is in an index and how well it is searched.",
    epilog="Example: hrembed index stats index --recall",
)
def stats(
    index: Index = None,
    recall: Recall = False,
    config: ConfigFile = None,
    overrides: Set = None,
    runs_dir: RunsDir = Path("runs"),
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Show what is in an index and how well it is searched.

    Generations, models, rows, rows without an index, size, recall. Exit code 5 where recall is below the limit, rows
    are in no index, or an erasure was not finished.
    """
    sets = [*override("index", index), *override("measure", recall or None), *(overrides or [])]
    _run("stats", config, sets, runs_dir, as_json=as_json, quiet=quiet)


@app.command(
    "forget",
    short_help="Erase people from an index and what it was made of.",
    epilog="Example: hrembed index forget index candidate-17 candidate-42",
)
def forget(
    index: Index = None,
    ids: Ids = None,
    config: ConfigFile = None,
    overrides: Set = None,
    runs_dir: RunsDir = Path("runs"),
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Erase people from an index and what it was made of.

    Every generation, the folders of vectors, cached vectors and kept results of `match`; a tombstone keeps them out of
    later updates. Traces are searched before and after, and the run is the receipt. Repeat the command after a kill.
    """
    sets = [*override("index", index), *override("ids", ids or None), *(overrides or [])]
    _run("forget", config, sets, runs_dir, as_json=as_json, quiet=quiet)


@app.command(
    "switch",
    short_help="Search another generation of an index, or bridge to it.",
    epilog="Example: hrembed index switch index g002",
)
def switch(
    index: Index = None,
    generation: Generation = None,
    bridge: Bridge = None,
    config: ConfigFile = None,
    overrides: Set = None,
    runs_dir: RunsDir = Path("runs"),
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Search another generation of an index, or bridge to it.

    `--bridge MODEL` fits a linear map that lets the queries of a new model search the vectors of the old one while its
    own are being encoded.
    """
    sets = [
        *override("index", index),
        *override("to", generation),
        *override("bridge.model", bridge),
        *(overrides or []),
    ]
    _run("switch", config, sets, runs_dir, as_json=as_json, quiet=quiet)
