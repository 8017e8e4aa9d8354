"""Small indexes and folders of vectors, for tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from hrembed.index.conditions import filter_type
from hrembed.index.open import open_index
from hrembed.index.writing import Documents, now, write_manifest, write_rows
from hrembed.models.cache import text_keys
from hrembed.records.index import Generation, IndexManifest, VectorSpace

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from hrembed.index.open import Index
    from hrembed.types import Floats

ARROW = {"string": pa.string(), "int64": pa.int64(), "double": pa.float64(), "bool": pa.bool_()}
ARROW["strings"] = pa.list_(pa.string())


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


def documents(
    ids: Sequence[str], vectors: Floats, types: Mapping[str, str], columns: Mapping[str, Sequence[Any]]
) -> Documents:
    texts = columns.get("text", ids)
    arrays: dict[str, Any] = {"id": pa.array(ids, pa.string())}
    arrays["text_hash"] = pa.array([bytes(key) for key in text_keys([text or "" for text in texts])], pa.binary(16))
    arrays |= {name: pa.array(cells, ARROW[types[name]]) for name, cells in columns.items()}
    return Documents(pa.table(arrays), np.asarray(vectors, dtype=np.float32))


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
    rows = documents(ids, vectors, types, columns)
    filters = {name: filter_type(kind) for name, kind in types.items() if name != "text"}
    fields = {
        "name": "g001",
        "version": 1,
        "made": now(),
        "changed": now(),
        "space": space(vectors.shape[1]),
        "backend": "exact",
        "rows": len(ids),
        "zero_vectors": rows.zero_vectors,
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
    write_rows(folder, generation, rows)
    write_manifest(folder, IndexManifest(current="g001", generations=(generation,)))
    return open_index(folder)
