"""The plan: one pass over the input that counts, checks and cuts it."""

from __future__ import annotations

import hashlib
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from hrembed.commands.encode.rows import ItemReader
from hrembed.data.repeats import Repeats
from hrembed.data.slices import Span
from hrembed.errors import DataError
from hrembed.records.encode import EncodePlan, InputPart, ShardPlan
from hrembed.shards.shard import row_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hrembed.commands.encode.base import BaseRows
    from hrembed.commands.encode.rows import Item
    from hrembed.config.encode import EncodeConfig
    from hrembed.data.slices import Place, Sliced
    from hrembed.progress import Progress
    from hrembed.records.encode import BaseShards, EncodeSettings

_AT_ONCE = 5_000
_FEW = 5  # so often a file may be read from its start without a word
_PART_BITS = 40  # of the number under which a row is remembered: its line lies below them, its part above


_READING = (
    "input", "query", "password_env", "subset", "split", "columns", "delimiter", "encoding", "keep", "name_columns",
)  # fmt: skip


def reading_of(config: EncodeConfig) -> dict[str, Any]:
    """Settings with which the input is read."""
    return config.model_dump(mode="json", include=set(_READING))


def still_valid(
    old: EncodePlan, config: EncodeConfig, settings: EncodeSettings, base: BaseShards | None, sources: Sequence[Sliced]
) -> bool:
    """Whether a plan is that of the present input, as the hashes of its files say; a database is always read again."""
    if old.reading != reading_of(config) or old.base != base:
        return False
    if old.settings.model_copy(update={"columns": {}}) != settings.model_copy(update={"columns": {}}):
        return False
    known = [(part.name, part.sha256) for part in old.parts]
    return None not in dict(known).values() and known == [(source.name, source.sha256()) for source in sources]


class _Filling:
    """A shard that is being filled."""

    def __init__(self, first: int, number: int, before: str | None) -> None:
        self.first, self.number, self.before = first, number, before
        self.digest = hashlib.sha256()
        self.picked: list[int] = []
        self.behind: int | None = None


def make_plan(
    config: EncodeConfig, settings: EncodeSettings, sources: Sequence[Sliced], base: BaseRows | None, progress: Progress
) -> EncodePlan:
    """Read the input once: check every row, and say which rows each shard holds.

    Args:
        config: What is asked.
        settings: What decides the bytes of a shard, without the types of the kept columns.
        sources: Parts of the input.
        base: Rows that are left out where they are still the same; None for none.
        progress: Receives progress updates.

    Raises:
        DataError: A row cannot be used, an id stands twice, or there are no rows.
    """
    types = {name: kind for name, kind in config.kept_types.items() if name != "text"}
    reader = ItemReader(config, types)
    parts, shards = [], list[ShardPlan]()
    counts = _Counts()
    with TemporaryDirectory(prefix="hrembed-ids-") as folder, progress.bar("Reading the input", 0) as advance:
        repeats = Repeats(Path(folder))
        for part, source in enumerate(sources):
            cutter = _Cutter(config.rows_per_shard, everything=base is None)
            rows = 0
            for item in reader.items(source.rows(), source.name):
                repeats.add(item.id, "", counts.rows + rows, (part << _PART_BITS) + item.number)
                line = row_line(item.id, item.text_hash, item.cells)
                is_new = base is None or base.is_new(item.id, line)
                cutter.add(item, line, picked=is_new)
                counts.empty += is_new and not item.text
                rows += 1
                if rows % _AT_ONCE == 0:
                    advance(_AT_ONCE, source.name)
            parts.append(InputPart(name=source.name, kind=source.kind, rows=rows, sha256=source.sha256()))
            cut = cutter.shards(part, len(shards), source)
            if source.kind == "whole" and len(cut) > _FEW:
                progress.note(
                    f"{source.name}: read from the start for each of {len(cut):,} shards; unpack it, or save it as "
                    "Parquet, to save that time"
                )
            shards += cut
            counts.rows += rows
        _refuse_repeats(repeats, sources)
    if not counts.rows:
        raise DataError(f"'{config.input}' contains no rows")
    columns = reader.recognised(config.input)
    kept = {name: "string" if name == "text" else columns[name] for name in config.kept_types}
    return EncodePlan(
        reading=reading_of(config),
        settings=settings.model_copy(update={"columns": kept}),
        model=config.model.model_dump(mode="json"),
        input=config.input,
        parts=tuple(parts),
        shards=tuple(shards),
        rows=sum(shard.rows for shard in shards),
        empty_texts=counts.empty,
        base=base.source if base else None,
        unchanged=base.unchanged if base else 0,
        changed=base.changed if base else 0,
        removed_ids=base.removed() if base else (),
    )


class _Counts:
    def __init__(self) -> None:
        self.rows = self.empty = 0


class _Cutter:
    """Fills shards of one part, one after the other; none goes on in the next part."""

    def __init__(self, most: int, *, everything: bool) -> None:
        self._most, self._everything = most, everything
        self._at = 0
        self._before: str | None = None
        self._open: _Filling | None = None
        self._done: list[_Filling] = []

    def add(self, item: Item, line: bytes, *, picked: bool) -> None:
        """Take the next row; one that is not picked is only passed over."""
        last = self._open or (self._done[-1] if self._done else None)
        if last is not None and last.first + last.picked[-1] == self._at - 1:
            last.behind = item.number
        if picked:
            self._open = self._open or _Filling(self._at, item.number, self._before)
            self._open.digest.update(line)
            self._open.digest.update(b"\n")
            self._open.picked.append(self._at - self._open.first)
            self._open.behind = None
            if len(self._open.picked) == self._most:
                self._close()
        self._at, self._before = self._at + 1, item.id

    def _close(self) -> None:
        if self._open is not None:
            self._done.append(self._open)
            self._open = None

    def shards(self, part: int, number: int, source: Sliced) -> list[ShardPlan]:
        """Give the shards, numbered from `number`."""
        self._close()
        places = source.places([Span(each.first, each.number, each.behind, each.before) for each in self._done])
        return [
            self._shard(part, number + n, filled, place)
            for n, (filled, place) in enumerate(zip(self._done, places, strict=True))
        ]

    def _shard(self, part: int, number: int, filled: _Filling, place: Place) -> ShardPlan:
        return ShardPlan(
            number=number,
            part=part,
            first=filled.first,
            span=filled.picked[-1] + 1,
            picked=None if self._everything else tuple(filled.picked),
            input_hash=filled.digest.hexdigest(),
            offset=place.offset,
            length=place.length,
            line=place.line,
            after=place.after,
        )


def _refuse_repeats(repeats: Repeats, sources: Sequence[Sliced]) -> None:
    found = list(repeats.found())
    if not found:
        return
    first = min(found)
    mask = (1 << _PART_BITS) - 1

    def where(number: int) -> str:
        return f"{sources[number >> _PART_BITS].name}:{number & mask}"

    raise DataError(
        f"{where(first.number)} has the id of {where(first.first_number)} ({len(found):,} repeated ids in total)",
        hint="an id must name one row: remove the repeated rows, or use another column with `--id`",
    )
