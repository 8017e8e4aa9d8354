"""Mined negatives: what the library's miner finds, without what is relevant."""

from __future__ import annotations

import zlib

import numpy as np
import pytest
from datasets import Dataset
from hrembed.relevance import Relatives
from hrembed.training import mining
from hrembed.training.mining import MiningRule, mine
from hrembed.types import Pair
from hypothesis import given, settings
from hypothesis import strategies as st
from sentence_transformers.util import mine_hard_negatives

RULE = MiningRule(count=2, margin=0.05, range_min=0, range_max=None, strategy="top", seed=13)


def embed(texts, side="document") -> np.ndarray:
    """A random unit vector for each text, the same on both sides; texts of one beginning lie close to each other."""
    rows = []
    for text in texts:
        near = np.random.default_rng(zlib.crc32(text.split()[0].lower().encode())).normal(size=8)
        rows.append(near + 0.6 * np.random.default_rng(zlib.crc32(text.encode())).normal(size=8))
    found = np.array(rows, dtype=np.float32)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def rule(**changes) -> MiningRule:
    return MiningRule(**{**vars(RULE), **changes})


def jobs(count: int, groups: bool = True) -> list[Pair]:
    """Several titles of each job: those of one job are the closest to each other."""
    return [
        Pair(f"job{n % 5} ad {n}", f"job{n % 5} title {n}", group=f"g{n % 5}" if groups else "") for n in range(count)
    ]


def library(pairs: list[Pair], **options) -> list[dict]:
    model = mining._Embedded(
        list(dict.fromkeys(p.anchor for p in pairs)), list(dict.fromkeys(p.positive for p in pairs)), embed
    )
    data = Dataset.from_dict({"anchor": [p.anchor for p in pairs], "positive": [p.positive for p in pairs]})
    return mine_hard_negatives(data, model, verbose=False, **options).to_list()


def test_the_plain_miner_returns_texts_of_the_anchor_s_group_and_ours_never_does():
    pairs = jobs(40)
    groups = {pair.positive: pair.group for pair in pairs} | {pair.anchor: pair.group for pair in pairs}
    naive = library(pairs, num_negatives=2, relative_margin=0.05, output_format="triplet")
    wrong = [row for row in naive if groups[row["anchor"]] == groups[row["negative"]]]
    assert len(wrong) > 0.2 * len(naive)  # a fifth of what it finds is relevant
    found = mine(pairs, embed, RULE)
    assert found.facts.relevant > 0
    assert sum(map(len, found.negatives)) == 80
    assert all(groups[text] != pair.group for pair, own in zip(pairs, found.negatives, strict=True) for text in own)


def test_where_nothing_is_relevant_it_is_the_library_s_own_choice():
    pairs = [Pair(f"job{n % 7} ad {n}", f"job{n % 7} title {n}") for n in range(50)]
    pairs += [Pair(pairs[n].anchor, f"another of {n}") for n in range(10)]  # several positives: the farthest counts
    naive = library(pairs, num_negatives=2, relative_margin=0.05, output_format="triplet", range_max=30)
    expected: dict[tuple[str, str], list[str]] = {}
    for row in naive:
        expected.setdefault((row["anchor"], row["positive"]), []).append(row["negative"])
    found = mine(pairs, embed, rule(range_max=30))
    held = {(p.anchor, p.positive): own for p, own in zip(pairs, found.negatives, strict=True) if own}
    assert held.keys() == expected.keys()
    for key, own in expected.items():
        assert list(dict.fromkeys(held[key])) == own


TEXTS = st.sampled_from([f"{word} {n}" for word in ("nurse", "Nurse", "driver", "cook") for n in range(3)])
KEYS = st.sampled_from(["", "", "1", "2"])
PAIRS = st.lists(
    st.builds(Pair, TEXTS, TEXTS, group=KEYS, kind=st.sampled_from(["a", "b"]), anchor_id=KEYS), min_size=2, max_size=14
)


@given(PAIRS, st.sampled_from(["top", "random"]), st.sampled_from([0.0, 0.05, 0.3]), st.integers(1, 3))
@settings(max_examples=40)
def test_a_mined_negative_is_never_relevant_and_keeps_the_margin(pairs, strategy, margin, count):
    found = mine(pairs, embed, rule(strategy=strategy, margin=margin, count=count))
    known = Relatives(pairs)
    for pair, own in zip(pairs, found.negatives, strict=True):
        assert len(own) in {0, count}
        rows = [p for p in pairs if known.item(p.anchor) == known.item(pair.anchor)]
        keys = frozenset().union(*(known.keys(p.anchor) | known.keys(p.positive) for p in rows))
        same = [p.positive for p in pairs if p.anchor == pair.anchor and p.kind == pair.kind]
        cosines = embed([pair.anchor]) @ embed([*same, *own]).T
        farthest = float(cosines[0, : len(same)].min())
        for n, text in enumerate(own, start=len(same)):
            assert keys.isdisjoint(known.keys(text))
            assert float(cosines[0, n]) <= farthest - abs(farthest) * margin + 1e-6
            assert text in {p.positive for p in pairs if p.kind == pair.kind}


