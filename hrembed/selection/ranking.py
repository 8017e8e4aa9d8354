"""A ranking that says how sure it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.stats import rankdata

from hrembed.metrics.intervals import expanded_tails

if TYPE_CHECKING:
    from hrembed.types import Bools, Floats, Ints


class Ranking(NamedTuple):
    """Models by their (weighted) mean over tasks.

    Attributes:
        order: Positions of the models, best first, shape (M,).
        means: Mean of each model, in the order given to `rank_models`, shape (M,).
        low: Lower end of the interval of the mean, shape (M,).
        high: Upper end, shape (M,).
        rank_low: Best rank that the interval allows, from 1, shape (M,).
        rank_high: Worst rank that the interval allows, shape (M,).
        tied: Whether the model cannot be told from the first at this level, shape (M,).
        separable: Whether a model can be told from the one that follows it in `order`, shape (M - 1,), in that order.
    """

    order: Ints
    means: Floats
    low: Floats
    high: Floats
    rank_low: Floats
    rank_high: Floats
    tied: Bools
    separable: Bools


def rank_models(
    points: Floats,
    *,
    weights: Floats | None = None,
    rng: np.random.Generator,
    confidence: float = 0.95,
    resamples: int = 2000,
) -> Ranking:
    """Rank models by their mean, with bootstrap intervals over tasks; nothing is corrected for the number of models.

    Args:
        points: Score, or Borda points, of each model on each task, shape (M, T), complete.
        weights: Weight of each task, shape (T,), all above 0; None weighs them alike.
        rng: Source of the resamples.
        confidence: Level of the intervals, in (0, 1); percentiles are widened for few tasks.
        resamples: Number of resamples.

    Returns:
        A model is tied with the first when the interval of its paired difference to it holds 0; with one task, all are.

    Raises:
        ValueError: A score is missing, or there is no model.

    Source:
        Hall & Miller (2009), doi:10.1214/09-AOS699, on the bootstrap of rankings.
    """
    if points.size == 0 or not np.isfinite(points).all():
        raise ValueError(f"scores of shape {points.shape} must be complete and not empty")
    models, tasks = points.shape
    weights = np.ones(tasks) if weights is None else weights
    means = points @ weights / weights.sum()
    order = np.argsort(-means, kind="stable")
    draws = _drawn_means(points, weights, rng, resamples)
    tails = expanded_tails(tasks, confidence) if tasks > 1 else (0.0, 1.0)
    ranks = rankdata(-draws, method="min", axis=0)
    rank_low, rank_high = np.quantile(ranks, tails, axis=1, method="nearest")
    low, high = np.quantile(draws, tails, axis=1) if tasks > 1 else np.full((2, models), np.nan)
    tied = ~_ahead(draws[order[0]][None, :] - draws, tasks, tails[0])
    separable = _ahead(draws[order[:-1]] - draws[order[1:]], tasks, tails[0])
    return Ranking(order, means, low, high, rank_low, rank_high, tied, separable)


def _drawn_means(points: Floats, weights: Floats, rng: np.random.Generator, resamples: int) -> Floats:
    """Means of all models over the same drawn tasks, so that differences are paired, shape (M, resamples)."""
    tasks = points.shape[1]
    counts = rng.multinomial(tasks, np.full(tasks, 1 / tasks), size=resamples) * weights
    return np.asarray(points @ (counts / counts.sum(axis=1, keepdims=True)).T)


def _ahead(differences: Floats, tasks: int, tail: float) -> Bools:
    """Whether the interval of each row of differences, shape (K, resamples), lies above 0; never with one task."""
    if tasks == 1 or not len(differences):
        return np.zeros(len(differences), dtype=bool)
    return np.asarray(np.quantile(differences, tail, axis=1) > 0)


def borda_points(scores: Floats) -> Floats:
    """Points of each model on each task: the number of models minus its rank there; ties share, missing gets 0.

    Args:
        scores: Shape (M, T); NaN where missing.

    Source:
        mteb's leaderboard (`mteb.benchmarks._create_table`), after Colombo et al. (2022), arXiv:2202.03799.
    """
    missing = np.isnan(scores)
    ranks = rankdata(np.where(missing, np.inf, -scores), method="average", axis=0)
    return np.where(missing, 0.0, len(scores) - ranks)


def competition_ranks(totals: Floats) -> Ints:
    """Rank totals, the highest first; equal ones share the better rank: 1, 2, 2, 4."""
    return rankdata(-totals, method="min").astype(np.int64)


def pareto_front(costs: Floats) -> Bools:
    """Mark the Pareto front: no other model is at least as low in every column and lower in one.

    Args:
        costs: One line for each model, lower is better in every column, shape (M, K). A line with NaN is never on the
            front, and beats nobody.

    Returns:
        Shape (M,).
    """
    known = np.isfinite(costs).all(axis=1)
    front = np.zeros(len(costs), dtype=bool)
    for n in np.flatnonzero(known):
        others = costs[known]
        front[n] = not ((others <= costs[n]).all(axis=1) & (others < costs[n]).any(axis=1)).any()
    return front


def first_shares(points: Floats, weights: Floats, *, rng: np.random.Generator, draws: int = 2000) -> Floats:
    """How often each model is first when the weights of the tasks are drawn at random.

    The weights are multiplied by draws from the flat Dirichlet distribution, under which all weightings are equally
    likely.

    Args:
        points: Shape (M, T), complete.
        weights: Shape (T,).
        rng: Source of the draws.
        draws: Number of draws.

    Returns:
        Shares, shape (M,), summing to 1.
    """
    drawn = rng.dirichlet(np.ones(points.shape[1]), size=draws) * weights
    first = np.argmax(points @ drawn.T, axis=0)
    return np.asarray(np.bincount(first, minlength=len(points)) / draws)


def first_without(points: Floats, weights: Floats) -> Ints:
    """Position of the model that is first when each task is left out in turn, shape (T,); needs two tasks."""
    left = np.broadcast_to(weights, (len(weights), len(weights))).copy()
    np.fill_diagonal(left, 0.0)
    return np.asarray(np.argmax(points @ (left / left.sum(axis=1, keepdims=True)).T, axis=0))
