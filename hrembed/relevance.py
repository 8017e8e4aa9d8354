"""Which texts of a training set are relevant to each other: one definition for batches, losses, mining and checks.

Two texts are the same item when they have the same words (`normalise`) or the same id, also through others: an id
stands for one item on whichever side and in whatever wording. An item belongs to every group in which it stands
anywhere ("Team leader" of two occupations belongs to both).
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from hrembed.text import normalise

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hrembed.types import Pair


class Relatives:
    """Items and groups of the texts of a training set.

    Args:
        pairs: The whole set. Hard negatives add nothing: they say what a text is not.
    """

    def __init__(self, pairs: Iterable[Pair]) -> None:
        self._forms: dict[str, str] = {}
        self._above: dict[str, str] = {}
        sides = [
            (self._form(text), id_, pair.group)
            for pair in pairs
            for text, id_ in ((pair.anchor, pair.anchor_id), (pair.positive, pair.positive_id))
        ]
        for form, id_, _ in sides:
            if id_:
                self._join(form, f"id:{id_}")
        groups: dict[str, set[str]] = defaultdict(set)
        for form, _, group in sides:
            if group:
                groups[self._top(form)].add(f"group:{group}")
        self._groups = {item: frozenset(groups_of_item) for item, groups_of_item in groups.items()}

    def item(self, text: str) -> str:
        """Name of what a text stands for; a text that is not in the set stands for itself."""
        return self._top(self._form(text))

    def groups(self, text: str) -> frozenset[str]:
        """Groups of a text's item."""
        return self._groups.get(self.item(text), frozenset())

    def keys(self, text: str) -> frozenset[str]:
        """Item and groups: two texts are relevant to each other when these meet."""
        return self.groups(text) | {self.item(text)}

    def _form(self, text: str) -> str:
        if text not in self._forms:
            self._forms[text] = f"text:{normalise(text)}"
        return self._forms[text]

    def _top(self, node: str) -> str:
        top = node
        while (above := self._above.get(top, top)) != top:
            top = above
        while node != top:  # so that the next way up is short
            self._above[node], node = top, self._above[node]
        return top

    def _join(self, one: str, other: str) -> None:
        one, other = self._top(one), self._top(other)
        if one != other:
            self._above[max(one, other)] = min(one, other)
