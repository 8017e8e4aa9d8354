"""The anonymise command, run for a test."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from hrembed.cli.app import main

if TYPE_CHECKING:
    from pathlib import Path


def anonymise(source: Path, *settings: str) -> Path:
    """Run the command, and give the run folder."""
    runs = source.parent / "runs"
    before = set(runs.glob("data-anonymise/*"))
    sets = [part for setting in settings for part in ("--set", setting)]
    assert main(["data", "anonymise", str(source), "--runs-dir", str(runs), "--quiet", *sets]) == 0
    (run,) = set(runs.glob("data-anonymise/*")) - before
    return run


def metrics(run: Path) -> dict[str, Any]:
    return json.loads((run / "metrics.json").read_text(encoding="utf-8"))
