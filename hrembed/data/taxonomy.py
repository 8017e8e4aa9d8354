"""Occupations and skills of a taxonomy to training pairs, drawn evenly.

Every kind of pair is capped per group, and every text of a group is drawn about equally often: an
occupation with hundreds of titles weighs as much as one with a dozen.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, field, replace
from itertools import product
from random import Random
from typing import TYPE_CHECKING, Literal, TypeVar

from hrembed.text import normalise
from hrembed.types import Pair

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

Item = TypeVar("Item")


@dataclass(frozen=True)
class Source:
    """Where a taxonomy comes from, in the words that its licence asks for.

    Attributes:
        name: Short name.
        licence: Name of the licence or the terms.
        attribution: Sentence that must go with everything made from it.
        url: Where it is published.
    """

    name: str
    licence: str
    attribution: str
    url: str


@dataclass(frozen=True)
class Phrase:
    """A text with the id under which the taxonomy, or its content, knows it."""

    id: str
    text: str


@dataclass(frozen=True)
class Concept:
    """An occupation or a skill.

    Attributes:
        id: Group of all its pairs.
        family: What it belongs to; empty when the taxonomy does not say.
        titles: Its names, the preferred one first, no two with the same words.
        description: What it is; None when the taxonomy does not say.
        tasks: What its people do.
        tools: Technologies or skills that it needs.
        related: Ids of concepts so close that their people could be meant; a relevance of 1 where its own is 2.
    """

    id: str
    family: str
    titles: tuple[Phrase, ...]
    description: Phrase | None = None
    tasks: tuple[Phrase, ...] = ()
    tools: tuple[Phrase, ...] = ()
    related: tuple[str, ...] = ()


@dataclass
class Counts:
    """What was read and what every filter took away, in the order in which it happened."""

    steps: dict[str, int] = field(default_factory=dict)

    def add(self, step: str, number: int) -> None:
        """Count something."""
        self.steps[step] = self.steps.get(step, 0) + number


def phrase(prefix: str, text: str) -> Phrase:
    """Give a text an id made of its content: the same text has the same id in every release."""
    digest = hashlib.blake2b(text.encode(), digest_size=6).hexdigest()
    return Phrase(f"{prefix}:{digest}", text)


def distinct(texts: Iterable[str]) -> list[str]:
    """Keep the first of texts with the same words; drop those without any."""
    by_words: dict[str, str] = {}
    for text in texts:
        by_words.setdefault(normalise(text), text.strip())
    by_words.pop("", None)
    return list(by_words.values())


def without_common(
    concepts: Sequence[Concept], part: Literal["titles", "tools"], limit: int, counts: Counts, label: str
) -> list[Concept]:
    """Drop texts that many concepts share: "machine operator" names 43 occupations and tells none of them.

    Args:
        concepts: All of them.
        part: Which texts. The first title of a concept always stays.
        limit: Most concepts that a text may belong to.
        counts: Counts the texts that are dropped.
        label: What they are called there.
    """
    phrases_of = [concept.titles if part == "titles" else concept.tools for concept in concepts]
    shared = Counter(normalise(phrase.text) for phrases in phrases_of for phrase in phrases)
    distinctive = []
    for concept, phrases in zip(concepts, phrases_of, strict=True):
        stay = tuple(
            phrase
            for n, phrase in enumerate(phrases)
            if (part == "titles" and n == 0) or shared[normalise(phrase.text)] <= limit
        )
        counts.add(f"{label} dropped: they belong to more than {limit} occupations or skills", len(phrases) - len(stay))
        distinctive.append(replace(concept, titles=stay) if part == "titles" else replace(concept, tools=stay))
    return distinctive


def pairs_of(concept: Concept, kind: str, limit: int, seed: str) -> list[Pair]:
    """Draw pairs of one kind from one concept.

    Args:
        concept: The occupation or skill.
        kind: A key of `BUILDERS`.
        limit: Most pairs.
        seed: Of the draw.

    Returns:
        Distinct pairs; none when the concept has nothing of this kind.
    """
    drawn = list(BUILDERS[kind](concept, limit, Random(f"{seed} {kind} {concept.id}")))
    return [
        Pair(a.text, p.text, concept.id, kind, anchor_id=a.id, positive_id=p.id, family=concept.family)
        for a, p in drawn
    ]


def within(items: Sequence[Item], limit: int, rng: Random) -> list[tuple[Item, Item]]:
    """Draw distinct unordered pairs of different items, so that each item is drawn about equally often."""
    possible = len(items) * (len(items) - 1) // 2
    if limit >= possible:
        every = [(a, b) for n, a in enumerate(items) for b in items[n + 1 :]]
        return [pair if rng.random() < 0.5 else pair[::-1] for pair in every]
    drawn: dict[frozenset[int], tuple[int, int]] = {}
    while len(drawn) < limit:
        ring = rng.sample(range(len(items)), len(items))
        for pair in zip(ring, [*ring[1:], ring[0]], strict=True):
            if len(drawn) < limit:
                drawn.setdefault(frozenset(pair), pair)
    return [(items[a], items[b]) for a, b in drawn.values()]


def across(left: Sequence[Item], right: Sequence[Item], limit: int, rng: Random) -> list[tuple[Item, Item]]:
    """Draw distinct pairs of one item of each side, so that each item is drawn about equally often."""
    if 2 * limit >= len(left) * len(right):
        every = list(product(left, right))
        return rng.sample(every, min(limit, len(every)))
    drawn: dict[tuple[int, int], None] = {}
    while len(drawn) < limit:
        rows, columns = (rng.sample(range(len(side)), len(side)) for side in (left, right))
        for n in range(max(len(left), len(right))):
            if len(drawn) < limit:
                drawn[rows[n % len(left)], columns[n % len(right)]] = None
    return [(left[a], right[b]) for a, b in drawn]


def _titles(concept: Concept, limit: int, rng: Random) -> list[tuple[Phrase, Phrase]]:
    return within(concept.titles, limit, rng)


def _descriptions(concept: Concept, limit: int, rng: Random) -> list[tuple[Phrase, Phrase]]:
    return across(concept.titles, [concept.description], limit, rng) if concept.description else []


def _tasks(concept: Concept, limit: int, rng: Random) -> list[tuple[Phrase, Phrase]]:
    return across(concept.titles, concept.tasks, limit, rng)


def _tools(concept: Concept, limit: int, rng: Random) -> list[tuple[Phrase, Phrase]]:
    return across(concept.titles, concept.tools, limit, rng)


def _labels(concept: Concept, limit: int, rng: Random) -> Iterator[tuple[Phrase, Phrase]]:
    preferred, *others = concept.titles
    return ((other, preferred) for other in rng.sample(others, min(limit, len(others))))


BUILDERS: dict[str, Callable[[Concept, int, Random], Iterable[tuple[Phrase, Phrase]]]] = {
    "title": _titles,
    "canonical": _labels,
    "description": _descriptions,
    "task": _tasks,
    "technology": _tools,
    "occupation-skill": _tools,
    "skill": _labels,
    "skill-description": _descriptions,
}
