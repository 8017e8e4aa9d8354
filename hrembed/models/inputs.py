"""From texts to the inputs of a whole graph."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from hrembed.models.packing import ahead, pack

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from hrembed.models.packing import Layout
    from hrembed.types import Ints

_TOKENIZED_AT_ONCE = 256  # while the texts before them are computed
# Tokens of a row that short texts share: the best, by a little, of 16 to 128 on MiniLM.
_ROW = 64


class Tokens:
    """Makes the inputs of a whole graph, batch by batch.

    Args:
        file: `tokenizer.json`, with its limit, without padding.
        pad: Number of the token that fills rows.
        first_position: Where positions of a text start when texts share rows; None gives each text a row.
        budget: Most tokens of a batch.
    """

    def __init__(self, file: Path, *, pad: int, first_position: int | None, budget: int) -> None:
        from tokenizers import Tokenizer

        self._tokenizer = Tokenizer.from_file(str(file))
        self._pad = pad
        self._budget = budget
        self.first_position = first_position

    def batches(self, texts: Sequence[str]) -> Iterator[tuple[Ints, Mapping[str, Ints]]]:
        """Yield positions of texts and the inputs of the graph for them; the next texts are tokenised meanwhile."""
        starts = range(0, len(texts), _TOKENIZED_AT_ONCE)
        parts = ahead(lambda start: (start, self._encoded(texts[start : start + _TOKENIZED_AT_ONCE])), starts)
        return chain.from_iterable(self._packed(start, encoded) for start, encoded in parts)

    def _encoded(self, texts: Sequence[str]) -> list[Any]:
        return list(self._tokenizer.encode_batch_fast(list(texts)))

    def _packed(self, start: int, encoded: Sequence[Any]) -> Iterator[tuple[Ints, Mapping[str, Ints]]]:
        row = 1 if self.first_position is None else _ROW
        for layout in pack([len(entry) for entry in encoded], budget=self._budget, row=row):
            chosen = [encoded[place] for place in layout.texts]
            shared = {
                "input_ids": layout.rows(_flat(entry.ids for entry in chosen), self._pad),
                "token_type_ids": layout.rows(_flat(entry.type_ids for entry in chosen), 0),
            }
            yield layout.texts + start, shared | self._places(layout)

    def _places(self, layout: Layout) -> dict[str, Ints]:
        if self.first_position is None:
            return {"attention_mask": layout.mask}
        return {
            "positions": layout.positions(self.first_position),
            "segments": layout.segments(),
            "places": layout.places,
            "mask": layout.mask,
        }


def _flat(rows: Iterable[Sequence[int]]) -> Ints:
    return np.fromiter(chain.from_iterable(rows), dtype=np.int64)
