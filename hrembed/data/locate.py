"""Where data comes from: the user's path, or what ships with hrembed."""

from __future__ import annotations

import os
from pathlib import Path

from hrembed.errors import DataError
from hrembed.files import exists, instead_of, user_path

SHIPPED = "shipped:"
_PACKAGE = Path(__file__).resolve().parent.parent


def shipped_root() -> Path:
    """Folder that holds `configs` and `data`: inside the installed package, or the checkout."""
    inside = _PACKAGE / "shipped"
    return inside if inside.is_dir() else _PACKAGE.parent


def is_shipped(path: Path) -> bool:
    """Whether a file is one of the data that ships."""
    return path.is_relative_to(shipped_root() / "data")


def locate(reference: str) -> Path:
    """Turn `shipped:NAME` or a path into a path that exists.

    Raises:
        DataError: Nothing is there.
    """
    if not reference.strip():
        raise DataError("path is empty", hint="specify a file or a folder; `.` is the current directory")
    if reference.startswith(SHIPPED):
        path = shipped_root() / "data" / reference.removeprefix(SHIPPED)
    else:
        path = user_path(reference)
    if not exists(path):
        hint = instead_of(path)
        if reference.startswith(SHIPPED):
            hint = hint.replace(f"'{shipped_root() / 'data'}{os.sep}", f"'{SHIPPED}")
        raise DataError(f"'{reference}' does not exist", hint=hint)
    return path


def named(path: Path) -> Path:
    """Return a path whose last parts are names: `.`, `..` and a bare `pairs.jsonl` lack them."""
    return Path(os.path.abspath(path))  # noqa: PTH100 - `resolve` would follow links
