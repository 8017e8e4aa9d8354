"""Rows of labels and scores to tasks; every complaint names file and line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hrembed.data.labelled import read_label_task, read_pair_task
from hrembed.errors import DataError
from places import DATA as CORE

from conftest import jsonl

if TYPE_CHECKING:
    from pathlib import Path


def test_a_folder_is_learned_from_and_scored_and_keeps_its_fields():
    task = read_label_task(CORE / "hr-core" / "bias-language", "b", "classification")
    assert task.train is not None
    assert (~task.train).sum() == 168
    assert set(task.labels) == {"biased", "neutral"}
    assert task.texts[0].fields["kind"]
    assert task.texts[0].group
    dev = read_label_task(CORE / "hr-core" / "bias-language", "b", "classification", split="dev")
    assert dev.train is not None
    assert dev.train.sum() == task.train.sum()
    assert (~dev.train).sum() != (~task.train).sum()


def test_a_table_is_read_by_its_own_column_names():
    file = CORE / "hr-core" / "occupations.csv"
    task = read_label_task(file, "o", "clustering", text="title", label="family")
    assert len(task.texts) == 160
    assert len(set(task.labels)) == 20
    assert task.train is None
    assert len(read_label_task(file, "o", "clustering", text="title", label="family", split="test").texts) == 40


def test_scored_pairs_are_read():
    task = read_pair_task(CORE / "general-core" / "similar" / "test.jsonl", "s")
    assert len(task.first) == len(task.second) == len(task.scores) == 198
    assert np.unique(task.scores).tolist() == [0, 1, 2, 3, 4, 5]
    assert task.first[0].text != task.second[0].text
    assert task.first[0].group


def row(**values):
    return {"text": "a text", "label": "x", **values}


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([row(), row(text="b")], "all texts have the same label in column 'label'"),
        ([row(), {"text": "b"}], "no column 'label'|:2: column 'label'"),
        ([row(), row(text=" ", label="y")], ":2: column 'text'"),
        ([row(_id="1"), row(_id="1")], ":2: duplicate id and text"),
    ],
)
def test_wrong_labels_are_named(tmp_path: Path, rows, message):
    with pytest.raises(DataError, match=message):
        read_label_task(jsonl(tmp_path / "t.jsonl", rows), "t", "classification")


@pytest.mark.parametrize(
    ("scored", "message"),
    [
        ([row(text="c", group="g1"), row(text="d", label="y")], "group 'g1' occurs in both training and scored texts"),
        ([row(text="c", label="z")], "label 'z' occurs in the scored texts, but not in the training texts"),
    ],
)
def test_what_would_give_the_answer_away_is_refused(tmp_path: Path, scored, message):
    jsonl(tmp_path / "f" / "train.jsonl", [row(group="g1"), row(text="b", label="y", group="g2")])
    jsonl(tmp_path / "f" / "test.jsonl", scored)
    with pytest.raises(DataError, match=message):
        read_label_task(tmp_path / "f", "t", "classification")


@pytest.mark.parametrize(
    ("scores", "message"), [([1, 1], "all scores are equal"), ([1, "much"], ":2: column 'score': not a number")]
)
def test_wrong_scores_are_named(tmp_path: Path, scores, message):
    rows = [{"sentence1": f"a{n}", "sentence2": "b", "score": score} for n, score in enumerate(scores)]
    with pytest.raises(DataError, match=message):
        read_pair_task(jsonl(tmp_path / "p.jsonl", rows), "p")
