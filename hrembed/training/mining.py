"""Hard negatives: texts that a model finds close to an anchor, and that are not relevant to it.

The library's miner searches. What it cannot know is decided here: it would return a text of the anchor's own group.
"""

from __future__ import annotations

import contextlib
import io
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from hrembed.relevance import Relatives

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from hrembed.types import Floats, Pair, Side

    Embed = Callable[[Sequence[str], Side], Floats]

_FIRST = 10  # candidates looked at for each negative asked for, as the library does
_WIDEST = 1000  # candidates after which an anchor has none
_AT_ONCE = 2000  # anchors whose candidates are in memory
_SCORED = 256  # anchors whose cosines to all texts are in memory


@dataclass(frozen=True)
class MiningRule:
    """What may be a negative; units and meaning as in the config of `finetune`."""

    count: int
    margin: float
    range_min: int
    range_max: int | None
    strategy: Literal["top", "random"]
    seed: int


class Mined(NamedTuple):
    """What was found.

    Attributes:
        negatives: For each pair `count` texts, a shorter find repeated; none where nothing was found.
        facts: `anchors` (distinct, by kind), `relevant` and `margin` (candidates dropped for that), `rows_repeating`
            (those with fewer negatives than asked for), `rows_without`, and the mean cosines of the positives and of
            the negatives (`positive_cosine`, `negative_cosine`; NaN without any).
    """

    negatives: list[tuple[str, ...]]
    facts: dict[str, float]


class _Candidates(NamedTuple):
    """The closest texts to an anchor, the closest first, its own positives left out.

    Attributes:
        positives: Cosines of its positives; empty when there was no candidate.
        texts: The texts.
        scores: Their cosines.
    """

    positives: Sequence[float]
    texts: Sequence[str]
    scores: Sequence[float]


class _Judged(NamedTuple):
    """What is left of the candidates of an anchor, and how many went for which reason."""

    positives: Sequence[float]
    left: Sequence[tuple[str, float]]
    relevant: int
    margin: int


def mine(pairs: Sequence[Pair], embed: Embed, rule: MiningRule) -> Mined:
    """Find negatives for every pair among the positives of its kind.

    Never a negative of an anchor is a text that is relevant to it or to one of its positives (`Relatives`), or whose
    cosine is above p - margin · |p|, where p is that of its farthest positive. Where these leave fewer than asked for,
    more candidates are looked at, unless `range_max` says no.

    Args:
        pairs: The training set; anchors of one item share their positives.
        embed: Unit rows of texts on a side.
        rule: What may be a negative.

    Source:
        de Souza Moreira et al. (2024), NV-Retriever, arXiv:2407.15831, for the margin (TopK-PercPos).
    """
    known = _Known(pairs)
    rows_of: dict[tuple[str, str], list[int]] = defaultdict(list)
    for row, pair in enumerate(pairs):
        rows_of[pair.kind, pair.anchor].append(row)
    negatives: list[tuple[str, ...]] = [()] * len(pairs)
    rng, tally = np.random.default_rng(rule.seed), _Tally()
    for kind in sorted({kind for kind, _ in rows_of}):
        pool = _Pool([pair for pair in pairs if pair.kind == kind], embed)
        for anchor, judged in _judged(pool, known, rule):
            chosen, rows = _choose(judged.left, rule, rng), rows_of[kind, anchor]
            tally.add(judged, chosen, len(rows), rule.count)
            texts = [text for text, _ in chosen]
            filled = tuple(texts[n % len(texts)] for n in range(rule.count)) if texts else ()
            for row in rows:
                negatives[row] = filled
    return Mined(negatives, tally.facts())


class _Known:
    """What is relevant to an anchor, by everything that the pairs say."""

    def __init__(self, pairs: Sequence[Pair]) -> None:
        self._relatives = Relatives(pairs)
        self._own: dict[str, set[str]] = defaultdict(set)
        for pair in pairs:
            keys = self._relatives.keys(pair.anchor) | self._relatives.keys(pair.positive)
            self._own[self._relatives.item(pair.anchor)] |= keys

    def relevant(self, anchor: str, text: str) -> bool:
        return not self._own[self._relatives.item(anchor)].isdisjoint(self._relatives.keys(text))


def _judged(pool: _Pool, known: _Known, rule: MiningRule) -> Iterator[tuple[str, _Judged]]:
    """Yield every anchor with what may be its negatives; those with too few are asked for again, more widely."""
    window = rule.range_max or rule.range_min + _FIRST * rule.count
    last = rule.range_max or min(rule.range_min + max(_WIDEST, window), pool.size)
    waiting = pool.anchors
    while waiting:
        short = []
        for anchor, found in pool.closest(waiting, rule.range_min, window):
            judged = _judge(anchor, found, known, rule.margin)
            if len(judged.left) < rule.count and window < last:
                short.append(anchor)
            else:
                yield anchor, judged
        waiting, window = short, min(4 * window, last)


