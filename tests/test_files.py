"""Files whole or not at all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hrembed.errors import HrembedError
from hrembed.files import files_below, instead_of, json_text, sha256, write_json, write_text, writing


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


def test_what_a_killed_process_left_is_replaced(tmp_path: Path):
    for name in ("model", "adapter"):
        (tmp_path / f"{name}.part" / "old").mkdir(parents=True)
        with writing(tmp_path / name) as part:
            part.mkdir()
    (tmp_path / "x.txt.part").write_text("half of something longer", encoding="utf-8")
    write_text(tmp_path / "x.txt", "whole")
    assert (tmp_path / "x.txt").read_text(encoding="utf-8") == "whole"
    assert sorted(item.name for item in tmp_path.rglob("*")) == ["adapter", "model", "x.txt"]


def test_the_hash_of_a_folder_covers_what_lies_behind_links(tmp_path: Path):
    write_text(tmp_path / "far" / "deep" / "config.json", "mean")
    write_text(tmp_path / "folder" / "a.txt", "1")
    (tmp_path / "folder" / "pooling").symlink_to(tmp_path / "far", target_is_directory=True)
    before = sha256(tmp_path / "folder")
    write_text(tmp_path / "far" / "deep" / "config.json", "cls")
    assert sha256(tmp_path / "folder") != before
    assert [file.relative_to(tmp_path).as_posix() for file in files_below(tmp_path / "folder")] == [
        "folder/a.txt", "folder/pooling/deep/config.json",
    ]  # fmt: skip
    write_text(tmp_path / "copy" / "a.txt", "1")
    write_text(tmp_path / "copy" / "pooling" / "deep" / "config.json", "cls")
    assert sha256(tmp_path / "copy") == sha256(tmp_path / "folder")  # what is read decides, not how it got there


def test_links_that_lead_in_a_circle_end(tmp_path: Path):
    write_text(tmp_path / "folder" / "sub" / "a.txt", "1")
    before = sha256(tmp_path / "folder")
    (tmp_path / "folder" / "sub" / "up").symlink_to(tmp_path / "folder", target_is_directory=True)
    (tmp_path / "folder" / "nowhere").symlink_to(tmp_path / "gone")
    assert sha256(tmp_path / "folder") == before


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        ("jobs/it/nurs.csv", "did you mean 'jobs/it/nurse.csv'?"),
        ("job/it/nurse.csv", "did you mean 'jobs/it/nurse.csv'?"),
        ("job/it/cook.csv", "there is no 'job' in the current directory"),  # `jobs` has none either
        ("jobs/hr/nurse.csv", "there is no 'hr' in 'jobs'"),
        ("other", "there is no 'other' in the current directory"),
        ("jobs/it/nurse.csv/x", ""),
        ("x" * 5_000, f"there is no '{'x' * 5_000}' in the current directory"),
        ("a\0b", "there is no 'a\0b' in the current directory"),
    ],
)
def test_where_nothing_is_the_hint_names_what_is_there(tmp_path: Path, monkeypatch, path: str, hint: str):
    (tmp_path / "jobs" / "it").mkdir(parents=True)
    (tmp_path / "jobs" / "it" / "nurse.csv").write_text("job\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert instead_of(Path(path)) == hint
    assert instead_of(tmp_path / "job") == f"did you mean '{tmp_path / 'jobs'}'?"
