"""Reading a finished folder of shards."""

from __future__ import annotations

import hashlib
import tempfile
from typing import TYPE_CHECKING

import numpy as np

from hrembed.errors import DataError
from hrembed.memory import MB
from hrembed.records.base import read_record
from hrembed.records.encode import EncodeManifest
from hrembed.shards.folder import open_folder
from hrembed.shards.plan import MANIFEST, PLAN
from hrembed.shards.shard import numbers_of, parse_shard, restored

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import pyarrow as pa

    from hrembed.records.encode import ShardEntry
    from hrembed.shards.folder import Folder
    from hrembed.types import Floats

_IN_MEMORY_MB = 1024


def open_shards(folder: str | Path) -> ShardSet:
    """Open what `encode` wrote.

    Args:
        folder: A path, or a URL of fsspec.

    Raises:
        DataError: Nothing is there, it is not finished, damaged, or of another schema.
    """
    opened = open_folder(folder)
    name = opened.reference
    try:
        content = opened.read(MANIFEST)
    except (FileNotFoundError, NotADirectoryError):
        names = opened.names()
        if PLAN in names:
            raise DataError(
                f"'{name}' is incomplete: it has a plan and no manifest",
                hint="repeat the `encode` command that wrote it; finished shards are kept",
            ) from None
        raise DataError(
            f"'{name}' contains no vectors of `encode`", hint=f"`hrembed encode INPUT --out {name}`"
        ) from None
    manifest = read_record(EncodeManifest, content.decode("utf-8", "replace"), f"{name}/{MANIFEST}")
    return ShardSet(opened, manifest, hashlib.sha256(content).hexdigest())


class ShardSet:
    """A finished folder of shards; each shard is read when its turn comes, and only as large as one at a time.

    Attributes:
        folder: Where they lie.
        manifest: What they are.
        sha256: Hash of the manifest, and so of everything.
    """

    def __init__(self, folder: Folder, manifest: EncodeManifest, sha256: str) -> None:
        self.folder, self.manifest, self.sha256 = folder, manifest, sha256

    def __len__(self) -> int:
        return self.manifest.rows

    def tables(self) -> Iterator[pa.Table]:
        """Yield the rows of one shard after the other, with the stored numbers.

        Raises:
            DataError: A shard is missing, or not the one that the manifest names.
        """
        for entry in self.manifest.shards:
            yield self._table(entry)

    def _table(self, entry: ShardEntry) -> pa.Table:
        where = f"{self.folder.reference}/{entry.name}"
        try:
            content = self.folder.read(entry.name)
        except FileNotFoundError:
            raise DataError(f"'{where}' is missing", hint="repeat the `encode` command that wrote the folder") from None
        if hashlib.sha256(content).hexdigest() != entry.sha256:
            raise DataError(
                f"'{where}' has changed since it was written", hint="repeat the `encode` command that wrote the folder"
            )
        return parse_shard(content, where)[0]

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield the rows as record batches: `id`, `vector` (float32, unit rows), `text_hash`, kept columns.

        Raises:
            DataError: As `tables`.
        """
        import pyarrow as pa

        for table in self.tables():
            rows = self._unit(table)
            vector = pa.FixedSizeListArray.from_arrays(pa.array(rows.reshape(-1)), rows.shape[1])
            whole = table.set_column(table.column_names.index("vector"), "vector", vector)
            yield from whole.drop_columns([name for name in ("scale",) if name in whole.column_names]).to_batches()

    def ids(self) -> list[str]:
        """Ids of all rows.

        Raises:
            DataError: As `tables`.
        """
        return [id_ for table in self.tables() for id_ in table.column("id").to_pylist()]

    def table(self, columns: Sequence[str]) -> pa.Table:
        """Give some columns of all rows: `id`, `text_hash` or kept ones.

        Raises:
            DataError: As `tables`; or there is no such column.
        """
        import pyarrow as pa

        known = ["id", "text_hash", *self.manifest.columns]
        for name in columns:
            if name not in known:
                raise DataError(
                    f"'{self.folder.reference}' has no column '{name}'; it has {', '.join(map(repr, known))}",
                    hint="`hrembed encode --keep COLUMN` keeps more columns of the input",
                )
        return pa.concat_tables([table.select(list(columns)) for table in self.tables()])

    def vectors(self, memory_mb: int = _IN_MEMORY_MB) -> Floats:
        """Give all vectors, shape (rows, dim), float32, unit rows (zero rows stay), mapped from a file when large.

        Args:
            memory_mb: Beyond so many MB they lie in a temporary file that vanishes with the array.

        Raises:
            DataError: As `tables`.
        """
        shape = (self.manifest.rows, self.manifest.dim)
        rows: Floats
        if shape[0] * shape[1] * 4 <= memory_mb * MB:
            rows = np.empty(shape, dtype=np.float32)
        else:
            with tempfile.TemporaryFile() as file:
                rows = np.memmap(file, dtype=np.float32, mode="w+", shape=shape)
        at = 0
        for table in self.tables():
            rows[at : at + len(table)] = self._unit(table)
            at += len(table)
        return rows

    def _unit(self, table: pa.Table) -> Floats:
        return restored(*numbers_of(table, self.manifest.dim))
