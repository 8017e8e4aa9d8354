"""Checks as JUnit XML, which CI systems display."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal, NamedTuple
from xml.etree import ElementTree

from hrembed.files import write_text

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

CaseStatus = Literal["pass", "fail", "skip"]

# Characters that XML 1.0 does not allow, not even escaped.
_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class Case(NamedTuple):
    """One check.

    Attributes:
        group: Class name in JUnit's words.
        name: Name of the check.
        status: `pass`, `fail` or `skip`.
        message: What was asked and what was found, in one line.
    """

    group: str
    name: str
    status: CaseStatus
    message: str


def write_junit(path: Path, suite: str, cases: Sequence[Case]) -> None:
    """Write one test suite.

    The elements and attributes are those that the schema of Jenkins' xUnit plugin (junit-10.xsd) and GitLab know.

    Args:
        path: The file.
        suite: Name of the suite.
        cases: The checks, in order.

    Raises:
        HrembedError: The file cannot be written.
    """
    counts = {
        "tests": str(len(cases)),
        "failures": str(sum(case.status == "fail" for case in cases)),
        "errors": "0",
    }
    root = ElementTree.Element("testsuites", {"name": _clean(suite), **counts})
    skipped = str(sum(case.status == "skip" for case in cases))
    element = ElementTree.SubElement(root, "testsuite", {"name": _clean(suite), **counts, "skipped": skipped})
    for case in cases:
        attributes = {"classname": f"{_clean(suite)}.{_clean(case.group)}", "name": _clean(case.name), "time": "0.000"}
        entry = ElementTree.SubElement(element, "testcase", attributes)
        message = _clean(case.message)
        if case.status == "fail":
            ElementTree.SubElement(entry, "failure", {"type": "gate", "message": message}).text = message
        elif case.status == "skip":
            ElementTree.SubElement(entry, "skipped", {"type": "gate", "message": message})
        else:
            ElementTree.SubElement(entry, "system-out").text = message
    ElementTree.indent(root)
    text = ElementTree.tostring(root, encoding="unicode")
    write_text(path, f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n')


def _clean(text: str) -> str:
    return _FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", text)
