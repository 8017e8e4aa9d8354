"""What of an evaluation task occurs in training data: documents, queries, or the answers themselves."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from itertools import permutations
from typing import TYPE_CHECKING, Literal

from hrembed.data.near_duplicates import near_matches
from hrembed.text import normalise

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from hrembed.data.near_duplicates import Near
    from hrembed.types import Pair, Task

How = Literal["exact", "id", "near", "group"]
What = Literal["documents", "queries", "pairs"]
HOW: tuple[How, ...] = ("exact", "id", "near", "group")  # strongest first
WHAT: tuple[What, ...] = ("documents", "queries", "pairs")
Hits = dict[int, "How"]  # query or document of a task -> how it was found
Answer = tuple[int, int]  # query, document


@dataclass(frozen=True)
class Leaks:
    """What of one task occurs in one training set.

    Attributes:
        task: Its name.
        totals: How many documents, queries and relevant pairs the task has.
        found: Of each of the three, how many occur, by how they were found; each counts once, at its strongest.
        rows: For each of the three, the training rows in which some occur, and how.
    """

    task: str
    totals: Mapping[What, int]
    found: Mapping[What, Mapping[How, int]]
    rows: Mapping[What, Mapping[int, How]]

    def share(self, what: What) -> float:
        """Share of the task's documents, queries or relevant pairs that occur in training, 0 to 1."""
        return sum(self.found[what].values()) / self.totals[what]


class TrainingTexts:
    """The distinct texts of a training set, normalised once for all tasks.

    Args:
        pairs: The training set.
        match: What counts as the same. Ids and groups that are plain numbers are not compared: two tables that
            count their rows would agree in all of them.
        near: When texts count as nearly the same; asked only when `match` holds `near`.
    """

    def __init__(self, pairs: Sequence[Pair], match: Collection[How], near: Near) -> None:
        self._match, self._near = frozenset(match), near
        numbers: dict[str, int] = {}
        forms: dict[str, int] = {}
        self._rows = []
        for pair in pairs:
            for text in (pair.anchor, pair.positive):
                if text not in forms:
                    forms[text] = numbers.setdefault(normalise(text), len(numbers))
            self._rows.append((forms[pair.anchor], forms[pair.positive]))
        self._texts = list(numbers)
        use_ids, use_groups = "id" in match, "group" in match
        self._ids = [(_telling(p.anchor_id), _telling(p.positive_id)) if use_ids else ("", "") for p in pairs]
        self._groups = [_telling(p.group) if use_groups else "" for p in pairs]

    def __len__(self) -> int:
        return len(self._texts)

    def leaks(self, tasks: Sequence[Task], advance: Callable[[int, str], None]) -> list[Leaks]:
        """Compare the training set with tasks.

        A document or query *occurs* when a training text equals it after normalisation, is nearly the same, or has
        its id. A relevant pair occurs when its texts are the two sides of a training row; when both stand in
        rows of one group, since training pulls those together as well; or when its query's group is a
        training group.

        Args:
            tasks: Queries, documents and grades; pairs with a grade above 0 are relevant.
            advance: Told how many training texts were looked at; each is looked at once.
        """
        every = [_Spots(task) for task in tasks]
        near = self._near_texts({text for spots in every for text in spots.of_text}, advance)
        return [self._leaks(task, spots, near) for task, spots in zip(tasks, every, strict=True)]

    def _near_texts(self, targets: Iterable[str], advance: Callable[[int, str], None]) -> list[tuple[int, str]]:
        """Pairs of a training text and a text of any task that it nearly is."""
        if "near" not in self._match:
            return []
        texts = sorted(targets)
        return [(text, texts[n]) for text, n in near_matches(self._texts, texts, self._near, advance)]

    def _leaks(self, task: Task, spots: _Spots, near: Iterable[tuple[int, str]]) -> Leaks:
        by_text = self._hits(spots, near)
        ledger = _Ledger()
        together: dict[str, list[tuple[int, Hits]]] = defaultdict(list)
        for row, sides in enumerate(self._rows):
            hits = [self._side(by_text.get(side), key, spots) for side, key in zip(sides, self._ids[row], strict=True)]
            group = self._groups[row]
            for answer in spots.of_group.get(group, ()) if group else ():
                ledger.add("pairs", row, answer, "group")
            if any(hits):
                _note_row(ledger, row, hits, spots)
                if group:
                    together[group].append((row, hits[0] | hits[1]))
        for rows in together.values():
            _note_group(ledger, rows, spots)
        totals: dict[What, int] = {
            "documents": len(task.documents),
            "queries": len(task.queries),
            "pairs": sum(map(len, spots.relevant.values())),
        }
        return Leaks(task.name, totals, ledger.found(), ledger.rows)

    def _hits(self, spots: _Spots, near: Iterable[tuple[int, str]]) -> dict[int, Hits]:
        """Training text to the queries and documents that it is."""
        found: dict[int, Hits] = defaultdict(dict)
        for number, text in near:
            found[number].update(dict.fromkeys(spots.of_text.get(text, ()), "near"))
        if "exact" in self._match:
            for number, text in enumerate(self._texts):
                if text in spots.of_text:
                    found[number].update(dict.fromkeys(spots.of_text[text], "exact"))
        return found

    @staticmethod
    def _side(by_text: Hits | None, key: str, spots: _Spots) -> Hits:
        """Hits of one side of a row: by its text, and by its id where the text did not give it away."""
        by_id: Hits = dict.fromkeys(spots.of_id.get(key, ()), "id") if key else {}
        return by_id | {spot: _stronger(how, by_id.get(spot, how)) for spot, how in (by_text or {}).items()}


