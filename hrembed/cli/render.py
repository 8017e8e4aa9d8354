"""Tables for people, one JSON object for machines, progress for whoever waits."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from rich.cells import cell_len
from rich.console import Console, Group
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
from rich.text import Text

from hrembed.cli.line_breaks import filled
from hrembed.cli.streams import OutputError, drawn
from hrembed.files import json_text
from hrembed.records.base import Record, as_json
from hrembed.text import printable, printable_json
from hrembed.types import CommandResult

WIDTH = 160  # of what is written into a file or a pipe


class Terminal:
    """The `Progress` of the command line: bars and notes on stderr, the result on stdout."""

    def __init__(self, *, as_json: bool, quiet: bool, verbose: bool = False) -> None:
        self._as_json = as_json
        self._quiet = quiet
        self._verbose = verbose
        self._err = Console(file=drawn(sys.stderr), quiet=quiet, highlight=False)

    @contextmanager
    def bar(self, label: str, total: int, done: int = 0) -> Iterator[Callable[[int, str], None]]:
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
            task = progress.add_task(escape(printable(label)), total=total or None, completed=done, note="")
            yield lambda steps, note: progress.update(task, advance=steps, note=escape(printable(note)))

    def note(self, text: str) -> None:
        """Print a line on stderr, broken at a terminal."""
        self._err.print(filled(printable(text)), markup=False, soft_wrap=True)

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
        console = Console(file=drawn(sys.stdout), width=None if sys.stdout.isatty() else WIDTH, highlight=False)
        hidden = [] if self._verbose else [title for title in result.tables if title.startswith(result.details)]
        for title, rows in result.tables.items():
            if title not in hidden:
                console.print(fitting(title, rows, console))
        if hidden:
            console.print(printable(f"Not shown without --verbose: {'; '.join(hidden)}."), style="dim", markup=False)
        for line in result.notice.splitlines():
            parts = (
                command_lines(line, console.width) if line.startswith(" ") else [filled(line, columns=console.width)]
            )
            for part in parts:
                console.print(printable(part), markup=False, soft_wrap=True)
        # Two runs in a line must not be broken inside an id; a folder must not be broken at all.
        last = printable(f"{result.status}: {result.run}")
        console.print(wrap(last, console.width) if " and " in last else last, markup=False, soft_wrap=True)


_WORD = r"""(?:[^\s"']|"[^"]*"|'[^']*')+"""
_ARGUMENT = rf"--\S+ (?!--){_WORD}|{_WORD}"  # an option stays with its value


def command_lines(command: str, width: int) -> list[str]:
    """Break a command to copy as a shell takes it: between arguments, and with a backslash at the end of the line.

    Args:
        command: The command, indented.
        width: Characters of a line.
    """
    words = re.findall(_ARGUMENT, command)
    lines, further = [command[: len(command) - len(command.lstrip())] + words[0]], "    "
    for word in words[1:]:
        if cell_len(f"{lines[-1]} {word} \\") > width and lines[-1].strip():
            lines[-1] += " \\"
            lines.append(further + word)
        else:
            lines[-1] += f" {word}"
    return lines


_UNIT = re.compile(r"\[[^\[\]]{1,40}\]\S*|< \S+|\S+")  # an interval stays within its brackets, and `< 0.001` together
_MOST_TURNED = 4  # rows that become columns
_TALLEST = 4  # lines of a cell; a table of narrow, tall columns is harder to read than blocks


def fitting(title: str, rows: Sequence[Mapping[str, str]], console: Console) -> Group:
    """Draw rows as a table where no word has to be broken and no cell is tall.

    Else rows become columns, where they are few and their first cells are names; or the columns are divided among
    tables of the same rows; or each row becomes a block.
    """
    width = console.width
    whole = _table(rows, width) or _table(_turned(rows), width)
    tables = [whole] if whole else _divided(rows, width) or [stacked(rows)]
    return Group(*([Text(printable(title), style="bold")] if title else []), *tables)


def _table(rows: Sequence[Mapping[str, str]], width: int) -> Table | None:
    """Draw rows as a table; None where it would not be readable."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    cells = {name: [printable(name), *(printable(row.get(name, "")) for row in rows)] for name in columns}
    widths = column_widths(list(cells.values()), width - 3 * len(columns) - 1)
    if not rows or widths is None:
        return None
    wrapped = [[wrap(cell, size) for cell in column] for column, size in zip(cells.values(), widths, strict=True)]
    if any(cell.count("\n") >= _TALLEST for column in wrapped for cell in column):
        return None
    return table_of(wrapped, widths)


def _turned(rows: Sequence[Mapping[str, str]]) -> list[dict[str, str]]:
    """Make a column of each row, under its first cell; nothing where rows are many, or share their first cell."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    heads = [row.get(columns[0], "") for row in rows] if columns else []
    if not 0 < len(rows) <= _MOST_TURNED or len({*heads, *columns[:1]}) <= len(rows) or not all(heads):
        return []
    return [
        {columns[0]: name, **{head: row.get(name, "") for head, row in zip(heads, rows, strict=True)}}
        for name in columns[1:]
        if any(row.get(name) for row in rows)
    ]


def _divided(rows: Sequence[Mapping[str, str]], width: int) -> list[Table]:
    """Divide columns among tables, each with the first columns, which tell the rows apart; nothing where one is wide.

    Few rows are easier to read as blocks.
    """
    columns = list(dict.fromkeys(name for row in rows for name in row))
    if len(rows) <= _MOST_TURNED:
        return []
    names = ({tuple(row.get(key, "") for key in columns[:n]) for row in rows} for n in (1, 2, 3))
    keys = next((n for n, found in enumerate(names, start=1) if len(found) == len(rows)), 0)
    tables: list[Table] = []
    part, drawn = columns[:keys], None
    for name in columns[keys:] if keys else ():
        wider = _table([{key: row.get(key, "") for key in (*part, name)} for row in rows], width)
        if wider is None and drawn is not None:
            tables.append(drawn)
            part = columns[:keys]
            wider = _table([{key: row.get(key, "") for key in (*part, name)} for row in rows], width)
        if wider is None:
            return []
        drawn, part = wider, [*part, name]
    return [*tables, drawn] if drawn is not None else []


def wrap(text: str, width: int) -> str:
    """Break a text into lines between words; an interval in brackets counts as a word."""
    lines = []
    for given in text.splitlines() or [""]:
        line = ""
        for unit in _UNIT.findall(given):
            if line and cell_len(f"{line} {unit}") > width:
                lines.append(line)
                line = unit
            else:
                line = f"{line} {unit}" if line else unit
        lines.append(line)
    return "\n".join(lines)


def column_widths(columns: Sequence[Sequence[str]], room: int) -> list[int] | None:
    """Share the room among columns: each has its longest word, and the rest goes where most text is left.

    Args:
        columns: Cells of each column, its name included.
        room: Characters without the lines and spaces between the columns.

    Returns:
        Characters of each column; None where the longest words alone take more room.
    """
    widths = [max((cell_len(unit) for cell in cells for unit in _UNIT.findall(cell)), default=0) for cells in columns]
    whole = [max((cell_len(line) for cell in cells for line in cell.splitlines()), default=0) for cells in columns]
    spare = room - sum(widths)
    if spare < 0:
        return None
    for _ in range(min(spare, sum(whole) - sum(widths))):
        neediest = max(range(len(widths)), key=lambda place: whole[place] - widths[place])
        widths[neediest] += 1
    return widths


def stacked(rows: Sequence[Mapping[str, str]]) -> Table:
    """Draw each row as a block of names and values; a value that is empty is left out."""
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True, style="dim")
    table.add_column(overflow="fold")
    for row in rows:
        for name, value in ((name, value) for name, value in row.items() if value):
            table.add_row(f"  {escape(printable(name))}", escape(printable(value)))
        table.add_row()
    return table


def table_of(columns: Sequence[Sequence[str]], widths: Sequence[int]) -> Table:
    """Draw columns as a table.

    Args:
        columns: What is shown of each: its name, and its cells.
        widths: Characters of each column.
    """
    table = Table()
    for (name, *_), width in zip(columns, widths, strict=True):
        table.add_column(escape(name), overflow="fold", width=width)
    for cells in zip(*(column[1:] for column in columns), strict=True):
        table.add_row(*map(escape, cells))
    return table
