"""How well a group can be read off a vector: a linear probe that is only ever asked about names it has not seen."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from hrembed.types import Floats, Ints

RIDGE = 0.1  # of the mean squared length; the probe's only setting


def folds_of(labels: Ints, strata: Ints, folds: int, rng: np.random.Generator) -> Ints:
    """Deal names into folds, each with about as many of every group and stratum.

    Args:
        labels: Group of each name, shape (N,).
        strata: What else is held even, shape (N,).
        folds: Their number, 2 or more.
        rng: Source of the order.

    Returns:
        Fold of each name, shape (N,).
    """
    order = rng.permutation(len(labels))
    order = order[np.lexsort((strata[order], labels[order]))]
    found = np.empty(len(labels), dtype=np.int64)
    found[order] = np.arange(len(labels)) % folds
    return found


def cross_fitted(vectors: Floats, labels: Ints, folds: Ints) -> Floats:
    """Share of the names whose group a ridge probe guesses that was fitted on the other folds, mean over groups.

    The probe is least squares on group membership with a penalty, its answer the group with the highest score, weighted
    so that all groups count alike. In its dual form, so that many labellings cost little.

    Args:
        vectors: One row for each name, shape (N, d), for example the mean over its résumés less the nameless ones.
        labels: Number of each name's group, shape (B, N): several labellings at once.
        folds: Fold of each name, shape (N,).

    Returns:
        Balanced accuracy for each labelling, shape (B,); 1 / G is chance.

    Source:
        Hoerl & Kennard (1970), doi:10.1080/00401706.1970.10488634; cross-fitting: Chernozhukov et al. (2018),
        doi:10.1111/ectj.12097.
    """
    groups = int(labels.max()) + 1
    guesses = np.empty_like(labels)
    for fold in np.unique(folds):
        train, test = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        center = vectors[train].mean(axis=0)
        kernel = (vectors[train] - center) @ (vectors[train] - center).T
        penalty = RIDGE * np.trace(kernel) / len(train) + 1e-12
        hat = (
            (vectors[test] - center)
            @ (vectors[train] - center).T
            @ np.linalg.inv(kernel + penalty * np.eye(len(train)))
        )
        member = np.eye(groups)[labels[:, train]]  # (B, n, G)
        weights = 1 / np.maximum(member.sum(axis=1, keepdims=True), 1)
        aims = member * weights
        guesses[:, test] = (hat @ (aims - aims.mean(axis=1, keepdims=True))).argmax(axis=2)
    right = guesses == labels
    found = np.zeros(len(labels))
    for group in range(groups):
        own = labels == group
        found += (right & own).sum(axis=1) / np.maximum(own.sum(axis=1), 1)
    return np.asarray(found / groups)


def on_itself(vectors: Floats, labels: Ints) -> float:
    """Balanced accuracy of the same probe on the names it was fitted on: what a naive check reads.

    Args:
        vectors: Shape (N, d).
        labels: Shape (N,).
    """
    center = vectors.mean(axis=0)
    kernel = (vectors - center) @ (vectors - center).T
    penalty = RIDGE * np.trace(kernel) / len(labels) + 1e-12
    member = np.eye(int(labels.max()) + 1)[labels]
    aims = member / member.sum(axis=0)
    score = kernel @ np.linalg.solve(kernel + penalty * np.eye(len(labels)), aims - aims.mean(axis=0))
    guess = score.round(9).argmax(axis=1)  # rounding errors of an erased direction are no evidence
    return float(np.mean([(guess == labels)[labels == group].mean() for group in np.unique(labels)]))


def description_length(vectors: Floats, labels: Ints, rng: np.random.Generator, *, steps: int = 6) -> float:
    """How many times shorter the groups can be told to somebody who has the vectors (online code).

    Names come in random order; each part is coded by a logistic probe fitted on all names before it, the first part
    evenly.

    Args:
        vectors: Shape (N, d).
        labels: Shape (N,).
        rng: Source of the order.
        steps: Parts, each twice as long as the one before.

    Returns:
        N log2 G over the length of the code: 1 says nothing can be read, more that something can; below 1 the probe
        misleads.

    Source:
        Voita & Titov (2020), arXiv:2003.12298, equation 3.
    """
    from sklearn.linear_model import LogisticRegression

    order = rng.permutation(len(labels))
    rows, own, groups = vectors[order], labels[order], int(labels.max()) + 1
    rows = rows / max(float(np.linalg.norm(rows - rows.mean(axis=0), axis=1).mean()), 1e-12)
    ends = [max(2 * groups, round(len(own) / 2**n)) for n in range(steps - 1, -1, -1)]
    ends = sorted({end for end in ends if end < len(own)} | {len(own)})
    bits = ends[0] * np.log2(groups)
    for start, end in itertools.pairwise(ends):
        seen = np.unique(own[:start])
        part = np.full((end - start, groups), 1e-3)  # a group that was not seen yet is not impossible
        if len(seen) > 1:
            part[:, seen] += (
                LogisticRegression(max_iter=500).fit(rows[:start], own[:start]).predict_proba(rows[start:end])
            )
        part /= part.sum(axis=1, keepdims=True)
        bits -= np.log2(part[np.arange(end - start), own[start:end]]).sum()
    return float(len(own) * np.log2(groups) / bits)
