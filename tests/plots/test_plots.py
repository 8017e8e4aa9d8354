"""The picture of `data inspect`, whatever is in the data."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hrembed.plots.data import Inspection, draw_inspection

if TYPE_CHECKING:
    from pathlib import Path


def picture(**changes) -> Inspection:
    content = {
        "title": "a $set$ with a very long path" + "/folder" * 30,
        "unit": "tokens of tiny",
        "lengths": {"anchors": np.array([3, 5, 900]), "positives": np.array([4])},
        "limit": 64,
        "members": "pairs",
        "groups": np.array([40, 2, 1]),
        "bars": {f"kind {n} with a long name": 20 - n for n in range(14)},
        "bars_title": "Pairs of each kind",
        "languages": {"en": 3, "unsure": 1},
        "languages_title": "Languages of 4 texts",
        "unsure": "unsure",
    }
    return Inspection(**{**content, **changes})


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"limit": None, "groups": np.array([], dtype=int), "languages": {}},
        {"bars": {"日本語 $x_{$": 1}, "groups": np.array([1])},
        {"lengths": {"anchors": np.array([], dtype=int), "positives": np.array([1])}},
        {"groups": np.arange(50_000, 0, -1)},
    ],
    ids=["many kinds", "nothing but lengths", "odd names", "an empty side", "many groups"],
)
def test_the_picture_is_drawn_and_the_same_each_time(tmp_path: Path, changes):
    for name in ("a.png", "b.png"):
        draw_inspection(tmp_path / name, picture(**changes))
    first = (tmp_path / "a.png").read_bytes()
    assert first == (tmp_path / "b.png").read_bytes()
    assert first.startswith(b"\x89PNG")
    assert b"Software" not in first
    assert [file.name for file in sorted(tmp_path.iterdir())] == ["a.png", "b.png"]
