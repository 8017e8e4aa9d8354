"""One shard: rows with their vectors as Parquet, and what it says of itself in its footer."""

from __future__ import annotations

import hashlib
import io
import json
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from hrembed.errors import DataError
from hrembed.records.base import as_json
from hrembed.records.encode import ShardEntry, ShardFooter

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pyarrow as pa

    from hrembed.records.encode import CellType, VectorType
    from hrembed.shards.folder import Folder
    from hrembed.types import Floats

_KEY = b"hrembed"
OWN_COLUMNS = ("id", "vector", "scale", "text_hash")
"""Columns of every shard, but for `scale`, which int8 alone has; no kept column has one of these names."""


def shard_name(number: int) -> str:
    """Name of the file of a shard."""
    return f"shard-{number:06d}.parquet"


def row_line(id_: str, text_hash: bytes, kept: Sequence[Any]) -> bytes:
    """Write what makes two rows equal: id, hash of the text, kept cells; a whole number equals its decimal form."""
    cells = [float(cell) if isinstance(cell, int) and not isinstance(cell, bool) else cell for cell in kept]
    return _JSON.encode([id_, text_hash.hex(), *cells]).encode("utf-8", "surrogatepass")


_JSON = json.JSONEncoder(ensure_ascii=False)  # kept: making one takes as long as a row


def rows_hash(ids: Sequence[str], text_hashes: Sequence[bytes], kept: Sequence[Sequence[Any]]) -> str:
    """Hash rows in their order; `kept` holds the cells of each row."""
    digest = hashlib.sha256()
    for id_, text_hash, cells in zip(ids, text_hashes, kept, strict=True):
        digest.update(row_line(id_, text_hash, cells))
        digest.update(b"\n")
    return digest.hexdigest()


def stored(vectors: Floats, dtype: VectorType) -> tuple[Any, Floats | None]:
    """Bring unit rows into the form in which they are stored, with a scale for each row of int8.

    Float16 moves a cosine by about 1e-4. Int8 divides each row by its largest number and rounds to 255 steps: a cosine
    moves by about 2e-3, which changes the order of close candidates for half of all queries.

    Args:
        vectors: Shape (n, dim), float32, rows of length 1 or 0.
        dtype: How a number is stored.

    Returns:
        Numbers, shape (n, dim); scales, shape (n,), float32, or None.
    """
    if dtype != "int8":
        return np.ascontiguousarray(vectors, dtype=dtype), None
    largest = np.abs(vectors).max(axis=1, initial=0.0)
    scale = (np.where(largest > 0, largest, 1) / 127).astype(np.float32)
    return np.rint(vectors / scale[:, None]).astype(np.int8), scale


def restored(numbers: Any, scale: Floats | None) -> Floats:
    """Turn stored numbers into unit rows again, float32: rounding has changed their length a little.

    Args:
        numbers: Shape (n, dim).
        scale: Shape (n,), of int8; None otherwise.
    """
    rows = np.array(numbers, dtype=np.float32)
    if scale is None and np.asarray(numbers).dtype == np.float32:
        return rows
    if scale is not None:
        rows *= scale[:, None]
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(length > 0, length, 1))


def vectors_hash(numbers: Any, scale: Floats | None) -> str:
    """Hash the stored numbers of vectors, and the scales where there are some."""
    digest = hashlib.sha256(np.ascontiguousarray(numbers).tobytes())
    if scale is not None:
        digest.update(np.ascontiguousarray(scale, dtype=np.float32).tobytes())
    return digest.hexdigest()


class ShardRows(NamedTuple):
    """The rows of a shard, as they are written.

    Attributes:
        ids: One a row.
        text_hashes: 16 bytes each.
        numbers: Stored vectors, shape (n, dim).
        scale: Of int8, shape (n,); None otherwise.
        kept: Column -> cells.
        types: Column -> its type.
    """

    ids: Sequence[str]
    text_hashes: Sequence[bytes]
    numbers: Any
    scale: Floats | None
    kept: Mapping[str, Sequence[Any]]
    types: Mapping[str, CellType]


