"""Tables for people, one JSON object for machines, progress for whoever waits."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from rich.cells import cell_len
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from hrembed.cli.streams import OutputError, drawn
from hrembed.files import json_text
from hrembed.records.base import Record, as_json
from hrembed.text import printable, printable_json
from hrembed.types import CommandResult


class Terminal:
    """The `Progress` of the command line: bars and notes on stderr, the result on stdout."""

    def __init__(self, *, as_json: bool, quiet: bool) -> None:
        self._as_json = as_json
        self._quiet = quiet
        self._err = Console(file=drawn(sys.stderr), quiet=quiet, highlight=False)

    @contextmanager
    def bar(self, label: str, total: int) -> Iterator[Callable[[int, str], None]]:
        """Show a bar that vanishes when done; nothing when stderr is no terminal. A total of 0 is unknown."""
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        disabled = self._quiet or not self._err.is_terminal
        with Progress(*columns, console=self._err, transient=True, disable=disabled) as progress:
            task = progress.add_task(escape(printable(label)), total=total or None, note="")
            yield lambda steps, note: progress.update(task, advance=steps, note=escape(printable(note)))

    def note(self, text: str) -> None:
        """Print a line on stderr."""
        self._err.print(printable(text), markup=False)

    def alive(self, text: str) -> None:
        """Print a line where no bar moves, so that whoever waits for a job without a terminal sees it live."""
        if not self._err.is_terminal:
            self.note(text)

    def show(self, result: CommandResult[Record]) -> None:
        """Print the result on stdout.

        Raises:
            OutputError: Standard output cannot be written; the error says where the run is.
        """
        try:
            self._show(result)
        except OutputError as err:
            # A limit that was not met is the more important news: it decides the exit code.
            if result.failure is None:
                raise type(err)(str(err), hint=f"all results were written: {result.run} ({result.status})") from err

    def _show(self, result: CommandResult[Record]) -> None:
        if self._as_json:
            content = {"run": result.run, "status": result.status, "metrics": as_json(result.metrics)}
            print(printable_json(json_text(content, sort_keys=False)))
            return
        if self._quiet:
            print(result.run)
            return
        wide = None if sys.stdout.isatty() or os.environ.get("COLUMNS") else 160
        console = Console(file=drawn(sys.stdout), width=wide, highlight=False)
        for title, rows in result.tables.items():
            console.print(fitting(title, rows, console))
        for line in result.notice.splitlines():
            # A command to copy, which is indented, must not be broken into two lines.
            console.print(printable(line), markup=False, soft_wrap=line.startswith(" "))
        console.print(printable(f"{result.status}: {result.run}"), markup=False, soft_wrap=True)


def fitting(title: str, rows: Sequence[Mapping[str, str]], console: Console) -> Table:
    """Draw rows as a table where no word has to be broken for it, else each row as a block."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    cells = {name: [printable(name), *(printable(row.get(name, "")) for row in rows)] for name in columns}
    widths = column_widths(list(cells.values()), console.width - 3 * len(columns) - 1)
    return stacked(title, rows) if widths is None else table_of(title, cells, widths)


def column_widths(columns: Sequence[Sequence[str]], room: int) -> list[int] | None:
    """Share the room among columns: each has its longest word, and the rest goes where most text is left.

    Args:
        columns: Cells of each column, its name included.
        room: Characters without the lines and spaces between the columns.

    Returns:
        Characters of each column; None where the longest words alone take more room.
    """
    widths = [max((cell_len(word) for cell in cells for word in cell.split()), default=0) for cells in columns]
    whole = [max((cell_len(line) for cell in cells for line in cell.splitlines()), default=0) for cells in columns]
    spare = room - sum(widths)
    if spare < 0:
        return None
    for _ in range(min(spare, sum(whole) - sum(widths))):
        neediest = max(range(len(widths)), key=lambda place: whole[place] - widths[place])
        widths[neediest] += 1
    return widths


def stacked(title: str, rows: Sequence[Mapping[str, str]]) -> Table:
    """Draw each row as a block of names and values; a value that is empty is left out."""
    table = Table(
        title=escape(printable(title)),
        title_justify="left",
        title_style="bold",
        box=None,
        show_header=False,
        padding=(0, 2, 0, 0),
    )
    table.add_column(no_wrap=True, style="dim")
    table.add_column(overflow="fold")
    for row in rows:
        for name, value in ((name, value) for name, value in row.items() if value):
            table.add_row(f"  {escape(printable(name))}", escape(printable(value)))
        table.add_row()
    return table


def table_of(title: str, columns: Mapping[str, Sequence[str]], widths: Sequence[int]) -> Table:
    """Draw columns as a table.

    Args:
        title: Stands above it.
        columns: Name -> what is shown of the column: its name, and its cells.
        widths: Characters of each column.
    """
    table = Table(title=escape(printable(title)), title_justify="left", title_style="bold")
    for (name, *_), width in zip(columns.values(), widths, strict=True):
        table.add_column(escape(name), overflow="fold", width=width)
    for cells in zip(*(cells[1:] for cells in columns.values()), strict=True):
        table.add_row(*map(escape, cells))
    return table
