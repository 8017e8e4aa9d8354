"""`hrembed schema`: prints, reads and writes nothing."""

from __future__ import annotations

from typing import Annotated

import typer

_HELP = """Print the JSON Schema of a config, or of a command's numbers.

Editors complete keys and show what they mean where a config names its schema in the first line, as the starter configs
do: `# yaml-language-server: $schema=eval.schema.json`.
"""

Name = Annotated[
    str | None, typer.Argument(metavar="[NAME]", help="Such as `eval`, or `project` for hrembed.yaml; else all names.")
]
Metrics = Annotated[bool, typer.Option("--metrics", help="Describe `metrics.json` in place of the config.")]


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    summary, example = _HELP.partition("\n")[0], "hrembed schema eval > eval.schema.json"
    app.command("schema", help=_HELP, short_help=summary, epilog=f"Example: {example}")(_schema)


def _schema(name: Name = None, metrics: Metrics = False) -> None:
    from hrembed.commands.schema import names, schema_text

    print("\n".join(names(metrics=metrics)) if name is None else schema_text(name, metrics=metrics))
