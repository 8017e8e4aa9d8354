"""`hrembed configs`: prints, reads only what ships and writes nothing."""

from __future__ import annotations

import shutil
import textwrap
from typing import Annotated

import typer

_HELP = """List the configs that ship, or print one.

Any of them can be given in place of a file, as `shipped:NAME`. To change one, keep a copy of your own:
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
    columns = min(shutil.get_terminal_size().columns, 120)
    for row in found:
        lines = textwrap.wrap(row.summary, max(columns - width, 30))
        print(f"{row.name:<{width}}" + f"\n{'':<{width}}".join(lines))
