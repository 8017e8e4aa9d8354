"""What an earlier folder of shards holds already, so that new and changed rows alone are encoded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xxhash import xxh3_64_intdigest

from hrembed.errors import DataError, ModelError
from hrembed.records.encode import BaseShards
from hrembed.shards.folder import open_folder
from hrembed.shards.plan import read_plan
from hrembed.shards.reading import open_shards
from hrembed.shards.shard import row_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hrembed.records.encode import EncodeSettings
    from hrembed.shards.reading import ShardSet


class BaseRows:
    """Rows of a folder, and of the folders below it, by hashes: about 100 bytes of memory a row.

    Attributes:
        source: The folder.
        unchanged: Rows that were asked for and are the same.
        changed: Rows that were asked for and differ.
    """

    def __init__(self, folder: str, settings: EncodeSettings) -> None:
        """Read a folder.

        Args:
            folder: What `encode` wrote, a path or a URL.
            settings: Those of the new folder.

        Raises:
            ModelError: It holds vectors of another model, prompt or truncation.
            DataError: It is not finished, or of other settings.
        """
        shards = open_shards(folder)
        _check(shards, settings)
        self.source = BaseShards(folder=folder, sha256=shards.sha256)
        self.unchanged = self.changed = 0
        self._chain = [shards]
        while (below := self._chain[-1].manifest.base) is not None:
            opened = open_shards(below.folder)
            if opened.sha256 != below.sha256:
                raise DataError(
                    f"'{below.folder}' has changed since '{self._chain[-1].folder.reference}' was based on it",
                    hint="encode all rows again, without `--base`",
                )
            self._chain.append(opened)
        self._rows: dict[int, int] = {}
        for each in reversed(self._chain):  # the newest says what a row is
            for id_ in each.manifest.removed_ids:
                self._rows.pop(_key(id_), None)
            self._rows.update(_hashes(each))

    def is_new(self, id_: str, line: bytes) -> bool:
        """Whether a row is not there, or differs; it counts as asked for."""
        known = self._rows.pop(_key(id_), None)
        self.unchanged += known == _digest(line)
        self.changed += known is not None and known != _digest(line)
        return known != _digest(line)

    def removed(self) -> tuple[str, ...]:
        """Ids that nobody asked for."""
        gone = (id_ for each in self._chain for id_ in each.ids() if _key(id_) in self._rows) if self._rows else ()
        return tuple(sorted(set(gone)))


def _hashes(shards: ShardSet) -> Iterator[tuple[int, int]]:
    names = [name for name in shards.manifest.columns if name != "text"]
    for table in shards.tables():
        columns = [table.column(name).to_pylist() for name in ("id", "text_hash", *names)]
        for id_, text_hash, *cells in zip(*columns, strict=True):
            yield _key(id_), _digest(row_line(id_, text_hash, cells))


def _key(id_: str) -> int:
    return xxh3_64_intdigest(id_.encode())


def _digest(line: bytes) -> int:
    return xxh3_64_intdigest(line)


def _check(shards: ShardSet, settings: EncodeSettings) -> None:
    name, manifest = shards.folder.reference, shards.manifest
    if manifest.identity != settings.identity:
        raise ModelError(
            f"base '{name}' holds vectors of another model or of other settings of it: {manifest.identity[:12]}, here "
            f"{settings.identity[:12]}",
            hint="vectors of two models cannot be compared: encode all rows, without `--base`",
        )
    plan = read_plan(open_folder(name))
    for field in ("side", "dtype", "redaction", "regions", "name_columns"):
        theirs = getattr(plan.settings if plan else manifest, field, None)
        if theirs != getattr(settings, field):
            raise DataError(
                f"base '{name}' was encoded with another `{field}`: {theirs}, here {getattr(settings, field)}",
                hint="use the same settings, or encode all rows, without `--base`",
            )


def check_columns(shards: BaseShards, settings: EncodeSettings) -> None:
    """Refuse a base with other kept columns.

    Raises:
        DataError: They differ in name or type.
    """
    theirs = open_shards(shards.folder).manifest.columns
    if dict(theirs) != dict(settings.columns):
        raise DataError(
            f"base '{shards.folder}' keeps {theirs or 'no columns'}, here {settings.columns or 'none'}",
            hint="keep the same columns, with their types: `--keep years:int`",
        )
