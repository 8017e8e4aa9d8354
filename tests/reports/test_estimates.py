"""How p-values are written."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hrembed.reports.estimates import format_p, p_in_words


@pytest.mark.parametrize(
    ("p_value", "cell", "words"),
    [
        (0.03125, "0.0312", "p = 0.0312"),
        (1.0, "1.0000", "p = 1.0000"),
        (0.0001, "0.0001", "p = 0.0001"),
        (0.00004, "< 0.0001", "p < 0.0001"),
        (0.0, "< 0.0001", "p < 0.0001"),
        (float("nan"), "", "p undefined"),
    ],
)
def test_small_p_values_are_never_zero(p_value, cell, words):
    assert format_p(p_value) == cell
    assert p_in_words(p_value) == words


def test_all_p_values_go_through_one_formatter():
    """A p-value with a format of its own could be printed as 0.0000."""
    package = Path(__file__).resolve().parents[2] / "hrembed"
    own = [
        f"{file.relative_to(package)}: {line.strip()}"
        for file in package.rglob("*.py")
        for line in file.read_text(encoding="utf-8").splitlines()
        if re.search(r"\{[^{}]*\b(p|p_value|p_holm|p_bh|\w+_p)\b[\])]*:[^{}]*\.\d+[fe]\}", line)
        and file.name != "estimates.py"
    ]
    assert own == []
