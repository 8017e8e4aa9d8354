"""Groups to sides, and the held-out sides to retrieval tasks."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from random import Random
from typing import TYPE_CHECKING

from hrembed.text import normalise
from hrembed.types import Task, Text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from hrembed.records.data import SplitSide
    from hrembed.types import Pair

SIDES: tuple[SplitSide, ...] = ("train", "dev", "test")
# A profile of a related occupation is half an answer to an ad; a title or a task of it is none.
GRADED_KINDS = frozenset({"ad-profile"})


def group_of(pair: Pair) -> str:
    """Group of a pair; without one, all pairs with the same anchor are a group."""
    return pair.group or f"anchor: {normalise(pair.anchor)}"


def assign_groups(pairs: Iterable[Pair], *, dev: float, test: float, seed: int) -> dict[str, SplitSide]:
    """Give every group a side, so that families keep their share on each.

    Groups are shuffled within their family, families are put in a row, and groups are taken from that row at even
    distances, beginning at a random place: of a family of n groups a side with share s gets n·s rounded up or down.

    Args:
        pairs: All pairs.
        dev: Share of the groups.
        test: Share of the groups; the rest is for training.
        seed: Of order and beginning.

    Source: systematic sampling with implicit stratification; Cochran, Sampling Techniques (1977), chapter 8.
    """
    families: dict[str, dict[str, None]] = defaultdict(dict)
    for pair in pairs:
        families[pair.family][group_of(pair)] = None
    rng = Random(f"split {seed}")
    row = [
        group for family in sorted(families) for group in rng.sample(sorted(families[family]), len(families[family]))
    ]
    held_out = _evenly(row, dev + test, rng)
    for_test = set(_evenly(held_out, test / (dev + test), rng))
    out = set(held_out)
    return {group: "test" if group in for_test else "dev" if group in out else "train" for group in row}


def _evenly(items: Sequence[str], share: float, rng: Random) -> list[str]:
    start = rng.random()
    return [item for n, item in enumerate(items) if int((n + 1) * share + start) > int(n * share + start)]


def build_task(
    name: str,
    pairs: Sequence[Pair],
    related: Mapping[str, Iterable[str]],
    *,
    by_pair: bool,
    max_queries: int,
    seed: int,
) -> Task:
    """Make a retrieval task of the pairs of one kind: anchors search, positives are found.

    A text that stands on both sides is used on one of them only, decided by a hash of it. Queries without a
    relevant document are left out.

    Args:
        name: Of the task.
        pairs: Pairs of one kind and side.
        related: Group to its related groups; empty where relevance has one grade. Otherwise documents of a
            query's own groups have grade 2, those of related groups grade 1.
        by_pair: Whether only the documents that a query was paired with are relevant; otherwise all of its groups.
        max_queries: Most queries; groups take turns, so that each keeps some.
        seed: Of the draw.
    """
    both = {pair.anchor for pair in pairs} & {pair.positive for pair in pairs}
    asking = {text for text in both if hashlib.sha256(text.encode()).digest()[0] % 2}
    queries = _groups((pair.anchor, pair) for pair in pairs if pair.anchor not in both or pair.anchor in asking)
    documents = _groups((pair.positive, pair) for pair in pairs if pair.positive not in asking)
    grades = _by_pair(pairs, documents) if by_pair else _by_group(queries, documents, related)
    chosen = _round_robin({text: groups for text, groups in queries.items() if grades.get(text)}, max_queries, seed)
    ids = _ids(pairs)
    return Task(
        name,
        tuple(Text(ids[text], text, min(queries[text])) for text in chosen),
        tuple(Text(ids[text], text, min(groups)) for text, groups in documents.items()),
        {ids[text]: {ids[document]: grade for document, grade in grades[text].items()} for text in chosen},
    )


def _groups(texts: Iterable[tuple[str, Pair]]) -> dict[str, set[str]]:
    groups_of: dict[str, set[str]] = {}
    for text, pair in texts:
        groups_of.setdefault(text, set()).add(group_of(pair))
    return groups_of


def _by_pair(pairs: Iterable[Pair], documents: Mapping[str, set[str]]) -> dict[str, dict[str, int]]:
    grades: dict[str, dict[str, int]] = defaultdict(dict)
    for pair in pairs:
        if pair.positive in documents:
            grades[pair.anchor][pair.positive] = 1
    return grades


def _by_group(
    queries: Mapping[str, set[str]], documents: Mapping[str, set[str]], related: Mapping[str, Iterable[str]]
) -> dict[str, dict[str, int]]:
    members: dict[str, list[str]] = defaultdict(list)
    for text, groups in documents.items():
        for group in groups:
            members[group].append(text)
    grades = {}
    for text, groups in queries.items():
        same = dict.fromkeys((document for group in groups for document in members[group]), 2 if related else 1)
        related_documents = (
            document for group in groups for other in related.get(group, ()) for document in members[other]
        )
        grades[text] = {**dict.fromkeys(related_documents, 1), **same} if same else {}
    return grades


def _ids(pairs: Sequence[Pair]) -> dict[str, str]:
    """Text to its id; an id that two texts claim, or none, becomes one made of the text."""
    claimed: dict[str, str] = {}
    id_of: dict[str, str] = {}
    for pair in pairs:
        for text, key in ((pair.anchor, pair.anchor_id), (pair.positive, pair.positive_id)):
            if key and claimed.setdefault(key, text) == text:
                id_of.setdefault(text, key)
            else:
                id_of.setdefault(text, hashlib.blake2b(text.encode(), digest_size=8).hexdigest())
    return id_of


def _round_robin(queries: Mapping[str, set[str]], limit: int, seed: int) -> list[str]:
    by_group: dict[str, list[str]] = defaultdict(list)
    for text in sorted(queries):
        by_group[min(queries[text])].append(text)
    rng = Random(f"queries {seed}")
    stacks = [rng.sample(texts, len(texts)) for _, texts in sorted(by_group.items())]
    rng.shuffle(stacks)
    chosen: list[str] = []
    while stacks and len(chosen) < limit:
        chosen += [stack.pop() for stack in stacks[: limit - len(chosen)]]
        stacks = [stack for stack in stacks if stack]
    return chosen
