"""Pages as a browser sees them: no errors, no requests, sorting by keyboard, nothing that keeps readers out.

Needs Chromium, and axe-core for the check of accessibility: `make browser` brings both.
"""

from __future__ import annotations

import json
import re
from html import escape
from typing import TYPE_CHECKING

import pytest
from hrembed.plots.svg import NARROW, WIDE, Intervals, Mark, Row
from hrembed.reports.page import Drawing, Figure, Listing, Page, Picture, Prose, Section, Table, write_page
from places import ROOT
from small_runs import LONG

from browser import CHROMIUM, DESKTOP, PHONE, colours, run_chromium, sheets

if TYPE_CHECKING:
    from pathlib import Path

AXE = ROOT / ".tools" / "node_modules" / "axe-core" / "axe.min.js"
NARROWEST = 500  # of a window of Chromium; a phone is a frame in it
EVIL = "<script>window.hacked = true</script>"

pytestmark = pytest.mark.skipif(not CHROMIUM, reason="Chromium is not installed; `make browser` brings it")

FIRST = "<script>window.errors = []; addEventListener('error', e => errors.push(e.message)); "
FIRST += "addEventListener('securitypolicyviolation', e => errors.push(e.violatedDirective));</script>"

# Runs after the page's own script; what it finds becomes an attribute of the page.
PROBE = """<script>(async () => {
  const cells = () => [...document.querySelectorAll("tbody tr")].map(row => row.cells[1].textContent);
  const overflow = () => document.documentElement.scrollWidth - document.documentElement.clientWidth;
  const answer = document.querySelector("section.answer");
  const found = { before: cells(), answered: answer.querySelector("h2").getBoundingClientRect().bottom };
  found.folded = overflow(); found.width = innerWidth;
  for (const part of document.querySelectorAll("details")) part.open = true;
  found.opened = overflow();
  const button = document.querySelectorAll("th button")[1];
  if (button) {
    button.focus(); found.focused = document.activeElement === button;
    button.click(); found.up = cells(); found.sorted = button.parentElement.getAttribute("aria-sort");
    button.click(); found.down = cells();
  }
  const select = document.querySelector("select");
  const rows = () => [...document.querySelectorAll("form + .scroll tbody tr")];
  if (select) {
    const shown = () => rows().filter(row => row.getClientRects().length).length;
    found.all = shown(); select.selectedIndex = 1; select.dispatchEvent(new Event("change", { bubbles: true }));
    found.chosen = [select.value, shown(), document.querySelector("output").textContent];
  }
  const term = document.querySelector("button.term");
  if (term) { term.click(); found.explained = document.querySelector("[popover]:popover-open")?.textContent; }
  found.hacked = "hacked" in window;
  found.requests = performance.getEntriesByType("resource").map(e => e.name).filter(name => !name.startsWith("data:"));
  if (window.axe) {
    const result = await axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"] });
    found.violations = result.violations.map(v => [v.impact, v.id, v.nodes[0].html]);
    found.passes = result.passes.length;
  }
  found.errors = errors;
  top.document.documentElement.dataset.found = JSON.stringify(found);
})();</script>"""


def probe(page: Path, home: Path, *, dark: bool = False, width: int = DESKTOP) -> dict:
    """Open a copy of a page with the probe in it; returns what the probe found."""
    text = page.read_text(encoding="utf-8")
    axe = f"<script>{AXE.read_text(encoding='utf-8')}</script>" if AXE.is_file() else ""
    text = text.replace("<head>", f"<head>{FIRST}", 1).replace("</body>", f"{axe}{PROBE}</body>", 1)
    copy = page.with_name(f"probed-{page.name}")
    if width < NARROWEST:
        frame = f'<iframe style="border:0;width:{width}px;height:844px" srcdoc="{escape(text)}"></iframe>'
        text = f'<!DOCTYPE html><html lang="en"><title>Frame</title><body>{frame}</body></html>'
    copy.write_text(text, encoding="utf-8")
    dom = run_chromium(copy, "--dump-dom", colours(dark=dark), f"--window-size={width},800", home=home).stdout
    found = re.search(r'<html[^>]* data-found="([^"]*)"', dom)
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


def test_a_term_opens_its_meaning_and_a_filter_hides_rows(page: Path, tmp_path: Path):
    found = probe(page, tmp_path / "home")
    assert found["explained"].startswith("impact ratio. The selection rate of one group")
    assert (found["all"], found["chosen"]) == (6, ["a", 6, "6 of 6"])


@pytest.fixture(scope="module")
def pages(small_runs: Path) -> dict[str, Path]:
    """Pages of small runs of every command that has one of its own, and the index."""
    found = {file.name.partition("--")[0]: file for file in sorted((small_runs / "reports").glob("*--*.html"))}
    (evil, *evals) = sorted(
        (small_runs / "reports").glob("eval--*.html"), key=lambda file: EVIL_SAID not in file.read_text("utf-8")
    )
    (audit,) = (small_runs / "bias-audit").glob("*/report.html")
    index = small_runs / "reports" / "index.html"
    return {**found, "eval": evals[0], "evil": evil, "bias-audit": audit, "index": index}


EVIL_SAID = "path:&lt;script&gt;"
KINDS = ("eval", "finetune", "bias-audit", "gate", "index", "evil")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("width", [DESKTOP, PHONE])
def test_a_page_of_a_run_is_clean_fits_a_phone_and_answers_on_the_first_screen(
    pages: dict[str, Path], kind: str, width: int, tmp_path: Path
):
    found = probe(pages[kind], tmp_path / "home", width=width)
    assert (found["errors"], found["requests"], found["hacked"]) == ([], [], False)
    assert found["width"] == width
    assert (found["folded"], found["opened"]) == (0, 0), "it can be scrolled sideways"
    assert 0 < found["answered"] < 800
    assert found.get("violations", []) == []


@pytest.mark.parametrize("kind", ["eval", "finetune", "bias-audit", "gate"])
def test_a_summary_prints_to_one_sheet(pages: dict[str, Path], kind: str, tmp_path: Path):
    assert sheets(pages[kind], tmp_path / "page.pdf", home=tmp_path / "home") == 1


def test_a_page_of_three_hundred_candidates_is_small(pages: dict[str, Path]):
    text = pages["eval"].read_text(encoding="utf-8")
    assert text.count(LONG[:60]) > 100
    assert len(text.encode()) < 2_000_000


def test_a_page_says_nothing_on_the_console_and_prints(page: Path, tmp_path: Path):
    log = run_chromium(page, "--dump-dom", "--enable-logging=stderr", "--v=0", home=tmp_path / "home").stderr
    assert "CONSOLE" not in log
    run_chromium(page, f"--print-to-pdf={tmp_path / 'page.pdf'}", "--no-pdf-header-footer", home=tmp_path / "home")
    assert (tmp_path / "page.pdf").read_bytes().startswith(b"%PDF-")
