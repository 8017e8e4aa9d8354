"""Leaks put into a clean set on purpose are found, and little else is."""

from __future__ import annotations

import sys
import time
from random import Random

import pytest
from hrembed.data.leaks import MATCHES, TrainingTexts
from hrembed.data.near_duplicates import Near
from hrembed.data.read import read_task
from hrembed.types import Pair
from places import HR_CORE as CORE

from build_hr_core import read_occupations, split_occupations
from hr_core_texts import compose_ad, compose_profile

PLANTED = 500
MARKS = ("- ", "; ", ", ", "... ", " / ")


@pytest.fixture(scope="module")
def tasks():
    return [read_task(CORE / "test" / kind) for kind in ("title", "skill", "ad-profile")]


def clean_rows(count: int, rng: Random) -> list[Pair]:
    """Ads and profiles of training occupations, in the words of the training side; no two alike."""
    occupations = read_occupations(CORE / "source" / "families")
    sides = split_occupations(occupations)
    train = [o for o in occupations if sides[o.id] == "train"]
    rows = []
    for n in range(count):
        o = train[n % len(train)]
        rows.append(Pair(compose_ad(o, "train", rng), compose_profile(o, "train", rng), o.id, "ad-profile"))
    return rows


def answers(task):
    queries, documents = ({text.id: text.text for text in side} for side in (task.queries, task.documents))
    return [(queries[q], documents[d]) for q, judged in task.qrels.items() for d, grade in judged.items() if grade]


def loud(text: str, rng: Random) -> str:
    """Other case, other punctuation, the same words."""
    cased = rng.choice((str.upper, str.lower, str.title))(text)
    return "".join(rng.choice(MARKS) if c in ".,;:" and rng.random() < 0.8 else c for c in cased) + rng.choice("!?.")


def one_word_off(text: str, words: list[str], rng: Random) -> str:
    """One word replaced by another one, or two neighbours exchanged."""
    parts = text.split()
    place = rng.randrange(len(parts) - 1)
    if rng.random() < 0.5:
        parts[place] = rng.choice(words)
    else:
        parts[place : place + 2] = parts[place : place + 2][::-1]
    return " ".join(parts)


def planted(tasks, rng: Random) -> dict[str, list[Pair]]:
    every = [answer for task in tasks for answer in answers(task)]
    long = [answer for answer in every if all(len(text.split()) >= 5 for text in answer)]
    words = sorted({word for answer in long for text in answer for word in text.split()})
    groups = sorted({query.group for task in tasks for query in task.queries})
    fresh = iter(clean_rows(PLANTED, rng))
    return {
        "exact": [Pair(*rng.choice(every)) for _ in range(PLANTED)],
        "case and punctuation": [Pair(*(loud(t, rng) for t in rng.choice(every))) for _ in range(PLANTED)],
        "one word": [Pair(*(one_word_off(t, words, rng) for t in rng.choice(long))) for _ in range(PLANTED)],
        "same group": [Pair(row.anchor, row.positive, rng.choice(groups)) for row in fresh],
    }


@pytest.mark.parametrize("rows", [5_000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_planted_leaks_are_found(tasks, rows):
    rng = Random(11)
    kinds = planted(tasks, rng)
    clean = clean_rows(rows - 4 * PLANTED, rng)
    pairs = clean + [pair for some in kinds.values() for pair in some]
    started = time.monotonic()
    found = TrainingTexts(pairs, MATCHES, Near(5, 0.2)).leaks(tasks, lambda steps, note: None)
    seconds = time.monotonic() - started
    leaking = {row for leaks in found for row in leaks.rows["pairs"]}
    touched = {row for leaks in found for what in leaks.rows for row in leaks.rows[what]}
    rates = {}
    for n, kind in enumerate(kinds):
        start = len(clean) + n * PLANTED
        rates[kind] = sum(row in leaking for row in range(start, start + PLANTED)) / PLANTED
    false = sum(row < len(clean) for row in touched) / len(clean)
    sys.stdout.write(f"{rows:,} rows: {rates}, clean rows flagged {false:.4%}, {seconds:.1f} s\n")
    assert rates["exact"] == rates["case and punctuation"] == rates["same group"] == 1
    assert rates["one word"] >= 0.95
    assert false < 0.005
    assert seconds < 60
