"""Writing an index: its rows first, in a folder of their own, and then `index.json`, which makes them count."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from hrembed.index.exact import write_exact
from hrembed.index.lexical import FOLDER, write_words
from hrembed.index.open import FILE
from hrembed.records.base import write_record

if TYPE_CHECKING:
    from pathlib import Path

    from hrembed.records.index import Generation, IndexManifest
    from hrembed.types import Floats


class Documents(NamedTuple):
    """Documents to be searched.

    Attributes:
        table: Arrow table with `id`, `text_hash` and the kept columns.
        vectors: Unit rows in its order, shape (n, dim), float32; rows of zeros are allowed.
    """

    table: Any
    vectors: Floats

    @property
    def zero_vectors(self) -> int:
        """How many vectors are zero."""
        return sum(
            int((~part.any(axis=1)).sum()) for part in np.array_split(self.vectors, len(self.vectors) // 50_000 + 1)
        )


def now() -> str:
    """Time in UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def write_rows(folder: Path, generation: Generation, documents: Documents) -> None:
    """Write the rows of a generation into its folder; what a killed process left there is removed first.

    Args:
        folder: The index.
        generation: What `index.json` will say.
        documents: Its documents.

    Raises:
        HrembedError: The system refuses.
    """
    place = folder / generation.folder
    shutil.rmtree(place, ignore_errors=True)
    write_exact(place, documents.table, documents.vectors)
    if generation.lexical:
        texts = [text or "" for text in documents.table[generation.text_column].to_pylist()]
        write_words(place / FOLDER, documents.table["id"].to_pylist(), texts)


def write_manifest(folder: Path, manifest: IndexManifest) -> None:
    """Write `index.json`; from then on readers see its generations, and folders that it does not name are removed.

    Raises:
        HrembedError: The system refuses.
    """
    write_record(folder / FILE, manifest)
    named = {generation.folder for generation in manifest.generations}
    for version in folder.glob("g*/v*"):
        if version.relative_to(folder).as_posix() not in named:
            shutil.rmtree(version, ignore_errors=True)
