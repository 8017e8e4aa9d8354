"""Commands as a user types them, in this process."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from hrembed.cli.app import main

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def commanded(capsys: pytest.CaptureFixture[str], *argv: object, runs: Path) -> dict[str, Any]:
    """Run a command that must succeed; what it says as JSON."""
    capsys.readouterr()
    code = main([*map(str, argv), "--runs-dir", str(runs), "--json"])
    captured = capsys.readouterr()
    assert code == 0, captured.err
    said: dict[str, Any] = json.loads(captured.out)
    return said


def refused(capsys: pytest.CaptureFixture[str], *argv: object, runs: Path) -> tuple[int, str]:
    """Run a command that must fail; its exit code and what it says on stderr, in one line."""
    capsys.readouterr()
    code = main([*map(str, argv), "--runs-dir", str(runs), "--quiet"])
    captured = capsys.readouterr()
    assert code != 0
    assert "Traceback" not in captured.err
    return code, " ".join(captured.err.split())
