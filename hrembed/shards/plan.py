"""The plan of a folder of shards: which rows each holds, which of them are done, and the manifest at the end."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hrembed.errors import DataError
from hrembed.files import json_text
from hrembed.records.base import as_json, read_record
from hrembed.records.encode import EncodeManifest, EncodePlan, ShardEntry
from hrembed.shards.shard import content_matches, parse_shard, shard_name
from hrembed.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import pyarrow as pa

    from hrembed.records.base import CommandRecord
    from hrembed.records.encode import ShardFooter, ShardPlan
    from hrembed.records.manifest import ModelUse
    from hrembed.shards.folder import Folder

PLAN, MANIFEST = "plan.json", "manifest.json"


class Receipt(NamedTuple):
    """What is known of a finished shard; no text is in it.

    Attributes:
        entry: Name, rows, hash and size of the file.
        footer: What it says of itself.
        text_keys: First 8 bytes of the hash of each text.
    """

    entry: ShardEntry
    footer: ShardFooter
    text_keys: bytes


def write_record(folder: Folder, name: str, record: CommandRecord) -> None:
    """Write a plan or a manifest.

    Raises:
        HrembedError: The system refuses.
    """
    folder.write(name, (json_text(as_json(record), sort_keys=False) + "\n").encode())


def read_plan(folder: Folder) -> EncodePlan | None:
    """Read the plan of a folder; None where there is none.

    Raises:
        DataError: It is damaged, or of another schema.
    """
    try:
        content = folder.read(PLAN)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return read_record(EncodePlan, content.decode("utf-8", "replace"), f"{folder.reference}/{PLAN}")


def finished_shards(folder: Folder, plan: EncodePlan) -> dict[int, Receipt]:
    """Find the shards that are done: each opens, holds the rows of the plan, and the vectors of its own footer.

    That a file is there says nothing: it may be cut off, edited, or of rows that have changed since.
    """
    names = folder.names()
    done = {}
    for shard in plan.shards:
        name = shard_name(shard.number)
        if name in names and (receipt := _checked(folder, name, plan, shard)) is not None:
            done[shard.number] = receipt
    return done


def _checked(folder: Folder, name: str, plan: EncodePlan, shard: ShardPlan) -> Receipt | None:
    try:
        content = folder.read(name)
        table, footer = parse_shard(content, name)
    except (DataError, OSError):
        return None
    if not _is_planned(footer, plan, shard) or not content_matches(table, footer):
        return None
    return Receipt(entry_of(name, content, len(table)), footer, text_keys(table))


def _is_planned(footer: ShardFooter, plan: EncodePlan, shard: ShardPlan) -> bool:
    settings = plan.settings
    said = (footer.identity, footer.side, footer.prompt_hash, footer.dtype, footer.number, footer.input_hash)
    planned = (settings.identity, settings.side, settings.prompt_hash, settings.dtype, shard.number, shard.input_hash)
    return said == planned and footer.rows == shard.rows


def entry_of(name: str, content: bytes, rows: int) -> ShardEntry:
    """Describe a file of a shard."""
    return ShardEntry(name=name, rows=rows, sha256=hashlib.sha256(content).hexdigest(), bytes=len(content))


def text_keys(table: pa.Table) -> bytes:
    """First 8 bytes of the hash of each text of a shard."""
    return text_keys_of(table.column("text_hash").to_pylist())


def text_keys_of(hashes: Iterable[bytes]) -> bytes:
    """First 8 bytes of each hash."""
    return b"".join(each[:8] for each in hashes)


def finish(folder: Folder, plan: EncodePlan, receipts: Mapping[int, Receipt], use: ModelUse | None) -> EncodeManifest:
    """Remove shards that are no part of the plan, and write the manifest, which makes the folder readable.

    Raises:
        DataError: A shard is missing, or two have vectors of different lengths.
        HrembedError: The system refuses.
    """
    missing = [shard.number for shard in plan.shards if shard.number not in receipts]
    if missing:
        raise DataError(f"{folder.reference}: shard {missing[0]} is missing ({len(missing)} in total)")
    ordered = [receipts[shard.number] for shard in plan.shards]
    footers = [receipt.footer for receipt in ordered]
    dims = {footer.dim for footer in footers}
    if len(dims) > 1:
        raise DataError(f"{folder.reference}: shards have vectors of different dimensions: {sorted(dims)}")
    planned = {receipt.entry.name for receipt in ordered}
    for name in folder.names():
        if name.startswith("shard-") and name not in planned:
            folder.remove(name)
    settings = plan.settings
    manifest = EncodeManifest(
        version=__version__,
        model=plan.model,
        use=use,
        identity=settings.identity,
        side=settings.side,
        prompt_hash=settings.prompt_hash,
        dim=max(dims, default=0),
        dtype=settings.dtype,
        rows=sum(footer.rows for footer in footers),
        distinct_texts=_distinct(receipt.text_keys for receipt in ordered),
        zero_vectors=sum(footer.zero_vectors for footer in footers),
        truncated_texts=_sum([footer.truncated_texts for footer in footers]),
        empty_texts=sum(footer.empty_texts for footer in footers),
        columns=settings.columns,
        text_column="text" if "text" in settings.columns else None,
        anonymised=bool(settings.redaction),
        replaced=_totals(footers),
        base=plan.base,
        removed_ids=plan.removed_ids,
        shards=tuple(receipt.entry for receipt in ordered),
    )
    write_record(folder, MANIFEST, manifest)
    return manifest


def _distinct(keys: Iterable[bytes]) -> int:
    """Count different texts by 8 bytes of their hashes: among a hundred million, two meet with a chance of 0.03 %."""
    return len(np.unique(np.frombuffer(b"".join(keys), dtype="<u8")))


def _sum(counts: list[int | None]) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if len(known) == len(counts) else None


def _totals(footers: Iterable[ShardFooter]) -> dict[str, int]:
    totals: dict[str, int] = {}
    for footer in footers:
        for kind, count in footer.replaced.items():
            totals[kind] = totals.get(kind, 0) + count
    return totals


def content_hash(shards: Iterable[ShardEntry]) -> str:
    """Hash the hashes of all shards: the same for equal folders."""
    return hashlib.sha256(json.dumps([shard.sha256 for shard in shards]).encode()).hexdigest()
