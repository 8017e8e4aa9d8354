"""Rows out of a finished folder of shards: plan, the files that hold them, and the manifest are written again."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hrembed.errors import DataError
from hrembed.shards.plan import MANIFEST, entry_of, read_plan, write_record
from hrembed.shards.plan import PLAN as PLAN_FILE
from hrembed.shards.reading import open_shards
from hrembed.shards.shard import (
    OWN_COLUMNS,
    ShardRows,
    content_matches,
    numbers_of,
    parse_shard,
    rows_hash,
    vectors_hash,
    write_shard,
)
from hrembed.text import text_digest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import pyarrow as pa

    from hrembed.records.encode import BaseShards, EncodeManifest, EncodePlan, ShardEntry, ShardFooter, ShardPlan
    from hrembed.shards.reading import ShardSet
    from hrembed.types import Ints

_NO_TEXT = text_digest("")


class ErasedRows(NamedTuple):
    """What was erased from a folder.

    Attributes:
        files: Name of each file that was written again -> its SHA-256; none where nothing had to be.
        before: Hash of the manifest before.
        after: Hash of the manifest now.
    """

    files: dict[str, str]
    before: str
    after: str


class _Held(NamedTuple):
    """A shard as it lies there, which may be newer than the manifest where an erasure was killed."""

    entry: ShardEntry
    table: pa.Table
    footer: ShardFooter


def rows_with(shards: ShardSet, ids: Sequence[str]) -> list[pa.Table]:
    """Rows of some ids, with their kept columns and stored vectors, one table for each shard that has some.

    Raises:
        DataError: A shard is missing or damaged.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    wanted = pa.array(ids, pa.string())
    found = (held.table.filter(pc.is_in(held.table.column("id"), value_set=wanted)) for held in _shards(shards))
    return [table for table in found if len(table)]


def traces_in(shards: ShardSet, ids: Sequence[str]) -> int:
    """Count what a folder holds of some ids: rows, and entries of the lists of removed ids."""
    gone = set(ids)
    return sum(map(len, rows_with(shards, ids))) + sum(each in gone for each in _listed(shards))


def erase_rows(reference: str, ids: Sequence[str], new_bases: Mapping[str, str]) -> ErasedRows:
    """Write a folder of shards again without the rows of some ids.

    The plan goes first and leaves them out as well, so that `encode` does not take the shards for damaged; the manifest
    goes last. After a kill in the midst, the same call finishes it.

    Args:
        reference: The folder, or a URL of fsspec.
        ids: Whose rows go.
        new_bases: Hash of the manifest of a folder that was erased from before -> its hash now, for deltas upon it.

    Raises:
        DataError: It is no finished folder, or damaged.
        HrembedError: The system refuses.
    """
    shards = open_shards(reference)
    folder, manifest, gone = shards.folder, shards.manifest, set(ids)
    base = _new_base(manifest.base, new_bases)
    held = list(_shards(shards)) if _is_touched(shards, gone) or base != manifest.base else []
    if not held:
        return ErasedRows({}, shards.sha256, shards.sha256)
    with folder.locked():
        plan = read_plan(folder)
        if plan is not None:
            write_record(folder, PLAN_FILE, _without(plan, held, gone, base))
        entries, files = [], {}
        for number, shard in enumerate(held):
            written = _written(shards, shard, gone)
            entries.append(written)
            if written != manifest.shards[number]:
                files[written.name] = written.sha256
        write_record(folder, MANIFEST, _counted(manifest, entries, held, gone, base))
    return ErasedRows(files, shards.sha256, open_shards(reference).sha256)


def _listed(shards: ShardSet) -> tuple[str, ...]:
    plan = read_plan(shards.folder)
    return (*shards.manifest.removed_ids, *(plan.removed_ids if plan else ()))


def _is_touched(shards: ShardSet, gone: set[str]) -> bool:
    """Whether a folder holds one of the ids, or files that an erasure left which was killed."""
    if gone.intersection(_listed(shards)):
        return True
    for held, entry in zip(_shards(shards), shards.manifest.shards, strict=True):
        if held.entry != entry or gone.intersection(held.table.column("id").to_pylist()):
            return True
    return False


