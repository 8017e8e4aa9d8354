"""`hrembed configs`: prints, reads only what ships and writes nothing."""

from __future__ import annotations

from typing import Annotated

import typer

from hrembed.cli.line_breaks import hanging

_HELP = """List the configs that ship, or print one.

Any of them can be given in place of a file, as `shipped:NAME`; recipes (`recipe/NAME`) are run by
`hrembed finetune --recipe NAME`. To change one, keep a copy of your own:
`hrembed configs finetune/titles > titles.yaml`.
"""

Name = Annotated[str | None, typer.Argument(metavar="[NAME]", help="Such as `finetune/titles`; without it, all names.")]


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    summary, example = _HELP.partition("\n")[0], "hrembed configs finetune/titles > titles.yaml"
    app.command("configs", help=_HELP, short_help=summary, epilog=f"Example: {example}")(_configs)


def _configs(name: Name = None) -> None:
    from hrembed.commands.configs import starter_text
    from hrembed.config.starters import starters

    if name is not None:
        print(starter_text(name), end="")
        return
    found = starters()
    width = max(len(row.name) for row in found) + 2
    for row in found:
        print(hanging(f"{row.name:<{width}}", row.summary))
