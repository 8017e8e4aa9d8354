"""Chromium without a window: pages as a reader sees them, for tests and for pictures in the docs."""

from __future__ import annotations

import re
import shutil
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), ""
)
"""The program; empty where none is installed (`make browser` brings it)."""

DESKTOP, PHONE, SHEET = 1100, 390, 688
"""Widths in CSS pixels: a window, a phone, and A4 less its margins."""


def run_chromium(page: Path, *options: str, home: Path) -> subprocess.CompletedProcess[str]:
    """Open a page.

    Args:
        page: An HTML file.
        options: What to do with it: `--dump-dom`, `--screenshot=FILE`, ...
        home: Folder for what the browser keeps.
    """
    command = [
        CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", f"--user-data-dir={home}",
        "--disable-background-networking", "--hide-scrollbars", "--virtual-time-budget=20000", *options, page.as_uri(),
    ]  # fmt: skip
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)


def colours(*, dark: bool) -> str:
    """Option that makes the reader one who prefers dark or light pages."""
    return f"--blink-settings=preferredColorScheme={0 if dark else 1}"


def photograph(page: Path, picture: Path, *, width: int, height: int, home: Path, dark: bool = False) -> None:
    """Write what a window of that size shows into a PNG file."""
    options = (colours(dark=dark), f"--window-size={width},{height}", f"--screenshot={picture}")
    run_chromium(page, *options, home=home)


def as_printed(page: Path, copy: Path) -> Path:
    """Copy a page so that a screen shows what a printer would; returns the copy."""
    text = page.read_text(encoding="utf-8")
    copy.write_text(text.replace("@media print", "@media screen"), encoding="utf-8")
    return copy


def sheets(page: Path, pdf: Path, *, home: Path) -> int:
    """Print a page into a PDF file, and count its sheets."""
    run_chromium(page, f"--print-to-pdf={pdf}", "--no-pdf-header-footer", home=home)
    return len(re.findall(rb"/Type\s*/Page[^s]", pdf.read_bytes()))
