"""Where shards lie: a folder on a disk, or a prefix in object storage; the same few verbs for both."""

from __future__ import annotations

import errno
import os
import socket
from abc import ABC, abstractmethod
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hrembed.errors import DataError, HrembedError, raised_here
from hrembed.files import cannot_write, user_path

if TYPE_CHECKING:
    from collections.abc import Iterator

_PART = ".part"


def is_url(reference: str) -> bool:
    """Whether a reference names a store by its protocol, as `s3://bucket/prefix` does."""
    return "://" in reference


def open_folder(reference: str | Path) -> Folder:
    """Open a folder of shards; nothing has to be there yet.

    Args:
        reference: A path, or a URL of fsspec. Keys of a store come from its environment or from fsspec's own config.

    Raises:
        DataError: The protocol is unknown, or its package is not installed.
    """
    text = str(reference)
    if not is_url(text):
        return LocalFolder(user_path(text))
    from fsspec.core import url_to_fs
    from fsspec.implementations.local import LocalFileSystem

    try:
        system, root = url_to_fs(text)
    except (ImportError, ValueError) as err:
        raise DataError(
            f"'{text}' cannot be opened: {err}", hint="install the package that is named, or use a path"
        ) from None
    return LocalFolder(Path(root)) if isinstance(system, LocalFileSystem) else RemoteFolder(system, root, text)


class Folder(ABC):
    """A flat set of named files.

    Attributes:
        reference: What the user calls it.
    """

    reference: str

    @abstractmethod
    def names(self) -> set[str]:
        """Names of all whole files; none where the folder is not there."""

    @abstractmethod
    def read(self, name: str) -> bytes:
        """Read a file.

        Raises:
            FileNotFoundError: It is not there.
        """

    @abstractmethod
    def write(self, name: str, content: bytes) -> None:
        """Write a file whole or not at all; whatever had the name is replaced.

        Raises:
            HrembedError: The system refuses.
        """

    @abstractmethod
    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other writers out while the block runs.

        Raises:
            HrembedError: Somebody else writes.
        """
        yield


class LocalFolder(Folder):
    """A folder on a disk."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.reference = str(path)

    def names(self) -> set[str]:
        """Names of all whole files; none where the folder is not there."""
        with suppress(FileNotFoundError, NotADirectoryError):
            return {item.name for item in self.path.iterdir() if item.is_file() and not item.name.endswith(_PART)}
        return set()

    def read(self, name: str) -> bytes:
        """Read a file."""
        return (self.path / name).read_bytes()

    def write(self, name: str, content: bytes) -> None:
        """Write a file beside its place, force it to the disk, and put it in place."""
        # Workers of a run that was killed may still write: each has a name of its own.
        part = self.path / f"{name}.{socket.gethostname()}-{os.getpid()}{_PART}"
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            with part.open("wb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            part.replace(self.path / name)
        except OSError as err:
            with suppress(OSError):
                part.unlink()
            raise cannot_write(self.path / name, err) from err

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""
        (self.path / name).unlink(missing_ok=True)

    def remove_parts(self) -> None:
        """Remove what killed writers left; one that still writes fails, and whoever runs now writes its shard."""
        for part in self.path.glob(f"*{_PART}"):
            part.unlink(missing_ok=True)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold a lock that the system releases when its holder dies."""
        from filelock import FileLock, Timeout

        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.path / ".lock", timeout=0)
            lock.acquire()
        except Timeout:
            raise HrembedError(
                f"another run is writing to '{self.path}'", hint="wait for it, or choose another folder with `--out`"
            ) from None
        except OSError as err:
            if err.errno in {errno.EEXIST, errno.ENOTDIR}:
                raise DataError(
                    f"'{self.path}' is a file, not a folder", hint="choose another folder with `--out`"
                ) from None
            raise cannot_write(self.path, err) from err
        try:
            yield
        finally:
            lock.release()
            with suppress(OSError):
                (self.path / ".lock").unlink()


class RemoteFolder(Folder):
    """A prefix in a store that fsspec knows."""

    def __init__(self, system: Any, root: str, reference: str) -> None:
        self._system, self._root = system, root.rstrip("/")
        self.reference = reference.rstrip("/")
        self._is_there = False

    @contextmanager
    def _asking(self, name: str) -> Iterator[str]:
        try:
            yield f"{self._root}/{name}" if name else self._root
        except FileNotFoundError:
            raise
        except Exception as err:  # each store has errors of its own
            if raised_here(err):
                raise
            if not self._is_known(name):
                raise FileNotFoundError(name) from None
            raise HrembedError(
                f"'{self.reference}/{name}': {type(err).__name__}: {str(err)[:200]}",
                hint="check the address and the keys of the store",
            ) from err

    def _is_known(self, name: str) -> bool:
        """Whether a file is there: stores without an error of their own for a missing one are asked."""
        try:
            self._system.invalidate_cache()
            return bool(self._system.exists(f"{self._root}/{name}" if name else self._root))
        except Exception:  # then the first error is the one to tell
            return True

    def names(self) -> set[str]:
        """Names of all files; none where the prefix is not there."""
        with suppress(FileNotFoundError), self._asking("") as path:
            self._system.invalidate_cache()
            found = self._system.ls(path, detail=True)
            return {item["name"].rpartition("/")[2] for item in found if item["type"] == "file"}
        return set()

    def read(self, name: str) -> bytes:
        """Read a file."""
        with self._asking(name) as path:
            content: bytes = self._system.cat_file(path)
            return content

    def write(self, name: str, content: bytes) -> None:
        """Put a file under its final name, which a store does whole or not at all."""
        with self._asking(name) as path:
            if not self._is_there:  # stores with real folders need one
                self._system.makedirs(self._root, exist_ok=True)
                self._is_there = True
            self._system.pipe_file(path, content)

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""
        with suppress(FileNotFoundError), self._asking(name) as path:
            self._system.rm_file(path)
