"""Words for numbers."""

import pytest
from hrembed.text import counted


@pytest.mark.parametrize(
    ("number", "noun", "plural", "words"),
    [
        (1, "row", "", "1 row"),
        (0, "row", "", "0 rows"),
        (2000, "row", "", "2,000 rows"),
        (2, "query", "", "2 queries"),
        (1, "query", "", "1 query"),
        (3, "day", "", "3 days"),
        (2, "person", "people", "2 people"),
        (1, "person", "people", "1 person"),
    ],
)
def test_a_number_and_its_noun_agree(number: int, noun: str, plural: str, words: str):
    assert counted(number, noun, plural) == words
