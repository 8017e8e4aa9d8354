"""Small tables read whole: a column that a row lacks is empty, one that all rows lack is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hrembed.data.read import read_table
from hrembed.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path


def test_a_row_of_jsonl_may_lack_a_column(tmp_path: Path):
    file = tmp_path / "rows.jsonl"
    file.write_text('{"sex": "f", "selected": 1}\n{"sex": "m"}\n', encoding="utf-8")
    assert read_table(file, ("sex", "selected"))[1][1] == {"sex": "m", "selected": ""}


@pytest.mark.parametrize("text", ["{}\n", '{"sex": "f"}\n{}\n'])
def test_a_column_that_no_row_of_jsonl_has_is_missing(tmp_path: Path, text: str):
    file = tmp_path / "rows.jsonl"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=r"rows\.jsonl: column .* not found"):
        read_table(file, ("sex", "selected"))
