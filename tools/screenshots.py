"""Photograph the pages of a demo: `python tools/screenshots.py [RUNS]`.

Without RUNS the demo and its gate are run first (about four minutes on two cores). Light pages on a desktop and on a
phone are written to `docs/images`, small; `--all FOLDER` also writes dark and printed ones there, to be looked at.
Needs Chromium: `make browser`.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from hrembed.commands.runs.browse import report_runs
from PIL import Image

from browser import CHROMIUM, DESKTOP, PHONE, SHEET, as_printed, photograph

ROOT = Path(__file__).resolve().parents[1]
COMMANDS = ("select", "finetune", "eval", "bias-audit", "gate")
_HEIGHTS = {DESKTOP: 1300, PHONE: 1300}
ANSWER = 930
"""Height of the picture in the README: down to the end of the first chart of an evaluation."""
_COLOURS = 96
_LARGEST = 150_000  # bytes of a picture in the repository


def main() -> None:
    """Run what is missing, write the pages, photograph them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="?", type=Path, help="folder of runs of a demo and a gate")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "images")
    parser.add_argument("--all", type=Path, help="folder for every kind of picture, dark and printed ones too")
    options = parser.parse_args()
    if not CHROMIUM:
        sys.exit("Chromium is not installed; `make browser` brings it")
    with TemporaryDirectory() as scratch:
        runs = options.runs or demo(Path(scratch) / "runs")
        pages = newest_pages(runs)
        for name, page in pages.items():
            for width, kind in ((DESKTOP, "desktop"), (PHONE, "phone")):
                small(page, options.out / f"page-{name}-{kind}.png", width, Path(scratch))
            if options.all is not None:
                every_kind(name, page, options.all, Path(scratch))
        with Image.open(options.out / "page-eval-desktop.png") as picture:
            picture.crop((0, 0, DESKTOP, ANSWER)).save(options.out / "demo-scores.png", optimize=True)


def demo(runs: Path) -> Path:
    """Run the demo, and a gate on it."""
    for command in ("demo", "gate"):
        subprocess.run([sys.executable, "-m", "hrembed", command, "--runs-dir", str(runs), "--quiet"], check=False)
    return runs


def newest_pages(runs: Path) -> dict[str, Path]:
    """Write all pages; returns those of the newest run of each command, and the index."""
    written = report_runs(runs, []).metrics
    pages = {row.run.partition("/")[0]: Path(row.page).resolve() for row in written.pages}
    return {name: pages[name] for name in COMMANDS if name in pages} | {"runs": Path(written.index).resolve()}


def small(page: Path, picture: Path, width: int, scratch: Path) -> None:
    """Photograph the first screens of a page in few colours."""
    picture.parent.mkdir(parents=True, exist_ok=True)
    photograph(page, picture, width=width, height=_HEIGHTS[width], home=scratch / "browser")
    with Image.open(picture) as found:
        # Of the ways of Pillow this one keeps the colours of thin lines, by which models are told apart.
        reduced = found.convert("RGB").quantize(_COLOURS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    reduced.save(picture, optimize=True)
    if picture.stat().st_size > _LARGEST:
        sys.exit(f"{picture} has {picture.stat().st_size:,} bytes, more than {_LARGEST:,}")


def every_kind(name: str, page: Path, folder: Path, scratch: Path) -> None:
    """Photograph a whole page, light and dark, on a desktop and a phone, and its printed sheet."""
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    home = scratch / "browser"
    for width, kind in ((DESKTOP, "desktop"), (PHONE, "phone")):
        for dark in (False, True):
            target = folder / f"{name}-{kind}-{'dark' if dark else 'light'}.png"
            photograph(page, target, width=width, height=3000 if width == DESKTOP else 3600, home=home, dark=dark)
    sheet = as_printed(page, scratch / f"printed-{name}.html")
    photograph(sheet, folder / f"{name}-print.png", width=SHEET, height=1017, home=home)


if __name__ == "__main__":
    main()
