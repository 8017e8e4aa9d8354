"""What exports leave behind in texts is counted, and what only looks like it is not."""

from __future__ import annotations

import pytest
from hrembed.data.traces import count_traces


@pytest.mark.parametrize(
    ("text", "trace"),
    [
        ("<p>Bakes bread", "markup"),
        ("Bakes<br/>bread", "markup"),
        ('See <a href="x">here</a>', "markup"),
        ("Research &amp; development", "entities"),
        ("caf&#233;", "entities"),
        ("Naïve".encode().decode("cp1252"), "mojibake"),
        ("the baker\u2019s".encode().decode("cp1252"), "mojibake"),
        ("caf\ufffd", "mojibake"),
        ("Files _x000D_ papers", "spreadsheet"),
        ('=HYPERLINK("http://example.org")', "spreadsheet"),
        (" #NAME? ", "missing"),
        ("n/a", "missing"),
    ],
)
def test_each_kind_of_trace_is_counted_alone(text, trace):
    counts = count_traces([text, "Bakes bread"])
    assert counts == {**dict.fromkeys(counts, 0), trace: 1}


def test_ordinary_texts_have_none():
    texts = [
        "C++ < 5 years, > 3 teams",
        "R&D; sales",
        "AT&T",
        "NÃO, ÂNGELA",
        "a <- b",
        "na und?",
        "Pay = good (see below)",
    ]
    assert not any(count_traces(texts).values())
