"""What swapping a name does to scores, places and rankings: one value per name, or one per pair of names.

A name stands under every job and on every résumé. What is said of a name is the mean over these; group comparisons then
take names as their unit (`fairness`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

if TYPE_CHECKING:
    from hrembed.types import Bools, Floats, Ints


def deviations(scores: Floats, nameless: Floats) -> Floats:
    """Return how much each name moves each score, in standard deviations of the job.

    For every job the scale is the standard deviation of its scores over the nameless résumés, since
    cosines of different models and jobs are not comparable.

    Args:
        scores: Score of each job, résumé and name, shape (J, R, N).
        nameless: Score of each job and résumé without a name, shape (J, R), R of 2 or more.

    Returns:
        Shape (J, R, N). NaN where a job gives every résumé one score.

    Raises:
        ValueError: The shapes do not fit, or R < 2.
    """
    if scores.shape[:2] != nameless.shape or nameless.shape[1] < 2:
        raise ValueError(
            f"scores of shape {scores.shape} and nameless scores of shape {nameless.shape} do not match, "
            "or there are fewer than 2 résumés"
        )
    scale = nameless.std(axis=1, ddof=1)
    scale = np.where(scale > 0, scale, np.nan)
    return np.asarray((scores - nameless[:, :, None]) / scale[:, None, None])


def selection_rates(scores: Floats, share: float) -> Floats:
    """Return how often each name is selected when a job takes the best `share` of its pool.

    The pool of a job is every résumé under every name. Candidates that tie at the cut share the
    places that are left, so that the order of the files cannot decide.

    Args:
        scores: Score of each job, résumé and name, shape (J, R, N).
        share: Selected share, in (0, 1); at least one place.

    Returns:
        Rate of each name over jobs and résumés, shape (N,), in [0, 1].
    """
    jobs, resumes, names = scores.shape
    pool = scores.reshape(jobs, resumes * names)
    places = max(1, round(share * pool.shape[1]))
    cut = -np.partition(-pool, places - 1, axis=1)[:, places - 1 : places]
    above, tied = pool > cut, pool == cut
    left = (places - above.sum(axis=1, keepdims=True)) / tied.sum(axis=1, keepdims=True)
    return np.asarray((above + tied * left).reshape(scores.shape).mean(axis=(0, 1)))


def pool_ranks(scores: Floats) -> Floats:
    """Place of every résumé under every name when a job ranks all of them; those that tie share their middle place.

    Args:
        scores: Shape (J, R, N).

    Returns:
        Shape (J, R, N), from 1.
    """
    flat = scores.reshape(len(scores), -1)
    return np.asarray(stats.rankdata(-flat, axis=1)).reshape(scores.shape)


def exposure(ranks: Floats) -> Floats:
    """Attention that a place gets, falling with the logarithm of the rank: 1 / log2(1 + rank).

    Source:
        Singh & Joachims (2018), doi:10.1145/3219819.3220088.
    """
    return np.asarray(1 / np.log2(1 + ranks))


def attention(ranks: Floats, stop: float) -> Floats:
    """Attention of readers who stop after each place with the same chance: stop * (1 - stop) ** (rank - 1).

    Args:
        ranks: From 1.
        stop: Chance to stop, in (0, 1).

    Source:
        Moffat & Zobel (2008), doi:10.1145/1416950.1416952; for groups: Sapiezynski et al. (2019), arXiv:1901.10437.
    """
    return np.asarray(stop * (1 - stop) ** (ranks - 1))


def win_rates(scores: Floats) -> Floats:
    """How often a name scores above another one on the same résumé for the same job; ties count half.

    Args:
        scores: Shape (J, R, N), N of 2 or more.

    Returns:
        Shape (N,), in [0, 1], with mean 1/2.

    Source:
        Beutel et al. (2019), arXiv:1903.00780, pairwise accuracy, for candidates that differ in nothing else.
    """
    below = stats.rankdata(scores, axis=2) - 1
    return np.asarray(below.mean(axis=(0, 1)) / (scores.shape[2] - 1))


def ranks_among(scores: Floats, nameless: Floats) -> Ints:
    """Place of each résumé under each name among the other résumés without a name.

    Args:
        scores: Shape (J, R, N).
        nameless: Shape (J, R).

    Returns:
        Shape (J, R, N), from 1 to R: one more than the number of others that score higher.
    """
    ordered = np.sort(nameless, axis=1)
    above = np.stack(
        [
            nameless.shape[1] - np.searchsorted(row, own.ravel(), side="right").reshape(own.shape)
            for row, own in zip(ordered, scores, strict=True)
        ]
    )
    return np.asarray(1 + above - (nameless[:, :, None] > scores))


def flips(inside: Bools) -> Floats:
    """How often one of two names is selected and the other is not, in otherwise equal cells.

    Args:
        inside: Whether a cell (job and résumé) is selected under a name, shape (C, N).

    Returns:
        Share of cells for each two names, shape (N, N), symmetric with a zero diagonal.
    """
    own = inside.astype(np.float64)
    share, both = own.mean(axis=0), own.T @ own / max(1, len(own))
    return np.asarray(share[:, None] + share[None] - 2 * both)


def shifts(effects: Floats) -> Floats:
    """Mean absolute difference between two names, shape (N, N), of values of shape (C, N)."""
    found = np.zeros((effects.shape[1],) * 2)
    for row in effects:  # N x N at a time keeps memory small
        found += np.abs(row[:, None] - row[None])
    return found / max(1, len(effects))


def disagreement(scores: Floats) -> Floats:
    """How differently two names order the same résumés: the share of résumé pairs whose order turns (ties half).

    This is (1 - tau_a) / 2 of Kendall's tau.

    Args:
        scores: One job's scores, shape (R, N), R of 2 or more.

    Returns:
        Shape (N, N), in [0, 1].

    Source:
        Kendall (1938), doi:10.1093/biomet/30.1-2.81.
    """
    first, second = np.triu_indices(len(scores), k=1)
    signs = np.sign(scores[first] - scores[second])
    return np.asarray((1 - signs.T @ signs / len(first)) / 2)


def excess(pairs: Floats, labels: Ints) -> Floats:
    """By how much names of two groups differ more than two names of one group do.

    Args:
        pairs: Difference of each two names, shape (N, N), symmetric.
        labels: Number of each name's group, shape (B, N).

    Returns:
        Mean between groups less mean within, shape (B,); NaN where no two names share a group, or all do.
    """
    total, n, within, inside = pairs.sum(), len(pairs), np.zeros(len(labels)), np.zeros(len(labels))
    for group in range(int(labels.max()) + 1):
        member = (labels == group).astype(np.float64)
        within += ((member @ pairs) * member).sum(axis=1)
        size = member.sum(axis=1)
        inside += size * (size - 1)
    return _excess(total - within, n * (n - 1) - inside, within, inside)


def _excess(between: Floats, outside: Floats, within: Floats, inside: Floats) -> Floats:
    """Mean of sums over their counts, the first less the second; NaN where a count is 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        found = between / outside - within / inside
    return np.asarray(np.where((outside > 0) & (inside > 0), found, np.nan))


def excess_error(pairs: Floats, labels: Ints) -> float:
    """Standard error of `excess` for one labelling, by leaving out one name at a time.

    Args:
        pairs: Shape (N, N).
        labels: Shape (N,).

    Source:
        Efron & Stein (1981), doi:10.1214/aos/1176345462, the jackknife.
    """
    n, same = len(labels), labels[:, None] == labels[None]
    within, own = float(pairs[same].sum()), (pairs * same).sum(axis=1)
    sizes = same.sum(axis=1) - 1  # others of the same group
    inside = float(sizes.sum()) - 2 * sizes
    kept = within - 2 * own
    between = pairs.sum() - 2 * pairs.sum(axis=1) - kept
    left = _excess(between, (n - 1) * (n - 2) - inside, kept, inside)
    return float(np.sqrt((n - 1) / n * ((left - left.mean()) ** 2).sum()))
