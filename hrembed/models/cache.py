"""Vectors kept on disk, found again by what decides them: the weights, the side, the prompt and the text itself.

Names of models, tasks and files are not part of a key, so two checkpoints under one name, or one text in two tasks,
cannot be mistaken for each other. Vectors are written while a run goes on: one that was interrupted continues.
"""

from __future__ import annotations

import hashlib
import os
import time
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from xxhash import xxh3_64_hexdigest

from hrembed.files import sha256, writing
from hrembed.text import text_digest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from hrembed.types import Floats, Ints, Side

    Keys = npt.NDArray[np.void]  # fields of `_KEY`

_KEY = np.dtype([("first", "<u8"), ("second", "<u8")])
_VERSION = "1"


def text_keys(texts: Sequence[str]) -> Keys:
    """Hash texts to 128 bits, shape (n,), fields `first` and `second`."""
    return np.frombuffer(b"".join(map(text_digest, texts)), dtype=_KEY)


class Locations(NamedTuple):
    """Where the vectors of some keys lie.

    Attributes:
        file: Position of the file in `Shelf.files`, -1 for a key that is not there, shape (n,).
        row: First row within that file, shape (n,).
        rows: Number of rows, shape (n,).
    """

    file: Ints
    row: Ints
    rows: Ints


class Shelf:
    """The vectors of one model, side and prompt: a folder of files that are only ever added.

    A key has one row, or several that lie side by side.

    Args:
        root: Folder of the whole cache.
        identity: Hash of what decides the vectors of a text but its prompt.
        side: Queries and documents never share a vector, since a model may treat them differently.
        prompt: What is put in front of the text.
    """

    def __init__(self, root: Path, identity: str, side: Side, prompt: str) -> None:
        decides = repr((_VERSION, identity, side, prompt))
        self.folder = root / hashlib.sha256(decides.encode("utf-8", "surrogatepass")).hexdigest()[:32]
        self.files: list[Path] = []

    def find(self, keys: Keys) -> Locations:
        """Look up keys; a damaged file is removed, as if it had never been written.

        Args:
            keys: As `text_keys` gives them, shape (n,).
        """
        self.files = sorted(self.folder.glob("*.safetensors"))
        locations = Locations(np.full(len(keys), -1), *(np.zeros(len(keys), dtype=np.int64) for _ in range(2)))
        order = np.argsort(keys["first"], kind="stable")
        sorted_keys = keys[order]
        for number, file in enumerate(self.files):
            of_rows = _read_keys(file)
            if not len(of_rows) or not len(sorted_keys):
                continue
            first = np.concatenate([[0], np.flatnonzero(of_rows[1:] != of_rows[:-1]) + 1])
            in_file, rows = of_rows[first], np.diff(first, append=len(of_rows))
            place = np.minimum(np.searchsorted(sorted_keys["first"], in_file["first"]), len(sorted_keys) - 1)
            # Keys that share their first half lie side by side; two such texts are one in 10^19.
            found = np.flatnonzero(sorted_keys[place] == in_file)
            locations.file[order[place[found]]] = number
            locations.row[order[place[found]]] = first[found]
            locations.rows[order[place[found]]] = rows[found]
        return locations

    def read(self, locations: Locations) -> Iterator[tuple[Ints, Floats]]:
        """Yield the position of each row and the rows, file by file, so that only one file is in memory.

        Args:
            locations: What `find` returned.
        """
        from safetensors.numpy import load_file

        for number in np.unique(locations.file[locations.file >= 0]):
            places = np.flatnonzero(locations.file == number)
            rows = locations.rows[places]
            within = np.arange(rows.sum()) - np.repeat(np.cumsum(rows) - rows, rows)
            chosen = np.repeat(locations.row[places], rows) + within
            yield np.repeat(places, rows), load_file(self.files[number])["vectors"][chosen]

    def add(self, keys: Keys, vectors: Floats) -> None:
        """Write vectors as a new file, whole or not at all.

        Args:
            keys: One for each row, shape (n,); rows of one key lie side by side.
            vectors: Shape (n, dim), float32.

        Raises:
            HrembedError: The file cannot be written.
        """
        _save(self.folder / f"{time.time_ns():020d}-{os.getpid()}.safetensors", keys, vectors)


def _save(file: Path, keys: Keys, vectors: Floats) -> None:
    from safetensors.numpy import save_file

    rows_of_keys = np.stack([keys["first"], keys["second"]], axis=1)
    vectors = np.ascontiguousarray(vectors, dtype=np.float32)
    with writing(file) as part:
        save_file({"keys": rows_of_keys, "vectors": vectors}, part, metadata={"xxh3": _sum(rows_of_keys, vectors)})


def count_keys(root: Path, keys: Keys) -> int:
    """Count the rows that a whole cache holds under some keys, of all models, sides and prompts."""
    return sum(int(np.isin(_comparable(_read_keys(file)), _comparable(keys)).sum()) for file in _files(root))


def forget_keys(root: Path, keys: Keys) -> dict[str, str]:
    """Take the rows of some keys out of a whole cache; nothing else ever removes one.

    Args:
        root: Folder of the whole cache.
        keys: As `text_keys` gives them, shape (n,).

    Returns:
        Path of each file that was written again, below the folder -> its SHA-256; empty for one that is gone.

    Raises:
        HrembedError: A file cannot be written.
    """
    from safetensors.numpy import load_file

    written = {}
    for file in _files(root):
        of_rows = _read_keys(file)
        kept = ~np.isin(_comparable(of_rows), _comparable(keys))
        if kept.all():
            continue
        name = file.relative_to(root).as_posix()
        written[name] = ""
        if kept.any():
            _save(file, of_rows[kept], load_file(file)["vectors"][kept])
            written[name] = sha256(file)
        else:
            file.unlink()
    return written


def _files(root: Path) -> list[Path]:
    return sorted(root.glob("*/*.safetensors"))


def _comparable(keys: Keys) -> npt.NDArray[np.bytes_]:
    """Keys as 32 letters each: NumPy compares no records, and cuts zeros off the end of bytes."""
    return np.array([key.tobytes().hex() for key in keys], dtype="S32")


def _read_keys(file: Path) -> Keys:
    """Keys of a file, none when it is not whole: then it is removed."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="np") as stream:
            rows_of_keys, vectors = stream.get_tensor("keys"), stream.get_tensor("vectors")
            if (stream.metadata() or {}).get("xxh3") == _sum(rows_of_keys, vectors):
                return np.ascontiguousarray(rows_of_keys).view(_KEY)[:, 0]
    except (SafetensorError, OSError):
        pass
    file.unlink(missing_ok=True)
    return np.empty(0, dtype=_KEY)


def _sum(keys: Ints, vectors: Floats) -> str:
    return xxh3_64_hexdigest(keys.tobytes() + xxh3_64_hexdigest(np.ascontiguousarray(vectors).data).encode())
