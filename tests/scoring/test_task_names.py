"""A task is called after its file or folder, however its path is written."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hrembed.cli.app import main

if TYPE_CHECKING:
    from pathlib import Path

ROWS = [
    {"sentence1": "nurse", "sentence2": "ward nurse", "score": 0.9},
    {"sentence1": "nurse", "sentence2": "plumber", "score": 0.1},
    {"sentence1": "cook", "sentence2": "line cook", "score": 0.8},
]
CONFIG = (
    "models: [{ref: tfidf}]\nbaselines: []\nrobustness: {changes: []}\nretention: []\nbootstrap: {resamples: 100}\n"
)


def similarity(path: Path, rows: list[dict[str, object]] = ROWS) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def scores_of(capsys: pytest.CaptureFixture[str], tmp_path: Path, *paths: str) -> list[str]:
    (tmp_path / "c.yaml").write_text(CONFIG + f"tasks: {json.dumps([{'path': path} for path in paths])}\n")
    code = main(["eval", str(tmp_path / "c.yaml"), "--runs-dir", str(tmp_path / "runs"), "--json"])
    done = capsys.readouterr()
    assert code == 0, done.err
    return list(json.loads(done.out)["metrics"]["scores"])


@pytest.mark.parametrize(
    "path", ["similar.jsonl", "./similar.jsonl", "../here/similar.jsonl", "../here/./similar.jsonl"]
)
def test_a_file_beside_the_caller_has_the_name_of_its_folder(capsys, tmp_path: Path, monkeypatch, path: str):
    (tmp_path / "here").mkdir()
    similarity(tmp_path / "here" / "similar.jsonl")
    monkeypatch.chdir(tmp_path / "here")
    assert scores_of(capsys, tmp_path, path) == ["here/similar"]


@pytest.mark.parametrize("path", [".", "./", "../task", "qrels/.."])
def test_the_folder_of_the_caller_has_its_name(capsys, task: Path, tmp_path: Path, monkeypatch, path: str):
    monkeypatch.chdir(task)
    assert scores_of(capsys, tmp_path, path) == ["task/test"]


def test_two_files_of_one_folder_are_two_tasks_for_mteb(capsys, tmp_path: Path):
    first = similarity(tmp_path / "one.jsonl")
    second = similarity(tmp_path / "two.jsonl", [*ROWS, {"sentence1": "baker", "sentence2": "bakery", "score": 0.7}])
    assert len(scores_of(capsys, tmp_path, str(first), str(second))) == 2
    files = [file for file in tmp_path.glob("runs/eval/*/mteb/results/*/*/*.json") if file.name != "model_meta.json"]
    assert len(files) == 2


@pytest.mark.parametrize("name", ["...", "-", "n" * 200, "é" * 120])
def test_any_name_of_a_folder_can_be_written(capsys, task: Path, tmp_path: Path, name: str):
    odd = task.rename(tmp_path / name)
    assert scores_of(capsys, tmp_path, str(odd)) == [f"{name}/test"]


@pytest.mark.parametrize("path", ["", "  "])
def test_an_empty_path_is_no_folder(capsys, task: Path, tmp_path: Path, monkeypatch, path: str):
    monkeypatch.chdir(task)
    (tmp_path / "c.yaml").write_text(CONFIG + f"tasks: [{{path: {json.dumps(path)}}}]\n")
    assert main(["eval", str(tmp_path / "c.yaml"), "--runs-dir", str(tmp_path / "runs")]) == 3
    assert "path is empty" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("setting", "named"), [("label: team", "`label`"), ("exclude_self: true", "`exclude_self`"), ("text: text", "")]
)
def test_settings_of_other_kinds_of_tasks_are_named(capsys, tmp_path: Path, setting: str, named: str):
    file = similarity(tmp_path / "similar.jsonl")
    (tmp_path / "c.yaml").write_text(CONFIG + f"tasks: [{{path: {file}, {setting}}}]\n", encoding="utf-8")
    assert main(["eval", str(tmp_path / "c.yaml"), "--runs-dir", str(tmp_path / "runs")]) == 0
    shown = " ".join(capsys.readouterr().err.split())
    assert (f"{named} is ignored by tasks of this kind" in shown) is bool(named)
