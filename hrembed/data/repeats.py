"""Which keys of a long stream come again: kept on disk, so that memory does not grow with the stream."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from xxhash import xxh3_64_intdigest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hrembed.types import Bools

PARTS = 64
_WAITING = 100_000
_RECORD = np.dtype([("key", "u8"), ("value", "u8"), ("position", "i8"), ("number", "i8")])


class Repeat(NamedTuple):
    """A key that came before.

    Attributes:
        position: What was said of it when it was added.
        number: The same.
        first_number: Number of the first entry with this key.
        same: Whether its value is that of the first entry.
    """

    position: int
    number: int
    first_number: int
    same: bool


class Repeats:
    """Hashes of keys and values in files, one for each range of keys; each file fits in memory when its turn comes.

    Two different keys have one 64-bit hash with a probability of about three in a million among ten million.

    Args:
        folder: An empty folder for the files; whoever made it removes it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._waiting: list[tuple[int, int, int, int]] = []

    def add(self, key: str, value: str, position: int, number: int) -> None:
        """Remember one entry."""
        self._waiting.append((_hash(key), _hash(value), position, number))
        if len(self._waiting) == _WAITING:
            self._flush()

    def _flush(self) -> None:
        records = np.array(self._waiting, dtype=_RECORD)
        self._waiting.clear()
        parts = records["key"] % PARTS
        for part in np.unique(parts):
            with (self._folder / f"{part}.bin").open("ab") as stream:
                records[parts == part].tofile(stream)

    def found(self, among: Bools | None = None) -> Iterator[Repeat]:
        """Yield every entry whose key was added before, in the order of the hash.

        Args:
            among: Shape (positions,); entries at positions where it is false count as never added.
        """
        self._flush()
        for file in sorted(self._folder.glob("*.bin")):
            records = np.fromfile(file, dtype=_RECORD)
            if among is not None:
                records = records[among[records["position"]]]
            records = np.sort(records, order=("key", "position"))
            if not len(records):
                continue
            starts = np.flatnonzero(np.diff(records["key"], prepend=records["key"][0] - 1))
            first = records[np.repeat(starts, np.diff(starts, append=len(records)))]
            for n in np.flatnonzero(first["position"] != records["position"]):
                row = records[n]
                same = bool(row["value"] == first[n]["value"])
                yield Repeat(int(row["position"]), int(row["number"]), int(first[n]["number"]), same)


def _hash(text: str) -> int:
    """Not Python's own: that one differs from process to process."""
    return xxh3_64_intdigest(text.encode())
