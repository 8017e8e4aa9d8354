"""Texts that are nearly the same: one word replaced, one added, the order changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from xxhash import xxh32_intdigest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hrembed.progress import Advance

# 32 bands of 4 rows: sets with a Jaccard similarity of 0.67, five words of which one was replaced, meet in
# a band with a probability of 0.999; sets with 0.2 with one of 0.05.
_BANDS, _ROWS = 32, 4
_AT_ONCE, _GATHERED = 50_000, 64  # the second so small that its words stay in the cache
Signatures = npt.NDArray[np.uint32]
Keys = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class Near:
    """When two texts count as the same although they are not equal.

    Attributes:
        min_words: Shorter texts are only compared for equality: of three words, one replaced is another title.
        max_changed: Share of the words of the longer text that may be replaced, added or missing, 0 to 1.
    """

    min_words: int
    max_changed: float


def near_matches(
    texts: Sequence[str], targets: Sequence[str], near: Near, advance: Advance
) -> Iterator[tuple[int, int]]:
    """Find texts that nearly equal a target.

    Candidates come from MinHash signatures of their words; each is then compared word by word, by edit distance,
    or equal but for the order of the words. So what is found is right, and little is missed.

    Args:
        texts: Normalised texts, each once.
        targets: Normalised texts, each once.
        near: What counts as near.
        advance: Receives progress updates; each text counts once.

    Yields:
        Position in `texts`, position in `targets`; equal texts are not yielded.

    Source: Broder (1997), On the resemblance and containment of documents; Leskovec, Rajaraman, Ullman, Mining of
        Massive Datasets, section 3.4 (banding).
    """
    words = [target.split() for target in targets]
    long = [n for n, target in enumerate(words) if len(target) >= near.min_words]
    index = _Bands([words[n] for n in long])
    for start in range(0, len(texts), _AT_ONCE):
        batch = {n: texts[n].split() for n in range(start, min(start + _AT_ONCE, len(texts)))}
        long_enough = [n for n, text in batch.items() if len(text) >= near.min_words]
        for place, hit in index.candidates([batch[n] for n in long_enough]):
            n, target = long_enough[place], long[hit]
            if texts[n] != targets[target] and _is_near(batch[n], words[target], near.max_changed):
                yield n, target
        advance(len(batch), "")


class _Bands:
    """Signatures of texts cut into bands, each band sorted, so that equal bands are found by bisection."""

    def __init__(self, texts: Sequence[Sequence[str]]) -> None:
        keys = _band_keys(texts)
        self._order = np.argsort(keys, axis=1)
        self._sorted = np.take_along_axis(keys, self._order, axis=1)

    def candidates(self, texts: Sequence[Sequence[str]]) -> Iterator[tuple[int, int]]:
        """Yield (position in `texts`, position in the index) of all that share a band, each once."""
        pairs: set[tuple[int, int]] = set()
        for keys, order, known in zip(_band_keys(texts), self._order, self._sorted, strict=True):
            first, last = np.searchsorted(known, keys, "left"), np.searchsorted(known, keys, "right")
            for n in np.flatnonzero(last > first).tolist():
                pairs.update((n, hit) for hit in order[first[n] : last[n]].tolist())
        yield from sorted(pairs)


def _band_keys(texts: Sequence[Sequence[str]]) -> Keys:
    """Hash every band of every text's signature, shape (bands, texts)."""
    if not texts:
        return np.zeros((_BANDS, 0), dtype=np.uint64)
    # A random odd multiplier for each row of a band; the sum wraps around, as it should.
    multipliers = np.random.default_rng(1).integers(1, 2**63, _ROWS, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
    values = _signatures(texts).astype(np.uint64).reshape(len(texts), _BANDS, _ROWS)
    keys: Keys = (values * multipliers).sum(axis=2).T
    return keys


def _signatures(texts: Sequence[Sequence[str]]) -> Signatures:
    """MinHash of every text, shape (texts, bands · rows).

    The signature of a union is the smaller of the two at every place, so each distinct word is hashed once and a
    text is the minimum over its words.
    """
    from datasketch import MinHash

    number: dict[str, int] = {}
    words = [[number.setdefault(word, len(number)) for word in set(text)] for text in texts]
    single = MinHash.bulk([[word.encode()] for word in number], num_perm=_BANDS * _ROWS, hashfunc=xxh32_intdigest)
    of_word = np.stack([signature.hashvalues for signature in single])
    signatures = np.empty((len(texts), _BANDS * _ROWS), dtype=of_word.dtype)
    for start in range(0, len(texts), _GATHERED):
        batch = words[start : start + _GATHERED]
        starts = np.cumsum([0, *map(len, batch[:-1])])
        np.minimum.reduceat(of_word[np.concatenate(batch)], starts, out=signatures[start : start + len(batch)])
    return signatures


def _is_near(one: Sequence[str], other: Sequence[str], max_changed: float) -> bool:
    from rapidfuzz.distance import Levenshtein

    allowed = int(max_changed * max(len(one), len(other)))
    if abs(len(one) - len(other)) > allowed:
        return False
    return Levenshtein.distance(one, other, score_cutoff=allowed) <= allowed or sorted(one) == sorted(other)
