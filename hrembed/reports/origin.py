"""Where a run's numbers come from, and how to make them again: the end of every page."""

from __future__ import annotations

import shlex
from datetime import datetime
from math import isnan
from typing import TYPE_CHECKING

from hrembed.files import json_text
from hrembed.records.base import command_line
from hrembed.reports.page import Listing, Prose, Table

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hrembed.records.manifest import Manifest
    from hrembed.reports.page import Part


def subtitle_of(manifest: Manifest, run_id: str) -> str:
    """Say which run a page is about, when it was started, how long it took, and what made it."""
    facts = [f"Run {manifest.command}/{run_id}", _day(manifest.started)]
    if not isnan(manifest.seconds):
        facts.append(f"{manifest.seconds:,.0f} s, {manifest.peak_memory_mb:,.0f} MB at the peak")
    return " · ".join([*facts, f"hrembed {manifest.versions.get('hrembed', 'of an unknown version')}"])


def _day(started: str) -> str:
    try:
        return datetime.fromisoformat(started).strftime("%Y-%m-%d %H:%M UTC")
    except ValueError:
        return started or "unknown date"


def repeat_command(command: str, folder: Path) -> str:
    """Write the command that makes a run again, as a shell takes it.

    Args:
        command: What was run, as its folder is called.
        folder: The run folder, as the command names it.
    """
    words = ["hrembed", *command_line(command).split()]
    words[words.index("CONFIG")] = (folder / "config.yaml").as_posix()
    root = folder.parent.parent.as_posix()
    return shlex.join(words if root == "runs" else [*words, "--runs-dir", root])


def origin_parts(manifest: Manifest, settings: object, to_run: str) -> Iterator[Part]:
    """Yield what a run read, with hashes, its settings, and what it wrote.

    Args:
        manifest: Of the run.
        settings: Content of its `config.yaml`; None where there is none.
        to_run: Relative path from the page to the run folder.
    """
    inputs = [{"name": name, "path": entry.path, "SHA-256": entry.sha256} for name, entry in manifest.inputs.items()]
    models = [
        {"name": name, "source": entry.source, "identity": entry.identity} for name, entry in manifest.models.items()
    ]
    outputs = [{"file": name, "SHA-256": digest} for name, digest in manifest.outputs.items()]
    for title, rows in (("Inputs", inputs), ("Models", models)):
        if rows:
            yield Table(title, rows)
    if manifest.attributions:
        yield Prose("Credits", [f"{credit.attribution} {credit.url}" for credit in manifest.attributions])
    if settings is not None:
        yield Listing("Settings (config.yaml)", json_text(settings))
    if outputs:
        yield Table("Files", outputs, links={"file": [f"{to_run}/{row['file']}" for row in outputs]})
    facts = manifest.model_dump(mode="json", include={"versions", "machine", "seeds", "working_directory_git"})
    yield Listing("Versions, machine, seeds", json_text(facts))
