"""The documentation: every page has its place in the site, and what troubleshooting quotes is what is said."""

from __future__ import annotations

import ast
import re
from functools import cache
from typing import TYPE_CHECKING

import pytest
import yaml
from hrembed import errors
from places import ROOT

from message_tour import modules, spoken
from site_pages import GENERATED, shown

if TYPE_CHECKING:
    from collections.abc import Iterator

DOCS = ROOT / "docs"


class SiteLoader(yaml.SafeLoader):
    """Reads mkdocs.yml without calling what its tags name."""


SiteLoader.add_multi_constructor("tag:yaml.org,2002:python/", lambda *_: None)
SITE = yaml.load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"), Loader=SiteLoader)  # noqa: S506, a safe loader


def pages(nav: object) -> Iterator[str]:
    """Files of a navigation."""
    if isinstance(nav, str):
        yield nav
    for inner in nav.values() if isinstance(nav, dict) else nav if isinstance(nav, list) else ():
        yield from pages(inner)


def test_every_page_stands_in_the_navigation_of_mkdocs_yml():
    written = {file.relative_to(DOCS).as_posix() for file in DOCS.rglob("*.md")}
    listed = [*pages(SITE["nav"])]
    assert len(listed) == len(set(listed))
    assert set(listed) == written | set(GENERATED), "add the page to `nav` of mkdocs.yml"


@cache
def codes() -> dict[str, set[int]]:
    """Message -> exit codes with which it is raised; none where a part of a message is kept apart from it."""
    found: dict[str, set[int]] = {}
    for _, tree in modules():
        for _, _, text in spoken(tree):
            found.setdefault(shown(text), set())
        for call in ast.walk(tree):
            name = getattr(getattr(call, "func", None), "id", "")
            if isinstance(call, ast.Call) and name.endswith("Error"):
                code = getattr(getattr(errors, name, None), "exit_code", None)
                for kind, _, text in spoken(ast.Module([ast.Expr(call)], [])):
                    if kind == "error":
                        found[shown(text)].update({code} - {None})
    return found


TROUBLESHOOTING = (DOCS / "troubleshooting.md").read_text(encoding="utf-8")
QUOTED = [
    (heading, row.strip("| ").split(" | ")[0])
    for heading, part in re.findall(r"^## (.+)\n((?:(?!^## ).*\n)*)", TROUBLESHOOTING, re.M)
    for row in part.splitlines()
    if row.startswith("| ") and not row.startswith("| message")
]  # fmt: skip


def test_troubleshooting_quotes_a_good_number_of_messages():
    assert len(QUOTED) >= 40


@pytest.mark.parametrize(("heading", "message"), QUOTED)
def test_a_quoted_message_is_said_and_with_that_exit_code(heading: str, message: str):
    assert message in codes(), "no such message in the source: look at docs/troubleshooting.md"
    expected = {int(code) for code in re.findall(r"\d", heading)}
    assert expected
    assert codes()[message] <= expected, f"raised with {codes()[message]}"


def test_exit_codes_are_those_of_the_errors():
    rows = re.findall(r"^\| ([\d, ]+) \| ", TROUBLESHOOTING, re.M)
    named = {int(code) for row in rows for code in row.split(",")}
    raised = {err.exit_code for err in vars(errors).values() if isinstance(err, type) and issubclass(err, Exception)}
    assert named == raised | {0}


def test_the_readme_is_short_and_shows_a_picture_before_anything_long():
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 120
    picture = next(place for place, line in enumerate(lines) if line.startswith("!["))
    table = next(place for place, line in enumerate(lines) if line.startswith("|"))
    assert picture < table < 12
    assert lines[table].split("|")[-2].strip() == "what you get"


def test_results_come_before_commits():
    parts = re.findall(r"^## (.+)$", (DOCS / "results.md").read_text(encoding="utf-8"), re.M)
    assert parts[0] == "In short"
    assert parts[-1] == "How each was made"
    before = (DOCS / "results.md").read_text(encoding="utf-8").partition("## How each was made")[0]
    assert not re.search(r"\bat [0-9a-f]{7}\b", before), "commits stand in the last part"