def _judge(anchor: str, found: _Candidates, known: _Known, margin: float) -> _Judged:
    others = [
        (text, score) for text, score in zip(found.texts, found.scores, strict=True) if not known.relevant(anchor, text)
    ]
    positive = min(found.positives, default=0.0)
    left = [(text, score) for text, score in others if score <= positive - abs(positive) * margin]
    return _Judged(found.positives, left, len(found.texts) - len(others), len(others) - len(left))


def _choose(
    left: Sequence[tuple[str, float]], rule: MiningRule, rng: np.random.Generator
) -> Sequence[tuple[str, float]]:
    if rule.strategy == "top" or len(left) <= rule.count:
        return left[: rule.count]
    return [left[n] for n in sorted(rng.choice(len(left), rule.count, replace=False))]


class _Pool:
    """The pairs of a kind, embedded once; asks the library's miner."""

    def __init__(self, pairs: Sequence[Pair], embed: Embed) -> None:
        positives: dict[str, dict[str, None]] = defaultdict(dict)
        for pair in pairs:
            positives[pair.anchor][pair.positive] = None
        self._positives = positives
        self._texts = list(dict.fromkeys(pair.positive for pair in pairs))
        self.anchors = list(positives)
        self.size = len(self._texts)
        self._model = _Embedded(self.anchors, self._texts, embed)

    def closest(self, anchors: Sequence[str], first: int, last: int) -> Iterator[tuple[str, _Candidates]]:
        """Yield each anchor with its candidates between two ranks."""
        for start in range(0, len(anchors), _AT_ONCE):
            part = anchors[start : start + _AT_ONCE]
            found = self._mined(part, first, last)
            for anchor in part:
                yield anchor, found.get(anchor, _Candidates((), (), ()))

    def _mined(self, anchors: Sequence[str], first: int, last: int) -> Mapping[str, _Candidates]:
        from datasets import Dataset
        from sentence_transformers.util import mine_hard_negatives

        rows = [(anchor, positive) for anchor in anchors for positive in self._positives[anchor]]
        columns = {"anchor": [anchor for anchor, _ in rows], "positive": [positive for _, positive in rows]}
        with contextlib.redirect_stderr(io.StringIO()):  # progress bars that cannot be switched off
            answer = mine_hard_negatives(
                Dataset.from_dict(columns),
                self._model,
                corpus=self._texts,
                range_min=first,
                range_max=last,
                num_negatives=last - first,
                output_format="labeled-list",
                output_scores=True,
                faiss_batch_size=_SCORED,
                verbose=False,
            ).to_dict()
        found: dict[str, _Candidates] = {}
        for anchor, texts, scores in zip(answer["anchor"], answer["positive"], answer["scores"], strict=True):
            before = found[anchor].positives if anchor in found else ()
            found[anchor] = _Candidates((*before, scores[0]), texts[1:], scores[1:])
        return found


class _Embedded:
    """Vectors at hand in the form of a model, as far as the miner asks one."""

    def __init__(self, queries: Sequence[str], documents: Sequence[str], embed: Embed) -> None:
        import torch
        from sentence_transformers.util import dot_score, pairwise_dot_score

        self.device = torch.device("cpu")
        self.similarity, self.similarity_pairwise = dot_score, pairwise_dot_score
        self._rows = [{text: n for n, text in enumerate(side)} for side in (queries, documents)]
        self._vectors = [embed(queries, "query"), embed(documents, "document")]

    def encode_query(self, texts: Sequence[str], **_: Any) -> Floats:
        return self._vectors[0][[self._rows[0][text] for text in texts]]

    def encode_document(self, texts: Sequence[str], **_: Any) -> Floats:
        return self._vectors[1][[self._rows[1][text] for text in texts]]


class _Tally:
    """Counts for the report."""

    def __init__(self) -> None:
        self._counts = dict.fromkeys(("anchors", "relevant", "margin", "rows_repeating", "rows_without"), 0)
        self._positives: list[float] = []
        self._negatives: list[float] = []

    def add(self, judged: _Judged, chosen: Sequence[tuple[str, float]], rows: int, count: int) -> None:
        self._counts["anchors"] += 1
        self._counts["relevant"] += judged.relevant
        self._counts["margin"] += judged.margin
        self._counts["rows_repeating"] += rows * (0 < len(chosen) < count)
        self._counts["rows_without"] += rows * (not chosen)
        self._positives += judged.positives
        self._negatives += [score for _, score in chosen]

    def facts(self) -> dict[str, float]:
        means = {"positive_cosine": self._positives, "negative_cosine": self._negatives}
        return {**self._counts, **{key: float(np.mean(own)) if own else float("nan") for key, own in means.items()}}
