"""Small indexes and folders of vectors, for tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from hrembed.index.conditions import filter_type
from hrembed.index.open import open_index
from hrembed.index.sources import row_hashes, schema_of
from hrembed.index.writing import now, write_manifest, write_rows
from hrembed.models.cache import text_keys
from hrembed.records.encode import BaseShards, EncodePlan, EncodeSettings, InputPart, ShardFooter, ShardPlan
from hrembed.records.index import Generation, IndexManifest, VectorSpace
from hrembed.shards.folder import open_folder
from hrembed.shards.plan import PLAN, Receipt, finish, write_record
from hrembed.shards.reading import open_shards
from hrembed.shards.shard import ShardRows, arrow_type, rows_hash, stored, vectors_hash, write_shard
from hrembed.text import text_digest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from hrembed.index.open import Index
    from hrembed.types import Floats


def unit(rows: Any) -> Floats:
    rows = np.asarray(rows, dtype=np.float32)
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(length > 0, length, 1), dtype=np.float32)


def composed(count: int, dim: int, seed: int = 0, occupations: int = 40) -> tuple[Floats, np.ndarray]:
    """Vectors that lie around those of occupations, as real profiles do, and the occupation of each."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(occupations, dim))
    of = rng.integers(0, occupations, count)
    return unit(centres[of] + 0.8 * rng.normal(size=(count, dim))), of


def batches(ids: Sequence[str], vectors: Floats, types: Mapping[str, str], columns: Mapping[str, Sequence[Any]]) -> Any:
    """Rows as an index writes them, as an Arrow table."""
    texts = [text or "" for text in columns.get("text", ids)]
    numbers = pa.array(np.ascontiguousarray(vectors, dtype=np.float32).reshape(-1))
    arrays: dict[str, Any] = {
        "id": pa.array(ids, pa.string()),
        "vector": pa.FixedSizeListArray.from_arrays(numbers, vectors.shape[1]),
        "text_hash": pa.array([bytes(key) for key in text_keys(texts)], pa.binary(16)),
    }
    arrays |= {name: pa.array(cells, arrow_type(types[name])) for name, cells in columns.items()}
    arrays["row_hash"] = pa.array(row_hashes(pa.table(arrays), types), pa.binary(16))
    return pa.table(arrays).select(schema_of(types, vectors.shape[1]).names)


def space(dim: int, **given: Any) -> VectorSpace:
    return VectorSpace(**{"model": {"ref": "wordllama"}, "identity": "a" * 64, "dim": dim} | given)


def small_index(
    folder: Path,
    ids: Sequence[str],
    vectors: Floats,
    types: Mapping[str, str] | None = None,
    columns: Mapping[str, Sequence[Any]] | None = None,
    **given: Any,
) -> Index:
    """Write an index of these documents and open it; every column but `text` is a filter."""
    types, columns = types or {}, columns or {}
    rows = batches(ids, vectors, types, columns)
    filters = {name: filter_type(kind) for name, kind in types.items() if name != "text"}
    fields = {
        "name": "g001",
        "version": 1,
        "made": now(),
        "changed": now(),
        "space": space(vectors.shape[1]),
        "backend": "exact",
        "rows": len(ids),
        "zero_vectors": int((~vectors.any(axis=1)).sum()),
        "columns": dict(types),
        "filters": filters,
        "text_column": "text" if "text" in types else None,
        "lexical": "text" in types,
        "partitions": 0,
        "probes": None,
        "refine": 5,
        "count_first": 2000,
    }
    generation = Generation(**fields | given)
    schema = schema_of(types, vectors.shape[1])
    partitions = write_rows(folder, generation, rows.to_batches(), schema)
    generation = generation.model_copy(update={"partitions": partitions})
    write_manifest(folder, IndexManifest(current="g001", generations=(generation,)))
    return open_index(folder)


def write_vectors(
    folder: Path,
    ids: Sequence[str],
    vectors: Floats,
    types: Mapping[str, str] | None = None,
    columns: Mapping[str, Sequence[Any]] | None = None,
    *,
    identity: str = "a" * 64,
    side: str = "document",
    dtype: str = "float32",
    rows_per_shard: int = 1000,
    base: Path | None = None,
    removed: Sequence[str] = (),
    model: Mapping[str, Any] | None = None,
) -> Path:
    """Write a folder as `encode` does, of vectors that are already there."""
    types, columns = dict(types or {}), dict(columns or {})
    target = open_folder(folder)
    texts = [text or "" for text in columns.get("text", ids)]
    settings = EncodeSettings(
        identity=identity, side=side, prompt_hash="0" * 64, dtype=dtype, rows_per_shard=rows_per_shard, columns=types
    )
    shards, receipts = [], {}
    for number, first in enumerate(range(0, max(len(ids), 1), rows_per_shard)):
        part = slice(first, first + rows_per_shard)
        numbers, scale = stored(np.asarray(vectors[part], dtype=np.float32), dtype)
        hashes = [text_digest(text) for text in texts[part]]
        kept = {name: list(cells[part]) for name, cells in columns.items()}
        cells = [kept[name] for name in types if name != "text"]
        rows = list(zip(*cells, strict=True)) if cells else [()] * len(hashes)
        footer = ShardFooter(
            identity=identity,
            side=side,
            prompt_hash="0" * 64,
            dim=vectors.shape[1],
            dtype=dtype,
            number=number,
            input_hash=rows_hash(ids[part], hashes, rows),
            rows=len(hashes),
            vectors_hash=vectors_hash(numbers, scale),
            zero_vectors=int((~numbers.any(axis=1)).sum()),
            truncated_texts=0,
            empty_texts=sum(not text for text in texts[part]),
        )
        entry = write_shard(target, ShardRows(list(ids[part]), hashes, numbers, scale, kept, types), footer)
        keys = b"".join(each[:8] for each in hashes)
        receipts[number] = Receipt(entry, footer, keys)
        shards.append(ShardPlan(number=number, part=0, first=first, span=len(hashes), input_hash=footer.input_hash))
    plan = EncodePlan(
        reading={"columns": {"id": "id", "text": "text"}},
        settings=settings,
        model=dict(model or {"ref": "wordllama"}),
        input="profiles.jsonl",
        parts=(InputPart(name="profiles.jsonl", kind="jsonl", rows=len(ids), sha256="0" * 64),),
        shards=tuple(shards),
        rows=len(ids),
        empty_texts=0,
        base=None if base is None else BaseShards(folder=str(base), sha256=open_shards(base).sha256),
        removed_ids=tuple(removed),
    )
    write_record(target, PLAN, plan)
    finish(target, plan, receipts, None)
    return folder
