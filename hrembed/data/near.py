"""Texts that are nearly the same: one word replaced, one added, the order changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from xxhash import xxh32_intdigest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

# 32 bands of 4 rows: sets with a Jaccard similarity of 0.67, five words of which one was replaced, meet in
# a band with a probability of 0.999; sets with 0.2 with one of 0.05.
_BANDS, _ROWS = 32, 4
_AT_ONCE = 5_000


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
    texts: Sequence[str], targets: Sequence[str], near: Near, advance: Callable[[int, str], None]
) -> Iterator[tuple[int, int]]:
    """Find texts that nearly equal a target.

    Candidates come from MinHash signatures of their words; each is then compared word by word, by edit distance,
    or equal but for the order of the words. So what is found is right, and little is missed.

    Args:
        texts: Normalised texts, each once.
        targets: Normalised texts, each once.
        near: What counts as near.
        advance: Told how many texts were compared.

    Yields:
        Position in `texts`, position in `targets`; equal texts are not yielded.

    Source: Broder (1997), On the resemblance and containment of documents; Leskovec, Rajaraman, Ullman, Mining of
        Massive Datasets, section 3.4 (banding).
    """
    from datasketch import MinHashLSH

    index = MinHashLSH(num_perm=_BANDS * _ROWS, params=(_BANDS, _ROWS))
    words = [target.split() for target in targets]
    long = [n for n, target in enumerate(words) if len(target) >= near.min_words]
    for n, signature in zip(long, _signatures([words[n] for n in long]), strict=True):
        index.insert(n, signature, check_duplication=False)
    for start in range(0, len(texts), _AT_ONCE):
        some = {n: texts[n].split() for n in range(start, min(start + _AT_ONCE, len(texts)))}
        asking = [n for n, text in some.items() if len(text) >= near.min_words] if long else []
        for n, signature in zip(asking, _signatures([some[n] for n in asking]), strict=True):
            for target in index.query(signature):
                if texts[n] != targets[target] and _is_near(some[n], words[target], near.max_changed):
                    yield n, target
        advance(len(some), "")


def _signatures(texts: Sequence[Sequence[str]]) -> list[Any]:
    from datasketch import MinHash

    words = [[word.encode() for word in set(text)] for text in texts]
    return MinHash.bulk(words, num_perm=_BANDS * _ROWS, hashfunc=xxh32_intdigest) if words else []


def _is_near(one: Sequence[str], other: Sequence[str], max_changed: float) -> bool:
    from rapidfuzz.distance import Levenshtein

    allowed = int(max_changed * max(len(one), len(other)))
    if abs(len(one) - len(other)) > allowed:
        return False
    return Levenshtein.distance(one, other, score_cutoff=allowed) <= allowed or sorted(one) == sorted(other)
