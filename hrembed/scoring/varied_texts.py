"""A few texts of different length and script: two programs that embed them alike are likely to embed all alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from hrembed.models.dense import unit_rows

if TYPE_CHECKING:
    from hrembed.types import Floats

# Short, long, empty, not English, not letters: what may go another way through another layout, graph or server.
VARIED_TEXTS = {
    "one word": "Nurse",
    "a sentence": "Registered nurse for the night shift of a surgical ward, with two years of experience",
    "600 words": "Looks after patients and writes down what was done. " * 60,
    "empty": "",
    "accents": "Ingénieur en génie logiciel · Köln",
    "Cyrillic": "Медсестра в хирургическое отделение",
    "Japanese": "看護師、夜勤あり",
    "signs": "C++ / C# / .NET 8",
}
"""What a text is like, to the text."""


class Probe(NamedTuple):
    """Vectors of the same varied texts, shape (texts, dim) each.

    Attributes:
        together: Embedded in one batch, so that all but one are padded.
        alone: Embedded one at a time.
    """

    together: Floats
    alone: Floats


def probe(model: Any) -> Probe:
    """Embed the varied texts: in one batch and one at a time, so that a graph is run with other sizes than it was made.

    Args:
        model: A Sentence Transformers model.
    """
    texts = [*VARIED_TEXTS.values()]
    parts = (model.encode(texts, batch_size=size, show_progress_bar=False) for size in (len(texts), 1))
    return Probe(*(np.asarray(vectors, dtype=np.float32) for vectors in parts))


def difference(expected: Probe, found: Probe) -> float:
    """Return the largest difference of two vectors in any place; NaN when one is not finite."""
    return float(np.abs(np.concatenate(expected) - np.concatenate(found)).max())


def row_cosines(first: Floats, second: Floats) -> Floats:
    """Cosine of each row to the row at the same place, shape (n,), in [-1, 1] up to rounding; 0 to a row of zeros."""
    return np.asarray((unit_rows(first) * unit_rows(second)).sum(axis=1))
