"""Erasing people from an index: a protocol, since the engine's own delete leaves a vector on the disk.

Tombstones come first, so that an erasure that was killed is known and nobody comes back; then each generation is
rewritten or purged; then traces are searched for again. Whoever searches decodes every file, since text and numbers are
compressed on the disk and plain bytes of a name are found nowhere, not even before.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import numpy as np

from hrembed.files import files_below, write_json
from hrembed.index.lance_table import TABLE, lance, open_table

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from hrembed.index.tombstones import Tombstones

UNFINISHED = "forgetting.json"
NOT_SEEN = (
    "copies that hrembed does not know of: the input table, backups, exports of results, other indexes, models that "
    "were trained on the texts, and blocks that the file system has freed but not overwritten"
)
_LANCE = {".lance", ".idx"}


def begin(folder: Path, tombstones: Tombstones, ids: Sequence[str], time: str) -> None:
    """Write tombstones and the note that an erasure is going on.

    Raises:
        HrembedError: The system refuses.
    """
    write_json(folder / UNFINISHED, {"since": time, "ids": sorted(map(tombstones.hash, ids))})
    tombstones.add(ids)


def is_unfinished(folder: Path) -> bool:
    """Whether an erasure was begun and not finished."""
    return (folder / UNFINISHED).exists()


def finish(folder: Path) -> None:
    """Remove the note that an erasure is going on."""
    (folder / UNFINISHED).unlink(missing_ok=True)


def traces(place: Path, ids: Sequence[str]) -> int:
    """Count what the files of a generation hold of some ids, in every version and with deletions ignored.

    Rows, entries of indices, words' owners and predicates count where an id stands; quantised vectors, which stand
    without an id, count where they belong to one of the rows or to a row that is no longer there.

    Args:
        place: Folder of the generation, with whatever versions of its rows are there.
        ids: Whose traces.
    """
    gone = set(ids)
    found = sum(_orphaned_codes(table, gone) for table in place.glob(f"v*/{TABLE}"))
    for file in files_below(place):
        if file.suffix in _LANCE:
            table = _lance_table(file)
            found += 1 if table is None else _in_table(table, gone)
        elif file.suffix == ".parquet":
            found += _in_table(_parquet_table(file), gone)
        elif file.suffix == ".json":
            found += _in_json(json.loads(file.read_text(encoding="utf-8")), gone)
        elif file.suffix != ".npy":  # of which each row belongs to a row of the table beside it
            found += _in_bytes(file.read_bytes(), ids)
    return found


def _lance_table(file: Path) -> Any:
    """Decode a file of the engine; None where a killed writer left it unfinished, which may hold anything."""
    lance()
    from lance.file import LanceFileReader

    try:
        return LanceFileReader(str(file)).read_all().to_table()
    except (OSError, ValueError):
        return None


def _parquet_table(file: Path) -> Any:
    import pyarrow.parquet as pq

    with file.open("rb") as stream:
        return pq.read_table(stream)


def _in_table(table: Any, gone: set[str]) -> int:
    import pyarrow as pa
    import pyarrow.compute as pc

    wanted = pa.array(sorted(gone), pa.string())
    found = 0
    for column in table.columns:
        if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
            found += pc.sum(pc.is_in(column.cast(pa.string()), value_set=wanted)).as_py() or 0
    return found


def _in_json(content: object, gone: set[str]) -> int:
    if isinstance(content, dict):
        return sum(key in gone for key in content) + sum(_in_json(each, gone) for each in content.values())
    if isinstance(content, list):
        return sum(_in_json(each, gone) for each in content)
    return int(isinstance(content, str) and content in gone)


def _in_bytes(content: bytes, ids: Sequence[str]) -> int:
    """Count literals of ids in what is no table: transactions and manifests hold the predicates of deletes as text."""
    literals = (b"'" + each.replace("'", "''").encode() + b"'" for each in ids)
    return sum(len(re.findall(re.escape(literal), content)) for literal in literals)


def _orphaned_codes(place: Path, gone: set[str]) -> int:
    """Count quantised vectors that belong to some ids, or to rows that are gone."""
    table = open_table(place)
    rows = table.scanner(columns=["id"], with_row_id=True).to_table()
    keeps = np.array([each not in gone for each in rows["id"].to_pylist()], dtype=bool)
    living = rows["_rowid"].to_numpy()[keeps]
    found = 0
    for file in files_below(place):
        if file.name == "auxiliary.idx":
            codes = _lance_table(file)
            found += 0 if codes is None else int((~np.isin(codes["_rowid"].to_numpy(), living)).sum())
    return found