def write_shard(folder: Folder, rows: ShardRows, footer: ShardFooter) -> ShardEntry:
    """Write a shard; the same rows and footer give the same bytes.

    Raises:
        HrembedError: The system refuses.
    """
    content, name = shard_bytes(rows, footer), shard_name(footer.number)
    folder.write(name, content)
    return ShardEntry(name=name, rows=footer.rows, sha256=hashlib.sha256(content).hexdigest(), bytes=len(content))


def shard_bytes(rows: ShardRows, footer: ShardFooter) -> bytes:
    """Give a shard as it is written."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    count, dim = rows.numbers.shape
    flat = pa.array(np.ascontiguousarray(rows.numbers).reshape(-1))
    columns: dict[str, pa.Array] = {
        "id": pa.array(rows.ids, pa.string()),
        "vector": pa.FixedSizeListArray.from_arrays(flat, type=pa.list_(flat.type, dim)),
    }
    if rows.scale is not None:
        columns["scale"] = pa.array(rows.scale, pa.float32())
    columns["text_hash"] = pa.array(rows.text_hashes, pa.binary(16))
    columns |= {name: pa.array(cells, arrow_type(rows.types[name])) for name, cells in rows.kept.items()}
    said = json.dumps(as_json(footer), sort_keys=True).encode()
    table = pa.table(columns).replace_schema_metadata({_KEY: said})
    # Random digits: a dictionary only makes them larger, and bytes side by side compress where numbers do not. Parquet
    # has no numbers of one byte, but packs small differences tightly.
    sink = io.BytesIO()
    pq.write_table(
        table,
        sink,
        compression="zstd",
        use_dictionary=False,
        column_encoding={"vector.list.element": "BYTE_STREAM_SPLIT" if rows.scale is None else "DELTA_BINARY_PACKED"},
        row_group_size=max(count, 1),
        write_statistics=["id"],
    )
    return sink.getvalue()


def arrow_type(kind: CellType) -> Any:
    """Give the Arrow type of a kept column."""
    import pyarrow as pa

    types = {"string": pa.string, "int64": pa.int64, "double": pa.float64, "bool": pa.bool_}
    return pa.list_(pa.string()) if kind == "strings" else types[kind]()


def parse_shard(content: bytes, name: str) -> tuple[pa.Table, ShardFooter]:
    """Read a shard and its footer.

    Raises:
        DataError: It is no shard, or damaged.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq
    from pydantic import ValidationError

    try:
        table = pq.read_table(pa.BufferReader(content))
        footer = ShardFooter.model_validate_json((table.schema.metadata or {})[_KEY])
    except (pa.ArrowException, OSError, KeyError, ValidationError) as err:
        raise DataError(
            f"'{name}' is not a whole shard of `encode` ({type(err).__name__})",
            hint="repeat the `encode` command: it writes missing and damaged shards again",
        ) from None
    return table.replace_schema_metadata(None), footer


def numbers_of(table: pa.Table, dim: int) -> tuple[Any, Floats | None]:
    """Give the stored vectors of a shard, shape (n, dim), and the scales of int8."""
    column = table.column("vector").combine_chunks()
    numbers = column.flatten().to_numpy(zero_copy_only=False).reshape(len(table), dim)
    scale = table.column("scale").to_numpy() if "scale" in table.column_names else None
    return numbers, scale


def content_matches(table: pa.Table, footer: ShardFooter) -> bool:
    """Whether a shard holds the rows and the vectors of which its footer speaks."""
    kept = [table.column(name).to_pylist() for name in table.column_names if name not in {*OWN_COLUMNS, "text"}]
    cells = list(zip(*kept, strict=True)) if kept else [()] * len(table)
    ids, hashes = table.column("id").to_pylist(), table.column("text_hash").to_pylist()
    return (
        footer.rows == len(table)
        and footer.input_hash == rows_hash(ids, hashes, cells)
        and footer.vectors_hash == vectors_hash(*numbers_of(table, footer.dim))
    )