def _shards(shards: ShardSet) -> Iterator[_Held]:
    for entry in shards.manifest.shards:
        where = f"{shards.folder.reference}/{entry.name}"
        try:
            content = shards.folder.read(entry.name)
        except FileNotFoundError:
            raise DataError(f"'{where}' is missing", hint="repeat the `encode` command that wrote the folder") from None
        table, footer = parse_shard(content, where)
        if hashlib.sha256(content).hexdigest() != entry.sha256 and not content_matches(table, footer):
            raise DataError(f"'{where}' is damaged", hint="repeat the `encode` command that wrote the folder")
        yield _Held(entry_of(entry.name, content, len(table)), table, footer)


def _kept(table: pa.Table, gone: set[str]) -> Ints:
    return np.flatnonzero([each not in gone for each in table.column("id").to_pylist()])


def _written(shards: ShardSet, held: _Held, gone: set[str]) -> ShardEntry:
    """Write one shard without the rows, where it has some."""
    kept = _kept(held.table, gone)
    if len(kept) == len(held.table):
        return held.entry
    table = held.table.take(kept)
    numbers, scale = numbers_of(table, held.footer.dim)
    footer = held.footer.model_copy(
        update={
            "input_hash": _input_hash(table),
            "rows": len(table),
            "vectors_hash": vectors_hash(numbers, scale),
            "zero_vectors": int((~numbers.any(axis=1)).sum()),
            "truncated_texts": _at_most(held.footer.truncated_texts, len(table)),
            "empty_texts": table.column("text_hash").to_pylist().count(_NO_TEXT),
        }
    )
    types = {name: kind for name, kind in shards.manifest.columns.items() if name in table.column_names}
    cells = {name: table.column(name).to_pylist() for name in types}
    ids, hashes = table.column("id").to_pylist(), table.column("text_hash").to_pylist()
    return write_shard(shards.folder, ShardRows(ids, hashes, numbers, scale, cells, types), footer)


def _at_most(count: int | None, rows: int) -> int | None:
    """Which of the rows were truncated is not known; no more can be than there are."""
    return None if count is None else min(count, rows)


def _input_hash(table: pa.Table) -> str:
    kept = [table.column(name).to_pylist() for name in table.column_names if name not in {*OWN_COLUMNS, "text"}]
    cells = list(zip(*kept, strict=True)) if kept else [()] * len(table)
    return rows_hash(table.column("id").to_pylist(), table.column("text_hash").to_pylist(), cells)


def _without(plan: EncodePlan, held: Sequence[_Held], gone: set[str], base: BaseShards | None) -> EncodePlan:
    """The plan of the folder as it will be."""
    tables = {each.footer.number: each.table for each in held}
    planned = tuple(_planned(shard, tables[shard.number], gone) for shard in plan.shards)
    return plan.model_copy(
        update={
            "shards": planned,
            "rows": sum(shard.rows for shard in planned),
            "removed_ids": tuple(each for each in plan.removed_ids if each not in gone),
            "base": base,
        }
    )


def _planned(shard: ShardPlan, table: pa.Table, gone: set[str]) -> ShardPlan:
    kept = _kept(table, gone)
    if shard.rows == len(kept):  # as it was, or as a killed erasure left it
        return shard
    places = range(shard.span) if shard.picked is None else shard.picked
    picked = tuple(np.array(places, dtype=np.int64)[kept].tolist())
    return shard.model_copy(update={"picked": picked, "input_hash": _input_hash(table.take(kept))})


def _counted(
    manifest: EncodeManifest,
    entries: Sequence[ShardEntry],
    held: Sequence[_Held],
    gone: set[str],
    base: BaseShards | None,
) -> EncodeManifest:
    hashes: set[bytes] = set()
    zero = empty = 0
    for each in held:
        table = each.table.take(_kept(each.table, gone))
        found = table.column("text_hash").to_pylist()
        hashes.update(found)
        empty += found.count(_NO_TEXT)
        zero += int((~numbers_of(table, each.footer.dim)[0].any(axis=1)).sum())
    rows = sum(entry.rows for entry in entries)
    return manifest.model_copy(
        update={
            "rows": rows,
            "distinct_texts": len(hashes),
            "zero_vectors": zero,
            "truncated_texts": _at_most(manifest.truncated_texts, rows),
            "empty_texts": empty,
            "base": base,
            "removed_ids": tuple(each for each in manifest.removed_ids if each not in gone),
            "shards": tuple(entries),
        }
    )


def _new_base(base: BaseShards | None, new_bases: Mapping[str, str]) -> BaseShards | None:
    if base is None or base.sha256 not in new_bases:
        return base
    return base.model_copy(update={"sha256": new_bases[base.sha256]})
