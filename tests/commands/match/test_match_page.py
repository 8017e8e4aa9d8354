"""The page of a match as a browser sees it: search, filters, reasons, keyboard, phone; nothing leaves it.

Needs Chromium, and axe-core for the check of accessibility: `make browser` brings both.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hrembed.commands.match.page import write_report
from hrembed.records.match import (
    Candidate,
    Exposure,
    Faithfulness,
    GroupAtCut,
    GroupExposure,
    MatchRecord,
    Reasons,
    SentenceShare,
)
from hrembed.types import Estimate
from places import ROOT

AXE = ROOT / ".tools" / "node_modules" / "axe-core" / "axe.min.js"
CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), ""
)
EVIL = '"><script>window.hacked = true</script>'

pytestmark = pytest.mark.skipif(not CHROMIUM, reason="Chromium is not installed; `make browser` brings it")

FIRST = "<script>window.errors = []; addEventListener('error', e => errors.push(e.message)); "
FIRST += "addEventListener('securitypolicyviolation', e => errors.push(e.violatedDirective));</script>"

# What a reader does, one thing after the other; what is seen then becomes an attribute of the page.
PROBE = """<script>(async () => {
  const cards = () => [...document.querySelectorAll("#cards > li")].filter(card => !card.hidden);
  const shown = () => cards().map(card => card.querySelector("h3").textContent);
  const set = (node, value) => { node.value = value; node.dispatchEvent(new Event("input", { bubbles: true })); };
  const event = name => new KeyboardEvent("keydown", { key: name, bubbles: true, cancelable: true });
  const key = name => document.activeElement.dispatchEvent(event(name));
  const wait = () => new Promise(done => setTimeout(done, 20));
  const found = { all: shown() };
  const search = document.getElementById("search"), country = document.querySelector("select[data-column=country]");
  set(search, "PASTRY decorates"); found.searched = shown(); found.count = document.getElementById("count").textContent;
  set(search, "no such word"); found.nothing = [shown().length, document.getElementById("none").hidden];
  document.querySelector("button[type=reset]").click(); await wait(); found.reset = shown();
  set(country, "DE"); found.filtered = shown();
  const years = document.querySelector("input[data-least=years]");
  set(years, "5"); found.both = shown();
  document.querySelector("button[type=reset]").click(); await wait();
  set(document.getElementById("order"), "bm25"); found.ordered = shown();
  document.querySelector("button[type=reset]").click(); await wait();
  document.body.focus(); key("/"); found.slash = document.activeElement.id;
  document.activeElement.blur(); key("j"); found.first = document.activeElement.id;
  key("j"); found.second = document.activeElement.id; key("k"); found.back = document.activeElement.id;
  key("Enter"); found.opened = document.querySelector("#c1 details.why").open;
  found.reasons = document.querySelector("#c1 details.why").textContent.replace(/\\s+/g, " ");
  search.focus(); key("j"); found.typed = document.activeElement.id;
  found.wide = [document.documentElement.scrollWidth, document.documentElement.clientWidth];
  found.hacked = "hacked" in window;
  found.requests = performance.getEntriesByType("resource").map(e => e.name);
  for (const each of document.querySelectorAll("details")) each.open = true;
  if (window.axe) {
    const rules = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
    const result = await axe.run(document, { runOnly: rules });
    found.violations = result.violations.map(v => [v.impact, v.id, v.nodes[0].html]);
    found.passes = result.passes.length;
  }
  found.errors = errors;
  document.documentElement.dataset.found = JSON.stringify(found);
})();</script>"""

JOB = ["Shapes pastry and decorates cakes.", "Free parking."]


def reasons(text: str) -> Reasons:
    share = SentenceShare(place=0, start=0, end=len(text), share=0.4, text=text)
    of_job = SentenceShare(place=0, start=0, end=5, share=0.3, text=JOB[0])
    return Reasons(candidate=(share,), job=(of_job,), unanswered=(1,), other=0.1, cosine=0.5)


def record(*, evil: bool = False) -> MatchRecord:
    rows: list[dict[str, Any]] = [
        {"id": "c6", "country": "AT", "years": 4, "text": "Shapes pastry and decorates cakes.", "bm25": 3.0},
        {"id": "c5", "country": "DE", "years": 12, "text": "Bakes bread.", "bm25": float("nan")},
        {
            "id": EVIL if evil else "c1",
            "country": "DE",
            "years": 3,
            "text": EVIL if evil else "Dresses wounds.",
            "bm25": 5.0,
        },
    ]
    candidates = tuple(
        Candidate(
            rank=n,
            id=row["id"],
            cosine=0.9 - n / 10,
            cosine_rank=n,
            bm25=row["bm25"],
            columns={"country": row["country"], "years": row["years"], "languages": ("de", "en")},
            text=row["text"],
            reasons=reasons(row["text"]),
            original_rank=n,
        )
        for n, row in enumerate(rows, 1)
    )
    cut = GroupAtCut(count=1, share=0.5, skew=0.0, p_value=0.4)
    group = GroupExposure(pool=5, pool_share=0.5, attention=0.5, attention_ratio=1.0, every_top_p=0.7, cuts={10: cut})
    faithfulness = Faithfulness(
        identity="x", method="token shares", task="t", pairs=10, skipped=0, share=Estimate(0.9, 0.8, 1.0, 10, "groups"),
        needed=0.8, answered=0.3, passes=True,
    )  # fmt: skip
    return MatchRecord(
        index="idx", generation="g001", model="wordllama", job="text", job_sha256="0", where=("country=DE,AT",),
        matching=3, searched=3, stages=("cosine", "BM25"), candidates=candidates, faithfulness=faithfulness,
        exposure=Exposure(file_sha256="0", jobs=1, depth=3, pool=10, unknown=0, small=(), groups={"a": group},
                          min_skew={10: 0.0}, reranked="det-greedy"),
    )  # fmt: skip


def chromium(page: Path, *options: str, home: Path) -> str:
    command = [
        CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", f"--user-data-dir={home}",
        "--disable-background-networking", "--virtual-time-budget=20000", *options, page.as_uri(),
    ]  # fmt: skip
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=240).stdout


def visit(tmp_path: Path, *, evil: bool = False, width: int = 1200) -> dict[str, Any]:
    page = tmp_path / "match.html"
    write_report(
        page,
        record(evil=evil),
        JOB,
        {"country": "text", "years": "whole number", "languages": "texts"},
        Path("runs/match/a-run"),
    )
    assert "<code>hrembed match --config runs/match/a-run/config.yaml</code>" in page.read_text(encoding="utf-8")
    text = page.read_text(encoding="utf-8")
    axe = f"<script>{AXE.read_text(encoding='utf-8')}</script>" if AXE.is_file() else ""
    page.write_text(
        text.replace("<meta charset", f"{FIRST}<meta charset", 1).replace("</body>", f"{axe}{PROBE}</body>")
    )
    dom = chromium(page, "--dump-dom", f"--window-size={width},900", home=tmp_path / "profile")
    found = re.search(r'data-found="([^"]*)"', dom)
    assert found, dom[-2000:]
    return json.loads(found[1].replace("&quot;", '"').replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"))


def test_a_reader_searches_filters_orders_and_reads_reasons(tmp_path: Path):
    found = visit(tmp_path)
    assert found["all"] == found["reset"] == ["c6", "c5", "c1"]
    assert found["searched"] == ["c6"]
    assert found["count"] == "1 of 3 shown"
    assert found["nothing"] == [0, False]
    assert found["filtered"] == ["c5", "c1"]
    assert found["both"] == ["c5"]
    assert found["ordered"] == ["c1", "c6", "c5"]
    assert "Free parking." in found["reasons"]
    assert "0.400" in found["reasons"]
    assert (found["slash"], found["first"], found["second"], found["back"]) == ("search", "c1", "c2", "c1")
    assert found["opened"]
    assert found["typed"] == "search", "letters that are typed are no commands"
    assert found["errors"] == []
    assert found["requests"] == []
    if "passes" in found:
        assert found["violations"] == []
        assert found["passes"] > 20


@pytest.mark.parametrize("width", [360])
def test_on_a_phone_nothing_is_wider_than_the_screen(tmp_path: Path, width: int):
    found = visit(tmp_path, width=width)
    assert found["wide"][0] <= found["wide"][1]
    assert found.get("violations", []) == []


def test_what_a_candidate_wrote_stays_text(tmp_path: Path):
    found = visit(tmp_path, evil=True)
    assert not found["hacked"]
    assert found["errors"] == []
    assert EVIL in found["all"]
