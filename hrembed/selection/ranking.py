"""A ranking that says how sure it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.stats import rankdata

if TYPE_CHECKING:
    from hrembed.types import Bools, Floats, Ints


class Ranking(NamedTuple):
    """Models by mean score over tasks.

    Attributes:
        order: Positions of the models, best first, shape (M,).
        means: Mean score of each model, in the order given to `rank_models`, shape (M,).
        rank_low: Best rank that the interval allows, from 1, shape (M,).
        rank_high: Worst rank that the interval allows, shape (M,).
        tied: Whether the model cannot be told from the first at this level, shape (M,).
    """

    order: Ints
    means: Floats
    rank_low: Floats
    rank_high: Floats
    tied: Bools


def rank_models(
    scores: Floats, *, rng: np.random.Generator, confidence: float = 0.95, resamples: int = 2000
) -> Ranking:
    """Rank models by mean score, and resample the tasks to see how far a rank can move.

    Args:
        scores: Score of each model on each task, shape (M, T), complete.
        rng: Source of the resamples.
        confidence: Level of the rank intervals, in (0, 1).
        resamples: Number of resamples.

    Returns:
        Order, means, rank intervals and who is tied with the first: those whose paired difference
        to it has an interval that holds 0. With one task every model is tied.

    Raises:
        ValueError: A score is missing, or there is no model.

    Source:
        Hall & Miller (2009), doi:10.1214/09-AOS699, on the bootstrap of rankings.
    """
    if scores.size == 0 or not np.isfinite(scores).all():
        raise ValueError(f"scores {scores.shape} must be complete and not empty")
    models, tasks = scores.shape
    means = scores.mean(axis=1)
    order = np.argsort(-means, kind="stable")
    counts = rng.multinomial(tasks, np.full(tasks, 1 / tasks), size=resamples)
    draws = scores @ counts.T.astype(np.float64) / tasks
    ranks = rankdata(-draws, method="min", axis=0)
    tail = (1 - confidence) / 2
    low, high = np.quantile(ranks, [tail, 1 - tail], axis=1, method="nearest")
    behind = draws[order[0]][None, :] - draws
    tied = np.quantile(behind, tail, axis=1) <= 0 if tasks > 1 else np.ones(models, dtype=bool)
    return Ranking(order, means, low, high, tied)
