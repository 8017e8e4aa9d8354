"""The files of a published release, read where they are: in a folder or inside a ZIP that is never unpacked."""

from __future__ import annotations

import gzip
import lzma
import stat
import zipfile
import zlib
from contextlib import contextmanager
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING, BinaryIO

from hrembed.data.cells import Problem
from hrembed.data.columns import Names
from hrembed.data.layout import look_at
from hrembed.data.rows import SAMPLE, csv_rows, read_rows
from hrembed.errors import DataError
from hrembed.files import files_below
from hrembed.text import normalise

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from hrembed.data.cells import Row
    from hrembed.data.layout import Form

MAX_UNPACKED = 4 * 2**30
_UNREADABLE = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, OSError, EOFError, NotImplementedError)


class Release:
    """A folder or ZIP whose files are found by name, wherever in it they lie.

    Args:
        path: The folder or the ZIP.

    Raises:
        DataError: Nothing is there, it is no ZIP, or the ZIP holds entries that no honest archive has.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._members = _zip_members(path) if path.is_file() else _folder_members(path)

    @property
    def names(self) -> list[str]:
        """Names of the files, as the release writes them."""
        return [Path(members[0]).name for members in self._members.values()]

    def find(self, *names: str) -> str | None:
        """Return the first of these file names that the release holds; case does not matter."""
        return next((name for name in names if name.lower() in self._members), None)

    def need(self, *names: str) -> str:
        """Return the first of these file names that the release holds.

        Raises:
            DataError: It holds none of them.
        """
        name = self.find(*names)
        if name is None:
            listed = ", ".join(sorted(Path(members[0]).name for members in self._members.values())[:12]) or "nothing"
            wanted = " or ".join(f"'{name}'" for name in names)
            raise DataError(f"'{self.path}' does not contain {wanted}; found: {listed}")
        return name

    def rows(
        self, name: str, wanted: Sequence[str], form: Form, *, filled: Sequence[str] = (), unique: str = ""
    ) -> Iterator[Mapping[str, str]]:
        """Yield the rows of a delimited file; a release is taken whole, so a broken row is an error.

        Args:
            name: What `find` or `need` gave.
            wanted: Columns that must be there.
            form: Details of the file.
            filled: Those of them in which every row must hold a word.
            unique: The one of them that never holds the same twice.

        Raises:
            DataError: A column is missing or a row is broken; the message names file, row and column.
        """
        members = self._members[name.lower()]
        if len(members) > 1:
            raise DataError(
                f"'{self.path}' contains several files '{name}': {', '.join(members)}", hint="specify a single release"
            )
        (member,) = members
        if not self.path.is_file():
            yield from _strict(read_rows(Path(member), wanted, form), member, filled, unique)
            return
        label = f"{self.path}/{member}"
        names = Names(label, wanted, {}, {})
        with _opened(self.path, member) as stream:
            layout = look_at(stream.read(SAMPLE), label, form, names)
        with _opened(self.path, member) as stream:
            yield from _strict(csv_rows(stream, label, names, form, layout), label, filled, unique)


def _strict(
    rows: Iterator[Row | Problem], label: str, filled: Sequence[str], unique: str
) -> Iterator[Mapping[str, str]]:
    numbers: dict[str, int] = {}
    for row in rows:
        if isinstance(row, Problem):
            raise DataError(f"{label}:{row}")
        for column in filled:
            if not normalise(row.values[column]):
                raise DataError(f"{label}:{row.number}: column '{column}': must not be empty")
        if unique:
            key = row.values[unique]
            first = numbers.setdefault(key, row.number)
            if first != row.number:
                raise DataError(
                    f"{label}:{row.number}: column '{unique}': duplicate value '{key}' (first in row {first})"
                )
        yield row.values


def _by_name(members: Iterable[str]) -> dict[str, list[str]]:
    """File name in lower case to the members of that name."""
    by_name: dict[str, list[str]] = {}
    for member in members:
        by_name.setdefault(Path(member).name.lower(), []).append(member)
    return by_name


def _folder_members(path: Path) -> dict[str, list[str]]:
    if not path.is_dir():
        raise DataError(f"'{path}' does not exist", hint="specify the folder or the ZIP file of the release")
    return _by_name(str(file) for file in files_below(path))


def _zip_members(path: Path) -> dict[str, list[str]]:
    try:
        with zipfile.ZipFile(path) as archive:
            entries = [entry for entry in archive.infolist() if not entry.is_dir()]
    except (*_UNREADABLE, ValueError) as err:
        hint = "if you downloaded it, delete it and run the command again"
        raise DataError(f"'{path}' is not a valid ZIP archive: {err}", hint=hint) from None
    for entry in entries:
        reason = _suspicious(entry)
        if reason:
            raise DataError(f"'{path}': entry '{entry.filename}' {reason}; nothing was extracted")
    if sum(entry.file_size for entry in entries) > MAX_UNPACKED:
        raise DataError(f"'{path}' would expand to more than {MAX_UNPACKED // 2**30} GiB; nothing was extracted")
    return _by_name(entry.filename for entry in entries)


def _suspicious(entry: zipfile.ZipInfo) -> str:
    """Say what is wrong with an entry; entries are only read, but such an archive is not to be trusted."""
    posix, windows = PurePosixPath(entry.filename), PureWindowsPath(entry.filename)
    if posix.is_absolute() or windows.drive or windows.root or ".." in (*posix.parts, *windows.parts):
        return "points outside the archive"
    if stat.S_ISLNK(entry.external_attr >> 16):
        return "is a symbolic link"
    return "is encrypted" if entry.flag_bits & 1 else ""


@contextmanager
def _opened(path: Path, member: str) -> Iterator[BinaryIO]:
    try:
        with zipfile.ZipFile(path) as archive, archive.open(member) as stream:
            if not member.endswith(".gz"):
                yield stream  # type: ignore[misc]
                return
            with gzip.open(stream) as unpacked:
                yield unpacked  # type: ignore[misc]
    except _UNREADABLE as err:
        raise DataError(f"'{path}/{member}' cannot be read: {err}") from None
