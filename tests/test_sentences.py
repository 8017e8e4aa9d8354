"""Where sentences begin and end."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hrembed.text import sentences


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Cleans wounds. Gives medicine!", ["Cleans wounds.", "Gives medicine!"]),
        ("Exp: 8 y. Introduced cordials. Refs on request.", ["Exp: 8 y.", "Introduced cordials.", "Refs on request."]),
        ("Works with e.g. Python and C++. Knows Dr. Who.", ["Works with e.g. Python and C++.", "Knows Dr. Who."]),
        ("version 2.5 of it, i.e. 3 years", ["version 2.5 of it, i.e. 3 years"]),
        ("lines\n\n without stops\nand more", ["lines", "without stops", "and more"]),
        ("Skills: • Excel • driving licence", ["Skills:", "• Excel", "• driving licence"]),
        ("Was it? (Yes.) 2 years.", ["Was it?", "(Yes.)", "2 years."]),
        ("看護師。夜勤あり。", ["看護師。", "夜勤あり。"]),
        ("Ж. Б. Медсестра. Работает ночью.", ["Ж. Б. Медсестра.", "Работает ночью."]),
        ("  one  ", ["one"]),
        ("", []),
        (" \n ", []),
    ],
)
def test_sentences(text: str, expected: list[str]):
    assert [text[start:end] for start, end in sentences(text)] == expected


def test_every_letter_is_in_one_sentence():
    text = "A first one. second part\n\tThird (see No. 4). Fourth…  Fifth?!"
    spans = sentences(text)
    inside = "".join(text[start:end] for start, end in spans)
    assert inside.replace(" ", "") == text.replace(" ", "").replace("\n", "").replace("\t", "")
    assert all(before[1] <= after[0] for before, after in pairwise(spans))
