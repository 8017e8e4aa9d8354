"""Texts in lines as wide as the terminal."""

from __future__ import annotations

import re
import shutil
import sys
import textwrap


def hanging(head: str, text: str) -> str:
    """Write a text beside its head, in lines as wide as the terminal (at most 120 characters) and below each other."""
    columns = min(shutil.get_terminal_size().columns, 120)
    lines = textwrap.wrap(text, max(columns - len(head), 30), break_long_words=False, break_on_hyphens=False)
    return head + f"\n{'':<{len(head)}}".join(lines)


def filled(text: str, columns: int | None = None) -> str:
    """Break a message between words at a terminal; a log keeps it in one line, in which it can be found.

    What stands in backticks stays whole, even where it is longer than a line: a command is there to be copied.

    Args:
        text: The message.
        columns: Width of the lines; None asks the terminal.
    """
    if columns is None:
        if not sys.stderr.isatty():
            return text
        columns = shutil.get_terminal_size().columns
    whole = _QUOTED.sub(lambda found: found[0].replace(" ", _NO_BREAK), text)
    lines = [textwrap.fill(line, columns, break_long_words=False, break_on_hyphens=False) for line in whole.split("\n")]
    return "\n".join(lines).replace(_NO_BREAK, " ")


_QUOTED = re.compile(r"`[^`\n]+`")
_NO_BREAK = "\ue000"  # of the private area, which no message contains
