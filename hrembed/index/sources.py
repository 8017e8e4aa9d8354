"""From a folder of shards to what an index holds: whose vectors, which filters, which rows."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np

from hrembed.errors import ConfigError, DataError
from hrembed.index.conditions import filter_type, protected
from hrembed.records.index import ShardSource, VectorSpace
from hrembed.registry import nearest
from hrembed.shards.shard import arrow_type
from hrembed.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from hrembed.index.tombstones import Tombstones
    from hrembed.records.encode import CellType, EncodeManifest
    from hrembed.records.index import FilterType
    from hrembed.shards.reading import ShardSet

_ROWS_AT_ONCE = 10_000
_NOT_IN_NAMES = set('`".\\')


def space_of(manifest: EncodeManifest) -> VectorSpace:
    """Whose vectors a folder of shards holds."""
    return VectorSpace(
        model=manifest.model,
        identity=manifest.identity,
        use=manifest.use,
        dim=manifest.dim,
        dtype=manifest.dtype,
        anonymised=manifest.anonymised,
    )


def source_of(shards: ShardSet) -> ShardSource:
    """Describe a folder of shards."""
    manifest = shards.manifest
    return ShardSource(
        folder=shards.folder.reference,
        manifest_sha256=shards.sha256,
        rows=manifest.rows,
        removed=len(manifest.removed_ids),
    )


def check_documents(shards: ShardSet) -> None:
    """Refuse vectors of queries, which other texts are compared with.

    Raises:
        DataError: They are.
    """
    if shards.manifest.side != "document":
        raise DataError(
            f"'{shards.folder.reference}' holds vectors of queries, and an index holds those of documents",
            hint="encode the documents with `--side document`",
        )


def choose_filters(manifest: EncodeManifest, wanted: Sequence[str] | None, where: str) -> dict[str, FilterType]:
    """Say which columns conditions may name.

    Args:
        manifest: What the shards are.
        wanted: Names, or None for all kept columns but the text.
        where: Folder of the shards, for messages.

    Raises:
        ConfigError: One is not there, cannot be one, or says something about a person that no search may filter by.
    """
    known = [name for name in manifest.columns if name != manifest.text_column]
    filters: dict[str, FilterType] = {}
    for name in known if wanted is None else wanted:
        kind = filter_type(manifest.columns.get(name, ""))
        if name not in known or kind is None:
            raise ConfigError(
                f"filters: '{where}' has no column '{printable(name)}'{nearest(name, known)}",
                hint=f"columns kept by `encode`: {', '.join(known) or 'none; keep some with `--keep COLUMN`'}",
            )
        attribute = protected(name)
        if attribute:
            raise ConfigError(
                f"filters: column '{printable(name)}' says something about {attribute}, and no search may filter by it",
                hint="encode without it, or name the filters: `--set filters=[country, seniority]`; reports on groups "
                "take a separate file",
            )
        if _NOT_IN_NAMES & set(name) or printable(name) != name:
            raise ConfigError(
                f"filters: column '{printable(name)}' contains a quote, a dot or a backslash",
                hint="rename the column before `encode`",
            )
        filters[name] = kind
    return filters


def kept_columns(manifest: EncodeManifest) -> dict[str, CellType]:
    """Columns that an index keeps: all of the shards but those that speak of protected attributes."""
    return {name: kind for name, kind in manifest.columns.items() if not protected(name)}


def schema_of(columns: Mapping[str, CellType], dim: int) -> Any:
    """Arrow schema of the rows of an index."""
    import pyarrow as pa

    own = [("id", pa.string()), ("vector", pa.list_(pa.float32(), dim))]
    hashes = [("text_hash", pa.binary(16)), ("row_hash", pa.binary(16))]
    return pa.schema([*own, *hashes, *((name, arrow_type(kind)) for name, kind in columns.items())])


class Rows:
    """The rows of a folder of shards as an index takes them, read once; what is counted is known afterwards.

    Attributes:
        schema: Arrow schema of the batches.
        rows: How many there are.
        kept_out: Rows of people who were forgotten, which are left out.
        zero_vectors: Rows without a direction.

    Args:
        shards: The folder.
        columns: Kept columns and their types.
        tombstones: Who was forgotten.
    """

    def __init__(self, shards: ShardSet, columns: Mapping[str, CellType], tombstones: Tombstones) -> None:
        self._shards = shards
        self._columns = columns
        self._tombstones = tombstones
        self.schema = schema_of(columns, shards.manifest.dim)
        self.kept_out = 0
        self.zero_vectors = 0
        self.rows = 0

    def __iter__(self) -> Iterator[Any]:
        """Yield record batches.

        Raises:
            DataError: A column is missing or of another type, an id comes twice, or a vector is not finite.
        """
        import pyarrow as pa

        self._check_columns()
        seen: set[str] = set()
        for whole in self._shards.batches():
            for start in range(0, whole.num_rows, _ROWS_AT_ONCE):
                batch = self._living(whole.slice(start, _ROWS_AT_ONCE))
                self._check(batch, seen)
                arrays = {name: batch[name] for name in ("id", "vector", "text_hash", *self._columns)}
                arrays["row_hash"] = pa.array(row_hashes(batch, self._columns), pa.binary(16))
                self.rows += batch.num_rows
                yield pa.RecordBatch.from_arrays(
                    [arrays[field.name].cast(field.type) for field in self.schema], schema=self.schema
                )

    def _check_columns(self) -> None:
        known = self._shards.manifest.columns
        for name, kind in self._columns.items():
            if known.get(name) != kind:
                held = known.get(name)
                raise DataError(
                    f"'{self._shards.folder.reference}' has {f'a column of type {held}' if held else 'no column'} "
                    f"'{name}', and the index holds {kind}",
                    hint="encode with the `--keep` of the first build, or build a new generation: `index build`",
                )

    def _living(self, batch: Any) -> Any:
        import pyarrow as pa

        if not len(self._tombstones):
            return batch
        lives = [document not in self._tombstones for document in batch["id"].to_pylist()]
        self.kept_out += lives.count(False)
        return batch.filter(pa.array(lives))

    def _check(self, batch: Any, seen: set[str]) -> None:
        ids = batch["id"].to_pylist()
        vectors = np.asarray(batch["vector"].flatten()).reshape(len(ids), -1)
        finite = np.isfinite(vectors).all(axis=1)
        if not finite.all():
            bad = ids[int(np.flatnonzero(~finite)[0])]
            raise DataError(
                f"the vector of '{printable(bad[:60])}' in '{self._shards.folder.reference}' is not finite",
                hint="check the model, and repeat `encode`",
            )
        self.zero_vectors += int((~vectors.any(axis=1)).sum())
        for document in ids:
            if document in seen:
                raise DataError(
                    f"id '{printable(document[:60])}' stands twice in '{self._shards.folder.reference}'",
                    hint="ids must be unique; repeat `encode` on a table without repeated ids",
                )
            seen.add(document)


def row_hashes(batch: Any, columns: Mapping[str, str]) -> list[bytes]:
    """Hash what decides a row beside its vector: the hash of its text, and the kept cells; 16 bytes each."""
    cells = [batch[name].to_pylist() for name in ("text_hash", *columns) if name != "text"]
    return [
        hashlib.blake2b(repr(row).encode("utf-8", "surrogatepass"), digest_size=16).digest()
        for row in zip(*cells, strict=True)
    ]
