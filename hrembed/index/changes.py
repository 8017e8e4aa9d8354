"""What a folder of shards changes in an index: new, changed and removed rows, and those of forgotten people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from hrembed.index.lance import LanceIndex
from hrembed.index.lance_table import delete_ids, partitions_of, purge, upsert
from hrembed.index.open import open_generation, open_index
from hrembed.index.sources import Rows, schema_of
from hrembed.index.writing import now, rewrite_texts, write_rows
from hrembed.records.index import IndexManifest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hrembed.index.open import Index
    from hrembed.index.tombstones import Tombstones
    from hrembed.records.index import Generation
    from hrembed.shards.reading import ShardSet


class Changes(NamedTuple):
    """Rows by what happens to them.

    Attributes:
        added: Ids that the index does not hold.
        changed: Ids whose text or kept cells are others now.
        removed: Ids that go.
        unchanged: How many stay as they are.
        kept_out: How many belong to people who were forgotten.
    """

    added: frozenset[str]
    changed: frozenset[str]
    removed: frozenset[str]
    unchanged: int
    kept_out: int


def held_hashes(index: Index) -> dict[str, bytes]:
    """What an index holds: id to the hash of its row."""
    table = index.columns(["id", "row_hash"])
    return dict(zip(table["id"].to_pylist(), table["row_hash"].to_pylist(), strict=True))


def compare(index: Index, shards: ShardSet, tombstones: Tombstones, *, replace: bool) -> Changes:
    """Find what a folder of shards changes.

    Args:
        index: What it changes.
        shards: The folder: a delta, which lists what it removes, or whole.
        tombstones: Who was forgotten.
        replace: Whether rows go that a whole folder does not have.

    Raises:
        DataError: The rows cannot be read, or do not fit.
    """
    held = held_hashes(index)
    rows = Rows(shards, index.generation.columns, tombstones)
    added, changed, seen = set(), set(), set()
    for batch in rows:
        for document, row_hash in zip(batch["id"].to_pylist(), batch["row_hash"].to_pylist(), strict=True):
            seen.add(document)
            if document not in held:
                added.add(document)
            elif held[document] != row_hash:
                changed.add(document)
    removed = {document for document in shards.manifest.removed_ids if document in held}
    removed |= {document for document in held if document in tombstones}
    if replace:
        removed |= held.keys() - seen
    unchanged = len(seen) - len(added) - len(changed)
    return Changes(frozenset(added), frozenset(changed), frozenset(removed), unchanged, rows.kept_out)


def apply(
    folder: Path, generation: Generation, shards: ShardSet | None, changes: Changes, tombstones: Tombstones
) -> Generation:
    """Write changes, bring new rows into all indices, and leave nothing of the old ones on the disk.

    Args:
        folder: The index.
        generation: What is changed.
        shards: Where added and changed rows come from; None where there are none.
        changes: What is changed.
        tombstones: Who was forgotten.

    Returns:
        The generation as `index.json` must say it now.

    Raises:
        HrembedError: The system refuses.
    """
    index = open_index(folder, generation.name)
    schema = schema_of(generation.columns, generation.space.dim)
    written = changes.added | changes.changed
    fresh = _fresh(Rows(shards, generation.columns, tombstones), written) if shards and written else iter(())
    if isinstance(index, LanceIndex):
        if written:
            upsert(index.table, fresh, schema)
        delete_ids(index.table, sorted(changes.removed))
        purge(index.table)
        rewrite_texts(folder, generation)
        after = generation.model_copy(update={"partitions": partitions_of(index.table)})
    else:
        after = generation.model_copy(update={"version": generation.version + 1})
        write_rows(folder, after, _both(index, changes.removed | changes.changed, fresh, schema), schema)
    return recounted(folder, after.model_copy(update={"changed": now()}))


def _fresh(rows: Rows, wanted: frozenset[str]) -> Iterator[Any]:
    import pyarrow as pa

    for batch in rows:
        chosen = batch.filter(pa.array([document in wanted for document in batch["id"].to_pylist()]))
        if chosen.num_rows:
            yield chosen


def _both(index: Index, without: frozenset[str], fresh: Iterator[Any], schema: Any) -> Iterator[Any]:
    import pyarrow as pa

    for batch in index.batches(schema):
        yield batch.filter(pa.array([document not in without for document in batch["id"].to_pylist()]))
    yield from fresh


def recounted(folder: Path, generation: Generation) -> Generation:
    """Count the rows that are there, and those without a direction."""
    index = open_generation(folder, IndexManifest(current=generation.name, generations=(generation,)), generation)
    zero = sum(int((~block.vectors.any(axis=1)).sum()) for block in index.blocks())
    return generation.model_copy(update={"rows": index.count(), "zero_vectors": zero})