class _Spots:
    """Queries and documents of a task, numbered: queries first, documents from `queries` on."""

    def __init__(self, task: Task) -> None:
        self.queries = len(task.queries)
        self.texts = [normalise(text.text) for text in (*task.queries, *task.documents)]
        self.of_text: dict[str, list[int]] = defaultdict(list)
        self.of_id: dict[str, list[int]] = defaultdict(list)
        for spot, text in enumerate((*task.queries, *task.documents)):
            self.of_text[self.texts[spot]].append(spot)
            self.of_id[_telling(text.id)].append(spot)
        place = {document.id: self.queries + n for n, document in enumerate(task.documents)}
        self.relevant = {
            spot: {place[document] for document, grade in task.qrels[query.id].items() if grade > 0}
            for spot, query in enumerate(task.queries)
        }
        self.of_group: dict[str, list[Answer]] = defaultdict(list)
        for spot, query in enumerate(task.queries):
            if _telling(query.group):
                self.of_group[query.group] += [(spot, document) for document in self.relevant[spot]]

    def answers(self, asking: Hits, offered: Hits) -> Iterator[tuple[Answer, How]]:
        """Relevant pairs of a found query and a found document with another text, and the weaker way of the two."""
        for query in [spot for spot in asking if spot < self.queries]:
            for document in self.relevant[query] & offered.keys():
                if self.texts[query] != self.texts[document]:
                    yield (query, document), max(asking[query], offered[document], key=HOW.index)


class _Ledger:
    """What was found where, each at its strongest."""

    def __init__(self) -> None:
        self.rows: dict[What, dict[int, How]] = {what: {} for what in WHAT}
        self._items: dict[What, dict[int | Answer, How]] = {what: {} for what in WHAT}

    def add(self, what: What, row: int, item: int | Answer, how: How) -> None:
        rows, items = self.rows[what], self._items[what]
        rows[row] = _stronger(how, rows.get(row, how))
        items[item] = _stronger(how, items.get(item, how))

    def found(self) -> dict[What, dict[How, int]]:
        counts = {what: Counter(self._items[what].values()) for what in WHAT}
        return {what: {how: counts[what][how] for how in HOW} for what in WHAT}


def _note_row(ledger: _Ledger, row: int, hits: Sequence[Hits], spots: _Spots) -> None:
    for spot, how in (hits[0] | hits[1]).items():
        ledger.add("queries" if spot < spots.queries else "documents", row, spot, how)
    for asking, offered in permutations(hits):
        for answer, how in spots.answers(asking, offered):
            ledger.add("pairs", row, answer, how)


def _note_group(ledger: _Ledger, rows: Iterable[tuple[int, Hits]], spots: _Spots) -> None:
    """Relevant pairs whose two texts stand in different rows of one training group."""
    holders: dict[int, list[int]] = defaultdict(list)
    for row, hits in rows:
        for spot in hits:
            holders[spot].append(row)
    every: Hits = dict.fromkeys(holders, "group")
    for (query, document), _ in spots.answers(every, every):
        for row in {*holders[query], *holders[document]}:
            ledger.add("pairs", row, (query, document), "group")


def _stronger(one: How, other: How) -> How:
    return min(one, other, key=HOW.index)


def _telling(key: str) -> str:
    """An id or group that can only be equal on purpose; plain numbers coincide by chance."""
    return "" if key.isdecimal() else key
