"""What `tools/break_traps.py` would break is still there, and so are the tests that have to notice."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from places import ROOT

from break_traps import BREAKS, TRAPS, broken

if TYPE_CHECKING:
    from break_traps import Break


def test_every_trap_is_broken_in_some_way():
    assert [*TRAPS] == sorted({each.trap for each in BREAKS}) == [*range(1, 25)]


@pytest.mark.parametrize("each", BREAKS, ids=lambda each: f"{each.trap} {each.naive}")
def test_what_is_broken_and_what_notices_are_there(each: Break):
    for edit in each.edits:
        compile(broken(edit, ROOT), edit.file, "exec")
    for test in each.tests:
        file, _, name = test.partition("::")
        function = re.escape(name.partition("[")[0])
        assert re.search(rf"^def {function}\(", (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE), test
