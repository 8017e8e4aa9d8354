"""From texts to the inputs of a whole graph."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from hrembed.models.packing import ahead, pack
from hrembed.models.windows import token_windows

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from hrembed.models.packing import Layout
    from hrembed.types import Ints

_TOKENIZED_AT_ONCE = 256  # while the texts before them are computed
# Tokens of a row that short texts share: the best, by a little, of 16 to 128 on MiniLM.
_ROW = 64


class WindowBatches(NamedTuple):
    """Texts as windows of tokens, for a model that computes all windows of a text in one pass.

    Attributes:
        counts: Windows of each text, shape (n,), 1 or more.
        batches: Positions among all windows, laid text after text, and the inputs for them.
    """

    counts: Ints
    batches: Iterator[tuple[Ints, Mapping[str, Ints]]]


class Tokens:
    """Makes the inputs of a whole graph, batch by batch.

    Args:
        tokenizer: A `tokenizers.Tokenizer` with its limit, without padding.
        pad: Number of the token that fills rows.
        first_position: Where positions of a text start when texts share rows; None gives each text a row.
        budget: Most tokens of a batch.
    """

    def __init__(self, tokenizer: Any, *, pad: int, first_position: int | None, budget: int) -> None:
        self._tokenizer = tokenizer
        self._pad = pad
        self._budget = budget
        self.first_position = first_position

    def batches(self, texts: Sequence[str]) -> Iterator[tuple[Ints, Mapping[str, Ints]]]:
        """Yield positions of texts and the inputs of the graph for them; the next texts are tokenised meanwhile."""
        starts = range(0, len(texts), _TOKENIZED_AT_ONCE)
        parts = ahead(lambda start: (start, self._encoded(texts[start : start + _TOKENIZED_AT_ONCE])), starts)
        return chain.from_iterable(self._packed(start, encoded) for start, encoded in parts)

    def windows(
        self, texts: Sequence[str], widths: Sequence[int], prompt: str, *, pools_prompt: bool = True
    ) -> WindowBatches:
        """Divide texts into windows of tokens; the tokens of the prompt and special ones stand in none.

        Args:
            texts: Any number.
            widths: Tokens of a window; a text of fewer tokens counts as a whole.
            prompt: In front of each text.
            pools_prompt: Whether the vector of a whole text is also made of the tokens of the prompt.
        """
        # Without a prompt no token has to be found by its characters, which the faster way does not count.
        encode = self._tokenizer.encode_batch if prompt else self._tokenizer.encode_batch_fast
        encoded = list(encode([prompt + text for text in texts]))
        windows = [_windows(entry, widths, len(prompt), pools_prompt=pools_prompt) for entry in encoded]
        counts = np.fromiter(map(len, windows), dtype=np.int64)
        return WindowBatches(counts, self._window_batches(encoded, windows, np.cumsum(counts) - counts))

    def _window_batches(
        self, encoded: Sequence[Any], windows: Sequence[Ints], starts: Ints
    ) -> Iterator[tuple[Ints, Mapping[str, Ints]]]:
        for layout, inputs in self._layouts(encoded):
            chosen = [windows[text] for text in layout.texts]
            numbers = [starts[text] + np.arange(len(windows[text])) for text in layout.texts]
            width = max(of_text.shape[1] for of_text in chosen)
            places, mask = (np.zeros((sum(map(len, chosen)), width), dtype=np.int64) for _ in range(2))
            row = 0
            for of_text, tokens in zip(layout.places, chosen, strict=True):
                part = slice(row, row + len(tokens)), slice(tokens.shape[1])
                mask[part] = tokens >= 0
                places[part] = np.where(tokens >= 0, of_text[tokens], 0)
                row += len(tokens)
            yield np.concatenate(numbers), inputs | self._places(layout) | {"places": places, "mask": mask}

    def _encoded(self, texts: Sequence[str]) -> list[Any]:
        return list(self._tokenizer.encode_batch_fast(list(texts)))

    def _packed(self, start: int, encoded: Sequence[Any]) -> Iterator[tuple[Ints, Mapping[str, Ints]]]:
        for layout, inputs in self._layouts(encoded):
            yield layout.texts + start, inputs | self._places(layout)

    def _layouts(self, encoded: Sequence[Any]) -> Iterator[tuple[Layout, dict[str, Ints]]]:
        row = 1 if self.first_position is None else _ROW
        for layout in pack([len(entry) for entry in encoded], budget=self._budget, row=row):
            chosen = [encoded[place] for place in layout.texts]
            yield (
                layout,
                {
                    "input_ids": layout.rows(_flat(entry.ids for entry in chosen), self._pad),
                    "token_type_ids": layout.rows(_flat(entry.type_ids for entry in chosen), 0),
                },
            )

    def _places(self, layout: Layout) -> dict[str, Ints]:
        if self.first_position is None:
            return {"attention_mask": layout.mask}
        return {
            "positions": layout.positions(self.first_position),
            "segments": layout.segments(),
            "places": layout.places,
            "mask": layout.mask,
        }


def _windows(entry: Any, widths: Sequence[int], prompt: int, *, pools_prompt: bool) -> Ints:
    """Places of the tokens of each window of a text behind a prompt of so many characters."""
    behind = np.ones(len(entry), dtype=bool)
    if prompt:
        behind = np.array([end > prompt for _, end in entry.offsets], dtype=bool)
    special = np.array(entry.special_tokens_mask, dtype=bool)
    first = 0
    if prompt and not pools_prompt:  # Sentence Transformers leaves out what stands before the prompt as well
        own = np.flatnonzero(~special & behind)
        first = int(own[0]) if len(own) else int(np.flatnonzero(~special).max(initial=-1)) + 1
    return token_windows(np.flatnonzero(~special & behind), np.arange(first, len(entry)), widths)


def _flat(rows: Iterable[Sequence[int]]) -> Ints:
    return np.fromiter(chain.from_iterable(rows), dtype=np.int64)
