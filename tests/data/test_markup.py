"""HTML of exports as text."""

from __future__ import annotations

import html

import pytest
from hrembed.data.markup import as_text

AD = "<p><b>About</b>&nbsp;us &amp; you</p><ul><li>Build <em>APIs</em></li><li>Run<br>them</li></ul>"
TEXT = "About us & you\nBuild APIs\nRun\nthem"


def test_html_becomes_lines_and_escaped_html_as_well():
    assert as_text(AD) == (TEXT, "html")
    assert as_text(html.escape(AD)) == (TEXT, "escaped")
    assert as_text(html.escape(html.escape(AD))) == (TEXT, "escaped")


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("C < 5 years, List<String> & x", "C < 5 years, List<String> & x"),
        ("Research &amp; Development", "Research & Development"),
        ("a\r\n\r\n\r\n b\t\tc ", "a\nb c"),
        ("- one\n- two", "- one\n- two"),
        ("", ""),
    ],
)
def test_a_text_without_tags_keeps_what_it_says(text: str, plain: str):
    assert as_text(text) == (plain, "none")


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("<script>alert(1)</script><style>p{}</style><!-- no --><p>Yes</p>", "Yes"),
        ("<p></p>", ""),
        ("<li>alone", "alone"),
        ("<?xml version='1.0' encoding='utf-8'?><p>é</p>", "é"),
        ("<table><tr><th>Pay</th><td>10</td></tr></table>", "Pay 10"),
        ("<P CLASS='x'>Loud</P>", "Loud"),
    ],
)
def test_odd_html(text: str, plain: str):
    assert as_text(text) == (plain, "html")
