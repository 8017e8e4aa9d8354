"""JUnit XML and Markdown: whatever stands in a message, the file stays readable."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree

from hrembed.reports.junit import Case, write_junit
from hrembed.reports.markdown import inline, markdown_table

if TYPE_CHECKING:
    from pathlib import Path

# What junit-10.xsd, the schema of Jenkins' xUnit plugin, allows: element to required and to optional attributes, and to
# the elements inside.
ALLOWED = {
    "testsuites": (set(), {"name", "time", "tests", "failures", "errors"}, {"testsuite"}),
    "testsuite": (
        {"name", "tests", "failures", "errors"},
        {"group", "time", "skipped", "timestamp", "hostname", "id", "package", "file", "log", "url", "version"},
        {"testsuite", "properties", "testcase", "system-out", "system-err"},
    ),
    "testcase": ({"name"}, {"time", "classname", "group"}, {"skipped", "failure", "system-out", "system-err"}),
    "failure": (set(), {"type", "message"}, set()),
    "skipped": (set(), {"type", "message"}, set()),
    "system-out": (set(), set(), set()),
}
EVIL = 'a<b> & "c" \x00\x0b\ud800 ]]> |'


def check_schema(element: ElementTree.Element) -> None:
    required, optional, inside = ALLOWED[element.tag]
    assert required <= set(element.attrib) <= required | optional
    for child in element:
        assert child.tag in inside
        check_schema(child)


def test_every_status_is_written_as_the_schema_says(tmp_path: Path):
    cases = [Case("quality", f"{status} {EVIL}", status, EVIL) for status in ("pass", "fail", "skip")]
    write_junit(tmp_path / "junit.xml", EVIL, cases)
    root = ElementTree.parse(tmp_path / "junit.xml").getroot()
    check_schema(root)
    (suite,) = root
    counts = [suite.get(name) for name in ("tests", "failures", "errors", "skipped")]
    assert counts == ["3", "1", "0", "1"]
    assert [[child.tag for child in case] for case in suite] == [["system-out"], ["failure"], ["skipped"]]
    assert suite[1][0].get("message", "").startswith('a<b> & "c" ')


def test_markdown_cells_hold_no_markup():
    table = markdown_table([{"a": "x | y\nz", "b": "<script>"}, {"c": "`rm` [link](http://x)"}])
    lines = table.splitlines()
    assert lines[0] == "| a | b | c |"
    assert lines[2] == r"| x \| y z | \<script\> |  |"
    assert inline("`x` [l](u)") == r"\`x\` \[l\](u)"
    assert markdown_table([]) == ""
