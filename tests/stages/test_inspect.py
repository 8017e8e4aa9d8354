"""`data inspect` from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hrembed.cli.app import main
from hrembed.data.inspect import measure, measure_groups, spread

from conftest import jsonl


def run(capsys, tmp_path: Path, *words: str) -> tuple[Path, dict]:
    assert main(["data", "inspect", *words, "--runs-dir", str(tmp_path / "runs"), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    return Path(result["run"]), result["metrics"]


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    rows = [
        {"anchor": "one two", "positive": "three", "group": "g", "kind": "title", "anchor_id": "a1"},
        {"anchor": "One  two!", "positive": "THREE", "group": "g", "kind": "title", "anchor_id": "a1"},
        {"anchor": "same", "positive": "same", "group": "h", "kind": "task"},
        {"anchor": "one two", "positive": "four five six seven eight", "kind": "task"},
    ]
    return jsonl(tmp_path / "pairs.jsonl", rows)


def test_counts_and_lengths_are_exact(capsys, tmp_path, mixed):
    folder, metrics = run(capsys, tmp_path, str(mixed), "--set", "model=bm25")
    counts = metrics["counts"]
    assert (counts["rows"], counts["groups"], counts["distinct_anchors"]) == (4, 2, 3)
    assert counts["kinds"] == {"title": 2, "task": 2}
    lengths = json.dumps(metrics["lengths"])
    assert '"max": 5' in lengths
    assert (folder / "inspect.png").read_bytes().startswith(b"\x89PNG")
    assert len((folder / "examples.jsonl").read_text().splitlines()) == 4


def test_repeats_are_told_apart(capsys, tmp_path, mixed):
    _, metrics = run(capsys, tmp_path, str(mixed), "--set", "model=bm25")
    found = json.dumps(metrics["duplicates"], sort_keys=True)
    _folder, again = run(capsys, tmp_path, str(mixed), "--set", "model=bm25")
    assert json.dumps(again["duplicates"], sort_keys=True) == found
    rows = {name: (entry["exact"], entry["same_words"]) for name, entry in metrics["duplicates"].items()}
    assert (0, 1) in rows.values()  # a row that came before, in the same words
    assert (1, 1) in rows.values()  # an anchor that is its positive


def test_two_runs_are_equal_to_the_byte(capsys, tmp_path, mixed, tiny_model):
    words = (str(mixed), "--set", f"model=path:{tiny_model}")
    first, second = (run(capsys, tmp_path, *words)[0] for _ in range(2))
    for name in ("metrics.json", "inspect.png", "examples.jsonl"):
        assert (first / name).read_bytes() == (second / name).read_bytes()


def test_a_task_can_be_looked_at(capsys, tmp_path, task):
    _, metrics = run(capsys, tmp_path, str(task), "--set", "model=bm25")
    assert metrics["counts"]["queries"] == 4
    assert metrics["counts"]["documents"] == 6


@pytest.mark.parametrize("content", ["", '{"anchor": "x"}\n', "no json\n"])
def test_malformed_pairs_are_refused(capsys, tmp_path, content):
    file = tmp_path / "p.jsonl"
    file.write_text(content, encoding="utf-8")
    assert main(["data", "inspect", str(file), "--runs-dir", str(tmp_path / "runs")]) == 3
    assert "p.jsonl" in capsys.readouterr().err


def test_numbers_of_a_distribution():
    assert spread(np.array([1, 2, 3, 4, 100])) == {"min": 1, "median": 3, "p95": pytest.approx(80.8), "max": 100}
    assert spread(np.array([], dtype=np.int64)) == {"min": None, "median": None, "p95": None, "max": None}
    assert measure(np.array([3, 10, 300]), 256)["cut"] == 1
    sizes = measure_groups(np.array([50, *[1] * 50]))
    assert sizes["max"] == 50
