"""Tables for people, one JSON object for machines, progress for whoever waits."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

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
                raise type(err)(str(err), hint=f"the results are whole: {result.run} ({result.status})") from err

    def _show(self, result: CommandResult[Record]) -> None:
        if self._as_json:
            content = {"run": result.run, "status": result.status, "metrics": as_json(result.metrics)}
            print(printable_json(json_text(content, sort_keys=False)))
            return
        if self._quiet:
            print(result.run)
            return
        wide = None if sys.stdout.isatty() else 160
        console = Console(file=drawn(sys.stdout), width=wide, highlight=False)
        for title, rows in result.tables.items():
            console.print(table_of(title, rows))
        if result.notice:
            console.print(printable(result.notice), markup=False)
        console.print(printable(f"{result.status}: {result.run}"), markup=False, soft_wrap=True)


def table_of(title: str, rows: Sequence[Mapping[str, str]]) -> Table:
    """Draw rows as a table, control characters as text; a column stands where any row has a value."""
    table = Table(title=escape(printable(title)), title_justify="left", title_style="bold")
    columns = list(dict.fromkeys(key for row in rows for key in row))
    for column in columns:
        table.add_column(escape(printable(column)), overflow="fold")
    for row in rows:
        table.add_row(*(escape(printable(row.get(column, ""))) for column in columns))
    return table
