"""`hrembed encode`: the argument is the data; settings come from `--config` and `--set`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hrembed.cli.common import AsJson, ConfigFile, Quiet, RunsDir, Set, Verbose, override, run_command
from hrembed.errors import ConfigError

_HELP = """Embed a table once; what was stopped goes on where it was.

INPUT is JSONL, CSV or Parquet, a folder of them, a URL of object storage, hf:ORG/NAME, or a database
(postgresql+psycopg://USER@HOST/NAME with --query; the password comes from the environment). Every row needs an id and a
text. What is planned stands in plan.json before anything is encoded; a run that was stopped goes on at its shard, and
manifest.json comes last. Local processes and Ray write the same bytes.

hrembed encode profiles.csv --id candidate_id --text profile --keep country --keep years:int --out vectors

hrembed encode profiles.parquet --model run:latest --dtype float16 --anonymise --dry-run

hrembed encode export.jsonl --out vectors-december --base vectors-november

hrembed encode --verify vectors
"""

Input = Annotated[str | None, typer.Argument(metavar="INPUT", help="What is encoded; without it, the config's.")]
Out = Annotated[str | None, typer.Option("--out", metavar="FOLDER", help="Folder of the vectors, or a URL of fsspec.")]
Model = Annotated[str | None, typer.Option("--model", metavar="REF", help="Model, for example minilm or run:latest.")]
Side = Annotated[str | None, typer.Option("--side", metavar="SIDE", help="document (default) or query.")]
Id = Annotated[str | None, typer.Option("--id", metavar="COLUMN", help="Column of the ids.")]
Text = Annotated[str | None, typer.Option("--text", metavar="COLUMN", help="Column of the texts.")]
Keep = Annotated[
    list[str] | None,
    typer.Option(
        "--keep", metavar="COLUMN", help="Keep a column beside the vectors, as NAME or NAME:TYPE; repeatable."
    ),
]
Query = Annotated[str | None, typer.Option("--query", metavar="SELECT", help="What is read of a database.")]
Dtype = Annotated[str | None, typer.Option("--dtype", metavar="TYPE", help="float32, float16 or int8.")]
Dimensions = Annotated[
    int | None, typer.Option("--dimensions", metavar="N", help="Keep the first N numbers (Matryoshka models).")
]
Anonymise = Annotated[bool, typer.Option("--anonymise", help="Replace personal data before embedding.")]
Base = Annotated[
    str | None, typer.Option("--base", metavar="FOLDER", help="Encode only what is new or changed since this folder.")
]
Engine = Annotated[str | None, typer.Option("--engine", metavar="ENGINE", help="local or ray.")]
Workers = Annotated[int | None, typer.Option("--workers", metavar="N", help="Processes, or actors of Ray.")]
RayAddress = Annotated[
    str | None, typer.Option("--ray-address", metavar="ADDRESS", help="Cluster to join: HOST:PORT or auto.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Encode 200 rows; print hours, bytes and shards for all.")]
Verify = Annotated[
    str | None, typer.Option("--verify", metavar="FOLDER", help="Check a finished folder; encode 100 rows again.")
]


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    summary, example = _HELP.partition("\n")[0], "hrembed encode profiles.jsonl --out vectors --keep country"
    app.command("encode", help=_HELP, short_help=summary, epilog=f"Example: {example}")(_encode)


def _encode(
    source: Input = None,
    out: Out = None,
    model: Model = None,
    side: Side = None,
    id_column: Id = None,
    text_column: Text = None,
    keep: Keep = None,
    query: Query = None,
    dtype: Dtype = None,
    dimensions: Dimensions = None,
    anonymise: Anonymise = False,
    base: Base = None,
    engine: Engine = None,
    workers: Workers = None,
    ray_address: RayAddress = None,
    dry_run: DryRun = False,
    verify: Verify = None,
    config: ConfigFile = None,
    overrides: Set = None,
    runs_dir: RunsDir = Path("runs"),
    as_json: AsJson = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    given = {
        "input": source,
        "out": out,
        "model" if (model or "").endswith((".yaml", ".yml")) else "model.ref": model,
        "model.dimensions": dimensions,
        "side": side,
        "columns.id": id_column,
        "columns.text": text_column,
        "keep": keep or None,
        "query": query,
        "dtype": dtype,
        "anonymise": anonymise or None,
        "base": base,
        "engine": "ray" if ray_address is not None and engine is None else engine,
        "workers": workers,
        "ray.address": ray_address,
    }
    sets = [text for key, value in given.items() for text in override(key, value)] + (overrides or [])
    if verify is not None and (dry_run or source is not None):
        raise ConfigError("`--verify FOLDER` takes no INPUT and no `--dry-run`; the plan of the folder names its input")
    function, options = "hrembed.commands.encode.run:run_encode", dict[str, str]()
    if verify is not None:
        function, options = "hrembed.commands.encode.verify:run_verify", {"folder": verify}
    elif dry_run:
        function = "hrembed.commands.encode.estimate:run_dry"
    run_command("encode", function, config, sets, runs_dir, as_json=as_json, quiet=quiet, verbose=verbose, **options)
