"""How each table of a run was read: which columns were used, which were not, and what was unusual."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hrembed.records.base import Record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path


class TableUse(Record):
    """How a table was read.

    Attributes:
        used: Columns that were used, as the file calls them.
        unused: Columns that the file has and nobody read.
        notes: What was unusual: another delimiter, skipped rows, counted ids.
    """

    used: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass
class _Collector:
    tables: dict[str, TableUse]
    say: Callable[[str], None]

    def add(self, name: str, use: TableUse) -> None:
        before = self.tables.get(name, TableUse())
        used = tuple(dict.fromkeys((*before.used, *use.used)))
        together = TableUse(
            used=used,
            unused=tuple(column for column in dict.fromkeys((*before.unused, *use.unused)) if column not in used),
            notes=tuple(dict.fromkeys((*before.notes, *use.notes))),
        )
        self.tables[name] = together
        for note in together.notes[len(before.notes) :]:
            self.say(f"{name}: {note}")
        if set(together.unused) - set(before.unused):
            self.say(f"{name}: not used: {_listed(together.unused)}")


def _listed(columns: tuple[str, ...]) -> str:
    several = "columns" if len(columns) > 1 else "column"
    more = f" and {len(columns) - 12} more" if len(columns) > 12 else ""
    return f"{several} {', '.join(map(repr, columns[:12]))}{more}"


_collector: ContextVar[_Collector | None] = ContextVar("tables of the open run", default=None)


@contextmanager
def collecting(tables: dict[str, TableUse], say: Callable[[str], None]) -> Iterator[None]:
    """Collect what `report_table` is told while the block runs.

    Args:
        tables: Path of a file to its use; filled in.
        say: Receives a line for each unusual thing and for each file with unused columns.
    """
    token = _collector.set(_Collector(tables, say))
    try:
        yield
    finally:
        _collector.reset(token)


def report_table(
    file: Path, *, used: Iterable[str] = (), unused: Iterable[str] = (), notes: Iterable[str] = ()
) -> None:
    """Report how a table was read; outside of a run nobody listens."""
    collector = _collector.get()
    use = TableUse(used=tuple(used), unused=tuple(unused), notes=tuple(notes))
    if collector is not None and use != TableUse():
        collector.add(file.as_posix(), use)
