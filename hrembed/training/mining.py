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

from hrembed.records.finetune import MiningFacts
from hrembed.relevance import Relatives

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from hrembed.types import Floats, Pair, Side

    Embed = Callable[[Sequence[str], Side], Floats]

_FIRST_WINDOW = 10  # candidates looked at first for each negative asked for, as the library does
_WIDEST_WINDOW = 1000  # candidates after which an anchor has none
_ANCHORS_AT_ONCE = 2000  # anchors whose candidates are in memory
_SCORED_AT_ONCE = 256  # anchors whose cosines to all texts are in memory


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
    """Hard negatives, and how they were found.

    Attributes:
        negatives: For each pair `count` texts, repeated where there are fewer; none where there is not one.
        facts: What was dropped and what is left.
    """

    negatives: list[tuple[str, ...]]
    facts: MiningFacts


class _Candidates(NamedTuple):
    """The texts that are closest to an anchor, the closest first, without its positives.

    Attributes:
        positives: Cosines of its positives; empty when there was no candidate.
        texts: The texts.
        scores: Their cosines.
    """

    positives: Sequence[float]
    texts: Sequence[str]
    scores: Sequence[float]


class _Judged(NamedTuple):
    """What is left of the candidates of an anchor, and how many were dropped.

    Attributes:
        positives: Cosines of its positives.
        left: Candidates that may be negatives, with their cosines.
        relevant: Candidates that were dropped because they are relevant.
        margin: Candidates that were dropped because they are not far enough below the positive.
    """

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
    relevance = _AnchorRelevance(pairs)
    rows_of: dict[tuple[str, str], list[int]] = defaultdict(list)
    for row, pair in enumerate(pairs):
        rows_of[pair.kind, pair.anchor].append(row)
    negatives: list[tuple[str, ...]] = [()] * len(pairs)
    rng, tally = np.random.default_rng(rule.seed), _Tally(rule.count)
    for kind in sorted({kind for kind, _ in rows_of}):
        pool = _Pool([pair for pair in pairs if pair.kind == kind], embed)
        for anchor, judged in _judged(pool, relevance, rule):
            chosen, rows = _choose(judged.left, rule, rng), rows_of[kind, anchor]
            tally.add(judged, chosen, len(rows))
            texts = [text for text, _ in chosen]
            filled = tuple(texts[n % len(texts)] for n in range(rule.count)) if texts else ()
            for row in rows:
                negatives[row] = filled
    return Mined(negatives, tally.facts())


class _AnchorRelevance:
    """Knows which texts are relevant to an anchor or to one of its positives."""

    def __init__(self, pairs: Sequence[Pair]) -> None:
        self._relatives = Relatives(pairs)
        self._keys: dict[str, set[str]] = defaultdict(set)
        for pair in pairs:
            keys = self._relatives.keys(pair.anchor) | self._relatives.keys(pair.positive)
            self._keys[self._relatives.item(pair.anchor)] |= keys

    def relevant(self, anchor: str, text: str) -> bool:
        return not self._keys[self._relatives.item(anchor)].isdisjoint(self._relatives.keys(text))


def _judged(pool: _Pool, relevance: _AnchorRelevance, rule: MiningRule) -> Iterator[tuple[str, _Judged]]:
    """Yield every anchor with what may be its negatives; those with too few are asked for again, more widely."""
    window = rule.range_max or rule.range_min + _FIRST_WINDOW * rule.count
    last = rule.range_max or min(rule.range_min + max(_WIDEST_WINDOW, window), pool.size)
    waiting = pool.anchors
    while waiting:
        short = []
        for anchor, candidates in pool.closest(waiting, rule.range_min, window):
            judged = _judge(anchor, candidates, relevance, rule.margin)
            if len(judged.left) < rule.count and window < last:
                short.append(anchor)
            else:
                yield anchor, judged
        waiting, window = short, min(4 * window, last)


def _judge(anchor: str, candidates: _Candidates, relevance: _AnchorRelevance, margin: float) -> _Judged:
    irrelevant = [
        (text, score)
        for text, score in zip(candidates.texts, candidates.scores, strict=True)
        if not relevance.relevant(anchor, text)
    ]
    positive = min(candidates.positives, default=0.0)
    left = [(text, score) for text, score in irrelevant if score <= positive - abs(positive) * margin]
    dropped = len(candidates.texts) - len(irrelevant), len(irrelevant) - len(left)
    return _Judged(candidates.positives, left, *dropped)


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
        for start in range(0, len(anchors), _ANCHORS_AT_ONCE):
            part = anchors[start : start + _ANCHORS_AT_ONCE]
            candidates = self._mined(part, first, last)
            for anchor in part:
                yield anchor, candidates.get(anchor, _Candidates((), (), ()))

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
                faiss_batch_size=_SCORED_AT_ONCE,
                verbose=False,
            ).to_dict()
        candidates: dict[str, _Candidates] = {}
        for anchor, texts, scores in zip(answer["anchor"], answer["positive"], answer["scores"], strict=True):
            before = candidates[anchor].positives if anchor in candidates else ()
            candidates[anchor] = _Candidates((*before, scores[0]), texts[1:], scores[1:])
        return candidates


class _Embedded:
    """A model that knows the vectors of some texts: as much of a model as the miner needs."""

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
    """Counts what happens to candidates and rows."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._anchors = self._relevant = self._margin = self._rows_repeating = self._rows_without = 0
        self._positives: list[float] = []
        self._negatives: list[float] = []

    def add(self, judged: _Judged, chosen: Sequence[tuple[str, float]], rows: int) -> None:
        self._anchors += 1
        self._relevant += judged.relevant
        self._margin += judged.margin
        self._rows_repeating += rows * (0 < len(chosen) < self._count)
        self._rows_without += rows * (not chosen)
        self._positives += judged.positives
        self._negatives += [score for _, score in chosen]

    def facts(self) -> MiningFacts:
        return MiningFacts(
            count=self._count,
            anchors=self._anchors,
            relevant=self._relevant,
            margin=self._margin,
            rows_repeating=self._rows_repeating,
            rows_without=self._rows_without,
            positive_cosine=float(np.mean(self._positives)) if self._positives else float("nan"),
            negative_cosine=float(np.mean(self._negatives)) if self._negatives else float("nan"),
        )