def test_the_margin_lies_below_a_positive_with_a_negative_cosine_too():
    """0.3 of -0.2 is 0.06: a text at -0.24 is too close, one at -0.28 is not."""
    cosines = {"ad": 1.0, "title": -0.2, "close": -0.24, "far": -0.28}
    pairs = [Pair("ad", "title"), Pair("other ad", "close"), Pair("third ad", "far")]

    def flat(texts, side):
        own = np.array([cosines.get(text, 0.0) for text in texts])
        return np.stack([own, np.sqrt(1 - own**2)], axis=1).astype(np.float32)

    assert mine(pairs, flat, rule(count=1, margin=0.3)).negatives[0] == ("far",)


def test_more_candidates_are_asked_for_where_all_near_ones_are_relevant(monkeypatch):
    """Fifty titles of the same job come first; the library's window ends before any other."""
    pairs = [Pair(f"nurse ad {n}", f"nurse title {n}", group="n") for n in range(50)]
    pairs += [Pair(f"baker ad {n}", f"baker title {n}", group=f"b{n}") for n in range(30)]
    windows = []
    whole = mining._Pool.closest

    def counted(self, anchors, first, last):
        windows.append(last)
        return whole(self, anchors, first, last)

    monkeypatch.setattr(mining._Pool, "closest", counted)
    found = mine(pairs, embed, rule(count=1, margin=0.0))
    held = [own for pair, own in zip(pairs, found.negatives, strict=True) if pair.group == "n"]
    assert sum(bool(own) for own in held) > 25
    assert windows == [10, 40, 80]
    windows.clear()
    bounded = mine(pairs, embed, rule(count=1, margin=0.0, range_max=10))
    assert windows == [10]
    assert bounded.facts.rows_without > found.facts.rows_without


def test_a_short_find_is_repeated_and_a_row_without_any_has_none():
    pairs = [
        Pair("nurse ad", "nurse title", group="n"),
        Pair("nurse job", "nurse work", group="n"),
        Pair("baker ad", "baker title", group="b"),
    ]
    found = mine(pairs, embed, rule(count=3, margin=0.0))
    assert found.negatives[0] == ("baker title",) * 3
    assert found.facts.rows_repeating == 3
    alone = mine(pairs[:2], embed, rule(count=3, margin=0.0))
    assert alone.negatives == [(), ()]
    assert alone.facts.rows_without == 2
    assert np.isnan(alone.facts.negative_cosine)


def test_kinds_are_not_mixed():
    pairs = [Pair(f"nurse {n}", f"{kind} {n}", group=f"{kind}{n}", kind=kind) for n in range(6) for kind in "xy"]
    found = mine(pairs, embed, rule(margin=0.0))
    assert all(text.startswith(pair.kind) for pair, own in zip(pairs, found.negatives, strict=True) for text in own)


def test_counts_and_means_are_those_of_the_choice():
    pairs = jobs(20)
    found = mine(pairs, embed, rule(count=1, range_max=19))
    cosines = embed([p.anchor for p in pairs]) @ embed([p.positive for p in pairs]).T
    own = np.diag(cosines)
    groups = np.array([p.group for p in pairs])
    same = groups[:, None] == groups[None, :]
    others = ~same & (cosines > (own - np.abs(own) * 0.05)[:, None])
    assert found.facts.anchors == 20
    assert found.facts.relevant == int(same.sum()) - 20
    assert found.facts.margin == int(others.sum())
    assert found.facts.positive_cosine == pytest.approx(float(own.mean()), abs=1e-5)
    left = np.where(~same & ~others, cosines, -2).max(axis=1)
    assert found.facts.negative_cosine == pytest.approx(float(left[left > -2].mean()), abs=1e-5)


def test_a_random_choice_repeats_with_its_seed_and_respects_the_skipped_ones():
    pairs = jobs(40)
    one, other = mine(pairs, embed, rule(strategy="random")), mine(pairs, embed, rule(strategy="random", seed=1))
    assert one == mine(pairs, embed, rule(strategy="random"))
    assert one.negatives != other.negatives
    skipped = mine(pairs, embed, rule(range_min=12))
    cosines = embed([p.anchor for p in pairs]) @ embed([p.positive for p in pairs]).T
    place = {pair.positive: n for n, pair in enumerate(pairs)}
    for row, own in enumerate(skipped.negatives):
        for text in own:
            closer = int((np.delete(cosines[row], row) > cosines[row, place[text]]).sum())
            assert closer >= 12
