"""Equal texts share a group, and stand on one side of a division."""

from __future__ import annotations

import numpy as np
import pytest
from hrembed.errors import DataError
from hrembed.evaluation.probes import classify, cluster
from hrembed.models.lexical import TfIdf
from hrembed.scoring.copies import join_copies
from hrembed.types import LabelTask, PairTask, Text


def random_texts(count: int, copies: int, seed: int = 5) -> LabelTask:
    """Random words with labels by turn, each text `copies` times: nothing can be learned."""
    rng = np.random.default_rng(seed)
    words = [f"w{n}" for n in range(20)]
    texts = [" ".join(rng.choice(words, 6, replace=False)) for _ in range(count)]
    rows = [(text, "ab"[n % 2]) for n, text in enumerate(texts)] * copies
    return LabelTask(
        "t",
        "classification",
        tuple(Text(str(n), text) for n, (text, _) in enumerate(rows)),
        tuple(label for _, label in rows),
    )


def test_copies_do_not_make_random_labels_predictable():
    task = random_texts(60, 4)
    assert classify(TfIdf(), task, seed=1).full.mean() > 0.9  # what flatters
    joined = join_copies(task, "t.csv")
    assert classify(TfIdf(), joined, seed=1).full.mean() < 0.7
    assert len({text.group for text in joined.texts}) == 60
    assert "180 of 240 texts are copies" in joined.warnings[0]


def test_case_and_punctuation_make_no_other_text_and_groups_that_share_one_become_one():
    texts = (
        Text("1", "Night nurse", "g1"),
        Text("2", "night nurse!", "g2"),
        Text("3", "cook", "g2"),
        Text("4", "smith"),
    )
    joined = join_copies(
        LabelTask("t", "classification", (*texts, Text("5", "tailor")), ("a", "b", "a", "b", "a")), "t.csv"
    )
    groups = [text.group for text in joined.texts]
    assert groups[0] == groups[1] == groups[2] != ""
    assert groups[3:] == ["", ""]


def test_without_copies_a_task_stays_as_it_is():
    task = random_texts(20, 1)
    assert join_copies(task, "t.csv") is task


def test_a_text_to_learn_from_that_is_scored_as_well_is_left_out_and_counted():
    texts = tuple(Text(str(n), f"text {word}") for n, word in enumerate(["a", "b", "c", "d", "a", "e"]))
    train = np.array([True, True, True, True, False, False])
    task = LabelTask("t", "classification", texts, ("x", "x", "y", "y", "x", "y"), train)
    joined = join_copies(task, "t.csv")
    assert [text.text for text in joined.texts] == ["text b", "text c", "text d", "text a", "text e"]
    assert joined.train is not None
    assert joined.train.tolist() == [True, True, True, False, False]
    assert joined.labels == ("x", "y", "y", "x", "y")
    assert "1 of 4 training texts also occur among the scored texts" in joined.warnings[-1]
    kept = join_copies(task, "t.csv", keep_sides=True)
    assert len(kept.texts) == 6
    assert "training texts also occur among the scored" in kept.warnings[-1]


def test_a_division_of_equal_sides_is_refused_by_name():
    texts = tuple(Text(str(n), word) for n, word in enumerate(["a", "b", "a", "b"]))
    task = LabelTask("twice", "classification", texts, ("x", "y", "x", "y"), np.array([True, True, False, False]))
    with pytest.raises(DataError, match=r"t.csv: all training texts with label 'x', 'y'"):
        join_copies(task, "t.csv")


def test_rare_labels_are_left_out_by_name_and_few_texts_make_fewer_folds():
    words = ["red", "green", "blue", "oak", "elm", "ash", "odd"]
    texts = tuple(Text(str(n), f"{word} thing") for n, word in enumerate(words))
    task = join_copies(LabelTask("t", "classification", texts, ("c", "c", "c", "w", "w", "w", "alone")), "t.csv")
    assert "'alone'" in task.warnings[0]
    assert len(task.texts) == 6
    assert classify(TfIdf(), task, seed=1).full.shape == (6,)  # three texts a label, fewer than the usual five folds
    two = join_copies(LabelTask("t", "classification", texts[:4], ("c", "c", "w", "w")), "t.csv")
    assert classify(TfIdf(), two, seed=1).full.shape == (4,)
    with pytest.raises(DataError, match="'b', 'c'"):
        join_copies(LabelTask("t", "classification", texts[:4], ("a", "a", "b", "c")), "t.csv")


def test_copies_are_no_neighbours_in_a_clustering():
    task = random_texts(40, 3)
    joined = join_copies(LabelTask("t", "clustering", task.texts, task.labels), "t.csv")
    assert np.nanmean(cluster(TfIdf(), joined, seed=1, runs=1).neighbours) < 0.65


def test_copies_of_pairs_count_as_one_unit():
    first, second = (tuple(Text(str(n), f"{side} {n // 2}") for n in range(8)) for side in ("left", "right"))
    joined = join_copies(PairTask("p", first, second, np.arange(8.0)), "t.csv")
    assert len({text.group for text in joined.first}) == 4
    assert "4 of 8 pairs are copies" in joined.warnings[0]
