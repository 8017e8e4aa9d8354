"""The configs that ship: defaults of the commands, and starting points for the usual jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from hrembed.data.locate import SHIPPED, shipped_root
from hrembed.errors import ConfigError
from hrembed.files import user_path
from hrembed.registry import nearest

if TYPE_CHECKING:
    from pathlib import Path


class Starter(NamedTuple):
    """A config that ships.

    Attributes:
        name: What stands behind `shipped:`, such as `eval` or `finetune/titles`.
        path: The file.
        summary: What it is for: its first comment.
    """

    name: str
    path: Path
    summary: str


def starters() -> list[Starter]:
    """List the configs that ship: first the defaults of the commands, then those of a command's folder, by name."""
    root = shipped_root() / "configs"
    files = [*sorted(root.glob("*.yaml")), *sorted(root.glob("*/**/*.yaml"))]
    return [Starter(file.relative_to(root).with_suffix("").as_posix(), file, _summary(file)) for file in files]


def starter(name: str) -> Starter:
    """Find a config that ships.

    Raises:
        ConfigError: There is none of that name; the hint says how to list them.
    """
    known = {found.name: found for found in starters()}
    wanted = name.removesuffix(".yaml")
    if wanted not in known:
        raise ConfigError(
            f"unknown config '{name}'{nearest(wanted, [*known])}", hint="to list all configs: `hrembed configs`"
        )
    return known[wanted]


def config_file(reference: str | Path) -> Path:
    """Turn `shipped:NAME` into the file that ships; a path stays what it is.

    Raises:
        ConfigError: No config of that name ships.
    """
    text = str(reference)
    return starter(text.removeprefix(SHIPPED)).path if text.startswith(SHIPPED) else user_path(text)


def _summary(file: Path) -> str:
    """First comment below the line for editors."""
    lines = file.read_text(encoding="utf-8").splitlines()
    return next((line.removeprefix("# ") for line in lines[1:] if line.startswith("# ")), "")
