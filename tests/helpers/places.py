"""Where the project lies, for tests that read its own files."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "data"
HR_CORE = DATA / "hr-core"
SHARED = ROOT.parent / "shared"  # development data; not part of the project
