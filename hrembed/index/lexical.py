"""Words of kept texts, weighed by BM25 once and searched from disk: what the encoder `bm25` gives, to the last bit."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np

from hrembed.files import write_text
from hrembed.index.ranking import id_key
from hrembed.index.rows import unreadable
from hrembed.models.lexical import bm25_weights, bm25_words

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

FOLDER = "bm25"
_ARRAYS = ("data", "indices", "indptr")


def write_words(folder: Path, ids: Sequence[str], texts: Sequence[str]) -> None:
    """Weigh the words of documents and write them; nobody's words stay who is not among them.

    Args:
        folder: A new folder.
        ids: One for each text.
        texts: Texts.

    Raises:
        HrembedError: It cannot be written.
    """
    order = sorted(range(len(ids)), key=lambda row: id_key(ids[row]))
    vocabulary, weights = bm25_weights([texts[row] for row in order])
    folder.mkdir(parents=True)
    for name in _ARRAYS:
        np.save(folder / f"{name}.npy", getattr(weights, name))
    write_text(folder / "words.json", json.dumps(vocabulary, ensure_ascii=False))
    write_text(folder / "ids.json", json.dumps([ids[row] for row in order], ensure_ascii=False))


class Words:
    """What `write_words` wrote.

    Attributes:
        ids: Ids of documents in the order in which equal scores are ranked.
    """

    def __init__(self, folder: Path) -> None:
        self._vocabulary: dict[str, int] = json.loads((folder / "words.json").read_text(encoding="utf-8"))
        self.ids: list[str] = json.loads((folder / "ids.json").read_text(encoding="utf-8"))
        self._data, self._documents, self._starts = (
            np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in _ARRAYS
        )

    def ranked(self, text: str) -> list[tuple[str, float]]:
        """Rank all documents that share a word with a text."""
        scores = np.zeros(len(self.ids), dtype=np.float32)
        for word in bm25_words([text])[0]:
            column = self._vocabulary.get(word)
            if column is not None:
                part = slice(int(self._starts[column]), int(self._starts[column + 1]))
                scores[self._documents[part]] += self._data[part]
        found = np.flatnonzero(scores)
        order = found[np.argsort(-scores[found], kind="stable")]
        return [(self.ids[row], float(scores[row])) for row in order.tolist()]


def open_words(folder: Path) -> Words:
    """Open what `write_words` wrote.

    Raises:
        DataError: It is damaged, or was replaced at this moment.
    """
    try:
        return Words(folder)
    except (OSError, ValueError) as err:
        raise unreadable(folder, err) from None
