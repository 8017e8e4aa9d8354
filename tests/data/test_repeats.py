"""Keys that come again are found as a dictionary would find them, with nothing held in memory."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hrembed.data.repeats import PARTS, Repeat, Repeats
from hypothesis import given, settings
from hypothesis import strategies as st

if TYPE_CHECKING:
    from pathlib import Path

ENTRIES = st.lists(st.tuples(st.sampled_from("abcdefg"), st.sampled_from("xy"), st.booleans()), max_size=40)


def remembered(folder: Path, entries: list[tuple[str, str, bool]]) -> Repeats:
    repeats = Repeats(folder)
    for n, (key, value, _) in enumerate(entries):
        repeats.add(key, value, n, n + 100)
    return repeats


def expected(entries: list[tuple[str, str, bool]], *, chosen: bool) -> set[tuple[int, int, int, bool]]:
    """The same with a dictionary; only of chosen entries where that is asked for."""
    first: dict[str, tuple[int, str]] = {}
    found = set()
    for n, (key, value, keep) in enumerate(entries):
        if chosen and not keep:
            continue
        if key in first:
            found.add((n, n + 100, first[key][0] + 100, value == first[key][1]))
        else:
            first[key] = (n, value)
    return found


@settings(max_examples=50)
@given(ENTRIES, st.integers(1, 50))
def test_repeats_agree_with_a_dictionary(tmp_path_factory, entries, waiting):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hrembed.data.repeats._WAITING", waiting)  # entries go to the disk in pieces
        repeats = remembered(tmp_path_factory.mktemp("repeats"), entries)
    found = list(repeats.found())
    assert {tuple(repeat) for repeat in found} == expected(entries, chosen=False)
    assert len(found) == len(set(found))
    assert list(repeats.found()) == found


@settings(max_examples=50)
@given(ENTRIES)
def test_entries_that_do_not_count_are_as_if_never_added(tmp_path_factory, entries):
    repeats = remembered(tmp_path_factory.mktemp("repeats"), entries)
    among = np.array([keep for _, _, keep in entries], dtype=bool)
    assert {tuple(repeat) for repeat in repeats.found(among)} == expected(entries, chosen=True)


def test_nothing_added_is_nothing_found(tmp_path):
    assert list(Repeats(tmp_path).found()) == []


def test_the_first_is_the_one_of_the_lowest_position(tmp_path):
    repeats = Repeats(tmp_path)
    repeats.add("a", "late", 7, 17)
    repeats.add("a", "early", 3, 13)
    assert list(repeats.found()) == [Repeat(position=7, number=17, first_number=13, same=False)]


def test_keys_are_spread_over_files_and_not_held(tmp_path, monkeypatch):
    monkeypatch.setattr("hrembed.data.repeats._WAITING", 1000)
    repeats = Repeats(tmp_path)
    for n in range(10_000):
        repeats.add(f"key {n}", "", n, n)
    assert repeats._waiting == []
    sizes = [file.stat().st_size for file in tmp_path.iterdir()]
    assert len(sizes) == PARTS
    assert sum(sizes) == 10_000 * 32
    assert max(sizes) < 2 * min(sizes)
    assert not list(repeats.found())


def test_another_process_finds_the_same_in_the_same_order(tmp_path):
    code = (
        "import sys; from pathlib import Path; from hrembed.data.repeats import Repeats\n"
        "repeats = Repeats(Path(sys.argv[1]))\n"
        "for n in range(50): repeats.add(f'key {n % 20}', str(n % 3), n, n)\n"
        "print([tuple(repeat) for repeat in repeats.found()])"
    )
    shown = set()
    for seed in ("1", "2"):
        (tmp_path / seed).mkdir()
        done = subprocess.run(
            [sys.executable, "-c", code, tmp_path / seed],
            capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": seed},
        )  # fmt: skip
        shown.add(done.stdout)
    assert len(shown) == 1
