"""The site builds strictly, holds what is generated from the code, renders as meant, and asks no other server."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from html import unescape
from typing import TYPE_CHECKING

import pytest
from hrembed.cli.app import COMMANDS
from hrembed.cli.groups import GROUPS
from hrembed.records.eval import EvalRecord
from hrembed.reports.glossary import lookup
from places import ROOT

from site_pages import GENERATED, shown

if TYPE_CHECKING:
    from pathlib import Path

pytest.importorskip("mkdocs", reason="`pip install 'hrembed[docs]'`")


def build(config: Path, out: Path) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable,
        "-m",
        "mkdocs",
        "build",
        "--strict",
        "--config-file",
        str(config),
        "--site-dir",
        str(out),
    ]
    env = {**os.environ, "NO_MKDOCS_2_WARNING": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("site")
    done = build(ROOT / "mkdocs.yml", out)
    assert done.returncode == 0, done.stdout + done.stderr
    return out


@pytest.fixture(scope="module")
def html(site: Path) -> dict[str, str]:
    return {file.relative_to(site).as_posix(): file.read_text(encoding="utf-8") for file in site.rglob("*.html")}


def body(page: str) -> str:
    return page.partition("<article")[2].partition("</article>")[0]


def words(page: str) -> str:
    return unescape(re.sub(r"<[^>]+>", "", body(page)))


def test_commands_records_and_messages_are_those_of_the_code(html: dict[str, str]):
    commands = words(html["commands.html"])
    for name in (name for group in GROUPS.values() for name in group):
        assert f"hrembed {name}" in commands
    for _, short, rest, example in COMMANDS.values():
        assert short.replace("`", "") in commands
        assert rest.replace("`", "") in " ".join(commands.split())
        assert example in commands
    assert "hrembed data import ats" in commands
    records = words(html["records.html"])
    for key in EvalRecord.model_json_schema(mode="serialization", by_alias=True)["properties"]:
        assert key in records
    assert "Smallest difference that the comparison would have found" in records  # a record within a record
    assert "run 'hrembed" not in words(html["messages.html"])
    assert "the gate is inconclusive: …" in words(html["messages.html"])
    assert "add queries to narrow the intervals, or set inconclusive: pass" in words(html["messages.html"])


def test_tables_lists_and_marks_are_rendered(html: dict[str, str]):
    assert len(html) > 20
    for name, page in html.items():
        text = re.sub(r"<(pre|code).*?</\1>", "", body(page), flags=re.DOTALL)
        left = re.search(r"<p>(\*|-|\d+\.) |^\s*\|.*\|\s*$|\*\*\w|\]\(|^#+ ", text, flags=re.MULTILINE)
        assert left is None, f"{name}: {text[max(0, left.start() - 40) : left.end() + 80]}" if left else ""


def test_nothing_is_asked_of_another_server(html: dict[str, str]):
    for name, page in html.items():
        for tag in re.findall(r"<(?:script|img|link|iframe|source)\b[^>]*>", page):
            assert not re.search(r'(?:src|href)="(?:https?:)?//', tag), f"{name}: {tag}"


def test_words_of_the_glossary_explain_themselves(html: dict[str, str]):
    meaning = lookup()["Holm"]
    assert re.search(r'<abbr title="([^"]+)">Holm</abbr>', html["statistics.html"])
    assert meaning.split(",")[0] in unescape(html["statistics.html"])
    assert "<abbr" not in body(html["glossary.html"])


def test_a_link_to_nowhere_ends_the_build(tmp_path: Path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "index.md").write_text("# Start\n\n[there](#nowhere)\n", encoding="utf-8")
    settings = "site_name: x\nstrict: true\nvalidation: {links: {anchors: warn}}\n"
    (tmp_path / "mkdocs.yml").write_text(settings, encoding="utf-8")
    done = build(tmp_path / "mkdocs.yml", tmp_path / "site")
    assert done.returncode == 1
    assert "no such anchor" in done.stdout + done.stderr


def test_a_message_is_shown_without_what_is_filled_in():
    assert shown("'{row['a']}': {', '.join(x)}: use `a_b` [x]") == "'…': …: use `a_b` \\[x\\]"


def test_generated_pages_are_not_kept_in_docs():
    assert not [name for name in GENERATED if (ROOT / "docs" / name).exists()]
