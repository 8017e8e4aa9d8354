"""Every sentence that a user may read is on one list, so that a changed one is seen in review."""

from __future__ import annotations

import re
from pathlib import Path

from message_tour import sentences, tour

LIST = Path(__file__).parent / "messages.txt"

# Words that say something else in English than was meant, and what the field says.
NOT_ENGLISH = {
    r"\bmend\b": "fix",
    r"\banew\b": "again",
    r"says no known": "unsupported",
    r"limits? passed|is passed\b": "exceeded",
    r"can be taken for it": "is statistically tied with it",
    r"hangs on": "depends on",
    r"' is no (run|file of|folder|model|table)\b": "is not a ...",
    r"so-manieth": "every n-th",
}


def test_the_list_of_messages_is_that_of_the_source():
    """After a change: `python tools/message_tour.py > tests/contract/messages.txt`, and read the difference."""
    assert tour() == LIST.read_text(encoding="utf-8")


def test_messages_use_the_words_of_the_field():
    wrong = [
        (said.file, said.line, said.text) for said in sentences() for word in NOT_ENGLISH if re.search(word, said.text)
    ]
    assert not wrong


def test_an_error_ends_without_a_full_stop_and_starts_with_no_capital():
    """One form for all: the command line puts `hrembed: error: ` in front."""
    errors = [
        said
        for said in sentences()
        if said.kind in {"error", "hint"} and not said.text.startswith(("{", "'", '"', "`", "OpenVINO"))
    ]
    assert not [said for said in errors if said.text.endswith(".") and not said.text.endswith("...")]
    assert not [said for said in errors if said.text[0].isupper()]
