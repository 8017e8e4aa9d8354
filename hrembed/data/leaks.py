"""What of an evaluation task occurs in training data: documents, queries, or the answers themselves."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from itertools import permutations
from typing import TYPE_CHECKING

from hrembed.data.near_duplicates import near_matches
from hrembed.records.data import Leak
from hrembed.text import normalise

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from hrembed.data.near_duplicates import Near
    from hrembed.progress import Advance
    from hrembed.records.data import Match, TaskPart
    from hrembed.types import Pair, Task

MATCHES: tuple[Match, ...] = ("exact", "id", "near", "group")  # strongest first
PARTS: tuple[TaskPart, ...] = ("documents", "queries", "pairs")
Hits = dict[int, "Match"]  # query or document of a task -> how it was recognised
Answer = tuple[int, int]  # query, document


@dataclass(frozen=True)
class TaskLeaks:
    """What of one task occurs in one training set.

    Attributes:
        task: Its name.
        leaks: How many of its documents, queries and relevant pairs occur.
        rows: For each of the three, the training rows in which any occurs, with the strongest match.
    """

    task: str
    leaks: Mapping[TaskPart, Leak]
    rows: Mapping[TaskPart, Mapping[int, Match]]


class TrainingTexts:
    """The distinct texts of a training set, normalised once for all tasks.

    Args:
        pairs: The training set.
        match: What counts as the same. Ids and groups that are plain numbers are not compared: two tables that
            count their rows would agree in all of them.
        near: When texts count as nearly the same; asked only when `match` holds `near`.
    """

    def __init__(self, pairs: Sequence[Pair], match: Collection[Match], near: Near) -> None:
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
        self._ids = [(_distinctive(p.anchor_id), _distinctive(p.positive_id)) if use_ids else ("", "") for p in pairs]
        self._groups = [_distinctive(p.group) if use_groups else "" for p in pairs]

    def __len__(self) -> int:
        return len(self._texts)

    def leaks(self, tasks: Sequence[Task], advance: Advance) -> list[TaskLeaks]:
        """Compare the training set with tasks.

        A document or query *occurs* when a training text equals it after normalisation, is nearly the same, or has
        its id. A relevant pair occurs when its texts are the two sides of a training row; when both stand in
        rows of one group, since training pulls those together as well; or when its query's group is a
        training group.

        Args:
            tasks: Queries, documents and grades; pairs with a grade above 0 are relevant.
            advance: Receives progress updates; each training text counts once.
        """
        every = [_Spots(task) for task in tasks]
        near = self._near_texts({text for spots in every for text in spots.of_text}, advance)
        return [self._leaks(task, spots, near) for task, spots in zip(tasks, every, strict=True)]

    def _near_texts(self, targets: Iterable[str], advance: Advance) -> list[tuple[int, str]]:
        """Pairs of a training text and a text of any task that it nearly is."""
        if "near" not in self._match:
            return []
        texts = sorted(targets)
        return [(text, texts[n]) for text, n in near_matches(self._texts, texts, self._near, advance)]

    def _leaks(self, task: Task, spots: _Spots, near: Iterable[tuple[int, str]]) -> TaskLeaks:
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
        totals: dict[TaskPart, int] = {
            "documents": len(task.documents),
            "queries": len(task.queries),
            "pairs": sum(map(len, spots.relevant.values())),
        }
        return TaskLeaks(task.name, {part: ledger.leak(part, totals[part]) for part in PARTS}, ledger.rows)

    def _hits(self, spots: _Spots, near: Iterable[tuple[int, str]]) -> dict[int, Hits]:
        """Training text to the queries and documents that it is."""
        hits: dict[int, Hits] = defaultdict(dict)
        for number, text in near:
            hits[number].update(dict.fromkeys(spots.of_text.get(text, ()), "near"))
        if "exact" in self._match:
            for number, text in enumerate(self._texts):
                if text in spots.of_text:
                    hits[number].update(dict.fromkeys(spots.of_text[text], "exact"))
        return hits

    @staticmethod
    def _side(by_text: Hits | None, key: str, spots: _Spots) -> Hits:
        """Hits of one side of a row: by its text, and by its id where the text did not give it away."""
        by_id: Hits = dict.fromkeys(spots.of_id.get(key, ()), "id") if key else {}
        return by_id | {spot: _stronger(match, by_id.get(spot, match)) for spot, match in (by_text or {}).items()}


class _Spots:
    """Queries and documents of a task, numbered: queries first, documents from `queries` on."""

    def __init__(self, task: Task) -> None:
        self.queries = len(task.queries)
        self.texts = [normalise(text.text) for text in (*task.queries, *task.documents)]
        self.of_text: dict[str, list[int]] = defaultdict(list)
        self.of_id: dict[str, list[int]] = defaultdict(list)
        for spot, text in enumerate((*task.queries, *task.documents)):
            self.of_text[self.texts[spot]].append(spot)
            self.of_id[_distinctive(text.id)].append(spot)
        place = {document.id: self.queries + n for n, document in enumerate(task.documents)}
        self.relevant = {
            spot: {place[document] for document, grade in task.qrels[query.id].items() if grade > 0}
            for spot, query in enumerate(task.queries)
        }
        self.of_group: dict[str, list[Answer]] = defaultdict(list)
        for spot, query in enumerate(task.queries):
            if _distinctive(query.group):
                self.of_group[query.group] += [(spot, document) for document in self.relevant[spot]]

    def answers(self, asking: Hits, offered: Hits) -> Iterator[tuple[Answer, Match]]:
        """Relevant pairs of a recognised query and a recognised document with another text, and the weaker match."""
        for query in [spot for spot in asking if spot < self.queries]:
            for document in self.relevant[query] & offered.keys():
                if self.texts[query] != self.texts[document]:
                    yield (query, document), max(asking[query], offered[document], key=MATCHES.index)


class _Ledger:
    """What occurs, and in which rows, each with its strongest match."""

    def __init__(self) -> None:
        self.rows: dict[TaskPart, dict[int, Match]] = {part: {} for part in PARTS}
        self._items: dict[TaskPart, dict[int | Answer, Match]] = {part: {} for part in PARTS}

    def add(self, part: TaskPart, row: int, item: int | Answer, match: Match) -> None:
        rows, items = self.rows[part], self._items[part]
        rows[row] = _stronger(match, rows.get(row, match))
        items[item] = _stronger(match, items.get(item, match))

    def leak(self, part: TaskPart, total: int) -> Leak:
        counts, occur = Counter(self._items[part].values()), len(self._items[part])
        by = {match: counts[match] for match in MATCHES}
        share = occur / total if total else 0.0
        return Leak(total=total, occur=occur, share=share, by=by, rows=len(self.rows[part]))


def _note_row(ledger: _Ledger, row: int, hits: Sequence[Hits], spots: _Spots) -> None:
    for spot, match in (hits[0] | hits[1]).items():
        ledger.add("queries" if spot < spots.queries else "documents", row, spot, match)
    for asking, offered in permutations(hits):
        for answer, match in spots.answers(asking, offered):
            ledger.add("pairs", row, answer, match)


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


def _stronger(one: Match, other: Match) -> Match:
    return min(one, other, key=MATCHES.index)


def _distinctive(key: str) -> str:
    """An id or group that can only be equal on purpose; plain numbers coincide by chance."""
    return "" if key.isdecimal() else key
