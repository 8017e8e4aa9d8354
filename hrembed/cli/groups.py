"""`hrembed --help`: the commands grouped by what one wants to do."""

from __future__ import annotations

from typing import Any

from typer.core import TyperGroup

GROUPS = {
    "Start": ("init", "demo", "doctor"),
    "Prepare data": ("data",),
    "Choose and train a model": ("select", "finetune", "decision", "retrain"),
    "Measure": ("eval", "bias-audit", "compare"),
    "Search": ("encode", "index", "match"),
    "Decide and ship": ("gate", "runs", "export", "serve-check"),
    "Look up": ("configs", "schema"),
}
"""Title to names of commands; each command stands in one group."""


class GroupedCommands(TyperGroup):
    """Lists commands under the titles of `GROUPS`."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write one section for each group."""
        width = max(map(len, self.commands))
        limit = formatter.width - width - 6  # indentation, and the gap between the columns
        for title, names in GROUPS.items():
            with formatter.section(title):
                rows = [(name, self.commands[name].get_short_help_str(limit)) for name in names]
                formatter.write_dl([(name.ljust(width), text) for name, text in rows])
