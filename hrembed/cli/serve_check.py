"""`hrembed serve-check`: the argument is the server; settings come from `--config` and `--set`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from hrembed.cli.common import AsJson, ConfigFile, Quiet, RunsDir, Set, run_command

_HELP = """Check that an embedding server gives a model's vectors.

Text Embeddings Inference, OpenVINO Model Server, vLLM, anything with OpenAI's `/v1/embeddings`. Pooling, prompts,
length limits, order, batches, then nDCG through the server; exit code 5 and the cause where vectors differ.
"""

Url = Annotated[str | None, typer.Argument(metavar="[URL]", help="Of the server, usually ending in /v1.")]
Model = Annotated[
    str | None, typer.Option("--model", metavar="REF", help="The model that it should run, as in other commands.")
]
Name = Annotated[str | None, typer.Option("--name", help="Name of the model on the server, where it has several.")]
Accept = Annotated[
    bool, typer.Option("--accept", help="Accept the model behind the name as it is now; without --model, only that.")
]


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    summary = _HELP.partition("\n")[0]
    example = "Example: hrembed serve-check http://127.0.0.1:8080/v1 --model run:latest"
    app.command("serve-check", help=_HELP, short_help=summary, epilog=example)(_serve_check)


def _serve_check(
    url: Url = None,
    model: Model = None,
    name: Name = None,
    accept: Accept = False,
    config: ConfigFile = None,
    overrides: Set = None,
    runs_dir: RunsDir = Path("runs"),
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    given = {"endpoint.base_url": url, "model.ref": model, "name": name}
    sets = [f"{key}={json.dumps(value)}" for key, value in given.items() if value is not None]
    sets += ["model=null"] if accept and model is None else []
    run_command(
        "serve-check",
        "hrembed.commands.serve_check.run:run_serve_check",
        config,
        [*sets, *(overrides or [])],
        runs_dir,
        as_json=as_json,
        quiet=quiet,
        accept=accept,
    )
