"""Files whole or not at all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hrembed.errors import HrembedError
from hrembed.files import json_text, sha256, write_json, write_text, writing


def test_a_failure_keeps_the_old_file_and_leaves_no_part(tmp_path: Path):
    file = tmp_path / "x.txt"
    write_text(file, "old")

    def fail() -> None:
        with writing(file) as part:
            part.write_text("half", encoding="utf-8")
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fail()
    assert file.read_text(encoding="utf-8") == "old"
    assert list(tmp_path.iterdir()) == [file]


def test_a_folder_replaces_a_folder(tmp_path: Path):
    for content in ("first", "second"):
        with writing(tmp_path / "folder") as part:
            part.mkdir()
            (part / f"{content}.txt").write_text(content, encoding="utf-8")
    assert [item.name for item in (tmp_path / "folder").iterdir()] == ["second.txt"]


def test_the_system_refusing_is_explained(tmp_path: Path):
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(HrembedError, match=r"cannot write '.*file/x.json'"):
        write_json(tmp_path / "file" / "x.json", {})


def test_json_is_sorted_and_undefined_numbers_are_null():
    text = json_text({"b": np.float32(0.5), "a": [float("nan"), np.int64(3)], "c": Path("x/y")})
    assert text == '{\n  "a": [\n    null,\n    3\n  ],\n  "b": 0.5,\n  "c": "x/y"\n}'


def test_the_hash_of_a_folder_sees_names_and_contents(tmp_path: Path):
    folder = tmp_path / "folder"
    write_text(folder / "a.txt", "1")
    first = sha256(folder)
    write_text(folder / "a.txt", "2")
    second = sha256(folder)
    (folder / "a.txt").rename(folder / "b.txt")
    assert len({first, second, sha256(folder)}) == 3
