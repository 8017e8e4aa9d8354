"""Are new training pairs different from those that a model was trained on, and does the model do worse on them?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hrembed.metrics.bridging import shift_p
from hrembed.metrics.intervals import mean_interval
from hrembed.records.retrain import DistanceDrift, Drift, DriftRow, LengthDrift, MetricDrift
from hrembed.text import normalise

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hrembed.config.parts import BootstrapSection
    from hrembed.config.retrain import DriftSection
    from hrembed.types import Encoder, Estimate, Floats, Pair

_ALPHA = 0.01  # level of the permutation test


def measure_drift(
    encoder: Encoder, old: Sequence[Pair], new: Sequence[Pair], config: DriftSection, bootstrap: BootstrapSection
) -> Drift:
    """Compare two sets of pairs.

    Args:
        encoder: The model in use.
        old: Pairs that it was trained on.
        new: Pairs that came since.
        config: Which differences count as drift.
        bootstrap: How intervals are made.
    """
    rng = np.random.default_rng(config.seed)
    # Ranks depend on how many documents there are, so both sides have equally many.
    size = min(config.sample, *(len({pair.positive for pair in pairs}) for pairs in (old, new)))
    sides = [_sample(pairs, size, rng) for pairs in (old, new)]
    vectors = [encoder.vectors([pair.positive for pair in side], "document") for side in sides]
    distance, p_value = shift_p(vectors[0], vectors[1], rng=rng)
    lengths = [float(np.mean([len(_words(pair.positive)) for pair in side])) for side in sides]
    unknown = unknown_share([pair.positive for pair in old], [pair.positive for pair in sides[1]])
    scores = [_mean_rank(encoder, side, documents, bootstrap) for side, documents in zip(sides, vectors, strict=True)]
    change = abs(lengths[1] / lengths[0] - 1) if lengths[0] else float("nan")
    drop = scores[0].value - scores[1].value
    return Drift(
        length=LengthDrift(
            found=change, limit=config.length, drifted=change > config.length, words=(lengths[0], lengths[1])
        ),
        vocabulary=DriftRow(found=unknown, limit=config.vocabulary, drifted=unknown > config.vocabulary),
        distance=DistanceDrift(
            found=distance,
            limit=config.distance,
            drifted=distance > config.distance and p_value <= _ALPHA,
            p_value=p_value,
        ),
        metric=MetricDrift(found=drop, limit=config.metric, drifted=drop > config.metric, old=scores[0], new=scores[1]),
    )


def unknown_share(old: Sequence[str], new: Sequence[str]) -> float:
    """Share of the words of new texts that no old text holds; NaN without words."""
    known = {word for text in old for word in _words(text)}
    words = [word for text in new for word in _words(text)]
    return sum(word not in known for word in words) / len(words) if words else float("nan")


def _words(text: str) -> list[str]:
    return normalise(text).split()


def _sample(pairs: Sequence[Pair], n: int, rng: np.random.Generator) -> list[Pair]:
    """A seeded sample of pairs with distinct documents, so that a rank has one right answer."""
    distinct = list({pair.positive: pair for pair in pairs}.values())
    chosen = rng.permutation(len(distinct))[:n]
    return [distinct[place] for place in sorted(chosen.tolist())]


def _mean_rank(encoder: Encoder, pairs: Sequence[Pair], documents: Floats, bootstrap: BootstrapSection) -> Estimate:
    return mean_interval(
        _reciprocal_ranks(encoder, pairs, documents),
        [pair.group for pair in pairs],
        rng=np.random.default_rng(bootstrap.seed),
        confidence=bootstrap.confidence,
        resamples=bootstrap.resamples,
        unit="pairs",
    )


def _reciprocal_ranks(encoder: Encoder, pairs: Sequence[Pair], documents: Floats) -> Floats:
    """Reciprocal rank of the positive of each anchor among the documents of other groups, shape (n,)."""
    queries = encoder.vectors([pair.anchor for pair in pairs], "query")
    scores = queries @ documents.T
    of_positive = np.diag(scores)
    groups = np.array([pair.group or f"#{n}" for n, pair in enumerate(pairs)])
    above = (scores > of_positive[:, None]) & (groups[:, None] != groups[None, :])
    return np.asarray(1.0 / (1 + above.sum(axis=1)))
