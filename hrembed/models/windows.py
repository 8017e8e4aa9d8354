"""Texts as windows of a few tokens: a text is as close to another as its best window is.

A long sentence that names three skills has one vector, which lies near none of them; the mean of the three tokens that
name one lies near that one. The transformer sees the whole text once; windows are means of what it gives.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hrembed.types import Floats, Ints, Similarity

# Scores of windows that are in memory at once: 16 MB, which also is quicker than larger parts.
_WINDOWS_AT_ONCE = 1024
_COLUMNS_AT_ONCE = 4096


def token_windows(own: Ints, every: Ints, widths: Sequence[int]) -> Ints:
    """Divide a text into all its windows of some widths.

    Args:
        own: Places of the tokens that are the text's own, shape (n,).
        every: Places of all tokens that its whole vector is made of, special ones included.
        widths: Tokens of a window; where the text has fewer, all of it takes the place of a window, once.

    Returns:
        Places of the tokens of each window, shape (windows, W), at least one window; -1 fills short ones.
    """
    parts = [np.lib.stride_tricks.sliding_window_view(own, width) for width in widths if width <= len(own)]
    if len(own) < max(widths):
        parts.append(every[None])
    windows = np.full((sum(map(len, parts)), max(1, *(part.shape[1] for part in parts))), -1, dtype=np.int64)
    start = 0
    for part in parts:
        windows[start : start + len(part), : part.shape[1]] = part
        start += len(part)
    return windows


def behind(prompt: int, spans: Ints) -> Ints:
    """Move the characters of tokens to a text that begins behind a prompt.

    Args:
        prompt: Characters of the prompt.
        spans: First character of each token and the one behind its last, in prompt and text together, shape (n, 2).

    Returns:
        The same in the text; -1 for tokens of the prompt, and for special ones, which have no characters.
    """
    moved = np.maximum(spans - prompt, 0)
    moved[(spans[:, 1] <= prompt) | (spans[:, 1] <= spans[:, 0])] = -1
    return moved


@dataclass(frozen=True)
class Windows:
    """The vectors of the windows of some texts.

    Attributes:
        rows: Unit rows, shape (windows, dim), float32, in memory or mapped from a file.
        starts: First row of each text, shape (n,); equal texts share their rows.
        counts: Rows of each text, shape (n,), 1 or more.
    """

    rows: Floats
    starts: Ints
    counts: Ints

    def __len__(self) -> int:
        """Number of texts."""
        return len(self.starts)

    def best(self, texts: slice | Ints, others: Floats) -> Floats:
        """Cosine of the best window of each text to each of the others, shape (texts, others), float32.

        Args:
            texts: Which texts.
            others: Unit rows, shape (m, dim).
        """
        starts, counts = self.starts[texts], self.counts[texts]
        found = np.full((len(starts), len(others)), -np.inf, dtype=np.float32)
        ends = np.cumsum(counts)
        total = int(ends[-1]) if len(ends) else 0
        for left in range(0, total, _WINDOWS_AT_ONCE):
            numbers = np.arange(left, min(left + _WINDOWS_AT_ONCE, total))
            text = np.searchsorted(ends, numbers, side="right")
            rows = self.rows[starts[text] + numbers - (ends - counts)[text]]
            first = np.flatnonzero(np.diff(text, prepend=-1))
            part = slice(text[0], text[-1] + 1)  # texts whose windows lie in two parts are seen twice
            for columns in _parts(len(others)):
                best = np.maximum.reduceat(rows @ others[columns].T, first, axis=0)
                np.maximum(found[part, columns], best, out=found[part, columns])
        return found


@dataclass(frozen=True)
class WindowSimilarity:
    """Cosine of the best window of a text to a whole text.

    Attributes:
        windows: Texts of one side.
        vectors: Unit rows of the other side.
        of_documents: Whether the documents are those with windows.
    """

    windows: Windows
    vectors: Floats
    of_documents: bool = False

    @property
    def shape(self) -> tuple[int, int]:
        """Number of queries, number of documents."""
        sizes = len(self.windows), len(self.vectors)
        return sizes[::-1] if self.of_documents else sizes

    def block(self, queries: slice, documents: slice | Ints) -> Floats:
        """Compute cosines, in [-1, 1] up to rounding."""
        if self.of_documents:
            return self.windows.best(documents, self.vectors[queries]).T
        return self.windows.best(queries, self.vectors[documents])


@dataclass(frozen=True)
class WeightedSum:
    """A similarity, and another one that is added to it with a weight.

    Attributes:
        first: Counts in full.
        second: Of the same queries and documents.
        weight: Factor of the second.
    """

    first: Similarity
    second: Similarity
    weight: float

    @property
    def shape(self) -> tuple[int, int]:
        """Number of queries, number of documents."""
        return self.first.shape

    def block(self, queries: slice, documents: slice | Ints) -> Floats:
        """Compute sums."""
        scores = np.array(self.first.block(queries, documents), dtype=np.float32)
        places = np.arange(self.shape[1])[documents]
        # The second may be sparse, which takes several times the memory of what it becomes.
        for columns in _parts(len(places)):
            scores[:, columns] += np.float32(self.weight) * self.second.block(queries, places[columns])
        return scores


def _parts(count: int) -> Iterator[slice]:
    for left in range(0, count, _COLUMNS_AT_ONCE):
        yield slice(left, min(left + _COLUMNS_AT_ONCE, count))
