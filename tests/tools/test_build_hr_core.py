"""Promises of the shipped corpus."""

from __future__ import annotations

import csv
import filecmp
import re
import shutil
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from hrembed.data.pairs import read_pairs
from hrembed.data.read import read_names, read_task
from hrembed.data.rows import read_jsonl
from hrembed.text import normalise
from places import DATA as ROOT

from build_hr_core import build, read_occupations, split_occupations, texts_of

if TYPE_CHECKING:
    from pathlib import Path

CORE = ROOT / "hr-core"
TASKS = [(split, name) for split in ("dev", "test") for name in ("title", "skill", "ad-profile")]
OCCUPATIONS = read_occupations(CORE / "source" / "families")


def texts(split: str) -> list[str]:
    """Every text of one side, as a user of the corpus sees it."""
    if split == "train":
        pairs = read_pairs(CORE / "pairs" / "train.jsonl")
        return [text for pair in pairs for text in (pair.anchor, pair.positive)]
    tasks = [read_task(CORE / split / name) for side, name in TASKS if side == split]
    return [item.text for task in tasks for item in (*task.queries, *task.documents)]


def sentences(split: str) -> set[str]:
    """All sentences of a side; one word alone is an abbreviation such as "Sr." and no sentence."""
    parts = {normalise(part) for text in texts(split) for part in re.split(r"(?<=[.!?])\s+|\n", text)}
    return {part for part in parts if " " in part}


def test_it_is_as_large_as_promised():
    assert len(OCCUPATIONS) >= 120
    assert len({o.family for o in OCCUPATIONS}) == 20
    for o in OCCUPATIONS:
        assert 6 <= len(o.titles) <= 10, o.id
        assert 8 <= len(o.skills) <= 12, o.id
        assert (len(o.duties), len(o.achievements)) == (5, 5), o.id


def test_the_splits_have_the_promised_shares_and_keep_neighbours_together():
    splits = split_occupations(OCCUPATIONS)
    shares = Counter(splits.values())
    assert {name: count / len(OCCUPATIONS) for name, count in shares.items()} == {
        "train": 0.6,
        "dev": 0.15,
        "test": 0.25,
    }
    assert all(splits[o.id] == splits[o.neighbour] for o in OCCUPATIONS)


@pytest.mark.parametrize(("first", "second"), [("train", "dev"), ("train", "test"), ("dev", "test")])
def test_no_text_and_no_sentence_stands_on_two_sides(first, second):
    assert not {normalise(t) for t in texts(first)} & {normalise(t) for t in texts(second)}
    assert not sentences(first) & sentences(second)


def test_an_ad_and_a_profile_never_share_a_sentence():
    for split in ("dev", "test"):
        task = read_task(CORE / split / "ad-profile")
        ads, profiles = (
            {normalise(part) for item in items for part in re.split(r"(?<=[.!?])\s+", item.text)}
            for items in (task.queries, task.documents)
        )
        assert not ads & profiles


def test_profiles_do_not_give_the_title_away():
    for split in ("dev", "test"):
        task = read_task(CORE / split / "ad-profile")
        titles = {o.id: normalise(o.title) for o in OCCUPATIONS}
        for profile in task.documents:
            assert f" {titles[profile.group]} " not in f" {normalise(profile.text)} ", profile.id


def test_every_text_of_the_sources_is_unique():
    counts = Counter(normalise(text) for o in OCCUPATIONS for text in texts_of(o))
    assert max(counts.values()) == 1


def test_the_grades_are_two_for_the_occupation_and_one_for_its_neighbour():
    neighbour = {o.id: o.neighbour for o in OCCUPATIONS}
    for split in ("dev", "test"):
        task = read_task(CORE / split / "ad-profile")
        group = {d.id: d.group for d in task.documents}
        for query in task.queries:
            judged = {(group[d], grade) for d, grade in task.qrels[query.id].items()}
            assert judged == {(query.group, 2), (neighbour[query.group], 1)}


@pytest.mark.parametrize(("split", "name"), TASKS)
def test_every_task_can_be_read_and_has_one_split(split, name):
    task = read_task(CORE / split / name)
    assert task.name == f"{name}/{split}"
    assert all(query.group for query in task.queries)


def test_bias_language_has_close_neutral_twins_on_one_side():
    sides = {}
    for split in ("train", "dev", "test"):
        rows = [row for _, row in read_jsonl(CORE / "bias-language" / f"{split}.jsonl")]
        assert set(Counter(row["group"] for row in rows).values()) == {2}
        assert Counter(row["label"] for row in rows)["biased"] * 2 == len(rows)
        sides[split] = rows
    every = [row for rows in sides.values() for row in rows]
    assert len(every) >= 600
    assert len({normalise(row["text"]) for row in every}) == len(every)
    assert len({row["kind"] for row in every}) == 6
    assert not {r["group"] for r in sides["train"]} & {r["group"] for r in sides["test"]}


def test_building_it_again_gives_the_same_bytes(tmp_path: Path):
    shutil.copytree(CORE / "source", tmp_path / "source")
    build(tmp_path)
    for file in [p for p in CORE.rglob("*") if p.is_file() and "source" not in p.parts and p.name != "README.md"]:
        assert filecmp.cmp(file, tmp_path / file.relative_to(CORE), shallow=False), f"rebuild: {file}"


def test_names_are_balanced_and_equally_common():
    rows = read_names(ROOT / "names" / "us-census-2020.csv", ["gender", "race"])
    cells = Counter((row["gender"], row["race"]) for row in rows)
    assert set(cells.values()) == {40}
    assert len(cells) == 8
    counts = {
        cell: sorted(int(r["first_name_count"]) for r in rows if (r["gender"], r["race"]) == cell)[20] for cell in cells
    }
    assert max(counts.values()) / min(counts.values()) < 1.25


def test_a_lexical_search_does_not_solve_it():
    from hrembed.models.lexical import Bm25
    from hrembed.scoring.retrieval import score_task

    for split in ("dev", "test"):
        values = score_task(Bm25(), read_task(CORE / split / "ad-profile"), ["ndcg@10"])["ndcg@10"]
        assert 0.1 < values.mean() <= 0.75


def test_the_table_of_occupations_is_complete():
    with (CORE / "occupations.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert {row["id"]: row["split"] for row in rows} == split_occupations(OCCUPATIONS)
