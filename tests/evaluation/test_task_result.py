"""Scores as files of mteb, without mteb; `tests/models/test_mteb_bridge.py` reads them with it."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import time
from importlib.metadata import version
from typing import TYPE_CHECKING

import pytest
from hrembed.evaluation.task_result import SplitScores, content_subset, mteb_names, write_task_results

if TYPE_CHECKING:
    from pathlib import Path

HASH = "0123456789abcdef" * 4


def result(**changes):
    given = {
        "task": "Mine", "split": "test", "data_hash": HASH, "scores": {"ndcg@10": 0.12345678, "map": 0.5},
        "main": "ndcg@10", "seconds": 2.0,
    }  # fmt: skip
    return SplitScores(**{**given, **changes})


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("ndcg@10", ("ndcg_at_10",)),
        ("mrr@5", ("mrr_at_5",)),
        ("recall@100", ("recall_at_100",)),
        ("precision@5", ("precision_at_5",)),
        ("hit@10", ("hit_rate_at_10",)),
        ("map", ("map_at_1000",)),
        ("map@10", ("map_at_10",)),
        ("spearman", ("spearman", "cosine_spearman")),
        ("accuracy", ("accuracy",)),
        ("f1", ("f1",)),
        ("v-measure", ("v_measure",)),
    ],
)
def test_every_metric_has_the_name_that_mteb_gives_it(ours, theirs):
    assert mteb_names(ours) == theirs


def test_a_result_says_whose_numbers_they_are_and_rounds_as_mteb_does(tmp_path: Path):
    place = write_task_results(tmp_path, "minilm", HASH, [result()])
    content = json.loads((place / "Mine.json").read_text(encoding="utf-8"))
    (entry,) = content["scores"]["test"]
    assert entry["ndcg_at_10"] == entry["main_score"] == 0.123457
    assert entry["map_at_1000"] == 0.5
    assert (entry["hf_subset"], entry["languages"]) == ("default", ["eng-Latn"])
    assert content["mteb_version"] == entry["mteb_version"] == version("mteb")
    assert entry["hrembed_version"] == version("hrembed")
    assert (content["task_name"], content["dataset_revision"], content["evaluation_time"]) == ("Mine", HASH, 2.0)


def test_the_main_metric_must_be_there(tmp_path: Path):
    with pytest.raises(ValueError, match="main metric 'mrr@10' is not one of ndcg@10, map"):
        write_task_results(tmp_path, "minilm", HASH, [result(main="mrr@10")])


def test_an_undefined_score_is_the_word_that_mteb_writes(tmp_path: Path):
    place = write_task_results(tmp_path, "minilm", HASH, [result(scores={"ndcg@10": math.nan})])
    assert '"main_score": NaN' in (place / "Mine.json").read_text(encoding="utf-8")


def test_splits_of_one_task_share_a_file(tmp_path: Path):
    results = [result(), result(split="dev", scores={"ndcg@10": 0.25}, seconds=3.0), result(task="Other")]
    before = time.time()
    place = write_task_results(tmp_path, "minilm", HASH, results)
    assert sorted(file.name for file in place.iterdir()) == ["Mine.json", "Other.json", "model_meta.json"]
    mine = json.loads((place / "Mine.json").read_text(encoding="utf-8"))
    assert {split: rows[0]["main_score"] for split, rows in mine["scores"].items()} == {"test": 0.123457, "dev": 0.25}
    assert mine["evaluation_time"] == 5.0
    assert before - 0.001 <= mine["date"] <= time.time() + 0.001


def test_checkpoints_of_one_name_are_two_models(tmp_path: Path):
    places = [write_task_results(tmp_path, "final", revision, [result()]) for revision in (HASH, "f" + HASH[1:])]
    names = [json.loads((place / "model_meta.json").read_text(encoding="utf-8"))["name"] for place in places]
    assert names == ["hrembed/final-0123456789ab", "hrembed/final-f123456789ab"]
    assert places[0] == tmp_path / "results" / "hrembed__final-0123456789ab" / HASH
    assert places[0].parent != places[1].parent


def test_a_name_that_holds_a_path_stays_in_the_folder(tmp_path: Path):
    place = write_task_results(tmp_path / "out", "path:../../x y", HASH, [result()])
    assert place.parent.name == "hrembed__path-..-..-x-y-0123456789ab"
    for task in ("../evil", ".."):
        with pytest.raises(ValueError, match="cannot be used as a file name"):
            write_task_results(tmp_path / "out", "minilm", HASH, [result(task=task)])


def test_one_task_on_two_data_is_refused(tmp_path: Path):
    with pytest.raises(ValueError, match="task 'Mine' has results for two versions of its data"):
        write_task_results(tmp_path, "minilm", HASH, [result(), result(split="dev", data_hash="f" * 64)])


def test_other_data_is_another_subset():
    assert content_subset(HASH) == "sha256-0123456789abcdef"
    assert content_subset(HASH[:15] + "0" + HASH[16:]) != content_subset(HASH)


def test_mteb_is_not_imported():
    code = "import sys, hrembed.evaluation.task_result; sys.exit(bool({'mteb', 'torch', 'numpy'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
