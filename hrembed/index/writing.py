"""Writing an index: its rows first, in a folder of their own, and then `index.json`, which makes them count."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from hrembed.files import writing
from hrembed.index.exact import write_exact
from hrembed.index.lance_table import TABLE, create_table, partitions_of
from hrembed.index.lexical import FOLDER, write_words
from hrembed.index.open import FILE, open_index
from hrembed.records.base import write_record
from hrembed.version import __version__, version_of

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from hrembed.records.index import Backend, Generation, IndexManifest


def now() -> str:
    """Time in UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def versions(backend: Backend) -> dict[str, str]:
    """Versions of what writes an index."""
    engine = {"lance": version_of("pylance") or ""} if backend == "lancedb" else {}
    return {"hrembed": __version__, "numpy": np.__version__, **engine}


def write_rows(folder: Path, generation: Generation, batches: Iterable[Any], schema: Any) -> int:
    """Write the rows of a generation into its folder; what a killed process left there is removed first.

    Args:
        folder: The index.
        generation: What `index.json` will say.
        batches: Record batches, read once.
        schema: Theirs.

    Returns:
        Partitions of the vector index; 0 where all rows are compared.

    Raises:
        HrembedError: The system refuses.
    """
    import pyarrow as pa

    place = folder / generation.folder
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    partitions = 0
    if generation.backend == "lancedb":
        table = create_table(place / TABLE, batches, schema, generation.filters)
        partitions = partitions_of(table)
        kept = table.to_table(columns=["id", generation.text_column]) if generation.lexical else None
    else:
        whole = pa.Table.from_batches(batches, schema)
        vectors = whole["vector"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
        kept = whole.drop_columns(["vector"])
        write_exact(place, kept, vectors.reshape(whole.num_rows, generation.space.dim))
    if generation.lexical:
        write_texts(place, kept, generation)
    return partitions


def write_texts(place: Path, table: Any, generation: Generation) -> None:
    """Weigh the words of all texts again, so that nobody's words stay who is gone.

    Args:
        place: Folder of the rows.
        table: Arrow table with `id` and the text.
        generation: Whose they are.

    Raises:
        HrembedError: The system refuses.
    """
    texts = [text or "" for text in table[generation.text_column].to_pylist()]
    with writing(place / FOLDER) as part:
        write_words(part, table["id"].to_pylist(), texts)


def rewrite_texts(folder: Path, generation: Generation) -> None:
    """The same from the rows of a table of LanceDB as they are now."""
    from hrembed.index.lance import LanceIndex

    index = open_index(folder, generation.name)
    if generation.lexical and isinstance(index, LanceIndex):
        write_texts(
            folder / generation.folder, index.table.to_table(columns=["id", generation.text_column]), generation
        )


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
    for generation in folder.glob("g*"):
        if generation.name not in {each.name for each in manifest.generations}:
            shutil.rmtree(generation, ignore_errors=True)


def replaced(manifest: IndexManifest, changed: Generation) -> IndexManifest:
    """Put a generation in place of the one of its name."""
    generations = tuple(changed if each.name == changed.name else each for each in manifest.generations)
    return manifest.model_copy(update={"generations": generations})
