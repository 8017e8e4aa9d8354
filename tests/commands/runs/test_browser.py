"""Pages as a browser sees them: no errors, no requests, sorting by keyboard, nothing that keeps readers out.

Needs Chromium, and axe-core for the check of accessibility: `make browser` brings both.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
from gates import eval_run, run_full_of, values
from hrembed.commands.runs.browse import report_runs
from hrembed.plots.svg import NARROW, WIDE, Intervals, Mark, Row
from hrembed.reports.page import Drawing, Figure, Listing, Page, Picture, Prose, Section, Table, write_page
from places import ROOT

if TYPE_CHECKING:
    from pathlib import Path

AXE = ROOT / ".tools" / "node_modules" / "axe-core" / "axe.min.js"
CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), ""
)
EVIL = "<script>window.hacked = true</script>"

pytestmark = pytest.mark.skipif(not CHROMIUM, reason="Chromium is not installed; `make browser` brings it")

FIRST = "<script>window.errors = []; addEventListener('error', e => errors.push(e.message)); "
FIRST += "addEventListener('securitypolicyviolation', e => errors.push(e.violatedDirective));</script>"

# Runs after the page's own script; what it finds becomes an attribute of the page.
PROBE = """<script>(async () => {
  const cells = () => [...document.querySelectorAll("tbody tr")].map(row => row.cells[1].textContent);
  const found = { before: cells() };
  for (const part of document.querySelectorAll("details")) part.open = true;
  const button = document.querySelectorAll("th button")[1];
  button.focus(); found.focused = document.activeElement === button;
  button.click(); found.up = cells(); found.sorted = button.parentElement.getAttribute("aria-sort");
  button.click(); found.down = cells();
  found.hacked = "hacked" in window;
  found.requests = performance.getEntriesByType("resource").map(e => e.name).filter(name => !name.startsWith("data:"));
  if (window.axe) {
    const result = await axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"] });
    found.violations = result.violations.map(v => [v.impact, v.id, v.nodes[0].html]);
    found.passes = result.passes.length;
  }
  found.errors = errors;
  document.documentElement.dataset.found = JSON.stringify(found);
})();</script>"""


def chromium(page: Path, *options: str, home: Path) -> subprocess.CompletedProcess[str]:
    command = [
        CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", f"--user-data-dir={home}",
        "--disable-background-networking", "--virtual-time-budget=20000", *options, page.as_uri(),
    ]  # fmt: skip
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)


def probe(page: Path, home: Path, *, dark: bool = False) -> dict:
    """Open a copy of a page with the probe in it; returns what the probe found."""
    text = page.read_text(encoding="utf-8")
    axe = f"<script>{AXE.read_text(encoding='utf-8')}</script>" if AXE.is_file() else ""
    text = text.replace("<head>", f"<head>{FIRST}", 1).replace("</body>", f"{axe}{PROBE}</body>", 1)
    copy = page.with_name(f"probed-{page.name}")
    copy.write_text(text, encoding="utf-8")
    scheme = f"--blink-settings=preferredColorScheme={0 if dark else 1}"
    dom = chromium(copy, "--dump-dom", scheme, home=home).stdout
    found = re.search(r'data-found="([^"]*)"', dom)
    assert found, dom[-2000:]
    return json.loads(
        found.group(1).replace("&quot;", '"').replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    )


@pytest.fixture
def page(tmp_path: Path) -> Path:
    """A page with every kind of part."""
    (tmp_path / "a.svg").write_text(
        "<svg xmlns='http://www.w3.org/2000/svg' width='90' height='30'><rect width='60' height='20'/></svg>"
    )
    rows = [
        {"model": "a", "score": score, "text": EVIL}
        for score in ("0.20 [0.1, 0.3]", "-1.50", "12", "n/a", "+0.100 [0, 1]", "1,000")
    ]
    chart = Intervals([Row("a task", [Mark(0.5, 0.4, 0.6, 0, "0.500")])], "score", band=(0.1, 0.2), band_words="shade")
    drawing = Drawing("Scores", chart.svg(WIDE, "one dot"), chart.svg(NARROW, "one dot"), "A note on nDCG@10.")
    table = Table(
        "Scores", rows, note="Corrected by Holm.", link="rows/per query.parquet", filters=("model",),
        links={"model": ["x.html", *[""] * 5]},
    )  # fmt: skip
    parts = [
        *(Prose(kind, [f"Told by {EVIL}."], kind) for kind in ("pass", "fail", "inconclusive")),
        Picture("Bars", tmp_path / "a.svg", "one bar"),
        Listing("Settings", '{"a": 1}'),
    ]
    content = Page(
        "A page", "of today", "Is it good, and is the impact ratio?",
        Prose("It is good", ["One sentence.", "Next, do this:", "  hrembed gate"], "pass"),
        figures=[Figure("Score", "0.71", "95 % interval 0.6 to 0.8", tone) for tone in ("pass", "fail", "")],
        lead=[drawing, table], pictures=[drawing], details=[Section("Detail of it", parts)],
        origin=[Listing("Config", "x" * 4000)], repeat="hrembed eval runs/eval/20261130T063617Z-5c7e90c4/config.yaml",
        footer="The end.",
    )  # fmt: skip
    write_page(tmp_path / "page.html", content)
    return tmp_path / "page.html"


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_a_page_opens_sorts_asks_for_nothing_and_keeps_nobody_out(page: Path, tmp_path: Path, dark):
    found = probe(page, tmp_path / "home", dark=dark)
    assert found["errors"] == []
    assert found["requests"] == []
    assert found["hacked"] is False
    assert found["focused"] is True
    up = ["-1.50", "+0.100 [0, 1]", "0.20 [0.1, 0.3]", "12", "1,000", "n/a"]
    assert (found["up"], found["sorted"]) == (up, "ascending")
    assert found["down"] == up[::-1]
    if not AXE.is_file():
        pytest.skip("axe-core is not there, so accessibility was not checked; `make browser` brings it")
    assert found["passes"] > 10
    assert found["violations"] == []


def test_the_pages_of_runs_and_their_index_are_clean(tmp_path: Path, task: Path):
    runs = tmp_path / "runs"
    eval_run(runs, {"old": values(0), "new": values(0.05)}, task)
    run_full_of(EVIL, runs)
    report_runs(runs, [])
    for file in sorted((runs / "reports").glob("*.html")):
        found = probe(file, tmp_path / "home")
        assert (found["errors"], found["requests"], found["hacked"]) == ([], [], False), file.name
        assert found.get("violations", []) == [], file.name


def test_a_page_says_nothing_on_the_console_and_prints(page: Path, tmp_path: Path):
    log = chromium(page, "--dump-dom", "--enable-logging=stderr", "--v=0", home=tmp_path / "home").stderr
    assert "CONSOLE" not in log
    chromium(page, f"--print-to-pdf={tmp_path / 'page.pdf'}", "--no-pdf-header-footer", home=tmp_path / "home")
    assert (tmp_path / "page.pdf").read_bytes().startswith(b"%PDF-")
