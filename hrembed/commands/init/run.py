"""What a project changes in a folder, and writing it."""

from __future__ import annotations

from difflib import unified_diff
from typing import TYPE_CHECKING, Literal, NamedTuple

from hrembed.errors import ConfigError
from hrembed.files import write_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_LINES = 40  # of a difference that are shown

State = Literal["new", "same", "other"]


class Change(NamedTuple):
    """A file of a project, and what is there now.

    Attributes:
        name: Path inside of the folder.
        text: What `init` would write.
        state: `new` where there is none, `same`, or `other` where another text stands there.
        difference: What would change in it, as `diff -u` writes it; at most 40 lines.
    """

    name: str
    text: str
    state: State
    difference: Sequence[str] = ()


def changes(folder: Path, files: Mapping[str, str]) -> list[Change]:
    """Compare the files of a project with what lies in the folder.

    Raises:
        ConfigError: Something that is no file stands in the place of one, or a file cannot be read.
    """
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"'{folder}' is a file, not a folder", hint="specify the project folder")
    return [_change(folder / name, name, text) for name, text in files.items()]


def _change(path: Path, name: str, text: str) -> Change:
    if path.is_dir():
        raise ConfigError(f"'{path}' is a folder, but `init` needs to write a file there", hint="choose another folder")
    try:
        now = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return Change(name, text, "new")
    except (OSError, UnicodeDecodeError) as err:
        raise ConfigError(f"'{path}' cannot be read: {err}", hint="move it, or choose another folder") from None
    if now == text:
        return Change(name, text, "same")
    lines = [*unified_diff(now.splitlines(), text.splitlines(), f"{name} (yours)", f"{name} (init)", lineterm="")]
    more = [f"... and {len(lines) - _LINES} more lines"] if len(lines) > _LINES else []
    return Change(name, text, "other", [*lines[:_LINES], *more])


def write_project(folder: Path, wanted: Sequence[Change]) -> None:
    """Write files of a project.

    Raises:
        HrembedError: The folder cannot be written.
    """
    for change in wanted:
        write_text(folder / change.name, change.text)
